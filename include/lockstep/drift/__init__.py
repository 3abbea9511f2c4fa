"""Drift: what production was trained on, held against newer data, and what the distance means."""

from lockstep.drift.due import Answer, Due
from lockstep.drift.limits import Limits
from lockstep.drift.look import Moment, look, look_back
from lockstep.drift.measure import measure, measure_rows
from lockstep.drift.report import (
    ClassifierDrift,
    ColumnDrift,
    Compared,
    DecisionDrift,
    DriftReport,
    Role,
    Verdict,
)

__all__ = [
    "Answer",
    "ClassifierDrift",
    "ColumnDrift",
    "Compared",
    "DecisionDrift",
    "DriftReport",
    "Due",
    "Limits",
    "Moment",
    "Role",
    "Verdict",
    "look",
    "look_back",
    "measure",
    "measure_rows",
]
