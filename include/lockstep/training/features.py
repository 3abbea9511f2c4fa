"""Which columns a model may learn from.

Rules:
- Never the key, the own target, the target of a model that it builds on (directly or not), or what `without` names.
- Everything else that `clean` returns is a feature, and so are the predictions of the models that it builds on.
"""

from dataclasses import dataclass

import polars as pl

from lockstep.data import SPLIT
from lockstep.declare import Model, Task
from lockstep.errors import TrainingError
from lockstep.graph import Graph
from lockstep.training.predictor import Predictor, with_predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a model is to learn, in plain values that a declaration gives, and later the record of a version.

    Attributes:
        target: the column to predict.
        hidden: the columns that it must not see, sorted.
    """

    model: str
    task: Task
    target: str
    hidden: tuple[str, ...]


def lesson_of(graph: Graph, model: Model) -> Lesson:
    """What a declared model is to learn."""
    return Lesson(model=model.name, task=model.task, target=model.target, hidden=forbidden_columns(graph, model))


def forbidden_columns(graph: Graph, model: Model) -> tuple[str, ...]:
    """The columns of the snapshot that the model must not see, sorted."""
    targets = {model.target, *model.without, *(above.target for above in all_upstream(graph, model))}
    return tuple(sorted({model.data.key, SPLIT, *targets}))


def all_upstream(graph: Graph, model: Model) -> tuple[Model, ...]:
    """The models that a model builds on, directly or not, each once."""
    found: dict[str, Model] = {}
    waiting = list(graph.upstream(model.name))
    while waiting:
        above = waiting.pop()
        found[above.name] = above
        waiting.extend(graph.upstream(above.name))
    return tuple(found.values())


def make_features(
    lesson: Lesson, rows: pl.DataFrame, upstream: tuple[Predictor, ...]
) -> tuple[pl.DataFrame, pl.Series]:
    """Features (shape n × k) and target (shape n) of the rows whose target is known.

    Raises:
        TrainingError: the target is gone after `clean`, or an upstream model is called like a column.
    """
    if lesson.target not in rows.columns:
        raise TrainingError(
            f'Model "{lesson.model}": target "{lesson.target}" is not among the columns that clean returns'
            f" ({', '.join(rows.columns)}). Keep it there."
        )
    known = rows.filter(pl.col(lesson.target).is_not_null())
    taken = [(above, name) for above in upstream for name in above.prediction_names if name in rows.columns]
    for above, name in taken:
        raise TrainingError(
            f'Model "{lesson.model}": the predictions of "{above.name}" would be a column "{name}", but the dataset has'
            " one already. Rename the column in clean."
        )
    allowed = with_predictions(known, upstream)
    return allowed.drop(lesson.hidden, strict=False), known[lesson.target]
