"""Simulated customers."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from demo.simulate import COMPETITOR_OPENS, file_name, simulate, write
from groups.churn import customers
from lockstep.data.rows import REASON, parse_rows

# The header of IBM's file.
IBM_COLUMNS = [
    "customerID",
    "gender",
    "SeniorCitizen",
    "Partner",
    "Dependents",
    "tenure",
    "PhoneService",
    "MultipleLines",
    "InternetService",
    "OnlineSecurity",
    "OnlineBackup",
    "DeviceProtection",
    "TechSupport",
    "StreamingTV",
    "StreamingMovies",
    "Contract",
    "PaperlessBilling",
    "PaymentMethod",
    "MonthlyCharges",
    "TotalCharges",
    "Churn",
]
IBM_WORDS = {
    **{name: {"No", "Yes"} for name in ("Partner", "Dependents", "PhoneService", "PaperlessBilling", "Churn")},
    **{name: {"No", "Yes", "No internet service"} for name in IBM_COLUMNS[9:15]},
    "gender": {"Female", "Male"},
    "SeniorCitizen": {"0", "1"},
    "MultipleLines": {"No", "Yes", "No phone service"},
    "InternetService": {"No", "DSL", "Fiber optic"},
    "Contract": {"Month-to-month", "One year", "Two year"},
    "PaymentMethod": {"Bank transfer (automatic)", "Credit card (automatic)", "Electronic check", "Mailed check"},
}
FEW = 1500


@pytest.fixture(scope="module")
def months() -> list[pl.DataFrame]:
    """The files of the first fourteen months, so long that every leaver of the first has fallen out."""
    return [simulate(month, FEW) for month in range(1, 15)]


def fibre_churn(month: pl.DataFrame) -> float:
    """Which share of a month's fibre customers has left."""
    fibre = month.filter(pl.col("InternetService") == "Fiber optic")
    return float((fibre["Churn"] == "Yes").mean())  # type: ignore[arg-type]


def other_churn(month: pl.DataFrame) -> float:
    """Which share of all other customers has left."""
    others = month.filter(pl.col("InternetService") != "Fiber optic")
    return float((others["Churn"] == "Yes").mean())  # type: ignore[arg-type]


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Month, number and seed alone decide every byte of a file, in this process and in another."""
    here = write(tmp_path / "here", 3, 200, seed=7)
    command = [
        sys.executable,
        "-m",
        "demo.simulate",
        tmp_path / "there",
        "--months",
        "3",
        "--customers",
        "200",
        "--seed",
        "7",
    ]
    said = subprocess.run(command, cwd=pytestconfig.rootpath, check=True, capture_output=True, text=True).stdout
    there = tmp_path / "there" / "customers-2026-03.csv"
    assert said.splitlines() == [str(there)]
    assert there.read_bytes() == here.read_bytes()


def test_another_seed_gives_other_customers() -> None:
    """Two seeds share neither customers nor their traits."""
    one, two = simulate(1, 200, seed=1), simulate(1, 200, seed=2)
    assert set(one["customerID"]).isdisjoint(two["customerID"])
    assert not one.drop("customerID").equals(two.drop("customerID"))


def test_a_file_looks_like_ibm_s(months: list[pl.DataFrame]) -> None:
    """A month has IBM's columns in IBM's order, all text, as many rows as asked for, and ids of IBM's form."""
    for month in months:
        assert month.columns == IBM_COLUMNS
        assert set(month.dtypes) == {pl.String}
        assert month.height == FEW
        assert month["customerID"].n_unique() == FEW
        assert month["customerID"].str.contains(r"^\d{4}-[A-Z]{5}$").all()


def test_values_are_written_as_ibm_does(months: list[pl.DataFrame]) -> None:
    """A column of words holds just the words of IBM's file, and the other columns hold numbers of IBM's form."""
    simulated = pl.concat(months)
    for name, words in IBM_WORDS.items():
        assert set(simulated[name]) == words, name
    assert simulated["tenure"].str.contains(r"^(\d|[1-6]\d|7[0-2])$").all()
    assert simulated["MonthlyCharges"].str.contains(r"^\d+(\.\d\d?)?$").all()
    assert simulated["TotalCharges"].str.contains(r"^( |\d+(\.\d\d?)?)$").all()


def test_the_declared_dataset_takes_it(months: list[pl.DataFrame]) -> None:
    """`groups.churn` can use every row, but for new customers without a bill, as in IBM's file."""
    for month in months:
        parsed = parse_rows(month, customers.schema)
        assert set(parsed.bad[REASON]) <= {"TotalCharges: blank, a float is needed"}
        assert set(parsed.bad["tenure"]) <= {"0"}
        assert parsed.bad.height < FEW / 50


def test_a_month_follows_the_one_before(months: list[pl.DataFrame]) -> None:
    """Who stayed is a month older and has paid one more bill; who had left stands there unchanged; others are new."""
    for before, after in pairwise(months):
        both = before.join(after, on="customerID", suffix="_after")
        assert FEW * 0.9 < both.height < FEW
        here = both.filter(pl.col("Churn") == "No")
        tenure, later = here["tenure"].cast(pl.Int64), here["tenure_after"].cast(pl.Int64)
        assert (later == (tenure + 1).clip(upper_bound=72)).all()
        paid = here["TotalCharges"].str.strip_chars().replace("", "0").cast(pl.Float64)
        assert (here["TotalCharges_after"].cast(pl.Float64) > paid).all()
        gone = both.filter(pl.col("Churn") == "Yes")
        assert gone.height > 0
        for name in IBM_COLUMNS[1:]:
            assert (gone[name] == gone[f"{name}_after"]).all(), name
        new = after.join(before, on="customerID", how="anti")
        assert new["tenure"].cast(pl.Int64).max() <= 1  # type: ignore[operator]


def test_no_id_is_used_again(months: list[pl.DataFrame]) -> None:
    """Who fell out of the file never comes back, and no id is given to somebody else."""
    present = [set(month["customerID"]) for month in months]
    for number, earlier in enumerate(present[:-1]):
        lost = earlier - present[number + 1]
        assert lost
        assert all(lost.isdisjoint(later) for later in present[number + 1 :])
    traits = pl.concat(months).select(
        "customerID", "gender", "SeniorCitizen", "Partner", "PhoneService", "InternetService"
    )
    assert traits.unique().height == traits["customerID"].n_unique()


def test_fibre_customers_leave_once_the_competitor_opens(months: list[pl.DataFrame]) -> None:
    """Until the competitor opens, churn keeps its level; from then on fibre customers leave, and others do not."""
    opens = COMPETITOR_OPENS - 1
    calm, after = [fibre_churn(month) for month in months[:opens]], [fibre_churn(month) for month in months[opens:]]
    assert max(calm) - min(calm) < 0.05
    assert after[0] > max(calm) + 0.15
    assert after[2] > after[1] > after[0]
    assert max(other_churn(month) for month in months) < max(other_churn(month) for month in months[:opens]) + 0.05


def test_churn_is_as_common_as_in_ibm_s_file() -> None:
    """In the first month about as many have left as in IBM's file: 26.5 % of all, 41.9 % of fibre customers."""
    month = simulate(1)
    assert (month["Churn"] == "Yes").mean() == pytest.approx(0.265, abs=0.03)
    assert fibre_churn(month) == pytest.approx(0.419, abs=0.04)


def test_a_file_appears_whole(tmp_path: Path) -> None:
    """A month is written under its name, reads back as it was simulated, and leaves nothing beside it."""
    path = write(tmp_path / "new" / "folder", 2, 50)
    assert [file.name for file in path.parent.iterdir()] == ["customers-2026-02.csv"]
    assert pl.read_csv(path, infer_schema=False).equals(simulate(2, 50))
    assert write(path.parent, 2, 50) == path


@pytest.mark.parametrize(
    ("month", "name"), [(1, "customers-2026-01.csv"), (12, "customers-2026-12.csv"), (13, "customers-2027-01.csv")]
)
def test_files_are_named_by_month(month: int, name: str) -> None:
    """Month 1 is January 2026, and years go on."""
    assert file_name(month) == name


@pytest.mark.parametrize(("month", "number"), [(0, 10), (1, 0)])
def test_numbers_below_one_are_refused(month: int, number: int) -> None:
    """Neither a month nor a number of customers below 1 can be simulated."""
    with pytest.raises(
        ValueError, match=f"^Month {month} with {number} customers can't be simulated; both start at 1.$"
    ):
        simulate(month, number)
