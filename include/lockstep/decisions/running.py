"""Metrics of a model, from scores that come by once.

Rules:
- They have the names and the meaning of `lockstep.training.evaluate`, and are None where that has None.
- Memory does not depend on the number of rows; see `lockstep.decisions.ranks` for those that rank them.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lockstep.decisions.ranks import Ranks
from lockstep.declare import Task
from lockstep.training.evaluate import METRICS

_BINARY: Final = 2
Metrics = dict[str, float | None]
Floats = NDArray[np.float64]


class RunningClassification:
    """Counts what is right and wrong. `classes`: in the order of the columns of the scores; `folder`: for many rows."""

    def __init__(self, classes: tuple[Any, ...], folder: Path) -> None:
        self.rows = 0
        self._place = {label: column for column, label in enumerate(classes)}
        self._right = np.zeros(len(classes) + 1, dtype=np.int64)  # the last place: classes that the model never saw
        self._seen = np.zeros(len(classes) + 1, dtype=np.int64)
        self._log_loss = self._squares = 0.0
        ranked = [1] if len(classes) == _BINARY else list(range(len(classes)))
        self._ranks = {column: Ranks(folder / f"class-{column}") for column in ranked}

    def add(self, truth: list[Any], scores: Floats) -> None:
        """Count further rows: their classes (n) and their probabilities (shape n × classes)."""
        unknown = len(self._place)
        columns = np.asarray([self._place.get(label, unknown) for label in truth], dtype=np.int64)
        right = scores.argmax(axis=1) == columns
        self.rows += len(columns)
        self._seen += np.bincount(columns, minlength=unknown + 1)
        self._right += np.bincount(columns[right], minlength=unknown + 1)
        known = columns < unknown
        columns, scores = columns[known], scores[known]
        of_truth = scores[np.arange(len(columns)), columns]
        tiny = np.finfo(np.float64).eps
        self._log_loss -= float(np.log(np.clip(of_truth, tiny, 1 - tiny)).sum())
        one_hot = np.eye(unknown)[columns]
        off = (scores - one_hot)[:, 1] if unknown == _BINARY else scores - one_hot
        self._squares += float((off * off).sum())
        for column, ranks in self._ranks.items():
            ranks.add(scores[:, column], columns == column)

    def result(self) -> Metrics:
        """The metrics of all rows so far."""
        found: Metrics = dict.fromkeys(METRICS[Task.CLASSIFICATION])
        if not self.rows:
            return found
        found["accuracy"] = int(self._right.sum()) / self.rows
        present = self._seen > 0
        if present.sum() > 1:
            found["balanced_accuracy"] = float(np.mean(self._right[present] / self._seen[present]))
        classes = len(self._place)
        if self._seen[classes] or classes < _BINARY:
            return found
        found["log_loss"] = self._log_loss / self.rows
        found["brier_score"] = self._squares / self.rows
        if present.sum() == classes:
            found["roc_auc"] = _mean(ranks.roc_auc() for ranks in self._ranks.values())
            found["average_precision"] = _mean(ranks.average_precision() for ranks in self._ranks.values())
        return found


class RunningRegression:
    """Adds up how far off the values are."""

    def __init__(self) -> None:
        self.rows = 0
        self._off = self._squares = 0.0
        self._mean = self._spread = 0.0

    def add(self, truth: list[Any], scores: Floats) -> None:
        """Count further rows: their true values (n) and their predicted ones (shape n × 1)."""
        true = np.asarray(truth, dtype=np.float64)
        if not len(true):
            return
        off = true - scores[:, 0]
        self._off += float(np.abs(off).sum())
        self._squares += float((off * off).sum())
        mean = float(true.mean())
        apart, rows = mean - self._mean, self.rows + len(true)
        self._spread += float(((true - mean) ** 2).sum()) + apart * apart * self.rows * len(true) / rows
        self._mean += apart * len(true) / rows
        self.rows = rows

    def result(self) -> Metrics:
        """The metrics of all rows so far."""
        found: Metrics = dict.fromkeys(METRICS[Task.REGRESSION])
        if not self.rows:
            return found
        found["mean_absolute_error"] = self._off / self.rows
        found["root_mean_squared_error"] = float(np.sqrt(self._squares / self.rows))
        if self.rows >= _BINARY:
            found["r2"] = 1 - self._squares / self._spread if self._spread else float(not self._squares)
        return found


Running = RunningClassification | RunningRegression


def running(task: Task, classes: tuple[Any, ...], folder: Path) -> Running:
    """Nothing counted yet; `folder` need not exist."""
    return RunningRegression() if task is Task.REGRESSION else RunningClassification(classes, folder)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
