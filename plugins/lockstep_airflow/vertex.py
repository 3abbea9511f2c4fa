"""What a task and the triggerer do with Vertex AI: credentials by an Airflow connection, a trigger, and a link.

Rules:
- Google's libraries are imported when a job is asked for or waited for, and never when a DAG file is parsed.
- Waiting takes no worker: one request a poll, from the triggerer's own loop, which nothing here blocks.
- Who kills a waiting task (by marking or clearing it, or marking its run) cancels the job. A triggerer that stops,
  or hands its triggers on, does not.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from airflow.triggers.base import BaseTrigger, TriggerEvent

from lockstep.errors import UsageError
from lockstep.places import Vertex
from lockstep.switch import DEFAULT_CONNECTION
from lockstep_airflow.killed import is_waiting, to_its_end

if TYPE_CHECKING:
    from lockstep.training.custom_jobs import CustomJobs
    from lockstep.training.vertex import JobName, Seen

FIRST_POLL: Final = 1.0  # seconds between two looks, at first: a job that finds its version, or is wrong, ends soon
LAST_POLL: Final = 20.0
_SLOWER: Final = 1.4
_ANSWER: Final = 20.0  # seconds for one answer
_HOOKS: Final = "airflow.providers.google.cloud.hooks.vertex_ai.custom_job"
_HEAVY: Final = ("lockstep.training.custom_jobs", _HOOKS)


def connection_of(place: Vertex) -> str:
    """The Airflow connection that submits to a place and watches there."""
    return place.connection or DEFAULT_CONNECTION


def open_jobs(place: Vertex) -> "CustomJobs":
    """The jobs of a place, with the credentials of its connection.

    Raises:
        UsageError: Google's provider is not installed.
    """
    from lockstep.training.custom_jobs import CustomJobs

    try:
        hooks = import_module(_HOOKS)
    except ImportError as error:
        raise UsageError(
            f"{place}: Airflow's provider for Google is needed ({error}). Install apache-airflow-providers-google, or"
            " say local()."
        ) from error
    client = hooks.CustomJobHook(gcp_conn_id=connection_of(place)).get_job_service_client(region=place.region)
    return CustomJobs(client, place.project or "", place.region or "")


class VertexJobTrigger(BaseTrigger):
    """Fires when a custom job has ended, or can't be watched any more; `recipe` is handed on to the task."""

    def __init__(self, *, connection: str, project: str, region: str, number: str, recipe: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.connection, self.recipe = connection, recipe
        self.project, self.region, self.number = project, region, number

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it again."""
        kwargs = {"connection": self.connection, "recipe": self.recipe, **self._job()}
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the job has ended; the task's log gets every change."""
        client = await self._client()
        try:
            event = {"job": self._job(), "recipe": self.recipe, **await self._end(client)}
            yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # as above
        finally:
            await client.transport.close()

    async def on_kill(self) -> None:
        """Cancel the job."""
        await to_its_end(self._cancel_job())

    async def _cancel_job(self) -> None:
        """Cancel the job, unless the task still waits: then another triggerer has taken it over."""
        if await is_waiting(self.task_instance):
            self.log.info("The task still waits for custom job %s, which goes on.", self.number)
            return
        from lockstep.training.custom_jobs import meaning_of, refuses  # imported when it began to wait

        client, name = await self._client(), self._name()
        try:
            await client.cancel_custom_job(name=str(name), timeout=_ANSWER)
            self.log.info("Custom job %s was cancelled, because its task was killed.", self.number)
        except refuses() as error:
            why = meaning_of(f"cancelling {name}", error)
            self.log.error("%s To cancel it by hand: %s", why, name.how_to_cancel)  # noqa: TRY400  the sentence says all
        finally:
            await client.transport.close()

    async def _end(self, client: Any) -> dict[str, Any]:  # noqa: ANN401  of google-cloud-aiplatform
        """How the job has ended; or an `error` for which it can't be watched."""
        from lockstep.training.custom_jobs import may_pass, meaning_of, refuses
        from lockstep.training.vertex import seen

        name, phase = self._name(), None
        for pause in _pauses():
            try:
                job = seen(await client.get_custom_job(name=str(name), timeout=_ANSWER), self.project)
            except may_pass() as error:
                self.log.warning("%s", meaning_of(f"looking at {name}", error))
            except refuses() as error:
                return {"error": str(meaning_of(f"looking at {name}", error))}
            else:
                if job.phase != phase:
                    phase = job.phase
                    self.log.info("%s", job.news)
                if not phase.is_live:
                    return {"phase": job.phase.name, "said": job.said, "code": job.code}
            await asyncio.sleep(pause)
        raise AssertionError("pauses never end")

    def _job(self) -> dict[str, str]:
        return {"project": self.project, "region": self.region, "number": self.number}

    def _name(self) -> "JobName":
        from lockstep.training.vertex import JobName

        return JobName(**self._job())

    async def _client(self) -> Any:  # noqa: ANN401  of google-cloud-aiplatform
        for module in _HEAVY:
            await asyncio.to_thread(import_module, module)  # takes seconds
        hook = import_module(_HOOKS).CustomJobAsyncHook(gcp_conn_id=self.connection)
        return await hook.get_job_service_client(self.region)


def from_event(event: dict[str, Any]) -> "Seen":
    """The job as the trigger has seen it end.

    Raises:
        UsageError: the trigger could not watch it any more.
    """
    from lockstep.training.vertex import JobName, Phase, Seen

    if "error" in event:
        raise UsageError(event["error"])
    name = JobName(**event["job"])
    return Seen(name=name, phase=Phase[event["phase"]], said=event["said"], code=event["code"])


def _pauses() -> Iterator[float]:
    pause = FIRST_POLL
    while True:
        yield pause
        pause = min(pause * _SLOWER, LAST_POLL)
