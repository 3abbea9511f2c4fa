"""Build the declared estimator, set a run's parameters, fit it.

Rules:
- Whatever the estimator raises becomes one `TrainingError` that names the model and what to look at.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.declare import Task
from lockstep.errors import TrainingError, UsageError
from lockstep.training.call import name_of
from lockstep.training.features import Lesson


def build_estimator(model: str, task: Task, function: Callable[[], Any], parameters: Mapping[str, Any]) -> Any:  # noqa: ANN401  scikit-learn estimators share no type
    """A new, unfitted estimator that the function of a model makes, with the parameters set.

    Raises:
        TrainingError: the declared function failed, or returned no estimator.
        UsageError: the estimator has no such parameter.
    """
    try:
        estimator = function()
    except Exception as error:
        raise TrainingError(
            f'Model "{model}": {name_of(function)}() failed: {type(error).__name__}: {error}.'
        ) from error
    needed = "predict_proba" if task is Task.CLASSIFICATION else "predict"
    if isinstance(estimator, type) or not all(hasattr(estimator, name) for name in ("fit", "get_params", needed)):
        what = f"the class {estimator.__name__}" if isinstance(estimator, type) else type(estimator).__name__
        raise TrainingError(
            f'Model "{model}": {name_of(function)}() returned {what}, which has no fit, get_params or'
            f" {needed} to call; a {task.value} needs them. Return a scikit-learn estimator or Pipeline."
        )
    known = estimator.get_params()
    for name in parameters:
        if name not in known:
            raise UsageError(f'Model "{model}": there is no parameter "{name}"; it has {", ".join(sorted(known))}.')
    return estimator.set_params(**parameters)


def fit(lesson: Lesson, estimator: Any, features: pl.DataFrame, target: NDArray[Any]) -> None:  # noqa: ANN401  see above
    """Fit the estimator on features (shape n × k) and targets (shape n).

    Raises:
        TrainingError: there is nothing to learn from, or the estimator failed.
    """
    if len(target) == 0 or (lesson.task is Task.CLASSIFICATION and len(np.unique(target)) == 1):
        what = "no row" if len(target) == 0 else f"only the class {target.tolist()[0]!r}"
        raise TrainingError(
            f'Model "{lesson.model}": the training split has {what} in "{lesson.target}", so there is nothing to learn.'
            " Bring more data."
        )
    try:
        estimator.fit(features, target)
    except Exception as error:
        raise TrainingError(
            f'Model "{lesson.model}": fitting {type(estimator).__name__} on {features.height} rows failed:'
            f" {type(error).__name__}: {error}. It was given the columns {', '.join(features.columns)}."
        ) from error
