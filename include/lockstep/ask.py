"""`from lockstep import decider`: decisions of an API in code.

Rules:
- Importing this costs nothing: what decides is imported by the first call, by its name, since declarations import this.
"""

from collections.abc import Mapping
from importlib import import_module
from types import TracebackType
from typing import Any, Protocol, Self

from lockstep.graph import Graph


class Decides(Protocol):
    """What decides for one API; `lockstep.serving.direct.ApiDecider` is one."""

    @property
    def release(self) -> str | None:
        """The digest of the release that answers; None before the first."""

    @property
    def errors(self) -> Mapping[str, str]:
        """Why a newer release does not answer, or is not known of; empty where all is well."""

    def decide(self, rows: Any) -> Any:  # noqa: ANN401  a dict gives a dict; a list, or a polars frame, gives a list
        """An answer for one row, or for each of many."""

    def decide_frame(self, rows: Any) -> Any:  # noqa: ANN401  polars frames, which declarations don't import
        """The decisions on a polars frame, as a frame."""

    def refresh(self) -> None:
        """Look for a new release now."""

    def close(self) -> None:
        """Look no more; it still answers."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def decider(api: str, *, registry: str | None = None, graph: Graph | None = None, poll: float | None = None) -> Decides:
    """What decides for an API as its current release does, in this process.

    Args:
        api: its name.
        registry: the address; by default that of the environment (`LOCKSTEP_REGISTRY`).
        graph: declares the API; by default it is looked for as the command line does, in the package `groups` or
            where `LOCKSTEP_GRAPH` says.
        poll: seconds between looks for a new release; None: only when `refresh` is called.

    Raises:
        UsageError: no registry is named, or nothing declares the API.
        LockstepError: the release can't be loaded, or the registry can't be read.
    """
    context = import_module("lockstep.cli.context").Context(registry_uri=registry, graph_spec=())
    graphs = (graph,) if graph is not None else context.graphs().having(api)
    serving, direct = import_module("lockstep.serving"), import_module("lockstep.serving.direct")
    made: Decides = direct.ApiDecider(serving.Decider(context.registry(), graphs), api, poll=poll)
    return made
