"""How scores are spread: exact of rows that are at hand, within a stated error of what was put together."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.training.spread import merged, spread_of

VALUES = st.floats(-1e6, 1e6).map(lambda value: 0.0 if abs(value) < 1e-6 else value)


def test_the_spread_is_exact_and_small() -> None:
    """Quantiles are values that are there, from the least to the greatest, as many for a million rows as for three."""
    values = np.random.default_rng(1).random(100_000)
    (found,) = spread_of((False, True), np.stack([1 - values, values], axis=1)).values()
    assert found["mean"] == pytest.approx(values.mean())
    assert found["quantiles"] == sorted(set(found["quantiles"]))
    assert {*found["quantiles"]} <= {*values.tolist()}
    assert (found["quantiles"][0], found["quantiles"][-1]) == (values.min(), values.max())
    for place in (10, 50, 90):
        assert np.mean(values <= found["quantiles"][place]) == pytest.approx(place / 100, abs=1e-5)
    few = spread_of((), np.array([[1.0], [2.0], [3.0]]))
    assert len(few["value"]["quantiles"]) == len(found["quantiles"]) == 101
    assert list(spread_of(("a", "b", "c"), np.full((2, 3), 1 / 3))) == ["a", "b", "c"]


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=40), min_size=2, max_size=4))
def test_probabilities_are_put_together(sides: list[list[float]]) -> None:
    """The spread of parts put together is that of all rows: counts are equal, quantiles within the error."""
    _check(sides, (False, True))


@given(st.lists(st.lists(VALUES, min_size=1, max_size=40), min_size=2, max_size=4))
def test_values_are_put_together(sides: list[list[float]]) -> None:
    """So are values, above and below 0, whose error is a share of each."""
    _check(sides, ())


def test_bins_do_not_grow_with_rows() -> None:
    """A million scores have no more bins than there are, and values over twelve orders of magnitude a few thousand."""
    dice = np.random.default_rng(1)
    (shares,) = spread_of((False, True), dice.random((1_000_000, 2))).values()
    (values,) = spread_of((), 10 ** dice.uniform(-6, 6, (1_000_000, 1))).values()
    assert len(shares["bins"]) == 1_000
    assert len(values["bins"]) < 1_500
    assert len(json.dumps(shares)) < 20_000


def test_two_kinds_are_not_put_together() -> None:
    """A probability and a value have no bins in common."""
    (share,), (value,) = (spread_of(classes, np.ones((1, 1))).values() for classes in ((False, True), ()))
    with pytest.raises(ValueError, match="no bins in common"):
        merged(share, value)


def _check(sides: list[list[float]], classes: tuple[bool, ...]) -> None:
    (whole,) = spread_of(classes, np.concatenate(sides)[:, None]).values()
    spreads = [next(iter(spread_of(classes, np.asarray(side)[:, None]).values())) for side in sides]
    for order in (spreads, spreads[::-1]):
        found, *rest = order
        for other in rest:
            found = merged(found, other)
        assert (found["rows"], found["bins"], found["error"]) == (whole["rows"], whole["bins"], whole["error"])
        scale = max(map(abs, whole["quantiles"])) + 1
        assert found["mean"] == pytest.approx(whole["mean"], abs=1e-9 * scale)
        assert found["deviation"] == pytest.approx(whole["deviation"], abs=1e-6 * scale)
        for one, exact in zip(found["quantiles"], whole["quantiles"], strict=True):
            by = 2 * found["error"].get("absolute", 0) + 2 * found["error"].get("relative", 0) * abs(exact) + 1e-9
            assert one == pytest.approx(exact, abs=by)
        assert all(low <= high for low, high in pairwise(found["quantiles"]))
