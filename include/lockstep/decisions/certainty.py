"""How sure a chosen threshold is, and how far its scores can be taken at their word.

Rules:
- The interval of a threshold is that of the bootstrap: the policy chooses again on rows that are drawn anew, as many as
  there are, from those that it chose on. The dice are thrown from a given seed, so that the same tuning is the same
  interval.
- Calibration is only said of probabilities, and only where both answers occur.
"""

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lockstep.decisions.choose import choose
from lockstep.decisions.curve import Curve
from lockstep.errors import PolicyUnmet
from lockstep.policy import Fixed, Policy

RESAMPLES: Final = 200
_TAILS: Final = (0.025, 0.975)
_MOST: Final = 1 << 14  # thresholds among which it is chosen again
_BINS: Final = 10
_FEWEST: Final = 20  # resamples that the policy must be met on for an interval to mean something
Floats = NDArray[np.float64]


def interval_of(policy: Policy, curve: Curve, seed: int) -> dict[str, Any] | None:
    """The 95 % percentile interval of the value that a policy chooses on a curve; None where nothing is chosen.

    Source: B. Efron, R. J. Tibshirani, An introduction to the bootstrap (1993), chapter 13.3. Drawing n rows anew is
    drawing anew how many of them each score has, which is what is done here.
    """
    if isinstance(policy, Fixed):
        return None
    dice, few, values = np.random.default_rng(seed), _thinned(curve), []
    for _ in range(RESAMPLES):
        try:
            values.append(choose(policy, _drawn_anew(few, dice)))
        except PolicyUnmet:
            continue
    found = {"resamples": RESAMPLES, "unmet": RESAMPLES - len(values), "low": None, "high": None}
    if len(values) < _FEWEST:
        return found
    low, high = np.quantile(values, _TAILS)
    return found | {"low": float(low), "high": float(high)}


def _thinned(curve: Curve) -> Curve:
    """The curve with no more thresholds than are worth the time, evenly spread; all rows are still in it."""
    places = np.unique(np.linspace(0, len(curve.yes) - 1, _MOST).round().astype(int))
    hits = None if curve.hits is None else curve.hits[places]
    return replace(curve, thresholds=curve.thresholds[places], yes=curve.yes[places], hits=hits)


def _drawn_anew(curve: Curve, dice: np.random.Generator) -> Curve:
    """The curve of as many rows, drawn with replacement."""
    rows = np.diff(curve.yes, prepend=0)
    if curve.hits is None:
        return replace(curve, yes=np.cumsum(dice.multinomial(curve.rows, rows / curve.rows)))
    positive = np.diff(curve.hits, prepend=0)
    cells = np.concatenate([positive, rows - positive])
    drawn = dice.multinomial(curve.rows, cells / curve.rows)
    hits = np.cumsum(drawn[: len(rows)])
    return replace(curve, yes=hits + np.cumsum(drawn[len(rows) :]), hits=hits, positives=int(hits[-1]))


def calibration_of(scores: Floats, positive: NDArray[np.bool_] | None) -> dict[str, Any] | None:
    """Brier score and calibration curve of probabilities (both of shape n): what was said, and how often it came true.

    The curve has up to ten bins of about as many rows each. None where there are no classes, or only one occurs.
    """
    if positive is None or not 0 < int(positive.sum()) < len(positive):
        return None
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import brier_score_loss

    observed, predicted = calibration_curve(positive, scores, n_bins=_BINS, strategy="quantile", pos_label=True)
    return {
        "brier_score": float(brier_score_loss(positive, scores, pos_label=True)),
        "predicted": predicted.tolist(),
        "observed": observed.tolist(),
    }
