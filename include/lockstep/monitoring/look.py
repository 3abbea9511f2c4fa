"""Looks whether a group is to be retrained: now, or at each point of what the log tells.

Rules:
- It reads the registry and changes nothing in it.
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
        says = f"{group.name} is not to be retrained: nothing of it is in production, to hold newer data against."
        return Due(
            group=group.name, rule=str(rule), is_due=False, answers=(), about="", snapshots=(), trained=(), says=says
        )
    released = {model.name: production.members.get(model_key(model.name)) for model in group.models}
    models = [state.model_by_digest(name, digest) for name, digest in released.items() if digest is not None]
    newest = {name: newest_snapshot(state, graph.dataset(name)) for name in {model.fact.dataset for model in models}}
    fresh = {name: one for name, one in newest.items() if one.digest != _reference(state, name, models).digest}
    needs_data = any(not isinstance(condition, Age) for condition in simple_ones(rule))
    facts = Facts(
        now=now,
        trained=min(model.recorded.at for model in models),
        reports=tuple(
            measure_at(registry, graph, name, group.name, state, limits)
            for name in (sorted(fresh) if needs_data else ())
        ),
        unchanged=tuple(sorted(one.ref for name, one in newest.items() if name not in fresh)),
    )
    answers = tuple(answer(condition, facts) for condition in simple_ones(rule))
    is_due = is_met(rule, facts)
    return Due(
        group=group.name,
        rule=str(rule),
        is_due=is_due,
        answers=answers,
        about=digest_of(
            {"production": production.digest, "snapshots": {name: one.digest for name, one in newest.items()}}
        ),
        snapshots=tuple(sorted(one.ref for one in newest.values())),
        trained=(trained := _trained(state, group, newest)),
        says=_says(group, trained, is_due=is_due),
    )


def _says(group: Group, trained: tuple[str, ...], *, is_due: bool) -> str:
    if not is_due:
        return f"{group.name} is not to be retrained."
    if trained:
        return f"{group.name} is due, and was trained on the newest data already: {', '.join(trained)}."
    return f"{group.name} is to be retrained."


def _reference(state: State, dataset: str, models: Sequence[Version[ModelTrained]]) -> Version[SnapshotTaken]:
    """The newest snapshot that a model in production was trained on."""
    own = [model for model in models if model.fact.dataset == dataset]
    return max((state.snapshot_by_digest(dataset, model.fact.snapshot) for model in own), key=lambda one: one.number)


def _trained(state: State, group: Group, newest: dict[str, Version[SnapshotTaken]]) -> tuple[str, ...]:
    """For each model the newest version on these snapshots; empty where one has none."""
    found = []
    for model in group.models:
        snapshot = newest.get(model.dataset)
        own = None if snapshot is None else _newest_on(state, model.name, snapshot)
        if own is None:
            return ()
        found.append(own.ref)
    return tuple(found)


def _newest_on(state: State, name: str, snapshot: Version[SnapshotTaken]) -> Version[ModelTrained] | None:
    past = state.models.get(name, ())
    for place in range(len(past) - 1, -1, -1):
        version = past[place]
        if version.fact.snapshot == snapshot.digest:
            return version
        if version.recorded.number < snapshot.recorded.number:
            return None  # what is older was trained before there was this snapshot
    return None
