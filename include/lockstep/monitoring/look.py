"""Looks whether a group is to be retrained: now, or at each point of what the log tells.

Rules:
- It reads the registry and changes nothing in it.
- Newer data is held against what the group was last trained on as a whole, released or not: candidates that wait for
  somebody are not trained again because production is old. Scores and decisions are those of production.
- Without newer data nothing is due, since the same recipe would give the same versions.
- At an earlier point it sees what was known then: production, and the snapshots that had been taken.
- What can't be looked at any more, since its files were removed, is told as that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lockstep.decisions.diff import newest_snapshot
from lockstep.errors import LockstepError, UsageError
from lockstep.graph import Graph
from lockstep.group import Group
from lockstep.monitoring.due import Due, Facts, answer, is_met
from lockstep.monitoring.limits import Limits
from lockstep.monitoring.measure import DEFAULT, measure_at
from lockstep.registry import (
    ModelTrained,
    Registry,
    Released,
    RolledBack,
    SnapshotTaken,
    State,
    Version,
    digest_of,
    fold,
    model_key,
)
from lockstep.retraining import Age, When, simple_ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point of the past: what happened then, and whether the group was to be retrained, or why nobody can say."""

    entry: int
    at: datetime
    what: str
    due: Due | None
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """The moment as JSON values."""
        found = None if self.due is None else self.due.as_json()
        return {"entry": self.entry, "at": self.at.isoformat(), "what": self.what, "due": found, "reason": self.reason}


def look(registry: Registry, graph: Graph, group: str, *, limits: Limits = DEFAULT) -> Due:
    """Whether a group is to be retrained now.

    Raises:
        UsageError: there is no such group, or the graph doesn't say when to retrain.
        ObjectMissing, ObjectDamaged, VersionRemoved: a file is not what the log promises.
    """
    return _look(registry, graph, graph.group(group), _rule(graph, group), registry.state(), registry.now(), limits)


def look_back(registry: Registry, graph: Graph, group: str, *, limits: Limits = DEFAULT) -> Iterator[Moment]:
    """When a group would have been found to be retrained, at each snapshot and each release of it, oldest first.

    Raises:
        UsageError: as `look`.
    """
    rule, found = _rule(graph, group), graph.group(group)
    datasets, state = {model.dataset for model in found.models}, State()
    for entry in registry.log.entries():
        state = fold(state, [(entry, "")])
        fact = entry.fact
        if isinstance(fact, SnapshotTaken) and fact.dataset in datasets:
            what = f"{state.snapshot_by_digest(fact.dataset, fact.digest).ref} was taken"
        elif isinstance(fact, Released | RolledBack) and fact.group == group:
            what = "released" if isinstance(fact, Released) else "rolled back"
        else:
            continue
        due, reason = None, ""
        try:
            due = _look(registry, graph, found, rule, state, entry.at, limits)
        except LockstepError as error:
            reason = str(error)
        yield Moment(entry=entry.number, at=entry.at, what=what, due=due, reason=reason)


def _rule(graph: Graph, group: str) -> When:
    if graph.retrain_when is None:
        raise UsageError(
            f'Group "{group}": its graph does not say when to retrain. Declare it: Graph(…,'
            " retrain_when=any_of(drift(psi=0.2), age(days=30)))."
        )
    return graph.retrain_when


def _look(
    registry: Registry, graph: Graph, group: Group, rule: When, state: State, now: datetime, limits: Limits
) -> Due:
    production = state.production(group.name)
    if production is None:
        return _not_due(group, rule, "nothing of it is in production, to hold newer data against")
    released = {model.name: production.members.get(model_key(model.name)) for model in group.models}
    models = [state.model_by_digest(name, digest) for name, digest in released.items() if digest is not None]
    datasets = sorted({model.fact.dataset for model in models})
    bases = {name: _basis(state, name, [model for model in models if model.fact.dataset == name]) for name in datasets}
    newest = {name: newest_snapshot(state, graph.dataset(name)) for name in datasets}
    fresh = [name for name in datasets if newest[name].digest != bases[name].snapshot.digest]
    if not fresh:
        seen = ", ".join(base.snapshot.ref for base in bases.values())
        return _not_due(group, rule, f"there is no newer data than {seen}, on which it was trained")
    needs_data = any(not isinstance(condition, Age) for condition in simple_ones(rule))
    facts = Facts(
        now=now,
        trained=min(base.at for base in bases.values()),
        reports=tuple(
            measure_at(registry, graph, name, group.name, state, bases[name].snapshot, limits)
            for name in (fresh if needs_data else ())
        ),
    )
    is_due = is_met(rule, facts)
    return Due(
        group=group.name,
        rule=str(rule),
        is_due=is_due,
        answers=tuple(answer(condition, facts) for condition in simple_ones(rule)),
        about=digest_of({name: [bases[name].snapshot.digest, newest[name].digest] for name in datasets}),
        snapshots=tuple(newest[name].ref for name in datasets),
        says=f"{group.name} is {'' if is_due else 'not '}to be retrained.",
    )


def _not_due(group: Group, rule: When, why: str) -> Due:
    says = f"{group.name} is not to be retrained: {why}."
    return Due(group=group.name, rule=str(rule), is_due=False, answers=(), about="", snapshots=(), says=says)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Basis:
    """What newer data is held against, and when the first of the models on it was trained."""

    snapshot: Version[SnapshotTaken]
    at: datetime


def _basis(state: State, dataset: str, models: Sequence[Version[ModelTrained]]) -> _Basis:
    """What production was trained on, or what all its models have been trained on since."""
    since = [{one.fact.snapshot: one for one in _behind(state, model)} for model in models]
    common = set(since[0]).intersection(*since[1:])
    snapshots = [state.snapshot_by_digest(dataset, digest) for digest in common]
    own = max((state.snapshot_by_digest(dataset, model.fact.snapshot) for model in models), key=_number)
    latest = max([own, *snapshots], key=_number)
    if latest.digest not in common:
        return _Basis(snapshot=own, at=min(model.recorded.at for model in models))
    return _Basis(snapshot=latest, at=min(made[latest.digest].recorded.at for made in since))


def _behind(state: State, version: Version[ModelTrained]) -> Iterator[Version[ModelTrained]]:
    """The versions of a model that were trained later."""
    past = state.models[version.name]
    return (past[place] for place in range(version.number, len(past)))


def _number(version: Version[SnapshotTaken]) -> int:
    return version.number
