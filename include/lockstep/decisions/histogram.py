"""How scores are spread, counted as they come by.

Rules:
- Memory does not depend on the number of scores: bins get wider as the scores spread.
- The same scores in another order, or in other batches, give the same histogram: the width is the smallest power of two
  that needs no more than `MOST` bins, and bins begin at its multiples.
- Probabilities get 64 bins and one for those that are exactly 1.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MOST: Final = 65
_NARROWEST: Final = -6  # widths below 2⁻⁶ would show noise, where scores are probabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """`counts[i]` scores lie from `start + i * width` up to, and without, `start + (i + 1) * width`."""

    start: float
    width: float
    counts: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """The histogram as JSON values."""
        return {"start": self.start, "width": self.width, "counts": list(self.counts)}


class Counting:
    """A histogram that is being counted."""

    def __init__(self) -> None:
        self._power = _NARROWEST
        self._counts: dict[int, int] = {}

    def add(self, scores: NDArray[np.float64]) -> None:
        """Count further scores (shape n), all finite."""
        if not len(scores):
            return
        self._widen(float(scores.min()), float(scores.max()))
        places, counts = np.unique(np.floor(np.ldexp(scores, -self._power)).astype(np.int64), return_counts=True)
        for place, count in zip(places.tolist(), counts.tolist(), strict=True):
            self._counts[place] = self._counts.get(place, 0) + count

    def _widen(self, low: float, high: float) -> None:
        before = self._power
        first = min([_place(low, before), *self._counts])
        last = max([_place(high, before), *self._counts])
        while last - first >= MOST:
            first, last, self._power = first >> 1, last >> 1, self._power + 1
        merged: dict[int, int] = {}
        for place, count in self._counts.items():
            wider = place >> (self._power - before)
            merged[wider] = merged.get(wider, 0) + count
        self._counts = merged

    def result(self) -> Histogram:
        """What was counted so far."""
        if not self._counts:
            return Histogram(start=0.0, width=math.ldexp(1.0, self._power), counts=())
        first, last = min(self._counts), max(self._counts)
        counts = tuple(self._counts.get(place, 0) for place in range(first, last + 1))
        return Histogram(start=math.ldexp(float(first), self._power), width=math.ldexp(1.0, self._power), counts=counts)


def _place(score: float, power: int) -> int:
    return math.floor(math.ldexp(score, -power))
