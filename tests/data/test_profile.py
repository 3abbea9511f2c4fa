"""Profiles that can be merged."""

from datetime import date
from itertools import pairwise
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.data.profile import finish, merge, profile_of
from lockstep.data.split import SPLIT
from lockstep.registry import canonical_json

SCHEMA = {"n": pl.Int64, "x": pl.Float64, "word": pl.String, "ok": pl.Boolean, "day": pl.Date, SPLIT: pl.String}
ROWS = st.tuples(
    st.none() | st.integers(-1000, 1000),
    st.none() | st.integers(-1000, 1000).map(lambda n: n / 8),  # eighths add up without rounding
    st.none() | st.sampled_from(["a", "b", "ä", ""]),
    st.none() | st.booleans(),
    st.none() | st.dates(date(2026, 1, 1), date(2026, 1, 5)),
    st.sampled_from(["train", "validation", "test"]),
)


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=30), st.lists(st.integers(0, 30), max_size=3), st.randoms())
def test_parts_merge_to_the_whole(rows: list[tuple[object, ...]], cuts: list[int], random: Random) -> None:
    """Wherever a frame is cut and in whatever order its parts come, their profiles merge to that of the whole."""
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    bounds = [0, *sorted(min(cut, frame.height) for cut in cuts), frame.height]
    parts = [profile_of(frame[start:end]) for start, end in pairwise(bounds)]
    random.shuffle(parts)
    assert merge(parts) == profile_of(frame)
    assert canonical_json(finish(merge(parts))) == canonical_json(finish(profile_of(frame)))


def test_numbers_are_described() -> None:
    """A number column shows rows, nulls, least, greatest, mean and standard deviation, for each split by itself."""
    frame = pl.DataFrame({"x": [1.0, 3.0, None, 10.0], SPLIT: ["train", "train", "train", "test"]})
    assert finish(profile_of(frame)) == {
        "train": {"x": {"count": 3, "nulls": 1, "min": 1.0, "max": 3.0, "mean": 2.0, "std": 1.0}},
        "test": {"x": {"count": 1, "nulls": 0, "min": 10.0, "max": 10.0, "mean": 10.0, "std": 0.0}},
    }


def test_words_are_counted() -> None:
    """Texts and bools show how often each value stands there, the commonest first and ties by name."""
    frame = pl.DataFrame(
        {"word": ["b", "a", None, "b", "c"], "ok": [True, False, True, True, None], SPLIT: ["train"] * 5}
    )
    found = finish(profile_of(frame))["train"]
    assert found["word"] == {"count": 5, "nulls": 1, "values": {"b": 2, "a": 1, "c": 1}, "distinct": 3}
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
    assert finish(merge([profile_of(frame), profile_of(frame)])) == {"train": {"x": nothing}}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_no_number_count_as_nulls(value: float) -> None:
    """NaN and infinity, which a division in `clean` makes, count as nulls, and JSON can say the profile."""
    found = finish(profile_of(pl.DataFrame({"x": [1.0, value], SPLIT: ["train", "train"]})))
    assert found["train"]["x"] == {"count": 2, "nulls": 1, "min": 1.0, "max": 1.0, "mean": 1.0, "std": 0.0}
    assert canonical_json(found)


def test_numbers_too_large_to_be_squared() -> None:
    """Where a sum of squares overflows, the deviation is left open, and JSON can say the profile."""
    found = finish(profile_of(pl.DataFrame({"x": [1e200, 3e200], SPLIT: ["train", "train"]})))
    assert found["train"]["x"] == {"count": 2, "nulls": 0, "min": 1e200, "max": 3e200, "mean": 2e200, "std": None}
    assert canonical_json(found)
