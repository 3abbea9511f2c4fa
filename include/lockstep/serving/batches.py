"""Requests that arrive together are decided together, without anybody waiting for others to arrive.

Rules:
- What waits when deciding begins is one batch; what arrives meanwhile is the next.
- A lone request is decided at once. Once two came in one turn of the event loop, the turn is waited out for the others,
  until requests have come one by one again.
- A batch is decided by one release, so that no answer mixes two.
- The event loop is held up by a few quick rows at most; everything else is decided in a thread.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final
from weakref import WeakKeyDictionary

from lockstep.serving.loaded import Answer, Loaded

MOST_TOGETHER: Final = 1000  # rows of several requests; one request may have more
MOST_AT_ONCE: Final = 32  # quick rows that are decided in the event loop
_LONELY: Final = 16  # batches of one request, after which nobody waits for others

Rows = Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class _Asked:
    rows: Rows
    future: "asyncio.Future[list[Answer]]"


@dataclass(slots=True)
class _Queue:
    """Of one API, in one event loop.

    Attributes:
        is_busy: somebody is going to look at what waits.
        is_crowded: requests come together.
        is_taken: one was decided alone in this turn of the loop.
        lonely: batches of one request since the last that had several.
    """

    waiting: "deque[_Asked]" = field(default_factory=deque)
    is_busy: bool = False
    is_crowded: bool = False
    is_taken: bool = False
    lonely: int = 0

    def next_turn(self) -> None:
        """The loop has gone on."""
        self.is_taken = False

    def note(self, requests: int) -> None:
        """See whether requests still come together."""
        self.lonely = self.lonely + 1 if requests == 1 else 0
        if self.lonely >= _LONELY:
            self.is_crowded, self.lonely = False, 0


class Batches:
    """Belongs to a decider; `current` gives the release that answers for an API."""

    def __init__(self, current: Callable[[str], Loaded]) -> None:
        self._current = current
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Queue]] = WeakKeyDictionary()

    async def answer(self, api: str, rows: Rows) -> list[Answer]:
        """An answer for each row, all from one release."""
        loop = asyncio.get_running_loop()
        queues = self._queues.get(loop)
        if queues is None:
            queues = self._queues[loop] = {}
        queue = queues.get(api)
        if queue is None:
            queue = queues[api] = _Queue()
        if not (queue.is_busy or queue.is_crowded) and len(rows) <= MOST_AT_ONCE:
            loaded = self._current(api)
            if loaded.is_quick(api):
                if not queue.is_taken:
                    queue.is_taken = True
                    loop.call_soon(queue.next_turn)
                    return loaded.decide(api, rows)
                queue.is_crowded = True
        asked = _Asked(rows, loop.create_future())
        queue.waiting.append(asked)
        if not queue.is_busy:
            queue.is_busy = True
            loop.call_soon(self._next, loop, api, queue)  # after those whose requests have come in, too
        return await asked.future

    def _next(self, loop: asyncio.AbstractEventLoop, api: str, queue: _Queue) -> None:
        """Decide what waits; called again until nothing does."""
        batch, rows = _taken(queue.waiting)
        if not batch:
            queue.is_busy = False
            return
        queue.note(len(batch))
        try:
            loaded = self._current(api)
            is_short = rows <= MOST_AT_ONCE and loaded.is_quick(api)
            answers = _decide(loaded, api, batch) if is_short else None
        except Exception as error:  # noqa: BLE001  it is raised where the answer is awaited
            _fail(batch, error)
        else:
            if answers is None:
                done = loop.run_in_executor(None, _decide, loaded, api, batch)
                done.add_done_callback(lambda found: self._done(loop, api, queue, batch, found))
                return
            _give(batch, answers)
        loop.call_soon(self._next, loop, api, queue)

    def _done(
        self,
        loop: asyncio.AbstractEventLoop,
        api: str,
        queue: _Queue,
        batch: Sequence[_Asked],
        found: "asyncio.Future[list[Answer]]",
    ) -> None:
        if found.cancelled():
            for asked in batch:
                asked.future.cancel()
        elif (error := found.exception()) is not None:
            _fail(batch, error)
        else:
            _give(batch, found.result())
        self._next(loop, api, queue)


def _taken(waiting: "deque[_Asked]") -> tuple[list[_Asked], int]:
    """The next batch, and its rows; those who no longer wait are left out."""
    batch: list[_Asked] = []
    rows = 0
    while waiting and (not batch or rows + len(waiting[0].rows) <= MOST_TOGETHER):
        asked = waiting.popleft()
        if not asked.future.done():
            batch.append(asked)
            rows += len(asked.rows)
    return batch, rows


def _decide(loaded: Loaded, api: str, batch: Sequence[_Asked]) -> list[Answer]:
    if len(batch) == 1:
        return loaded.decide(api, batch[0].rows)
    rows = list(chain.from_iterable(asked.rows for asked in batch))
    return loaded.decide(api, rows, list(chain.from_iterable(range(len(asked.rows)) for asked in batch)))


def _give(batch: Sequence[_Asked], answers: list[Answer]) -> None:
    start = 0
    for asked in batch:
        own = answers[start : start + len(asked.rows)]
        start += len(asked.rows)
        if not asked.future.done():
            asked.future.set_result(own)


def _fail(batch: Sequence[_Asked], error: BaseException) -> None:
    for asked in batch:
        if not asked.future.done():
            asked.future.set_exception(error)
