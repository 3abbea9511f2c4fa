"""The Beam pipeline: files in, one Parquet part for each bucket out, under `scratch/` of the registry.

Rules:
- A Beam element is a file or a bucket of rows as Arrow bytes; never a single row.
- The runner is always named, and the same pipeline runs on each of them.
- Workers leave their results in the registry's `scratch/`, so nothing travels through the machine that starts the
  pipeline; their errors too, because each runner wraps these in its own way, and some keep no more than the text.
- A worker may outlive a pipeline that failed. Once the scratch is closed, it leaves nothing there.
- Beam is imported only when a pipeline is run: that takes seconds.
"""

import io
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import polars as pl

from lockstep import errors
from lockstep.data.bucket import RAW, as_bad, make_bucket
from lockstep.data.content import content_digest
from lockstep.data.profile import profile_of
from lockstep.data.rows import REASON, parse_rows
from lockstep.data.sources import InputFile, read_rows
from lockstep.data.split import BUCKETS, bucket_of, hash_keys
from lockstep.declare import Dataset
from lockstep.errors import LockstepError
from lockstep.registry import Objects, sha256_of

_BAD: Final = BUCKETS  # rows that can't be used travel as one more bucket
_ERROR: Final = "error-"
_OPEN: Final = "open"  # stands in a scratch as long as it is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Which Beam runner, and its pipeline options as they stand on a command line."""

    name: str
    options: tuple[str, ...] = ()


DIRECT: Final = Runner(
    name="apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    options=("--direct_running_mode=multi_threading", "--direct_num_workers=2"),
)


def run_pipeline(dataset: Dataset, files: list[InputFile], *, uri: str, scratch: str, runner: Runner) -> None:
    """Preprocess files into `<scratch>/…` of the registry at `uri`: `part-*`, `bad-*` and `bucket-*.json`.

    Raises:
        DataError: a file or `clean` failed; no part is left that anybody refers to.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    Objects.open(uri).put(f"{scratch}/{_OPEN}", b"")
    options = PipelineOptions([*runner.options, f"--job_name=lockstep-{dataset.name.replace('_', '-')}"])
    try:
        with beam.Pipeline(runner=runner.name, options=options) as pipeline:
            _ = (
                pipeline
                | "files" >> beam.Create([file.path for file in files])
                | "spread" >> beam.Reshuffle()
                | "read" >> beam.FlatMap(within(uri, scratch, lambda path: list(read_file(dataset, path))))
                | "bucket" >> beam.GroupByKey()
                | "write"
                >> beam.Map(within(uri, scratch, lambda item: write_bucket(dataset, item[0], item[1], uri, scratch)))
            )
    except Exception as error:
        raise _left_behind(uri, scratch) or error from error


def close_scratch(objects: Objects, scratch: str) -> None:
    """Delete all that stands there, and let no worker leave more."""
    objects.delete_scratch(f"{scratch}/{_OPEN}")  # first: who writes after the listing below sees that it is gone
    for name in objects.names(scratch):
        objects.delete_scratch(name)


def read_file(dataset: Dataset, path: str) -> Iterator[tuple[int, bytes]]:
    """The rows of one file as (bucket, Arrow bytes); those that can't be used under one more number.

    Raises:
        DataError: the file can't be read.
    """
    rows = read_rows(dataset.source, path)
    try:
        parsed = parse_rows(rows.frame, dataset.schema)
    except errors.DataError as error:
        raise errors.DataError(f"File {path}: {error}") from None
    ragged = rows.ragged.select("_file", "_line", REASON, pl.col("_text").alias(RAW))
    yield _BAD, _to_bytes(pl.concat([as_bad(parsed.bad), ragged]))
    if parsed.good.is_empty():
        return
    marked = parsed.good.with_columns(bucket_of(hash_keys(parsed.good[dataset.key])))
    for (bucket,), part in marked.partition_by("_bucket", as_dict=True, include_key=False).items():
        yield int(bucket), _to_bytes(part)


def write_bucket(dataset: Dataset, bucket: int, parts: Iterable[bytes], uri: str, scratch: str) -> int:
    """Write one bucket's part, quarantine and summary; the same rows give the same bytes, so that a retry is harmless.

    Raises:
        DataError: `clean` failed, or made what a snapshot can't keep.
    """
    objects = Objects.open(uri)
    rows = pl.concat([pl.read_ipc_stream(io.BytesIO(part)) for part in parts])
    if bucket == _BAD:
        objects.put(f"{scratch}/bad-{bucket:05d}.arrow", _to_bytes(rows.sort(pl.all())))
        return bucket
    made = make_bucket(dataset, rows)
    objects.put(f"{scratch}/bad-{bucket:05d}.arrow", _to_bytes(made.bad))
    if made.kept.is_empty():
        return bucket
    buffer = io.BytesIO()
    made.kept.write_parquet(buffer, compression="zstd")
    part_ref = objects.put(f"{scratch}/part-{bucket:05d}.parquet", buffer.getvalue())
    summary: dict[str, Any] = {
        "bucket": bucket,
        "part": asdict(part_ref),
        "rows": made.kept.height,
        "content": content_digest(made.kept),
        "columns": {name: str(dtype) for name, dtype in made.kept.schema.items()},
        "profile": profile_of(made.kept),
    }
    objects.put(f"{scratch}/bucket-{bucket:05d}.json", json.dumps(summary, sort_keys=True).encode())
    return bucket


def _to_bytes(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer)
    return buffer.getvalue()


def within(uri: str, scratch: str, work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same work; it leaves an error of ours in the scratch before it raises it, and nothing once that is closed."""

    def watched(element: Any) -> Any:  # noqa: ANN401  whatever Beam hands over
        objects = Objects.open(uri)
        if not objects.exists(f"{scratch}/{_OPEN}"):
            return []
        try:
            return work(element)
        except LockstepError as error:
            said = json.dumps({"kind": type(error).__name__, "text": str(error)}, sort_keys=True).encode()
            objects.put(f"{scratch}/{_ERROR}{sha256_of(said)[:12]}.json", said)
            raise
        finally:
            if not objects.exists(f"{scratch}/{_OPEN}"):  # closed meanwhile, perhaps before this wrote its last file
                close_scratch(objects, scratch)

    return watched


def _left_behind(uri: str, scratch: str) -> LockstepError | None:
    objects = Objects.open(uri)
    for name in objects.names(scratch):
        if f"/{_ERROR}" in name:
            said = json.loads(objects.get_unverified(name))
            kind: type[LockstepError] = getattr(errors, said["kind"])
            return kind(said["text"])
    return None
