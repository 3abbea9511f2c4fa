"""Profiles that can be merged."""

import base64
from datetime import date
from itertools import pairwise
from random import Random

import polars as pl
import pytest
from datasketches import kll_doubles_sketch
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.data.profile import QUANTILES, Profile, finish, merge, profile_of
from lockstep.data.split import SPLIT
from lockstep.registry import canonical_json

SKETCHES = ("sketch", "frequent", "distinct_sketch")
SCHEMA = {"n": pl.Int64, "x": pl.Float64, "word": pl.String, "ok": pl.Boolean, "day": pl.Date, SPLIT: pl.String}
ROWS = st.tuples(
    st.none() | st.integers(-1000, 1000),
    st.none() | st.integers(-1000, 1000).map(lambda n: n / 8),  # eighths add up without rounding
    st.none() | st.sampled_from(["a", "b", "ä", ""]),
    st.none() | st.booleans(),
    st.none() | st.dates(date(2026, 1, 1), date(2026, 1, 5)),
    st.sampled_from(["train", "validation", "test"]),
)


def without_sketch(profile: Profile, *others: str) -> Profile:
    """The same without the sketches, whose bytes depend on the order of the parts."""
    return {
        split: {
            name: {key: value for key, value in column.items() if key not in (*SKETCHES, *others)}
            for name, column in columns.items()
        }
        for split, columns in profile.items()
    }


def plain(frame: pl.DataFrame) -> Profile:
    """The finished profile without sketches and quantiles."""
    return without_sketch(finish(profile_of(frame)), "quantiles", "quantile_error")


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=30), st.lists(st.integers(0, 30), max_size=3), st.randoms())
def test_parts_merge_to_the_whole(rows: list[tuple[object, ...]], cuts: list[int], random: Random) -> None:
    """Wherever a frame is cut and in whatever order its parts come, their profiles merge to that of the whole."""
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    bounds = [0, *sorted(min(cut, frame.height) for cut in cuts), frame.height]
    parts = [profile_of(frame[start:end]) for start, end in pairwise(bounds)]
    random.shuffle(parts)
    assert without_sketch(merge(parts)) == without_sketch(profile_of(frame))
    assert canonical_json(without_sketch(finish(merge(parts)))) == canonical_json(
        without_sketch(finish(profile_of(frame)))
    )


def test_numbers_are_described() -> None:
    """A number column shows rows, nulls, least, greatest, mean and standard deviation, for each split by itself."""
    frame = pl.DataFrame({"x": [1.0, 3.0, None, 10.0], SPLIT: ["train", "train", "train", "test"]})
    assert plain(frame) == {
        "train": {"x": {"count": 3, "nulls": 1, "min": 1.0, "max": 3.0, "mean": 2.0, "std": 1.0}},
        "test": {"x": {"count": 1, "nulls": 0, "min": 10.0, "max": 10.0, "mean": 10.0, "std": 0.0}},
    }


def test_words_are_counted() -> None:
    """Texts and bools show how often each value stands there, the commonest first and ties by name."""
    frame = pl.DataFrame(
        {"word": ["b", "a", None, "b", "c"], "ok": [True, False, True, True, None], SPLIT: ["train"] * 5}
    )
    found = without_sketch(finish(profile_of(frame)))["train"]
    exact = {"distinct": 3, "distinct_error": 0.0, "frequent_error": 0.0}
    assert found["word"] == {"count": 5, "nulls": 1, "values": {"b": 2, "a": 1, "c": 1}, **exact}
    assert list(found["word"]["values"]) == ["b", "a", "c"]
    assert found["ok"]["values"] == {"true": 3, "false": 1}


def test_only_the_commonest_values_are_shown() -> None:
    """Of many values the hundred commonest are shown, and how many there are."""
    frame = pl.DataFrame({"word": [f"w{n:03}" for n in range(300)] + ["w299"], SPLIT: ["train"] * 301})
    word = finish(profile_of(frame))["train"]["word"]
    assert (len(word["values"]), word["distinct"], next(iter(word["values"]))) == (100, 300, "w299")


def test_a_column_of_nulls_has_a_profile() -> None:
    """A column without any value has no mean and no least, also once merged."""
    frame = pl.DataFrame({"x": [None, None], SPLIT: ["train", "train"]}, schema={"x": pl.Float64, SPLIT: pl.String})
    nothing = {"count": 4, "nulls": 4, "min": None, "max": None, "mean": None, "std": None}
    found = finish(merge([profile_of(frame), profile_of(frame)]))
    assert without_sketch(found, "quantiles", "quantile_error") == {"train": {"x": nothing}}
    assert set(found["train"]["x"]["quantiles"].values()) == {None}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_no_number_count_as_nulls(value: float) -> None:
    """NaN and infinity, which a division in `clean` makes, count as nulls, and JSON can say the profile."""
    found = plain(pl.DataFrame({"x": [1.0, value], SPLIT: ["train", "train"]}))
    assert found["train"]["x"] == {"count": 2, "nulls": 1, "min": 1.0, "max": 1.0, "mean": 1.0, "std": 0.0}
    assert canonical_json(found)


def test_numbers_too_large_to_be_squared() -> None:
    """Where a sum of squares overflows, the deviation is left open, and JSON can say the profile."""
    found = plain(pl.DataFrame({"x": [1e200, 3e200], SPLIT: ["train", "train"]}))
    assert found["train"]["x"] == {"count": 2, "nulls": 0, "min": 1e200, "max": 3e200, "mean": 2e200, "std": None}
    assert canonical_json(found)


def test_quantiles_of_few_values_are_exact() -> None:
    """Of a hundred values each quantile is the value at its place, and the error is said to be none."""
    frame = pl.DataFrame({"x": [float(n) for n in range(1, 101)], SPLIT: ["train"] * 100})
    found = finish(profile_of(frame))["train"]["x"]
    assert found["quantile_error"] == 0
    assert found["quantiles"] == {str(rank): float(round(rank * 100)) for rank in QUANTILES}


def test_quantiles_of_many_values_are_near() -> None:
    """However many parts a column is merged from, in any order, no quantile is off by more than twice the error."""
    values = [float(n) for n in range(200_000)]
    Random(5).shuffle(values)  # noqa: S311  an order, not a secret
    parts = [
        profile_of(pl.DataFrame({"x": values[start : start + size], SPLIT: ["train"] * size}))
        for start, size in ((0, 100_000), (100_000, 70_000), (170_000, 29_999), (199_999, 1))
    ]
    Random(6).shuffle(parts)  # noqa: S311  an order, not a secret
    found = finish(merge(parts))["train"]["x"]
    error = found["quantile_error"]
    assert 0.005 < error < 0.01
    for rank in QUANTILES:  # the error is kept with 99 % certainty; twice of it, practically always
        assert found["quantiles"][str(rank)] / len(values) == pytest.approx(rank, abs=2 * error)
    sketch = kll_doubles_sketch.deserialize(base64.b64decode(found["sketch"]))
    assert sketch.n == len(values)
    assert len(found["sketch"]) < 16_000
