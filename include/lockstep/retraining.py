"""When a release group is to be retrained: conditions that a graph declares, as plain values.

Rules:
- A condition can be written as it was declared, and compared. `lockstep.monitoring` looks whether it is met.
- It speaks of data that is newer than what the group was last trained on; without such data nothing is due.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

from lockstep.errors import DeclarationError

ALL: Final = "all"
IMPORTANT: Final = "important"
WEIGHTED: Final = "weighted"
_WORDS: Final = (ALL, IMPORTANT, WEIGHTED)


@dataclass(frozen=True, slots=True)
class Drifted:
    """A column's population stability index is `psi` or more; `columns` are names, or say which columns count."""

    psi: float
    columns: str | tuple[str, ...]

    def __str__(self) -> str:
        columns = f'"{self.columns}"' if isinstance(self.columns, str) else list(self.columns)
        return f"drift(psi={self.psi:g}, columns={columns})"


@dataclass(frozen=True, slots=True)
class Age:
    """The group was last trained so many days ago, or more."""

    days: float

    def __str__(self) -> str:
        return f"age(days={self.days:g})"


@dataclass(frozen=True, slots=True)
class RowsAdded:
    """The newest snapshot has more rows than the group was trained on, by this share of these, or more."""

    share: float

    def __str__(self) -> str:
        return f"rows_added({self.share:g})"


@dataclass(frozen=True, slots=True)
class DecisionRateMoves:
    """The share of a decision moves by `by` or more; of one of `thresholds`, or of any where none is named."""

    by: float
    thresholds: tuple[str, ...]

    def __str__(self) -> str:
        return f"decision_rate_moves({', '.join([f'{self.by:g}', *(repr(name) for name in self.thresholds)])})"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of the conditions is met."""

    conditions: "tuple[When, ...]"

    def __str__(self) -> str:
        return f"any_of({', '.join(map(str, self.conditions))})"


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of the conditions are met."""

    conditions: "tuple[When, ...]"

    def __str__(self) -> str:
        return f"all_of({', '.join(map(str, self.conditions))})"


Simple = Drifted | Age | RowsAdded | DecisionRateMoves
When = Simple | AnyOf | AllOf


def drift(*, psi: float = 0.2, columns: str | Sequence[str] = IMPORTANT) -> Drifted:
    """Retrain where data drifts: a column's population stability index is `psi` or more, and surely not by chance.

    A label counts where its odds drift, too (`Limits.odds`): it matters more, and its index hardly shows it.

    Args:
        psi: 0.2 is the rule of thumb of credit scoring, where a change asks for action.
        columns: "important": those that production's models look at; "all"; "weighted": all, by the mean of their
            indices, weighted by how much the models look at them; or a list of names.

    Raises:
        DeclarationError: `psi` is not above 0, or `columns` is another word, or empty.
    """
    _above_zero("drift", "psi", psi, "0.2")
    if isinstance(columns, str) and columns not in _WORDS:
        raise DeclarationError(
            f'drift(columns="{columns}"): this is one text; say "important", "all" or "weighted", or give a list of'
            f' columns: columns=["{columns}"].'
        )
    if not columns:
        raise DeclarationError('drift(columns=[]): no column can drift; name some, or say "important" or "all".')
    return Drifted(float(psi), columns if isinstance(columns, str) else tuple(columns))


def age(*, days: float) -> Age:
    """Retrain where the group was last trained so many days ago, as a whole.

    Raises:
        DeclarationError: it is not above 0.
    """
    _above_zero("age", "days", days, "30")
    return Age(float(days))


def rows_added(share: float) -> RowsAdded:
    """Retrain where there are more rows than the group was trained on, by this share of these (0.1: a tenth more).

    Raises:
        DeclarationError: it is not above 0.
    """
    _above_zero("rows_added", "share", share, "0.1")
    return RowsAdded(float(share))


def decision_rate_moves(by: float, *thresholds: str) -> DecisionRateMoves:
    """Retrain where the share of a decision moves, surely not by chance, by so much (0.05: five of a hundred rows).

    Raises:
        DeclarationError: it is not above 0, or not below 1.
    """
    _above_zero("decision_rate_moves", "by", by, "0.05")
    if by >= 1:
        raise DeclarationError(f"decision_rate_moves({by}): a share moves by less than 1; for example 0.05.")
    return DecisionRateMoves(float(by), thresholds)


def any_of(*conditions: When) -> AnyOf:
    """Retrain where one of the conditions is met.

    Raises:
        DeclarationError: none is given, or something that is none.
    """
    return AnyOf(_checked("any_of", conditions))


def all_of(*conditions: When) -> AllOf:
    """Retrain where all of the conditions are met.

    Raises:
        DeclarationError: none is given, or something that is none.
    """
    return AllOf(_checked("all_of", conditions))


def simple_ones(when: When) -> Iterator[Simple]:
    """The conditions that a rule is made of."""
    if isinstance(when, AnyOf | AllOf):
        for condition in when.conditions:
            yield from simple_ones(condition)
    else:
        yield when


def as_rule(when: object) -> When:
    """The same, if it is a condition.

    Raises:
        DeclarationError: it is none.
    """
    if isinstance(when, When):
        return when
    raise DeclarationError(
        f"retrain_when: {when!r} is no condition; give drift(…), age(…), rows_added(…) or decision_rate_moves(…), or"
        " several in any_of(…) or all_of(…)."
    )


def _checked(word: str, conditions: tuple[When, ...]) -> tuple[When, ...]:
    if not conditions:
        raise DeclarationError(f"{word}(): no condition is given; for example {word}(drift(psi=0.2), age(days=30)).")
    return tuple(as_rule(condition) for condition in conditions)


def _above_zero(word: str, name: str, value: float, example: str) -> None:
    if not (isfinite(value) and value > 0):
        raise DeclarationError(f"{word}({name}={value}): it has to be above 0; for example {word}({name}={example}).")
