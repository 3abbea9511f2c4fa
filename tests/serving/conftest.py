"""The shop of the training tests, its release, and rows to decide on."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lockstep.registry import Registry
from lockstep.serving import Decider
from tests.training import shop
from tests.training.conftest import Shop, desk, released, released_template, shop_template

__all__ = ["a_row", "decider", "desk", "released", "released_template", "shop_rows", "shop_template"]


@pytest.fixture(scope="session")
def shop_rows(shop_template: Path) -> list[dict[str, Any]]:
    """Every row of the source, as text, as it was before the snapshot."""
    return pl.read_csv(shop_template / "data" / "shoppers" / "part.csv", infer_schema=False).to_dicts()


@pytest.fixture
def decider(released: Shop) -> Decider:
    """Answer from the first release."""
    made = Decider(Registry.open(released.registry.uri), [shop.graph])
    made.refresh()
    return made


@pytest.fixture
def a_row() -> dict[str, Any]:
    """One shopper, as a client of the API would describe them: labels are left out."""
    return {
        "shopper": "new",
        "age": 44,
        "visits": 3,
        "spend": 81.5,
        "region": "south",
        "rating": None,
        "secret": 0.5,
        "plan": "silver",
        "basket": 50.25,
        "buys": False,
    }
