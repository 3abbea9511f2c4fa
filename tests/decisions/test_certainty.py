"""How sure a threshold is, and how far its scores are probabilities."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from lockstep import Graph, Threshold, fixed, maximise_f_beta, precision_at_least, recall_at_least, top_fraction
from lockstep.decisions import choose, curve_of, tune_threshold
from lockstep.decisions.certainty import RESAMPLES, calibration_of, interval_of
from lockstep.errors import PolicyUnmet
from lockstep.policy import Policy
from lockstep.registry import read_manifest
from tests.training import shop
from tests.training.conftest import ADA, Shop

DICE = np.random.default_rng(3)
SCORES = DICE.random(600)
POSITIVE = DICE.random(600) < SCORES


@pytest.mark.parametrize("policy", [recall_at_least(0.8), top_fraction(0.2), maximise_f_beta(1)], ids=str)
def test_the_interval_is_that_of_rows_drawn_anew(policy: Policy) -> None:
    """Drawing rows with replacement, and choosing on each draw, gives the same interval but for the dice."""
    values = []
    for _ in range(400):
        rows = DICE.integers(len(SCORES), size=len(SCORES))
        values.append(choose(policy, curve_of(SCORES[rows], POSITIVE[rows])))
    found = interval_of(policy, curve_of(SCORES, POSITIVE), 1)
    assert (found["resamples"], found["unmet"]) == (RESAMPLES, 0)
    assert (found["low"], found["high"]) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.06)
    assert found["low"] <= choose(policy, curve_of(SCORES, POSITIVE)) <= found["high"]


def test_the_same_dice_are_the_same_interval() -> None:
    """The seed alone says which rows are drawn."""
    one = curve_of(SCORES, POSITIVE)
    first, again, other = (interval_of(recall_at_least(0.8), one, seed) for seed in (1, 1, 2))
    assert first == again != other


def test_a_value_that_is_given_has_no_interval() -> None:
    """Nothing is chosen, so nothing is uncertain."""
    assert interval_of(fixed(0.5), curve_of(SCORES, POSITIVE), 1) is None


def test_values_without_classes_have_an_interval() -> None:
    """A share of predicted values is chosen anew on values drawn anew."""
    found = interval_of(top_fraction(0.2), curve_of(SCORES, None), 1)
    assert found["low"] < choose(top_fraction(0.2), curve_of(SCORES, None)) < found["high"]


def test_a_policy_that_is_hardly_ever_met_says_how_often() -> None:
    """Where most draws can't be met, there is no interval, and it is said why."""
    scores = np.array([0.9] * 30 + [0.1] * 70)
    positive = np.array([True] * 21 + [False] * 9 + [True] * 2 + [False] * 68)
    found = interval_of(precision_at_least(0.97), curve_of(scores, positive), 1)
    with pytest.raises(PolicyUnmet):
        choose(precision_at_least(0.97), curve_of(scores, positive))
    assert found == {"resamples": RESAMPLES, "unmet": RESAMPLES, "low": None, "high": None}


def test_many_scores_are_chosen_from_in_even_steps() -> None:
    """With more distinct scores than are worth the time, the interval still holds the value."""
    scores = np.random.default_rng(5).random(40_000)
    positive = np.random.default_rng(6).random(40_000) < scores
    curve = curve_of(scores, positive)
    found = interval_of(recall_at_least(0.8), curve, 1)
    assert found["low"] < choose(recall_at_least(0.8), curve) < found["high"] < found["low"] + 0.05


def test_calibration_is_what_was_said_and_what_came_true() -> None:
    """Scores that are probabilities lie on the diagonal; the Brier score is scikit-learn's."""
    found = calibration_of(SCORES, POSITIVE)
    assert found["brier_score"] == brier_score_loss(POSITIVE, SCORES)
    assert len(found["predicted"]) == 10
    assert found["observed"] == pytest.approx(found["predicted"], abs=0.2)
    assert calibration_of(SCORES, None) is None
    assert calibration_of(SCORES, np.ones(600, dtype=bool)) is None
    assert calibration_of(np.empty(0), np.empty(0, dtype=bool)) is None


def test_the_manifest_says_both(trained: Shop) -> None:
    """A threshold version tells its interval and its calibration, for one class against the rest as well."""
    graph = Graph([Threshold("gold", model=shop.planning, choose=maximise_f_beta(1), positive="gold"), shop.large])
    for name in ("gold", "large"):
        model = trained.registry.state().model(graph.model_of(name).name)
        version = tune_threshold(trained.registry, graph, name, ADA, model=model).version
        manifest = read_manifest(trained.registry.objects, version.fact.manifest)
        assert manifest["interval"]["low"] <= manifest["value"] <= manifest["interval"]["high"]
        assert (manifest["calibration"] is None) is (name == "large")
        if name == "gold":
            assert manifest["policy"] == {"policy": "maximise_f_beta", "beta": 1.0}
            assert 0 < manifest["calibration"]["brier_score"] < 0.25
