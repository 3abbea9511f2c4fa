"""Rows checked against the declared columns."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.data.rows import REASON, Parsed, dtype_of, kinds_of, parse_rows
from lockstep.declare import Column
from lockstep.errors import DataError

A_BOOL = "a bool (yes/no, true/false, 1/0)"
A_DATE = "a date (YYYY-MM-DD)"
KINDS = ("int", "float", "str", "bool", "date")
SCHEMA = {
    "id": Column("str", nullable=False),
    "n": Column("int", nullable=False),
    "x": Column("float", nullable=True),
    "ok": Column("bool", nullable=False),
    "day": Column("date", nullable=True),
}


def parse_one(kind: str, cells: object, *, nullable: bool = False) -> Parsed:
    """The column "c" of that kind, parsed."""
    return parse_rows(pl.DataFrame({"c": cells}), {"c": Column(kind, nullable=nullable)})


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "42", 42),
        ("int", "-7", -7),
        ("int", "+7", 7),
        ("int", "3.0", 3),
        ("int", " 5\t", 5),
        ("int", "9223372036854775807", 2**63 - 1),
        ("float", "0.1", 0.1),
        ("float", "-2e3", -2000.0),
        ("float", "7", 7.0),
        ("str", "  Zoë ", "Zoë"),
        ("str", "null", "null"),
        ("bool", "Yes", True),
        ("bool", "t", True),
        ("bool", "TRUE", True),
        ("bool", "1", True),
        ("bool", "1.0", True),
        ("bool", "no", False),
        ("bool", "F", False),
        ("bool", "0", False),
        ("date", "2024-02-29", date(2024, 2, 29)),
    ],
)
def test_text_becomes_the_declared_type(kind: str, text: str, value: object) -> None:
    """Text that stands for a value of the declared type becomes that value, without the blanks around it."""
    parsed = parse_one(kind, [text])
    assert parsed.good["c"].to_list() == [value]
    assert parsed.good["c"].dtype == dtype_of(Column(kind, nullable=False))
    assert parsed.bad.is_empty()


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("int", "3.5", 'c: "3.5" is not an int'),
        ("int", "9223372036854775808", 'c: "9223372036854775808" is not an int'),
        ("int", "1e3", 'c: "1e3" is not an int'),
        ("int", "", "c: blank, an int is needed"),
        ("float", "1,5", 'c: "1,5" is not a float'),
        ("float", "nan", 'c: "nan" is not a float'),
        ("float", "-inf", 'c: "-inf" is not a float'),
        ("float", " ", "c: blank, a float is needed"),
        ("str", "\t", "c: blank, a text is needed"),
        ("bool", "maybe", f'c: "maybe" is not {A_BOOL}'),
        ("bool", "", f"c: blank, {A_BOOL} is needed"),
        ("date", "2023-02-29", f'c: "2023-02-29" is not {A_DATE}'),
        ("date", "29.02.2024", f'c: "29.02.2024" is not {A_DATE}'),
        ("date", "", f"c: blank, {A_DATE} is needed"),
        ("int", "x" * 50, f'c: "{"x" * 40}" is not an int'),
        ("int", "{}", 'c: "{}" is not an int'),
    ],
)
def test_bad_text_is_set_aside_with_its_reason(kind: str, text: str, reason: str) -> None:
    """A cell that can't be used sets its row aside, with a sentence that names column, cell and what is needed."""
    parsed = parse_one(kind, [text])
    assert parsed.good.is_empty()
    assert parsed.bad[REASON].to_list() == [reason]


@pytest.mark.parametrize("kind", KINDS)
def test_nullable_columns_take_blanks(kind: str) -> None:
    """In a column that may be blank, blanks become nulls, whatever its type."""
    parsed = parse_one(kind, ["", "  ", None], nullable=True)
    assert parsed.good["c"].to_list() == [None, None, None]
    assert parsed.bad.is_empty()


def test_nullable_columns_refuse_wrong_text() -> None:
    """A column that may be blank still takes no text of another type."""
    parsed = parse_one("int", ["", "few"], nullable=True)
    assert parsed.good["c"].to_list() == [None]
    assert parsed.bad[REASON].to_list() == ['c: "few" is not an int']


def test_a_row_carries_every_reason() -> None:
    """A row with several bad cells carries all their reasons, in the order of the columns."""
    rows = pl.DataFrame({"id": ["a", "b"], "n": ["many", "1"], "x": ["?", "2"], "ok": ["", "no"], "day": ["", "soon"]})
    parsed = parse_rows(rows, SCHEMA)
    assert parsed.good.is_empty()
    assert parsed.bad[REASON].to_list() == [
        f'n: "many" is not an int; x: "?" is not a float; ok: blank, {A_BOOL} is needed',
        f'day: "soon" is not {A_DATE}',
    ]


def test_bad_rows_keep_their_text_and_place() -> None:
    """A row that is set aside keeps its cells as text, and the file and line it came from; so does a good one."""
    rows = pl.DataFrame({"n": ["1", "two"], "other": ["q", "r"], "_file": ["f.csv", "f.csv"], "_line": [2, 3]})
    parsed = parse_rows(rows, {"n": Column("int", nullable=False)})
    assert parsed.good.rows() == [(1, "f.csv", 2)]
    assert parsed.bad.rows(named=True) == [{"n": "two", "_file": "f.csv", "_line": 3, REASON: 'n: "two" is not an int'}]


def test_a_missing_column_is_an_error() -> None:
    """Declared columns that are not there at all raise, with the names of those that are."""
    with pytest.raises(DataError) as caught:
        parse_rows(pl.DataFrame({"id": ["a"], "ok": ["yes"], "_line": [2]}), SCHEMA)
    assert str(caught.value) == (
        "Columns n, x, day are declared, but the rows have only id, ok. Correct the source or the declaration."
    )


@pytest.mark.parametrize("name", ["a{}", "a{b}", "{", 'say "hi"', "100 %"])
def test_any_column_name_can_stand_in_a_reason(name: str) -> None:
    """A column's name stands in the reason as it is, also where it looks like a place to be filled in."""
    parsed = parse_rows(pl.DataFrame({name: ["q"]}), {name: Column("int", nullable=False)})
    assert parsed.bad[REASON].to_list() == [f'{name}: "q" is not an int']


@pytest.mark.parametrize(
    ("kind", "series", "values"),
    [
        ("int", pl.Series([1, None], dtype=pl.Int16), [1, None]),
        ("int", pl.Series([3.0, None], dtype=pl.Float64), [3, None]),
        ("float", pl.Series([1, None], dtype=pl.Int64), [1.0, None]),
        ("float", pl.Series([0.1, None], dtype=pl.Float64), [0.1, None]),
        ("str", pl.Series(["a", None], dtype=pl.Categorical), ["a", None]),
        ("str", pl.Series([12, None], dtype=pl.Int64), ["12", None]),
        ("str", pl.Series([None, None], dtype=pl.Null), [None, None]),
        ("bool", pl.Series([True, None], dtype=pl.Boolean), [True, None]),
        ("bool", pl.Series([0, None], dtype=pl.UInt8), [False, None]),
        ("date", pl.Series([date(2024, 1, 2), None], dtype=pl.Date), [date(2024, 1, 2), None]),
    ],
)
def test_typed_columns_are_taken_as_they_are(kind: str, series: pl.Series, values: list[object]) -> None:
    """Columns that come typed, from Parquet or JSON, give the same values as their text would."""
    assert parse_one(kind, series, nullable=True).good["c"].to_list() == values


@pytest.mark.parametrize(
    ("kind", "series", "reason"),
    [
        ("int", pl.Series([2.5]), 'c: "2.5" is not an int'),
        ("float", pl.Series([float("nan")]), 'c: "NaN" is not a float'),
        ("bool", pl.Series([2]), f'c: "2" is not {A_BOOL}'),
        (
            "date",
            pl.Series([datetime(2024, 1, 2, tzinfo=UTC)]),
            f'c: "2024-01-02 00:00:00.000000+00:00" is not {A_DATE}',
        ),
        ("int", pl.Series([[1, 2]]), 'c: "[1, 2]" is not an int'),
    ],
)
def test_typed_columns_are_checked_too(kind: str, series: pl.Series, reason: str) -> None:
    """A typed value that is none of the declared type sets its row aside."""
    assert parse_one(kind, series).bad[REASON].to_list() == [reason]


def test_long_lists_are_kept_whole() -> None:
    """A list in a text column becomes its text, with nothing left out in the middle."""
    numbers = list(range(1000))
    assert parse_one("str", pl.Series([numbers])).good["c"].to_list() == [str(numbers)]


def test_no_rows_are_fine() -> None:
    """No rows in, none out, with the types of the declaration."""
    parsed = parse_rows(pl.DataFrame(schema=dict.fromkeys(SCHEMA, pl.String)), SCHEMA)
    assert parsed.good.schema == {name: dtype_of(column)() for name, column in SCHEMA.items()}
    assert parsed.bad.is_empty()
    assert parsed.bad.columns == [*SCHEMA, REASON]


CELLS = (
    st.none() | st.text(max_size=12) | st.sampled_from(["1", "-3.0", "2024-01-01", "yes", "nan", "1e999", " ", "{}"])
)
TABLES = st.lists(st.tuples(*[CELLS] * len(SCHEMA)), max_size=20)


@settings(deadline=None)
@given(TABLES)
def test_nothing_is_lost(table: list[tuple[str | None, ...]]) -> None:
    """Whatever text stands in the cells, nothing is raised, and each row is in `good` or, with a reason, in `bad`."""
    rows = pl.DataFrame(table, schema=dict.fromkeys(SCHEMA, pl.String), orient="row")
    numbered = rows.with_columns(_line=pl.int_range(2, rows.height + 2, dtype=pl.Int64))
    parsed = parse_rows(numbered, SCHEMA)
    assert sorted([*parsed.good["_line"], *parsed.bad["_line"]]) == numbered["_line"].to_list()
    assert all(parsed.bad[REASON])
    assert all(parsed.good[name].null_count() == 0 for name, column in SCHEMA.items() if not column.nullable)


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_floats_survive(values: list[float]) -> None:
    """A finite float comes through unchanged, to the last bit, whether it comes typed or as text."""
    assert parse_one("float", values).good["c"].to_list() == values
    assert parse_one("float", [repr(value) for value in values]).good["c"].to_list() == values


def test_kinds_of_reasons_tell_nothing_of_a_cell() -> None:
    """Rows with one fault are of one kind, whatever quotes stand in their cells or in a column's name."""
    schema = {'the "n"': Column("int", nullable=False), "day": Column("date", nullable=True)}
    cells = ["7", "", 'a"b', '"; day: "', "x; y", "“”", '"']
    bad = parse_rows(pl.DataFrame({'the "n"': cells, "day": ["2024-01-01", '1"', '"', *[""] * 4]}), schema).bad
    told = f'the "n": … is not an int; day: … is not {A_DATE}'
    assert kinds_of(bad, schema).to_list() == [
        f'the "n": blank, an int is needed; day: … is not {A_DATE}',
        told,
        *['the "n": … is not an int'] * 4,
    ]
    assert bad[REASON][1] == f'the "n": "a"b" is not an int; day: """ is not {A_DATE}'
