"""Columns by their sketches: the figures are those of the rows, within the doubt that is stated."""

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.spatial import distance

from lockstep.data.profile import finish, merge, profile_of
from lockstep.data.split import SPLIT
from lockstep.monitoring import figures
from lockstep.monitoring.columns import BLANK, OTHERS, UNSEEN, Distances, compare
from lockstep.monitoring.summaries import Numbers, Summary, Words, is_sketched, summaries_of


def summary(values: pl.Series, parts: int = 8) -> Summary:
    """Profile a column in parts and splits, as a pipeline does, and sum it up."""
    splits = pl.Series([("train", "train", "test")[place % 3] for place in range(len(values))])
    frame = pl.DataFrame({"key": range(len(values)), "x": values, SPLIT: splits})
    size = -(-len(values) // parts)
    profile = finish(merge(profile_of(part, "key") for part in frame.iter_slices(size)))
    assert is_sketched(profile, "key")
    return summaries_of(profile, "key")["x"]


def held(one: object, other: object, dtype: type[pl.DataType] | None = None) -> Distances:
    """Compare two columns by their sketches."""
    return compare(*(summary(pl.Series(side, dtype=dtype)) for side in (one, other)))


def test_numbers_are_within_the_doubt(dice: np.random.Generator) -> None:
    """Of 200,000 rows, distances from sketches are scipy's of all rows, within the stated error."""
    one, other = dice.normal(10, 3, 200_000), dice.normal(10.4, 3.3, 150_000)
    found = held(one, other)
    assert 0 < found.doubt < 0.02
    exact = stats.ks_2samp(one, other).statistic
    assert found.others["kolmogorov_smirnov"] == pytest.approx(exact, abs=found.doubt)
    far = stats.wasserstein_distance(one, other)
    assert found.others["wasserstein"] == pytest.approx(far, abs=2 * found.doubt * one.std())
    assert found.others["wasserstein_in_deviations"] == pytest.approx(far / one.std(), abs=2 * found.doubt)
    edges = np.quantile(one, np.linspace(0.1, 0.9, 9))
    bins = [np.histogram(side, [-np.inf, *edges, np.inf])[0].astype(float) for side in (one, other)]
    assert found.psi == pytest.approx(figures.population_stability(*bins), abs=0.01)
    assert found.p < 1e-9


def test_few_numbers_are_exact() -> None:
    """While a sketch holds all values, figures are those of the rows, and there is no doubt."""
    one, other = [float(n % 17) for n in range(300)], [float(n % 13) for n in range(280)]
    found = held(one, other)
    assert found.doubt == 0
    exact = stats.ks_2samp(one, other, method="asymp")
    assert found.others["kolmogorov_smirnov"] == pytest.approx(exact.statistic)
    assert found.others["wasserstein"] == pytest.approx(stats.wasserstein_distance(one, other))


def test_what_the_sketches_may_have_made_up_is_no_difference(dice: np.random.Generator) -> None:
    """Half a million equal rows, sketched twice, are alike: what lies within the doubt has no small p value."""
    for _ in range(3):
        found = held(dice.exponential(size=500_000), dice.exponential(size=500_000))
        assert found.others["kolmogorov_smirnov"] < found.doubt
        assert found.p == 1
        assert found.psi < 0.01


def test_numbers_with_few_values() -> None:
    """A number that is 0 or 1 has two bins and an empty one above."""
    found = held([0] * 240 + [1] * 60, [0] * 180 + [1] * 120)
    shares = [(one.label, one.reference, one.current) for one in found.bins]
    assert shares == [("up to 0", 240, 180), ("0 to 1", 60, 120), ("above 1", 0, 0)]
    assert found.moved == pytest.approx(0.2)


def test_blanks_are_a_value() -> None:
    """A column that loses a third of its values has drifted, though the others are as they were."""
    values = [float(n % 50) for n in range(900)]
    some = [None if n % 3 == 0 else value for n, value in enumerate(values)]
    found = held(values, some)
    assert found.bins[-1].label == BLANK
    assert found.psi > 0.2
    assert found.p < 1e-9
    gone = held(values, [None] * 900, pl.Float64)
    assert (gone.psi > 0.2, gone.p < 1e-9, gone.moved) == (True, True, 1.0)


def test_words_are_exact_while_they_are_few() -> None:
    """Distances of categories are scipy's on the counts, whatever the number of parts."""
    one = ["a"] * 500 + ["b"] * 300 + ["c"] * 200
    other = ["a"] * 400 + ["b"] * 300 + ["c"] * 300
    found = held(one, other)
    assert found.doubt == 0
    table = np.asarray([[500, 300, 200], [400, 300, 300]])
    assert found.others["jensen_shannon"] == pytest.approx(distance.jensenshannon(*table, 2))
    expected = stats.chi2_contingency(table, correction=False)
    assert (found.others["chi_square"], found.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_unseen_categories_are_told() -> None:
    """What the reference never had is counted together, and named, the commonest first."""
    found = held(["a"] * 600 + ["b"] * 400, ["a"] * 500 + ["new"] * 300 + ["newer"] * 150 + ["b"] * 50)
    assert found.unseen == ("new", "newer")
    assert found.others["unseen_share"] == pytest.approx(0.45)
    assert (found.bins[-1].label, found.bins[-1].current) == (UNSEEN, 450)
    assert found.psi > 1


def test_many_words(dice: np.random.Generator) -> None:
    """Of more words than a sketch holds, equal draws are alike, and a shift of the commonest is found."""
    one, other = (pl.Series(np.minimum(dice.zipf(1.15, 60_000), 30_000)).cast(pl.String) for _ in range(2))
    alike = compare(summary(one), summary(other))
    assert alike.doubt > 0
    assert alike.p > 0.01
    assert alike.psi < 0.05
    assert alike.unseen == ()
    assert OTHERS in {found.label for found in alike.bins}
    shifted = other.to_frame("x").select(pl.when(pl.int_range(pl.len()) % 4 == 0).then(pl.lit("new")).otherwise("x"))
    found = compare(summary(one), summary(shifted.to_series().alias("x")))
    assert found.p < 1e-9
    assert found.psi > 0.2
    assert found.unseen[0] == "new"


def test_bools_and_dates_are_words() -> None:
    """Both are counted by what they are as text."""
    flags = summary(pl.Series([True] * 30 + [False] * 10 + [None] * 5))
    assert isinstance(flags, Words)
    assert (flags.counts, flags.rows, flags.nulls, flags.known) == ({"true": 30, "false": 10}, 45, 5, 40)
    days = summary(pl.Series(["2026-01-01", "2026-01-02"] * 4).str.to_date())
    assert isinstance(days, Words)
    assert days.counts == {"2026-01-01": 4, "2026-01-02": 4}


def test_numbers_and_words_have_no_distance() -> None:
    """A column that was numbers and is words is no column to compare."""
    numbers, words = summary(pl.Series([1.0] * 20)), summary(pl.Series(["a"] * 20))
    assert isinstance(numbers, Numbers)
    with pytest.raises(TypeError, match="no distance"):
        compare(numbers, words)
