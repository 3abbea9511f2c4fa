"""What retention keeps, and why: a pure function of the state, the time and what stands in the store.

Rules:
- Staging, production and the releases that a rollback can go back through stay, and so do the newest versions of each
  name and all that are young.
- Whatever a kept version was made from stays, however far back: its lineage always leads to files.
- What goes is listed from the newest entry to the oldest, so that nothing that is there was ever made from something
  that is gone, wherever the list is cut.
- Sources, releases and the log itself are never among what goes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from lockstep.errors import UsageError
from lockstep.registry.entries import ModelTrained, ThresholdTuned
from lockstep.registry.lineage import AnyVersion
from lockstep.registry.state import State, folder_of

AT_WORK: Final = timedelta(days=2)  # what no entry names, and is younger, may belong to a job that runs


class Why(StrEnum):
    """Why a version is kept; of several reasons, the first."""

    PRODUCTION = "in production"
    STAGING = "in staging"
    ROLLBACK = "in the rollback window"
    NEWEST = "among the newest"
    YOUNG = "young"
    NEEDED = "needed by a kept version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How much is kept.

    Attributes:
        keep: versions of each name, the newest.
        older_than: what is younger stays.
        rollbacks: releases of each group before its production that stay whole, of those a rollback can go back to.
        decisions: what the decision log says of older days goes.

    Raises:
        UsageError: a value that is out of range.
    """

    keep: int = 10
    older_than: timedelta = timedelta(days=30)
    rollbacks: int = 5
    decisions: timedelta = timedelta(days=90)

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise UsageError(f"keep: {self.keep} is not allowed; at least 1 version of each name stays.")
        if self.older_than < timedelta(0):
            raise UsageError(f"older_than: {self.older_than} is not allowed; it is a time span of 0 or more.")
        if self.rollbacks < 0:
            raise UsageError(f"rollbacks: {self.rollbacks} is not allowed; it is a number of releases, 0 or more.")
        if self.decisions < timedelta(days=1):
            raise UsageError(f"decisions: {self.decisions} is not allowed; it is a time span of 1 day or more.")


class Key(NamedTuple):
    """By what a version is named where another speaks of it."""

    kind: str  # as its folder: datasets, models, thresholds
    name: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What retention has to know of a version."""

    key: Key
    ref: str
    number: int
    folder: str
    at: datetime
    made_from: tuple[Key, ...]


@dataclass(slots=True)
class Heap:
    """The files of one folder, as the store lists them."""

    files: int = 0
    size: int = 0
    newest: datetime | None = None

    def add(self, size: int, modified: datetime) -> None:
        """Count a file in."""
        self.files += 1
        self.size += size
        self.newest = max(self.newest or modified, modified)

    def is_older(self, than: timedelta, now: datetime) -> bool:
        """Whether nothing of it was written within that time."""
        return self.newest is None or now - self.newest > than


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A folder that goes: what it is (as `churn@3`; blank: a killed attempt's), why it may, and its size in bytes."""

    folder: str
    what: str
    why: str
    size: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What goes, in order; and for each name, how many versions are kept for which reason."""

    removals: tuple[Removal, ...]
    kept: Mapping[str, Mapping[Why, int]]

    @property
    def size(self) -> int:
        """Of all that goes, in bytes."""
        return sum(removal.size for removal in self.removals)


@dataclass(slots=True)
class Catalogue:
    """Every version ever recorded, read once: pasts only grow."""

    items: list[Item] = field(default_factory=list)
    _read: Counter[tuple[str, str]] = field(default_factory=Counter)

    def update(self, state: State) -> None:
        """Take in what the state has beyond what was read."""
        for kind, versions in (
            ("datasets", state.snapshots),
            ("models", state.models),
            ("thresholds", state.thresholds),
        ):
            for name, past in versions.items():
                for place in range(self._read[kind, name], len(past)):
                    self.items.append(_item(kind, past[place]))
                self._read[kind, name] = len(past)


def plan(state: State, catalogue: Catalogue, stored: Mapping[str, Heap], rule: Rule, now: datetime) -> Plan:
    """What the rule lets go in a state, of what is recorded and of what is stored (folder → its files)."""
    catalogue.update(state)
    there = [item for item in catalogue.items if item.folder not in state.removed]
    kept = _kept(there, state, rule, now)
    counts: dict[str, Counter[Why]] = {}
    for item in there:
        if item.folder in kept:
            counts.setdefault(item.key.name, Counter())[kept[item.folder]] += 1
    gone = sorted((item for item in there if item.folder not in kept), key=lambda item: -item.number)
    removals = [_removal(item.folder, item.ref, _stage(state, item), stored) for item in gone]
    known = {item.folder for item in catalogue.items} | {*state.removed}
    limit = max(rule.older_than, AT_WORK)
    orphans = [folder for folder, heap in sorted(stored.items()) if folder not in known and heap.is_older(limit, now)]
    removals += [_removal(folder, "", "a killed attempt's", stored) for folder in orphans]
    return Plan(removals=tuple(removals), kept=counts)


def _kept(there: Iterable[Item], state: State, rule: Rule, now: datetime) -> dict[str, Why]:
    """Folder → why it is kept."""
    by_key: dict[Key, list[Item]] = {}
    by_name: dict[tuple[str, str], list[Item]] = {}
    for item in there:
        by_key.setdefault(item.key, []).append(item)
        by_name.setdefault(item.key[:2], []).append(item)
    kept: dict[str, Why] = {}
    waiting: list[Item] = []

    def keep(items: Iterable[Item], why: Why) -> None:
        for item in items:
            if item.folder not in kept:
                kept[item.folder] = why
                waiting.append(item)

    for why, key in _in_use(state, rule):
        keep(by_key.get(key, ()), why)
    for items in by_name.values():
        keep(items[-rule.keep :], Why.NEWEST)
        keep((item for item in items if now - item.at <= rule.older_than), Why.YOUNG)
    while waiting:
        for key in waiting.pop().made_from:
            keep(by_key.get(key, ()), Why.NEEDED)
    return kept


def _in_use(state: State, rule: Rule) -> Iterator[tuple[Why, Key]]:
    for members in state.members.values():
        yield from ((Why.PRODUCTION, _member(*member)) for member in members.items())
    yield from ((Why.STAGING, _member(*member)) for member in state.staging.items())
    for undo in state.undo.values():
        for release in undo[-1 - rule.rollbacks :]:
            yield from ((Why.ROLLBACK, _member(*member)) for member in release.members.items())


def _member(key: str, digest: str) -> Key:
    kind, _, name = key.partition(":")
    return Key(f"{kind}s", name, digest)


def _item(kind: str, version: AnyVersion) -> Item:
    made_from: tuple[Key, ...] = ()
    match version.fact:
        case ModelTrained() as trained:
            upstream = (Key("models", name, digest) for name, digest in trained.upstream.items())
            made_from = (Key("datasets", trained.dataset, trained.snapshot), *upstream)
        case ThresholdTuned() as tuned:
            made_from = (Key("models", tuned.model, tuned.model_digest),)
        case _:
            pass
    return Item(
        key=Key(kind, version.name, version.digest),
        ref=version.ref,
        number=version.recorded.number,
        folder=folder_of(version.fact.manifest.path),
        at=version.recorded.at,
        made_from=made_from,
    )


def _stage(state: State, item: Item) -> str:
    if item.key.kind == "datasets":
        return "no kept version needs it"
    return state.stage_of(f"{item.key.kind[:-1]}:{item.key.name}", item.key.digest).value


def _removal(folder: str, what: str, why: str, stored: Mapping[str, Heap]) -> Removal:
    heap = stored.get(folder, Heap())
    return Removal(folder=folder, what=what, why=why, size=heap.size, files=heap.files)
