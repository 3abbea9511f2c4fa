"""Each policy against all thresholds that there are."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score, precision_recall_curve

from lockstep.decisions import Curve, choose, curve_of
from lockstep.decisions.curve import report
from lockstep.errors import PolicyUnmet
from lockstep.policy import (
    Policy,
    capacity_per_day,
    cost_matrix,
    fixed,
    maximise_f_beta,
    minimise_cost,
    precision_at_least,
    recall_at_least,
    top_fraction,
)

Row = tuple[float, bool]
Key = tuple[Fraction, ...]

# A few levels give ties; the free floats give neighbours that differ in the last digit.
scores = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1), st.floats(-1e9, 1e9))
rows = st.lists(st.tuples(scores, st.booleans()), min_size=1, max_size=25)
shares = st.sampled_from([0.01, 0.1, 0.25, 1 / 3, 0.5, 0.6, 2 / 3, 0.75, 0.9, 1.0])
costs = st.sampled_from([0.0, 1.0, 2.0, 5.0])


def curve(of: list[Row]) -> Curve:
    """Make the curve of rows."""
    return curve_of(np.array([score for score, _ in of]), np.array([positive for _, positive in of]))


def decided(of: list[Row], value: float) -> list[bool]:
    """Decide each row at a threshold."""
    return [score >= value for score, _ in of]


def every_cut(of: list[Row]) -> list[list[bool]]:
    """List all ways to decide "yes" from some score up, the fewest first."""
    return [decided(of, value) for value in sorted({score for score, _ in of}, reverse=True)]


def counted(of: list[Row], cut: list[bool]) -> tuple[int, int, int]:
    """Count the rows decided "yes", those among them that are positive, and all positive ones."""
    hits = sum(yes and positive for yes, (_, positive) in zip(cut, of, strict=True))
    return sum(cut), hits, sum(positive for _, positive in of)


def best(
    of: list[Row], allowed: Callable[[list[bool]], bool], wanted: Callable[[list[bool]], Fraction]
) -> list[bool] | None:
    """Find the best allowed cut by trying all; of equals the one with the fewest "yes"."""
    found = [cut for cut in every_cut(of) if allowed(cut)]
    return max(found, key=lambda cut: (wanted(cut), -sum(cut))) if found else None


def at_least(part: int, whole: int, share: float) -> bool:
    """Compare as a person with a calculator would: both sides in floating point."""
    return part / whole >= share


@settings(deadline=None)
@given(of=rows, share=shares)
def test_precision_at_least_takes_the_highest_recall_among_all_that_keep_it(of: list[Row], share: float) -> None:
    """No other threshold keeps the precision and finds more; where none keeps it, the best precision is named."""
    _, _, positives = counted(of, every_cut(of)[-1])
    if positives == 0:
        with pytest.raises(PolicyUnmet):
            choose(precision_at_least(share), curve(of))
        return
    expected = best(
        of,
        lambda cut: at_least(counted(of, cut)[1], sum(cut), share),
        lambda cut: Fraction(counted(of, cut)[1], positives),
    )
    if expected is not None:
        assert decided(of, choose(precision_at_least(share), curve(of))) == expected
        return
    highest = max(Fraction(counted(of, cut)[1], sum(cut)) for cut in every_cut(of))
    with pytest.raises(PolicyUnmet) as caught:
        choose(precision_at_least(share), curve(of))
    assert f"the best precision is {math.floor(float(highest) * 1e4) / 1e4:.4f}, at threshold" in str(caught.value)


@settings(deadline=None)
@given(of=rows, share=shares)
def test_recall_at_least_takes_the_highest_precision_among_all_that_keep_it(of: list[Row], share: float) -> None:
    """No other threshold finds that many and errs less; with a positive row there is always one."""
    _, _, positives = counted(of, every_cut(of)[-1])
    if positives == 0:
        with pytest.raises(PolicyUnmet):
            choose(recall_at_least(share), curve(of))
        return
    expected = best(
        of,
        lambda cut: at_least(counted(of, cut)[1], positives, share),
        lambda cut: Fraction(counted(of, cut)[1], sum(cut)),
    )
    assert decided(of, choose(recall_at_least(share), curve(of))) == expected


@settings(deadline=None)
@given(of=rows, false_positive=costs, false_negative=costs)
def test_minimise_cost_is_as_cheap_as_any_threshold_and_as_saying_yes_to_nobody(
    of: list[Row], false_positive: float, false_negative: float
) -> None:
    """Nothing is cheaper than the choice, and of what is as cheap it says "yes" least often."""
    if false_positive + false_negative == 0:
        return

    def cost(cut: list[bool]) -> float:
        yes, hits, positives = counted(of, cut)
        return false_positive * (yes - hits) + false_negative * (positives - hits)

    chosen = decided(of, choose(minimise_cost(false_positive=false_positive, false_negative=false_negative), curve(of)))
    everything = [[False] * len(of), *every_cut(of)]
    assert chosen == min(everything, key=lambda cut: (cost(cut), sum(cut)))


@settings(deadline=None)
@given(of=rows, costs=st.tuples(*[st.sampled_from([-3.0, -1.0, 0.0, 1.0, 4.0])] * 4))
def test_a_cost_matrix_counts_all_four_outcomes(of: list[Row], costs: tuple[float, float, float, float]) -> None:
    """Nothing is cheaper than the choice, where being right may gain something, and "yes" is said least often."""
    true_positive, false_positive, false_negative, true_negative = costs
    if not (true_positive < false_negative and true_negative < false_positive):
        return
    policy = cost_matrix(
        true_positive=true_positive,
        false_positive=false_positive,
        false_negative=false_negative,
        true_negative=true_negative,
    )

    def cost(cut: list[bool]) -> float:
        yes, hits, positives = counted(of, cut)
        wrong, missed = yes - hits, positives - hits
        right = true_positive * hits + true_negative * (len(of) - positives - wrong)
        return right + false_positive * wrong + false_negative * missed

    everything = [[False] * len(of), *every_cut(of)]
    assert decided(of, choose(policy, curve(of))) == min(everything, key=lambda cut: (cost(cut), sum(cut)))


@settings(deadline=None)
@given(of=rows.filter(lambda of: any(positive for _, positive in of)), beta=st.sampled_from([0.5, 1.0, 2.0]))
def test_f_beta_is_as_high_as_scikit_learn_finds_it_anywhere(of: list[Row], beta: float) -> None:
    """No other threshold has a higher F-beta."""

    def f_beta(cut: list[bool]) -> float:
        yes, hits, positives = counted(of, cut)
        return (1 + beta**2) * hits / (beta**2 * positives + yes)

    chosen = decided(of, choose(maximise_f_beta(beta), curve(of)))
    truth = [positive for _, positive in of]
    assert f_beta(chosen) == pytest.approx(max(map(f_beta, every_cut(of))))
    assert f_beta(chosen) == pytest.approx(fbeta_score(truth, chosen, beta=beta, zero_division=0.0))


@settings(deadline=None)
@given(of=rows, share=shares)
def test_a_capacity_is_a_share_of_the_day(of: list[Row], share: float) -> None:
    """Room for a part of the day's rows is the policy that takes the same share."""
    found = []
    for policy in (capacity_per_day(1000 * share, rows=1000), top_fraction(1000 * share / 1000)):
        try:
            found.append(choose(policy, curve(of)))
        except PolicyUnmet as unmet:
            found.append(str(unmet).partition(" can't be met: ")[2])
    assert found[0] == found[1]


@settings(deadline=None)
@given(of=rows, share=shares)
def test_top_fraction_takes_as_many_rows_as_the_share_allows(of: list[Row], share: float) -> None:
    """One more row, or all that share its score, would be too many."""
    expected = best(of, lambda cut: sum(cut) / len(of) <= share, lambda cut: Fraction(sum(cut)))
    without_classes = curve_of(np.array([score for score, _ in of]), None)
    if expected is None:
        with pytest.raises(PolicyUnmet):
            choose(top_fraction(share), without_classes)
    else:
        assert decided(of, choose(top_fraction(share), without_classes)) == expected


@settings(deadline=None)
@given(of=rows, value=st.floats(-10, 10))
def test_fixed_is_used_as_it_is(of: list[Row], value: float) -> None:
    """The value is the declared one, whatever the rows are."""
    assert choose(fixed(value), curve(of)) == value


@settings(deadline=None)
@given(of=rows)
def test_a_curve_holds_every_cut_once_and_counts_it_right(of: list[Row]) -> None:
    """Each threshold decides as one of all the cuts does, highest first, with its counts."""
    found = curve(of)
    cuts = every_cut(of)
    assert [decided(of, value) for value in found.thresholds] == cuts
    assert found.hits is not None
    counts = [counted(of, cut) for cut in cuts]
    assert list(zip(found.yes.tolist(), found.hits.tolist(), strict=True)) == [(yes, hits) for yes, hits, _ in counts]
    assert (found.rows, found.positives) == (len(of), counts[0][2])
    assert all(earlier > later for earlier, later in zip(found.thresholds, found.thresholds[1:], strict=False))


@settings(deadline=None)
@given(of=rows.filter(lambda of: any(positive for _, positive in of)))
def test_precision_and_recall_are_those_of_scikit_learn(of: list[Row]) -> None:
    """At each threshold the curve says what scikit-learn's says."""
    found = curve(of)
    truth, given_scores = [positive for _, positive in of], [score for score, _ in of]
    precision, recall, _ = precision_recall_curve(truth, given_scores)
    np.testing.assert_allclose(found.precision, precision[:-1][::-1])
    np.testing.assert_allclose(found.recall, recall[:-1][::-1])


@settings(deadline=None)
@given(of=rows, value=st.floats(-2, 2))
def test_a_report_counts_what_a_threshold_decides(of: list[Row], value: float) -> None:
    """Shares come from the counts, and a share of nothing is None."""
    yes, hits, positives = counted(of, decided(of, value))
    found = report(value, np.array([score for score, _ in of]), np.array([positive for _, positive in of]))
    assert found == {
        "rows": len(of),
        "yes": yes,
        "share": yes / len(of),
        "positives": positives,
        "hits": hits,
        "precision": hits / yes if yes else None,
        "recall": hits / positives if positives else None,
    }


def test_thresholds_lie_half_way_between_scores() -> None:
    """A last-digit difference of a score flips no decision; below the lowest score there is no neighbour."""
    found = curve([(0.8, True), (0.4, False), (0.4, True), (0.2, False)])
    assert found.thresholds.tolist() == pytest.approx([0.6, 0.3, 0.2])


@pytest.mark.parametrize(
    "policy",
    [
        precision_at_least(1.0),
        recall_at_least(1.0),
        top_fraction(1.0),
        minimise_cost(false_positive=1, false_negative=2),
    ],
    ids=str,
)
def test_one_positive_row_is_decided_yes(policy: Policy) -> None:
    """A split of one row has one threshold, which is its score."""
    assert choose(policy, curve([(0.3, True)])) == 0.3


def test_of_equally_cheap_thresholds_none_is_cheaper_than_nobody() -> None:
    """Where "yes" to nobody costs no more, the threshold lies above the highest score."""
    value = choose(minimise_cost(false_positive=1, false_negative=1), curve([(0.9, False), (0.9, True)]))
    assert 0.9 < value < 0.91


@pytest.mark.parametrize(
    ("policy", "of", "message"),
    [
        (
            precision_at_least(0.8),
            [(0.9, True), (0.9, False), (0.5, True), (0.1, False)],
            (
                "precision_at_least(0.8) can't be met: the best precision is 0.6666, at threshold 0.3000 with recall"
                " 1.0000. Ask for at most that, or train a better model."
            ),
        ),
        (
            precision_at_least(0.8),
            [(0.9, False)],
            (
                "precision_at_least(0.8) can't be met: of 1 rows none is positive, so no threshold can be right about"
                " one. Bring data with positives, or correct positive= of the threshold."
            ),
        ),
        (
            recall_at_least(0.5),
            [(0.9, False), (0.1, False)],
            (
                "recall_at_least(0.5) can't be met: of 2 rows none is positive, so no threshold can be right about one."
                " Bring data with positives, or correct positive= of the threshold."
            ),
        ),
        (
            top_fraction(0.25),
            [(0.9, False), (0.9, True), (0.1, False)],
            (
                "top_fraction(0.25) can't be met: 2 of 3 rows share the highest score, so the smallest share that can"
                " be had is 0.6667. Ask for at least that, or train a model that tells these rows apart."
            ),
        ),
    ],
)
def test_an_unmet_policy_says_what_is_the_best_that_can_be_had(policy: Policy, of: list[Row], message: str) -> None:
    """The message names the policy, the best that there is, and what to do."""
    with pytest.raises(PolicyUnmet) as caught:
        choose(policy, curve(of))
    assert str(caught.value) == message


def test_the_best_that_is_named_can_be_had() -> None:
    """Asking for the precision that the message names is met: it is rounded down."""
    of = [(0.9, True), (0.9, False), (0.5, True), (0.1, False)]
    assert decided(of, choose(precision_at_least(0.6666), curve(of))) == [True, True, True, False]


def test_the_share_that_is_named_can_be_had() -> None:
    """Asking for the share that the message names is met: it is rounded up."""
    of = [(0.9, False), (0.9, True), *[(0.1, False)] * 5]
    with pytest.raises(PolicyUnmet, match=r"smallest share that can be had is 0\.2858\."):
        choose(top_fraction(0.25), curve(of))
    assert choose(top_fraction(0.2858), curve(of)) == 0.5


def test_costs_need_classes() -> None:
    """Scores without classes have no wrong answers to count."""
    with pytest.raises(PolicyUnmet, match="the scores have no classes to count wrong answers of"):
        choose(minimise_cost(false_positive=1, false_negative=1), curve_of(np.array([1.0, 2.0]), None))


@pytest.mark.parametrize("count", [1, 2, 199, 200, 201, 5000])
def test_a_recorded_curve_has_at_most_200_points_with_both_ends(count: int) -> None:
    """Points are spread evenly, and the highest and the lowest threshold are among them."""
    values = np.linspace(0, 1, count)
    found = curve_of(values, values > 0.5)
    points = found.as_json()
    assert set(points) == {"threshold", "share", "precision", "recall"}
    assert {len(column) for column in points.values()} == {min(count, 200)}
    assert (points["threshold"][0], points["threshold"][-1]) == (found.thresholds[0], found.thresholds[-1])
    assert (points["share"][0], points["share"][-1]) == (1 / count, 1.0)


def test_a_curve_without_classes_has_shares_only() -> None:
    """Precision and recall of a regression are not made up."""
    assert curve_of(np.array([3.0, 1.0]), None).as_json() == {"threshold": [2.0, 1.0], "share": [0.5, 1.0]}
