"""How a threshold is chosen: the policies' names and numbers. `lockstep.decisions` computes them.

Rules:
- A policy is a plain value that can be written to JSON and compared.
- Numbers outside their range are refused when the policy is made.
"""

import math
from dataclasses import asdict, dataclass
from typing import ClassVar

from lockstep.errors import DeclarationError


@dataclass(frozen=True, slots=True)
class Policy:
    """Base of the policies. `needs_classes` is true where the policy counts right and wrong answers."""

    needs_classes: ClassVar[bool] = True
    word: ClassVar[str] = ""

    def describe(self) -> dict[str, str | float]:
        """The policy as JSON: its name and its numbers."""
        return {"policy": self.word, **asdict(self)}

    def __str__(self) -> str:
        return f"{self.word}({', '.join(f'{value:g}' for value in asdict(self).values())})"


@dataclass(frozen=True, slots=True)
class PrecisionAtLeast(Policy):
    """Of the rows decided "yes", at least `value` are positive; of such thresholds, the one with the highest recall."""

    word: ClassVar[str] = "precision_at_least"
    value: float


@dataclass(frozen=True, slots=True)
class RecallAtLeast(Policy):
    """Of the positive rows, at least `value` get a "yes"; of such thresholds, the one with the highest precision."""

    word: ClassVar[str] = "recall_at_least"
    value: float


@dataclass(frozen=True, slots=True)
class MinimiseCost(Policy):
    """The threshold with the lowest mean cost, with a cost for each false positive and each false negative."""

    word: ClassVar[str] = "minimise_cost"
    false_positive: float
    false_negative: float


@dataclass(frozen=True, slots=True)
class TopFraction(Policy):
    """The share `value` of rows with the highest scores is decided "yes"."""

    needs_classes: ClassVar[bool] = False
    word: ClassVar[str] = "top_fraction"
    value: float


@dataclass(frozen=True, slots=True)
class Fixed(Policy):
    """The value is given, not chosen."""

    needs_classes: ClassVar[bool] = False
    word: ClassVar[str] = "fixed"
    value: float


def precision_at_least(value: float) -> PrecisionAtLeast:
    """At least this share of the "yes" decisions is right (0 < value ≤ 1)."""
    return PrecisionAtLeast(_share("precision_at_least", value))


def recall_at_least(value: float) -> RecallAtLeast:
    """At least this share of the positives is found (0 < value ≤ 1)."""
    return RecallAtLeast(_share("recall_at_least", value))


def top_fraction(value: float) -> TopFraction:
    """This share of the rows, those with the highest scores, is decided "yes" (0 < value ≤ 1)."""
    return TopFraction(_share("top_fraction", value))


def fixed(value: float) -> Fixed:
    """Use this value, any finite number, as it is."""
    if not math.isfinite(value):
        raise DeclarationError(f"fixed({value}): the value must be a finite number; for example fixed(0.5).")
    return Fixed(float(value))


def minimise_cost(*, false_positive: float, false_negative: float) -> MinimiseCost:
    """Choose the threshold with the lowest mean cost per row; costs are in any one unit, not negative, not both 0."""
    if not (false_positive >= 0 and false_negative >= 0 and 0 < false_positive + false_negative < math.inf):
        raise DeclarationError(
            f"minimise_cost(false_positive={false_positive}, false_negative={false_negative}): costs are finite and not"
            " negative, and one of them must be above 0."
        )
    return MinimiseCost(float(false_positive), float(false_negative))


def _share(policy: str, value: float) -> float:
    if not 0 < value <= 1:
        raise DeclarationError(
            f"{policy}({value}): the share must be above 0 and at most 1; for example {policy}(0.65)."
        )
    return float(value)
