"""From rows to a fitted model with its file and its metrics: what training does, and training again.

Rules:
- Rows of one split never teach or judge for another.
- Before a model is reported as learned, its file has been loaded back and predicts the same.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from lockstep.data import SPLIT
from lockstep.declare import Task
from lockstep.errors import TrainingError
from lockstep.training.evaluate import evaluate
from lockstep.training.features import Lesson, make_features
from lockstep.training.fit import fit
from lockstep.training.predictor import Predictor
from lockstep.training.spread import spread_of
from lockstep.training.storage import dump, load

_CHECKED_ROWS: Final = 1000
_SPLITS: Final = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A fitted model.

    Attributes:
        data: its file, which holds `types` beyond skops's own list.
        dtypes: of the features.
        rows: with a known target, by split.
        metrics: by split, of those that were not learned from.
        scores: how scores are spread, by split, of the same.
        test: features of the test split.
    """

    predictor: Predictor
    data: bytes
    types: tuple[str, ...]
    dtypes: dict[str, str]
    rows: dict[str, int]
    metrics: dict[str, dict[str, float | None]]
    scores: dict[str, dict[str, Any]]
    test: pl.DataFrame


def learn(
    lesson: Lesson,
    estimator: Any,  # noqa: ANN401  scikit-learn estimators share no type
    rows: pl.DataFrame,
    upstream: tuple[Predictor, ...],
    own: Collection[str],
) -> Learned:
    """Fit an estimator on the rows of a snapshot, save it, and evaluate it.

    Args:
        lesson: what to learn.
        estimator: unfitted; it is fitted in place.
        rows: of all splits.
        upstream: the models that it builds on.
        own: the team's packages, whose types may be saved.

    Raises:
        TrainingError: it can't be fitted, or saved and loaded again.
    """
    parts = {split: make_features(lesson, rows.filter(pl.col(SPLIT) == split), upstream) for split in _SPLITS}
    features, target = parts["train"]
    fit(lesson, estimator, features, target.to_numpy())
    data, types = dump(lesson.model, estimator, own)
    classes = tuple(estimator.classes_.tolist()) if lesson.task is Task.CLASSIFICATION else ()
    predictor = Predictor(
        name=lesson.model,
        digest="",
        task=lesson.task,
        features=tuple(features.columns),
        classes=classes,
        estimator=estimator,
        upstream=upstream,
    )
    again = load(data, types, f'Model "{lesson.model}"', own)
    _check_same(lesson, again, estimator, parts["test"][0].head(_CHECKED_ROWS))
    metrics, spreads = dict[str, dict[str, float | None]](), dict[str, dict[str, Any]]()
    for split, (frame, truth) in parts.items():
        if split == "train":
            continue
        scores = predictor.scores_of(frame) if len(truth) else np.empty((0, 1))
        metrics[split] = evaluate(lesson.task, classes, truth.to_numpy(), scores)
        spreads[split] = spread_of(classes, scores) if len(truth) else {}
    return Learned(
        predictor=predictor,
        data=data,
        types=types,
        dtypes={name: str(dtype) for name, dtype in features.schema.items()},
        rows={split: len(truth) for split, (_, truth) in parts.items()},
        metrics=metrics,
        scores=spreads,
        test=parts["test"][0],
    )


def _check_same(lesson: Lesson, again: Any, estimator: Any, sample: pl.DataFrame) -> None:  # noqa: ANN401  see above
    if sample.is_empty():
        return
    method = "predict_proba" if lesson.task is Task.CLASSIFICATION else "predict"
    if not np.array_equal(getattr(again, method)(sample), getattr(estimator, method)(sample)):
        raise TrainingError(
            f'Model "{lesson.model}": after it was saved and loaded, {type(again).__name__} predicts something else, so'
            " that what was evaluated is not what would answer. Use an estimator that skops restores exactly."
        )
