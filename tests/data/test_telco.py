"""IBM's Telco customer churn file, as `groups.churn` declares it."""

from dataclasses import replace
from pathlib import Path

from groups.churn import customers
from lockstep.data import read_snapshot, take_snapshot
from lockstep.data.split import SPLIT
from lockstep.registry import Origin, Registry, read_manifest
from lockstep.source import csv


def test_the_real_customers(telco_csv: Path, tmp_path: Path) -> None:
    """Of the 7,043 customers 7,032 are kept; the 11 without a first bill are set aside with the reason."""
    registry = Registry.open(str(tmp_path / "registry"))
    version = take_snapshot(registry, replace(customers, source=csv(str(telco_csv))), Origin(by="tester"))
    assert (version.fact.rows, version.fact.quarantined) == (7032, 11)
    assert read_manifest(registry.objects, version.fact.manifest)["reasons"] == {
        "TotalCharges: blank, a float is needed": 11
    }
    rows = read_snapshot(registry, version)
    assert rows["customerID"].n_unique() == rows.height == 7032
    assert rows["Churn"].sum() == 1869
    assert set(rows["MultipleLines"]) == {"Yes", "No"}
    shares = dict(rows[SPLIT].value_counts(normalize=True).rows())
    assert 0.58 < shares["train"] < 0.62
