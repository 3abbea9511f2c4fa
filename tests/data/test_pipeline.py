"""The Beam pipeline's parts, as a worker far away has them."""

import pickle
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from lockstep.data import take_snapshot
from lockstep.data.pipeline import Within, _opened, cut_file, open_scratch, read_shard, write_bucket
from lockstep.data.reading import expected_rows
from lockstep.data.runs import shares_of
from lockstep.data.sources import find_files
from lockstep.declare import Dataset
from lockstep.errors import DataError
from lockstep.registry import Objects, Origin, Registry
from lockstep.source import Source, csv, parquet

HEADER = "visit,guests,bill,table,regular,day,rating"
LINES = [
    f"v{n},{n % 7},{n / 4},t{n % 5},{'yes' if n % 3 else 'no'},2026-01-{n % 28 + 1:02},{n % 5 or ''}"
    for n in range(400)
]
BAD = ["v0,1", "v1,9,1,t,no,2026-01-01,1", "v2,many,1,t,no,2026-01-01,1"]
# As the Lockstep before this pipeline took it: a snapshot of the same rows is the same snapshot for ever.
DIGEST = "9a9b99e432c9e9fbc1876b3413cb8abaa53b73f4b58d1f726e6028b3eea4be10"
FOLDER = "scratch/one"

FileWriter = Callable[[str, Sequence[str]], Path]
DatasetMaker = Callable[..., Dataset]


def twice(rows: pl.DataFrame) -> pl.DataFrame:
    """Add a column, as a `clean` does."""
    return rows.with_columns(pl.col("bill") * 2)


@pytest.fixture
def dataset(visits: DatasetMaker, write_lines: FileWriter) -> Dataset:
    """A dataset of two files."""
    write_lines("in/a.csv", [HEADER, *LINES[:150], *BAD])
    return visits(str(write_lines("in/b.csv", [HEADER, *LINES[150:]]).with_name("*.csv")), clean=twice)


def test_a_digest_never_changes(dataset: Dataset, tmp_path: Path) -> None:
    """Known rows have the digest that they have always had."""
    version = take_snapshot(Registry.open(str(tmp_path / "registry")), dataset, Origin(by="ada"))
    assert (version.digest, version.fact.rows, version.fact.quarantined) == (DIGEST, 399, 4)


def test_workers_take_pickles_and_may_be_tried_again(dataset: Dataset, tmp_path: Path) -> None:
    """Each step, sent as bytes and run twice, leaves what one run leaves: nothing else stands in the scratch."""
    registry = Objects.open(str(tmp_path / "registry"))
    open_scratch(registry, FOLDER)

    def step(work: object, elements: Sequence[object]) -> list[object]:
        sent = pickle.dumps(Within(uri=registry.uri, scratch=FOLDER, work=work))  # type: ignore[arg-type]
        once = [found for element in elements for found in pickle.loads(sent)(element)]  # noqa: S301  our own
        assert [found for element in elements for found in pickle.loads(sent)(element)] == once  # noqa: S301  our own
        return once

    files = [(f"{number:06d}", file) for number, file in enumerate(find_files(dataset.source))]
    shards = step(partial(cut_file, dataset), files)
    runs = step(partial(read_shard, dataset, FOLDER, 16), shards)
    buckets = step(partial(write_bucket, dataset, FOLDER), list(shares_of(runs)))  # type: ignore[arg-type]
    assert buckets == list(range(16))
    kinds = [name.removeprefix(f"{FOLDER}/").partition("-")[0] for name in registry.names(FOLDER)]
    assert {kind: kinds.count(kind) for kind in sorted(set(kinds))} == {
        "bad": 2 + 1,
        "bucket": 16,
        "open": 1,
        "part": 16,
        "run": 2,
    }


def test_nothing_is_left_in_a_closed_scratch(dataset: Dataset, tmp_path: Path) -> None:
    """A worker that comes to a scratch which is closed, or was never opened, writes nothing."""
    registry = Objects.open(str(tmp_path / "registry"))
    files = [("000000", file) for file in find_files(dataset.source)]
    assert Within(uri=registry.uri, scratch=FOLDER, work=partial(cut_file, dataset))(files[0]) == []
    assert registry.names("scratch") == []


def test_a_process_opens_the_store_once(dataset: Dataset, tmp_path: Path) -> None:
    """However many elements a worker gets, the registry is opened once for a pipeline, and again for the next one."""
    registry = Objects.open(str(tmp_path / "registry"))
    files = [("000000", file) for file in find_files(dataset.source)]
    before = _opened.cache_info()
    for folder in ("scratch/a", "scratch/b"):
        open_scratch(registry, folder)
        for file in files * 3:
            Within(uri=registry.uri, scratch=folder, work=partial(cut_file, dataset))(file)
    after = _opened.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (2, 10)


@pytest.mark.parametrize("source", [csv, parquet])
def test_rows_are_guessed_by_the_largest_file(tmp_path: Path, source: Callable[[str], Source]) -> None:
    """How many rows there will be is known to within a tenth before any file is read whole."""
    frame = pl.DataFrame({"n": range(100_000, 200_000), "text": ["some text"] * 100_000})
    frame.write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    for kind in ("csv", "parquet"):
        shutil.copy(tmp_path / f"a.{kind}", tmp_path / f"b.{kind}")
    found = source(str(tmp_path / f"*.{source.__name__}"))
    assert expected_rows(found, find_files(found)) == pytest.approx(200_000, rel=0.1)


def test_a_file_that_can_not_be_read_is_named_before_a_pipeline_starts(tmp_path: Path) -> None:
    """What is no Parquet file is told with its name."""
    (tmp_path / "a.parquet").write_text("n\n1\n")
    source = parquet(str(tmp_path / "*.parquet"))
    with pytest.raises(DataError, match=r"a.parquet can't be read as Parquet: "):
        expected_rows(source, find_files(source))
