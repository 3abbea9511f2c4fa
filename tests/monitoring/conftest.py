"""A released shop, real customers, and simulated ones."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from demo.simulate import simulate
from groups.churn import clean_customers, customers
from lockstep.data import parse_rows
from tests.data.conftest import telco_csv
from tests.training.conftest import released, released_template, shop_template

__all__ = ["released", "released_template", "shop_template", "telco_csv"]


@pytest.fixture
def dice() -> np.random.Generator:
    """Chance, the same in each run."""
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def month() -> Callable[[int], pl.DataFrame]:
    """The cleaned customers of a simulated month, each made once."""
    made: dict[int, pl.DataFrame] = {}

    def of(number: int) -> pl.DataFrame:
        if number not in made:
            made[number] = clean_customers(parse_rows(simulate(number), customers.schema).good)
        return made[number]

    return of
