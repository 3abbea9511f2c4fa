"""What each possible threshold would decide on a set of rows.

Rules:
- "Yes" is decided from the threshold up: score ≥ threshold.
- Thresholds lie half-way between neighbouring scores, so that a last-digit difference of a score flips no decision.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_POINTS_KEPT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The thresholds that decide differently, highest first, and what each decides (all of shape m).

    Attributes:
        thresholds: in the unit of the score.
        yes: rows decided "yes".
        hits: positive rows among them; None where there are no classes.
        highest: the highest score.
        rows: number of rows; positives: number of positive rows (0 where there are no classes).
    """

    thresholds: Floats
    yes: NDArray[np.int64]
    hits: NDArray[np.int64] | None
    highest: float
    rows: int
    positives: int

    @property
    def share(self) -> Floats:
        """Rows decided "yes", of all rows."""
        return np.asarray(self.yes / max(self.rows, 1))

    @property
    def precision(self) -> Floats:
        """Positive rows, of those decided "yes"."""
        return np.asarray(self._hits() / np.maximum(self.yes, 1))

    @property
    def recall(self) -> Floats:
        """Rows decided "yes", of the positive ones."""
        return np.asarray(self._hits() / max(self.positives, 1))

    def _hits(self) -> NDArray[np.int64]:
        return self.hits if self.hits is not None else np.zeros_like(self.yes)

    def as_json(self) -> dict[str, list[float]]:
        """At most 200 points of the curve, evenly spread, the ends among them."""
        places = np.unique(np.linspace(0, len(self.thresholds) - 1, _POINTS_KEPT).round().astype(int))
        points = {"threshold": self.thresholds, "share": self.share}
        if self.hits is not None:
            points |= {"precision": self.precision, "recall": self.recall}
        return {name: [float(value) for value in values[places]] for name, values in points.items()}


def curve_of(scores: Floats, positive: NDArray[np.bool_] | None) -> Curve:
    """The curve of scores (shape n, n ≥ 1) and, where there are classes, which rows are positive (shape n)."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(
        np.flatnonzero(ordered[1:] < ordered[:-1]), len(ordered) - 1
    )  # the last row of each distinct score
    distinct = ordered[last]
    below = np.append(distinct[1:], distinct[-1])
    middle = below + (distinct - below) / 2
    thresholds = np.where(middle > below, middle, distinct)
    hits = None if positive is None else np.cumsum(positive[order])[last].astype(np.int64)
    return Curve(
        thresholds=thresholds,
        yes=(last + 1).astype(np.int64),
        hits=hits,
        highest=float(distinct[0]),
        rows=len(scores),
        positives=0 if positive is None else int(positive.sum()),
    )


def report(value: float, scores: Floats, positive: NDArray[np.bool_] | None) -> dict[str, Any]:
    """What a threshold decides on rows (shape n): counts and shares; a share of nothing is None."""
    yes = scores >= value
    found: dict[str, Any] = {"rows": len(scores), "yes": int(yes.sum()), "share": _ratio(int(yes.sum()), len(scores))}
    if positive is None:
        return found
    hits = int((yes & positive).sum())
    return found | {
        "positives": int(positive.sum()),
        "hits": hits,
        "precision": _ratio(hits, int(yes.sum())),
        "recall": _ratio(hits, int(positive.sum())),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
