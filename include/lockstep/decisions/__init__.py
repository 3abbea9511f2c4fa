"""Decisions: how a threshold is chosen for a model version."""

from lockstep.decisions.choose import choose
from lockstep.decisions.curve import Curve, curve_of
from lockstep.decisions.tune import Tuning, tune_threshold

__all__ = ["Curve", "Tuning", "choose", "curve_of", "tune_threshold"]
