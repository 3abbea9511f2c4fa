"""Each figure against scipy's, or scikit-learn's, on the same data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from lockstep.monitoring import figures
from lockstep.monitoring.figures import Weighted

COUNTS = st.integers(2, 12).flatmap(
    lambda size: st.tuples(*(st.lists(st.integers(0, 500), min_size=size, max_size=size) for _ in range(2)))
)
SAMPLES = st.lists(st.integers(-50, 50).map(float), min_size=4, max_size=40)


def arrays(pair: tuple[list[int], list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Give both as arrays of floats, with a row in each at least."""
    one, other = (np.asarray(side, dtype=np.float64) for side in pair)
    one[0] += 1
    other[-1] += 1
    return one, other


@given(COUNTS)
def test_population_stability(pair: tuple[list[int], list[int]]) -> None:
    """It is scipy's relative entropy in both directions together, and 0 of equal counts only."""
    one, other = arrays(pair)
    p, q = figures.smoothed(one), figures.smoothed(other)
    expected = stats.entropy(p, q) + stats.entropy(q, p)
    assert figures.population_stability(one, other) == pytest.approx(expected, abs=1e-12)
    assert figures.population_stability(one, one) == 0


@given(COUNTS)
def test_jensen_shannon(pair: tuple[list[int], list[int]]) -> None:
    """It is scipy's, to base 2."""
    one, other = arrays(pair)
    assert figures.jensen_shannon(one, other) == pytest.approx(distance.jensenshannon(one, other, 2), abs=1e-7)


@given(SAMPLES, SAMPLES)
def test_kolmogorov_smirnov_and_wasserstein(one: list[float], other: list[float]) -> None:
    """Both distances are scipy's, also of values that stand there several times."""
    left, right = (Weighted.of(np.asarray(side)) for side in (one, other))
    assert figures.kolmogorov_smirnov(left, right) == pytest.approx(
        stats.ks_2samp(one, other, method="asymp").statistic
    )
    assert figures.wasserstein(left, right) == pytest.approx(stats.wasserstein_distance(one, other), abs=1e-9)


@given(SAMPLES, st.lists(st.integers(1, 9), min_size=40, max_size=40))
def test_weights_are_rows(values: list[float], times: list[int]) -> None:
    """A value with a weight counts as often as if it stood there that many times."""
    weights = times[: len(values)]
    short = Weighted.of(np.asarray(values), np.asarray(weights, dtype=np.float64))
    long = np.repeat(values, weights)
    ranks = (0.1, 0.5, 0.9)
    assert figures.kolmogorov_smirnov(short, Weighted.of(long)) < 1e-12
    assert short.rows == len(long)
    assert (short.mean(), short.deviation()) == pytest.approx((long.mean(), long.std()), abs=1e-9)
    assert short.quantiles(ranks).tolist() == np.quantile(long, ranks, method="inverted_cdf").tolist()


def test_kolmogorov_p(dice: np.random.Generator) -> None:
    """It is scipy's limit p value, for near and for far samples."""
    one = dice.normal(size=900)
    for shift in (0.0, 0.05, 0.1, 0.3):
        expected = stats.ks_2samp(one, other := dice.normal(shift, size=1_100), method="asymp")
        found = figures.kolmogorov_p(expected.statistic, len(one), len(other))
        scaled = math.sqrt(900 * 1_100 / 2_000) * expected.statistic
        assert found == pytest.approx(stats.kstwobign.sf(scaled))
        assert found == pytest.approx(expected.pvalue, abs=0.03)  # scipy's is corrected for small samples


@pytest.mark.parametrize(
    ("one", "other"), [([120, 80, 40], [100, 90, 70]), ([500, 20], [480, 60]), ([30, 30, 30, 30], [40, 20, 35, 25])]
)
def test_chi_square(one: list[int], other: list[int]) -> None:
    """Statistic, degrees of freedom, p value and Cramér's V are scipy's."""
    found = figures.chi_square(np.asarray(one, dtype=float), np.asarray(other, dtype=float))
    expected = stats.chi2_contingency([one, other], correction=False)
    v = stats.contingency.association(np.asarray([one, other]), method="cramer")
    assert (found.statistic, found.freedom, found.p) == pytest.approx(
        (expected.statistic, expected.dof, expected.pvalue)
    )
    assert found.cramers_v == pytest.approx(v)


def test_rare_bins_are_put_together() -> None:
    """Bins in which fewer than five rows are expected are one; empty ones don't count; of one bin nothing is told."""
    found = figures.chi_square(np.asarray([200.0, 100, 3, 4, 0]), np.asarray([180.0, 110, 4, 3, 0]))
    expected = stats.chi2_contingency([[200, 100, 7], [180, 110, 7]])
    assert (found.statistic, found.freedom) == pytest.approx((expected.statistic, 2))
    fewer = figures.chi_square(np.asarray([200.0, 100, 1]), np.asarray([180.0, 110, 1]))
    assert fewer.statistic == pytest.approx(
        stats.chi2_contingency([[200, 101], [180, 111]], correction=False).statistic
    )
    nothing = figures.chi_square(np.asarray([200.0, 0]), np.asarray([180.0, 0]))
    assert (nothing.freedom, nothing.p) == (0, 1.0)


@given(st.integers(0, 300), st.integers(0, 400))
def test_two_proportions(part: int, other: int) -> None:
    """The p value is that of scipy's chi-square test of the two by two table, which is the same test."""
    found = figures.two_proportions(part, 300, other, 400)
    if 0 < part + other < 700:
        table = [[part, 300 - part], [other, 400 - other]]
        assert found == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, abs=1e-12)
    else:
        assert found == 1


@given(st.integers(0, 300), st.integers(0, 400))
def test_log_odds(part: int, other: int) -> None:
    """The factor is scipy's sample odds ratio, of counts that have half a row more each."""
    table = np.asarray([[other, 400 - other], [part, 300 - part]])
    doubled = stats.contingency.odds_ratio(2 * table + 1, kind="sample").statistic  # as whole numbers; the ratio stays
    assert figures.log_odds(part, 300, other, 400) == pytest.approx(math.log(doubled))


def test_cohens_h() -> None:
    """The effect size of Cohen's own examples."""
    assert figures.cohens_h(0.5, 0.5) == 0
    assert figures.cohens_h(1.0, 0.0) == pytest.approx(math.pi)
    assert figures.cohens_h(0.65, 0.45) == pytest.approx(1.875 - 1.471, abs=0.001)  # his table 6.2.2


def test_holm() -> None:
    """The corrected p values are those of Holm's procedure, in the order that they came in."""
    assert figures.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert figures.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between(values: list[float]) -> None:
    """It corrects less than Bonferroni's procedure and more than Benjamini and Hochberg's, and keeps the order."""
    corrected = figures.holm(values)
    false_discovery = stats.false_discovery_control(values)
    for value, found, least in zip(values, corrected, false_discovery, strict=True):
        assert least - 1e-12 <= found <= min(1.0, value * len(values)) + 1e-12
    ordered = sorted(zip(values, corrected, strict=True))
    assert [found for _, found in ordered] == sorted(corrected)
