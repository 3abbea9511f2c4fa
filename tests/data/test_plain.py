"""The short way of a typed row leads to the values of the long one."""

import json
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.data import parse_rows
from lockstep.data.plain import frame_by_polars, frame_of, plain_frame, plain_rows, plain_values
from lockstep.data.rows import dtype_of
from lockstep.declare import Column

KINDS = ("int", "float", "str", "bool", "date")
COLUMNS = {kind: Column(kind, nullable=False) for kind in KINDS} | {
    f"{kind}?": Column(kind, nullable=True) for kind in KINDS
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["2026-11-25", "2026-1-1", "2026-W01-1", " a", "", "\u00a0", "yes", "1.0", "9007199254740993"]),
    st.dates().map(str),
)


def long_way(name: str, value: Any) -> Any:  # noqa: ANN401  any JSON
    """What `parse_rows` makes of one value's text; None where it makes nothing."""
    text = value if value is None or isinstance(value, str) else json.dumps(value)
    rows = pl.DataFrame({name: [text]}, schema={name: pl.String})
    good = parse_rows(rows, {name: COLUMNS[name]}).good
    return good[name][0] if good.height else None


@settings(max_examples=150, deadline=None)
@given(value=VALUES)
def test_what_the_short_way_takes_is_what_the_long_way_makes_of_it(value: Any) -> None:  # noqa: ANN401  any JSON
    """For every type of column, blank or not; what it does not take is left to the long way."""
    for name, column in COLUMNS.items():
        found = plain_values({name: value}, {name: column})
        if found is not None:
            assert found[name] == long_way(name, value)
            assert pl.Series([found[name]], dtype=dtype_of(column), strict=True)[0] == found[name]


def test_what_is_typed_goes_the_short_way() -> None:
    """A whole row of JSON's types, and of a frame's dates."""
    row = {"int": 3, "float": 3, "str": "a b", "bool": False, "date": date(2026, 11, 25), "int?": None, "more": 1}
    found = plain_values(row, COLUMNS)
    assert found == {name: row.get(name) for name in COLUMNS}
    assert type(found["float"]) is float


@settings(max_examples=150, deadline=None)
@given(values=st.lists(VALUES, min_size=1, max_size=4))
def test_many_rows_by_column_are_what_each_row_is(values: list[Any]) -> None:
    """A column is taken where each of its values is, and what is taken is what the long way makes of each."""
    for name, column in COLUMNS.items():
        rows = [{name: value} for value in values]
        found = plain_rows(rows, {name: column})
        if found is None:
            assert any(plain_values(row, {name: column}) is None for row in rows)
        else:
            assert found.schema == {name: dtype_of(column)}
            assert found[name].to_list() == [long_way(name, value) for value in values]


def test_a_text_that_is_no_unicode_is_left() -> None:
    """Half of a surrogate pair, which JSON can't bring but a dict can."""
    assert plain_rows([{"str": "a"}, {"str": "\ud800"}], {"str": COLUMNS["str"]}) is None


@pytest.mark.parametrize(
    ("name", "values"),
    [("float", [1.7e308, 1.7e308]), ("int", [2**63 - 1, -(2**63)]), ("str", ["a", "b"]), ("bool", [True, False])],
)
def test_columns_of_one_type_are_taken(name: str, values: list[Any]) -> None:
    """Also floats whose sum is none, and the largest ints."""
    found = plain_rows([{name: value} for value in values], {name: COLUMNS[name]})
    assert found is not None
    assert found[name].to_list() == values


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("float", [1.0, float("inf"), -float("inf")]),
        ("float", [1.0, float("nan")]),
        ("int", [1, 2**63]),
        ("int", [1, True]),
        ("str", ["a", "a ", ""]),
        ("bool", [True, None]),
    ],
)
def test_columns_with_one_doubtful_value_are_left(name: str, values: list[Any]) -> None:
    """One value among others is enough."""
    assert plain_rows([{name: value} for value in values], {name: COLUMNS[name]}) is None


def test_a_frame_made_the_short_way_is_that_of_polars() -> None:
    """All kinds, with blanks and without."""
    columns = {
        "int": [1, -(2**63)],
        "float": [0.5, 3.0],
        "str": ["a", "ü"],
        "bool": [True, False],
        "date": [date(2026, 11, 25), date(1, 1, 1)],
    }
    columns |= {f"{name}?": [None, values[0]] for name, values in columns.items()}
    made = frame_of(columns, COLUMNS)
    assert made.equals(frame_by_polars(columns, COLUMNS))
    assert made.schema == {name: dtype_of(column) for name, column in COLUMNS.items()}


FRAMES = st.sampled_from(
    [
        ("int", pl.Int64, st.integers(-(2**63), 2**63 - 1)),
        ("int", pl.Int16, st.integers(-(2**15), 2**15 - 1)),
        ("int", pl.Float64, st.integers(0, 9).map(float)),
        ("float", pl.Float64, st.floats()),
        ("float", pl.Int64, st.integers(0, 9)),
        ("str", pl.String, st.one_of(st.text(max_size=6), st.sampled_from([" a", "a ", "", "\u00a0", "a b"]))),
        ("str", pl.Int64, st.integers(0, 9)),
        ("bool", pl.Boolean, st.booleans()),
        ("date", pl.Date, st.dates()),
    ]
)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), is_nullable=st.booleans())
def test_what_is_taken_of_a_frame_is_what_the_parser_makes_of_it(data: st.DataObject, *, is_nullable: bool) -> None:
    """A frame is taken whole, and then is what the long way makes of all its rows; a missing label is blank."""
    kind, dtype, values = data.draw(FRAMES)
    drawn = data.draw(st.lists(st.one_of(values, st.none()) if data.draw(st.booleans()) else values, max_size=4))
    column = Column(kind, nullable=is_nullable)
    rows = pl.DataFrame({"x": drawn}, schema={"x": dtype})
    found = plain_frame(rows, {"x": column, "label": Column("bool", nullable=True)})
    parsed = parse_rows(rows, {"x": column})
    if found is not None:
        assert parsed.bad.is_empty()
        assert found["x"].equals(parsed.good["x"], check_dtypes=True)
        assert found["label"].null_count() == rows.height


def test_a_sound_frame_is_taken() -> None:
    """Declared types, in any order, with a narrower int and a column that nobody asked for."""
    frame = pl.DataFrame({"str": ["a b", "c"], "more": [1, 2], "int": pl.Series([3, 4], dtype=pl.Int8)})
    columns = {name: COLUMNS[name] for name in ("int", "str", "float?")}
    found = plain_frame(frame, columns)
    assert found is not None
    assert found.schema == {"int": pl.Int64, "str": pl.String, "float?": pl.Float64}
    assert found.rows() == [(3, "a b", None), (4, "c", None)]
    assert plain_frame(frame.drop("int"), columns) is None
