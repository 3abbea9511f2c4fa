"""A graph, drawn: as text, as Mermaid, as JSON.

Rules:
- Drawing reads declarations only, never the registry.
- With a node chosen, only that node, and what hangs on it, is drawn.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from lockstep.declare import Api, Dataset, Kind, Model, Node, Threshold, kind_of
from lockstep.graph import Graph

_SHAPES = {Kind.DATASET: ("[(", ")]"), Kind.MODEL: ("[", "]"), Kind.THRESHOLD: ("{{", "}}"), Kind.API: ("([", "])")}
_MARKS = {Kind.DATASET: "dataset", Kind.MODEL: "model", Kind.THRESHOLD: "threshold", Kind.API: "API"}


def as_json(graph: Graph, on: str | None = None) -> dict[str, Any]:
    """Nodes and edges (`from` is used by `to`), and the release groups.

    Raises:
        UsageError: `on` is no node of the graph.
    """
    nodes = _chosen(graph, on)
    names = {node.name for node in nodes}
    return {
        "nodes": [{"name": node.name, "kind": kind_of(node).value, **_facts(node)} for node in nodes],
        "edges": [
            {"from": parent, "to": node.name}
            for node in nodes
            for parent in graph.parents(node.name)
            if parent in names
        ],
        "groups": {group.name: sorted(group.nodes & names) for group in graph.groups.values() if group.nodes & names},
    }


def together(drawn: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Several graphs that `as_json` drew as one; what two of them hold, such as a dataset, is in it once."""
    parts = list(drawn)
    nodes = {node["name"]: node for part in parts for node in part["nodes"]}
    edges = {(edge["from"], edge["to"]): edge for part in parts for edge in part["edges"]}
    groups = {name: members for part in parts for name, members in part["groups"].items()}
    return {"nodes": list(nodes.values()), "edges": list(edges.values()), "groups": groups}


def as_mermaid(drawn: Mapping[str, Any]) -> str:
    """What `as_json` or `together` drew, as one Mermaid flowchart, left to right."""
    lines = ["flowchart LR"]
    for node in drawn["nodes"]:
        opening, closing = _SHAPES[Kind(node["kind"])]
        deprecated = "<br/>deprecated" if node.get("deprecated") else ""
        lines.append(f'    {node["name"]}{opening}"{node["name"]}{deprecated}"{closing}:::{node["kind"]}')
    lines += [f"    {edge['from']} --> {edge['to']}" for edge in drawn["edges"]]
    lines += [
        "    classDef dataset fill:#dbeafe,stroke:#1d4ed8,color:#111",
        "    classDef model fill:#dcfce7,stroke:#15803d,color:#111",
        "    classDef threshold fill:#fef9c3,stroke:#a16207,color:#111",
        "    classDef api fill:#fae8ff,stroke:#a21caf,color:#111",
    ]
    return "\n".join(lines)


def as_text(graph: Graph, on: str | None = None) -> str:
    """A tree from each node that uses no other; a node that is reached again is only named (`UsageError` as above)."""
    nodes = _chosen(graph, on)
    names = [node.name for node in nodes]
    lines: list[str] = []
    shown: set[str] = set()

    def draw(name: str, before: str, connector: str) -> None:
        users = [other for other in names if name in graph.parents(other)]
        again = name in shown
        lines.append(f"{before}{connector}{_label(graph.node(name))}{' …' if again and users else ''}")
        if again:
            return
        shown.add(name)
        inner = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[connector]
        for place, user in enumerate(users):
            draw(user, inner, "└─ " if place == len(users) - 1 else "├─ ")

    for name in names:
        if not set(graph.parents(name)) & set(names):
            draw(name, "", "")
    return "\n".join(lines)


def _chosen(graph: Graph, on: str | None) -> tuple[Node, ...]:
    return graph.nodes if on is None else (graph.node(on), *graph.hangs_on(on))


def _label(node: Node) -> str:
    facts = {key: value for key, value in _facts(node).items() if value}
    said = ", ".join(
        f"{key.replace('_', ' ')} {', '.join(value) if isinstance(value, list) else value}"
        for key, value in facts.items()
    )
    return f"{_MARKS[kind_of(node)]} {node.name}" + (f"  ({said})" if said else "")


def _facts(node: Node) -> dict[str, Any]:
    match node:
        case Dataset():
            return {"source": f"{node.source.format} {node.source.pattern}", "deprecated": node.deprecated}
        case Model():
            return {"target": node.target, "only_for": list(node.only_for or [])}
        case Threshold():
            more = {"per": node.per, "when": node.when if node.when == "below" else None}
            return {"policy": str(node.choose)} | {name: value for name, value in more.items() if value is not None}
        case Api():
            return {}
