"""The gate as a sensor: waits, without a worker, until a release group may be released.

Rules:
- It reads the registry, at staging only; an asset event only wakes its DAG up.
- All waiting gates of a triggerer that look at one registry share one reader: a thousand cost one look a poll.
- What the gate says stands in the task's log: at the start, and whenever it changes.
- Who wants to be told that it stays closed is told by the task itself, which wakes up for it and waits on.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from lockstep.errors import StoreUnusable
from lockstep.group import Group
from lockstep.registry import State
from lockstep.release import Status, Verdict, gate
from lockstep_airflow import metrics, news, tracing
from lockstep_airflow.notices import Notice, next_alarm, tell
from lockstep_airflow.tasks import open_registry, registry_of_run, registry_uri, reported

POLL: Final = 0.25  # seconds between two looks at the log


class LogTrigger(BaseEventTrigger):
    """Base: sees the state of a registry, by one reader that all such triggers of that registry share."""

    def __init__(self, *, registry: str, group: dict[str, Any], poll: float = POLL, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.registry, self.group, self.poll = registry, group, poll

    def shared_stream_key(self) -> Hashable:
        """One reader for each registry."""
        return ("lockstep", self.registry, self.poll)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[State]:
        """The state of the registry, at every poll; late subscribers see the next one whole."""
        registry = await sync_to_async(open_registry)(kwargs["registry"])  # it may ask Airflow for a connection
        print(f"lockstep: one reader starts, for all gates that wait on {registry.uri}")  # noqa: T201  loggers are not shown there
        while True:
            try:
                yield await asyncio.to_thread(registry.state)
            except StoreUnusable as error:
                print(f"lockstep: {error}")  # noqa: T201  as above; a store that comes back goes on
            await asyncio.sleep(kwargs["poll"])

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """As with others, with a reader of its own; `dag.test()` and triggerers without shared streams call it."""
        stream = self.open_shared_stream({"registry": self.registry, "poll": self.poll})
        async for event in self.filter_shared_stream(stream):
            yield event


class GateTrigger(LogTrigger):
    """Fires when the gate of a group is no longer closed; or at `alarm` (seconds of Unix time), if it still is.

    `told` comes back with the event: it is for whoever waits.
    """

    def __init__(self, *, said: str = "", alarm: float | None = None, told: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.said, self.alarm, self.told = said, alarm, told

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it again."""
        kwargs = {"registry": self.registry, "group": self.group, "poll": self.poll, "said": self.said}
        kwargs |= {"alarm": self.alarm, "told": self.told} if self.alarm is not None or self.told else {}
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    async def filter_shared_stream(self, stream: AsyncIterator[State]) -> AsyncIterator[TriggerEvent]:
        """The verdict on this trigger's group, once it is not closed; the log gets every change before."""
        group, head, said = Group.from_json(self.group), -1, self.said
        async for state in stream:
            if state.head == head:
                if self.alarm is not None and datetime.now(UTC).timestamp() >= self.alarm:
                    yield self._seen(Status.CLOSED, head)
                    return
                continue
            head = state.head
            verdict = gate(group, state)
            if verdict.status is not Status.CLOSED:
                yield self._seen(verdict.status, head)
                return
            if (text := verdict.as_text()) != said:
                said = text
                self.log.info("%s", text)

    def _seen(self, status: Status, head: int) -> TriggerEvent:
        seen = {"status": status.value, "head": head} | ({"told": self.told} if self.told else {})
        return TriggerEvent(seen)  # type: ignore[no-untyped-call]  # as above


class GateSensor(BaseSensorOperator):
    """Succeeds when the gate is open; is skipped when production already is what stands in staging.

    Args:
        group: the release group.
        registry: its address; by default from Airflow's variable, or LOCKSTEP_REGISTRY.
        poll: seconds between two looks.
        patience: how long it waits at most.
    """

    ui_color = "#fef9c3"

    def __init__(
        self,
        *,
        group: Group,
        registry: str | None = None,
        poll: float = POLL,
        patience: timedelta = timedelta(days=30),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.group, self.registry, self.gate_poll, self.patience = group, registry, poll, patience
        self.notices: tuple[Notice, ...] = ()
        self.verdict: Verdict | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Look once; wait in the triggerer if the gate is closed."""
        return self._look(context, told=0.0)

    def look_again(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """What the trigger saw may have changed meanwhile: look again, and wait again if it did."""
        self.log.info("The gate was seen %s at entry %s.", event["status"], event["head"])
        return self._look(context, told=event.get("told", 0.0))

    def _look(self, context: Context, *, told: float) -> dict[str, Any]:
        """As above; who wanted to hear of up to `told` hours was told."""
        waited = _waited(context)
        with reported(), tracing.part(self) as span:
            uri = registry_uri(self.registry, registry_of_run(context))
            verdict = gate(self.group, open_registry(uri).state())
            tracing.say(span, {"status": verdict.status.value, "head": verdict.head})
        self.log.info("%s", verdict.as_text())
        metrics.gate_seen(verdict, waited.total_seconds(), self.log)
        if verdict.status is Status.NOTHING_NEW:
            raise AirflowSkipException("; ".join(verdict.reasons))
        if verdict.status is Status.CLOSED:
            self._wait(context, uri, verdict, told)
        self.verdict = verdict
        return verdict.as_json()

    def _wait(self, context: Context, uri: str, verdict: Verdict, told: float) -> None:
        """Tell who wants to know that it takes so long, then wait in the triggerer, until the next of them does."""
        waited = _waited(context)
        while (hours := next_alarm(self.notices, told)) is not None and waited >= timedelta(hours=hours):
            told = hours
            tell(self.notices, news.gate_blocked(context, verdict, hours), context, self.log, hours=hours)
        alarm = None if hours is None else (datetime.now(UTC) - waited + timedelta(hours=hours)).timestamp()
        self.log.info("The gate is closed; waiting in the triggerer for a change of staging.")
        trigger = GateTrigger(
            registry=uri,
            group=self.group.as_json(),
            poll=self.gate_poll,
            said=verdict.as_text(),
            alarm=alarm,
            told=told,
        )
        self.defer(trigger=trigger, method_name="look_again", timeout=self.patience)


def _waited(context: Context) -> timedelta:
    """Since the run began, whichever attempt of the task this is."""
    began = getattr(context.get("dag_run"), "start_date", None)
    return datetime.now(UTC) - began if began else timedelta(0)
