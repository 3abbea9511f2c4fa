"""Where the decision log goes: files of the registry, or lines on stdout.

Rules:
- What is packed does not change any more: it is delivered byte for byte the same, however often that is tried.
- A file's name was never used before: a worker draws its name when it starts, and counts.
"""

import io
import os
import secrets
from dataclasses import dataclass
from datetime import date
from typing import Final, Protocol

import polars as pl

from lockstep.registry import Objects

FOLDER: Final = "decisions"
PROTOCOL: Final = "1"
STDOUT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """Some rows of one group, packed. `dropped`: rows of the group that were lost since the parcel before it."""

    group: str
    path: str
    data: bytes
    rows: int
    dropped: int


class Sink(Protocol):
    """Packs rows, and delivers what is packed."""

    def pack(self, group: str, day: date, rows: pl.DataFrame, dropped: int) -> Parcel:
        """Pack rows of a group that were answered on one day."""
        ...

    def deliver(self, parcel: Parcel) -> None:
        """Bring a parcel to its place.

        Raises:
            StoreUnusable, OSError: it could not be brought there now; trying again may help.
        """
        ...


class InRegistry:
    """Parquet files below `decisions/<group>/<day>/`; make one in each process."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._worker = secrets.token_hex(8)
        self._count = 0

    def pack(self, group: str, day: date, rows: pl.DataFrame, dropped: int) -> Parcel:
        """Pack rows as one file, whose metadata says how many are missing before them."""
        self._count += 1
        file = io.BytesIO()
        about = {"lockstep.protocol": PROTOCOL, "lockstep.dropped": str(dropped)}
        rows.write_parquet(file, compression="zstd", metadata=about)
        path = f"{FOLDER}/{group}/{day.isoformat()}/{self._worker}-{self._count:06d}.parquet"
        return Parcel(group=group, path=path, data=file.getvalue(), rows=rows.height, dropped=dropped)

    def deliver(self, parcel: Parcel) -> None:
        """Write the file, or find it written."""
        self._objects.put(parcel.path, parcel.data)


class OnStdout:
    """A JSON object a line; lines of up to 4 kB of several processes on one pipe do not mix."""

    def pack(self, group: str, day: date, rows: pl.DataFrame, dropped: int) -> Parcel:  # noqa: ARG002  as `Sink` has it
        """Pack rows as lines; where some are missing before them, a line says how many."""
        lost = b'{"_group":"%s","_dropped":%d}\n' % (group.encode(), dropped) if dropped else b""
        data = lost + rows.write_ndjson().encode()
        return Parcel(group=group, path="", data=data, rows=rows.height, dropped=dropped)

    def deliver(self, parcel: Parcel) -> None:
        """Write line by line, since a pipe takes a short write whole."""
        for line in parcel.data.splitlines(keepends=True):
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(STDOUT, rest) :]
