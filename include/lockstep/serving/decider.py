"""Answers decisions from the current releases, and switches to a new release whole.

Rules:
- Only what is in production answers. A release is loaded beside the old one and put in its place by one assignment.
- A release that can't be loaded leaves the old one answering; the reason is kept until a load succeeds.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from lockstep.errors import LockstepError, UsageError
from lockstep.graph import Graph
from lockstep.registry import Registry, Release, State
from lockstep.serving.batches import Batches
from lockstep.serving.loaded import Answer, Loaded, load_release

_LOG: Final = "the log"  # no group can have that name


class NotReleased(LockstepError):
    """The group has no release yet, so its APIs have nothing to answer from."""


class Decider:
    """Safe to use from threads; `refresh` may be called while others decide."""

    def __init__(self, registry: Registry, graphs: Iterable[Graph]) -> None:
        self._registry = registry
        self._graphs = {name: graph for graph in graphs for name in graph.groups}
        self._group_of = {api.name: name for name, graph in self._graphs.items() for api in graph.groups[name].apis}
        self._loaded: Mapping[str, Loaded] = MappingProxyType({})
        self._production: Mapping[str, Release] = MappingProxyType({})
        self._errors: dict[str, str] = {}
        self._lock = threading.Lock()
        self._batches = Batches(self.current)

    @property
    def registry(self) -> Registry:
        """Where releases stand."""
        return self._registry

    @property
    def graphs(self) -> Mapping[str, Graph]:
        """Group → the graph that declares it."""
        return self._graphs

    @property
    def production(self) -> Mapping[str, Release]:
        """Group → what production was when the registry was last read: who released it, when and why."""
        return self._production

    def group_of(self, api: str) -> str | None:
        """The group that an API belongs to; None where there is no such API."""
        return self._group_of.get(api)

    @property
    def releases(self) -> Mapping[str, Loaded]:
        """Group → the release that answers now."""
        return self._loaded

    @property
    def errors(self) -> Mapping[str, str]:
        """Group → why its newest release could not be loaded; "the log" → why nobody knows which is the newest."""
        return dict(self._errors)

    def refresh(self) -> None:
        """Look at the registry, and switch where production has changed.

        Raises:
            LockstepError: a release can't be loaded, or the registry can't be read; what answered before still does.
        """
        with self._lock:
            state = self._look()
            failed: LockstepError | None = None
            found = {name: state.production(name) for name in self._graphs}
            self._production = MappingProxyType({name: one for name, one in found.items() if one is not None})
            for name, graph in self._graphs.items():
                production = state.production(name)
                current = self._loaded.get(name)
                if production is None or (current is not None and current.release == production.digest):
                    self._errors.pop(name, None)
                    continue
                try:
                    fresh = load_release(self._registry, graph, production)
                except LockstepError as error:
                    self._errors[name], failed = str(error), error
                    continue
                self._errors.pop(name, None)
                self._loaded = MappingProxyType({**self._loaded, name: fresh})
            if failed is not None:
                raise failed

    def _look(self) -> State:
        try:
            state = self._registry.state()
        except LockstepError as error:
            self._errors[_LOG] = str(error)
            raise
        self._errors.pop(_LOG, None)
        return state

    async def answer(self, api: str, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """As `decide`, for those who may not wait for it: requests that arrive together are decided in one batch."""
        self.current(api)
        return await self._batches.answer(api, rows)

    def decide(self, api: str, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """An answer for each row, all from one release; a row that can't be used is answered with `error`.

        Raises:
            UsageError: there is no such API.
            NotReleased: its group has no release yet.
        """
        return self.current(api).decide(api, rows)

    def current(self, api: str) -> Loaded:
        """The release that answers for an API; it raises what `decide` raises."""
        group = self._group_of.get(api)
        if group is None:
            raise UsageError(f'There is no API "{api}"; there are {", ".join(sorted(self._group_of)) or "none"}.')
        loaded = self._loaded.get(group)
        if loaded is None:
            raise NotReleased(
                f'API "{api}": group "{group}" has no release yet. Promote its members; `lockstep gate {group}` says'
                " what is missing."
            )
        return loaded
