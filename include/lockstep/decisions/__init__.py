"""Decisions: how a threshold is chosen for a model version, and what a release would change."""

from lockstep.decisions.before import diff_before_release
from lockstep.decisions.choose import choose
from lockstep.decisions.curve import Curve, curve_of
from lockstep.decisions.diff import decision_diff
from lockstep.decisions.difference import Diff, ModelDiff, Population, SplitDiff, ThresholdDiff
from lockstep.decisions.kept import ensure_diff, keep_diff
from lockstep.decisions.logged import Logged, recent_requests
from lockstep.decisions.share import Share
from lockstep.decisions.tune import Tuning, tune_threshold

__all__ = [
    "Curve",
    "Diff",
    "Logged",
    "ModelDiff",
    "Population",
    "Share",
    "SplitDiff",
    "ThresholdDiff",
    "Tuning",
    "choose",
    "curve_of",
    "decision_diff",
    "diff_before_release",
    "ensure_diff",
    "keep_diff",
    "recent_requests",
    "tune_threshold",
]
