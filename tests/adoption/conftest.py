"""The biopsies of the command line's tests, and the linear model as somebody trained it without Lockstep."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from groups.biopsy import COLUMNS, linear
from tests.cli.conftest import biopsies, desk, run, settings, staged, template

__all__ = ["biopsies", "desk", "run", "settings", "staged", "template"]


@pytest.fixture(scope="session")
def rows(biopsies: Path) -> pl.DataFrame:
    """Read the file, as somebody with a notebook would."""
    return pl.read_csv(biopsies / "biopsies/biopsies.csv")


@pytest.fixture(scope="session")
def theirs(rows: pl.DataFrame) -> Any:  # noqa: ANN401  scikit-learn estimators share no type
    """Fit on the first 300 biopsies."""
    return linear().fit(rows.select(COLUMNS).head(300), rows["malignant"].head(300).to_numpy())
