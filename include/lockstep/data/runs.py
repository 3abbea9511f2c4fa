"""Runs: rows on their way from the files to the buckets, below `scratch/` of the registry.

Rules:
- A run holds rows of one file, ordered by cell, and says where each cell begins. A cell is what a bucket is while
  nobody knows how many buckets there will be: the low bits of the hash of the key.
- Whoever makes a bucket reads its cells out of every run, and no other byte, if there are as many cells as buckets or
  more. With fewer cells it reads too much, and drops what is not its own.
- Only names and numbers travel between workers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from lockstep.data.rows import dtype_of
from lockstep.data.split import HASH, bucket_of, buckets_of
from lockstep.declare import Dataset
from lockstep.registry.scratch import Scratch, Span

FULL_RUN: Final = 1 << 18  # rows
FULL_BYTES: Final = 64 << 20
MOST_CELLS: Final = 1 << 12
Pieces = tuple[tuple[str, str, tuple[Span, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Where it stands, the file whose rows it holds, how many, and where each cell begins in bytes; last, the end.

    `check`: where it holds values for a check alone, the place of that among the dataset's.
    """

    path: str
    file: str
    rows: int
    starts: tuple[int, ...]
    check: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one bucket out of `buckets` is made of: `pieces` are path of a run, file, and ranges of bytes.

    `check` as of a run; `aside`: place of a check → pieces of the runs that say which rows break it.
    """

    bucket: int
    buckets: int
    pieces: Pieces
    check: int | None = None
    aside: tuple[tuple[int, Pieces], ...] = ()


def leave_run(scratch: Scratch, path: str, file: str, frames: list[pl.DataFrame], cells: int) -> Run:
    """Write typed rows of a file (with `_line` and `_hash`) as a run of so many cells, a power of two."""
    parts: list[list[bytes]] = [[] for _ in range(cells)]
    for frame in frames:  # each by itself, while it is in the processor's cache
        _deal_out(frame, parts)
    starts = [0, *accumulate(sum(map(len, part)) for part in parts)]
    scratch.leave(path, b"".join(data for part in parts for data in part))
    return Run(path=path, file=file, rows=sum(frame.height for frame in frames), starts=tuple(starts))


def _deal_out(frame: pl.DataFrame, parts: list[list[bytes]]) -> None:
    """Give each cell its rows, as one message of Arrow's."""
    numbers = bucket_of(frame[HASH], len(parts)).cast(pl.UInt16).to_numpy()
    ends = np.bincount(numbers, minlength=len(parts)).cumsum().tolist()
    ordered = frame.drop("_file")[np.argsort(numbers, kind="stable")]
    (batch,) = ordered.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks().to_batches()
    for part, start, end in zip(parts, [0, *ends], ends, strict=False):
        if end > start:
            part.append(batch.slice(start, end - start).serialize())


def shares_of(runs: list[Run], before: int = 0) -> Iterator[Share]:
    """What each bucket is made of; how many there are follows from the rows of all runs, and those that were before.

    The runs are of one kind.
    """
    buckets = buckets_of(before + sum(run.rows for run in runs))
    ordered = sorted(runs, key=lambda run: run.path)
    for bucket in range(buckets):
        if pieces := _pieces(ordered, bucket, buckets):
            yield Share(bucket=bucket, buckets=buckets, pieces=pieces, check=ordered[0].check)


def shares_with_aside(runs: list[Run]) -> Iterator[Share]:
    """As `shares_of`, of the runs of rows; the others say which of these rows break a check."""
    for share in shares_of([run for run in runs if run.check is None]):
        by_check = {
            check: _pieces([run for run in runs if run.check == check], share.bucket, share.buckets)
            for check in sorted({run.check for run in runs if run.check is not None})
        }
        yield replace(share, aside=tuple((check, pieces) for check, pieces in by_check.items() if pieces))


def rows_of(scratch: Scratch, dataset: Dataset, share: Share) -> pl.DataFrame:
    """The rows of a bucket: declared columns, `_line`, `_hash` and `_file`."""
    schema = _arrow_schema(dataset)
    batches, rows_from = [], []
    for path, _, spans in share.pieces:
        read = [batch for part in scratch.parts(path, spans) for batch in _batches(part, schema)]
        rows_from.append(sum(batch.num_rows for batch in read))
        batches += read
    table = pa.Table.from_batches(batches, schema).combine_chunks()
    files = pl.Series("_file", [file for _, file, _ in share.pieces])
    rows = pl.DataFrame(table).with_columns(files.gather(np.repeat(np.arange(len(files)), rows_from)))
    is_own = bucket_of(rows[HASH], share.buckets) == share.bucket
    return rows if is_own.all() else rows.filter(is_own)


def _arrow_schema(dataset: Dataset) -> pa.Schema:
    typed = {name: dtype_of(column) for name, column in dataset.schema.items()}
    empty = pl.DataFrame(schema=typed | {"_line": pl.Int64, HASH: pl.UInt64})
    return empty.to_arrow(compat_level=pl.CompatLevel.oldest()).schema


def _batches(data: bytes, schema: pa.Schema) -> Iterator[Any]:
    messages = pa.ipc.MessageReader.open_stream(pa.py_buffer(data))
    return (pa.ipc.read_record_batch(message, schema) for message in messages)


def _pieces(runs: list[Run], bucket: int, buckets: int) -> Pieces:
    return tuple((run.path, run.file, spans) for run in runs if (spans := _spans(run, bucket, buckets)))


def _spans(run: Run, bucket: int, buckets: int) -> tuple[Span, ...]:
    cells = len(run.starts) - 1
    wanted = range(bucket % cells, cells, buckets)
    spans = ((run.starts[cell], run.starts[cell + 1]) for cell in wanted)
    return tuple(span for span in spans if span[1] > span[0])
