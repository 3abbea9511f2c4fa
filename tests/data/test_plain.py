"""The short way of a typed row leads to the values of the long one."""

import json
from datetime import date
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.data import parse_rows
from lockstep.data.plain import plain_values
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
