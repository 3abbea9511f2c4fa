"""A fitted model with all that it needs to predict: its features, its classes, and the models that it builds on.

Rules:
- Before training and for a decision, features come from the same function.
- The prediction of an upstream model is a feature that bears its name: `churn`, or `churn__<class>` where there are
  more than two classes.
- A predictor changes nothing and can be used from threads.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.declare import Task
from lockstep.errors import DataError, UsageError

_BINARY = 2
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """A model version that can be asked.

    Attributes:
        digest: of the model version.
        features: the columns that it is given, in order; those of `upstream` among them.
        classes: of a classification, in the order of the columns of its scores.
    """

    name: str
    digest: str
    task: Task
    features: tuple[str, ...]
    classes: tuple[Any, ...]
    estimator: Any
    upstream: "tuple[Predictor, ...]" = field(default=())

    def frame(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The features of cleaned rows (shape n × number of features).

        Raises:
            DataError: a feature is not there, as when the model was trained before `clean` was changed.
        """
        wide = with_predictions(rows, self.upstream)
        missing = [name for name in self.features if name not in wide.columns]
        if missing:
            raise DataError(
                f'Model "{self.name}": its features {", ".join(missing)} are not among the columns of the cleaned rows'
                f" ({', '.join(rows.columns)}). Retrain it on the data as it is now, or restore the clean that it was"
                " trained with."
            )
        return wide.select(self.features)

    def scores(self, rows: pl.DataFrame) -> Floats:
        """Probabilities of the classes (shape n × classes), or predicted values (shape n × 1)."""
        return self.scores_of(self.frame(rows))

    def scores_of(self, features: pl.DataFrame) -> Floats:
        """As `scores`, from features that `frame` made."""
        if self.task is Task.CLASSIFICATION:
            return np.asarray(self.estimator.predict_proba(features), dtype=np.float64)
        return np.asarray(self.estimator.predict(features), dtype=np.float64).reshape(-1, 1)

    def score(self, rows: pl.DataFrame, positive: Any) -> Floats:  # noqa: ANN401  a class may be any value
        """What a threshold cuts: the probability of the class `positive`, or the predicted value (shape n)."""
        scores = self.scores(rows)
        return scores[:, self.column_of(positive)]

    def column_of(self, positive: Any) -> int:  # noqa: ANN401  a class may be any value
        """The column of `scores` that holds the probability of a class.

        Raises:
            UsageError: the model has never seen that class.
        """
        if self.task is Task.REGRESSION:
            return 0
        if positive not in self.classes:
            raise UsageError(
                f'Model "{self.name}": class {positive!r} is unknown; its classes are'
                f" {', '.join(map(repr, self.classes))}. Correct positive= of the threshold."
            )
        return self.classes.index(positive)

    @property
    def prediction_names(self) -> tuple[str, ...]:
        """The columns that this model gives to the models that build on it."""
        if self.task is Task.REGRESSION or len(self.classes) <= _BINARY:
            return (self.name,)
        return tuple(f"{self.name}__{label}" for label in self.classes)

    def prediction_columns(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What this model gives to the models that build on it, a row for each row."""
        return pl.DataFrame(self.named_predictions(self.scores(rows)))

    def named_predictions(self, scores: Floats) -> dict[str, Floats]:
        """The columns of `prediction_columns` out of scores that are known already."""
        names = self.prediction_names
        return {name: scores[:, i - len(names)] for i, name in enumerate(names)}  # of two classes, the last


def with_predictions(rows: pl.DataFrame, upstream: tuple[Predictor, ...]) -> pl.DataFrame:
    """The rows with the predictions of the upstream models, each made of the rows alone, as further columns."""
    return pl.concat([rows, *(model.prediction_columns(rows) for model in upstream)], how="horizontal")
