"""What checks say of all rows together."""

import logging
from datetime import date, timedelta

import pytest

from lockstep import Dataset, between, blanks, csv, fresh, hard, quarantined, rows_change, soft
from lockstep.checks import Check
from lockstep.data.checking import Broken, Tally
from lockstep.data.verdict import Counted, results_of, stop_if_broken
from lockstep.errors import CheckFailed

TODAY = date(2026, 3, 10)
AGE = between("age", 0, 120)
WHY = "age: 130 is not between 0 and 120"
BREAK = f"100 rows break it, first f.csv, line 7: {WHY}"
TWO_DAYS = "the newest date is 2026-03-08, 2 days before 2026-03-10"
LAST = "100 rows where the last snapshot has"


def people(*checks: Check) -> Dataset:
    """Declare people with checks."""
    columns = {"age": int | None, "seen": date}
    return Dataset("people", source=csv("people.csv"), key="id", columns=columns, checks=checks)


def counted(*, broken: int = 0, blank: int = 0, newest: date | None = TODAY, before: int | None = 100) -> Counted:
    """Of 100 rows, so many that break the check of ages, so many blanks, and what else a verdict needs."""
    first = ("f.csv", 7, WHY)
    tally = Tally(
        rows=100,
        broken={str(AGE): Broken(rows=broken, first=first)} if broken else {},
        blank={"age": blank},
        newest={"seen": newest} if newest else {},
    )
    return Counted(tally=tally, kept=100 - broken, quarantined=broken, before=before, today=TODAY)


DAYS = [timedelta(days=days) for days in range(3)]
OLD = date(2026, 3, 8)


@pytest.mark.parametrize(
    ("check", "found", "is_kept", "stops", "says"),
    [
        (AGE, counted(), True, False, "no row breaks it"),
        (AGE, counted(broken=2), False, False, f"2 of {BREAK}"),
        (hard(AGE), counted(broken=1), False, True, f"1 of {BREAK}"),
        (soft(AGE, stop_above=0.1), counted(broken=10), False, False, f"10 of {BREAK}"),
        (soft(AGE, stop_above=0.1), counted(broken=11), False, True, f"11 of {BREAK}"),
        (blanks("age", at_most=0.2), counted(blank=20), True, False, "20 of 100 rows are blank there"),
        (blanks("age", at_most=0.2), counted(blank=21), False, True, "21 of 100 rows are blank there"),
        (soft(blanks("age", at_most=0.2)), counted(blank=21), False, False, "21 of 100 rows are blank there"),
        (fresh("seen", within=DAYS[2]), counted(newest=OLD), True, False, TWO_DAYS),
        (fresh("seen", within=DAYS[1]), counted(newest=OLD), False, True, TWO_DAYS),
        (fresh("seen", within=DAYS[1]), counted(newest=None), False, True, 'there is no date in "seen"'),
        (rows_change(at_most=0.5), counted(before=None), True, False, "there is no earlier snapshot"),
        (rows_change(at_most=0.5), counted(before=200), True, False, f"{LAST} 200 (-50.0%)"),
        (rows_change(at_most=0.5), counted(before=201), False, True, f"{LAST} 201 (-50.2%)"),
        (rows_change(at_most=0.5), counted(before=66), False, True, f"{LAST} 66 (+51.5%)"),
        (quarantined(at_most=0.05), counted(broken=5), True, False, "5 of 100 rows are set aside"),
        (quarantined(at_most=0.05), counted(broken=6), False, True, "6 of 100 rows are set aside"),
    ],
)  # fmt: skip
def test_the_verdict_of_each_check(check: Check, found: Counted, *, is_kept: bool, stops: bool, says: str) -> None:
    """A check is kept up to its bound and broken beyond it; a hard one stops, a soft one only beyond its share."""
    (result,) = results_of(people(check), found)
    assert (result.is_kept, result.stops, result.says) == (is_kept, stops, says)


def test_all_that_stop_it_are_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """The error names each check that stops the snapshot and no other; the log has a line for each check."""
    dataset = people(hard(AGE), rows_change(at_most=0.1), blanks("age", at_most=0), soft(quarantined(at_most=0)))
    with caplog.at_level(logging.INFO), pytest.raises(CheckFailed) as caught:
        stop_if_broken(dataset, results_of(dataset, counted(broken=20)))
    assert str(caught.value) == (
        'Dataset "people": no snapshot was taken, and staging and production stay as they are, because 2 of its 4'
        ' checks stop it. between("age", 0, 120) (hard): 20 of 100 rows break it, first f.csv, line 7: age: 130 is not'
        " between 0 and 120; rows_change(at_most=0.1) (hard): 80 rows where the last snapshot has 100 (-20.0%). Correct"
        " the source, or the checks of the declaration."
    )
    assert [(record.levelname, record.getMessage().partition(":")[0]) for record in caplog.records] == [
        ("WARNING", "people"),
        ("WARNING", "people"),
        ("INFO", "people"),
        ("WARNING", "people"),
    ]
