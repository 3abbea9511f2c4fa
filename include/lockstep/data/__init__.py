"""Data: sources, rows that are checked, the Beam pipeline, and snapshots."""

from lockstep.data.bucket import clean_rows
from lockstep.data.rows import Parsed, dtype_of, parse_rows
from lockstep.data.snapshot import read_parts, read_snapshot, take_snapshot
from lockstep.data.split import SPLIT

__all__ = [
    "SPLIT",
    "Parsed",
    "clean_rows",
    "dtype_of",
    "parse_rows",
    "read_parts",
    "read_snapshot",
    "take_snapshot",
]
