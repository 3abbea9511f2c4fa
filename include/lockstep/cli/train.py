"""`lockstep train`: snapshot, train, tune, and promote if asked to, as the retraining DAG does."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lockstep.cli import say
from lockstep.cli.context import Graphs
from lockstep.data import take_snapshot
from lockstep.decisions import tune_threshold
from lockstep.decisions.rule import text_of
from lockstep.errors import UsageError
from lockstep.graph import Graph
from lockstep.places import Engine, Vertex, Where
from lockstep.registry import Origin, Registry, SnapshotTaken, Version
from lockstep.registry.lineage import describe
from lockstep.release import promote
from lockstep.switch import Said, engine_of, where_of
from lockstep.training import Training, check_parameters, resolve_upstream, train_model, training_order
from lockstep.training.source import hash_of_clean

Parameters = Mapping[str, Mapping[str, Any]]


def parse_parameters(words: Iterable[str]) -> dict[str, dict[str, Any]]:
    """`churn.model__C=0.5` → {"churn": {"model__C": 0.5}}; a value that is not JSON is text.

    Raises:
        UsageError: a word of another form.
    """
    found: dict[str, dict[str, Any]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        model, dot, parameter = name.partition(".")
        if not (equals and dot and model and parameter):
            raise UsageError(f"--param {word}: the form is model.name=value; for example churn.model__C=0.5.")
        try:
            found.setdefault(model, {})[parameter] = json.loads(value)
        except json.JSONDecodeError:
            found.setdefault(model, {})[parameter] = value
    return found


def chosen_models(graphs: Graphs, names: list[str], group: str | None) -> dict[Graph, tuple[str, ...]]:
    """The models to train, by graph: those named, those of the group, or all.

    Raises:
        UsageError: an unknown name, or models and a group at once.
    """
    if names and group is not None:
        raise UsageError(f"Both models ({', '.join(names)}) and --group {group} are given; name one or the other.")
    if names:
        by_graph: dict[Graph, list[str]] = {}
        for name in names:
            by_graph.setdefault(graphs.of(name), []).append(name)
        return {graph: training_order(graph, wanted) for graph, wanted in by_graph.items()}
    groups = [graphs.group(group)] if group is not None else list(graphs.groups())
    return {
        graph: training_order(
            graph, [model.name for _, one in groups if one.name in graph.groups for model in one.models]
        )
        for graph in dict.fromkeys(graph for graph, _ in groups)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How to train: parameters by model, whether again, and what is said of place and engine; blank: nothing."""

    parameters: Parameters
    force: bool = False
    where: str = ""
    engine: str = ""


def train(
    registry: Registry, wanted: Mapping[Graph, tuple[str, ...]], origin: Origin, asked: Asked, *, and_promote: bool
) -> dict[str, Any]:
    """Train the models with their thresholds; returns what stands in the registry now, as JSON values."""
    places, engines = _settled(registry, wanted, asked)
    snapshots: dict[str, Version[SnapshotTaken]] = {}
    made: dict[str, str] = {}
    found: dict[str, Any] = {"snapshots": [], "models": [], "thresholds": [], "promoted": []}
    for graph, names in wanted.items():
        for name in names:
            dataset = graph.model(name).data
            if dataset.name not in snapshots:
                with say.progress(f"snapshot of {dataset.name}"):
                    snapshots[dataset.name] = take_snapshot(
                        registry, dataset, origin, engine=engines[dataset.name], code=hash_of_clean(dataset)
                    )
                found["snapshots"].append(describe(registry.state(), snapshots[dataset.name]))
            given = {
                "snapshot": snapshots[dataset.name],
                "upstream": resolve_upstream(graph, name, registry.state(), made),
                "parameters": asked.parameters.get(name),
                "force": asked.force,
            }
            training = _trained(registry, graph, name, origin, places[name], given)
            made[name] = training.version.digest
            found["models"].append({**describe(registry.state(), training.version), "new": training.is_new})
            for threshold in graph.thresholds_of(name):
                tuning = tune_threshold(registry, graph, threshold.name, origin, model=training.version)
                found["thresholds"].append({**describe(registry.state(), tuning.version), "new": tuning.is_new})
            if and_promote:
                done = promote(registry, graph.group_of(name), training.version.ref, origin)
                found["promoted"] += [version.ref for version in done.versions]
    return found


def _settled(
    registry: Registry, wanted: Mapping[Graph, tuple[str, ...]], asked: Asked
) -> tuple[dict[str, Where], dict[str, Engine]]:
    """The place of each model and the engine of each dataset; what can't be is refused before anything is done."""
    known = {name for names in wanted.values() for name in names}
    for name in asked.parameters:
        if name not in known:
            raise UsageError(f'--param: model "{name}" is not trained now; trained are {", ".join(sorted(known))}.')
    models = [graph.model(name) for graph, names in wanted.items() for name in names]
    places = {model.name: where_of(model, Said(run=asked.where), registry=registry.uri).place for model in models}
    datasets = {model.data.name: model.data for model in models}
    said = Said(run=asked.engine)
    engines = {name: engine_of(dataset, said, registry=registry.uri).place for name, dataset in datasets.items()}
    for graph, names in wanted.items():
        for name in names:
            check_parameters(graph, name, asked.parameters.get(name, {}))
    return places, engines


def _trained(
    registry: Registry, graph: Graph, name: str, origin: Origin, place: Where, given: dict[str, Any]
) -> Training:
    """Train here, or in a job of Vertex AI."""
    if not isinstance(place, Vertex):
        with say.progress(f"training {name}"):
            return train_model(registry, graph, name, origin, **given)
    from lockstep.cli.vertex import train_on_vertex
    from lockstep.training.plan import plan_training

    with say.progress(f"training {name} on {place}"):
        return train_on_vertex(registry, plan_training(graph, name, **given), origin, place)


def as_text(found: Mapping[str, Any]) -> str:
    """A line for each version."""
    lines = [
        f"{item['version']}: {item['rows']} rows, {item['quarantined']} quarantined" for item in found["snapshots"]
    ]
    for item in found["models"]:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in item["metrics"].items() if value is not None)
        note = "" if item["new"] else " (this recipe was trained before; --force trains it again)"
        lines.append(f"{item['version']}: {metrics}{note}")
        lines += [f"  can't be promoted: {miss}" for miss in item["missed"]]
    lines += [f"{item['version']}: {text_of(item['value'], item.get('rule'))}" for item in found["thresholds"]]
    if found["promoted"]:
        lines.append(f"in staging: {', '.join(found['promoted'])}")
    return "\n".join(lines)
