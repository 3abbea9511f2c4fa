"""What happens to a request once it is answered: it goes to the decision log, and to the shadow.

Rules:
- Nothing is recorded unless somebody asks for it: a log holds what people sent, and needs the right to write.
- A shadow needs a log, since nobody else hears of it.
- Recording never blocks, raises, or changes what was answered.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from lockstep.graph import Graph
from lockstep.journal import Answered, DecisionLog, InRegistry, Limits, OnStdout, layout_of
from lockstep.registry import Registry
from lockstep.serving.shadow import Shadow, ShadowLimits


class LogTo(StrEnum):
    """Where the decision log goes."""

    OFF = "off"
    REGISTRY = "registry"
    STDOUT = "stdout"


class ShadowOf(StrEnum):
    """What decides in the shadow of production."""

    STAGING = "staging"


_SOON = Limits(every=1.0)  # whoever reads stdout wants to see it happen


class Recording:
    """The `Recorder` of one process; make it in the process that answers."""

    def __init__(self, log: DecisionLog, shadow: Shadow | None) -> None:
        self._log, self._shadow = log, shadow

    def start(self) -> None:
        """Begin."""
        self._log.start()
        if self._shadow is not None:
            self._shadow.start()

    def record(self, asked: Answered) -> None:
        """Take a request and its answers."""
        self._log.add(asked)
        if self._shadow is not None:
            self._shadow.offer(asked)

    def stop(self) -> None:
        """Write what is there, and end; it takes some seconds at most."""
        if self._shadow is not None:
            self._shadow.stop()
        self._log.stop()

    def problems(self) -> Mapping[str, str]:
        """What does not work, and why."""
        found = {"decision log": self._log.problem} if self._log.problem else {}
        if self._shadow is not None:
            found |= {f"shadow of {name}": problem for name, problem in self._shadow.problems.items()}
        return found

    def counts(self) -> Mapping[str, int]:
        """What was recorded since the start, and how much waits."""
        found = {f"log_{name}": count for name, count in self._log.counts().items()}
        if self._shadow is not None:
            found |= {f"shadow_{name}": count for name, count in self._shadow.counts().items()}
        return found


def open_recording(
    registry: Registry,
    graphs: Iterable[Graph],
    *,
    log: LogTo,
    shadow: ShadowOf | None = None,
    poll: float = 1.0,
    limits: Limits | None = None,
    shadow_limits: ShadowLimits | None = None,
) -> Recording | None:
    """Make the recorder of a process; None where nothing is recorded, and so not without a log."""
    if log is LogTo.OFF:
        return None
    graphs = tuple(graphs)
    layouts = [layout_of(graph, name) for graph in graphs for name in graph.groups]
    sink = InRegistry(registry.objects) if log is LogTo.REGISTRY else OnStdout()
    written = DecisionLog(sink, layouts, limits or (Limits() if log is LogTo.REGISTRY else _SOON))
    shade = Shadow(registry, graphs, written.add, poll=poll, limits=shadow_limits) if shadow is not None else None
    return Recording(written, shade)
