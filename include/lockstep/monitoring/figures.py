"""The figures that say how far two samples lie apart, and how surely they do.

Rules:
- Each is a plain function of counts or of weighted values; where they come from (rows, sketches) it does not know.
- Each names its source, and is held against scipy's on the same data by a test.
- A distance says how far, a p value how surely. With a million rows the smallest distance is sure, with fifty none is:
  neither stands alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_FEWEST_EXPECTED: Final = 5.0  # in a cell of a chi-square test
_HALF: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """A sample of numbers: `values` (shape n, ascending), and for how many rows each stands (shape n)."""

    values: Floats
    weights: Floats

    @classmethod
    def of(cls, values: Floats, weights: Floats | None = None) -> "Weighted":
        """The sample in any order; every value stands for one row unless it is said."""
        order = np.argsort(values, kind="stable")
        weights = np.ones(len(values)) if weights is None else weights
        return cls(values=values[order].astype(np.float64), weights=weights[order].astype(np.float64))

    @property
    def rows(self) -> float:
        """How many rows it stands for."""
        return float(self.weights.sum())

    def up_to(self, values: Floats) -> Floats:
        """The share of rows whose value is at most this one (shape of `values`)."""
        cumulated = np.concatenate([[0.0], np.cumsum(self.weights)])
        return np.asarray(cumulated[np.searchsorted(self.values, values, side="right")] / cumulated[-1])

    def quantiles(self, ranks: Sequence[float]) -> Floats:
        """The least value up to which lies at least this share of the rows."""
        shares = np.cumsum(self.weights) / self.rows
        places = np.searchsorted(shares, np.asarray(ranks) - 1e-12, side="left")
        return self.values[np.minimum(places, len(self.values) - 1)]

    def mean(self) -> float:
        """The mean."""
        return float(np.average(self.values, weights=self.weights))

    def deviation(self) -> float:
        """The standard deviation."""
        return math.sqrt(float(np.average((self.values - self.mean()) ** 2, weights=self.weights)))


def population_stability(reference: Floats, current: Floats) -> float:
    """PSI of two histograms over the same bins (counts, both of shape n).

    The sum of (q - p) · ln(q / p) over the shares p and q of each bin, which is the Kullback-Leibler divergence in both
    directions together. Half a row is added to each bin, so that an empty one does not make it infinite. Source: N.
    Siddiqi, Credit Risk Scorecards (2006), chapter 10; as a divergence: H. Jeffreys, An invariant form for the prior
    probability in estimation problems, Proc. R. Soc. A 186 (1946) 453-461.
    """
    p, q = (smoothed(counts) for counts in (reference, current))
    return float(np.sum((q - p) * np.log(q / p)))


def smoothed(counts: Floats) -> Floats:
    """The shares of the bins, with half a row added to each."""
    return np.asarray((counts + _HALF) / (counts.sum() + _HALF * len(counts)))


def jensen_shannon(reference: Floats, current: Floats) -> float:
    """Jensen-Shannon distance of two histograms over the same bins (counts, both of shape n): 0 to 1.

    The square root of the Jensen-Shannon divergence with logarithms to base 2. Source: D. M. Endres, J. E. Schindelin,
    A new metric for probability distributions, IEEE Trans. Inf. Theory 49 (2003) 1858-1860.
    """
    p, q = reference / reference.sum(), current / current.sum()
    middle = (p + q) / 2
    divergence = sum(float(np.sum(one[one > 0] * np.log2(one[one > 0] / middle[one > 0]))) for one in (p, q)) / 2
    return math.sqrt(max(divergence, 0.0))


def kolmogorov_smirnov(reference: Weighted, current: Weighted) -> float:
    """The greatest distance of the two distribution functions: 0 to 1.

    Source: N. V. Smirnov, On the estimation of the discrepancy between empirical curves of distribution for two
    independent samples, Bull. Math. Univ. Moscou 2 (1939) 3-14.
    """
    values = np.union1d(reference.values, current.values)
    return float(np.abs(reference.up_to(values) - current.up_to(values)).max())


def kolmogorov_p(distance: float, rows: float, others: float) -> float:
    """How likely a Kolmogorov-Smirnov distance of this size or more is, of equal distributions and so many rows each.

    By the limit distribution; where values are tied, the true p is smaller. Source: as above.
    """
    from scipy.special import kolmogorov

    return float(kolmogorov(math.sqrt(rows * others / (rows + others)) * distance))


def wasserstein(reference: Weighted, current: Weighted) -> float:
    """The first Wasserstein distance, in the unit of the values: how far a row has to move on average.

    The area between the two distribution functions. Source: S. S. Vallender, Calculation of the Wasserstein distance
    between probability distributions on the line, Theory Probab. Appl. 18 (1974) 784-786.
    """
    values = np.union1d(reference.values, current.values)
    between = np.abs(reference.up_to(values) - current.up_to(values))[:-1]
    return float(np.sum(between * np.diff(values)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChiSquare:
    """The statistic, its degrees of freedom, its p value, and Cramér's V (0 to 1), which says how strong it is."""

    statistic: float
    freedom: int
    p: float
    cramers_v: float


def chi_square(reference: Floats, current: Floats) -> ChiSquare:
    """Pearson's chi-square test that two samples fall into the same bins (counts, both of shape n) equally often.

    Bins in which fewer than five rows would be expected are put together, as W. G. Cochran, Some methods for
    strengthening the common χ² tests, Biometrics 10 (1954) 417-451, advises. Sources: K. Pearson, Phil. Mag. 50 (1900)
    157-175; H. Cramér, Mathematical Methods of Statistics (1946), section 21.9.
    """
    from scipy.special import chdtrc

    table = _pooled(np.stack([reference, current]))
    total, freedom = float(table.sum()), table.shape[1] - 1
    if freedom < 1:
        return ChiSquare(statistic=0.0, freedom=0, p=1.0, cramers_v=0.0)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    statistic = float(np.sum((table - expected) ** 2 / expected))
    p = float(chdtrc(freedom, statistic))
    return ChiSquare(statistic=statistic, freedom=freedom, p=p, cramers_v=math.sqrt(statistic / total))


def _pooled(table: Floats) -> Floats:
    """The bins (shape 2 × n) with the rare ones put together, without those that are empty."""
    least = table.sum(axis=1).min() / table.sum()
    kept = table[:, table.sum(axis=0) > 0]
    is_rare = kept.sum(axis=0) * least < _FEWEST_EXPECTED
    rest = kept[:, is_rare].sum(axis=1)
    kept = kept[:, ~is_rare]
    if rest.sum() * least >= _FEWEST_EXPECTED or not kept.shape[1]:
        return np.concatenate([kept, rest[:, None]], axis=1)
    kept[:, kept.sum(axis=0).argmin()] += rest  # too few for a bin of their own
    return kept


def two_proportions(part: int, whole: int, other: int, of: int) -> float:
    """The p value that two shares are equal: the two-sided z test with the shares pooled.

    Source: J. L. Fleiss, Statistical Methods for Rates and Proportions (1981), section 2.1, without correction for
    continuity.
    """
    pooled = (part + other) / (whole + of)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / whole + 1 / of))
    return math.erfc(abs(part / whole - other / of) / spread / math.sqrt(2)) if spread else 1.0


def log_odds(part: float, whole: float, other: float, of: float) -> float:
    """The logarithm of the factor by which the odds of a share change, with half a row added to each count.

    By that, the probabilities of a calibrated model are off where only a class has become more or less common, and its
    features within each class are as they were. Sources: J. B. S. Haldane, The estimation and significance of the
    logarithm of a ratio of frequencies, Ann. Hum. Genet. 20 (1956) 309-311; M. Saerens, P. Latinne, C. Decaestecker,
    Adjusting the outputs of a classifier to new a priori probabilities, Neural Computation 14 (2002) 21-41.
    """
    before, now = ((one + _HALF) / (every - one + _HALF) for one, every in ((part, whole), (other, of)))
    return math.log(now / before)


def cohens_h(one: float, other: float) -> float:
    """The effect size of two shares: the difference of their arcsines; 0.2 is small, 0.5 medium, 0.8 large.

    Source: J. Cohen, Statistical Power Analysis for the Behavioral Sciences (1988), chapter 6.
    """
    return abs(2 * math.asin(math.sqrt(one)) - 2 * math.asin(math.sqrt(other)))


def holm(values: Sequence[float]) -> list[float]:
    """The p values, corrected so that the chance of one false alarm among all of them is what is asked of one.

    It holds however the figures hang together, which columns of a table always do. Source: S. Holm, A simple
    sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979) 65-70.
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, values[place] * (len(values) - rank)))
        corrected[place] = highest
    return corrected
