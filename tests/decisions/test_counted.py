"""What a decision diff counts with: shares, histograms, running metrics, contradictions; each against the plain way."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, roc_auc_score

from lockstep.decisions.agreement import Ledger
from lockstep.decisions.histogram import MOST, Counting, Histogram
from lockstep.decisions.ranks import HELD, Ranks
from lockstep.decisions.running import Running, running
from lockstep.decisions.share import Share
from lockstep.declare import Task
from lockstep.training.evaluate import evaluate

DRAW = np.random.default_rng(7)


@pytest.mark.parametrize(
    ("part", "whole"), [(0, 1), (1, 1), (0, 30), (1, 30), (15, 30), (30, 30), (7, 1409), (999_999, 1_000_000)]
)
def test_the_interval_is_wilsons(part: int, whole: int) -> None:
    """The interval of a share is the one that SciPy computes."""
    expected = binomtest(part, whole).proportion_ci(confidence_level=0.95, method="wilson")
    assert Share(part=part, whole=whole).interval == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_share_of_nothing() -> None:
    """Of no rows there is no share, and no interval."""
    nothing = Share(part=0, whole=0)
    assert nothing.as_json() == {"count": 0, "of": 0, "rate": None, "low": None, "high": None}
    assert str(nothing) == "0 of 0"
    assert str(Share(part=1, whole=4)) == "1 of 4 (25.00 %; 4.56 % to 69.94 %)"


def counted(scores: list[float], cuts: list[int]) -> Histogram:
    """Count scores in the batches that the cuts make."""
    counting = Counting()
    for batch in np.split(np.array(scores), sorted(cut % (len(scores) + 1) for cut in cuts)):
        counting.add(batch)
    return counting.result()


numbers = st.one_of(st.floats(0, 1), st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, 0.5]))


@settings(deadline=None)
@given(st.lists(numbers, max_size=30), st.lists(st.integers(0, 30), max_size=3), st.randoms())
def test_a_histogram_holds_every_score_whatever_their_order(
    scores: list[float], cuts: list[int], shuffle: Random
) -> None:
    """Each score is in the bin that its bounds say, in few bins, and neither order nor batches matter."""
    found = counted(scores, cuts)
    assert sum(found.counts) == len(scores)
    assert len(found.counts) <= MOST
    for place, count in enumerate(found.counts):
        low = found.start + place * found.width
        assert count == sum(low <= score < low + found.width for score in scores)
    again = list(scores)
    shuffle.shuffle(again)
    assert counted(again, []) == found


def test_probabilities_get_64_bins() -> None:
    """Scores from 0 to 1 are counted in steps of 1/64, and those that are 1 by themselves."""
    found = counted([0.0, 0.01, 0.999, 1.0], [])
    assert (found.start, found.width, len(found.counts)) == (0.0, 1 / 64, 65)
    assert (found.counts[0], found.counts[63], found.counts[64]) == (2, 1, 1)
    assert Counting().result() == Histogram(start=0.0, width=1 / 64, counts=())


def in_batches(metrics: Running, truth: list[Any], scores: np.ndarray) -> dict[str, float | None]:
    """Add rows a few at a time."""
    for start in range(0, len(truth), 97):
        metrics.add(truth[start : start + 97], scores[start : start + 97])
    return metrics.result()


@pytest.mark.parametrize("classes", [(False, True), ("a", "b", "c"), (0, 1, 2, 3, 4)], ids=len)
def test_metrics_of_a_classification_are_those_of_training(classes: tuple[Any, ...], tmp_path: Path) -> None:
    """Counted in batches, each metric is what training computes on all rows at once."""
    truth = [classes[place] for place in DRAW.integers(len(classes), size=1000)]
    raised = np.array([[label == own for label in classes] for own in truth])
    odds = np.exp(DRAW.normal(size=raised.shape) + raised)
    scores = odds / odds.sum(axis=1, keepdims=True)
    found = in_batches(running(Task.CLASSIFICATION, classes, tmp_path), truth, scores)
    expected = evaluate(Task.CLASSIFICATION, classes, np.array(truth, dtype=object), scores)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("classes", "truth", "scores"),
    [
        ((False, True), [], np.empty((0, 2))),
        ((False, True), [True, True], np.array([[0.2, 0.8], [0.9, 0.1]])),
        ((False, True), [True, False, True], np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])),
        (("a", "b"), ["a", "b", "z"], np.array([[0.6, 0.4], [0.3, 0.7], [0.5, 0.5]])),
        (("a", "b", "c"), ["a", "b"], np.array([[0.6, 0.2, 0.2], [0.3, 0.6, 0.1]])),
        (("a",), ["a"], np.array([[1.0]])),
    ],
    ids=["no rows", "one class", "sure", "an unknown class", "a class is missing", "a single class"],
)
def test_what_training_can_not_compute_is_none_here_too(
    classes: tuple[Any, ...], truth: list[Any], scores: np.ndarray, tmp_path: Path
) -> None:
    """Where a class is missing, unknown, or there are no rows, the same metrics are None as after training."""
    found = in_batches(running(Task.CLASSIFICATION, classes, tmp_path), truth, scores)
    assert found == pytest.approx(evaluate(Task.CLASSIFICATION, classes, np.array(truth, dtype=object), scores))


@pytest.mark.parametrize("rows", [0, 1, 2, 1000])
def test_metrics_of_a_regression_are_those_of_training(rows: int, tmp_path: Path) -> None:
    """Far from zero as well, r² is what it is over all rows at once."""
    truth = 1e6 + DRAW.normal(size=rows)
    scores = (truth + DRAW.normal(size=rows) / 3).reshape(-1, 1)
    found = in_batches(running(Task.REGRESSION, (), tmp_path), truth.tolist(), scores)
    for name, value in evaluate(Task.REGRESSION, (), truth, scores).items():
        assert found[name] == (None if value is None else pytest.approx(value, rel=1e-9))


@pytest.mark.parametrize("ordered", ["by chance", "by score"])
def test_many_rows_are_ranked_as_if_all_were_sorted(tmp_path: Path, ordered: str) -> None:
    """More rows than are held, with ties, in whatever order they come, are ranked as scikit-learn ranks them."""
    rows = 3 * HELD + 17
    scores = DRAW.normal(size=rows).round(3)
    scores = np.sort(scores) if ordered == "by score" else scores
    positive = DRAW.random(rows) < 1 / (1 + np.exp(-scores))
    ranks = Ranks(tmp_path / "ranks")
    for part in np.split(np.arange(rows), range(0, rows, 10_000)):
        ranks.add(scores[part], positive[part])
    assert ranks.roc_auc() == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    assert ranks.average_precision() == pytest.approx(average_precision_score(positive, scores), abs=1e-12)


answers = st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 12)), st.booleans()), max_size=40)


@settings(deadline=None, max_examples=50)
@given(answers, answers, st.integers(1, 7))
def test_a_contradiction_is_a_yes_that_the_other_does_not_back(
    tmp_path_factory: pytest.TempPathFactory, api: list[Any], other: list[Any], batch: int
) -> None:
    """Of the keys that both answer, those count to which one says yes on some row and the other on none."""
    ledger = Ledger(tmp_path_factory.mktemp("ledger") / "one")
    for side, rows in (("api", api), ("other", other)):
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            keys = pl.Series([key for key, _ in part], dtype=pl.Int64)
            ledger.add(side, keys, np.array([yes for _, yes in part], dtype=bool))
    said = [
        {key: any(yes for other_key, yes in rows if other_key == key) for key, _ in rows if key is not None}
        for rows in (api, other)
    ]
    both = said[0].keys() & said[1].keys()
    assert ledger.count() == Share(part=sum(said[0][key] and not said[1][key] for key in both), whole=len(both))
