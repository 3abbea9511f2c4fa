"""Drift: what production was trained on, held against newer data, and what the distance means."""

from lockstep.monitoring.due import Answer, Due
from lockstep.monitoring.limits import Limits
from lockstep.monitoring.look import Moment, look, look_back
from lockstep.monitoring.measure import measure, measure_rows
from lockstep.monitoring.profiles import Profiled, measure_profiles
from lockstep.monitoring.report import (
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
    "Profiled",
    "Role",
    "Verdict",
    "look",
    "look_back",
    "measure",
    "measure_profiles",
    "measure_rows",
]
