"""`on(…)`: which of Airflow's notifiers is called when a release group comes to something worth telling.

Rules:
- Whoever is told is any notifier of Airflow's (Slack, SMTP, Apprise, …), or another callable that takes a context. It
  is given the context of the task, with one name more: `lockstep`, the news as plain values, for its templates.
- A notifier that fails is a warning in the task's log. It neither fails nor delays a release: what was done is
  recorded, and Airflow was told so, before anybody is called. One that hangs is left alone after ten seconds.
- One notifier may stand at several places: each call gets a copy, since a notifier renders its templates in place.
"""

import copy
import threading
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Any, Final

from airflow.sdk import Context

from lockstep.errors import DeclarationError
from lockstep_airflow.news import News

PATIENCE: Final = 10.0  # seconds that a notifier is waited for
NAME: Final = "lockstep"  # of the news, in a template


class Moment(StrEnum):
    """What may be told."""

    GATE_OPENED = "gate_opened"
    BLOCKED = "blocked"
    RELEASED = "released"
    ROLLED_BACK = "rolled_back"
    DUE = "due"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """The gate has been closed for so many hours since the run began."""

    hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Who is told of which moments; `hours` are those of `blocked`."""

    moments: frozenset[Moment]
    hours: tuple[float, ...]
    to: tuple[Callable[[Context], object], ...]


def blocked(*, hours: float) -> Blocked:
    """The moment at which a gate has kept a run waiting for so many hours.

    Raises:
        DeclarationError: that is no span of time.
    """
    if not isfinite(hours) or hours <= 0:
        raise DeclarationError(f"blocked(hours={hours!r}): the span must be positive, for example blocked(hours=6).")
    return Blocked(hours=float(hours))


def on(*moments: str | Blocked, to: Callable[[Context], object] | Sequence[Callable[[Context], object]]) -> Notice:
    """Tell somebody of some moments: `on("released", "rolled_back", blocked(hours=6), to=SlackNotifier(…))`.

    Args:
        moments: "gate_opened", "released", "rolled_back", "due", "drift", or `blocked(hours=…)`.
        to: a notifier of Airflow's, or several.

    Raises:
        DeclarationError: no moment, an unknown one, or nobody who can be called.
    """
    words = [moment for moment in moments if not isinstance(moment, Blocked)]
    known = [moment.value for moment in Moment if moment is not Moment.BLOCKED]
    for word in words:
        if word not in known:
            raise DeclarationError(f"on({word!r}): the moments are {', '.join(known)} and blocked(hours=6).")
    if not moments:
        raise DeclarationError(f"on(): say when, as {', '.join(known)} or blocked(hours=6).")
    told = tuple(to) if isinstance(to, Sequence) else (to,)
    if not told or not all(callable(one) for one in told):
        raise DeclarationError(
            f'on(…, to={to!r}): give a notifier of Airflow\'s, for example SmtpNotifier(to="ml@example.com", …), or a'
            " list of them."
        )
    hours = tuple(sorted({moment.hours for moment in moments if isinstance(moment, Blocked)}))
    found = {Moment(word) for word in words} | ({Moment.BLOCKED} if hours else set())
    return Notice(moments=frozenset(found), hours=hours, to=told)


def check_notices(notices: Sequence[Notice]) -> tuple[Notice, ...]:
    """What `release_dags(notify=…)` was given.

    Raises:
        DeclarationError: that is no list of `on(…)`.
    """
    if isinstance(notices, Notice) or not all(isinstance(notice, Notice) for notice in notices):
        raise DeclarationError(
            f'release_dags(notify={notices!r}): give a list, for example [on("released", to=SmtpNotifier(…))].'
        )
    return tuple(notices)


def next_alarm(notices: Iterable[Notice], waited: float) -> float | None:
    """After how many hours of waiting, more than those waited, somebody wants to be told; None if nobody does."""
    return min((hours for notice in notices for hours in notice.hours if hours > waited), default=None)


def tell(notices: Iterable[Notice], news: News, context: Context, log: Any, *, hours: float | None = None) -> None:  # noqa: ANN401  structlog's and Python's loggers share no type
    """Call everybody who wants to know this, one after the other; whatever they do, it returns.

    `hours` are given where news is of a gate that is blocked: those who gave another span are not called.
    """
    for notice in notices:
        if Moment(news.moment) not in notice.moments or (hours is not None and hours not in notice.hours):
            continue
        for notifier in notice.to:
            _call(notifier, news, context, log)


def _call(notifier: Callable[[Context], object], news: News, context: Context, log: Any) -> None:  # noqa: ANN401  as above
    whose = f"{type(notifier).__name__}, of {news.subject!r}"
    one: Any = copy.copy(notifier)

    def call() -> None:
        try:
            one({**context, NAME: news.as_json()})
        except Exception as error:  # noqa: BLE001  whatever a notifier raises, it is told and no more
            log.warning("Not told: %s failed: %s: %s", whose, type(error).__name__, error)
        else:
            log.info("Told: %s", whose)

    thread = threading.Thread(target=copy_context().run, args=(call,), name="lockstep-notifier", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if thread.is_alive():
        log.warning("Not waited for any longer: %s has not come back within %g seconds.", whose, PATIENCE)
