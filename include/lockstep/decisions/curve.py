"""What each possible threshold would decide on a set of rows.

Rules:
- "Yes" is decided from the threshold up: score ≥ threshold; or, where it is said, from the threshold down.
- Where there are classes, what each threshold decides is counted by scikit-learn.
- Thresholds lie half-way between neighbouring scores, so that a last-digit difference of a score flips no decision.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockstep.decisions.rule import When

Floats = NDArray[np.float64]
_POINTS_KEPT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The thresholds that decide differently, and what each decides (all of shape m).

    Attributes:
        thresholds: in the unit of the score, those that decide "yes" least often first.
        yes: rows decided "yes".
        hits: positive rows among them; None where there are no classes.
        highest: the score that is decided "yes" first: the highest, where it is yes above.
        when: the side of a threshold that it is yes on.
        rows: number of rows; positives: number of positive rows (0 where there are no classes).
    """

    thresholds: Floats
    yes: NDArray[np.int64]
    hits: NDArray[np.int64] | None
    highest: float
    rows: int
    positives: int
    when: When = "above"

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


def curve_of(scores: Floats, positive: NDArray[np.bool_] | None, when: When = "above") -> Curve:
    """The curve of scores (shape n, n ≥ 1) and, where there are classes, which rows are positive (shape n)."""
    if when == "below":
        turned = curve_of(-scores, positive)
        return replace(turned, thresholds=-turned.thresholds, highest=-turned.highest, when=when)
    distinct, yes, hits = _decided(scores, positive)
    below = np.append(distinct[1:], distinct[-1])
    middle = below + (distinct - below) / 2
    thresholds = np.where(middle > below, middle, distinct)
    return Curve(
        thresholds=thresholds,
        yes=yes,
        hits=hits,
        highest=float(distinct[0]),
        rows=len(scores),
        positives=0 if positive is None else int(positive.sum()),
    )


def _decided(
    scores: Floats, positive: NDArray[np.bool_] | None
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64] | None]:
    """The distinct scores, highest first, with the rows at or above each, and the positive ones among these."""
    if positive is None:
        distinct, counts = np.unique(scores, return_counts=True)
        return distinct[::-1], np.cumsum(counts[::-1]).astype(np.int64), None
    from sklearn.metrics import confusion_matrix_at_thresholds

    _, wrong, _, hits, distinct = confusion_matrix_at_thresholds(positive, scores, pos_label=True)
    return np.asarray(distinct, dtype=np.float64), (hits + wrong).astype(np.int64), hits.astype(np.int64)


def report(value: float, scores: Floats, positive: NDArray[np.bool_] | None) -> dict[str, Any]:
    """What a threshold decides on rows (shape n): counts and shares; a share of nothing is None."""
    return counted(scores >= value, positive)


def counted(yes: NDArray[np.bool_], positive: NDArray[np.bool_] | None) -> dict[str, Any]:
    """The same, where it is known which rows are decided "yes" (shape n)."""
    found: dict[str, Any] = {"rows": len(yes), "yes": int(yes.sum()), "share": ratio(int(yes.sum()), len(yes))}
    if positive is None:
        return found
    hits = int((yes & positive).sum())
    return found | {
        "positives": int(positive.sum()),
        "hits": hits,
        "precision": ratio(hits, int(yes.sum())),
        "recall": ratio(hits, int(positive.sum())),
    }


def ratio(part: int, whole: int) -> float | None:
    """A share; of nothing, None."""
    return part / whole if whole else None
