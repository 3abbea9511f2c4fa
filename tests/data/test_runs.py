"""Rows on their way from files to buckets."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lockstep.data.runs import Run, Share, leave_run, rows_of, shares_of
from lockstep.data.split import BUCKETS, FULL, HASH, bucket_of, buckets_of, hash_keys
from lockstep.declare import Dataset
from lockstep.registry import sha256_of
from lockstep.registry.scratch import Scratch

ROWS = 3000
DatasetMaker = Callable[..., Dataset]


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    """An empty registry."""
    return Scratch.open(str(tmp_path / "registry"))


def parsed(start: int, rows: int) -> pl.DataFrame:
    """Rows of the dataset "visits" as a reader hands them over."""
    numbers = range(start, start + rows)
    frame = pl.DataFrame(
        {
            "visit": [f"v{n}" for n in numbers],
            "guests": list(numbers),
            "bill": [n / 8 for n in numbers],
            "table": ["ä" * (n % 20) for n in numbers],
            "regular": [n % 3 == 0 for n in numbers],
            "day": [date(2026, 1, n % 28 + 1) for n in numbers],
            "rating": [n if n % 5 else None for n in numbers],
        }
    )
    lines = pl.int_range(start, start + rows, dtype=pl.Int64)
    return frame.with_columns(hash_keys(frame["visit"]), _file=pl.lit("?"), _line=lines).select(
        *frame.columns, "_file", "_line", HASH
    )


def leave_two(scratch: Scratch, cells: int) -> list[Run]:
    """Two runs of two files, one of which was read in two pieces."""
    return [
        leave_run(scratch, "scratch/x/run-1", "a.csv", [parsed(0, 1500), parsed(1500, 500)], cells),
        leave_run(scratch, "scratch/x/run-0", "b.csv", [parsed(2000, 1000)], cells),
    ]


def test_more_rows_make_more_buckets() -> None:
    """There are 16 buckets, and twice as many whenever they would hold more than `FULL` rows on average."""
    assert [buckets_of(rows) for rows in (0, 1, BUCKETS * FULL)] == [BUCKETS] * 3
    assert [buckets_of(rows) for rows in (BUCKETS * FULL + 1, 2 * BUCKETS * FULL, 10_000_000)] == [32, 32, 128]


@pytest.mark.parametrize("cells", [1, 16, 64])
@pytest.mark.parametrize("claimed", [ROWS, 64 * FULL], ids=["few rows", "many rows"])
def test_each_row_is_in_its_bucket(scratch: Scratch, visits: DatasetMaker, cells: int, claimed: int) -> None:
    """However many cells and buckets there are, each row comes back in its own bucket, with values, file and line."""
    runs = [replace(run, rows=run.rows * claimed // ROWS) for run in leave_two(scratch, cells)]
    found = []
    for share in shares_of(runs):
        rows = rows_of(scratch, visits(), share)
        assert (bucket_of(rows[HASH], share.buckets) == share.bucket).all()
        found.append(rows)
    whole = pl.concat(found).sort("_line")
    expected = parsed(0, ROWS).with_columns(
        _file=pl.when(pl.col("_line") < 2000).then(pl.lit("a.csv")).otherwise(pl.lit("b.csv"))
    )
    assert_frame_equal(whole, expected, check_column_order=False)


def test_the_order_of_runs_does_not_count(scratch: Scratch) -> None:
    """Whichever worker was first, a bucket is made of the same pieces in the same order."""
    runs = leave_two(scratch, 16)
    assert list(shares_of(runs)) == list(shares_of(runs[::-1]))


def test_a_bucket_reads_what_is_its_own_alone(scratch: Scratch) -> None:
    """The buckets' ranges lie beside each other, and are the whole run together."""
    (run,) = [run for run in leave_two(scratch, 64) if run.file == "a.csv"]
    spans = sorted(span for share in shares_of([run]) for _, _, some in share.pieces for span in some)
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == len(scratch.get_unverified(run.path))


def test_a_reader_that_is_tried_again_finds_its_run(scratch: Scratch, visits: DatasetMaker) -> None:
    """A run that stands there already is left as it is, and is as good as a new one."""
    first = leave_two(scratch, 16)
    before = sha256_of(scratch.get_unverified(first[0].path))
    assert leave_two(scratch, 16) == first
    assert sha256_of(scratch.get_unverified(first[0].path)) == before
    assert rows_of(scratch, visits(), next(shares_of(first))).height > 0


def test_a_share_is_small(scratch: Scratch) -> None:
    """What travels to a worker are names and numbers: its size does not depend on that of the rows."""
    share: Share = next(shares_of(leave_two(scratch, 16)))
    assert share.pieces[0][:2] == ("scratch/x/run-0", "b.csv")
    assert len(repr(share)) < 400
