"""Lineage of a version: the job, source, parameters and data that made it, and what became of it.

Rules:
- Everything is read from the state, which is the log: no file of a version is opened. A version whose files were
  removed answers like any other.
- A look-up that finds nothing is an error that says what there is.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from lockstep.errors import UsageError
from lockstep.registry.entries import ModelTrained, SnapshotTaken, ThresholdTuned
from lockstep.registry.past import Recorded, Version
from lockstep.registry.state import State, folder_of, model_key, threshold_key

AnyVersion = Version[SnapshotTaken] | Version[ModelTrained] | Version[ThresholdTuned]


def versions(state: State) -> Iterator[AnyVersion]:
    """Every version of the registry."""
    for kind in (state.snapshots, state.models, state.thresholds):
        for past in kind.values():
            yield from past


def find(state: State, ref: str) -> AnyVersion:
    """The version that people write as `churn@3`, `customers@1` or `retention_offer` (the newest).

    Raises:
        UsageError: there is none.
    """
    name = ref.partition("@")[0]
    if name in state.snapshots:
        return state.snapshot(ref)
    if name in state.thresholds:
        return state.threshold(ref)
    if name in state.models:
        return state.model(ref)
    known = sorted({*state.snapshots, *state.models, *state.thresholds})
    raise UsageError(f'There is no version of "{name}" in the registry; it has {", ".join(known) or "none"}.')


def lineage(state: State, version: AnyVersion) -> dict[str, Any]:
    """All that made a version, and all that became of it, as JSON values.

    `made_from` and `made_into` are versions; `promotions` and `releases` say who moved it when, why, and in which job.
    A snapshot is in a release where a model that was trained on it is.
    """
    made_into = _made_into(state, version)
    moved = {(key_of(other), other.digest) for other in (made_into if key_of(version) is None else [version])}
    return {
        **describe(state, version),
        "made_from": [describe(state, other) for other in _sources(state, version)],
        "made_into": [describe(state, other) for other in made_into],
        "promotions": [
            {"group": group, **_said(staging.recorded)}
            for group, past in state.promotions.items()
            for staging in past
            if moved.intersection(staging.members.items())
        ],
        "releases": [
            {
                "group": release.group,
                "release": release.digest,
                "did": "released" if release.left is None else "rolled_back",
                **_said(release.recorded),
            }
            for past in state.releases.values()
            for release in past
            if moved.intersection(release.members.items())
        ],
    }


def key_of(version: AnyVersion) -> str | None:
    """The version's key among a release's members; None for a snapshot."""
    match version.fact:
        case ModelTrained():
            return model_key(version.name)
        case ThresholdTuned():
            return threshold_key(version.name)
        case _:
            return None


def describe(state: State, version: AnyVersion) -> dict[str, Any]:
    """A version as JSON values: its name, digest, stage, when, by whom, the job with its log, and its own facts.

    `removed` is the number of the entry that says that its files are gone, if they are.
    """
    key = key_of(version)
    found: dict[str, Any] = {
        "version": version.ref,
        "kind": {"snapshot_taken": "snapshot", "model_trained": "model", "threshold_tuned": "threshold"}[
            version.fact.kind
        ],
        "digest": version.digest,
        "stage": state.stage_of(key, version.digest).value if key else None,
        **_said(version.recorded),
        "manifest": version.fact.manifest.path,
        "removed": state.removed.get(folder_of(version.fact.manifest.path)),
    }
    match version.fact:
        case ModelTrained() as trained:
            found |= {
                "parameters": trained.parameters,
                "source": trained.source,
                "metrics": trained.metrics,
                "missed": list(trained.missed),
            }
        case ThresholdTuned() as tuned:
            found |= {"value": tuned.value} | ({} if tuned.rule is None else {"rule": tuned.rule})
        case SnapshotTaken() as taken:
            found |= {"rows": taken.rows, "quarantined": taken.quarantined}
    return found


def _sources(state: State, version: AnyVersion) -> tuple[AnyVersion, ...]:
    match version.fact:
        case ModelTrained() as trained:
            upstream = (state.model_by_digest(name, digest) for name, digest in trained.upstream.items())
            return (state.snapshot_by_digest(trained.dataset, trained.snapshot), *upstream)
        case ThresholdTuned() as tuned:
            return (state.model_by_digest(tuned.model, tuned.model_digest),)
        case _:
            return ()


def _made_into(state: State, version: AnyVersion) -> list[AnyVersion]:
    """What was made of a version, without a step between."""
    name, digest = version.name, version.digest
    match version.fact:
        case SnapshotTaken():
            trained = (other for past in state.models.values() for other in past)
            return [other for other in trained if (other.fact.dataset, other.fact.snapshot) == (name, digest)]
        case ModelTrained():
            trained = (other for past in state.models.values() for other in past)
            above: list[AnyVersion] = [other for other in trained if other.fact.upstream.get(name) == digest]
            tuned = (other for threshold in state.thresholds for other in state.thresholds_for(threshold, digest))
            return [*above, *(other for other in tuned if other.fact.model == name)]
        case _:
            return []


def _said(recorded: Recorded) -> dict[str, Any]:
    """Which entry says it, when, by whom, why, and in which job."""
    origin = recorded.origin
    return {
        "entry": recorded.number,
        "at": recorded.at.isoformat(timespec="seconds"),
        "by": origin.by,
        "why": origin.why,
        "job": asdict(origin.job) if origin.job else None,
    }
