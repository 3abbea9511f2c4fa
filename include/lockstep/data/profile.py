"""The profile of a snapshot: what each column holds, in each split.

Rules:
- A profile of parts can be merged into the profile of the whole, in any order.
- It is small whatever the number of rows: of texts and bools, the commonest values are counted.
- JSON can say all of it: NaN and infinity, which `clean` may make, count as nulls.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import polars as pl

from lockstep.data.split import SPLIT

_VALUES_KEPT: Final = 100
Profile = dict[str, dict[str, dict[str, Any]]]


def profile_of(frame: pl.DataFrame) -> Profile:
    """Split → column → count, nulls, and for numbers sum, sum of squares, min and max, else the counts of values."""
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
    """The profile for people: mean and standard deviation in place of sums, and only the commonest values."""
    return {split: {name: _finished(column) for name, column in columns.items()} for split, columns in profile.items()}


def _column(series: pl.Series) -> dict[str, Any]:
    found: dict[str, Any] = {"count": len(series), "nulls": series.null_count()}
    if series.dtype.is_numeric():
        numbers = series.drop_nulls().cast(pl.Float64)
        numbers = numbers.filter(numbers.is_finite())
        found["nulls"] = len(series) - len(numbers)
        found |= {
            "sum": numbers.sum(),
            "squares": (numbers * numbers).sum(),
            "min": numbers.min(),
            "max": numbers.max(),
        }
    else:
        counts = series.drop_nulls().cast(pl.String).value_counts()
        found["values"] = dict(
            counts.sort("count", counts.columns[0], descending=[True, False]).head(_VALUES_KEPT * 10).rows()
        )
    return found


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
    }


def _finished(column: dict[str, Any]) -> dict[str, Any]:
    if "values" in column:
        commonest = sorted(column["values"].items(), key=lambda item: (-item[1], item[0]))[:_VALUES_KEPT]
        return column | {"values": dict(commonest), "distinct": len(column["values"])}
    n = column["count"] - column["nulls"]
    mean = column["sum"] / n if n else None
    variance = max(column["squares"] / n - mean * mean, 0.0) if mean is not None else None
    rest = {key: column[key] for key in ("count", "nulls", "min", "max")}
    return rest | {"mean": _finite(mean), "std": _finite(variance**0.5 if variance is not None else None)}


def _finite(value: float | None) -> float | None:
    """None for what is too large to be summed or squared."""
    return value if value is not None and math.isfinite(value) else None
