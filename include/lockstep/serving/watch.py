"""Looks for new releases while others answer, and says how well that goes.

Rules:
- It never ends before it is told to: whatever goes wrong at one look is said, and the next look comes.
- What is wrong is logged once, not at each look.
- While the registry is away, what was released last goes on answering.
"""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from lockstep.errors import LockstepError
from lockstep.serving.board import Board, View
from lockstep.serving.decider import Decider

logger = logging.getLogger(__name__)
THE_LOG: Final = "the log"  # the key of the decider's errors under which the registry's stand
_THE_LOOK: Final = "the look"  # likewise, for what nobody foresaw
_THE_BOARD: Final = "the board"
_OVERDUE: Final = 30.0  # seconds


class Watcher:
    """Asks the decider to look at the registry every `poll` seconds, in a thread of its own."""

    def __init__(self, decider: Decider, board: Board, *, poll: float, states: Callable[[], Mapping[str, int]]) -> None:
        self._decider, self._board, self._poll, self._states = decider, board, poll, states
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lockstep-release-watcher", daemon=True)
        self._read: float | None = None
        self.last_read: datetime | None = None
        self.away_since: datetime | None = None
        self.errors: Mapping[str, str] = {}

    def start(self) -> None:
        """Look once, and then again and again."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Look at the registry once."""
        errors: dict[str, str] = {}
        try:
            self._decider.refresh()
        except LockstepError:
            pass  # the decider keeps what is wrong, by group
        except Exception:  # noqa: BLE001  a thread that ended here would leave an old release answering for good
            errors[_THE_LOOK] = traceback.format_exc()
        errors = {**self._decider.errors, **errors}
        now = datetime.now(UTC)
        if THE_LOG in errors:
            self.away_since = self.away_since or now
        else:
            self.away_since, self.last_read, self._read = None, now, time.monotonic()
        try:
            self._board.post(self._view(errors))
        except OSError as error:
            errors[_THE_BOARD] = f"What this worker knows can't be shown in the metrics: {error}"
        self._tell(errors)

    def _view(self, errors: Mapping[str, str]) -> View:
        return View(
            releases={group: loaded.release for group, loaded in self._decider.releases.items()},
            failing=tuple(sorted(set(errors) & set(self._decider.graphs))),
            read=self._read,
            states=dict(self._states()),
        )

    def warnings(self) -> list[str]:
        """What is wrong though decisions are made, a sentence each."""
        errors, groups, away = self.errors, self._decider.graphs, self.away_since
        found = [f'Group "{name}": {error}' for name, error in sorted(errors.items()) if name in groups]
        if _THE_LOOK in errors:
            found.append(f"A look at the registry broke: {errors[_THE_LOOK].splitlines()[-1]}")
        if _THE_BOARD in errors:
            found.append(errors[_THE_BOARD])
        if away is not None and THE_LOG in errors:
            found.append(f"The registry is away since {_said(away)}: {errors[THE_LOG]}")
        elif self._read is not None and time.monotonic() - self._read > max(_OVERDUE, 10 * self._poll):
            found.append(f"The registry was last read at {_said(self.last_read)}; a look at it has not ended since.")
        return found

    def _watch(self) -> None:
        while not self._stop.wait(self._poll):
            self.look()

    def _tell(self, errors: Mapping[str, str]) -> None:
        for name, error in errors.items():
            if self.errors.get(name) != error:
                logger.error("%s", error)
        for name in set(self.errors) - set(errors):
            logger.warning("Well again: %s", f'group "{name}"' if name in self._decider.graphs else name)
        self.errors = dict(errors)


def _said(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else "no time"
