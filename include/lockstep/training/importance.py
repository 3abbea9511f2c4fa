"""Which columns a model looks at: what its manifest keeps of that for later looks.

Rules:
- Importance is that of permutation: how much worse the model gets where a column's values are dealt out anew. It is
  measured on rows that the model was not trained on, the same for the same model and rows.
- Columns are those of the dataset. What a model builds on others' predictions counts through the columns that these
  look at, which is why scikit-learn's own function, which deals out the features of one estimator, is not what is used.
"""

from typing import Any, Final

import numpy as np
import polars as pl

from lockstep.declare import Task
from lockstep.training.predictor import Predictor

IMPORTANCE: Final = "importance"  # the key in the manifest
_ROWS: Final = 2_000  # on which importance is measured
_TIMES: Final = 3  # that each column is dealt out anew
_LEAST: Final = 1e-12


def importance_of(model: Predictor, target: str, rows: pl.DataFrame) -> dict[str, float] | None:
    """The share of what a model looks at that each column has, 1 in sum; None where these rows tell nothing.

    The increase of its loss where the column is dealt out anew among the rows: logarithmic of a classification,
    squared of a regression. Sources: L. Breiman, Random forests, Machine Learning 45 (2001) 5-32; A. Fisher, C. Rudin,
    F. Dominici, All models are wrong, but many are useful, JMLR 20 (2019) 177.

    Args:
        model: whose.
        target: the column that it predicts.
        rows: cleaned, with labels; the first 2,000 that have one are used.
    """
    known = rows.filter(pl.col(target).is_not_null()) if target in rows.columns else rows.clear()
    if model.task is Task.CLASSIFICATION:
        known = known.filter(pl.col(target).is_in(list(model.classes)))
    known = known.head(_ROWS)
    if known.is_empty():
        return None
    dice, before = np.random.default_rng(0), _loss(model, target, known)
    wanted, grown = features_of(model), dict[str, float]()
    for name in [name for name in known.columns if name in wanted]:
        orders = [dice.permutation(known.height) for _ in range(_TIMES)]
        losses = [_loss(model, target, known.with_columns(known[name].gather(order))) for order in orders]
        grown[name] = max(float(np.mean(losses)) - before, 0.0)
    total = sum(grown.values())
    return {name: value / total for name, value in grown.items()} if total else None


def features_of(model: Predictor) -> set[str]:
    """The columns that a model looks at, itself or through those that it builds on."""
    return set(model.features).union(*(features_of(above) for above in model.upstream))


def _loss(model: Predictor, target: str, rows: pl.DataFrame) -> float:
    scores, truth = model.scores(rows), rows[target].to_list()
    if model.task is Task.REGRESSION:
        return float(np.mean((scores[:, 0] - np.asarray(truth, dtype=np.float64)) ** 2))
    place: dict[Any, int] = {label: column for column, label in enumerate(model.classes)}
    own = scores[np.arange(len(truth)), [place[label] for label in truth]]
    return float(-np.mean(np.log(np.maximum(own, _LEAST))))
