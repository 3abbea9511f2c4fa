"""Sketches of a column, as texts that JSON can hold: quantiles of numbers, commonest words, how many are different.

Rules:
- Each is of Apache DataSketches, is made in one pass, and can be merged with others in any order.
- Its size does not depend on the number of rows, and its error is stated by the sketch itself.
- Some throw dice, so that equal rows may be unequal bytes: no sketch is part of a content hash.
- `datasketches` is imported where a sketch is made or read, so that a service, which does neither, works without it.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Final

import polars as pl

K: Final = 400  # values that a sketch of numbers holds at least; the error is about 2.6 / K
_LG_WORDS: Final = 10  # 768 counters; the error is 3.5 / 1024 of the rows at most
_LG_DISTINCT: Final = 12  # 4096 registers; the relative standard error is 1.04 / 64
_LONGEST: Final = 100  # characters: longer texts that begin alike count as one
_DEVIATIONS: Final = 2  # 95 %
_EMPTY: Final = "\0(an empty text)"  # the sketch of different words takes no notice of one


def sketch_of_numbers(numbers: pl.Series) -> str:
    """A KLL sketch (Karnin, Lang and Liberty, 2016) of floats, all finite (shape n)."""
    from datasketches import kll_doubles_sketch

    sketch = kll_doubles_sketch(K)
    sketch.update(numbers.to_numpy(writable=True))  # it takes no array that is read-only
    return _as_text(sketch.serialize())


def sketch_of_words(counts: Mapping[str, int]) -> str:
    """A frequent-items sketch of words that stand there so often.

    Source: D. Anderson and others, A high-performance algorithm for identifying frequent items in data streams, IMC
    2017.
    """
    from datasketches import frequent_strings_sketch

    sketch = frequent_strings_sketch(_LG_WORDS)
    for word, count in counts.items():
        sketch.update(_short(word), count)
    return _as_text(sketch.serialize())


def sketch_of_distinct(words: Iterable[str]) -> str:
    """A HyperLogLog sketch (Flajolet and others, 2007) of the different words."""
    from datasketches import hll_sketch, tgt_hll_type

    sketch = hll_sketch(_LG_DISTINCT, tgt_hll_type.HLL_4)
    for word in words:
        sketch.update(word or _EMPTY)
    return _as_text(sketch.serialize_compact())


def merged_numbers(one: str, other: str) -> str:
    """The sketch of the numbers of both."""
    into = read_numbers(one)
    into.merge(read_numbers(other))
    return _as_text(into.serialize())


def merged_words(one: str, other: str) -> str:
    """The sketch of the words of both."""
    into = read_words(one)
    into.merge(read_words(other))
    return _as_text(into.serialize())


def merged_distinct(one: str, other: str) -> str:
    """The sketch of the words that are in one or the other."""
    from datasketches import hll_union, tgt_hll_type

    union = hll_union(_LG_DISTINCT)
    union.update(read_distinct(one))
    union.update(read_distinct(other))
    return _as_text(union.get_result(tgt_hll_type.HLL_4).serialize_compact())


def read_numbers(text: str) -> Any:  # noqa: ANN401  datasketches carries no types
    """The `kll_doubles_sketch`, to be asked."""
    from datasketches import kll_doubles_sketch

    return kll_doubles_sketch.deserialize(_as_bytes(text))


def read_words(text: str) -> Any:  # noqa: ANN401  see above
    """The `frequent_strings_sketch`, to be asked."""
    from datasketches import frequent_strings_sketch

    return frequent_strings_sketch.deserialize(_as_bytes(text))


def read_distinct(text: str) -> Any:  # noqa: ANN401  see above
    """The `hll_sketch`, to be asked."""
    from datasketches import hll_sketch

    return hll_sketch.deserialize(_as_bytes(text))


def rank_error(sketch: Any) -> float:  # noqa: ANN401  see above
    """How far the share of values up to a quantile may be off, with 99 % certainty; 0 while all values are held."""
    return float(sketch.normalized_rank_error(False)) if sketch.is_estimation_mode() else 0.0  # noqa: FBT003  theirs: of one quantile, not of a histogram


def distribution_error(sketch: Any) -> float:  # noqa: ANN401  see above
    """As `rank_error`, for the shares up to all values at once, so for a histogram."""
    return float(sketch.normalized_rank_error(True)) if sketch.is_estimation_mode() else 0.0  # noqa: FBT003  theirs: of a histogram


def commonest(sketch: Any) -> list[tuple[str, int]]:  # noqa: ANN401  see above
    """The words that a sketch holds, and how often each stands there at least; the commonest first, ties by name."""
    from datasketches import frequent_items_error_type

    found = sketch.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES)
    return sorted(((word, low) for word, _, low, _ in found), key=lambda item: (-item[1], item[0]))


def count_error(sketch: Any) -> int:  # noqa: ANN401  see above
    """How often a word may stand there that the sketch has dropped, and by how much others may be off; 0 of none."""
    return int(sketch.get_upper_bound("x" * (_LONGEST + 1)))  # as no word is: so, what a dropped one may have


def distinct_of(sketch: Any) -> tuple[int, float]:  # noqa: ANN401  see above
    """How many different words there are, and by which share that may be off, with 95 % certainty."""
    estimate = float(sketch.get_estimate())
    spread = float(sketch.get_upper_bound(_DEVIATIONS)) - estimate
    return round(estimate), (spread / estimate if estimate else 0.0)


def _short(word: str) -> str:
    return word if len(word) <= _LONGEST else f"{word[: _LONGEST - 1]}…"


def _as_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _as_bytes(text: str) -> bytes:
    return base64.b64decode(text)
