"""The policies, computed: from a curve to one threshold.

Rules:
- The best threshold that keeps the policy is taken; of equals the highest, which decides "yes" least often.
- Where no threshold keeps it, the error says what is the best that can be had.
"""

import numpy as np
from numpy.typing import NDArray

from lockstep.decisions.curve import Curve
from lockstep.errors import PolicyUnmet
from lockstep.policy import (
    CapacityPerDay,
    CostMatrix,
    Fixed,
    MaximiseFBeta,
    MinimiseCost,
    OwnPolicy,
    Policy,
    PrecisionAtLeast,
    RecallAtLeast,
    TopFraction,
)


def choose(policy: Policy, curve: Curve) -> float:
    """The threshold that a policy picks on a curve, in the unit of the score.

    Raises:
        PolicyUnmet: there is none; the message says what is the best that can be had, and begins with the policy.
    """
    match policy:
        case Fixed(value=value):
            chosen = value
        case TopFraction(value=share):
            chosen = _top_fraction(policy, share, curve)
        case CapacityPerDay(most=most, rows=rows):
            chosen = _top_fraction(policy, most / rows, curve)
        case PrecisionAtLeast():
            chosen = _precision_at_least(policy, curve)
        case RecallAtLeast():
            chosen = _recall_at_least(policy, curve)
        case MaximiseFBeta():
            chosen = _maximise_f_beta(policy, curve)
        case MinimiseCost(false_positive=wrong, false_negative=missed):
            chosen = _cheapest(policy, CostMatrix(0.0, wrong, missed, 0.0), curve)
        case CostMatrix():
            chosen = _cheapest(policy, policy, curve)
        case OwnPolicy():
            chosen = float(policy.pick(curve))
        case _:
            raise TypeError(f"{type(policy).__name__} is no policy of lockstep.policy.")
    return chosen


def _precision_at_least(policy: PrecisionAtLeast, curve: Curve) -> float:
    _check_positives(policy, curve)
    allowed = curve.precision >= policy.value
    if not allowed.any():
        best = int(np.argmax(curve.precision))
        raise PolicyUnmet(
            f"{policy} can't be met: the best precision is {_floor(curve.precision[best])}, at threshold"
            f" {curve.thresholds[best]:.4f} with recall {curve.recall[best]:.4f}. Ask for at most that, or train a"
            " better model."
        )
    return _best(curve, allowed, curve.recall)


def _recall_at_least(policy: RecallAtLeast, curve: Curve) -> float:
    _check_positives(policy, curve)
    return _best(curve, curve.recall >= policy.value, curve.precision)  # the lowest threshold has a recall of 1


def _maximise_f_beta(policy: MaximiseFBeta, curve: Curve) -> float:
    """F-beta from counts, as scikit-learn's `fbeta_score` defines it."""
    _check_positives(policy, curve)
    hits, square = curve.precision * curve.yes, policy.beta * policy.beta
    return _best(
        curve, np.ones(len(hits), dtype=np.bool_), (1 + square) * hits / (square * curve.positives + curve.yes)
    )


def _top_fraction(policy: Policy, share: float, curve: Curve) -> float:
    allowed = curve.share <= share
    if not allowed.any():
        raise PolicyUnmet(
            f"{policy} can't be met: {curve.yes[0]} of {curve.rows} rows share the"
            f" {'highest' if curve.when == 'above' else 'lowest'} score, so the smallest share that can be had is"
            f" {_ceil(curve.share[0])}. Ask for at least that, or train a model that tells these rows apart."
        )
    return _best(curve, allowed, curve.share)


def _cheapest(policy: Policy, costs: CostMatrix, curve: Curve) -> float:
    if curve.hits is None:
        raise PolicyUnmet(f"{policy} can't be met: the scores have no classes to count wrong answers of. Use fixed(…).")
    false_positives, false_negatives = curve.yes - curve.hits, curve.positives - curve.hits
    negatives = curve.rows - curve.positives
    cost = costs.false_positive * false_positives + costs.false_negative * false_negatives
    cost = cost + costs.true_positive * curve.hits + costs.true_negative * (negatives - false_positives)
    best = int(np.argmin(cost))
    nobody = costs.false_negative * curve.positives + costs.true_negative * negatives
    if nobody <= cost[best]:  # cheapest of all: decide "yes" for nobody
        return float(np.nextafter(curve.highest, np.inf))
    return float(curve.thresholds[best])


def _check_positives(policy: Policy, curve: Curve) -> None:
    if curve.hits is None or curve.positives == 0:
        raise PolicyUnmet(
            f"{policy} can't be met: of {curve.rows} rows none is positive, so no threshold can be right about one."
            " Bring data with positives, or correct positive= of the threshold."
        )


def _best(curve: Curve, allowed: NDArray[np.bool_], wanted: NDArray[np.float64]) -> float:
    return float(curve.thresholds[int(np.argmax(np.where(allowed, wanted, -1.0)))])


def _floor(value: float) -> str:
    return f"{np.floor(value * 1e4) / 1e4:.4f}"


def _ceil(value: float) -> str:
    return f"{np.ceil(value * 1e4) / 1e4:.4f}"
