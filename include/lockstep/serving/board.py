"""What the workers of one service know, each by itself, where any of them can read it.

Rules:
- Each worker writes its own file, whole. A worker that has died is told by its lock, which the system lets go, and is
  forgotten.
- Nothing here is needed for an answer: it is for whoever watches.
"""

import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One worker's.

    Attributes:
        releases: group → digest of the release that it answers from.
        failing: groups whose newest release it can't load.
        read: when it last read the registry, on this machine's monotonic clock; None: not yet.
        states: of its recorder, as how many rows wait.
    """

    releases: Mapping[str, str] = field(default_factory=dict)
    failing: tuple[str, ...] = ()
    read: float | None = None
    states: Mapping[str, int] = field(default_factory=dict)

    def age(self) -> float:
        """Seconds since it read the registry; infinite where it has not."""
        return float("inf") if self.read is None else max(0.0, time.monotonic() - self.read)


class Board(Protocol):
    """Where views are posted."""

    @property
    def folder(self) -> Path | None:
        """The folder that the workers share; None for a worker that is alone."""

    def post(self, view: View) -> None:
        """Replace this worker's view."""

    def views(self) -> list[View]:
        """Those of all workers that are alive and have posted one."""


class OwnBoard:
    """The board of a worker that is alone."""

    folder = None

    def __init__(self) -> None:
        self._view: View | None = None

    def post(self, view: View) -> None:
        """Replace the view."""
        self._view = view

    def views(self) -> list[View]:
        """The one view, if there is one."""
        return [] if self._view is None else [self._view]


class SharedBoard:
    """A board in a folder; one is made in each worker's own process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / f"worker-{os.getpid()}.json"
        self._lock = os.open(_lock_of(self._path), os.O_CREAT | os.O_RDWR)  # open for as long as this process lives
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def leave(self) -> None:
        """Be forgotten, as by dying."""
        os.close(self._lock)

    def post(self, view: View) -> None:
        """Replace this worker's view."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(view)), encoding="utf-8")
        fresh.replace(self._path)

    def views(self) -> list[View]:
        """Those of the workers that are alive."""
        found: list[View] = []
        for path in sorted(self.folder.glob("worker-*.json")):
            try:
                with _lock_of(path).open("rb") as lock:
                    if _is_held(lock):
                        found.append(_view(path))
                        continue
            except FileNotFoundError:
                continue  # another worker has just cleared it away
            path.unlink(missing_ok=True)
            _lock_of(path).unlink(missing_ok=True)
        return found


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")


def _is_held(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: others may look at the same time
    except BlockingIOError:
        return True
    return False


def _view(path: Path) -> View:
    said = json.loads(path.read_text(encoding="utf-8"))
    return View(releases=said["releases"], failing=tuple(said["failing"]), read=said["read"], states=said["states"])
