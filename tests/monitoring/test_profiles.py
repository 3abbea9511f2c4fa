"""Drift by profiles alone: the columns' figures are those of rows, and nothing is said that needs rows."""

from collections.abc import Callable

import polars as pl
import pytest

from lockstep.data.profile import Profile, finish, profile_of
from lockstep.monitoring import DriftReport, Profiled, Verdict, measure_profiles, measure_rows

Month = Callable[[int], pl.DataFrame]
TARGETS = {"churn": "Churn", "churn_reason": "Contract"}
KEY = "customerID"


def profiled(rows: pl.DataFrame, name: str, key: str = KEY) -> Profiled:
    """A snapshot of rows, by its profile."""
    whole: Profile = profile_of(rows.with_columns(pl.lit("train").alias("_split")), key)
    columns = {column: str(kind) for column, kind in rows.schema.items()}
    return Profiled(name=name, digest=name, rows=rows.height, columns=columns, profile=finish(whole))


def held(one: Profiled, other: Profiled, private: frozenset[str] = frozenset()) -> DriftReport:
    """One against the other."""
    report = measure_profiles(one, other, dataset="customers", key=KEY, targets=TARGETS, private=private)
    assert report is not None
    return report


def test_columns_are_as_rows_say(month: Month) -> None:
    """Where the sketches still hold all values, each column's figures are those that rows give."""
    sides = [month(number).head(390) for number in (3, 4)]
    report = held(*(profiled(rows, f"customers@{number}") for number, rows in enumerate(sides, start=1)))
    of_rows = measure_rows(*sides, dataset="customers", key=KEY, labels=set(TARGETS.values()))
    assert {column.name for column in report.columns} == set(sides[0].columns) - {KEY}
    for column in report.columns:
        twin = of_rows.column(column.name)
        assert column.role is twin.role
        if column.psi is not None and twin.psi is not None and column.doubt == 0:
            assert column.psi == pytest.approx(twin.psi, abs=1e-6)


def test_what_needs_rows_is_not_said(month: Month) -> None:
    """No score, no decision, and no word of a classifier; the verdict hangs on columns alone."""
    report = held(profiled(month(1), "customers@1"), profiled(month(2), "customers@2"))
    assert (report.scores, report.decisions, report.models) == ((), (), {})
    assert report.classifier.auc is None
    assert report.verdict in (Verdict.QUIET, Verdict.MOVED)


def test_what_moves_is_found(month: Month) -> None:
    """A column whose values grow by half has drifted, and the sentence names it."""
    rows = month(2)
    richer = rows.with_columns(pl.col("MonthlyCharges") * 1.5)
    report = held(profiled(rows, "customers@1"), profiled(richer, "customers@2"))
    assert report.verdict is Verdict.DRIFT
    assert "MonthlyCharges" in report.says


def test_no_value_of_a_private_column_is_said(month: Month) -> None:
    """Of a private column there are figures, and no text that stands in it."""
    rows = month(2)
    moved = rows.with_columns(pl.lit("Barter").alias("PaymentMethod"))
    report = held(profiled(rows, "customers@1"), profiled(moved, "customers@2"), frozenset({"PaymentMethod"}))
    column = report.column("PaymentMethod")
    assert column.verdict is Verdict.DRIFT
    assert "Barter" not in str(report.as_json())
    assert not {"Electronic check", "Mailed check"} & {one.label for one in column.bins}


def test_an_old_profile_says_nothing(month: Month) -> None:
    """A profile without sketches can't be held against another, and is not guessed at."""
    new = profiled(month(1), "customers@1")
    bare = {
        split: {
            name: {key: value for key, value in column.items() if key != "sketch"} for name, column in columns.items()
        }
        for split, columns in new.profile.items()
    }
    old = Profiled(name="customers@0", digest="0", rows=new.rows, columns=new.columns, profile=bare)
    assert measure_profiles(old, new, dataset="customers", key=KEY, targets=TARGETS) is None
