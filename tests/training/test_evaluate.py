"""Metrics are scikit-learn's own, and what can't be computed is None."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from lockstep import Model, at_least, at_most
from lockstep.data import read_snapshot
from lockstep.declare import Task
from lockstep.errors import UsageError
from lockstep.registry import read_manifest
from lockstep.training import load_model
from lockstep.training.evaluate import METRICS, check_expectations, evaluate, missed
from tests.training import shop
from tests.training.conftest import Shop


def test_metrics_of_a_binary_model_are_those_of_scikit_learn(trained: Shop) -> None:
    """What stands in the log equals what scikit-learn computes on the rows of the test split."""
    version = trained.registry.state().model("leaving")
    rows = read_snapshot(trained.registry, trained.snapshot, "test")
    predictor = load_model(trained.registry, version)
    truth, probability = rows["leaves"].to_numpy(), predictor.score(rows, positive=True)
    said = predictor.estimator.predict(predictor.frame(rows))
    assert version.fact.metrics == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, said),
            "average_precision": metrics.average_precision_score(truth, probability),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, said),
            "brier_score": metrics.brier_score_loss(truth, probability),
            "log_loss": metrics.log_loss(truth, np.column_stack([1 - probability, probability])),
            "roc_auc": metrics.roc_auc_score(truth, probability),
        }
    )


def test_metrics_of_a_model_with_three_classes_are_those_of_scikit_learn(trained: Shop) -> None:
    """With more than two classes, each is taken against the rest, and all weigh the same."""
    version = trained.registry.state().model("planning")
    rows = read_snapshot(trained.registry, trained.snapshot, "test")
    predictor = load_model(trained.registry, version)
    assert predictor.classes == ("basic", "gold", "silver")
    truth, scores = rows["plan"].to_numpy(), predictor.scores(rows)
    said = predictor.estimator.predict(predictor.frame(rows))
    one_hot = np.column_stack([truth == label for label in predictor.classes])
    assert version.fact.metrics == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, said),
            "average_precision": metrics.average_precision_score(one_hot, scores, average="macro"),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, said),
            "brier_score": metrics.brier_score_loss(truth, scores, labels=list(predictor.classes)),
            "log_loss": metrics.log_loss(truth, scores, labels=list(predictor.classes)),
            "roc_auc": metrics.roc_auc_score(truth, scores, multi_class="ovr", average="macro"),
        }
    )


def test_metrics_of_a_regression_are_those_of_scikit_learn(trained: Shop) -> None:
    """Rows without a target are left out, and the errors are in the target's unit."""
    version = trained.registry.state().model("filling")
    rows = read_snapshot(trained.registry, trained.snapshot, "test").filter(pl.col("basket").is_not_null())
    values = load_model(trained.registry, version).scores(rows)[:, 0]
    truth = rows["basket"].to_numpy()
    assert version.fact.metrics == pytest.approx(
        {
            "mean_absolute_error": metrics.mean_absolute_error(truth, values),
            "r2": metrics.r2_score(truth, values),
            "root_mean_squared_error": metrics.root_mean_squared_error(truth, values),
        }
    )


def test_metrics_on_the_validation_split_stand_beside_those_on_the_test_split(trained: Shop) -> None:
    """The manifest holds both, and they are computed on different rows."""
    version = trained.registry.state().model("leaving")
    manifest = read_manifest(trained.registry.objects, version.fact.manifest)
    rows = read_snapshot(trained.registry, trained.snapshot, "validation")
    probability = load_model(trained.registry, version).score(rows, positive=True)
    assert manifest["metrics"] == version.fact.metrics
    expected = metrics.roc_auc_score(rows["leaves"].to_numpy(), probability)
    assert manifest["validation_metrics"]["roc_auc"] == pytest.approx(expected)


def test_one_class_in_the_split_leaves_what_needs_two_open() -> None:
    """Where all rows are of one class, ranking metrics are None, and the others are numbers."""
    scores = np.array([[0.2, 0.8], [0.6, 0.4]])
    found = evaluate(Task.CLASSIFICATION, (False, True), np.array([True, True]), scores)
    assert found["accuracy"] == 0.5
    assert found["brier_score"] == pytest.approx((0.2**2 + 0.6**2) / 2)
    assert [name for name, value in found.items() if value is None] == [
        "average_precision",
        "balanced_accuracy",
        "roc_auc",
    ]


def test_a_class_that_training_never_saw_counts_as_wrong_and_is_not_scored() -> None:
    """A row of an unknown class is an error of the model, and no probability is made up for it."""
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    found = evaluate(Task.CLASSIFICATION, ("a", "b"), np.array(["a", "b", "new"]), scores)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy"] == pytest.approx(2 / 3)
    assert {found[name] for name in ("average_precision", "brier_score", "log_loss", "roc_auc")} == {None}


@pytest.mark.parametrize("task", list(Task))
def test_no_rows_give_no_metrics(task: Task) -> None:
    """Every metric of an empty split is None."""
    assert evaluate(task, (False, True), np.empty(0), np.empty((0, 2))) == dict.fromkeys(METRICS[task])


def test_one_row_of_a_regression_has_no_r2() -> None:
    """A share of explained variance needs two rows."""
    found = evaluate(Task.REGRESSION, (), np.array([3.0]), np.array([[5.0]]))
    assert found == {"mean_absolute_error": 2.0, "r2": None, "root_mean_squared_error": 2.0}


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.lists(st.floats(0.01, 1), min_size=3, max_size=3)),
        min_size=1,
        max_size=12,
    )
)
def test_every_metric_is_a_finite_number_or_none(rows: list[tuple[str, list[float]]]) -> None:
    """Whatever the classes of the rows and the scores are, no NaN comes out, and accuracy is scikit-learn's."""
    truth = np.array([label for label, _ in rows])
    scores = np.array([score for _, score in rows])
    scores /= scores.sum(axis=1, keepdims=True)
    found = evaluate(Task.CLASSIFICATION, ("a", "b", "c"), truth, scores)
    assert tuple(found) == METRICS[Task.CLASSIFICATION]
    assert all(value is None or np.isfinite(value) for value in found.values())
    said = np.array(["a", "b", "c"])[scores.argmax(axis=1)]
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))


def test_a_missed_expectation_says_metric_value_and_bound() -> None:
    """Each bound that does not hold gives one sentence, also where there is no value."""
    expects = {"roc_auc": at_least(0.8), "log_loss": at_most(0.5), "accuracy": at_least(0.7)}
    assert missed(expects, {"roc_auc": 0.71234, "log_loss": None, "accuracy": 0.7}) == (
        "roc_auc is 0.7123, expected is at least 0.8",
        "log_loss is not computable on the test split, expected is at most 0.5",
    )


def test_an_unknown_metric_is_refused_with_those_that_there_are() -> None:
    """An expectation of a metric that is never computed can't be kept, so it is refused by name."""
    model = Model(
        "leaving", data=shop.shoppers, target="leaves", estimator=shop.classifier, expects={"auc": at_least(1)}
    )
    with pytest.raises(UsageError) as caught:
        check_expectations(model)
    assert str(caught.value) == (
        'Model "leaving": expects names "auc", which is no metric of a classification; they are accuracy,'
        " average_precision, balanced_accuracy, brier_score, log_loss, roc_auc."
    )
