"""Rows held against checks."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from lockstep import Dataset, between, blanks, csv, fresh, matches, one_of, satisfies
from lockstep.checks import Check
from lockstep.data.checking import Tally, check_evaluable, check_rows
from lockstep.data.rows import REASON, dtype_of
from lockstep.errors import DataError, UsageError

COLUMNS = {"n": int, "x": float | None, "plan": str | None, "day": date | None}
DAY = date(2026, 1, 1)


def calls(*checks: Check) -> Dataset:
    """Declare calls with checks."""
    return Dataset("calls", source=csv("calls.csv"), key="id", columns=COLUMNS, checks=checks)


def typed(*rows: tuple[str, int, float | None, str | None, date | None]) -> pl.DataFrame:
    """Rows as they come out of parsing, from line 2 of a file on."""
    schema = {name: dtype_of(column) for name, column in calls().schema.items()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.with_columns(_file=pl.lit("f.csv"), _line=pl.int_range(2, frame.height + 2, dtype=pl.Int64))


def reasons_of(check: Check, column: str, *values: object) -> list[str]:
    """What is said of values of a column."""
    rows = typed(*[(f"k{number}", 1, None, None, None) for number in range(len(values))])
    wanted = rows.schema[column]
    checked = check_rows(calls(check), rows.with_columns(pl.Series(column, values, dtype=wanted)))
    return checked.broken[REASON].to_list()


@pytest.mark.parametrize(
    ("check", "column", "values", "reasons"),
    [
        (
            between("n", 0, 9),
            "n",
            [0, 9, -1, 10],
            ["n: -1 is not between 0 and 9", "n: 10 is not between 0 and 9"],
        ),
        (between("x", 0.5), "x", [0.5, None, 0.25], ["x: 0.25 is below 0.5"]),
        (between("n", most=3), "n", [3, 4], ["n: 4 is above 3"]),
        (
            between("day", DAY, date(2026, 2, 1)),
            "day",
            [DAY, None, date(2025, 12, 31)],
            ["day: 2025-12-31 is not between 2026-01-01 and 2026-02-01"],
        ),
        (one_of("plan", ["a", "b"]), "plan", ["a", None, "c"], ['plan: "c" is not one of "a", "b"']),
        (
            one_of("n", list(range(1, 13))),
            "n",
            [1, 0],
            ["n: 0 is not one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"],
        ),
        (matches("plan", r"a|b"), "plan", ["a", "b", "ab"], ['plan: "ab" does not match a|b']),
        (matches("plan", r"\d+"), "plan", ["12", "12\n", "x" * 50], [
            'plan: "12\n" does not match \\d+',
            f'plan: "{"x" * 40}" does not match \\d+',
        ]),
    ],
)  # fmt: skip
def test_a_row_that_breaks_a_check_says_why(
    check: Check, column: str, values: list[object], reasons: list[str]
) -> None:
    """A value that breaks a check sets its row aside, with the value and what is wanted; bounds and blanks keep it."""
    assert reasons_of(check, column, *values) == reasons


def test_a_row_carries_every_reason_in_the_order_of_the_checks() -> None:
    """A row that breaks several checks carries a reason for each; each check counts it, and knows its first place."""
    checks = one_of("plan", ["a"]), between("n", 0, 9), between("x", 0, 1)
    checked = check_rows(
        calls(*checks), typed(("a", 1, 0.5, "a", None), ("b", 20, 0.5, "b", None), ("c", 30, 5.0, "a", None))
    )
    assert checked.kept["id"].to_list() == ["a"]
    assert checked.broken.select("id", "_line", REASON).rows() == [
        ("b", 3, 'plan: "b" is not one of "a"; n: 20 is not between 0 and 9'),
        ("c", 4, "n: 30 is not between 0 and 9; x: 5.0 is not between 0 and 1"),
    ]
    broken = checked.tally.broken
    assert {name: found.rows for name, found in broken.items()} == {
        str(c): n for c, n in zip(checks, (1, 2, 1), strict=True)
    }
    assert broken[str(checks[1])].first == ("f.csv", 3, "n: 20 is not between 0 and 9")


def no_call_without_plan() -> Any:  # noqa: ANN401  pandera's
    """Say that who calls twice has a plan, and that n is no 13."""
    import pandera.polars as pa

    def has_plan(data: Any) -> pl.LazyFrame:  # noqa: ANN401  pandera's
        return data.lazyframe.select((pl.col("n") < 2) | pl.col("plan").is_not_null())

    column = pa.Column(pl.Int64, pa.Check.ne(13))
    return pa.DataFrameSchema({"n": column}, checks=pa.Check(has_plan, name="has_plan"))


def a_dict() -> Any:  # noqa: ANN401  on purpose no schema
    """Return no schema."""
    return {}


def unique_n() -> Any:  # noqa: ANN401  pandera's
    """Ask for what a piece of the rows can't tell."""
    import pandera.polars as pa

    return pa.DataFrameSchema({"n": pa.Column(pl.Int64, unique=True)})


def other_column() -> Any:  # noqa: ANN401  pandera's
    """Ask for a column that nobody declared."""
    import pandera.polars as pa

    return pa.DataFrameSchema({"age": pa.Column(pl.Int64)})


def test_a_schema_of_pandera_looks_across_columns() -> None:
    """Rows that a team's own schema does not take are set aside, with the names of the schema and of its check."""
    rows = typed(("a", 1, None, None, None), ("b", 2, None, None, None), ("c", 13, None, "p", None))
    checked = check_rows(calls(satisfies(no_call_without_plan)), rows)
    assert checked.broken.select("id", REASON).rows() == [
        ("b", "no_call_without_plan: has_plan"),
        ("c", "no_call_without_plan: n: not_equal_to(13)"),
    ]


@pytest.mark.parametrize(
    ("check", "kind", "message"),
    [
        (
            satisfies(a_dict),
            UsageError,
            (
                'Dataset "calls": satisfies(a_dict) returned a dict; it has to return a pandera.polars.DataFrameSchema'
                " (a model gives one by to_schema())."
            ),
        ),
        (
            satisfies(unique_n),
            UsageError,
            (
                'Dataset "calls": satisfies(unique_n) asks for unique values, but sees only some rows at a time; take'
                ' that out of the schema, and say unique("column") among the checks.'
            ),
        ),
        (satisfies(other_column), DataError, "satisfies(other_column) can't be evaluated: age. Correct the check."),
        (matches("plan", "(?=a)a"), DataError, "look-around, including look-ahead and look-behind, is not supported"),
    ],
)
def test_what_can_not_be_evaluated_is_told_on_no_rows(check: Check, kind: type[Exception], message: str) -> None:
    """A check that no row could be held against is told before any row is read."""
    with pytest.raises(kind) as caught:
        check_evaluable(calls(check))
    assert message in str(caught.value)


def test_pandera_s_variables_switch_nothing_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are checked though the environment tells pandera to look at schemas only, or at nothing."""
    from pandera.config import CONFIG, ValidationDepth

    monkeypatch.setattr(CONFIG, "validation_enabled", False)
    monkeypatch.setattr(CONFIG, "validation_depth", ValidationDepth.SCHEMA_ONLY)
    assert reasons_of(between("n", 0, 9), "n", 10) == ["n: 10 is not between 0 and 9"]


CHECKS = (
    between("n", -5, 5),
    between("x", 0),
    one_of("plan", ["a", "b"]),
    matches("id", r"[a-z]+"),
    blanks("x", at_most=0.5),
    fresh("day", within=timedelta(days=1)),
)
ROWS = st.lists(
    st.tuples(
        st.text("ab1", min_size=1, max_size=3),
        st.integers(-9, 9),
        st.none() | st.floats(-2, 2),
        st.none() | st.sampled_from("abc"),
        st.none() | st.dates(date(2026, 1, 1), date(2026, 1, 9)),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=40)
@given(ROWS, st.integers(0, 12))
def test_nothing_is_lost_and_parts_add_up(table: list[Any], cut: int) -> None:
    """Rows in are rows kept and rows set aside, as plain Python says; in pieces they come out as they do together."""
    rows, dataset = typed(*table), calls(*CHECKS)
    together = check_rows(dataset, rows)
    lines = sorted([*together.kept["_line"], *together.broken["_line"]])
    assert lines == rows["_line"].to_list()
    good = [
        -5 <= n <= 5 and (x is None or x >= 0) and plan in (None, "a", "b") and "1" not in key
        for key, n, x, plan, _ in table
    ]
    assert together.kept["_line"].to_list() == [line for line, is_good in enumerate(good, start=2) if is_good]
    assert all(together.broken[REASON])
    pieces = [check_rows(dataset, piece) for piece in (rows[:cut], rows[cut:])]
    assert_frame_equal(pl.concat(piece.kept for piece in pieces), together.kept)
    assert_frame_equal(pl.concat(piece.broken for piece in pieces), together.broken)
    added = pieces[0].tally + pieces[1].tally
    assert added == together.tally == Tally.from_json(added.as_json())
    assert added.blank["x"] == sum(x is None for _, _, x, _, _ in table)


def test_one_row_is_judged_as_among_many() -> None:
    """A single row, as a service gets it, without file and line, is judged as it is among many."""
    rows = typed(("a", 1, None, None, None), ("b", 99, None, None, None))
    dataset = calls(between("n", 0, 9))
    alone = check_rows(dataset, rows[1:].drop("_file", "_line"))
    assert alone.kept.is_empty()
    assert alone.broken[REASON].to_list() == check_rows(dataset, rows).broken[REASON].to_list()
