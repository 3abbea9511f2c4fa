"""Drift: what production was trained on, held against newer data, and what the distance means."""

from lockstep.drift.limits import Limits
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
    "ClassifierDrift",
    "ColumnDrift",
    "Compared",
    "DecisionDrift",
    "DriftReport",
    "Limits",
    "Role",
    "Verdict",
    "measure",
    "measure_rows",
]
