"""A share that was counted: so many of so many, with what the true share may be."""

import math
from dataclasses import dataclass
from typing import Any, Final

_Z: Final = 1.959963984540054  # the normal quantile at 0.975: the interval misses the true share once in twenty times


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`part` of `whole` rows or keys."""

    part: int
    whole: int

    @property
    def rate(self) -> float | None:
        """The share; None of nothing."""
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's score interval of 95 %; None of nothing.

        It is good for rates near 0 too, where the usual ± says that nothing can happen. Source: E. B. Wilson, Probable
        inference, the law of succession, and statistical inference, J. Am. Stat. Assoc. 22 (1927) 209-212; in the form
        of L. D. Brown, T. T. Cai, A. DasGupta, Interval estimation for a binomial proportion, Statistical Science 16
        (2001) 101-133, equation (4).
        """
        if not self.whole:
            return None
        n, p = self.whole, self.part / self.whole
        middle = (p + _Z * _Z / (2 * n)) / (1 + _Z * _Z / n)
        half = _Z / (1 + _Z * _Z / n) * math.sqrt(p * (1 - p) / n + _Z * _Z / (4 * n * n))
        low = 0.0 if self.part == 0 else max(middle - half, 0.0)
        return low, 1.0 if self.part == n else min(middle + half, 1.0)

    def as_json(self) -> dict[str, Any]:
        """The share as JSON values."""
        low, high = self.interval or (None, None)
        return {"count": self.part, "of": self.whole, "rate": self.rate, "low": low, "high": high}

    def __str__(self) -> str:
        if self.interval is None:
            return "0 of 0"
        low, high = self.interval
        return f"{self.part} of {self.whole} ({percent(self.part / self.whole)}; {percent(low)} to {percent(high)})"


def percent(value: float) -> str:
    """A share as people write it."""
    return f"{100 * value:.2f} %"
