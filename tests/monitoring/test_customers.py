"""Drift in data that nothing was tuned on by hand: real customers, simulated months, and scikit-learn's own data."""

from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_diabetes, load_digits

from demo.simulate import COMPETITOR_OPENS, months
from groups.churn import clean_customers, customers
from lockstep.data import parse_rows
from lockstep.monitoring import DriftReport, Limits, Verdict, measure_rows

SEED = 300  # any


def held(one: pl.DataFrame, other: pl.DataFrame) -> DriftReport:
    """Hold customers against customers."""
    return measure_rows(one, other, dataset="customers", key="customerID", labels=["Churn", "Contract"])


@pytest.fixture(scope="module")
def telco(telco_csv: Path) -> pl.DataFrame:
    """Read and clean the real customers."""
    return clean_customers(parse_rows(pl.read_csv(telco_csv, infer_schema=False), customers.schema).good)


def test_real_customers_by_tenure(telco: pl.DataFrame) -> None:
    """Those who came in the last two years are others than those before, in bills, contracts and churn."""
    is_new = pl.col("tenure") <= 24
    report = held(telco.filter(~is_new), telco.filter(is_new))
    assert report.verdict is Verdict.DRIFT
    assert {report.column(name).verdict for name in ("tenure", "TotalCharges", "Contract", "Churn")} == {Verdict.DRIFT}
    assert report.column("gender").verdict is Verdict.QUIET
    assert report.column("PhoneService").verdict is Verdict.QUIET
    assert report.classifier.auc == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize("seed", range(6))
def test_real_customers_by_chance(telco: pl.DataFrame, seed: int) -> None:
    """Split by chance, nothing has even moved."""
    is_new = pl.Series(np.random.default_rng(seed).random(telco.height) < 0.5)
    report = held(telco.filter(~is_new), telco.filter(is_new))
    assert {one.verdict for one in (*report.columns, report.classifier, report)} == {Verdict.QUIET}
    assert report.says.startswith("What is new (")


def test_the_month_of_the_competitor(month: Callable[[int], pl.DataFrame]) -> None:
    """The months before are quiet; the first month with the competitor is not, since more customers have left."""
    for number in range(2, COMPETITOR_OPENS):
        assert held(month(1), month(number)).verdict is Verdict.QUIET
    for before in (1, COMPETITOR_OPENS - 1):
        report = held(month(before), month(COMPETITOR_OPENS))
        assert report.verdict is Verdict.DRIFT
        assert report.says.endswith(": label Churn.")
        assert report.column("Churn").says.startswith("Label Churn has drifted: true went from ")


@pytest.mark.slow
def test_two_quiet_years() -> None:
    """Of 24 months without a competitor, none is said to differ from the month before; the first with one is."""
    pairs = pairwise(islice(months(seed=SEED, opens=26), 26))
    reports = [held(_cleaned(before), _cleaned(now)) for before, now in pairs]
    assert [report.verdict for report in reports] == [Verdict.QUIET] * 24 + [Verdict.DRIFT]
    assert reports[-1].says.endswith(": label Churn.")


def _cleaned(text: pl.DataFrame) -> pl.DataFrame:
    return clean_customers(parse_rows(text, customers.schema).good)


def test_planted_in_data_of_others(dice: np.random.Generator) -> None:
    """In scikit-learn's diabetes patients and digits, chance is quiet, and what was planted is all that is found."""
    limits = Limits(rows=100)
    for data, name, by in ((load_diabetes(), "x2", 0.05), (load_digits(), "x20", 5.0)):
        frame = pl.DataFrame({f"x{place}": data.data[:, place] for place in range(data.data.shape[1])})
        frame = frame.with_columns(pl.format("k{}", pl.int_range(pl.len())).alias("key"))
        is_new = pl.Series(dice.random(frame.height) < 0.5)
        one, other = frame.filter(~is_new), frame.filter(is_new)
        assert measure_rows(one, other, dataset="x", key="key", limits=limits).verdict is Verdict.QUIET
        planted = measure_rows(one, other.with_columns(pl.col(name) + by), dataset="x", key="key", limits=limits)
        found = [column.name for column in planted.columns if column.verdict is Verdict.DRIFT]
        assert (planted.verdict, found) == (Verdict.DRIFT, [name])
