"""What was declared of a release group, as JSON values: for whoever can't import the declarations.

Rules:
- The same declarations give the same values, in the same order, in each process: a change of them is a change of these.
- No function, no path of this machine and no secret is in it; reading it needs nothing of what it speaks of.
"""

from collections.abc import Iterator
from typing import Any

from lockstep.declare import Api, Dataset, Model, Node, Threshold, kind_of
from lockstep.graph import Graph
from lockstep.group import Group


def as_json(graph: Graph, group: Group) -> dict[str, Any]:
    """The group, its nodes and the datasets that they use, each after those it uses, and the arrows between them.

    An arrow is `[from, to, kind]`: `to` uses `from` as its data, builds_on, its score, decides by it, explains by it;
    agrees ties an API to one that it must not contradict.
    """
    members = group.nodes | {model.dataset for model in group.models}
    nodes = [node for node in graph.nodes if node.name in members]
    return {
        "group": group.as_json(),
        "nodes": [{"name": node.name, "kind": kind_of(node).value, **_facts(node)} for node in nodes],
        "edges": [[*edge] for node in nodes for edge in _edges(node)],
        "retrain_when": None if graph.retrain_when is None else str(graph.retrain_when),
    }


def _facts(node: Node) -> dict[str, Any]:
    match node:
        case Dataset():
            return {
                "description": f"{node.source.format} {node.source.pattern}",
                "deprecated": node.deprecated,
                "deprecated_after": node.deprecated_after and node.deprecated_after.isoformat(),
                "shared": node.shared,
                "key": node.key,
                "private": sorted(node.private),
            }
        case Model():
            only_for = None if node.only_for is None else list(node.only_for)
            return {"description": f"predicts {node.target}", "target": node.target, "only_for": only_for}
        case Threshold():
            more = f" per {node.per}" if node.per else ""
            return {"description": f"{node.choose}{more}{', yes below it' if node.when == 'below' else ''}"}
        case Api():
            return {"description": f"agrees with {', '.join(node.agreeing)}" if node.agreeing else ""}


def _edges(node: Node) -> Iterator[tuple[str, str, str]]:
    match node:
        case Model():
            yield node.data.name, node.name, "data"
            for above in node.builds_on:
                yield above if isinstance(above, str) else above.name, node.name, "builds_on"
        case Threshold():
            yield node.model if isinstance(node.model, str) else node.model.name, node.name, "score"
        case Api():
            for threshold in node.decides:
                yield threshold.name, node.name, "decides"
            for model in node.explains:
                yield model.name, node.name, "explains"
            for other in node.agreeing:
                yield other, node.name, "agrees"
