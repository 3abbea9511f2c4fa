"""A snapshot of a source that only grew: its new files read, and their rows put to those of the snapshot before.

Rules:
- No file that the snapshot before was made of is read. Its parts are, once: a part that gets no row goes on byte for
  byte, and the profile is made of all rows, as in a full build.
- The result is that of a full build, or there is none: whatever would need a row as it was before `clean`, or another
  number of buckets, ends the attempt with its reason, and the snapshot is built from all files.
- Which rows meet is told by the keys alone. A key that stood in an old file in any row, kept or set aside, may not
  stand in a new one.
- A `clean` that is seen to look from one row at others ends the attempt too: its new rows are cleaned in two ways.
"""

import io
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lockstep.data.bucket import RAW, Bucket, clean_rows, make_bucket
from lockstep.data.engines import Runner
from lockstep.data.pipeline import Within, cut_file, leave_bucket, leave_part, read_shard, under_one_key
from lockstep.data.rows import parse_rows
from lockstep.data.runs import MOST_CELLS, Run, Share, rows_of, shares_of
from lockstep.data.sources import InputFile
from lockstep.data.split import HASH, SPLIT, buckets_of, hash_keys
from lockstep.declare import Dataset
from lockstep.errors import DataError
from lockstep.registry import ObjectRef, Objects, files_of, sha256_of
from lockstep.registry.scratch import Scratch

if TYPE_CHECKING:
    import apache_beam as beam

_INEXACT: Final = "inexact-"
_ASIDE: Final = "aside.arrow"


class NotExact(Exception):
    """Old parts and new files do not make what a full build would; the text says why. It never leaves this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The snapshot that is added to.

    Attributes:
        ref: as `customers@3`.
        rows: how many it has.
        usable: rows of its files that could be typed; how many buckets there are follows from it.
        parts: bucket → its part.
        contents: bucket → the content digest of that part.
        columns: name → type of what `clean` gave.
        quarantine: the rows that were set aside.
    """

    ref: str
    rows: int
    usable: int
    parts: Mapping[int, ObjectRef]
    contents: Mapping[int, str]
    columns: Mapping[str, str]
    quarantine: ObjectRef

    @property
    def buckets(self) -> int:
        """How many buckets it has."""
        return buckets_of(self.usable)


def base_of(ref: str, place: ObjectRef, manifest: Mapping[str, Any]) -> Base:
    """What the manifest at `place` says of a snapshot that may be added to.

    Raises:
        NotExact: it was written before manifests said enough.
    """
    if "contents" not in manifest:
        raise NotExact(f"{ref} was taken by an older Lockstep, whose manifest does not say enough")
    files = files_of(place, manifest)
    numbers = {int(number): content for number, content in manifest["contents"].items()}
    (quarantine,) = (file for name, file in files.items() if name.endswith("quarantine.parquet"))
    return Base(
        ref=ref,
        rows=manifest["rows"],
        usable=manifest["usable"],
        parts={number: files[f"part-{number:05d}.parquet"] for number in numbers},
        contents=numbers,
        columns=manifest["columns"],
        quarantine=quarantine,
    )


def build_growth(
    dataset: Dataset, base: Base, files: list[InputFile], *, uri: str, scratch: str, runner: Runner
) -> "beam.Pipeline":
    """The pipeline that reads the new `files`, and makes each bucket of their rows and the part of the base.

    Raises:
        NotExact: the quarantine of the base does not tell the keys of its rows.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    leave_aside(dataset, base, Objects.open(uri), scratch)
    numbered = [(f"{number:06d}", file) for number, file in enumerate(files)]
    cells = min(base.buckets, MOST_CELLS)

    def within(work: Any) -> Within:  # noqa: ANN401  as Within takes it
        return Within(uri=uri, scratch=scratch, work=work)

    pipeline = beam.Pipeline(runner=runner.name, options=PipelineOptions([*runner.options]))
    # a run without rows: the buckets of the base are gone through also where the new files have no usable row
    nothing = pipeline | "base" >> beam.Create([Run(path="", file="", rows=0, starts=(0, 0))])
    runs = (
        pipeline
        | "new files" >> beam.Create(numbered)
        | "spread files" >> beam.Reshuffle()
        | "cut" >> beam.FlatMap(within(partial(cut_file, dataset)))
        | "spread shards" >> beam.Reshuffle()
        | "read" >> beam.FlatMap(within(partial(read_shard, dataset, scratch, cells)))
    )
    _ = (
        (runs, nothing)
        | "with base" >> beam.Flatten()
        | "one key" >> beam.Map(under_one_key)
        | "all runs" >> beam.GroupByKey()
        | "buckets" >> beam.FlatMap(partial(shares_with, base))
        | "spread buckets" >> beam.Reshuffle()
        | "write" >> beam.FlatMap(within(partial(grow_bucket, dataset, base, scratch)))
    )
    return pipeline


def why_inexact(objects: Objects, scratch: str) -> str | None:
    """Why the attempt in that scratch ended without the result of a full build; None if it did not."""
    for name in objects.names(scratch):
        if f"/{_INEXACT}" in name:
            return str(json.loads(objects.get_unverified(name)))
    return None


def keys_aside(dataset: Dataset, quarantine: pl.DataFrame) -> pl.Series:
    """The hashes of all keys that the rows of a quarantine tell, as those of rows that could be used.

    Raises:
        NotExact: a row does not tell its key.
    """
    texts = list[str]()
    for raw in quarantine[RAW]:
        try:
            found = json.loads(raw)
        except ValueError:  # a ragged line, which had no columns and met no other row
            continue
        if not isinstance(found, dict):
            continue
        if dataset.key not in found:
            raise NotExact(f'a row in quarantine does not tell its "{dataset.key}"')
        if found[dataset.key] is not None:
            texts.append(str(found[dataset.key]))
    column = dataset.schema[dataset.key]
    keys = parse_rows(pl.DataFrame({dataset.key: texts}, schema={dataset.key: pl.String}), {dataset.key: column}).good
    return hash_keys(keys[dataset.key]).unique().sort()


def leave_aside(dataset: Dataset, base: Base, objects: Objects, scratch: str) -> None:
    """Leave the keys of the base's quarantine where each bucket finds them.

    Raises:
        NotExact: a row does not tell its key.
    """
    aside = keys_aside(dataset, pl.read_parquet(io.BytesIO(objects.get(base.quarantine))))
    buffer = io.BytesIO()
    aside.to_frame().write_ipc_stream(buffer)
    objects.put(f"{scratch}/{_ASIDE}", buffer.getvalue())


def shares_with(base: Base, grouped: tuple[int, Iterable[Run]]) -> Iterator[Share]:
    """What each bucket gets of the new rows, also those that get none."""
    runs = [run for run in grouped[1] if run.rows]
    buckets = buckets_of(base.usable + sum(run.rows for run in runs))
    with_rows = {share.bucket: share for share in shares_of(runs, base.usable)}
    for bucket in sorted(with_rows.keys() | base.parts.keys()):
        yield with_rows.get(bucket) or Share(bucket=bucket, buckets=buckets, pieces=())


def grow_bucket(dataset: Dataset, base: Base, folder: str, scratch: Scratch, share: Share) -> Iterator[int]:
    """Write one bucket, made of the part of the base and of new rows.

    Raises:
        DataError: `clean` failed, or made what a snapshot can't keep.
    """
    try:
        _grow(dataset, base, folder, scratch, share)
    except NotExact as why:
        said = json.dumps(str(why)).encode()
        scratch.leave(f"{folder}/{_INEXACT}{sha256_of(said)[:12]}.json", said)
    yield share.bucket


def _grow(dataset: Dataset, base: Base, folder: str, scratch: Scratch, share: Share) -> None:
    if share.buckets != base.buckets:
        raise NotExact(f"the rows are so many now that there are {share.buckets} buckets instead of {base.buckets}")
    part = base.parts.get(share.bucket)
    data = scratch.get(part) if part else b""
    old = pl.read_parquet(io.BytesIO(data)) if part else None
    made = _made_of_new(dataset, base, folder, scratch, share, old) if share.pieces else None
    if made is not None and not made.kept.is_empty():
        kept = made.kept if old is None else pl.concat([old, made.kept]).sort(dataset.key).rechunk()
        leave_bucket(scratch, folder, dataset.key, share.bucket, Bucket(kept=kept, bad=made.bad))
        return
    if made is not None:
        leave_bucket(scratch, folder, dataset.key, share.bucket, made)
    if old is not None:
        leave_part(scratch, folder, dataset.key, share.bucket, (old, data), base.contents[share.bucket])


def _made_of_new(
    dataset: Dataset, base: Base, folder: str, scratch: Scratch, share: Share, old: pl.DataFrame | None
) -> Bucket:
    """The bucket that the new rows would make alone, which is what they add to the old ones.

    Raises:
        NotExact: it is not.
    """
    rows = rows_of(scratch, dataset, share)
    aside = pl.read_ipc_stream(io.BytesIO(scratch.get_unverified(f"{folder}/{_ASIDE}")))[HASH]
    met = rows[HASH].is_in(aside.implode())
    if old is not None:
        met |= rows[dataset.key].is_in(old[dataset.key].implode())
    if met.any():
        raise NotExact("a key of the new files stands in an old one, too")
    made = make_bucket(dataset, rows)
    columns = {name: str(dtype) for name, dtype in made.kept.schema.items()}
    is_other = columns != base.columns or (old is not None and old.columns != made.kept.columns)
    if is_other and not made.kept.is_empty():
        raise NotExact(f"the new rows come out of clean with other columns or types than those of {base.ref}")
    _check_by_row(dataset, rows, made.kept)
    return made


def _check_by_row(dataset: Dataset, rows: pl.DataFrame, kept: pl.DataFrame) -> None:
    """Clean the new rows once more, in two halves: whoever looks from a row at others is seen by that, as a rule."""
    if dataset.clean is None:
        return
    own = [name for name in rows.columns if not name.startswith("_")]
    single = rows.filter(rows[dataset.key].is_unique()).sort(dataset.key)
    middle = (single.height + 1) // 2
    halves = [half.select(own) for half in (single.head(middle), single.slice(middle)) if not half.is_empty()]
    try:
        again = [clean_rows(dataset, half) for half in halves]
    except DataError:
        raise NotExact("clean takes the new rows together, but not in two halves") from None
    expected = kept.filter(kept[dataset.key].is_in(single[dataset.key].implode())).drop(SPLIT)
    if not again:
        return
    try:
        is_same = pl.concat(again).sort(dataset.key).equals(expected)
    except pl.exceptions.PolarsError:
        is_same = False
    if not is_same:
        raise NotExact("clean makes something else of a row when it gets other rows beside it")
