"""Sides: fair samples of bounded size, and no key on both."""

import numpy as np
import polars as pl
import pytest

from lockstep.monitoring.limits import Limits
from lockstep.monitoring.sides import Reservoir, side_of_rows


def test_a_reservoir_is_fair_and_bounded() -> None:
    """Whichever batch a row comes in, it is as likely as the others to be kept, and no more are held than asked for."""
    counts = np.zeros(1_000)
    for seed in range(200):
        reservoir = Reservoir(100, seed)
        for start, end in ((0, 10), (10, 600), (600, 990), (990, 1_000)):
            reservoir.add(pl.DataFrame({"x": range(start, end)}))
            assert sum(part.height for part in reservoir._held) <= 200
        kept = reservoir.result()
        assert (kept.height, kept.columns) == (100, ["x"])
        counts[kept["x"].to_numpy()] += 1
    for batch in (slice(0, 10), slice(10, 600), slice(600, 990), slice(990, 1_000)):
        spread = np.sqrt(20 / len(counts[batch]))  # of a mean of that many rows
        assert counts[batch].mean() == pytest.approx(20, abs=5 * spread)


def test_few_rows_are_all_kept() -> None:
    """A reservoir that is never full holds every row, and an empty one none."""
    reservoir = Reservoir(100, 1)
    assert reservoir.result().is_empty()
    reservoir.add(pl.DataFrame({"x": [1, 2, 3]}))
    assert sorted(reservoir.result()["x"]) == [1, 2, 3]


def test_no_key_is_on_both_sides() -> None:
    """Of the same rows on both sides, each row is on one of them, and both get about a half."""
    rows = pl.DataFrame({"key": [f"k{number}" for number in range(2_000)], "x": 1.0})
    one, other = (set(side_of_rows(rows, "key", "x", place, Limits()).rows["key"]) for place in (0, 1))
    assert not one & other
    assert len(one | other) == 2_000
    assert len(one) == pytest.approx(1_000, abs=120)
