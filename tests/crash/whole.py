"""Whether a registry is whole: everything that its log promises is there, and every rule held at the entry itself.

Rules:
- It reads with a fresh handle, and folds the log itself beside it; both must come to the same.
- Each promise is checked on the state just before the entry that made it. What was found whole is not looked at again
  until `check_whole` starts anew.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from lockstep.group import Group
from lockstep.registry import (
    Approved,
    Entry,
    Held,
    ModelTrained,
    ObjectRef,
    Promoted,
    Registry,
    Rejected,
    Released,
    Removed,
    Resumed,
    RolledBack,
    SnapshotTaken,
    State,
    ThresholdTuned,
    canonical_json,
    files_of,
    fold,
    read_manifest,
    sha256_of,
)
from lockstep.registry.entries import decode, path_of
from lockstep.release import compose, digest_of_release, gate, path_of_release, verify_members
from lockstep.upkeep.findings import Severity
from lockstep.upkeep.verify import Depth, Verification


def check_whole(uri: str, *groups: Group) -> State:
    """Check the whole registry with a fresh handle, also by `lockstep verify`, and give its state."""
    state = Whole(uri, groups).check()
    verify(uri)
    return state


def verify(uri: str) -> None:
    """Check by `lockstep verify` that nothing is broken; what a killed process left is no damage."""
    found = [finding.as_text() for finding in Verification(registry=Registry.open(uri), depth=Depth.WHOLE)]
    assert [text for text in found if not text.startswith(Severity.NOTE)] == []


def said(state: State) -> dict[str, Any]:
    """What a state says, as plain values to compare; only the hash of its last entry is left out."""
    return {
        "head": state.head,
        "snapshots": {name: list(past) for name, past in state.snapshots.items()},
        "models": {name: list(past) for name, past in state.models.items()},
        "thresholds": {name: list(past) for name, past in state.thresholds.items()},
        "staging": dict(state.staging),
        "releases": {group: list(past) for group, past in state.releases.items()},
        "undo": {group: [one.digest for one in past] for group, past in state.undo.items()},
        "judgements": {group: list(past) for group, past in state.judgements.items()},
        "holds": {group: list(past) for group, past in state.holds.items()},
        "removed": set(state.removed),
    }


class Whole:
    """Checks one registry again and again; entries that were found whole are not read a second time."""

    def __init__(self, uri: str, groups: Iterable[Group]) -> None:
        self.uri = uri
        self.entries: list[Entry] = []
        self._groups = {group.name: group for group in groups}
        self._state = State()
        self._nonces: set[str] = set()
        self._verified: set[str] = set()

    def check(self) -> State:
        """Check what has come since the last time, and that the log has not lost anything; gives the state."""
        registry = Registry.open(self.uri)
        state = registry.state()
        assert state.head >= self._state.head, f"the log went back from {self._state.head} to {state.head}"
        self._check_names(registry, state.head)
        for entry, sha256 in self._behind(registry, state.head):
            assert entry.nonce not in self._nonces, f"entry {entry.number} was written twice"
            self._nonces.add(entry.nonce)
            self.entries.append(entry)
            self._check_entry(registry, entry, state)
            self._state = fold(self._state, [(entry, sha256)])
        assert said(state) == said(self._state), "a fresh handle says something else than a fold of all entries"
        assert state.head_hash == self._state.head_hash
        self._check_production(registry, state)
        return state

    def numbers_of(self, run: str) -> list[int]:
        """The numbers of the entries that a job has written."""
        return [one.number for one in self.entries if one.origin.job is not None and one.origin.job.run == run]

    def _check_names(self, registry: Registry, head: int) -> None:
        """Each number from 1 to the head is used once, and nothing else stands in the log but its checkpoints."""
        names = [name for name in registry.objects.names("log") if not name.startswith("log/checkpoint/")]
        assert names == [path_of(number) for number in range(1, head + 1)]

    def _behind(self, registry: Registry, head: int) -> Iterator[tuple[Entry, str]]:
        previous = self._state.head_hash
        for number in range(self._state.head + 1, head + 1):
            data = registry.objects.get_unverified(path_of(number))
            yield decode(data, number=number, previous=previous), (previous := sha256_of(data))

    def _check_entry(self, registry: Registry, entry: Entry, now: State) -> None:
        before, fact = self._state, entry.fact
        match fact:
            case SnapshotTaken():
                self._check_folder(registry, f"datasets/{fact.dataset}/{fact.digest}", fact.manifest, now)
            case ModelTrained():
                assert fact.digest == fact.manifest.sha256
                assert before.snapshot_by_digest(fact.dataset, fact.snapshot)
                assert all(before.model_by_digest(name, digest) for name, digest in fact.upstream.items())
                self._check_folder(registry, f"models/{fact.model}/{fact.digest}", fact.manifest, now)
            case ThresholdTuned():
                assert fact.digest == fact.manifest.sha256
                assert before.model_by_digest(fact.model, fact.model_digest)
                self._check_folder(registry, f"thresholds/{fact.threshold}/{fact.digest}", fact.manifest, now)
            case Promoted():
                self._check_promoted(fact, before)
            case Released():
                self._check_released(registry, fact, before)
            case RolledBack():
                earlier = [one for one in before.releases[fact.group] if one.digest == fact.digest]
                assert earlier, f"entry {entry.number} goes back to what never was"
                assert (dict(earlier[-1].members), earlier[-1].manifest) == (fact.members, fact.manifest)
                assert before.releases[fact.group][-1].digest == fact.left != fact.digest
                assert not _removed(fact.members, before)
            case Approved() | Rejected():
                self._check_word(fact, before)
            case Held() | Resumed():
                assert (before.hold(fact.group) is None) is isinstance(fact, Held), "held twice, or resumed twice"
            case Removed():
                assert not set(before.removed) & set(fact.folders), "removed twice"

    def _check_folder(self, registry: Registry, folder: str, manifest: ObjectRef, now: State) -> None:
        """The manifest and all files beside it are there, and have the promised bytes."""
        found = str(PurePosixPath(manifest.path).parent)
        assert found.startswith(folder)  # a snapshot that is taken again after its removal gets another folder
        if found in now.removed:
            return
        content = read_manifest(registry.objects, manifest)
        for ref in files_of(manifest, content).values():
            registry.objects.check(ref)
        if "source" in content and "sha256" in content["source"]:
            registry.objects.check(ObjectRef(**content["source"]))

    def _check_promoted(self, fact: Promoted, before: State) -> None:
        """A model moved with all its thresholds, and each threshold belongs to the version that stands beside it."""
        group = self._groups[fact.group]
        staging = {**before.staging, **fact.members}
        for model in group.models:
            if f"model:{model.name}" in fact.members:
                assert not before.model_by_digest(model.name, fact.members[f"model:{model.name}"]).fact.missed
                assert {f"threshold:{name}" for name in model.thresholds} <= fact.members.keys()
        _check_thresholds_fit(group, {key: staging[key] for key in staging if _is_of(group, key)}, before)
        assert not _removed(fact.members, before)

    def _check_word(self, fact: Approved | Rejected, before: State) -> None:
        """The word is on the set that stood in staging at the entry, with all its members."""
        manifest = compose(self._groups[fact.group], before)
        assert fact.digest == digest_of_release(manifest)
        assert fact.members == {key: before.staging[key] for key in manifest["members"]}

    def _check_released(self, registry: Registry, fact: Released, before: State) -> None:
        """The gate was open at the entry, all members fit together, and the manifest holds exactly them."""
        group = self._groups[fact.group]
        verdict = gate(group, before)
        assert verdict.is_open, verdict.as_text()
        manifest = compose(group, before)
        assert fact.members == {key: before.staging[key] for key in manifest["members"]}
        assert fact.manifest.path == path_of_release(group.name, fact.digest)
        assert registry.objects.get(fact.manifest) == canonical_json(manifest)
        assert fact.digest == fact.manifest.sha256
        assert not _removed(fact.members, before)
        _check_thresholds_fit(group, fact.members, before)
        models = {one.name: before.model_by_digest(one.name, fact.members[f"model:{one.name}"]) for one in group.models}
        for one in group.models:
            above = models[one.name].fact.upstream
            assert {name: above.get(name) for name in one.builds_on} == {
                name: models[name].digest for name in one.builds_on
            }
        for dataset in {one.dataset for one in group.models if one.shared}:
            siblings = [one.name for one in group.models if one.dataset == dataset]
            assert len({models[name].fact.snapshot for name in siblings}) == 1, f"{siblings} saw different {dataset}"

    def _check_production(self, registry: Registry, state: State) -> None:
        """What every group answers from is there to the last file."""
        for group in state.releases:
            production = state.production(group)
            assert production is not None
            if production.digest not in self._verified:
                manifest = json.loads(registry.objects.get(production.manifest))
                assert {key: one["digest"] for key, one in manifest["members"].items()} == dict(production.members)
                verify_members(registry, manifest)
                self._verified.add(production.digest)


def _is_of(group: Group, key: str) -> bool:
    return key.partition(":")[2] in group.nodes


def _check_thresholds_fit(group: Group, members: Mapping[str, str], state: State) -> None:
    for name, model in group.model_of_threshold.items():
        if f"threshold:{name}" in members:
            tuned = state.threshold_by_digest(name, members[f"threshold:{name}"])
            assert tuned.fact.model_digest == members[f"model:{model}"], f"{tuned.ref} does not fit its model"


def _removed(members: Mapping[str, str], state: State) -> set[str]:
    """The members whose files the log says are gone."""
    folders = {f"{key.partition(':')[0]}s/{key.partition(':')[2]}/{digest}" for key, digest in members.items()}
    return folders & set(state.removed)
