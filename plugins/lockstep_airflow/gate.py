"""The gate as a sensor: waits, without a worker, until a release group may be released.

Rules:
- It reads the registry, at staging only; an asset event only wakes its DAG up.
- All waiting gates of a triggerer that look at one registry share one reader: a thousand cost one look a poll.
- What the gate says stands in the task's log: at the start, and whenever it changes.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from datetime import timedelta
from typing import Any, Final

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from lockstep.errors import StoreUnusable
from lockstep.group import Group
from lockstep.registry import State
from lockstep.release import Status, Verdict, gate
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
    """Fires when the gate of a group is no longer closed."""

    def __init__(self, *, said: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.said = said

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it again."""
        kwargs = {"registry": self.registry, "group": self.group, "poll": self.poll, "said": self.said}
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    async def filter_shared_stream(self, stream: AsyncIterator[State]) -> AsyncIterator[TriggerEvent]:
        """The verdict on this trigger's group, once it is not closed; the log gets every change before."""
        group, head, said = Group.from_json(self.group), -1, self.said
        async for state in stream:
            if state.head == head:
                continue
            head = state.head
            verdict = gate(group, state)
            if verdict.status is not Status.CLOSED:
                seen = {"status": verdict.status.value, "head": head}
                yield TriggerEvent(seen)  # type: ignore[no-untyped-call]  # as above
                return
            if (text := verdict.as_text()) != said:
                said = text
                self.log.info("%s", text)


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

    def execute(self, context: Context) -> dict[str, Any]:
        """Look once; wait in the triggerer if the gate is closed."""
        with reported():
            uri = registry_uri(self.registry, registry_of_run(context))
            verdict = self._look(uri)
        if verdict.status is Status.CLOSED:
            self.log.info("The gate is closed; waiting in the triggerer for a change of staging.")
            trigger = GateTrigger(
                registry=uri,
                group=self.group.as_json(),
                poll=self.gate_poll,
                said=verdict.as_text(),
            )
            self.defer(trigger=trigger, method_name="look_again", timeout=self.patience)
        return self._done(verdict)

    def look_again(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """What the trigger saw may have changed meanwhile: look again, and wait again if it did."""
        self.log.info("The gate was seen %s at entry %s.", event["status"], event["head"])
        return self.execute(context)

    def _look(self, uri: str) -> Verdict:
        verdict = gate(self.group, open_registry(uri).state())
        self.log.info("%s", verdict.as_text())
        return verdict

    def _done(self, verdict: Verdict) -> dict[str, Any]:
        if verdict.status is Status.NOTHING_NEW:
            raise AirflowSkipException("; ".join(verdict.reasons))
        return verdict.as_json()
