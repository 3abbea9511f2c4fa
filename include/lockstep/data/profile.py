"""The profile of a snapshot: what each column holds, in each split.

Rules:
- It is made in one pass: a profile of parts can be merged into the profile of the whole, in any order.
- It is small whatever the number of rows: of numbers, a KLL sketch of some kilobytes tells the quantiles; of texts,
  bools and dates, a frequent-items sketch tells the commonest values, and a HyperLogLog how many are different.
- Errors are stated. Quantiles: with 99 % certainty, the share of values up to what stands as the 0.5 quantile is 0.5,
  give or take `quantile_error` (0.0068 for k = 400; of up to some hundred values they are exact). Commonest values: no
  count of the sketch is off by more than `frequent_error` of the values, for certain. Different ones: with 95 %
  certainty, `distinct` is off by `distinct_error` of it. 0 says that the figure is exact.
- The key names rows: its values are all different, and are neither sketched nor compared.
- Sketches throw dice, so they are part of no content hash.
- JSON can say all of it: NaN and infinity, which `clean` may make, count as nulls.
"""

import math
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

import polars as pl

from lockstep.data import sketches
from lockstep.data.rows import few_words
from lockstep.data.split import SPLIT

QUANTILES: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_VALUES_KEPT: Final = 100
_TEXT: Final = "_text"  # a column may be called "count"
Profile = dict[str, dict[str, dict[str, Any]]]


def profile_of(frame: pl.DataFrame, key: str | None = None) -> Profile:
    """Split → column → count, nulls, and for numbers sums, min, max and sketch, else counts of values and sketches.

    `key` is the column that names rows, if there is one.
    """
    return {
        str(split): {
            name: _column(part[name]) if name != key else _key(part[name]) for name in part.columns if name != SPLIT
        }
        for (split,), part in frame.partition_by(SPLIT, as_dict=True).items()
    }


def merge(profiles: Iterable[Profile]) -> Profile:
    """The profile of all the parts together."""
    merged: Profile = {}
    for profile in profiles:
        for split, columns in profile.items():
            into = merged.setdefault(split, {})
            for name, column in columns.items():
                into[name] = _merge_columns(into[name], column) if name in into else column
    return {split: merged[split] for split in sorted(merged)}


def finish(profile: Profile) -> Profile:
    """The profile for people: mean, standard deviation and quantiles in place of sums, and the commonest values only.

    Sketches stay, in base64, so that later data can be held against them: `sketch` (`datasketches.kll_doubles_sketch`),
    `frequent` (`frequent_strings_sketch`), `distinct_sketch` (`hll_sketch`).
    """
    return {split: {name: _finished(column) for name, column in columns.items()} for split, columns in profile.items()}


def _column(series: pl.Series) -> dict[str, Any]:
    found: dict[str, Any] = {"count": len(series), "nulls": series.null_count()}
    if series.dtype.is_numeric():
        numbers = series.drop_nulls().cast(pl.Float64)
        numbers = numbers.filter(numbers.is_finite())
        found["nulls"] = len(series) - len(numbers)
        found |= {
            "sum": numbers.sum(),
            "squares": numbers.dot(numbers) if len(numbers) else 0.0,
            "min": numbers.min(),
            "max": numbers.max(),
            "sketch": sketches.sketch_of_numbers(numbers),
        }
        return found
    if series.dtype == pl.Boolean:
        yes = int(series.sum())
        counts = {"true": yes, "false": len(series) - found["nulls"] - yes}
        return found | _words({value: count for value, count in counts.items() if count})
    return found | _texts(series.drop_nulls().cast(pl.String), _VALUES_KEPT * 10)


def _key(series: pl.Series) -> dict[str, Any]:
    """As `_column`; of texts, no need to count."""
    if series.dtype.is_numeric():
        return _column(series)
    values = dict.fromkeys(series.head(_VALUES_KEPT * 10).cast(pl.String).to_list(), 1)
    return {"count": len(series), "nulls": 0, "values": values, "distinct": len(series)}


def _texts(texts: pl.Series, most: int) -> dict[str, Any]:
    """How often the commonest values stand there (of equally common ones, the first by name), and the sketches."""
    if words := few_words(texts):
        found = {word: int((texts == word).sum()) for word in words}
        return _words(dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))))
    counts = texts.alias(_TEXT).value_counts().sort("count", _TEXT, descending=[True, False])
    kept = dict(counts.head(most).rows())
    if counts.height <= most:
        return _words(kept)
    return _words(kept, dropped=int(counts["count"][most]), others=counts[_TEXT][most:])


def _words(counts: dict[str, int], dropped: int = 0, others: Iterable[str] = ()) -> dict[str, Any]:
    """The counts of some values, as they are and as sketches; `dropped` is the highest of those left out.

    What is left out of the sketch is counted there as if it were a few: `dropped` is added to the sketch's error.
    """
    return {
        "values": counts,
        "frequent": sketches.sketch_of_words(counts),
        "dropped": dropped,
        "distinct_sketch": sketches.sketch_of_distinct(chain(counts, others)),
    }


def _merge_columns(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {"count": one["count"] + other["count"], "nulls": one["nulls"] + other["nulls"]}
    if "values" in one:
        merged["values"] = dict(Counter(one["values"]) + Counter(other["values"]))
        if "distinct" in one:
            return merged | {"distinct": one["distinct"] + other["distinct"]}
        return merged | {
            "frequent": sketches.merged_words(one["frequent"], other["frequent"]),
            "dropped": one["dropped"] + other["dropped"],
            "distinct_sketch": sketches.merged_distinct(one["distinct_sketch"], other["distinct_sketch"]),
        }
    lows = [part["min"] for part in (one, other) if part["min"] is not None]
    highs = [part["max"] for part in (one, other) if part["max"] is not None]
    return merged | {
        "sum": one["sum"] + other["sum"],
        "squares": one["squares"] + other["squares"],
        "min": min(lows, default=None),
        "max": max(highs, default=None),
        "sketch": sketches.merged_numbers(one["sketch"], other["sketch"]),
    }


def _finished(column: dict[str, Any]) -> dict[str, Any]:
    if "values" in column:
        return _finished_words(column)
    n = column["count"] - column["nulls"]
    mean = column["sum"] / n if n else None
    variance = max(column["squares"] / n - mean * mean, 0.0) if mean is not None else None
    rest = {key: column[key] for key in ("count", "nulls", "min", "max")}
    rest |= {"mean": _finite(mean), "std": _finite(variance**0.5 if variance is not None else None)}
    return rest | _quantiles(column["sketch"])


def _finished_words(column: dict[str, Any]) -> dict[str, Any]:
    commonest = sorted(column["values"].items(), key=lambda item: (-item[1], item[0]))[:_VALUES_KEPT]
    found = {"count": column["count"], "nulls": column["nulls"], "values": dict(commonest)}
    if "distinct" in column:  # the key
        return found | {"distinct": column["distinct"], "distinct_error": 0.0}
    n, dropped = column["count"] - column["nulls"], column["dropped"]
    distinct, spread = len(column["values"]), 0.0
    if dropped:  # then not all are counted
        distinct, spread = sketches.distinct_of(sketches.read_distinct(column["distinct_sketch"]))
    error = (sketches.count_error(sketches.read_words(column["frequent"])) + dropped) / n if n else 0.0
    return found | {
        "distinct": distinct,
        "distinct_error": round(spread, 6),
        "distinct_sketch": column["distinct_sketch"],
        "frequent": column["frequent"],
        "frequent_error": error,
    }


def _finite(value: float | None) -> float | None:
    """None for what is too large to be summed or squared."""
    return value if value is not None and math.isfinite(value) else None


def _quantiles(text: str) -> dict[str, Any]:
    sketch = sketches.read_numbers(text)
    values = [None] * len(QUANTILES) if sketch.is_empty() else sketch.get_quantiles(list(QUANTILES), True)  # noqa: FBT003  theirs: with the value itself
    return {
        "quantiles": {str(rank): value for rank, value in zip(QUANTILES, values, strict=True)},
        "quantile_error": round(sketches.rank_error(sketch), 6),
        "sketch": text,
    }
