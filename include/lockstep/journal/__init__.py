"""The decision log: what was asked and what was answered, without the columns that are declared private."""

from lockstep.journal.layout import Answered, Layout, layout_of
from lockstep.journal.log import DecisionLog, Limits
from lockstep.journal.parcels import InRegistry, OnStdout, Parcel, Sink
from lockstep.journal.reading import read_decisions

__all__ = [
    "Answered",
    "DecisionLog",
    "InRegistry",
    "Layout",
    "Limits",
    "OnStdout",
    "Parcel",
    "Sink",
    "layout_of",
    "read_decisions",
]
