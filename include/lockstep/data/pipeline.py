"""The Beam pipeline: files in, one Parquet part for each bucket out, under `scratch/` of the registry.

Rules:
- A Beam element is a file, a piece of one, or the list of what a bucket is made of; never a row. Rows go from worker to
  worker as files in the registry's `scratch/`, so that no runner has to hold them.
- Memory does not grow with the number of rows: files are read in pieces, and there are more buckets where there are
  more rows (`split.buckets_of`).
- The runner is always named, and the same pipeline runs on each of them. What a worker needs is pickled: names of
  functions, the dataset's declaration, and small values; `clean` is imported there.
- Workers leave their results in the registry's `scratch/`, so nothing travels through the machine that starts the
  pipeline; their errors too, because each runner wraps these in its own way, and some keep no more than the text.
- Rows are held against the dataset's checks as they are read, before they are made unique; what is counted of each
  piece is left beside its rows (`lockstep.data.checking`).
- A worker may outlive a pipeline that failed. Once the scratch is closed, it leaves nothing there.
- Beam is imported only when a pipeline is run: that takes seconds.
"""

import io
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lockstep import errors
from lockstep.data.bucket import RAW, Bucket, as_bad, make_bucket
from lockstep.data.checking import Tally, row_checks
from lockstep.data.content import content_digest
from lockstep.data.doubles import (
    runs_of_shared,
    set_aside,
    shared_of,
    soft_ones,
    tally_of,
    unique_checks,
    values_of,
    view_of,
)
from lockstep.data.engines import Runner
from lockstep.data.profile import profile_of
from lockstep.data.reading import Shard, chunks_of, expected_rows, shards_of
from lockstep.data.rows import REASON, parse_rows
from lockstep.data.runs import (
    FULL_BYTES,
    FULL_RUN,
    MOST_CELLS,
    Run,
    Share,
    leave_run,
    rows_of,
    shares_of,
    shares_with_aside,
)
from lockstep.data.sources import InputFile
from lockstep.data.split import HASH, buckets_of, hash_keys
from lockstep.data.tables import chunks_of_table, cut_table, is_table
from lockstep.declare import Dataset
from lockstep.errors import LockstepError
from lockstep.registry import ObjectRef, Objects, sha256_of
from lockstep.registry.scratch import Scratch

if TYPE_CHECKING:
    import apache_beam as beam

TALLY: Final = "tally-"
_ERROR: Final = "error-"
_OPEN: Final = "open"  # stands in a scratch as long as it is wanted


def open_scratch(objects: Objects, scratch: str) -> None:
    """Let workers leave their results there."""
    objects.put(f"{scratch}/{_OPEN}", b"")


def run_pipeline(dataset: Dataset, files: list[InputFile], *, uri: str, scratch: str, runner: Runner) -> None:
    """Preprocess files into `<scratch>/…` of the registry at `uri`: `part-*`, `bad-*` and `bucket-*.json`.

    Raises:
        DataError: a file or `clean` failed; no part is left that anybody refers to.
    """
    run_to_end(build_pipeline(dataset, files, uri=uri, scratch=scratch, runner=runner), uri=uri, scratch=scratch)


def run_to_end(pipeline: "beam.Pipeline", *, uri: str, scratch: str) -> None:
    """Run a pipeline; where it fails, the error that a worker has left says why.

    Raises:
        DataError: a file or `clean` failed.
    """
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:
        raise left_behind(Objects.open(uri), scratch) or error from error


def build_pipeline(
    dataset: Dataset, files: list[InputFile], *, uri: str, scratch: str, runner: Runner
) -> "beam.Pipeline":
    """The pipeline, which nothing has started yet; its workers write only as long as the scratch is open."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    cells = min(buckets_of(expected_rows(dataset.source, files)), MOST_CELLS)
    numbered = [(f"{number:06d}", file) for number, file in enumerate(files)]

    def within(work: Callable[[Scratch, Any], Iterable[Any]]) -> Within:
        return Within(uri=uri, scratch=scratch, work=work)

    pipeline = beam.Pipeline(runner=runner.name, options=PipelineOptions([*runner.options]))
    runs = (
        pipeline
        | "files" >> beam.Create(numbered)
        | "spread files" >> beam.Reshuffle()
        | "cut" >> beam.FlatMap(within(partial(cut_file, dataset)))
        | "spread shards" >> beam.Reshuffle()
        | "read" >> beam.FlatMap(within(partial(read_shard, dataset, scratch, cells)))
        | "one key" >> beam.Map(under_one_key)
        | "all runs" >> beam.GroupByKey()
    )
    shares = runs | "buckets" >> beam.FlatMap(_shares)
    if soft_ones(dataset):  # which rows are set aside has to be known before any is written
        met = (
            runs
            | "values" >> beam.FlatMap(_shares_of_values)
            | "spread values" >> beam.Reshuffle()
            | "meet" >> beam.FlatMap(within(partial(meet_values, dataset, scratch, cells)))
        )
        shares = (
            (runs | "rows" >> beam.FlatMap(_runs_of_rows), met)
            | "rows and values" >> beam.Flatten()
            | "one key again" >> beam.Map(under_one_key)
            | "all met" >> beam.GroupByKey()
            | "buckets with values" >> beam.FlatMap(_shares_with_aside)
        )
    _ = (
        shares
        | "spread buckets" >> beam.Reshuffle()
        | "write" >> beam.FlatMap(within(partial(write_bucket, dataset, scratch)))
    )
    return pipeline


def is_open(objects: Objects, scratch: str) -> bool:
    """Whether nothing has been deleted there; whoever deletes begins with the mark that says so."""
    return objects.exists(f"{scratch}/{_OPEN}")


def close_scratch(objects: Objects, scratch: str) -> None:
    """Delete all that stands there, and let no worker leave more."""
    objects.delete_scratch(f"{scratch}/{_OPEN}")  # first: who writes after the listing below sees that it is gone
    for name in objects.names(scratch):
        objects.delete_scratch(name)


def cut_file(dataset: Dataset, _: Scratch, element: tuple[str, InputFile]) -> list[Shard]:
    """The pieces of a file that may be read side by side.

    Raises:
        DataError: the file can't be read.
    """
    name, file = element
    if is_table(file):
        return cut_table(dataset, file, name)
    return shards_of(dataset.source, file, name)


def read_shard(dataset: Dataset, folder: str, cells: int, scratch: Scratch, shard: Shard) -> Iterator[Run]:
    """Write the rows of a shard that can be used as runs, and the others as one table of bad rows.

    Raises:
        DataError: the file can't be read, or a check not be evaluated.
    """
    bad: list[pl.DataFrame] = []
    tallies = [Tally()]
    views = {place: view_of(dataset, place) for place in unique_checks(dataset)}
    typed = _typed(dataset, shard, bad)
    for number, frames in enumerate(_in_runs(_checked(dataset, typed, bad, tallies) if dataset.checks else typed)):
        path = f"{folder}/run-{shard.name}-{number:05d}"
        yield leave_run(scratch, path, shard.file.path, frames, cells)
        for place, view in views.items():
            path = f"{folder}/values-{place}-{shard.name}-{number:05d}"
            values = [values_of(view, frame) for frame in frames]
            yield replace(leave_run(scratch, path, shard.file.path, values, cells), check=place)
    if dataset.checks:
        _leave_tally(scratch, f"{folder}/{TALLY}{shard.name}.json", tallies[0])
    scratch.leave(f"{folder}/bad-of-{shard.name}.arrow", _to_bytes(pl.concat(bad)))


def _typed(dataset: Dataset, shard: Shard, bad: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The usable rows of each chunk, with the hash of the key; what can't be used goes to `bad`."""
    for rows in chunks_of_table(shard) if is_table(shard.file) else chunks_of(dataset.source, shard):
        try:
            parsed = parse_rows(rows.frame, dataset.schema)
        except errors.DataError as error:
            raise errors.DataError(f"File {shard.file.path}: {error}") from None
        bad += [as_bad(parsed.bad), rows.ragged.select("_file", "_line", REASON, pl.col("_text").alias(RAW))]
        if not parsed.good.is_empty():
            yield parsed.good.with_columns(hash_keys(parsed.good[dataset.key]))


def _checked(
    dataset: Dataset, frames: Iterable[pl.DataFrame], bad: list[pl.DataFrame], tallies: list[Tally]
) -> Iterator[pl.DataFrame]:
    """The rows that keep the checks; those that don't go to `bad`, and what was counted to `tallies`."""
    checks = row_checks(dataset)
    for frame in frames:
        checked = checks.look_at(frame)
        tallies[:] = [tallies[0] + checked.tally]
        if not checked.broken.is_empty():
            bad.append(as_bad(checked.broken))
        if not checked.kept.is_empty():
            yield checked.kept


def _leave_tally(scratch: Scratch, path: str, tally: Tally) -> None:
    scratch.leave(path, json.dumps(tally.as_json(), sort_keys=True, ensure_ascii=False).encode())


def _in_runs(frames: Iterable[pl.DataFrame]) -> Iterator[list[pl.DataFrame]]:
    """The same frames, as many at a time as are worth a file."""
    held: list[pl.DataFrame] = []
    rows, size = 0, 0.0
    for frame in frames:
        held.append(frame)
        rows, size = rows + frame.height, size + frame.estimated_size()
        if rows >= FULL_RUN or size >= FULL_BYTES:
            yield held
            held, rows, size = [], 0, 0.0
    if held:
        yield held


def under_one_key(run: Run) -> tuple[int, Run]:
    """All runs meet at one worker, as each bucket is made of pieces of them all."""
    return 0, run


def _shares(grouped: tuple[int, Iterable[Run]]) -> Iterator[Share]:
    runs = list(grouped[1])
    for check in sorted({run.check for run in runs}, key=str):
        yield from shares_of([run for run in runs if run.check == check])


def _shares_of_values(grouped: tuple[int, Iterable[Run]]) -> Iterator[Share]:
    runs = list(grouped[1])
    for check in sorted({run.check for run in runs if run.check is not None}):
        yield from shares_of([run for run in runs if run.check == check])


def _runs_of_rows(grouped: tuple[int, Iterable[Run]]) -> Iterator[Run]:
    return (run for run in grouped[1] if run.check is None)


def _shares_with_aside(grouped: tuple[int, Iterable[Run]]) -> Iterator[Share]:
    return shares_with_aside(list(grouped[1]))


def write_bucket(dataset: Dataset, folder: str, scratch: Scratch, share: Share) -> Iterator[int]:
    """Write one bucket's part, quarantine and summary; whoever does it again finds them there.

    Raises:
        DataError: `clean` failed, or made what a snapshot can't keep.
    """
    if share.check is not None:
        _ = _met(dataset, folder, scratch, share, share.check)
        return
    made = _made(dataset, scratch, share)
    if leave_bucket(scratch, folder, dataset.key, share.bucket, made):
        yield share.bucket


def meet_values(dataset: Dataset, folder: str, cells: int, scratch: Scratch, share: Share) -> Iterator[Run]:
    """Count the values of a bucket that keys share; of a soft check, say in a run whose rows are to be set aside."""
    place = share.check if share.check is not None else -1
    shared = _met(dataset, folder, scratch, share, place)
    if place in soft_ones(dataset) and not shared.is_empty():
        path = f"{folder}/aside-{place}-{share.bucket:05d}"
        run = leave_run(scratch, path, "", [runs_of_shared(shared, dataset)], cells)
        yield replace(run, check=place)


def _met(dataset: Dataset, folder: str, scratch: Scratch, share: Share, place: int) -> pl.DataFrame:
    shared = shared_of(dataset, place, rows_of(scratch, view_of(dataset, place), share))
    _leave_tally(scratch, f"{folder}/{TALLY}values-{place}-{share.bucket:05d}.json", tally_of(dataset, place, shared))
    return shared


def _made(dataset: Dataset, scratch: Scratch, share: Share) -> Bucket:
    """What a bucket becomes of its rows, but for those that break a soft check of all rows."""
    rows = rows_of(scratch, dataset, share)
    shared = {
        place: rows_of(scratch, view_of(dataset, place), replace(share, pieces=pieces)) for place, pieces in share.aside
    }
    kept, aside = set_aside(dataset, rows, shared) if shared else (rows, None)
    if aside is None:
        return make_bucket(dataset, kept)
    bad = as_bad(aside.drop(HASH))
    if kept.is_empty():
        return Bucket(kept=kept, bad=bad)
    made = make_bucket(dataset, kept)
    return replace(made, bad=pl.concat([made.bad, bad]))


def leave_bucket(scratch: Scratch, folder: str, key: str, bucket: int, made: Bucket) -> bool:
    """Write what a bucket became; False says that no row of it was kept, so that it has no part.

    `key` is the column that names rows.

    Raises:
        DataError: a column has a type that a snapshot can't keep.
    """
    if not made.bad.is_empty():
        scratch.leave(f"{folder}/bad-{bucket:05d}.arrow", _to_bytes(made.bad))
    if made.kept.is_empty():
        return False
    buffer = io.BytesIO()
    made.kept.write_parquet(buffer, compression="zstd")
    leave_part(scratch, folder, key, bucket, (made.kept, buffer.getvalue()))
    return True


def leave_part(
    scratch: Scratch,
    folder: str,
    key: str,
    bucket: int,
    part_of: tuple[pl.DataFrame, bytes],
    content: str | None = None,
) -> None:
    """Write a part, of which the rows and their Parquet are given, and its summary; `content`: its digest, if known."""
    kept, data = part_of
    sha256 = sha256_of(data)
    part = ObjectRef(path=f"{folder}/part-{bucket:05d}-{sha256[:12]}.parquet", sha256=sha256, size=len(data))
    scratch.leave(part.path, data)  # named by content: a summary never speaks of what another try has written
    summary: dict[str, Any] = {
        "bucket": bucket,
        "part": asdict(part),
        "rows": kept.height,
        "content": content or content_digest(kept),
        "columns": {name: str(dtype) for name, dtype in kept.schema.items()},
        "profile": profile_of(kept, key),
    }
    scratch.leave(f"{folder}/bucket-{bucket:05d}.json", json.dumps(summary, sort_keys=True).encode())


def _to_bytes(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """Work on an element; an error of ours is left in the scratch before it is raised, nothing once that is closed."""

    uri: str
    scratch: str
    work: Callable[[Scratch, Any], Iterable[Any]]

    def __call__(self, element: Any) -> list[Any]:  # noqa: ANN401  whatever Beam hands over
        """Do it."""
        objects = _opened(os.getpid(), self.uri, self.scratch)
        if not is_open(objects, self.scratch):
            return []
        try:
            return list(self.work(objects, element))
        except LockstepError as error:
            objects.leave(*error_file(self.scratch, error))
            raise
        finally:
            if not is_open(objects, self.scratch):  # closed meanwhile, perhaps before this wrote its last file
                close_scratch(objects, self.scratch)


@lru_cache(maxsize=8)
def _opened(process: int, uri: str, scratch: str) -> Scratch:
    """One handle for each pipeline in each process: opening costs a connection, and does not survive a fork."""
    del process, scratch
    return Scratch.open(uri)


def error_file(scratch: str, error: LockstepError) -> tuple[str, bytes]:
    """The name and the content by which a worker, or a launcher, leaves an error there."""
    said = json.dumps({"kind": type(error).__name__, "text": str(error)}, sort_keys=True).encode()
    return f"{scratch}/{_ERROR}{sha256_of(said)[:12]}.json", said


def left_behind(objects: Objects, scratch: str) -> LockstepError | None:
    """The error that a worker, or a launcher, left there, if one did."""
    for name in objects.names(scratch):
        if f"/{_ERROR}" in name:
            said = json.loads(objects.get_unverified(name))
            kind: type[LockstepError] = getattr(errors, said["kind"])
            return kind(said["text"])
    return None
