"""Drift of a dataset: what production was trained on, held against newer data.

Rules:
- It reads the registry and changes nothing in it.
- The reference is the snapshot that production's models were trained on; the current side is the newest snapshot, or
  requests. Either can be named instead.
- Memory does not depend on the number of rows: columns come from sketches, rows are sampled.
- What can't be said is said to be so, with the reason; the rest of the report stands.
"""

from collections.abc import Collection
from dataclasses import replace
from importlib.util import find_spec
from typing import Final

import polars as pl

from lockstep.decisions import Logged
from lockstep.decisions.diff import newest_snapshot
from lockstep.declare import Dataset, Model
from lockstep.errors import UsageError
from lockstep.graph import Graph
from lockstep.monitoring.holding import Lens, hold
from lockstep.monitoring.limits import Limits
from lockstep.monitoring.report import DriftReport
from lockstep.monitoring.scoring import Production, logged_decisions, production_on
from lockstep.monitoring.sides import Asked, side_of_requests, side_of_rows, side_of_snapshot
from lockstep.registry import Registry, SnapshotTaken, State, Version
from lockstep.training.features import forbidden_columns

DEFAULT: Final = Limits()
_SAME: Final = "Both sides are the same snapshot: there is no newer one. Take one, or name requests."


def measure(
    registry: Registry,
    graph: Graph,
    dataset: str,
    *,
    group: str | None = None,
    against: str | None = None,
    current: str | None = None,
    requests: str | Logged | None = None,
    limits: Limits = DEFAULT,
) -> DriftReport:
    """Hold newer data of a dataset against what production was trained on.

    Args:
        registry: where the snapshots and versions are.
        graph: the declarations.
        dataset: its name.
        group: whose production is meant, where several groups use the dataset.
        against: the reference, as `customers@3`; by default the snapshot of production's models.
        current: a snapshot; by default the newest.
        requests: in place of a snapshot, a file of rows in the dataset's columns, or the decision log.
        limits: what counts as drift.

    Raises:
        UsageError: no such snapshot or group, nothing says what the reference is, or a library is not installed.
        DataError: requests can't be read, or none can be used.
        ObjectMissing, ObjectDamaged, VersionRemoved: a file is not what the log promises.
    """
    _check_installed()
    if current is not None and requests is not None:
        raise UsageError(f"Both snapshot {current} and requests are to be held against the reference; name one.")
    declared, home, state = graph.dataset(dataset), group_of(graph, dataset, group), registry.state()
    lens = _lens(registry, graph, dataset, home, state)
    before = _reference(state, declared, lens.production, against)
    old = side_of_snapshot(registry, declared, before, limits, 0)
    if requests is None:
        now = newest_snapshot(state, declared) if current is None else _snapshot(state, declared, current)
        report = hold(old, side_of_snapshot(registry, declared, now, limits, 1), lens, limits)
        return report if now.digest != before.digest else replace(report, notes=(*report.notes, _SAME))
    asked = Asked(graph=graph, group=home, given=requests, labels=lens.hidden - {declared.key})
    new = side_of_requests(registry, declared, asked, limits)
    answered = None
    if isinstance(requests, Logged) and lens.production is not None:
        answered = logged_decisions(registry, home, registry.now() - requests.within, lens.production)
    return hold(old, new, lens, limits, answered=answered)


def measure_at(
    registry: Registry,
    graph: Graph,
    dataset: str,
    group: str,
    state: State,
    before: Version[SnapshotTaken],
    limits: Limits = DEFAULT,
) -> DriftReport:
    """Hold the newest snapshot at `state`, which may be one of the past, against `before`.

    Raises:
        UsageError, ObjectMissing, ObjectDamaged, VersionRemoved: as `measure`.
    """
    declared, lens = graph.dataset(dataset), _lens(registry, graph, dataset, group, state)
    old = side_of_snapshot(registry, declared, before, limits, 0)
    return hold(old, side_of_snapshot(registry, declared, newest_snapshot(state, declared), limits, 1), lens, limits)


def _lens(registry: Registry, graph: Graph, dataset: str, group: str, state: State) -> Lens:
    models = [graph.model(model.name) for model in graph.group(group).models if model.dataset == dataset]
    return Lens(
        dataset=dataset,
        key=graph.dataset(dataset).key,
        targets={model.name: model.target for model in models},
        hidden=_hidden(graph, models),
        private=frozenset(graph.dataset(dataset).private),
        production=production_on(registry, graph, state.production(group), dataset),
        group=group,
    )


def measure_rows(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    *,
    dataset: str,
    key: str,
    labels: Collection[str] = (),
    limits: Limits = DEFAULT,
) -> DriftReport:
    """Hold rows against rows, without a registry: both cleaned, each with a key that stands there once.

    `labels` are columns that are judged by how much a share moves.
    """
    lens = Lens(dataset=dataset, key=key, targets={name: name for name in labels}, hidden=frozenset({key, *labels}))
    old, new = (
        side_of_rows(rows, key, name, place, limits)
        for place, (rows, name) in enumerate(((reference, "the reference"), (current, "what is new")))
    )
    return hold(old, new, lens, limits)


def _check_installed() -> None:
    if find_spec("datasketches") is None:
        raise UsageError(
            "Drift needs datasketches, which is not installed here. Install airflow-provider-lockstep[beam], or measure"
            " it where snapshots are taken."
        )


def group_of(graph: Graph, dataset: str, group: str | None) -> str:
    """The release group that is meant: the one whose models are trained on a dataset.

    Raises:
        UsageError: there are several, or none, or the one that is named is not among them.
    """
    homes = [name for name, one in graph.groups.items() if any(model.dataset == dataset for model in one.models)]
    if group is not None and group not in homes:
        raise UsageError(
            f'No model of group "{group}" is trained on "{dataset}"; groups that are: {", ".join(homes) or "none"}.'
        )
    if group is None and len(homes) != 1:
        raise UsageError(
            f'Models of {len(homes)} groups are trained on "{dataset}" ({", ".join(homes) or "none"}); say whose'
            " production is meant, with --group."
        )
    return group or homes[0]


def _reference(
    state: State, dataset: Dataset, production: Production | None, against: str | None
) -> Version[SnapshotTaken]:
    if against is not None:
        return _snapshot(state, dataset, against)
    if production is None:
        raise UsageError(
            f'Nothing in production was trained on "{dataset.name}", so nothing says what to hold its newest snapshot'
            f" against. Say which snapshot: --against {dataset.name}@1."
        )
    versions = [state.model_by_digest(name, model.digest) for name, model in production.members.models.items()]
    return max((state.snapshot_by_digest(dataset.name, one.fact.snapshot) for one in versions), key=_number)


def _number(version: Version[SnapshotTaken]) -> int:
    return version.number


def _snapshot(state: State, dataset: Dataset, ref: str) -> Version[SnapshotTaken]:
    if ref.partition("@")[0] != dataset.name:
        raise UsageError(f'Snapshot "{ref}" is none of dataset "{dataset.name}"; write {dataset.name}@3, say.')
    return state.snapshot(ref)


def _hidden(graph: Graph, models: list[Model]) -> frozenset[str]:
    """The columns that are a feature of no model: keys and labels."""
    return frozenset.intersection(*(frozenset(forbidden_columns(graph, model)) for model in models))
