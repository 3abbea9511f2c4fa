"""The state of a registry: a pure fold over the entries of its log.

Rules:
- The same entries give the same state, in one fold or in pieces; folding does no I/O and asks for no time.
- A version's number is its place among the versions of its name; it never changes.
- Production of a group is what its last release or rollback says; staging is what the last promotions say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Generic, TypeVar

from lockstep.errors import LogDamaged, UsageError
from lockstep.registry.entries import (
    GENESIS,
    Entry,
    ModelTrained,
    Origin,
    Promoted,
    Released,
    RolledBack,
    SnapshotTaken,
    ThresholdTuned,
)
from lockstep.registry.objects import ObjectRef

F_co = TypeVar("F_co", SnapshotTaken, ModelTrained, ThresholdTuned, covariant=True)


class Stage(StrEnum):
    """Where a version stands; it only moves on, except by rollback."""

    CANDIDATE = "candidate"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Which entry recorded something, when, and from where."""

    number: int
    at: datetime
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Generic[F_co]):
    """The `number`-th version of a dataset, model or threshold."""

    name: str
    number: int
    fact: F_co
    recorded: Recorded

    @property
    def digest(self) -> str:
        """The hash that names its files."""
        return self.fact.digest

    @property
    def ref(self) -> str:
        """How people write it: `churn@7`."""
        return f"{self.name}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a group's production is, or was, from one entry on. `left` is the release that a rollback went away from."""

    group: str
    digest: str
    manifest: ObjectRef
    members: Mapping[str, str]
    left: str | None
    recorded: Recorded

    @property
    def short(self) -> str:
        """The first twelve characters of the digest."""
        return self.digest[:12]


def model_key(name: str) -> str:
    """The key of a model in `members` and `staging`."""
    return f"model:{name}"


def threshold_key(name: str) -> str:
    """The key of a threshold in `members` and `staging`."""
    return f"threshold:{name}"


Versions = Mapping[str, tuple[Version[F_co], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the log says up to entry `head` (0: it is empty), whose SHA-256 is `head_hash`.

    Attributes:
        staging: member key → digest of the version in staging.
        releases: group → what was in production, oldest first.
        undo: group → the releases that a rollback can go back through, production last.
        staged_once: keys and digests that were ever promoted.
    """

    head: int = 0
    head_hash: str = GENESIS
    snapshots: Versions[SnapshotTaken] = field(default_factory=dict)
    models: Versions[ModelTrained] = field(default_factory=dict)
    thresholds: Versions[ThresholdTuned] = field(default_factory=dict)
    staging: Mapping[str, str] = field(default_factory=dict)
    releases: Mapping[str, tuple[Release, ...]] = field(default_factory=dict)
    undo: Mapping[str, tuple[Release, ...]] = field(default_factory=dict)
    staged_once: frozenset[tuple[str, str]] = frozenset()

    def snapshot(self, ref: str) -> Version[SnapshotTaken]:
        """The snapshot `customers@3`; `customers` alone is the newest (`UsageError` if there is none)."""
        return _look_up(self.snapshots, ref, "snapshot")

    def model(self, ref: str) -> Version[ModelTrained]:
        """The model version `churn@7`; `churn` alone is the newest (`UsageError` if there is none)."""
        return _look_up(self.models, ref, "model version")

    def threshold(self, ref: str) -> Version[ThresholdTuned]:
        """The threshold version `offer@2`; `offer` alone is the newest (`UsageError` if there is none)."""
        return _look_up(self.thresholds, ref, "threshold version")

    def snapshot_by_digest(self, name: str, digest: str) -> Version[SnapshotTaken]:
        """The snapshot whose content has that digest."""
        return _by_digest(self.snapshots, name, digest)

    def model_by_digest(self, name: str, digest: str) -> Version[ModelTrained]:
        """The model version whose manifest has that digest."""
        return _by_digest(self.models, name, digest)

    def threshold_by_digest(self, name: str, digest: str) -> Version[ThresholdTuned]:
        """The threshold version whose manifest has that digest."""
        return _by_digest(self.thresholds, name, digest)

    def staged_model(self, name: str) -> Version[ModelTrained] | None:
        """The model version in staging."""
        digest = self.staging.get(model_key(name))
        return self.model_by_digest(name, digest) if digest else None

    def staged_threshold(self, name: str) -> Version[ThresholdTuned] | None:
        """The threshold version in staging."""
        digest = self.staging.get(threshold_key(name))
        return self.threshold_by_digest(name, digest) if digest else None

    def thresholds_for(self, threshold: str, model_digest: str) -> tuple[Version[ThresholdTuned], ...]:
        """The versions of a threshold that belong to exactly one model version, oldest first."""
        return tuple(v for v in self.thresholds.get(threshold, ()) if v.fact.model_digest == model_digest)

    def production(self, group: str) -> Release | None:
        """The release that the group's services answer from."""
        past = self.releases.get(group)
        return past[-1] if past else None

    def stage_of(self, key: str, digest: str) -> Stage:
        """The stage of a member's version; production stands above staging where it is in both."""
        for past in self.releases.values():
            if past[-1].members.get(key) == digest:
                return Stage.PRODUCTION
        if self.staging.get(key) == digest:
            return Stage.STAGING
        return Stage.ARCHIVED if (key, digest) in self.staged_once else Stage.CANDIDATE


def fold(state: State, entries: Iterable[tuple[Entry, str]]) -> State:
    """The state after further entries, each with its SHA-256. `state` itself is left as it is.

    Raises:
        LogDamaged: an entry speaks of a version that no earlier entry made.
    """
    folding = _Folding(state)
    for entry, sha256 in entries:
        folding.add(entry, sha256)
    return folding.result()


class _Folding:
    """Plain dicts and lists for the length of one fold, so that it is linear in the number of entries."""

    def __init__(self, state: State) -> None:
        self.head, self.head_hash = state.head, state.head_hash
        self.snapshots = {name: list(past) for name, past in state.snapshots.items()}
        self.models = {name: list(past) for name, past in state.models.items()}
        self.thresholds = {name: list(past) for name, past in state.thresholds.items()}
        self.staging = dict(state.staging)
        self.releases = {group: list(past) for group, past in state.releases.items()}
        self.undo = {group: list(past) for group, past in state.undo.items()}
        self.staged_once = set(state.staged_once)

    def add(self, entry: Entry, sha256: str) -> None:
        self.head, self.head_hash = entry.number, sha256
        recorded = Recorded(number=entry.number, at=entry.at, origin=entry.origin)
        match entry.fact:
            case SnapshotTaken() as taken:
                _append(self.snapshots, taken.dataset, taken, recorded)
            case ModelTrained() as trained:
                _append(self.models, trained.model, trained, recorded)
            case ThresholdTuned() as tuned:
                _append(self.thresholds, tuned.threshold, tuned, recorded)
            case Promoted() as promoted:
                self._check_members(entry.number, promoted.members)
                self.staging.update(promoted.members)
                self.staged_once.update(promoted.members.items())
            case Released() | RolledBack() as moved:
                self._check_members(entry.number, moved.members)
                self._move(moved, recorded)

    def _move(self, moved: Released | RolledBack, recorded: Recorded) -> None:
        release = Release(
            group=moved.group,
            digest=moved.digest,
            manifest=moved.manifest,
            members=MappingProxyType(moved.members),
            left=moved.left if isinstance(moved, RolledBack) else None,
            recorded=recorded,
        )
        self.releases.setdefault(moved.group, []).append(release)
        undo = self.undo.setdefault(moved.group, [])
        if release.left is not None:
            places = [place for place, earlier in enumerate(undo) if earlier.digest == release.digest]
            del undo[places[-1] if places else len(undo) :]
        undo.append(release)

    def _check_members(self, number: int, members: Mapping[str, str]) -> None:
        for key, digest in members.items():
            kind, _, name = key.partition(":")
            versions: Iterable[Version[ModelTrained] | Version[ThresholdTuned]] = (
                self.models.get(name, ()) if kind == "model" else self.thresholds.get(name, ())
            )
            if all(version.fact.digest != digest for version in versions):
                raise LogDamaged(
                    f'Log entry {number} names {kind} "{name}" with digest {digest[:12]}…, which no earlier entry made.'
                    " Nothing is written until the log is restored from a copy."
                )

    def result(self) -> State:
        return State(
            head=self.head,
            head_hash=self.head_hash,
            snapshots=MappingProxyType({name: tuple(past) for name, past in self.snapshots.items()}),
            models=MappingProxyType({name: tuple(past) for name, past in self.models.items()}),
            thresholds=MappingProxyType({name: tuple(past) for name, past in self.thresholds.items()}),
            staging=MappingProxyType(self.staging),
            releases=MappingProxyType({group: tuple(past) for group, past in self.releases.items()}),
            undo=MappingProxyType({group: tuple(past) for group, past in self.undo.items()}),
            staged_once=frozenset(self.staged_once),
        )


def _append(versions: dict[str, list[Version[F_co]]], name: str, fact: F_co, recorded: Recorded) -> None:
    past = versions.setdefault(name, [])
    past.append(Version(name=name, number=len(past) + 1, fact=fact, recorded=recorded))


def _look_up(versions: Versions[F_co], ref: str, what: str) -> Version[F_co]:
    name, at, number = ref.partition("@")
    past = versions.get(name, ())
    if not past:
        raise UsageError(
            f'There is no {what} of "{name}" in the registry; it has {", ".join(sorted(versions)) or "none"}.'
        )
    if not at:
        return past[-1]
    if not number.isdecimal() or not 1 <= int(number) <= len(past):
        raise UsageError(f'There is no {what} "{ref}"; "{name}" has versions {name}@1 to {name}@{len(past)}.')
    return past[int(number) - 1]


def _by_digest(versions: Versions[F_co], name: str, digest: str) -> Version[F_co]:
    for version in versions.get(name, ()):  # oldest first: a digest that is recorded again keeps its number
        if version.fact.digest == digest:
            return version
    raise UsageError(f'There is no version of "{name}" with digest {digest[:12]}… in the registry.')
