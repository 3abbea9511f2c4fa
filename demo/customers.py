"""The data of the demo: simulated months or a file of the user's own, and biopsies for the second group."""

import csv
import shutil
from pathlib import Path
from typing import Protocol

import polars as pl

from demo import simulate

__all__ = ["Customers", "OwnFile", "Simulated", "write_biopsies"]


class Customers(Protocol):
    """Where the months come from."""

    def arrive(self, folder: Path, month: int) -> str | None:
        """Put a month's customers into the folder, in place of the month before; None if no new ones come."""


class Simulated:
    """Months of the simulator; the month before moves to `earlier/`, out of the source's sight."""

    def arrive(self, folder: Path, month: int) -> str:
        """Write the month."""
        earlier = folder / "earlier"
        for file in folder.glob("*.csv"):
            earlier.mkdir(exist_ok=True)
            file.rename(earlier / file.name)
        path = simulate.write(folder, month)
        return f"{simulate.CUSTOMERS} simulated customers of month {month} ({path.name})"


class OwnFile:
    """One real file; it stays what it is, so that no later month comes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def arrive(self, folder: Path, month: int) -> str | None:
        """Copy the file, in the first month."""
        if month > 1:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._path, folder / self._path.name)
        return f"the customers in {self._path.name}"


def one_of(folder: Path) -> dict[str, str]:
    """A customer who can be decided on: the first row without blanks."""
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                if all((value or "").strip() for value in row.values()):
                    return row
    raise LookupError(f"{folder} holds no row without blanks.")


def write_biopsies(folder: Path) -> Path:
    """Write scikit-learn's breast cancer data (569 biopsies) as a CSV file in the columns of `groups.biopsy`."""
    from sklearn.datasets import load_breast_cancer

    from groups.biopsy import COLUMNS

    found = load_breast_cancer()
    values = dict(zip(found.feature_names, found.data.T, strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "biopsies.csv"
    pl.DataFrame(
        {"sample": [f"b{number:03}" for number in range(len(found.target))]}
        | {name: values[name] for name in COLUMNS}
        | {"malignant": found.target == 0}
    ).write_csv(path)
    return path
