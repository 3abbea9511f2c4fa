"""Which columns a model may learn from.

Rules:
- Never the key, the own target, the target of a model that it builds on (directly or not), or what `without` names.
- Everything else that `clean` returns is a feature, and so are the predictions of the models that it builds on.
"""

import polars as pl

from lockstep.data import SPLIT
from lockstep.declare import Model
from lockstep.errors import TrainingError
from lockstep.graph import Graph
from lockstep.training.predictor import Predictor, with_predictions


def forbidden_columns(graph: Graph, model: Model) -> tuple[str, ...]:
    """The columns of the snapshot that the model must not see, sorted."""
    targets = {model.target, *model.without}
    waiting = list(graph.upstream(model.name))
    while waiting:
        above = waiting.pop()
        targets.add(above.target)
        waiting.extend(graph.upstream(above.name))
    return tuple(sorted({model.data.key, SPLIT, *targets}))


def make_features(
    graph: Graph, model: Model, rows: pl.DataFrame, upstream: tuple[Predictor, ...]
) -> tuple[pl.DataFrame, pl.Series]:
    """Features (shape n × k) and target (shape n) of the rows whose target is known.

    Raises:
        TrainingError: the target is gone after `clean`, or an upstream model is called like a column.
    """
    if model.target not in rows.columns:
        raise TrainingError(
            f'Model "{model.name}": target "{model.target}" is not among the columns that clean returns'
            f" ({', '.join(rows.columns)}). Keep it there."
        )
    known = rows.filter(pl.col(model.target).is_not_null())
    taken = [(above, name) for above in upstream for name in above.prediction_names if name in rows.columns]
    for above, name in taken:
        raise TrainingError(
            f'Model "{model.name}": the predictions of "{above.name}" would be a column "{name}", but the dataset has'
            " one already. Rename the column in clean."
        )
    allowed = with_predictions(known, upstream)
    return allowed.drop(forbidden_columns(graph, model), strict=False), known[model.target]
