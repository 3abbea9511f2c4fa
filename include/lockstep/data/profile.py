"""The profile of a snapshot: what each column holds, in each split.

Rules:
- It is made in one pass: a profile of parts can be merged into the profile of the whole, in any order.
- It is small whatever the number of rows: of texts and bools, the commonest values are counted; of numbers, a KLL
  sketch of some kilobytes tells the quantiles (Karnin, Lang and Liberty, 2016).
- Quantiles are near: with 99 % certainty, the share of values up to what stands as the 0.5 quantile is 0.5, give or
  take `quantile_error` (0.0068, as the sketch states it for k = 400). Of up to some hundred values they are exact.
- The sketch throws dice, so it is part of no content hash.
- JSON can say all of it: NaN and infinity, which `clean` may make, count as nulls.
"""

import base64
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import polars as pl

from lockstep.data.rows import few_words
from lockstep.data.split import SPLIT

QUANTILES: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_VALUES_KEPT: Final = 100
_K: Final = 400  # values that the sketch holds at least; the error is about 2.6 / k
Profile = dict[str, dict[str, dict[str, Any]]]


def profile_of(frame: pl.DataFrame) -> Profile:
    """Split → column → count, nulls, and for numbers sums, min, max and sketch, else the counts of values."""
    return {
        str(split): {name: _column(part[name]) for name in part.columns if name != SPLIT}
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

    `sketch` stays, in base64, so that later data can be held against it (`datasketches.kll_doubles_sketch`).
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
            "sketch": _sketch_of(numbers),
        }
    elif series.dtype == pl.Boolean:
        yes = int(series.sum())
        counts = {"true": yes, "false": len(series) - found["nulls"] - yes}
        found["values"] = {value: count for value, count in counts.items() if count}
    else:
        found["values"] = _commonest(series.drop_nulls().cast(pl.String), _VALUES_KEPT * 10)
    return found


def _commonest(texts: pl.Series, most: int) -> dict[str, int]:
    """How often the commonest values stand there; of equally common ones, the first by name."""
    if texts.is_sorted() and texts.n_unique() == len(texts):  # as a key is: no need to count
        return dict.fromkeys(texts.head(most).to_list(), 1)
    if words := few_words(texts):
        found = {word: int((texts == word).sum()) for word in words}
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
    counts = texts.value_counts()
    if counts.height > most:
        counts = counts.filter(pl.col("count") >= counts["count"].top_k(most).min())
    return dict(counts.sort("count", counts.columns[0], descending=[True, False]).head(most).rows())


def _merge_columns(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {"count": one["count"] + other["count"], "nulls": one["nulls"] + other["nulls"]}
    if "values" in one:
        merged["values"] = dict(Counter(one["values"]) + Counter(other["values"]))
        return merged
    lows = [part["min"] for part in (one, other) if part["min"] is not None]
    highs = [part["max"] for part in (one, other) if part["max"] is not None]
    return merged | {
        "sum": one["sum"] + other["sum"],
        "squares": one["squares"] + other["squares"],
        "min": min(lows, default=None),
        "max": max(highs, default=None),
        "sketch": _merged(one["sketch"], other["sketch"]),
    }


def _finished(column: dict[str, Any]) -> dict[str, Any]:
    if "values" in column:
        commonest = sorted(column["values"].items(), key=lambda item: (-item[1], item[0]))[:_VALUES_KEPT]
        return column | {"values": dict(commonest), "distinct": len(column["values"])}
    n = column["count"] - column["nulls"]
    mean = column["sum"] / n if n else None
    variance = max(column["squares"] / n - mean * mean, 0.0) if mean is not None else None
    rest = {key: column[key] for key in ("count", "nulls", "min", "max")}
    rest |= {"mean": _finite(mean), "std": _finite(variance**0.5 if variance is not None else None)}
    return rest | _quantiles(column["sketch"])


def _finite(value: float | None) -> float | None:
    """None for what is too large to be summed or squared."""
    return value if value is not None and math.isfinite(value) else None


# ---------------------------------------------------------------------------------------------------- sketches


def _sketch_of(numbers: pl.Series) -> str:
    from datasketches import kll_doubles_sketch

    sketch = kll_doubles_sketch(_K)
    sketch.update(numbers.to_numpy(writable=True))  # it takes no array that is read-only
    return _as_text(sketch)


def _merged(one: str, other: str) -> str:
    into = _read(one)
    into.merge(_read(other))
    return _as_text(into)


def _quantiles(text: str) -> dict[str, Any]:
    sketch = _read(text)
    values = [None] * len(QUANTILES) if sketch.is_empty() else sketch.get_quantiles(list(QUANTILES), True)  # noqa: FBT003  theirs: with the value itself
    error = sketch.normalized_rank_error(False) if sketch.is_estimation_mode() else 0.0  # noqa: FBT003  theirs: of one quantile, not of a histogram
    return {
        "quantiles": {str(rank): value for rank, value in zip(QUANTILES, values, strict=True)},
        "quantile_error": round(error, 6),
        "sketch": text,
    }


def _read(text: str) -> Any:  # noqa: ANN401  datasketches carries no types
    from datasketches import kll_doubles_sketch

    return kll_doubles_sketch.deserialize(base64.b64decode(text))


def _as_text(sketch: Any) -> str:  # noqa: ANN401  see above
    return base64.b64encode(sketch.serialize()).decode()
