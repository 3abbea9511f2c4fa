"""The graph that a DAG file declares, at once or by a function that declares one group."""

from collections.abc import Callable

from lockstep.errors import DeclarationError
from lockstep.graph import Graph


def declared(graph: Graph | Callable[[], Graph], group: str | None) -> Graph:
    """The graph, or what the function declares; that function is asked for the group of that name alone.

    Raises:
        DeclarationError: a function without a name, or a graph of another or more than one group.
    """
    if group is None:
        if isinstance(graph, Graph):
            return graph
        raise DeclarationError(
            "release_dags: a function that declares needs group=, the name of the group it declares."
        )
    found = graph if isinstance(graph, Graph) else graph()
    if set(found.groups) != {group}:
        raise DeclarationError(
            f'release_dags(group="{group}"): the graph has the groups {", ".join(found.groups)}. Give it that name'
            f' (Graph(…, name="{group}")), or leave group= away.'
        )
    return found
