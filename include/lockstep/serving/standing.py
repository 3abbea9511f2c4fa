"""What a service says of itself: whether it is ready, and which releases it answers from.

Rules:
- Nothing here asks the registry: a service whose registry is away says what it knows.
"""

from typing import Any

from lockstep.registry import Release
from lockstep.serving.decider import Decider
from lockstep.serving.loaded import Loaded
from lockstep.serving.recorder import Recorder
from lockstep.serving.watch import Watcher


def readiness(decider: Decider, watcher: Watcher, recorder: Recorder | None) -> dict[str, Any]:
    """`ready`; the release of each group; when the registry was read last, and since when it is away; `warnings`."""
    releases = decider.releases
    groups = {
        name: {"release": releases[name].release if name in releases else None}
        for name, graph in decider.graphs.items()
        if graph.groups[name].apis
    }
    warnings = watcher.warnings()
    if recorder is not None:
        warnings += [f"{what}: {problem}" for what, problem in sorted(recorder.problems().items())]
    read, away = watcher.last_read, watcher.away_since
    return {
        "ready": bool(groups) and all(group["release"] for group in groups.values()),
        "groups": groups,
        "registry": {
            "read": read.isoformat(timespec="seconds") if read else None,
            "away_since": away.isoformat(timespec="seconds") if away else None,
        },
        "warnings": warnings,
    }


def standing(decider: Decider) -> dict[str, Any]:
    """Group → the release that answers; null where there is none."""
    releases, production = decider.releases, decider.production
    return {
        "groups": {
            name: _release(releases[name], production.get(name)) if name in releases else None
            for name in decider.graphs
        }
    }


def _release(loaded: Loaded, recorded: Release | None) -> dict[str, Any]:
    """What answers. Who released it is known unless production has gone on to a release that can't be loaded."""
    found: dict[str, Any] = {"release": loaded.release, "since": None, "by": None, "why": None, "entry": None}
    if recorded is not None and recorded.digest == loaded.release:
        found |= {
            "since": recorded.recorded.at.isoformat(timespec="seconds"),
            "by": recorded.recorded.origin.by,
            "why": recorded.recorded.origin.why,
            "entry": recorded.recorded.number,
        }
    members = loaded.manifest["members"].values()
    return found | {
        "apis": {name: dict(api) for name, api in loaded.apis.items()},
        "models": {one["name"]: _model(loaded, one) for one in members if "snapshot" in one},
        "datasets": _datasets(loaded),
        "thresholds": {
            one["name"]: {"version": f"{one['name']}@{one['number']}", "model": loaded.refs[one["model"]]}
            for one in members
            if "snapshot" not in one
        },
    }


def _datasets(loaded: Loaded) -> dict[str, Any]:
    """How single rows are cleaned, and why by polars."""
    intakes = {name: intake for plan in loaded.plans.values() for name, intake in plan.intakes.items()}
    return {
        name: {"cleans_through": "polars" if intake.reason else "python", "because": intake.reason}
        for name, intake in intakes.items()
    }


def _model(loaded: Loaded, member: dict[str, Any]) -> dict[str, Any]:
    answering, snapshot = loaded.answering[member["name"]], member["snapshot"]
    return {
        "version": loaded.refs[member["name"]],
        "digest": member["digest"],
        "snapshot": f"{snapshot['name']}@{snapshot['number']}",
        "answers_through": answering.through,
        "because": answering.reason,
    }
