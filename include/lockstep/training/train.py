"""Train a model: a candidate with its lineage, and nothing else.

Rules:
- Training adds a candidate. It moves no stage and starts nothing downstream.
- A recipe is the snapshot, the upstream versions, the parameters, the code and what is declared of features and target.
  The same recipe is not trained again unless forced, and a retried job finds what its first attempt has recorded.
- A version that misses an expectation is recorded all the same; it can't be promoted.
- Before a version is recorded, its file has been loaded back and predicts the same.
"""

import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from lockstep.data import SPLIT, read_snapshot
from lockstep.declare import Model, Task
from lockstep.errors import TrainingError, UsageError
from lockstep.graph import Graph
from lockstep.registry import (
    ModelTrained,
    ObjectRef,
    Origin,
    Registry,
    SnapshotTaken,
    State,
    Version,
    digest_of,
    put_folder,
    sha256_of,
)
from lockstep.training.evaluate import check_expectations, evaluate, missed
from lockstep.training.features import forbidden_columns, make_features
from lockstep.training.fit import build_estimator, fit
from lockstep.training.predictor import Predictor
from lockstep.training.source import call_of, name_of, source_archive
from lockstep.training.storage import FILE, dump, load, load_model

_LIBRARIES = ("numpy", "polars", "scikit-learn", "skops")
_CHECKED_ROWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What training gave: the version, and whether it is new or its recipe had been trained before."""

    version: Version[ModelTrained]
    is_new: bool


def training_order(graph: Graph, names: Iterable[str]) -> tuple[str, ...]:
    """The models in an order in which each comes after those it builds on.

    Raises:
        UsageError: a name is not that of a model.
    """
    wanted = {graph.model(name).name for name in names}
    return tuple(node.name for node in graph.nodes if node.name in wanted)


def check_parameters(graph: Graph, model: str, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that the estimator of a model does not have, before anything is trained.

    Raises:
        UsageError: an unknown parameter; TrainingError: the estimator can't be built.
    """
    build_estimator(graph.model(model), parameters)


def resolve_upstream(
    graph: Graph, model: str, state: State, made: Mapping[str, str]
) -> dict[str, Version[ModelTrained]]:
    """The versions that a model builds on now: those the same run made (`made`: name → digest), otherwise staging's.

    Raises:
        UsageError: one is neither in the run nor in staging.
    """
    found: dict[str, Version[ModelTrained]] = {}
    for above in graph.upstream(model):
        digest = made.get(above.name)
        version = state.model_by_digest(above.name, digest) if digest else state.staged_model(above.name)
        if version is None:
            raise UsageError(
                f'Model "{model}" builds on "{above.name}", of which no version is in staging. Train both in one run,'
                f" or promote a version of {above.name} first."
            )
        found[above.name] = version
    return found


def train_model(
    registry: Registry,
    graph: Graph,
    name: str,
    origin: Origin,
    *,
    snapshot: Version[SnapshotTaken],
    upstream: Mapping[str, Version[ModelTrained]],
    parameters: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Training:
    """Train a model of the graph on a snapshot, and record it as a candidate.

    Args:
        registry: where all is read and written.
        graph: declares the model.
        name: of the model.
        origin: who, why, in which job.
        snapshot: of the model's dataset.
        upstream: name → version, for each model that it builds on (`resolve_upstream`).
        parameters: for the estimator's `set_params`.
        force: train even if the recipe has been trained.

    Raises:
        UsageError: an unknown model, parameter or metric.
        TrainingError: the estimator can't be built, fitted or saved.
        ObjectMissing, ObjectDamaged: a file is not what the log promises.
    """
    model, chosen = graph.model(name), dict(parameters or {})
    check_expectations(model)
    estimator = build_estimator(model, chosen)
    source = source_archive(model)
    recipe = digest_of(
        {
            "model": name,
            "snapshot": snapshot.digest,
            "upstream": {above: version.digest for above, version in upstream.items()},
            "parameters": chosen,
            "source": sha256_of(source),
            "estimator": call_of(model.estimator),
            "target": model.target,
            "hidden": forbidden_columns(graph, model),
            "expects": {metric: asdict(bound) for metric, bound in model.expects.items()},
        }
    )
    known = _known(registry.state(), name, recipe, origin, force=force)
    if known is not None:
        return Training(version=known, is_new=False)
    source_ref = registry.objects.put(f"sources/{sha256_of(source)}.tar.gz", source)
    fitted = _fit(registry, graph, model, estimator, snapshot, upstream)
    trained = _store(registry, model, fitted, snapshot, source_ref, recipe, chosen, origin)

    def propose(state: State) -> ModelTrained | None:
        return None if _known(state, name, recipe, origin, force=force) else trained

    entry = registry.record(propose, origin)
    state = registry.state()
    earlier = None if entry else _known(state, name, recipe, origin, force=force)
    return Training(version=earlier or state.model_by_digest(name, trained.digest), is_new=entry is not None)


def _known(state: State, name: str, recipe: str, origin: Origin, *, force: bool) -> Version[ModelTrained] | None:
    """The version of that recipe; where training is forced, only one that this very job has made in an earlier try."""
    for version in reversed(state.models.get(name, ())):
        own = origin.job is not None and origin.job.is_same_as(version.recorded.origin.job)
        if version.fact.recipe == recipe and (own or not force):
            return version
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fitted:
    predictor: Predictor
    data: bytes
    types: tuple[str, ...]
    dtypes: dict[str, str]
    rows: dict[str, int]
    metrics: dict[str, dict[str, float | None]]


def _fit(
    registry: Registry,
    graph: Graph,
    model: Model,
    estimator: Any,  # noqa: ANN401  scikit-learn estimators share no type
    snapshot: Version[SnapshotTaken],
    upstream: Mapping[str, Version[ModelTrained]],
) -> _Fitted:
    rows = read_snapshot(registry, snapshot)
    below = tuple(load_model(registry, version) for version in upstream.values())
    parts = {
        split: make_features(graph, model, rows.filter(pl.col(SPLIT) == split), below)
        for split in ("train", "validation", "test")
    }
    features, target = parts["train"]
    fit(model, estimator, features, target.to_numpy())
    data, types = dump(model, estimator)
    classes = tuple(estimator.classes_.tolist()) if model.task is Task.CLASSIFICATION else ()
    predictor = Predictor(
        name=model.name,
        digest="",
        task=model.task,
        features=tuple(features.columns),
        classes=classes,
        estimator=estimator,
        upstream=below,
    )
    _check_reload(model, predictor, data, types, parts["test"][0])
    metrics = {
        split: evaluate(
            model.task, classes, truth.to_numpy(), predictor.scores_of(frame) if len(truth) else np.empty((0, 1))
        )
        for split, (frame, truth) in parts.items()
        if split != "train"
    }
    return _Fitted(
        predictor=predictor,
        data=data,
        types=types,
        dtypes={name: str(dtype) for name, dtype in features.schema.items()},
        rows={split: len(truth) for split, (_, truth) in parts.items()},
        metrics=metrics,
    )


def _check_reload(
    model: Model, predictor: Predictor, data: bytes, types: tuple[str, ...], features: pl.DataFrame
) -> None:
    sample = features.head(_CHECKED_ROWS)
    if sample.is_empty():
        return
    again = load(data, types, f'Model "{model.name}"')
    method = "predict_proba" if model.task is Task.CLASSIFICATION else "predict"
    if not np.array_equal(getattr(again, method)(sample), getattr(predictor.estimator, method)(sample)):
        raise TrainingError(
            f'Model "{model.name}": after it was saved and loaded, {type(again).__name__} predicts something else, so'
            " that what was evaluated is not what would answer. Use an estimator that skops restores exactly."
        )


def _store(
    registry: Registry,
    model: Model,
    fitted: _Fitted,
    snapshot: Version[SnapshotTaken],
    source: ObjectRef,
    recipe: str,
    parameters: dict[str, Any],
    origin: Origin,
) -> ModelTrained:
    """Write the files of a version; it exists once the log names it."""
    below = {above.name: above.digest for above in fitted.predictor.upstream}
    metrics = fitted.metrics["test"]
    misses = missed(model.expects, metrics)
    manifest = {
        "kind": "model",
        "model": model.name,
        "task": model.task.value,
        "target": model.target,
        "classes": list(fitted.predictor.classes),
        "features": list(fitted.predictor.features),
        "dtypes": fitted.dtypes,
        "types": list(fitted.types),
        "recipe": recipe,
        "snapshot": {"dataset": snapshot.name, "digest": snapshot.digest, "version": snapshot.ref},
        "upstream": below,
        "parameters": parameters,
        "estimator": {"function": name_of(model.estimator), "params": _params(fitted.predictor.estimator)},
        "rows": fitted.rows,
        "metrics": metrics,
        "validation_metrics": fitted.metrics["validation"],
        "expects": {metric: str(bound) for metric, bound in model.expects.items()},
        "missed": list(misses),
        "source": asdict(source),
        "libraries": _versions(),
        "origin": asdict(origin),
    }
    ref = put_folder(registry.objects, f"models/{model.name}", manifest, {FILE: fitted.data})
    return ModelTrained(
        model=model.name,
        digest=ref.sha256,
        manifest=ref,
        recipe=recipe,
        dataset=snapshot.name,
        snapshot=snapshot.digest,
        upstream=below,
        parameters=parameters,
        source=source.sha256,
        metrics=metrics,
        missed=misses,
    )


def _params(estimator: Any) -> dict[str, str]:  # noqa: ANN401  scikit-learn estimators share no type
    return {
        name: repr(value) for name, value in sorted(estimator.get_params().items()) if not hasattr(value, "get_params")
    }


def _versions() -> dict[str, str]:
    from lockstep import __version__

    return {"lockstep": __version__} | {name: importlib.metadata.version(name) for name in _LIBRARIES}
