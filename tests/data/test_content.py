"""The digest of a frame's content."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data.content import content_digest
from lockstep.errors import DataError

FRAME = pl.DataFrame(
    {
        "key": ["a", "b", None],
        "n": [1, None, -3],
        "x": [0.5, None, -0.0],
        "ok": [True, None, False],
        "day": [date(2026, 1, 31), None, date(1969, 7, 20)],
    }
)


def test_the_digest_never_changes() -> None:
    """A known frame has the digest that it has always had, since snapshots are named by it."""
    assert content_digest(FRAME) == "33d85738439e06672a1dc68e680623490eb48fe23e87c36df524d6d05c25d806"


@given(st.lists(st.tuples(st.none() | st.text(max_size=5), st.none() | st.integers(-5, 5))), st.data())
def test_chunks_do_not_count(rows: list[tuple[str | None, int | None]], data: st.DataObject) -> None:
    """However a frame is cut into chunks, its digest is that of the whole."""
    frame = pl.DataFrame(rows, schema={"text": pl.String, "n": pl.Int64}, orient="row")
    cut = data.draw(st.integers(0, frame.height))
    assert content_digest(pl.concat([frame[:cut], frame[cut:]], rechunk=False)) == content_digest(frame)


def test_formats_do_not_count(tmp_path: Path) -> None:
    """A frame that went through Parquet, Arrow or a slice has the same digest."""
    FRAME.write_parquet(tmp_path / "f.parquet")
    assert content_digest(pl.read_parquet(tmp_path / "f.parquet")) == content_digest(FRAME)
    assert content_digest(pl.DataFrame(pa.table(FRAME))) == content_digest(FRAME)
    assert content_digest(pl.concat([FRAME, FRAME])[3:]) == content_digest(FRAME)


def test_memory_behind_nulls_does_not_count() -> None:
    """What stands in memory where a value is null does not count."""
    one = pl.DataFrame({"n": [1, 2]}).select(pl.when(pl.col("n") > 1).then("n"))
    assert content_digest(one) == content_digest(pl.DataFrame({"n": [None, 2]}, schema={"n": pl.Int64}))


def test_categories_are_texts() -> None:
    """Categories count as the texts that they stand for, whatever their codes."""
    texts = pl.DataFrame({"c": ["b", "a", None]})
    assert content_digest(texts.cast(pl.Categorical)) == content_digest(texts)
    assert content_digest(texts.cast(pl.Enum(["a", "z", "b"]))) == content_digest(texts)


@pytest.mark.parametrize(
    "other",
    [
        FRAME.with_columns(n=pl.Series([1, None, -4])),
        FRAME.with_columns(n=pl.Series([1, 0, -3])),
        FRAME.with_columns(key=pl.Series(["a", "b", ""])),
        FRAME.with_columns(key=pl.Series(["ab", "", None])),
        FRAME.with_columns(ok=pl.Series([True, False, False])),
        FRAME.with_columns(x=pl.Series([0.5, None, 0.0])),
        FRAME.with_columns(pl.col("n").cast(pl.Int32)),
        FRAME.rename({"n": "m"}),
        FRAME.select(reversed(FRAME.columns)),
        FRAME.reverse(),
        FRAME.head(2),
        FRAME.drop("ok"),
    ],
    ids=[
        "value",
        "null",
        "null text",
        "text limits",
        "null bool",
        "sign of 0",
        "type",
        "name",
        "columns",
        "rows",
        "fewer",
        "gone",
    ],
)
def test_every_difference_counts(other: pl.DataFrame) -> None:
    """Another value, null, type, name, or order of columns or rows gives another digest."""
    assert content_digest(other) != content_digest(FRAME)


@pytest.mark.parametrize(
    "value",
    [1.5, "text", True, date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), time(12, 30)],
    ids=lambda v: type(v).__name__,
)
def test_kinds_that_are_kept(value: object) -> None:
    """Numbers, bools, texts, dates and times have a digest, which differs from that of a null."""
    frame = pl.DataFrame({"c": [value]})
    assert content_digest(frame) != content_digest(frame.clear(1))


@pytest.mark.parametrize(
    ("series", "dtype"),
    [
        (pl.Series([[1, 2]]), "List(Int64)"),
        (pl.Series([{"a": 1}]), "Struct({'a': Int64})"),
        (pl.Series([None]), "Null"),
        (pl.Series([b"x"]), "Binary"),
        (pl.Series([timedelta(1)]), "Duration(time_unit='us')"),
        (pl.Series([Decimal("1.5")]), "Decimal(precision=38, scale=1)"),
        (pl.Series([1], dtype=pl.Int128), "Int128"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_kinds_are_refused(series: pl.Series, dtype: str) -> None:
    """A column of another type is refused with its name and type."""
    with pytest.raises(DataError) as caught:
        content_digest(pl.DataFrame({"c": series}))
    assert str(caught.value) == (
        f'Column "c" has type {dtype}; a snapshot keeps numbers of up to 64 bits, bools, texts, dates and times. Change'
        " what clean returns."
    )
