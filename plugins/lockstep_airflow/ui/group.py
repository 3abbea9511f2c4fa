"""The page of a group: its graph with what stands where, what blocks the gate and where, and what may be done."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from lockstep.registry import Hold
from lockstep.registry.lineage import AnyVersion
from lockstep.registry.past import Release
from lockstep.release import Verdict
from lockstep_airflow.ui import shapes
from lockstep_airflow.ui.book import Book
from lockstep_airflow.ui.declarations import Declaration, Node
from lockstep_airflow.ui.said import at, node_version, said
from lockstep_airflow.ui.surroundings import Question
from lockstep_airflow.ui.warnings import stale, warnings_of
from lockstep_airflow.ui.weighing import verdict_of, weighed
from lockstep_airflow.ui.world import DAGS, Place, Scene, dags_of


def group(place: Place) -> shapes.GroupPage:
    """The page."""
    declared, seen, book = place.group, place.seen, place.seen.book
    found = weighed(declared, seen)
    verdict = found.verdict if found else None
    nodes, edges = blocked(declared, verdict)
    question = place.scene.around.questions.get(declared.dag_id)
    return {
        "name": declared.name,
        "registry": seen.shown,
        "problem": seen.problem,
        "head": book.state.head if book else 0,
        "verdict": verdict_of(verdict) if verdict else None,
        "hold": hold_of(book.state.hold(declared.name)) if book else None,
        "waiting": waiting(place.scene, question) if question else None,
        "production": production(book, declared) if book else None,
        "staging_set": found.set if found else None,
        "nodes": [_node(declared, node, book, nodes.get(node.name, [])) for node in declared.nodes.values()],
        "edges": [
            {"from": start, "to": end, "kind": kind, "blocks": edges.get((start, end), [])}
            for start, end, kind in declared.edges
        ],
        "dags": actions(place),
        "warnings": warnings_of(declared, book, place.scene.today),
        "approval": declared.approval,
        "retrain_when": declared.retrain_when,
    }


def blocked(
    declared: Declaration, verdict: Verdict | None
) -> tuple[Mapping[str, list[str]], Mapping[tuple[str, str], list[str]]]:
    """What the verdict says of each node, and of each edge: a sentence about what a member uses blocks that edge."""
    nodes: dict[str, list[str]] = defaultdict(list)
    edges: dict[tuple[str, str], list[str]] = defaultdict(list)
    if verdict is None:
        return nodes, edges
    for member in verdict.members:
        for reason, used in zip(member.reasons, member.about, strict=True):
            nodes[member.name].append(reason)
            if used:
                edges[used, member.name].append(reason)
    names = {str(condition): condition.names for condition in declared.group.release_if}
    for weighed_ in verdict.conditions:
        if not weighed_.holds:
            for name in names.get(weighed_.condition, ()):
                nodes[name].append(f"{weighed_.condition}: {weighed_.says}")
    return nodes, edges


def _node(declared: Declaration, node: Node, book: Book | None, blocks: list[str]) -> shapes.GraphNode:
    versions = book.versions(node.kind, node.name) if book else ()
    production, staging, candidate = standing(declared, node, book) if book else (None, None, None)
    current = staging or production
    return {
        "name": node.name,
        "kind": node.kind,
        "description": node.description,
        "deprecated": node.deprecated,
        "deprecated_after": node.deprecated_after.isoformat() if node.deprecated_after else None,
        "only_for": list(node.only_for) if node.only_for is not None else None,
        "shared": node.shared,
        "production": node_version(book, production) if book and production else None,
        "staging": node_version(book, staging) if book and staging else None,
        "candidate": node_version(book, candidate) if book and candidate else None,
        "blocks": blocks,
        "stale": stale(book, current) if book and current and node.kind == "model" else [],
        "consumers": list(declared.consumers[node.name]),
        "versions": len(versions),
    }


def standing(
    declared: Declaration, node: Node, book: Book
) -> tuple[AnyVersion | None, AnyVersion | None, AnyVersion | None]:
    """The versions of a node in production, in staging, and the newest that was never promoted, if it is newer.

    A dataset's are those that the models in production and in staging were trained on, and the newest.
    """
    if node.kind == "dataset":
        return _snapshots(declared, node, book)
    if node.kind == "api":
        return None, None, None
    key = f"{node.kind}:{node.name}"
    in_production = book.state.members.get(declared.name, {}).get(key)
    in_staging = book.state.staging.get(key)
    production = book.version(node.kind, node.name, in_production) if in_production else None
    staging = book.version(node.kind, node.name, in_staging) if in_staging else None
    promoted = book.state.staged_once.get(key, frozenset())
    newest = max((one.number for one in (production, staging) if one is not None), default=0)
    for version in reversed(book.versions(node.kind, node.name)):
        if version.number <= newest:
            break
        if version.digest not in promoted:
            return production, staging, version
    return production, staging, None


def _snapshots(
    declared: Declaration, node: Node, book: Book
) -> tuple[AnyVersion | None, AnyVersion | None, AnyVersion | None]:
    members, staging = book.state.members.get(declared.name, {}), book.state.staging
    sides: list[AnyVersion | None] = []
    for digests in (members, staging):
        used = []
        for model in declared.group.models:
            key = f"model:{model.name}"
            version = book.version("model", model.name, digests[key]) if key in digests else None
            if model.dataset == node.name and version is not None:
                used += [one for one in book.made_from(version) if one.name == node.name]
        sides.append(max(used, key=lambda one: one.number, default=None))
    newest = book.versions("dataset", node.name)
    known = max((one.number for one in sides if one is not None), default=0)
    return sides[0], sides[1], newest[-1] if newest and newest[-1].number > known else None


def actions(place: Place) -> dict[shapes.DagName, shapes.DagAction]:
    """Each of the group's DAGs, and whether it may be started."""
    around, found = place.scene.around, dict[shapes.DagName, shapes.DagAction]()
    for name, dag_id, may in zip(DAGS, dags_of(place.group), place.may_run, strict=True):
        exists, paused = dag_id in around.paused, around.paused.get(dag_id, False)
        run = around.running.get(dag_id)
        reason = "" if may else f"You may not start {dag_id}. Ask for the right to trigger it."
        if paused:
            reason = reason or f"{dag_id} is paused; unpause it in Airflow."
        if not exists:
            gives = " watch=every(…) in release_dags makes it." if name == "watch" else ""
            reason = f"There is no DAG {dag_id}.{gives}"
        found[name] = {
            "dag_id": dag_id,
            "exists": exists,
            "paused": paused,
            "may_run": may and exists and not paused,
            "reason": reason,
            "running": {"run_id": run.run_id, "state": run.state, "since": at(run.since) if run.since else None}
            if run
            else None,
        }
    return found


def waiting(scene: Scene, question: Question) -> shapes.Waiting:
    """A question, and whether this user may answer it."""
    may_answer, reason = scene.viewer.may_answer(question, scene.around.teams)
    return {
        "dag_id": question.dag_id,
        "run_id": question.run_id,
        "task_id": question.task_id,
        "map_index": question.map_index,
        "subject": question.subject,
        "body": question.body,
        "since": at(question.since),
        "set": question.set,
        "may_answer": may_answer,
        "reason": reason,
    }


def production(book: Book, declared: Declaration) -> shapes.ReleaseRow | None:
    """The release in production, and the one that a rollback without a name goes back to."""
    release: Release | None = book.state.production(declared.name)
    if release is None:
        return None
    undo: Sequence[Release] = book.state.undo.get(declared.name, ())
    return {
        "digest": release.digest,
        "said": said(release.recorded),
        "members": book.refs(release.members),
        "previous": undo[-2].digest if len(undo) > 1 else None,
    }


def hold_of(hold: Hold | None) -> shapes.Said | None:
    """Who put the group on hold."""
    return said(hold.recorded) if hold else None
