"""Decisions in code, for a service that does not want to go over HTTP.

Rules:
- It answers as the HTTP API does: the same rows, the same releases, the same answers.
- It looks for a new release when asked to, or by itself while it is open. What answered before goes on until the new
  one is loaded whole.
"""

import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, overload

import polars as pl

from lockstep.errors import LockstepError, UsageError
from lockstep.serving.decider import Decider
from lockstep.serving.framed import decide_frame
from lockstep.serving.loaded import Answer
from lockstep.serving.wide import FrameRows

_LEAST_POLL: Final = 0.1  # seconds
_NOTHING: Final = "The rows are {}; give a dict for one row, or a list of dicts or a polars DataFrame for many."

Row = Mapping[str, Any]


class ApiDecider:
    """One API of a decider. Safe to use from threads; made after a process has forked, not before."""

    def __init__(self, decider: Decider, api: str, *, poll: float | None = None) -> None:
        """It has looked at the registry once. `poll`: seconds between further looks by a thread; None: no such thread.

        Raises:
            UsageError: there is no such API, or `poll` is too short.
            LockstepError: the release can't be loaded, or the registry can't be read.
        """
        if poll is not None and not poll >= _LEAST_POLL:
            raise UsageError(f"poll={poll} is no time between looks; give at least {_LEAST_POLL} seconds, or None.")
        self._decider, self._api = decider, api
        self._closed = threading.Event()
        if decider.group_of(api) is None:
            decider.decide(api, [])  # says which there are
        decider.refresh()
        if poll is not None:
            threading.Thread(target=self._watch, args=(poll,), name=f"lockstep-{api}", daemon=True).start()

    @property
    def release(self) -> str | None:
        """The digest of the release that answers; None before the first."""
        loaded = self._decider.releases.get(self._decider.group_of(self._api) or "")
        return None if loaded is None else loaded.release

    @property
    def errors(self) -> Mapping[str, str]:
        """Why a newer release does not answer, or is not known of; empty where all is well."""
        return self._decider.errors

    def refresh(self) -> None:
        """Look for a new release now.

        Raises:
            LockstepError: it can't be loaded, or the registry can't be read; what answered before still does.
        """
        self._decider.refresh()

    @overload
    def decide(self, rows: Row) -> Answer: ...
    @overload
    def decide(self, rows: Sequence[Row] | pl.DataFrame) -> list[Answer]: ...
    def decide(self, rows: Row | Sequence[Row] | pl.DataFrame) -> Answer | list[Answer]:
        """An answer for one row, or a list with one for each row, all from one release.

        A row that can't be used is answered with `error` and its reason.

        Raises:
            UsageError: this is something else than rows.
            NotReleased: there is no release yet.
        """
        if isinstance(rows, pl.DataFrame):
            return self._decider.decide(self._api, FrameRows(rows))
        if isinstance(rows, Mapping):
            return self._decider.decide(self._api, [rows])[0]
        _check_rows(rows)
        return self._decider.decide(self._api, rows)

    def decide_frame(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The decisions on a frame, a row for each of its rows in their order.

        Returns:
            `key`, `release`, `error` (null where there is none), and for each threshold its decision (`offer`; null
            where a person is to decide) and the score behind it (`offer_score`).
        """
        return decide_frame(self._decider.current(self._api), self._api, rows)

    def close(self) -> None:
        """Look no more; it still answers."""
        self._closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _watch(self, poll: float) -> None:
        while not self._closed.wait(poll):
            try:
                self._decider.refresh()
            except LockstepError:
                continue  # the reason stands in `errors`


def _check_rows(rows: object) -> None:
    """Refuse what a caller without a type checker may give."""
    if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise UsageError(_NOTHING.format(f"a {type(rows).__name__}"))
