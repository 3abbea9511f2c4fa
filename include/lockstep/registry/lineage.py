"""Lineage, both ways: from a version to the job, source, parameters and data that made it, and from these to versions.

Rules:
- Everything is read from the state: no file is opened.
- A look-up that finds nothing is an error that says what there is.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from lockstep.errors import UsageError
from lockstep.registry.entries import ModelTrained, SnapshotTaken, ThresholdTuned
from lockstep.registry.state import Release, State, Version, model_key, threshold_key

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
    """What a version was made of (`made_from`), by which job, and what was made of it (`made_into`, `releases`)."""
    key = key_of(version)
    return {
        **describe(state, version),
        "made_from": [describe(state, other) for other in _sources(state, version)],
        "made_into": [describe(state, other) for other in versions(state) if version in _sources(state, other)],
        "releases": [
            {"group": release.group, "release": release.digest, "entry": release.recorded.number}
            for release in _releases(state)
            if key is not None and release.members.get(key) == version.digest
        ],
    }


def made_by(state: State, run: str) -> list[AnyVersion]:
    """The versions that a job made; `run` is the job's run (`dag_id/run_id` for Airflow) or the end of it.

    Raises:
        UsageError: no version was made by such a job.
    """
    found = [
        version
        for version in versions(state)
        if (job := version.recorded.origin.job) is not None and run and job.run.endswith(run)
    ]
    if not found:
        jobs = {job.run for version in versions(state) if (job := version.recorded.origin.job) is not None}
        latest = ", ".join(sorted(jobs)[-5:])
        raise UsageError(f'No version was made by a job "{run}"; some that made one: {latest or "none"}.')
    return found


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
    """A version as JSON values: its name, digest, stage, when, by whom, and the job with its log."""
    origin, key = version.recorded.origin, key_of(version)
    found: dict[str, Any] = {
        "version": version.ref,
        "kind": {"snapshot_taken": "snapshot", "model_trained": "model", "threshold_tuned": "threshold"}[
            version.fact.kind
        ],
        "digest": version.digest,
        "stage": state.stage_of(key, version.digest).value if key else None,
        "entry": version.recorded.number,
        "at": version.recorded.at.isoformat(timespec="seconds"),
        "by": origin.by,
        "why": origin.why,
        "job": asdict(origin.job) if origin.job else None,
        "manifest": version.fact.manifest.path,
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
            found |= {"value": tuned.value}
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


def _releases(state: State) -> Iterator[Release]:
    for past in state.releases.values():
        yield from past
