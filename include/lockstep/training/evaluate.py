"""Metrics of a fitted model, under scikit-learn's names.

Rules:
- A metric that can't be computed on these rows (one class only, say) is None, never a guess.
- Names are fixed for each task, so that `expects` can be checked before anything is trained.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lockstep.declare import Expectation, Model, Task
from lockstep.errors import UsageError

METRICS: Final[dict[Task, tuple[str, ...]]] = {
    Task.CLASSIFICATION: (
        "accuracy",
        "average_precision",
        "balanced_accuracy",
        "brier_score",
        "log_loss",
        "roc_auc",
    ),
    Task.REGRESSION: ("mean_absolute_error", "r2", "root_mean_squared_error"),
}
_BINARY: Final = 2


def check_expectations(model: Model) -> None:
    """Refuse `expects` that names a metric which is never computed.

    Raises:
        UsageError: an unknown name.
    """
    known = METRICS[model.task]
    for name in model.expects:
        if name not in known:
            raise UsageError(
                f'Model "{model.name}": expects names "{name}", which is no metric of a {model.task.value}; they are'
                f" {', '.join(known)}."
            )


def missed(expects: Mapping[str, Expectation], metrics: Mapping[str, float | None]) -> tuple[str, ...]:
    """A sentence for each expectation that the metrics miss."""
    return tuple(
        f"{name} is {_shown(metrics[name])}, expected is {bound}"
        for name, bound in expects.items()
        if not bound.holds(metrics[name])
    )


def evaluate(
    task: Task, classes: tuple[Any, ...], truth: NDArray[Any], scores: NDArray[np.float64]
) -> dict[str, float | None]:
    """All metrics of a task.

    Args:
        task: what the model predicts.
        classes: in the order of the columns of `scores`; empty for a regression.
        truth: the targets (shape n).
        scores: probabilities (shape n × classes) or values (shape n × 1).
    """
    if len(truth) == 0:
        return dict.fromkeys(METRICS[task])
    found = _regression(truth, scores[:, 0]) if task is Task.REGRESSION else _classification(classes, truth, scores)
    return {name: _finite(found.get(name)) for name in METRICS[task]}


def _regression(truth: NDArray[Any], values: NDArray[np.float64]) -> dict[str, float]:
    from sklearn import metrics

    found = {
        "mean_absolute_error": metrics.mean_absolute_error(truth, values),
        "root_mean_squared_error": metrics.root_mean_squared_error(truth, values),
    }
    return found | ({"r2": metrics.r2_score(truth, values)} if len(truth) >= _BINARY else {})


def _classification(
    classes: tuple[Any, ...], truth: NDArray[Any], scores: NDArray[np.float64]
) -> dict[str, float | None]:
    """With two classes the last is the positive one; with more, each against the rest, unweighted."""
    from sklearn import metrics

    place = {label: column for column, label in enumerate(classes)}
    columns = np.asarray([place.get(label, -1) for label in truth.tolist()])
    seen = columns >= 0  # a class that was not in the training split can't be scored; it still counts as wrong
    predicted = scores.argmax(axis=1)
    found: dict[str, float | None] = {"accuracy": float(np.mean(predicted == columns))}
    present = np.unique(columns)
    if present.size > 1:
        recalls = [float(np.mean(predicted[columns == column] == column)) for column in present]
        found["balanced_accuracy"] = float(np.mean(recalls))
    if not seen.all():
        return found
    labels = list(range(len(classes)))
    found["log_loss"] = metrics.log_loss(columns, scores, labels=labels) if len(labels) > 1 else None
    one_hot = np.eye(len(classes))[columns]
    if len(classes) == _BINARY:
        found["brier_score"] = float(np.mean((scores[:, 1] - one_hot[:, 1]) ** 2))
        if present.size > 1:
            found["roc_auc"] = metrics.roc_auc_score(columns, scores[:, 1])
            found["average_precision"] = metrics.average_precision_score(columns, scores[:, 1])
    elif len(classes) > _BINARY:
        found["brier_score"] = float(np.mean(np.sum((scores - one_hot) ** 2, axis=1)))
        if present.size == len(classes):
            found["roc_auc"] = _mean(metrics.roc_auc_score(one_hot[:, i], scores[:, i]) for i in labels)
            found["average_precision"] = _mean(
                metrics.average_precision_score(one_hot[:, i], scores[:, i]) for i in labels
            )
    return found


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def _shown(value: float | None) -> str:
    return "not computable on the test split" if value is None else f"{value:.4f}"
