"""Sketches of words: merged in any order, within the errors that they state, and small."""

from collections import Counter
from itertools import pairwise
from random import Random

import polars as pl
from datasketches import frequent_items_error_type
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.data.profile import Profile, finish, merge, profile_of
from lockstep.data.sketches import count_error, distinct_of, read_distinct, read_words, sketch_of_words
from lockstep.data.split import SPLIT

WORDS = st.lists(st.none() | st.text(max_size=3) | st.sampled_from("abc"), min_size=1, max_size=60)


def profile(words: list[str | None], key: str | None = None) -> Profile:
    """Profile a column of words."""
    return profile_of(pl.DataFrame({"word": words, SPLIT: ["train"] * len(words)}, schema_overrides=SCHEMA), key)


SCHEMA = {"word": pl.String}


@settings(deadline=None)
@given(WORDS, st.lists(st.integers(0, 60), max_size=4), st.randoms())
def test_words_merge_in_any_order(words: list[str | None], cuts: list[int], random: Random) -> None:
    """However a column is cut and in whatever order its parts come, the counts are those of the words."""
    bounds = [0, *sorted(min(cut, len(words)) for cut in cuts), len(words)]
    parts = [profile(words[start:end]) for start, end in pairwise(bounds) if end > start]
    random.shuffle(parts)
    found = finish(merge(parts))["train"]["word"]
    expected = Counter(word for word in words if word is not None)
    sketch = read_words(found["frequent"])
    items = sketch.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES)
    assert {word: (estimate, low, high) for word, estimate, low, high in items} == {
        word: (count, count, count) for word, count in expected.items()
    }
    assert (found["frequent_error"], found["distinct"], found["distinct_error"]) == (0, len(expected), 0)
    assert distinct_of(read_distinct(found["distinct_sketch"]))[0] == len(expected)


def many(seed: int, rows: int = 40_000) -> list[str | None]:
    """Draw words of which some are common and most stand there once or twice."""
    random = Random(seed)  # noqa: S311  words, not secrets
    return [f"w{int(random.paretovariate(0.35)) % 50_000}" for _ in range(rows)]


def test_many_words_are_within_the_error() -> None:
    """Of more words than a sketch holds, in parts that come in any order, no count is off by more than is stated."""
    words = many(1)
    parts = [profile(words[start : start + 8_000]) for start in range(0, len(words), 8_000)]
    for seed in (2, 3):
        Random(seed).shuffle(parts)  # noqa: S311  an order, not a secret
        found = finish(merge(parts))["train"]["word"]
        expected = Counter(words)
        sketch, error = read_words(found["frequent"]), found["frequent_error"] * len(words)
        assert 0 < found["frequent_error"] < 0.01
        assert all(abs(sketch.get_estimate(word) - count) <= error for word, count in expected.items())
        assert abs(found["distinct"] - len(expected)) <= 2 * found["distinct_error"] * len(expected)
        assert 0 < found["distinct_error"] < 0.04
        assert len(found["frequent"]) < 40_000
        assert len(found["distinct_sketch"]) < 4_000


def test_size_does_not_grow_with_the_rows() -> None:
    """Five times as many rows make no larger sketches."""
    small, large = (finish(profile(many(4, rows)))["train"]["word"] for rows in (20_000, 100_000))
    assert len(large["frequent"]) < 1.3 * len(small["frequent"])
    assert len(large["distinct_sketch"]) < 1.3 * len(small["distinct_sketch"])


def test_the_key_is_not_sketched() -> None:
    """Of the key it is said how many there are, and some of them."""
    found = finish(merge([profile(["a", "b"], "word"), profile(["c"], "word")]))["train"]["word"]
    assert found == {"count": 3, "nulls": 0, "values": {"a": 1, "b": 1, "c": 1}, "distinct": 3, "distinct_error": 0.0}


def test_long_texts_that_begin_alike_are_one() -> None:
    """A sketch holds a hundred characters of a word, so that its size does not depend on what a text says."""
    sketch = read_words(sketch_of_words({"x" * 5_000: 2, "x" * 6_000: 3, "y": 1}))
    assert sketch.get_estimate(f"{'x' * 99}…") == 5
    assert count_error(sketch) == 0
