"""The decision log of one process: it takes answered requests from whoever answers, and writes them in the background.

Rules:
- Who adds a request does not wait, and is told of no failure; parsing and writing happen in a thread, in small steps.
- Memory is bounded, by rows and by the bytes of the requests. Beyond that the oldest are dropped, and counted: in
  `counts`, and in the file that is written next.
- What is packed is written in order; while the store is away, it is tried again and again.
- Stopping writes what is there. A process that is killed loses what it has not written: the rows of the last seconds,
  or since the store went away.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from lockstep.errors import StoreUnusable
from lockstep.journal.layout import Answered, Layout, frame_of
from lockstep.journal.parcels import Parcel, Sink

_logger: Final = logging.getLogger(__name__)
_REST: Final = 0.001  # seconds
_PATIENCE: Final = 10.0  # seconds that stopping waits for the last rows to be written


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a batch is written, and how much may wait.

    Attributes:
        rows: that are worth a file; one request is never divided.
        every: seconds after which fewer are written, too.
        most_rows: that wait to be written.
        most_bytes: that these take, as requests or packed.
        again: seconds between two tries, where the store is away.
    """

    rows: int = 5_000
    every: float = 30.0
    most_rows: int = 50_000
    most_bytes: int = 64 << 20
    again: float = 5.0


class DecisionLog:
    """Safe to use from threads; make and start one in each process."""

    def __init__(
        self,
        sink: Sink,
        layouts: Iterable[Layout],
        limits: Limits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink, self._limits, self._clock = sink, limits or Limits(), clock
        self._layouts = {layout.group: layout for layout in layouts}
        self._asked: deque[Answered] = deque()
        self._parcels: deque[Parcel] = deque()
        self._rows = self._bytes = 0  # of both
        self._fresh = 0  # rows that are not packed yet
        self._since = self._retry = 0.0  # when the first of these came; not before when a parcel is tried again
        self._dropped: Counter[str] = Counter()  # by group, and not yet told by a file
        self._counts: Counter[str] = Counter()
        self._problem = ""
        self._changed = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="lockstep-decision-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, patience: float = _PATIENCE) -> None:
        """Write what is there, wait for that for at most `patience` seconds, and end."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(patience)
        with self._changed:
            left, self._rows = self._rows, 0
        if left:
            self._counts["dropped_rows"] += left
            _logger.error("%d rows of the decision log could not be written before the process ended", left)

    def add(self, asked: Answered) -> None:
        """Take a request that was answered."""
        with self._changed:
            is_first = not self._asked
            if is_first:
                self._since = self._clock()
            self._asked.append(asked)
            self._fresh += len(asked.rows)
            self._grow(len(asked.rows), asked.size)
            if is_first or self._fresh >= self._limits.rows:
                self._changed.notify()

    @property
    def problem(self) -> str:
        """Why the last try to write failed; blank once one succeeds."""
        return self._problem

    def counts(self) -> Mapping[str, int]:
        """Rows written, dropped and waiting, and writes that failed, since the start."""
        with self._changed:
            return {
                "rows": self._counts["rows"],
                "dropped_rows": self._counts["dropped_rows"],
                "failed_writes": self._counts["failed_writes"],
                "waiting_rows": self._rows,
            }

    # ------------------------------------------------------------------------------------- with the lock in hand

    def _grow(self, rows: int, size: int) -> None:
        self._rows, self._bytes = self._rows + rows, self._bytes + size
        while self._rows > self._limits.most_rows or self._bytes > self._limits.most_bytes:
            if len(self._parcels) + len(self._asked) == 1:
                return  # the newest, however large it is
            if self._parcels:
                parcel = self._parcels.popleft()
                self._shrink(parcel.rows, len(parcel.data))
                self._lose(parcel.group, parcel.rows, parcel.dropped)
            elif self._asked:
                oldest = self._take()
                self._shrink(len(oldest.rows), oldest.size)
                self._lose(oldest.group, len(oldest.rows))
            else:
                return  # what is being written is all there is

    def _shrink(self, rows: int, size: int) -> None:
        self._rows, self._bytes = self._rows - rows, self._bytes - size

    def _take(self) -> Answered:
        asked = self._asked.popleft()
        self._fresh -= len(asked.rows)
        return asked

    def _lose(self, group: str, rows: int, untold: int = 0) -> None:
        self._dropped[group] += rows + untold
        self._counts["dropped_rows"] += rows

    # ------------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        while self._wait():
            self._pack()
            self._deliver()
        self._pack()
        self._deliver()

    def _wait(self) -> bool:
        """Sleep until there is something to do; False says that this is the end."""
        with self._changed:
            while not self._is_stopping:
                moments = [self._since + self._limits.every] if self._asked else []
                moments += [self._retry] if self._parcels else []
                left = min(moments) - self._clock() if moments else None
                if self._fresh >= self._limits.rows or (left is not None and left <= 0):
                    return True
                self._changed.wait(left)
            return False

    def _pack(self) -> None:
        """Pack what waits, a batch at a time, if it is time for that."""
        while requests := self._batch():
            rows, size = sum(len(asked.rows) for asked in requests), sum(asked.size for asked in requests)
            parts: dict[tuple[str, date], list[Answered]] = {}
            for asked in requests:
                parts.setdefault((asked.group, asked.at.date()), []).append(asked)
            packed = [parcel for (group, day), part in parts.items() if (parcel := self._packed(group, day, part))]
            with self._changed:
                self._shrink(rows, size)
                self._parcels.extend(packed)
                self._grow(sum(parcel.rows for parcel in packed), sum(len(parcel.data) for parcel in packed))

    def _batch(self) -> list[Answered]:
        """The oldest requests, enough for a file; none, if it is too early for fewer."""
        with self._changed:
            is_due = self._is_stopping or self._clock() - self._since >= self._limits.every
            if not self._asked or (self._fresh < self._limits.rows and not is_due):
                return []
            requests = [self._take()]
            rows = len(requests[0].rows)
            while self._asked and rows + len(self._asked[0].rows) <= self._limits.rows:
                requests.append(self._take())
                rows += len(requests[-1].rows)
            return requests

    def _packed(self, group: str, day: date, requests: list[Answered]) -> Parcel | None:
        frame = self._frame(group, requests)
        if frame is None:
            return None
        with self._changed:
            dropped = self._dropped.pop(group, 0)
        try:
            return self._sink.pack(group, day, frame, dropped)
        except Exception as error:  # noqa: BLE001  as below
            self._tell_lost(group, frame.height, error, dropped)
            return None

    def _frame(self, group: str, requests: list[Answered]) -> pl.DataFrame | None:
        """The rows of requests; where one of these spoils it, it is left out and counted."""
        try:
            return frame_of(self._layouts[group], requests, self._rest)
        except Exception as error:  # noqa: BLE001  whatever a request holds, the log goes on with the next
            if len(requests) > 1:
                frames = [self._frame(group, [asked]) for asked in requests]
                good = [frame for frame in frames if frame is not None]
                return pl.concat(good) if good else None
            self._tell_lost(group, len(requests[0].rows), error)
            return None

    def _rest(self) -> None:
        """Let those who answer have the interpreter for a moment, unless too much waits already."""
        if not self._is_stopping and self._fresh < self._limits.rows:
            time.sleep(_REST)

    def _tell_lost(self, group: str, rows: int, error: Exception, untold: int = 0) -> None:
        """Count rows that can't be logged; of the error, only its kind is told, since its text may hold a value."""
        _logger.error("%d rows of %s could not be logged: %s", rows, group, type(error).__name__)
        with self._changed:
            self._lose(group, rows, untold)

    def _deliver(self) -> None:
        """Bring away what is packed, oldest first, until one can't be."""
        while True:
            with self._changed:
                if not self._parcels or (self._clock() < self._retry and not self._is_stopping):
                    return
                parcel = self._parcels.popleft()
            try:
                self._sink.deliver(parcel)
            except (StoreUnusable, OSError) as error:
                self._keep(parcel, error)
                return
            except Exception as error:  # noqa: BLE001  whatever is wrong with a file, the log goes on with the next
                self._give_up(parcel, error)
            else:
                with self._changed:
                    self._problem = ""
                    self._shrink(parcel.rows, len(parcel.data))
                    self._counts["rows"] += parcel.rows

    def _keep(self, parcel: Parcel, error: Exception) -> None:
        if not self._problem:
            _logger.error("The decision log can't be written, and is tried again: %s", error)
        with self._changed:
            self._problem = str(error)
            self._counts["failed_writes"] += 1
            self._retry = self._clock() + self._limits.again
            self._parcels.appendleft(parcel)
            self._grow(0, 0)

    def _give_up(self, parcel: Parcel, error: Exception) -> None:
        _logger.error("A file of the decision log is lost: %s", error)
        with self._changed:
            self._problem = str(error)
            self._counts["failed_writes"] += 1
            self._shrink(parcel.rows, len(parcel.data))
            self._lose(parcel.group, parcel.rows, parcel.dropped)
