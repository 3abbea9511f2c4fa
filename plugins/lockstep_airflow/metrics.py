"""Figures of gates, releases and stages, sent by Airflow's own metrics: StatsD, Datadog or OpenTelemetry, as it is set.

Rules:
- Airflow's `[metrics]` settings say where to, with which prefix, and which names are let through.
- As with Airflow's own figures there is a name with tags, as `lockstep.releases` with `group=churn`; and, where
  `legacy_names_on` is on, the same with the tags in the name, for a StatsD that knows none: `lockstep.releases.churn`.
- A figure that can't be sent is a line in the task's log, and no more.
"""

from collections.abc import Mapping
from typing import Any, Final

from lockstep.errors import LockstepError
from lockstep.group import Group
from lockstep.registry import Registry, State, model_key, threshold_key
from lockstep.release import Status, Verdict

PREFIX: Final = "lockstep"
STAGES: Final = ("candidate", "staging", "production", "archived")


def gate_seen(verdict: Verdict, waited: float | None, log: Any) -> None:  # noqa: ANN401  structlog's and Python's loggers share no type
    """What a gate said: `gate.open` (1 or 0), `gate.reasons`; and once it opens `gate.opened`, `gate.wait` (ms)."""
    tags = {"group": verdict.group}
    _send(log, "gauge", "gate.open", int(verdict.is_open), tags)
    _send(log, "gauge", "gate.reasons", len(verdict.reasons), tags)
    if verdict.status is Status.OPEN:
        _send(log, "incr", "gate.opened", 1, tags)
        if waited is not None:
            _send(log, "timing", "gate.wait", waited * 1000, tags)


def of_task(task: Any, done: Any) -> None:  # noqa: ANN401  an operator of ours, which imports this module
    """What a task has done: a change of stage, or a new version."""
    if task.counts:
        moved(task.counts, task.group, done.registry, task.log)
    elif (version := done.found.get("version")) and done.found.get("new", True):
        kind = next(name for name in ("threshold", "model", "dataset") if hasattr(task, name))
        made(kind, str(version).partition("@")[0], task.log)


def moved(what: str, group: Group, registry: Registry, log: Any) -> None:  # noqa: ANN401  as above
    """A change of stage (`promotions`, `releases`, `rollbacks`), and how many versions stand in each stage by now."""
    _send(log, "incr", what, 1, {"group": group.name})
    try:
        counted = stages(group, registry.state())
    except LockstepError as error:
        log.warning("The versions of %s could not be counted: %s", group.name, error)
        return
    for stage, count in counted.items():
        _send(log, "gauge", "versions", count, {"group": group.name, "stage": stage})


def made(kind: str, name: str, log: Any) -> None:  # noqa: ANN401  as above
    """A new version: `made`, by kind and name."""
    _send(log, "incr", "made", 1, {"kind": kind, "name": name})


def stages(group: Group, state: State) -> dict[str, int]:
    """How many versions of the group's models and thresholds stand in each stage, removed ones included."""
    found = dict.fromkeys(STAGES, 0)
    keys = {model_key(model.name): len(state.models.get(model.name, ())) for model in group.models}
    keys |= {threshold_key(name): len(state.thresholds.get(name, ())) for name in group.model_of_threshold}
    production = state.members.get(group.name, {})
    for key, made_of_it in keys.items():
        staged = {state.staging[key]} if key in state.staging else set()
        running = {production[key]} if key in production else set()
        once = len(state.staged_once.get(key, ()))
        found["production"] += len(running)
        found["staging"] += len(staged - running)
        found["archived"] += once - len(staged | running)
        found["candidate"] += made_of_it - once
    return found


def _send(log: Any, kind: str, name: str, value: float, tags: Mapping[str, str]) -> None:  # noqa: ANN401  as above
    from airflow.sdk.configuration import conf
    from airflow.sdk.observability import stats

    full = f"{PREFIX}.{name}"
    try:
        _one(stats, kind, full, value, dict(tags))
        if conf.getboolean("metrics", "legacy_names_on", fallback=True):
            _one(stats, kind, ".".join([full, *(value.replace(".", "__") for value in tags.values())]), value, {})
    except Exception as error:  # noqa: BLE001  whatever a client of metrics raises, what was done stays done
        log.warning("The figure %s could not be sent: %s: %s", full, type(error).__name__, error)


def _one(stats: Any, kind: str, name: str, value: float, tags: dict[str, str]) -> None:  # noqa: ANN401  a module
    if kind == "incr":
        stats.incr(name, int(value), tags=tags)
    elif kind == "gauge":
        stats.gauge(name, value, tags=tags)
    else:
        stats.timing(name, value, tags=tags)
