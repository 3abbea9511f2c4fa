"""What a command works with: the registry, the declared graphs, and who is asking.

Rules:
- Graphs are found in the package `groups` (in the working folder's `include`, or wherever Python finds it), or where
  `--graph module:name` says.
- A job of the command line is known by user, host, time and process.
"""

import getpass
import importlib
import os
import pkgutil
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Final

from lockstep.errors import UsageError
from lockstep.graph import Graph
from lockstep.group import Group
from lockstep.registry import REGISTRY_VARIABLE, Job, Origin, Registry, commit_of
from lockstep.switch import Named, registry_of

GRAPH_VARIABLE: Final = "LOCKSTEP_GRAPH"
_PACKAGE: Final = "groups"


@dataclass(slots=True, kw_only=True)
class Context:
    """The options before the command; what they stand for is opened when a command needs it."""

    registry_uri: str | None
    graph_spec: tuple[str, ...]
    why: str = ""
    command: str = ""

    def registry(self) -> Registry:
        """Open the registry (`UsageError` if none is named)."""
        named = self.named_registry()
        if named is None:
            raise UsageError(
                f"No registry is named. Give --registry URI before the command, or set {REGISTRY_VARIABLE}; for example"
                " file:///srv/lockstep."
            )
        return Registry.open(named.address)

    def named_registry(self) -> Named | None:
        """The address of the registry, and who said it."""
        return Named(self.registry_uri, "--registry") if self.registry_uri else registry_of()

    def graphs(self) -> "Graphs":
        """Load the graphs (`UsageError` if there is none)."""
        specs = self.graph_spec or tuple(filter(None, os.environ.get(GRAPH_VARIABLE, "").split(",")))
        _add_include()
        return Graphs(_load(spec) for spec in specs) if specs else Graphs(_discover())

    def origin(self) -> Origin:
        """Who runs this command, and the job that it is."""
        user = getpass.getuser()
        started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        run = f"{user}@{socket.gethostname()}/{started}/{os.getpid()}"
        return Origin(
            by=user,
            why=self.why,
            job=Job(system="cli", run=run, task=f"lockstep {self.command}", commit=commit_of(Path.cwd())),
        )


class Graphs:
    """All declared graphs together; names of nodes and groups are unique among them."""

    def __init__(self, graphs: Iterable[Graph]) -> None:
        self.all = tuple(dict.fromkeys(graphs))
        seen: dict[str, Graph] = {}
        for graph in self.all:
            for name in (*graph.groups, *(node.name for node in graph.nodes)):
                other = seen.setdefault(name, graph)
                is_same = _node(other, name) is not None and _node(other, name) == _node(graph, name)
                if other is not graph and not (is_same and other.groups.get(name) == graph.groups.get(name)):
                    raise UsageError(
                        f'Two graphs declare "{name}", but a registry knows one of a name. Rename one of them.'
                    )

    def of(self, name: str) -> Graph:
        """The graph that declares a node (`UsageError` if none does)."""
        return self.having(name)[0]

    def having(self, name: str) -> tuple[Graph, ...]:
        """The graphs that declare a node, one or more (`UsageError` if none does)."""
        found = tuple(graph for graph in self.all if _node(graph, name) is not None)
        if not found:
            names = dict.fromkeys(node.name for graph in self.all for node in graph.nodes)
            raise UsageError(f'"{name}" is not declared; declared are {", ".join(names)}.')
        return found

    def group(self, name: str) -> tuple[Graph, Group]:
        """The release group of that name, and its graph (`UsageError` if there is none)."""
        for graph in self.all:
            if name in graph.groups:
                return graph, graph.groups[name]
        groups = [group for graph in self.all for group in graph.groups]
        raise UsageError(f'There is no release group "{name}"; there are {", ".join(groups) or "none"}.')

    def groups(self) -> Iterator[tuple[Graph, Group]]:
        """Every release group."""
        for graph in self.all:
            for group in graph.groups.values():
                yield graph, group


def _node(graph: Graph, name: str) -> object | None:
    return next((node for node in graph.nodes if node.name == name), None)


def _add_include() -> None:
    """Let Python find `include/groups` of the project that the command is started in."""
    include = Path.cwd() / "include"
    if (include / _PACKAGE).is_dir() and str(include) not in sys.path:
        sys.path.insert(0, str(include))


def _load(spec: str) -> Graph:
    module_name, _, name = spec.partition(":")
    name = name or "graph"
    if not all(word.isidentifier() for word in module_name.split(".")):
        raise UsageError(f"--graph {spec}: the form is module:name; for example groups.churn:graph.")
    module = _import(module_name, spec)
    found = getattr(module, name, None)
    if not isinstance(found, Graph):
        names = [key for key, value in vars(module).items() if isinstance(value, Graph)]
        raise UsageError(
            f'--graph {spec}: module "{module_name}" has no Graph "{name}"; it has {", ".join(names) or "none"}.'
        )
    return found


def _discover() -> Iterator[Graph]:
    package = _import(_PACKAGE, "")
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        yield from {
            id(value): value
            for value in vars(_import(f"{_PACKAGE}.{info.name}", "")).values()
            if isinstance(value, Graph)
        }.values()


def _import(name: str, spec: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        where = f"--graph {spec}" if spec else "Declarations"
        raise UsageError(
            f'{where}: there is no module "{name}". Start the command in the folder that holds include/{_PACKAGE}, or'
            " name the graph: --graph module:name."
        ) from None
