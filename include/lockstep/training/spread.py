"""How a model's scores are spread: what its manifest keeps of them, and how that of more rows comes of two of these.

Rules:
- Scores are counted in bins that are fixed beforehand. Counts add up, in any order.
- Its size does not depend on the number of rows, and it says by how much a value that is read from it may be off.
- Columns have sketches of Apache DataSketches. Those throw dice, so that training again would give another manifest,
  and a container that trains has no datasketches.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_MOST_CLASSES: Final = 10
_BINARY: Final = 2
_STEPS: Final = 100  # between least and greatest
_EVEN: Final = 1_000  # bins of a probability
_GROWTH: Final = 1.02  # of the bins of a value, each from the one before
_LEAST: Final = 1e-9  # values that are nearer to 0 count as 0


def spread_of(classes: tuple[Any, ...], scores: Floats) -> dict[str, Any]:
    """How scores are spread: rows, mean, deviation, 101 quantiles from the least to the greatest, and counts in bins.

    Of two classes, the probability of the second; of more, of each of the first ten; of a regression, the value.

    Args:
        classes: in the order of the columns of `scores`; empty for a regression.
        scores: probabilities (shape n × classes) or values (shape n × 1); one row at least.
    """
    if len(classes) <= _BINARY:
        return {str(classes[-1]) if classes else "value": _spread(scores[:, -1], is_share=bool(classes))}
    return {str(label): _spread(scores[:, place], is_share=True) for place, label in enumerate(classes[:_MOST_CLASSES])}


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The spread of the scores of both, of one kind; its quantiles are within `error`, but for the least and greatest.

    Values have bins whose edges grow by a factor: C. Masson, J. E. Rim, H. K. Lee, DDSketch: a fast and fully-mergeable
    quantile sketch with relative-error guarantees, PVLDB 12 (2019) 2195-2205. Means and deviations are put together as
    T. F. Chan, G. H. Golub, R. J. LeVeque, Am. Stat. 37 (1983) 242-247, do it.

    Raises:
        ValueError: one is of probabilities, the other of values.
    """
    if one["error"] != other["error"]:
        raise ValueError("A spread of probabilities and one of values have no bins in common.")
    sides = (one, other)
    rows = sum(side["rows"] for side in sides)
    mean = math.fsum(side["mean"] * side["rows"] for side in sides) / rows
    square = math.fsum(side["rows"] * (side["deviation"] ** 2 + (side["mean"] - mean) ** 2) for side in sides) / rows
    counts: Counter[int] = Counter()
    for side in sides:
        counts.update(dict(side["bins"]))
    bins = sorted(counts.items())
    ends = [pick(side["quantiles"][place] for side in sides) for pick, place in ((min, 0), (max, -1))]
    values = np.clip([_middle(place, one["error"]) for place, _ in bins], *ends)
    found = values[np.searchsorted(np.cumsum([count for _, count in bins]), _ranks(rows))]
    found[0], found[-1] = ends
    told = {"rows": rows, "mean": mean, "deviation": math.sqrt(square), "quantiles": found.tolist()}
    return {**told, "error": dict(one["error"]), "bins": [[place, count] for place, count in bins]}


def _spread(values: Floats, *, is_share: bool) -> dict[str, Any]:
    at = np.sort(values)[_ranks(len(values)) - 1]
    places, counts = np.unique(_shares(values) if is_share else _values(values), return_counts=True)
    return {
        "rows": len(values),
        "mean": float(values.mean()),
        "deviation": float(values.std()),
        "quantiles": [float(value) for value in at],
        "error": {"absolute": 1 / (2 * _EVEN)} if is_share else {"relative": (_GROWTH - 1) / (_GROWTH + 1)},
        "bins": [[int(place), int(count)] for place, count in zip(places, counts, strict=True)],
    }


def _ranks(rows: int) -> NDArray[np.int64]:
    """The first row, the one up to which lies a hundredth of the rows, two of them, …, the last."""
    return np.maximum(-(-np.arange(_STEPS + 1) * rows // _STEPS), 1)


def _shares(values: Floats) -> NDArray[np.int64]:
    return np.minimum(np.floor(values * _EVEN), _EVEN - 1).astype(np.int64)


def _values(values: Floats) -> NDArray[np.int64]:
    """0 of what is nearly 0; else from 1 up, and as far down below 0."""
    sizes = np.maximum(np.abs(values), _LEAST)
    places = np.floor(np.log(sizes / _LEAST) / math.log(_GROWTH)).astype(np.int64) + 1
    return np.where(np.abs(values) < _LEAST, 0, np.sign(values).astype(np.int64) * places)


def _middle(place: int, error: Mapping[str, float]) -> float:
    """The value in a bin that is at most `error` away from any other."""
    if "absolute" in error:
        return (place + 0.5) / _EVEN
    low = _LEAST * _GROWTH ** (abs(place) - 1)
    return math.copysign(2 * low * _GROWTH / (1 + _GROWTH), place) if place else 0.0
