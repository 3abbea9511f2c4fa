"""Small datasets, and files to make them from."""

import json
import os
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from lockstep.data.sources import DATA_VARIABLE
from lockstep.declare import Dataset, by_hash
from lockstep.source import csv

PROJECT = Path(__file__).parents[2]
TELCO_VARIABLE = "LOCKSTEP_TELCO_CSV"

Clean = Callable[[pl.DataFrame], pl.DataFrame]
DatasetMaker = Callable[..., Dataset]
FileWriter = Callable[[str, Sequence[str]], Path]


@pytest.fixture(scope="session")
def visits() -> DatasetMaker:
    """Makes the dataset "visits" of a pattern and a `clean`: one column of each type, `rating` may be blank."""

    def make(pattern: str = "visits/*.csv", clean: Clean | None = None) -> Dataset:
        return Dataset(
            "visits",
            source=csv(pattern),
            key="visit",
            columns={"guests": int, "bill": float, "table": str, "regular": bool, "day": date, "rating": int | None},
            clean=clean,
            split=by_hash(test=0.2, validation=0.2),
        )

    return make


@pytest.fixture
def write_lines(tmp_path: Path) -> FileWriter:
    """Writes lines into a new file under `tmp_path`."""

    def write(name: str, lines: Sequence[str]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(f"{line}\n" for line in lines).encode())
        return path

    return write


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder at which relative patterns start."""
    folder = tmp_path / "in"
    folder.mkdir()
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    return folder


@pytest.fixture(scope="session")
def telco_csv() -> Path:
    """IBM's Telco customer churn file; the test is skipped where it is not."""
    place = PROJECT.parent / "shared" / "data" / "telco-customer-churn.csv"
    path = Path(os.environ.get(TELCO_VARIABLE) or place)
    if not path.is_file():
        pytest.skip(
            f"The Telco churn file is not at {path}: put it at ../shared/data/telco-customer-churn.csv beside the"
            f" project, or name its place in {TELCO_VARIABLE}."
        )
    return path


@pytest.fixture(scope="session")
def as_json() -> Callable[..., str]:
    """A row the way that the quarantine keeps it."""

    def dump(**cells: object) -> str:
        return json.dumps(cells, separators=(",", ":"), ensure_ascii=False)

    return dump
