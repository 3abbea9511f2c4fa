"""What counts as drift: the limits, as declared values."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Final

from lockstep.errors import DeclarationError, UsageError

_RANGES: Final = (
    ("alpha", 0, 1),
    ("rate", 0, 1),
    ("auc", 0.5, 1),
    ("psi", 0, None),
    ("moved", 0, None),
    ("odds", 1, None),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From where on a distance is drift. It counts only where it is sure as well: p below `alpha`, after correction.

    Attributes:
        alpha: the chance of a false alarm, of all figures of one report together.
        psi: a column or a score drifts from this population stability index on; 0.2 is the rule of thumb of credit
            scoring, where a change asks for action.
        moved: from here on it has moved, which is worth a look; there, 0.1.
        rate: decisions drift where a share moves by this much: 0.05 are five of a hundred.
        odds: labels drift where the odds of a class change by this factor, up or down: at 1.2 by 4.5 points of a
            share of a half, 3.6 of a quarter, a fifth of a rare one; by so much a calibrated model is off.
        auc: the whole drifts where a classifier tells old rows from new ones this well; 0.5 is guessing.
        rows: a figure is given from so many rows on each side.
        important: a column that has a smaller share of what production's models look at moves, but doesn't drift, for
            the dataset as a whole.
        sample: rows of each side that a classifier sees, at most.
        scored: rows of each side that production's models score, at most.
    """

    alpha: float = 0.01
    psi: float = 0.2
    moved: float = 0.1
    rate: float = 0.05
    odds: float = 1.2
    auc: float = 0.7
    rows: int = 200
    important: float = 0.02
    sample: int = 4_000
    scored: int = 20_000

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not isfinite(value) or value <= low or (high is not None and value >= high):
                to = f"below {high}" if high is not None else "any number"
                raise DeclarationError(f"Limits: {name}={value} is no limit; it is above {low}, and {to}.")
        if self.moved > self.psi:
            raise DeclarationError(
                f"Limits: moved={self.moved} is above psi={self.psi}, but what drifts has moved; lower it."
            )
        if not 0 <= self.important < 1:
            raise DeclarationError(f"Limits: important={self.important} is a share: 0 or more, and below 1.")
        for name, least in (("rows", 20), ("sample", 200), ("scored", 200)):
            if getattr(self, name) < least:
                raise DeclarationError(f"Limits: {name}={getattr(self, name)} is too few; it is {least} or more.")

    @classmethod
    def parse(cls, words: Iterable[str]) -> "Limits":
        """The defaults but for words as `psi=0.25`.

        Raises:
            UsageError: a word names no limit, or says no number.
            DeclarationError: a limit that can't be.
        """
        kinds = {name: type(value) for name, value in asdict(cls()).items()}
        found: dict[str, Any] = {}
        for word in words:
            name, _, value = word.partition("=")
            if name not in kinds:
                raise UsageError(f"--limit {word}: there is no limit {name!r}; there are {', '.join(kinds)}.")
            try:
                found[name] = kinds[name](value)
            except ValueError:
                raise UsageError(
                    f"--limit {word}: {value!r} is no number; write {name}={getattr(cls(), name)}."
                ) from None
        return cls(**found)

    def as_json(self) -> dict[str, Any]:
        """The limits as JSON values."""
        return asdict(self)
