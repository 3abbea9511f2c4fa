"""How a threshold is chosen: the policies' names and numbers. `lockstep.decisions` computes them.

Rules:
- A policy is a plain value that can be written to JSON and compared.
- Numbers outside their range are refused when the policy is made.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from lockstep.errors import DeclarationError


@dataclass(frozen=True, slots=True)
class Policy:
    """Base of the policies. `counts_classes` is true where the policy counts right and wrong answers."""

    counts_classes: ClassVar[bool] = True
    word: ClassVar[str] = ""

    @property
    def needs_classes(self) -> bool:
        """Whether right and wrong answers are counted, which a regression does not have."""
        return self.counts_classes

    def describe(self) -> dict[str, Any]:
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
class CostMatrix(Policy):
    """The threshold with the lowest mean cost, with a cost (below 0: a gain) for each of the four outcomes."""

    word: ClassVar[str] = "cost_matrix"
    true_positive: float
    false_positive: float
    false_negative: float
    true_negative: float


@dataclass(frozen=True, slots=True)
class MaximiseFBeta(Policy):
    """The threshold with the highest F-beta: recall counts `beta` times as much as precision."""

    word: ClassVar[str] = "maximise_f_beta"
    beta: float


@dataclass(frozen=True, slots=True)
class CapacityPerDay(Policy):
    """Of `rows` that come on a day, the `most` with the highest scores are decided "yes"."""

    counts_classes: ClassVar[bool] = False
    word: ClassVar[str] = "capacity_per_day"
    most: float
    rows: float


@dataclass(frozen=True, slots=True)
class TopFraction(Policy):
    """The share `value` of rows with the highest scores is decided "yes"."""

    counts_classes: ClassVar[bool] = False
    word: ClassVar[str] = "top_fraction"
    value: float


@dataclass(frozen=True, slots=True)
class Fixed(Policy):
    """The value is given, not chosen."""

    counts_classes: ClassVar[bool] = False
    word: ClassVar[str] = "fixed"
    value: float


@dataclass(frozen=True, slots=True)
class TwoSided(Policy):
    """Two values with a band between them, in which a person decides: a wish for each side.

    The wish for "no" is kept by the rows that are decided "no", of which those that are not positive count as right.
    """

    word: ClassVar[str] = "two_sided"
    yes: Policy
    no: Policy

    @property
    def needs_classes(self) -> bool:
        """Whether one of the wishes does."""
        return self.yes.needs_classes or self.no.needs_classes

    def describe(self) -> dict[str, Any]:
        """The policy as JSON: its name and both wishes."""
        return {"policy": self.word, "yes": self.yes.describe(), "no": self.no.describe()}

    def __str__(self) -> str:
        return f"{self.word}(yes={self.yes}, no={self.no})"


@dataclass(frozen=True, slots=True)
class ReferUnsure(Policy):
    """The class that is likeliest is the answer, from a probability on; below, a person decides.

    The wish is kept by the rows that are answered, of which those whose class is right count as positive.
    """

    word: ClassVar[str] = "refer_unsure"
    answers: Policy

    def describe(self) -> dict[str, Any]:
        """The policy as JSON: its name and the wish."""
        return {"policy": self.word, "answers": self.answers.describe()}

    def __str__(self) -> str:
        return f"{self.word}(answers={self.answers})"


@dataclass(frozen=True, slots=True)
class OwnPolicy(Policy, ABC):
    """Base for a policy of a team: a frozen dataclass with numbers for fields, and a `word` that no other has."""

    @abstractmethod
    def pick(self, curve: Any) -> float:  # noqa: ANN401  a `lockstep.decisions.curve.Curve`, which needs numpy
        """The threshold on a curve; of equals the highest.

        Raises:
            PolicyUnmet: there is none; the message begins with the policy, and says what is the best that can be had.
        """


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


def cost_matrix(
    *, false_positive: float, false_negative: float, true_positive: float = 0, true_negative: float = 0
) -> CostMatrix:
    """Choose the threshold with the lowest mean cost per row; costs are in any one unit, and a gain is below 0.

    Raises:
        DeclarationError: a cost is not finite, or being right does not cost less than being wrong.
    """
    costs = (true_positive, false_positive, false_negative, true_negative)
    if not (all(map(math.isfinite, costs)) and true_positive < false_negative and true_negative < false_positive):
        raise DeclarationError(
            f"cost_matrix(true_positive={true_positive}, false_positive={false_positive},"
            f" false_negative={false_negative}, true_negative={true_negative}): costs are finite, and being right must"
            " cost less than being wrong: true_positive less than false_negative, true_negative less than"
            " false_positive."
        )
    return CostMatrix(*map(float, costs))


def maximise_f_beta(beta: float = 1.0) -> MaximiseFBeta:
    """Choose the threshold with the highest F-beta (beta > 0); with 1, precision and recall count alike."""
    if not 0 < beta < math.inf:
        raise DeclarationError(
            f"maximise_f_beta({beta}): beta must be a finite number above 0; with 2, recall counts twice as much."
        )
    return MaximiseFBeta(float(beta))


def capacity_per_day(most: float, *, rows: float) -> CapacityPerDay:
    """Say "yes" to at most `most` of the `rows` that are asked for on a usual day: those with the highest scores."""
    if not 0 < most <= rows < math.inf:
        raise DeclarationError(
            f"capacity_per_day({most}, rows={rows}): a day has room for more than 0 rows, and at most for all that"
            " come; for example capacity_per_day(200, rows=5000)."
        )
    return CapacityPerDay(float(most), float(rows))


def two_sided(*, yes: Policy, no: Policy) -> TwoSided:
    """Decide "yes" as one wish wants it and "no" as another does, and refer what is between to a person.

    The wish for "no" counts what is right about a "no": `no=precision_at_least(0.95)` means that of the rows decided
    "no", at least 95 % are not positive; `no=top_fraction(0.3)` takes the 30 % that are the furthest from a yes.

    Raises:
        DeclarationError: a wish is not one for a side, or two given values cross.
    """
    for side, wish in (("yes", yes), ("no", no)):
        _check_wish("two_sided", side, wish)
        if isinstance(wish, MinimiseCost | CostMatrix):
            raise DeclarationError(
                f"two_sided({side}={wish}): costs weigh yes against no, and so give one value, with no band. Use a wish"
                " for one side, such as precision_at_least(0.8)."
            )
    return TwoSided(yes, no)


def refer_unsure(*, answers: Policy) -> ReferUnsure:
    """Answer with the likeliest class where its probability is high enough, and refer the rest to a person.

    The wish counts an answer as "yes", and as positive where it would be right: `answers=precision_at_least(0.9)`
    means that of the answers at least 90 % are right, and picks the value that gives the most right answers;
    `answers=top_fraction(0.8)` answers the surest 80 %; with `answers=minimise_cost(false_positive=5,
    false_negative=1)` a wrong answer costs five times as much as asking a person in vain.

    Raises:
        DeclarationError: the wish is not one for answers.
    """
    _check_wish("refer_unsure", "answers", answers)
    return ReferUnsure(answers)


def _check_wish(policy: str, side: str, wish: object) -> None:
    if not isinstance(wish, Policy) or isinstance(wish, TwoSided | ReferUnsure):
        raise DeclarationError(
            f"{policy}({side}={wish}): that is no wish for one value; use one, such as precision_at_least(0.8),"
            " recall_at_least(…), top_fraction(…) or fixed(…)."
        )


def _share(policy: str, value: float) -> float:
    if not 0 < value <= 1:
        raise DeclarationError(
            f"{policy}({value}): the share must be above 0 and at most 1; for example {policy}(0.65)."
        )
    return float(value)
