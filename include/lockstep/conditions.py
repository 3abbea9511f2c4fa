"""What a release may change at most, counted in decisions: the limits that a graph puts on its releases.

Rules:
- A condition is a plain value that can be written to JSON and compared. `lockstep.decisions` counts, and
  `lockstep.release` compares the counts with the limit.
- A limit is a share from 0 to 1, and is kept by a share that is equal to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lockstep.errors import DeclarationError


@dataclass(frozen=True, slots=True)
class FlipRate:
    """Of the rows of the newest test split, at most `at_most` get another decision by `threshold` than before."""

    word: ClassVar[str] = "flip_rate"
    threshold: str
    at_most: float

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes that it speaks of."""
        return (self.threshold,)

    def __str__(self) -> str:
        return f'flip_rate("{self.threshold}", at_most={self.at_most:g})'


@dataclass(frozen=True, slots=True)
class SplitRate:
    """Of the keys that two APIs both answer, `api` says yes where `other` says no to at most `at_most`."""

    word: ClassVar[str] = "split_rate"
    api: str
    other: str
    at_most: float

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes that it speaks of."""
        return (self.api, self.other)

    def __str__(self) -> str:
        return f'split_rate("{self.api}", "{self.other}", at_most={self.at_most:g})'


Condition = FlipRate | SplitRate
_BY_WORD = {kind.word: kind for kind in (FlipRate, SplitRate)}


def flip_rate(threshold: str, *, at_most: float) -> FlipRate:
    """Release only if at most this share of the decisions by a threshold changes (0 ≤ at_most < 1).

    Raises:
        DeclarationError: the share is out of range.
    """
    return FlipRate(threshold, _share("flip_rate", at_most))


def split_rate(api: str, other: str, *, at_most: float) -> SplitRate:
    """Release only if at most this share of the keys gets a yes from `api` and a no from `other` (0 ≤ at_most < 1).

    Raises:
        DeclarationError: the share is out of range.
    """
    return SplitRate(api, other, _share("split_rate", at_most))


def as_json(condition: Condition) -> dict[str, Any]:
    """The condition as JSON values; `from_json` reads it."""
    return {"condition": condition.word, **{name: getattr(condition, name) for name in condition.__slots__}}


def from_json(plain: Mapping[str, Any]) -> Condition:
    """The condition that `as_json` wrote."""
    values = dict(plain)
    return _BY_WORD[values.pop("condition")](**values)


def _share(word: str, value: float) -> float:
    if not 0 <= value < 1:
        raise DeclarationError(
            f"{word}(at_most={value}): the share must be at least 0 and below 1; for example at_most=0.05."
        )
    return float(value)
