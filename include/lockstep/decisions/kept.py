"""Keeps the decision diff of what would be released now, for the conditions of the release.

Rules:
- It is on the newest test split alone: what requests a person happens to have decides nothing.
- What is kept is no entry of the log. The release that follows names the set, and the log the release before it: the
  diff stands under these, and whoever asks what a release believed finds it there.
"""

from dataclasses import replace

from lockstep.decisions.diff import decision_diff
from lockstep.decisions.difference import Diff
from lockstep.graph import Graph
from lockstep.registry import ObjectRef, Registry
from lockstep.release import digest_of_release, find_evidence, keep_evidence, weigh


def keep_diff(registry: Registry, found: Diff) -> ObjectRef:
    """Keep what a diff says of the test split."""
    test = tuple(population for population in found.populations if population.kind == "test")
    splits = tuple(split for split in found.splits if split.kind == "test")
    state = registry.state()
    entries = [state.snapshot(str(population.source["snapshot"])).recorded.number for population in test]
    diff = replace(found, populations=test, splits=splits)
    return keep_evidence(registry.objects, diff.as_json(), max(entries))


def ensure_diff(registry: Registry, graph: Graph, name: str) -> None:
    """Make and keep the diff that the conditions of a group need, if the gate is open and none is kept yet."""
    group, state = graph.group(name), registry.state()
    verdict, manifest = weigh(group, state)
    if not group.release_if or manifest is None or not verdict.is_open:
        return
    production = state.production(name)
    old = production.digest if production else None
    if find_evidence(registry.objects, group, old, digest_of_release(manifest)) is None:
        keep_diff(registry, decision_diff(registry, graph, name))
