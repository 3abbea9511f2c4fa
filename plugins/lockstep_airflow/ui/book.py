"""A registry's state with what the pages look up in it: made once for all requests, and grown entry by entry.

Rules:
- It says what the state says, and reads no file of a version.
- What a further entry costs hangs on what the entry speaks of, not on how much was ever recorded.
- Tables only grow. A page that reads while they do may see a version that came a moment later, never less.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lockstep.registry import Job, Past, Recorded, State
from lockstep.registry.entries import ModelTrained, ThresholdTuned
from lockstep.registry.lineage import AnyVersion, key_of
from lockstep.registry.past import Hold, Judgement, Release, Staging
from lockstep.registry.state import Stage

KINDS: Final = {"snapshot_taken": "snapshot", "model_trained": "model", "threshold_tuned": "threshold"}
_CLOUDS: Final = ("dataflow", "vertex")  # the task of their jobs is Airflow's: dag_id/run_id/task_id
Event = Staging | Release | Judgement | Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something that was done with a group."""

    group: str
    what: Event

    @property
    def recorded(self) -> Recorded:
        """By which entry."""
        return self.what.recorded


@dataclass(slots=True)
class _Tables:
    """What only grows; names of versions are written with their kind of node, as `dataset:customers`."""

    versions: dict[str, list[AnyVersion]] = field(default_factory=lambda: defaultdict(list))
    by_digest: dict[tuple[str, str], list[AnyVersion]] = field(default_factory=lambda: defaultdict(list))
    made_of: dict[tuple[str, str], list[AnyVersion]] = field(default_factory=lambda: defaultdict(list))
    events: dict[str, list[Happened]] = field(default_factory=lambda: defaultdict(list))
    jobs: dict[tuple[str, str], list[AnyVersion | Happened]] = field(default_factory=lambda: defaultdict(list))
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    in_order: list[AnyVersion | Happened] = field(default_factory=list)


class Book:
    """Of one state; `after` gives that of a later one, with the same tables, grown."""

    def __init__(self, state: State, tables: "_Tables | None" = None) -> None:
        self.state = state
        self.tables = tables or _Tables()
        self._grow()
        self._production: dict[str, set[str]] = {}
        for members in state.members.values():
            for key, digest in members.items():
                self._production.setdefault(key, set()).add(digest)

    def after(self, state: State) -> "Book":
        """The book of a later state."""
        return Book(state, self.tables)

    # ------------------------------------------------------------------------------------------------------- look up

    @property
    def in_order(self) -> list[AnyVersion | Happened]:
        """All versions and events, in the order in which they were taken in: that of the log, a look at a time."""
        return self.tables.in_order

    def versions(self, kind: str, name: str) -> Sequence[AnyVersion]:
        """The versions of a dataset, model or threshold, oldest first."""
        return self.tables.versions.get(f"{kind}:{name}", ())

    def named(self, ref: str) -> AnyVersion | None:
        """The version that people write as `churn@3`."""
        name, _, number = ref.partition("@")
        if number.isdecimal():
            for kind in ("dataset", "threshold", "model"):  # as `lockstep.registry.lineage.find` looks
                if found := self.versions(kind, name):
                    return found[int(number) - 1] if 1 <= int(number) <= len(found) else None
        return None

    def version(self, kind: str, name: str, digest: str) -> AnyVersion | None:
        """The version of that digest; of a snapshot that was taken again, the one whose files are there."""
        found = self.tables.by_digest.get((f"{kind}:{name}", digest), ())
        return next((one for one in found if not self.state.is_removed(one)), found[0] if found else None)

    def member(self, key: str, digest: str) -> AnyVersion | None:
        """The version that a release names, as `model:churn`."""
        kind, _, name = key.partition(":")
        return self.version(kind, name, digest)

    def refs(self, members: Mapping[str, str]) -> dict[str, str]:
        """Name → ref, of what a promotion or a release names."""
        found = {key.partition(":")[2]: self.member(key, digest) for key, digest in members.items()}
        return {name: version.ref if version else "" for name, version in found.items()}

    def made_into(self, version: AnyVersion) -> Sequence[AnyVersion]:
        """What was made of a version, without a step between."""
        return self.tables.made_of.get((key_at(version), version.digest), ())

    def made_from(self, version: AnyVersion) -> list[AnyVersion]:
        """What a version was made of."""
        found = (self.tables.by_digest.get(key, ()) for key in _sources(version))
        return [versions[0] for versions in found if versions]

    def stage(self, version: AnyVersion) -> Stage | None:
        """Where a version stands; None for a snapshot."""
        key = key_of(version)
        if key is None:
            return None
        if version.digest in self._production.get(key, ()):
            return Stage.PRODUCTION
        if self.state.staging.get(key) == version.digest:
            return Stage.STAGING
        return Stage.ARCHIVED if version.digest in self.state.staged_once.get(key, ()) else Stage.CANDIDATE

    def events(self, group: str) -> Sequence[Happened]:
        """What was done with a group; not in the order of the entries."""
        return self.tables.events.get(group, ())

    def by_task(self, run: str, task: str) -> Sequence[AnyVersion | Happened]:
        """What a task of Airflow did, by itself or by a job in a cloud; `run` is `dag_id/run_id`."""
        return self.tables.jobs.get((run, task), ())

    # ---------------------------------------------------------------------------------------------------------- grow

    def _grow(self) -> None:
        state, new = self.state, list[AnyVersion | Happened]()
        for kind in ("snapshots", "models", "thresholds"):
            for name, past in getattr(state, kind).items():
                for version in self._behind(kind, name, past):
                    self._add_version(version)
                    new.append(version)
        for kind in ("promotions", "releases", "judgements", "holds"):
            for group, past in getattr(state, kind).items():
                for what in self._behind(kind, group, past):
                    if isinstance(what, Hold) and what.left is not None:
                        continue  # the rollback's own entry
                    happened = Happened(group=group, what=what)
                    self.tables.events[group].append(happened)
                    new.append(happened)
        for item in sorted(new, key=lambda one: one.recorded.number):
            self.tables.in_order.append(item)
            if job := item.recorded.origin.job:
                self.tables.jobs[run_and_task(job)].append(item)

    def _behind(self, kind: str, name: str, past: Past[Any]) -> Iterator[Any]:
        known = self.tables.counts.get((kind, name), 0)
        if known < len(past):
            yield from past[known:]
            self.tables.counts[kind, name] = len(past)

    def _add_version(self, version: AnyVersion) -> None:
        key = key_at(version)
        self.tables.versions[key].append(version)
        self.tables.by_digest[key, version.digest].append(version)
        for source in _sources(version):
            self.tables.made_of[source].append(version)


def run_and_task(job: Job) -> tuple[str, str]:
    """`dag_id/run_id` and the task of Airflow that a job belongs to; of others, as they call it."""
    if job.system in _CLOUDS and job.task:
        run, _, task = job.task.rpartition("/")
        return run, task
    return job.run, job.task


def key_at(version: AnyVersion) -> str:
    """Kind of node and name, as `dataset:customers`."""
    kind = KINDS[version.fact.kind]
    return f"{'dataset' if kind == 'snapshot' else kind}:{version.name}"


def _sources(version: AnyVersion) -> list[tuple[str, str]]:
    match version.fact:
        case ModelTrained() as trained:
            above = [(f"model:{name}", digest) for name, digest in trained.upstream.items()]
            return [(f"dataset:{trained.dataset}", trained.snapshot), *above]
        case ThresholdTuned() as tuned:
            return [(f"model:{tuned.model}", tuned.model_digest)]
        case _:
            return []
