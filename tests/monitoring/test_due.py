"""What becomes of the conditions for a retraining, given the facts."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from lockstep import age, all_of, any_of, decision_rate_moves, drift, rows_added
from lockstep.decisions import Share
from lockstep.monitoring import DecisionDrift, DriftReport, measure_rows
from lockstep.monitoring.due import Facts, answer, is_met

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def rows(shift: float, count: int, first: int) -> pl.DataFrame:
    """Two columns of numbers, of which one is shifted."""
    dice = np.random.default_rng(first)
    return pl.DataFrame(
        {
            "id": [f"r{number}" for number in range(first, first + count)],
            "income": dice.normal(shift, 1, count),
            "height": dice.normal(0, 1, count),
        }
    )


@pytest.fixture(scope="module")
def report() -> Callable[[float, int], DriftReport]:
    """A thousand rows held against so many that are shifted."""

    def make(shift: float, count: int) -> DriftReport:
        return measure_rows(rows(0, 1000, 0), rows(shift, count, 5000), dataset="people", key="id")

    return make


def facts(*reports: DriftReport, days: float = 10) -> Facts:
    """The facts ten days after the training."""
    return Facts(now=NOW, trained=NOW - timedelta(days=days), reports=reports)


def weighted(report: DriftReport, **weights: float) -> DriftReport:
    """The report where the models look at some columns."""
    return replace(report, columns=tuple(replace(one, weight=weights.get(one.name)) for one in report.columns))


def decided(report: DriftReport, before: int, now: int, p: float) -> DriftReport:
    """The report where of a thousand rows so many get an offer."""
    one = DecisionDrift(
        threshold="offer",
        decision="yes",
        reference=Share(part=before, whole=1000),
        current=Share(part=now, whole=1000),
        p=p,
        p_corrected=p,
    )
    return replace(report, decisions=(one,))


def test_a_column_that_drifts_is_named_with_how_sure_it_is(report: Callable[[float, int], DriftReport]) -> None:
    """Its index, its p value, and its weight stand in the sentence; what does not drift is named where nothing does."""
    found = answer(drift(psi=0.2, columns="all"), facts(weighted(report(1.0, 1000), income=0.6, height=0.4)))
    assert found.is_met is True
    assert found.says.startswith("income ")
    assert "(p < 0.001), 60% of what the models look at" in found.says
    assert "height" not in found.says
    quiet = answer(drift(psi=0.2, columns="all"), facts(report(0.0, 1000)))
    assert quiet.is_met is False
    assert quiet.says.startswith("the farthest of 2 is ")


def test_only_important_columns_count(report: Callable[[float, int], DriftReport]) -> None:
    """A column that no model looks at is no reason, unless all count or it is named."""
    held = facts(weighted(report(1.0, 1000), income=0.001, height=0.999))
    assert answer(drift(psi=0.2), held).is_met is False
    assert answer(drift(psi=0.2, columns="all"), held).is_met is True
    assert answer(drift(psi=0.2, columns=["income"]), held).is_met is True
    assert answer(drift(psi=0.2, columns=["height"]), held).is_met is False
    assert answer(drift(psi=0.2, columns=["age"]), held).is_met is None
    assert "no column age was compared; there are" in answer(drift(psi=0.2, columns=["age"]), held).says


def test_indices_are_weighted_by_importance(report: Callable[[float, int], DriftReport]) -> None:
    """The same shift weighs much or little; without weights nobody can say."""
    shifted = report(1.0, 1000)
    psi = shifted.column("income").psi
    assert psi is not None
    much, little = weighted(shifted, income=0.9, height=0.1), weighted(shifted, income=0.1, height=0.9)
    assert answer(drift(psi=psi / 2, columns="weighted"), facts(much)).is_met is True
    assert answer(drift(psi=psi / 2, columns="weighted"), facts(little)).is_met is False
    assert answer(drift(psi=0.01, columns="weighted"), facts(shifted)).is_met is None


def test_too_few_rows_are_no_reason(report: Callable[[float, int], DriftReport]) -> None:
    """What can't be said is told as that, and does not meet a rule."""
    held = facts(report(3.0, 50))
    found = answer(drift(psi=0.2, columns="all"), held)
    assert found.is_met is None
    assert found.says == "no such column could be compared: too few rows"
    assert not is_met(any_of(drift(psi=0.2, columns="all")), held)


def test_decisions_count_where_they_are_sure(report: Callable[[float, int], DriftReport]) -> None:
    """A share that moves far enough, and surely, of any threshold or of those named."""
    quiet = report(0.0, 1000)
    sure, unsure = decided(quiet, 200, 300, 1e-6), decided(quiet, 200, 300, 0.2)
    found = answer(decision_rate_moves(0.05), facts(sure))
    assert (found.is_met, found.says) == (True, '"offer says yes" went from 20.0% to 30.0% of the rows (p < 0.001)')
    assert answer(decision_rate_moves(0.15), facts(sure)).is_met is False
    assert answer(decision_rate_moves(0.05), facts(unsure)).is_met is False
    assert answer(decision_rate_moves(0.05, "call"), facts(sure)).is_met is None
    assert answer(decision_rate_moves(0.05), facts(quiet)).is_met is None


def test_rows_and_age(report: Callable[[float, int], DriftReport]) -> None:
    """A limit is met by what is equal to it."""
    held = facts(report(0.0, 1100), days=30)
    assert answer(rows_added(0.1), held).is_met is True
    assert answer(rows_added(0.11), held).is_met is False
    assert answer(age(days=30), held).is_met is True
    assert answer(age(days=30.1), held).is_met is False


def test_rules_are_put_together(report: Callable[[float, int], DriftReport]) -> None:
    """Any or all of them, in any depth."""
    held = facts(report(0.0, 1000), days=30)
    assert is_met(any_of(rows_added(0.5), age(days=30)), held)
    assert not is_met(all_of(rows_added(0.5), age(days=30)), held)
    assert is_met(all_of(age(days=1), any_of(rows_added(0.5), age(days=2))), held)


def test_a_label_counts_by_its_shares() -> None:
    """Where a tenth of the rows says something else, the index stays small, and the label drifts."""
    dice = np.random.default_rng(3)
    before, now = (
        rows(0, 2000, first).with_columns(left=pl.Series(dice.random(2000) < share))
        for first, share in ((0, 0.2), (5000, 0.3))
    )
    held = measure_rows(before, now, dataset="people", key="id", labels=["left"])
    found = answer(drift(psi=0.2), facts(held))
    assert (held.column("left").psi or 0.0) < 0.2
    assert found.is_met is True
    assert "label left, of which a share moves by " in found.says
