"""Checks as they are declared: their texts, their JSON, and the sentence that refuses each wrong one."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from lockstep import (
    Dataset,
    between,
    blanks,
    csv,
    fresh,
    hard,
    matches,
    one_of,
    quarantined,
    rows_change,
    satisfies,
    soft,
    unique,
)
from lockstep.checks import Check, Weight, as_json, from_json, said_of
from lockstep.errors import DeclarationError

COLUMNS = {"tenure": int, "bill": float, "plan": str, "since": date, "left": bool, "visits": int | None}


def schema() -> Any:  # noqa: ANN401  stands where a schema of pandera would
    """Give nothing; declarations never call it."""


def customers(*checks: Any) -> Dataset:
    """Declare a dataset with checks."""
    return Dataset("customers", source=csv("customers.csv"), key="id", columns=COLUMNS, checks=checks)


ALL = {
    'between("tenure", 0, 100)': between("tenure", 0, 100),
    'between("bill", None, 10.5)': between("bill", most=10.5),
    'between("since", 2020-01-01, None)': between("since", date(2020, 1, 1)),
    'one_of("plan", ["a", "b"])': one_of("plan", ["a", "b"]),
    'one_of("visits", [1, 2])': one_of("visits", [1, 2]),
    'matches("id", r"\\d{4}")': matches("id", r"\d{4}"),
    "satisfies(schema)": satisfies(schema),
    'unique("plan", "since")': unique("plan", "since"),
    'blanks("visits", at_most=0.2)': blanks("visits", at_most=0.2),
    'fresh("since", within=2 days)': fresh("since", within=timedelta(days=2)),
    "rows_change(at_most=1.5)": rows_change(at_most=1.5),
    "quarantined(at_most=0.05)": quarantined(at_most=0.05),
}


@pytest.mark.parametrize("text", ALL)
def test_a_check_says_itself(text: str) -> None:
    """A check's text is how it is written, and a dataset takes it as it is."""
    assert str(ALL[text]) == text
    assert customers(ALL[text]).checks == (ALL[text],)


@pytest.mark.parametrize("change", [hard, soft], ids=["hard", "soft"])
@pytest.mark.parametrize("text", ALL)
def test_json_and_pickles_keep_a_check(text: str, change: Callable[[Check], Check]) -> None:
    """A check comes back from JSON and from a pickle as it was; a function is found by its name."""
    check = change(ALL[text])
    found = from_json(json.loads(json.dumps(as_json(check))), {f"{__name__}:schema": schema}.__getitem__)
    assert found == pickle.loads(pickle.dumps(check)) == check  # noqa: S301  our own


def test_a_share_above_which_a_soft_check_stops_is_kept() -> None:
    """The share stands in the JSON of a soft check, and `hard` takes it away."""
    check = soft(ALL["satisfies(schema)"], stop_above=0.1)
    assert as_json(check)["stop_above"] == 0.1
    assert hard(check) == hard(ALL["satisfies(schema)"])


def test_checks_of_rows_are_soft_and_others_are_hard() -> None:
    """Unless it is said, a check that looks at each row sets rows aside, and one of the whole stops the snapshot."""
    weights = {str(check.rule): check.weight for check in ALL.values()}
    soft_ones = {name for name, weight in weights.items() if weight is Weight.SOFT}
    assert soft_ones == {"between", "one_of", "matches", "satisfies"}
    assert {check.is_of_rows for check in ALL.values() if check.weight is Weight.SOFT} == {True}
    assert not any(check.is_of_rows for check in ALL.values() if check.weight is Weight.HARD)


WHOSE = 'Dataset "customers": '


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: between("tenure"),
            (
                'between("tenure", None, None): no value can be so, or all are; the form is between("tenure", 0, 100),'
                " least first, one of them perhaps None."
            ),
        ),
        (
            lambda: between("tenure", 9, 1),
            (
                'between("tenure", 9, 1): no value can be so, or all are; the form is between("tenure", 0, 100), least'
                " first, one of them perhaps None."
            ),
        ),
        (lambda: one_of("plan", []), 'one_of("plan", []): it takes a list of values, one at least.'),
        (lambda: one_of("plan", "ab"), "one_of(\"plan\", 'ab'): it takes a list of values, one at least."),
        (
            lambda: matches("plan", "("),
            "matches(\"plan\", '('): that is no regular expression: missing ), unterminated subpattern at position 0.",
        ),
        (unique, 'unique(): name a column, as unique("email").'),
        (
            lambda: blanks("visits", at_most=1.0),
            'blanks("visits", at_most=1.0): the share is from 0 to below 1, as at_most=0.1.',
        ),
        (
            lambda: quarantined(at_most=-0.1),
            "quarantined(at_most=-0.1): the share is from 0 to below 1, as at_most=0.1.",
        ),
        (
            lambda: rows_change(at_most=-1),
            "rows_change(at_most=-1): the share is 0 or more, as rows_change(at_most=0.5).",
        ),
        (
            lambda: fresh("since", within=timedelta(days=-1)),
            (
                'fresh("since", within=datetime.timedelta(days=-1)): the age is a timedelta from zero on, as'
                " timedelta(days=2)."
            ),
        ),
        (
            lambda: soft(between("tenure", 0), stop_above=1.0),
            'soft(between("tenure", 0, None), stop_above=1.0): the share is from 0 to below 1, as stop_above=0.1.',
        ),
        (
            lambda: soft(rows_change(at_most=1), stop_above=0.1),
            (
                "soft(rows_change(at_most=1), stop_above=0.1): rows_change looks at the whole, of which there is no"
                " share; leave stop_above out."
            ),
        ),
        (
            lambda: satisfies("schema"),  # type: ignore[arg-type]
            (
                "satisfies('schema'): it takes a named function that returns a pandera.polars.DataFrameSchema, so that"
                " declaring imports no pandera."
            ),
        ),
        (
            lambda: customers("tenure > 0"),
            WHOSE + "checks= holds 'tenure > 0'; it takes checks, as between(\"tenure\", 0, 100) or"
            " rows_change(at_most=0.5).",
        ),
        (
            lambda: customers(between("tenur", 0, 1)),
            WHOSE + 'between("tenur", 0, 1): there is no column "tenur"; its columns are id, tenure, bill, plan, since,'
            " left, visits.",
        ),
        (
            lambda: customers(between("plan", "a", "b")),
            WHOSE + 'between("plan", "a", "b"): it looks at columns of int or float or date, and this is one of str.',
        ),
        (
            lambda: customers(fresh("plan", within=timedelta(days=1))),
            WHOSE + 'fresh("plan", within=1 day): it looks at columns of date, and this is one of str.',
        ),
        (
            lambda: customers(between("tenure", date(2020, 1, 1))),
            WHOSE + 'between("tenure", 2020-01-01, None): 2020-01-01 can\'t stand in a column of int.',
        ),
        (
            lambda: customers(between("since", datetime(2020, 1, 1))),  # noqa: DTZ001  refused with any zone
            WHOSE + 'between("since", 2020-01-01T00:00:00, None): 2020-01-01T00:00:00 can\'t stand in a column of'
            " date.",
        ),
        (
            lambda: customers(one_of("tenure", [True])),
            WHOSE + 'one_of("tenure", [True]): True can\'t stand in a column of int.',
        ),
        (
            lambda: customers(unique("id")),
            WHOSE + 'unique("id"): the key "id" is unique as it is. Take the check away.',
        ),
        (
            lambda: customers(between("tenure", 0), hard(between("tenure", 0))),
            WHOSE + 'between("tenure", 0, None) stands there more than once. Keep one.',
        ),
    ],
)
def test_what_can_not_be_is_refused(make: Callable[[], object], message: str) -> None:
    """A check that can't be is refused when it is declared, with the check and the way out."""
    with pytest.raises(DeclarationError) as caught:
        make()
    assert str(caught.value) == message


def test_a_result_is_a_line() -> None:
    """A result in a manifest becomes a line with the check, its weight and what it says."""
    result = {"check": "satisfies(schema)", "weight": "soft", "says": "no row breaks it"}
    assert said_of(result) == "satisfies(schema) (soft): no row breaks it"
    assert said_of(result | {"stop_above": 0.1}) == "satisfies(schema) (soft, stops above 0.1): no row breaks it"


def test_declaring_checks_imports_nothing_heavy() -> None:
    """A declaration with checks brings neither polars nor pandera with it."""
    program = (
        "import sys; from lockstep import *;"
        " Dataset('d', source=csv('f'), key='id', columns={'n': int}, checks=[between('n', 0, 1), unique('n')]);"
        " print(sorted({'polars', 'pandera', 'pandas', 'apache_beam', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout == "[]\n"
