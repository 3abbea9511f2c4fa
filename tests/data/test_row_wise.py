"""What the functions of a `row_wise` clean make of a row is what polars makes of it, or they leave it to polars."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groups.churn import customers
from lockstep import Dataset, csv, row_wise
from lockstep.data import clean_rows, parse_rows, row_functions
from lockstep.data.plain import frame_by_polars
from lockstep.data.row_functions import LeftToPolars
from lockstep.data.row_wise import RowClean, row_clean
from tests.data.conftest import telco_csv

__all__ = ["telco_csv"]
Clean = Callable[[pl.DataFrame], pl.DataFrame]
COLUMNS = {
    "i": int,
    "i?": int | None,
    "f": float,
    "f?": float | None,
    "s": str,
    "s?": str | None,
    "b": bool,
    "b?": bool | None,
    "d": date,
}
ROW = {"key": "k", "i": 3, "i?": None, "f": 0.5, "f?": None, "s": "xa", "s?": None, "b": True, "b?": None}
ROW["d"] = date(2026, 11, 29)


def table(clean: Clean) -> Dataset:
    """A dataset with a column of each type."""
    return Dataset("table", source=csv("*.csv"), key="key", columns={"key": str, **COLUMNS}, clean=clean)


def setting(*expressions: pl.Expr) -> Dataset:
    """A dataset whose clean sets columns by expressions."""

    @row_wise
    def clean(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(expressions)

    return table(clean)


def functions_of(dataset: Dataset) -> RowClean:
    """The functions, which are there."""
    made = row_clean(dataset, dataset.schema)
    assert isinstance(made, RowClean), made
    return made


NUMBERS = st.sampled_from([0, 1, 2, -3, 0.5, 2.675, -0.125, 1e300])
TEXTS = st.sampled_from(["x", "xa", "ax", " x", "A", "ß", "No", ""])


def columns(*names: str) -> st.SearchStrategy[pl.Expr]:
    """One of these."""
    return st.sampled_from([pl.col(name) for name in names])


numbers = st.one_of(columns("i", "i?", "f", "f?"), NUMBERS.map(pl.lit))
texts = st.one_of(columns("s", "s?"), TEXTS.map(pl.lit))


def more_numbers(inner: st.SearchStrategy[pl.Expr]) -> st.SearchStrategy[pl.Expr]:
    """Numbers of numbers."""
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda two: two[0] + two[1]),
        pairs.map(lambda two: two[0] - two[1]),
        pairs.map(lambda two: two[0] * two[1]),
        pairs.map(lambda two: two[0] / two[1]),
        pairs.map(lambda two: two[0].fill_null(two[1])),
        pairs.map(pl.coalesce),
        st.tuples(pairs, pairs).map(
            lambda four: pl.when(four[0][0] < four[0][1]).then(four[1][0]).otherwise(four[1][1])
        ),
        st.tuples(inner, st.sampled_from([0, 1, 2, 4])).map(lambda found: found[0].round(found[1])),
        inner.map(lambda one: one.clip(lower_bound=1)),
        inner.map(lambda one: one.clip(-1, 2.5)),
        inner.map(lambda one: one.abs()),
        inner.map(lambda one: -one),
        inner.map(lambda one: one.cast(pl.Float64).floor()),
        inner.map(lambda one: one.cast(pl.Float64).ceil()),
    )


def more_texts(inner: st.SearchStrategy[pl.Expr]) -> st.SearchStrategy[pl.Expr]:
    """Texts of texts."""
    with_word = st.tuples(inner, TEXTS)
    return st.one_of(
        with_word.map(lambda found: found[0].str.strip_suffix(found[1])),
        with_word.map(lambda found: found[0].str.strip_prefix(found[1])),
        st.tuples(with_word, TEXTS).map(lambda found: found[0][0].str.replace_all(found[0][1], found[1], literal=True)),
        st.tuples(inner, inner).map(pl.concat_str),
        st.tuples(inner, inner).map(lambda two: two[0].fill_null(two[1])),
        inner.map(lambda one: one.str.to_lowercase()),
        inner.map(lambda one: one.str.to_uppercase()),
    )


number = st.recursive(numbers, more_numbers, max_leaves=4)
text = st.recursive(texts, more_texts, max_leaves=4)


def more_flags(inner: st.SearchStrategy[pl.Expr]) -> st.SearchStrategy[pl.Expr]:
    """Flags of flags."""
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda two: two[0] & two[1]), pairs.map(lambda two: two[0] | two[1]), inner.map(lambda one: ~one)
    )


flags = st.one_of(
    columns("b", "b?"),
    st.tuples(number, number).map(lambda two: two[0] <= two[1]),
    st.tuples(number, number).map(lambda two: two[0] != two[1]),
    st.tuples(text, text).map(lambda two: two[0] > two[1]),
    st.tuples(text, text).map(lambda two: two[0] == two[1]),
    text.map(lambda one: one.is_in(["x", "No", "xa"])),
    text.map(lambda one: one.is_null()),
    number.map(lambda one: one.is_not_null()),
    st.tuples(text, TEXTS).map(lambda found: found[0].str.starts_with(found[1])),
    st.tuples(text, TEXTS).map(lambda found: found[0].str.ends_with(found[1])),
    st.tuples(text, TEXTS).map(lambda found: found[0].str.contains(found[1], literal=True)),
)
flag = st.recursive(flags, more_flags, max_leaves=3)
ints = st.one_of(st.integers(-5, 5), st.integers(-(2**63), 2**63 - 1))
floats = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.floats(-100, 100).map(lambda one: round(one, 3))
)
words = st.one_of(st.text(min_size=1, max_size=5), TEXTS.filter(bool)).filter(lambda word: word.isprintable())
rows = st.fixed_dictionaries(
    {
        "key": st.just("k"),
        "i": ints,
        "i?": st.none() | ints,
        "f": floats,
        "f?": st.none() | floats,
        "s": words,
        "s?": st.none() | words,
        "b": st.booleans(),
        "b?": st.none() | st.booleans(),
        "d": st.dates(),
    }
)


@settings(max_examples=400, deadline=None)
@given(made=st.tuples(number, text, flag), tried=st.lists(rows, min_size=1, max_size=8))
def test_any_expressions_on_any_row_say_what_polars_says(
    made: tuple[pl.Expr, pl.Expr, pl.Expr], tried: list[dict[str, Any]]
) -> None:
    """Where a row is not left to polars, each of its values and their order are those of polars."""
    dataset = setting(*(one.alias(name) for name, one in zip(("number", "text", "flag"), made, strict=True)))
    functions = row_clean(dataset, dataset.schema)
    if isinstance(functions, str):
        assert "polars cleans otherwise" not in functions
        return
    for row in tried:
        try:
            found = functions.clean({name: row[name] for name in dataset.schema})
        except LeftToPolars:
            continue
        values = {name: [row[name]] for name in dataset.schema}
        (wanted,) = clean_rows(dataset, frame_by_polars(values, dataset.schema)).rows(named=True)
        assert found == wanted
        assert list(found) == list(wanted)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (pl.col("i") + 1, 4),
        (pl.col("i") / 2, 1.5),
        (pl.col("i") - pl.col("i?"), None),
        ((pl.col("f") / pl.col("i").clip(lower_bound=1)).round(2), 0.17),
        (pl.col("s?").fill_null("No"), "No"),
        (pl.coalesce("s?", "s"), "xa"),
        (pl.col("s").str.strip_prefix("x").str.to_uppercase(), "A"),
        (pl.col("s") + pl.lit("!") + pl.col("s"), "xa!xa"),
        (pl.when(pl.col("b?")).then(1.0).otherwise(pl.col("f")), 0.5),
        (pl.col("b?") & ~pl.col("b"), False),
        (pl.col("b?") | ~pl.col("b"), None),
        (pl.col("s").is_in(["xa", "xb"]), True),
        (pl.col("b").cast(pl.Int64) * 3, 3),
        (pl.col("d") > pl.col("d"), False),
        (pl.col("s").str.contains("a", literal=True), True),
    ],
)
def test_usual_expressions_are_understood(expression: pl.Expr, value: Any) -> None:  # noqa: ANN401  any value
    """They are no longer left to polars, and mean what they say."""
    found = functions_of(setting(expression.alias("new"))).clean(ROW)
    assert found["new"] == value
    assert type(found["new"]) is type(value)


@row_wise
def several_steps(frame: pl.DataFrame) -> pl.DataFrame:
    """Sets a column twice, leaves rows out, and keeps some columns."""
    more = frame.with_columns(pl.col("f") * 2).with_columns(new=pl.col("f") + 1)
    return more.filter(pl.col("i") > 0).select("key", "new", "s")


def test_steps_follow_each_other() -> None:
    """Each sees what the step before made; a row that is left out is left to polars, which says so."""
    functions = functions_of(table(several_steps))
    assert functions.clean(ROW) == {"key": "k", "new": 2.0, "s": "xa"}
    with pytest.raises(LeftToPolars, match="left out"):
        functions.clean({**ROW, "i": 0})


@pytest.mark.parametrize(
    ("changed", "expression"),
    [
        ({"i": 0}, pl.col("f") / pl.col("i")),
        ({"f": 1e300}, pl.col("f") * pl.col("f")),
        ({"i": 2**63 - 1}, pl.col("i") + 1),
        ({"s": "STRAßE"}, pl.col("s").str.to_uppercase()),
    ],
)
def test_what_python_would_say_otherwise_is_left(changed: dict[str, Any], expression: pl.Expr) -> None:
    """Infinity, whole numbers that go round, and letters with rules of their own."""
    functions = functions_of(setting(expression.alias("new")))
    with pytest.raises(LeftToPolars):
        functions.clean({**ROW, **changed})


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Is not said to be row-wise."""
    return frame.with_columns(new=pl.col("i") + 1)


@row_wise
def looks_at_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Needs a frame that is there."""
    return frame.with_columns(new=frame["i"].max())


@row_wise
def calls_python(frame: pl.DataFrame) -> pl.DataFrame:
    """Has a function of its own in an expression."""
    return frame.with_columns(new=pl.col("i").map_elements(int.bit_count, return_dtype=pl.Int64))


@row_wise
def sorts(frame: pl.DataFrame) -> pl.DataFrame:
    """Does more than to set columns."""
    return frame.sort("i")


@row_wise
def adds_up(frame: pl.DataFrame) -> pl.DataFrame:
    """Looks from a row at others."""
    return frame.with_columns(new=pl.col("i").sum())


@row_wise
def divides(frame: pl.DataFrame) -> pl.DataFrame:
    """Is rounded otherwise by polars where rows are many."""
    return frame.with_columns(new=pl.col("f") / 3)


@pytest.mark.parametrize(
    ("clean", "said"),
    [
        (plain, "not declared row_wise"),
        (looks_at_rows, "can't be read as expressions"),
        (calls_python, "read as expressions"),
        (sorts, r"\(Sort\)"),
        (adds_up, "its clean has a Agg"),
        (divides, "divides by a constant"),
    ],
)
def test_anything_else_is_left_to_polars_with_its_reason(clean: Clean, said: str) -> None:
    """Whoever asks reads why."""
    dataset = table(clean)
    reason = row_clean(dataset, dataset.schema)
    assert isinstance(reason, str)
    assert re.search(said, reason), reason


def test_functions_that_say_something_else_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are tried against polars first; a wrong one is made here."""
    monkeypatch.setitem(row_functions.SIMPLE, "StripSuffix", str.removeprefix)
    dataset = setting(pl.col("s").str.strip_suffix("x"))
    assert row_clean(dataset, dataset.schema) == "on a row that was tried, polars cleans otherwise"


def test_each_telco_customer_is_cleaned_as_by_polars(telco_csv: Path) -> None:
    """All 7,043, one by one, none left to polars."""
    known = parse_rows(pl.read_csv(telco_csv, infer_schema=False), customers.schema).good
    wanted = clean_rows(customers, known).rows(named=True)
    functions = functions_of(customers)
    assert [functions.clean(row) for row in known.rows(named=True)] == wanted
    assert len(wanted) > 7_000
