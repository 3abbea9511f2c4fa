"""The state of a registry: what its log says up to some entry; `fold` makes one state of another.

Rules:
- A state never changes. Looking something up costs no I/O, unless it was opened from a checkpoint.
- A version's number is its place among the versions of its name; it never changes.
- Production of a group is what its last release or rollback says; staging is what the last promotions say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lockstep.errors import UsageError
from lockstep.registry.entries import GENESIS, ModelTrained, SnapshotTaken, ThresholdTuned
from lockstep.registry.past import F_co, Hold, Judgement, Past, Release, Staging, Version


class Stage(StrEnum):
    """Where a version stands; it only moves on, except by rollback."""

    CANDIDATE = "candidate"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


def model_key(name: str) -> str:
    """The key of a model in `members` and `staging`."""
    return f"model:{name}"


def threshold_key(name: str) -> str:
    """The key of a threshold in `members` and `staging`."""
    return f"threshold:{name}"


Versions = Mapping[str, Past[Version[F_co]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the log says up to entry `head` (0: it is empty), whose SHA-256 is `head_hash`.

    Attributes:
        staging: member key → digest of the version in staging.
        staged_once: member key → digests of the versions that were ever promoted.
        promotions: group → what was moved to staging, oldest first.
        releases: group → what was in production, oldest first.
        undo: group → the releases that a rollback can go back through, production last.
        members: group → what its production is made of, member key → digest.
        abandoned: group → digests of the releases that were rolled back, and not released or gone forward to since.
        judgements: group → what was said of sets that might be released, oldest first.
        holds: group → when it was put on hold and when it went on, oldest first.
        removed: folder whose files are deleted → number of the entry that says so.
    """

    head: int = 0
    head_hash: str = GENESIS
    snapshots: Versions[SnapshotTaken] = field(default_factory=dict)
    models: Versions[ModelTrained] = field(default_factory=dict)
    thresholds: Versions[ThresholdTuned] = field(default_factory=dict)
    staging: Mapping[str, str] = field(default_factory=dict)
    staged_once: Mapping[str, frozenset[str]] = field(default_factory=dict)
    promotions: Mapping[str, Past[Staging]] = field(default_factory=dict)
    releases: Mapping[str, Past[Release]] = field(default_factory=dict)
    undo: Mapping[str, Past[Release]] = field(default_factory=dict)
    members: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    abandoned: Mapping[str, frozenset[str]] = field(default_factory=dict)
    judgements: Mapping[str, Past[Judgement]] = field(default_factory=dict)
    holds: Mapping[str, Past[Hold]] = field(default_factory=dict)
    removed: Mapping[str, int] = field(default_factory=dict)

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
        """The snapshot whose content has that digest; of several, the first whose files are there."""
        return self._by_digest(self.snapshots, name, digest)

    def model_by_digest(self, name: str, digest: str) -> Version[ModelTrained]:
        """The model version whose manifest has that digest."""
        return self._by_digest(self.models, name, digest)

    def threshold_by_digest(self, name: str, digest: str) -> Version[ThresholdTuned]:
        """The threshold version whose manifest has that digest."""
        return self._by_digest(self.thresholds, name, digest)

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
        return _having(self.thresholds, threshold, "model_digest", model_digest)

    def models_by_recipe(self, name: str, recipe: str) -> tuple[Version[ModelTrained], ...]:
        """The versions of a model that were trained by that recipe and have their files, oldest first."""
        return tuple(v for v in _having(self.models, name, "recipe", recipe) if not self.is_removed(v))

    def thresholds_by_recipe(self, name: str, recipe: str) -> tuple[Version[ThresholdTuned], ...]:
        """The versions of a threshold that were tuned by that recipe and have their files, oldest first."""
        return tuple(v for v in _having(self.thresholds, name, "recipe", recipe) if not self.is_removed(v))

    def is_removed(self, version: Version[Any]) -> bool:
        """Whether the version's files were removed; what the log says of it stays."""
        return folder_of(version.fact.manifest.path) in self.removed

    def production(self, group: str) -> Release | None:
        """The release that the group's services answer from."""
        past = self.releases.get(group)
        return past[-1] if past else None

    def judgement(self, group: str, digest: str) -> Judgement | None:
        """What was last said of a set of the group; None where nobody said anything."""
        past = self.judgements.get(group)
        places = past.places("digest", digest) if past else []
        return past[places[-1]] if past and places else None

    def hold(self, group: str) -> Hold | None:
        """Since when, and by whom, the group is on hold; None where it is not."""
        past = self.holds.get(group)
        return past[-1] if past and past[-1].is_on else None

    def stage_of(self, key: str, digest: str) -> Stage:
        """The stage of a member's version; production stands above staging where it is in both."""
        if any(members.get(key) == digest for members in self.members.values()):
            return Stage.PRODUCTION
        if self.staging.get(key) == digest:
            return Stage.STAGING
        return Stage.ARCHIVED if digest in self.staged_once.get(key, ()) else Stage.CANDIDATE

    def _by_digest(self, versions: Versions[F_co], name: str, digest: str) -> Version[F_co]:
        found = _having(versions, name, "digest", digest)
        for version in found:
            if not self.is_removed(version):
                return version
        if found:
            return found[0]
        raise UsageError(f'There is no version of "{name}" with digest {digest[:12]}… in the registry.')


def folder_of(path: str) -> str:
    """The folder that an object stands in."""
    return path.rpartition("/")[0]


def _having(versions: Versions[F_co], name: str, column: str, value: str) -> tuple[Version[F_co], ...]:
    past = versions.get(name)
    return tuple(past[place] for place in past.places(column, value)) if past else ()


def _look_up(versions: Versions[F_co], ref: str, what: str) -> Version[F_co]:
    name, at, number = ref.partition("@")
    past = versions.get(name)
    if not past:
        raise UsageError(
            f'There is no {what} of "{name}" in the registry; it has {", ".join(sorted(versions)) or "none"}.'
        )
    if not at:
        return past[-1]
    if not number.isdecimal() or not 1 <= int(number) <= len(past):
        raise UsageError(f'There is no {what} "{ref}"; "{name}" has versions {name}@1 to {name}@{len(past)}.')
    return past[int(number) - 1]
