"""Data: sources, rows that are checked, the Beam pipeline, and snapshots."""

from lockstep.data.bucket import clean_rows
from lockstep.data.refresh import Look, Refreshed, look_at, refresh_snapshot
from lockstep.data.rows import Parsed, dtype_of, parse_rows
from lockstep.data.snapshot import read_parts, read_snapshot, take_snapshot
from lockstep.data.split import SPLIT

__all__ = [
    "SPLIT",
    "Look",
    "Parsed",
    "Refreshed",
    "clean_rows",
    "dtype_of",
    "look_at",
    "parse_rows",
    "read_parts",
    "read_snapshot",
    "refresh_snapshot",
    "take_snapshot",
]
