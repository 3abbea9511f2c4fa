"""The set in staging decides on what production is asked, and nobody but the decision log hears of it.

Rules:
- What is asked is decided on after it was answered, in a thread of its own, and many requests at once: an answer waits
  for nothing here, and nothing here reaches an answer.
- The set is what a release would put into production now; it is loaded again when staging changes. Where staging does
  not fit together, or is what production runs already, nothing is decided.
- Memory is bounded: what comes while too much waits is left out, and counted.
- Whatever breaks here is counted and told by `problems`; of an error out of a request only its kind is told, since its
  text may hold a value.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lockstep.errors import LockstepError
from lockstep.graph import Graph
from lockstep.journal import Answered
from lockstep.registry import Registry, State
from lockstep.release import digest_of_release, weigh
from lockstep.serving.loaded import Loaded, load_set

_logger: Final = logging.getLogger(__name__)
_LOG: Final = "the log"  # no group can have that name
_REST: Final = 0.001  # seconds
_PATIENCE: Final = 10.0  # seconds that stopping waits for the last requests to be decided on
Keep = Callable[[Answered], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowLimits:
    """How much may wait, and how much is decided on at once.

    Attributes:
        most_rows: that wait.
        most_bytes: of the requests that wait.
        at_once: rows of one API that are decided on together.
        gather: seconds for which requests are gathered.
        again: seconds after which a set that could not be loaded is tried again.
    """

    most_rows: int = 5_000
    most_bytes: int = 16 << 20
    at_once: int = 250
    gather: float = 0.2
    again: float = 30.0


class Shadow:
    """Safe to use from threads; make and start one in each process. `keep` gets what the shadow says."""

    def __init__(
        self,
        registry: Registry,
        graphs: Iterable[Graph],
        keep: Keep,
        *,
        poll: float = 1.0,
        limits: ShadowLimits | None = None,
    ) -> None:
        self._registry, self._keep, self._poll, self._limits = registry, keep, poll, limits or ShadowLimits()
        self._graphs = {name: graph for graph in graphs for name in graph.groups}
        self._sets: Mapping[str, Loaded] = {}
        self._failed: dict[str, tuple[str, float]] = {}  # group → the set that can't be loaded, and when it was tried
        self._problems: Mapping[str, str] = {}
        self._asked: deque[Answered] = deque()
        self._rows = self._bytes = 0
        self._counts: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="lockstep-shadow", daemon=True)

    def start(self) -> None:
        """Begin to look at staging, and to decide."""
        self._thread.start()

    def stop(self, patience: float = _PATIENCE) -> None:
        """Decide on what waits, for at most `patience` seconds, and end."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(patience)

    def offer(self, asked: Answered) -> None:
        """Take a request that was answered, if there is a shadow to decide on it and room for it to wait."""
        if asked.group not in self._sets:
            return
        with self._changed:
            rows = self._rows + len(asked.rows)
            if self._asked and (rows > self._limits.most_rows or self._bytes + asked.size > self._limits.most_bytes):
                self._counts["dropped_rows"] += len(asked.rows)
                return
            self._rows, self._bytes = rows, self._bytes + asked.size
            self._asked.append(asked)
            if len(self._asked) == 1:
                self._changed.notify()

    @property
    def sets(self) -> Mapping[str, str]:
        """Group → digest of the set that decides in the shadow."""
        return {name: loaded.release for name, loaded in self._sets.items()}

    @property
    def problems(self) -> Mapping[str, str]:
        """Group → why its set is not loaded, or that it could not decide on a request; "the log": nobody can look."""
        return self._problems

    def counts(self) -> Mapping[str, int]:
        """Rows decided on, left out and failed since the start, and how many sets are loaded now."""
        with self._changed:
            names = ("rows", "dropped_rows", "failed_rows")
            return {**{name: self._counts[name] for name in names}, "loaded": len(self._sets)}

    # ------------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        looked = -self._poll
        while not self._is_stopping:
            now = time.monotonic()
            if now - looked >= self._poll:
                looked = now
                self._guard(_LOG, self._look)
            self._wait(looked + self._poll - time.monotonic())
            self._decide_all()
        self._decide_all()

    def _wait(self, most: float) -> None:
        """Wait for the first request, and then a little for those that come with it."""
        with self._changed:
            if not self._asked and not self._is_stopping and most > 0:
                self._changed.wait(most)
            if self._asked and not self._is_stopping:
                self._changed.wait_for(lambda: self._is_stopping, self._limits.gather)

    def _guard(self, what: str, work: Callable[[], None]) -> bool:
        """Do something that may fail; a sentence says what did."""
        try:
            work()
        except LockstepError as error:
            self._tell(what, str(error))
            return False
        except Exception as error:  # noqa: BLE001  a shadow never harms what answers beside it
            self._tell(what, f"it failed with {type(error).__name__}")
            return False
        self._forget(what)
        return True

    def _tell(self, what: str, problem: str) -> None:
        if self._problems.get(what) != problem:
            _logger.error("Shadow of %s: %s", what, problem)
        self._problems = {**self._problems, what: problem}

    def _forget(self, what: str) -> None:
        self._problems = {name: problem for name, problem in self._problems.items() if name != what}

    # ------------------------------------------------------------------------------------------- what is in staging

    def _look(self) -> None:
        state = self._registry.state()
        for name, graph in self._graphs.items():
            self._follow(name, graph, state)

    def _follow(self, name: str, graph: Graph, state: State) -> None:
        """Load what stands in staging, if that is another set than is loaded."""
        _, manifest = weigh(graph.groups[name], state)
        digest, production = digest_of_release(manifest) if manifest is not None else "", state.production(name)
        loaded = self._sets.get(name)
        if loaded is not None and loaded.release == digest:
            return
        if loaded is not None:
            self._sets = {group: one for group, one in self._sets.items() if group != name}
        if manifest is None or production is None or production.digest == digest:
            self._failed.pop(name, None)
            self._forget(name)
            return
        failed, when = self._failed.get(name, ("", 0.0))
        if failed == digest and time.monotonic() - when < self._limits.again:
            return

        def load() -> None:
            fresh = load_set(self._registry, graph, name, digest, manifest)
            self._sets = {**self._sets, name: fresh}

        if self._guard(name, load):
            self._failed.pop(name, None)
        else:
            self._failed[name] = (digest, time.monotonic())

    # ------------------------------------------------------------------------------------------------- what it says

    def _decide_all(self) -> None:
        with self._changed:
            asked = list(self._asked)
            self._asked.clear()
            self._rows = self._bytes = 0
        by_api: dict[tuple[str, str], list[Answered]] = {}
        for one in asked:
            by_api.setdefault((one.group, one.api), []).append(one)
        for (group, api), requests in by_api.items():
            if (loaded := self._sets.get(group)) is None:
                continue
            for batch in _batches(requests, self._limits.at_once):
                self._decide(loaded, api, batch)
                if not self._is_stopping:
                    time.sleep(_REST)  # who answers may have the interpreter

    def _decide(self, loaded: Loaded, api: str, requests: Sequence[Answered]) -> None:
        """Decide on requests together; where that fails, on each alone, since one may spoil it for the others."""
        rows = [row for asked in requests for row in asked.rows]
        try:
            answers = loaded.decide(api, rows)
        except Exception as error:  # noqa: BLE001  whatever a request does to a set in staging
            if len(requests) > 1:
                for asked in requests:
                    self._decide(loaded, api, [asked])
                return
            self._tell(loaded.group, f"a request to {api} could not be decided on ({type(error).__name__})")
            self._counts["failed_rows"] += len(rows)
            answers = [{"api": api, "release": loaded.release, "error": type(error).__name__} for _ in rows]
        else:
            self._counts["rows"] += len(rows)
        first = 0
        for asked in requests:
            own = answers[first : first + len(asked.rows)]
            first += len(asked.rows)
            self._keep(
                replace(asked, release=loaded.release, answers=own, against=asked.release, answered=asked.answers)
            )


def _batches(requests: Sequence[Answered], at_once: int) -> Iterable[list[Answered]]:
    """The requests in order, together as far as they have no more than that many rows."""
    batch: list[Answered] = []
    rows = 0
    for asked in requests:
        if batch and rows + len(asked.rows) > at_once:
            yield batch
            batch, rows = [], 0
        batch.append(asked)
        rows += len(asked.rows)
    if batch:
        yield batch
