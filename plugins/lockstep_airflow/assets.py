"""Assets: how the graph shows in Airflow's asset view, and what wakes a release DAG up.

Rules:
- URIs begin with `x-`: Airflow then loads no provider to understand them, which would cost a second at each parse.
- An asset event wakes a DAG up; nobody decides by it. The gate reads the registry.
"""

from airflow.sdk import Asset

from lockstep.declare import Kind, Node, kind_of
from lockstep.graph import Graph

GROUP = "lockstep"


def asset_of(node: Node) -> Asset:
    """The asset of a node: an event says that there is a new version of it."""
    kind = kind_of(node)
    name = node.name if kind is not Kind.API else f"{node.name}_api"
    return Asset(name=name, uri=f"x-lockstep://{kind.value}/{node.name}", group=GROUP)


def parents_of(graph: Graph, name: str) -> list[Asset]:
    """The assets of the nodes that a node uses directly."""
    return [asset_of(graph.node(parent)) for parent in graph.parents(name)]


def staging_of(group: str) -> Asset:
    """The asset of a group's staging: an event says that something was promoted."""
    return Asset(name=f"{group}_staging", uri=f"x-lockstep://staging/{group}", group=GROUP)


def due_of(group: str) -> Asset:
    """The asset of a group's retraining: an event says that it is due, and why."""
    return Asset(name=f"{group}_due", uri=f"x-lockstep://due/{group}", group=GROUP)
