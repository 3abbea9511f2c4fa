"""Train a model: a candidate with its lineage, and nothing else.

Rules:
- Training adds a candidate. It moves no stage and starts nothing downstream.
- Everything that needs the graph is done when it is planned. What then trains needs the registry and the plan alone, in
  this process or in a job elsewhere, and gives the same version but for the job that it names.
- The same recipe is not trained again unless forced, and a retried job finds what its first attempt has recorded.
- A version that misses an expectation is recorded all the same; it can't be promoted.
- The manifest says what it takes to train the version again: source, snapshot, upstream, parameters, how the estimator
  is made, what is hidden from it, and the libraries.
"""

import importlib.metadata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import polars as pl

from lockstep.data import SPLIT, read_snapshot
from lockstep.errors import UsageError
from lockstep.graph import Graph
from lockstep.registry import ModelTrained, Origin, Registry, SnapshotTaken, State, Version, put_folder
from lockstep.registry.removal import check_kept
from lockstep.training.convert import Converted, convert
from lockstep.training.evaluate import missed
from lockstep.training.fit import build_estimator
from lockstep.training.importance import IMPORTANCE, importance_of
from lockstep.training.learn import Learned, learn
from lockstep.training.plan import Plan, plan_training
from lockstep.training.portable import ONNX, ONNX_FILE, load_scorer
from lockstep.training.storage import FILE, load_model

LIBRARIES: Final = ("numpy", "polars", "scikit-learn", "skops")


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
    declared = graph.model(model)
    build_estimator(model, declared.task, declared.estimator, parameters)


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
        VersionRemoved: the files of the snapshot, or of a version that it builds on, were removed.
    """
    planned = plan_training(graph, name, snapshot=snapshot, upstream=upstream, parameters=parameters, force=force)
    found = trained_before(registry, planned.plan, origin)
    if found is not None:
        return found
    planned.keep_source(registry)
    return carry_out(registry, planned.plan, origin, planned.estimator)


def trained_before(registry: Registry, plan: Plan, origin: Origin) -> Training | None:
    """What a plan would find instead of training, or None; what is found lasts from here on."""
    known = _known(registry.state(), plan, origin)
    if known is None:
        return None
    registry.record(lambda _: None, origin)  # nothing to write; but whoever wrote it may not have come to its end
    return Training(version=known, is_new=False)


def carry_out(
    registry: Registry,
    plan: Plan,
    origin: Origin,
    estimator: Any,  # noqa: ANN401  scikit-learn estimators share no type
    *,
    check: Callable[[], None] = lambda: None,
) -> Training:
    """Train what a plan says with a new, unfitted estimator, and record it as a candidate.

    `check` is called when all code has run, before anything is written; it may refuse what was trained.

    Raises:
        TrainingError: the estimator can't be fitted or saved.
        ObjectMissing, ObjectDamaged, VersionRemoved: as `train_model`.
    """
    state, own = registry.state(), frozenset(plan.own)
    snapshot = state.snapshot(plan.snapshot)
    upstream = [state.model_by_digest(name, digest) for name, digest in plan.builds_on]
    below = tuple(load_model(registry, version, own=own) for version in upstream)
    rows = read_snapshot(registry, snapshot)
    learned = learn(plan.lesson, estimator, rows, below, own)
    converted = _convert(registry, plan, learned, rows)
    check()
    record = _what_made_it(plan, learned, snapshot) | {
        "recipe": plan.recipe,
        "parameters": plan.parameters,
        "origin": asdict(origin),
        ONNX: converted.told,
        "scores": learned.scores,
        IMPORTANCE: importance_of(learned.predictor, plan.lesson.target, _unseen(rows)),
    }
    files = {FILE: learned.data} | ({ONNX_FILE: converted.data} if converted.data is not None else {})
    trained = _store(registry, plan, learned, record, files, snapshot)

    def propose(state: State) -> ModelTrained | None:
        check_kept(state, snapshot, *upstream)
        return None if _known(state, plan, origin) else trained

    entry = registry.record(propose, origin)
    state = registry.state()
    earlier = None if entry else _known(state, plan, origin)
    return Training(version=earlier or state.model_by_digest(plan.model, trained.digest), is_new=entry is not None)


def _unseen(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows by which nothing was fitted, and nothing is judged that is compared later."""
    return rows.filter(pl.col(SPLIT) == "validation").drop(SPLIT)


def _known(state: State, plan: Plan, origin: Origin) -> Version[ModelTrained] | None:
    """The version of that recipe; where training is forced, only one that this very job has made in an earlier try."""
    for version in reversed(state.models_by_recipe(plan.model, plan.recipe)):
        own = origin.job is not None and origin.job.is_same_as(version.recorded.origin.job)
        if own or not plan.force:
            return version
    return None


def _what_made_it(plan: Plan, learned: Learned, snapshot: Version[SnapshotTaken]) -> dict[str, Any]:
    """The part of a manifest from which the version can be trained again."""
    lesson, predictor = plan.lesson, learned.predictor
    return {
        "kind": "model",
        "model": plan.model,
        "task": lesson.task.value,
        "target": lesson.target,
        "hidden": list(lesson.hidden),
        "classes": list(predictor.classes),
        "features": list(predictor.features),
        "dtypes": learned.dtypes,
        "types": list(learned.types),
        "snapshot": {"dataset": snapshot.name, "digest": snapshot.digest, "version": snapshot.ref},
        "upstream": {above.name: above.digest for above in predictor.upstream},
        "builds_on": [above.name for above in predictor.upstream],  # their order, which an object has not
        "estimator": {"function": plan.function, "call": plan.call, "params": _params(predictor.estimator)},
        "source": asdict(plan.source),
        "code": {"sha256": plan.code, "commit": plan.commit, "dirty": plan.dirty},
        "libraries": library_versions(),
    }


def _convert(registry: Registry, plan: Plan, learned: Learned, rows: pl.DataFrame) -> Converted:
    """The model for ONNX Runtime, if that predicts the same on the test split."""
    is_test = (pl.col(SPLIT) == "test") & pl.col(plan.lesson.target).is_not_null()
    upstream = tuple(load_scorer(registry, above) for above in learned.predictor.upstream)
    return convert(learned.predictor, learned.dtypes, len(learned.data), rows.filter(is_test), upstream)


def _store(
    registry: Registry,
    plan: Plan,
    learned: Learned,
    record: dict[str, Any],
    files: Mapping[str, bytes],
    snapshot: Version[SnapshotTaken],
) -> ModelTrained:
    """Write the files of a version; it exists once the log names it."""
    metrics, expects = learned.metrics["test"], dict(plan.expects)
    misses = missed(expects, metrics)
    manifest = record | {
        "rows": learned.rows,
        "metrics": metrics,
        "validation_metrics": learned.metrics["validation"],
        "expects": {metric: str(bound) for metric, bound in expects.items()},
        "missed": list(misses),
    }
    ref = put_folder(registry.objects, f"models/{plan.model}", manifest, files, removed=registry.state().removed)
    return ModelTrained(
        model=plan.model,
        digest=ref.sha256,
        manifest=ref,
        recipe=plan.recipe,
        dataset=snapshot.name,
        snapshot=snapshot.digest,
        upstream=record["upstream"],
        parameters=plan.parameters,
        source=plan.source.sha256,
        metrics=metrics,
        missed=misses,
    )


def _params(estimator: Any) -> dict[str, str]:  # noqa: ANN401  scikit-learn estimators share no type
    return {
        name: repr(value) for name, value in sorted(estimator.get_params().items()) if not hasattr(value, "get_params")
    }


def library_versions() -> dict[str, str]:
    """The libraries whose versions decide what a training gives, as they are installed here."""
    from lockstep import __version__

    return {"lockstep": __version__} | {name: importlib.metadata.version(name) for name in LIBRARIES}
