"""The decision log, read again: a file at a time, so that memory does not depend on how much was logged."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime

import polars as pl

from lockstep.errors import ObjectDamaged, ObjectMissing, UsageError
from lockstep.journal.parcels import FOLDER
from lockstep.registry import Registry
from lockstep.registry.names import Place, place_of


def read_decisions(
    registry: Registry, group: str, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[pl.DataFrame]:
    """What was logged of a group from `since` up to, and without, `until`: frames of a few thousand rows.

    Days come in order; within a day, the files of several workers come one after the other. The columns are those of
    `lockstep.journal.layout`; those of the requests are as they were declared when it was logged, so that frames of
    before and after a change differ. Files that retention removes meanwhile are left out.

    Raises:
        UsageError: a time without a time zone.
        ObjectDamaged: a file is no Parquet.
    """
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise UsageError(f"{name}={moment.isoformat()}: a time needs its time zone, as datetime.now(UTC) has it.")
    paths = files_of_log(registry, group, since=since, until=until)
    for path, data in zip(paths, registry.objects.many(lambda path: _read(registry, path), paths), strict=True):
        if data is None:
            continue
        frame = _frame(path, data)
        if since is not None:
            frame = frame.filter(pl.col("_at") >= since)
        if until is not None:
            frame = frame.filter(pl.col("_at") < until)
        if frame.height:
            yield frame


def files_of_log(
    registry: Registry, group: str, *, since: datetime | None = None, until: datetime | None = None
) -> list[str]:
    """The files that may hold rows of that time, by day."""
    folder = f"{FOLDER}/{group}"
    after = f"{folder}/{since.astimezone(UTC).date().isoformat()}" if since is not None else None
    last = until.astimezone(UTC).date().isoformat() if until is not None else "9999"
    found = registry.objects.names(f"{folder}/", after=after)
    return [path for path in found if place_of(path) is Place.DECISIONS and day_of(path) <= last]


def day_of(path: str) -> str:
    """The day (UTC, as 2026-11-25) on which the rows of a file were answered."""
    return path.split("/")[2]


def dropped_before(data: bytes) -> int:
    """How many rows are missing before those of a file, by its metadata."""
    return int(pl.read_parquet_metadata(io.BytesIO(data)).get("lockstep.dropped", "0"))


def _read(registry: Registry, path: str) -> bytes | None:
    try:
        return registry.objects.get_unverified(path)
    except ObjectMissing:
        return None


def _frame(path: str, data: bytes) -> pl.DataFrame:
    try:
        return pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ObjectDamaged(
            f'Object "{path}": a file of the decision log that is no Parquet ({type(error).__name__}). Restore it from'
            " a copy, or move it away; the rest of the log can then be read."
        ) from None
