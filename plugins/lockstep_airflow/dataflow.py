"""What a task and the triggerer do with Dataflow: submit, find again, look, cancel, and what a job's states mean.

Rules:
- Google's and Beam's providers are imported when a job is asked for or waited for, never when a DAG file is parsed.
- A job is named after its key and carries it as a label: Dataflow runs one job of a name at a time, and whoever asks
  again, because an answer was lost or a process killed, finds it.
- A snapshot comes from a job that is done, and from no other: a job that was drained or replaced has not read it all.
- Who kills a waiting task (by marking or clearing it, or by deleting its run) cancels the job.
"""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from airflow.sdk.exceptions import AirflowException
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from lockstep.errors import CloudError, CloudUnusable, JobFailed, UsageError
from lockstep.places import Dataflow, parse_engine
from lockstep.switch import DEFAULT_CONNECTION
from lockstep_airflow.killed import is_waiting, to_its_end

if TYPE_CHECKING:
    from lockstep.data.engines import Runner

KEY: Final = "lockstep-key"
SCRATCH: Final = "lockstep-scratch"
FIRST_POLL: Final = 1.0  # seconds between two looks, at first
LAST_POLL: Final = 20.0
_SLOWER: Final = 1.4
_ANSWER: Final = 20.0  # seconds for one answer
_PATIENCE: Final = 30.0  # and for all tries of a request
_SHOWN: Final = 10  # messages of a job that failed
_ROOM: Final = re.compile(r"(?i)quota|resource.?pool.?exhausted|stockout|resources are insufficient|RESOURCE_EXHAUSTED")
Answer = TypeVar("Answer")


class Phase(StrEnum):
    """What a job's state means."""

    WAITING = "waiting for machines"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DRAINED = "drained"
    UPDATED = "replaced by another job"

    @property
    def is_live(self) -> bool:
        """Whether it may still be done."""
        return self in (Phase.WAITING, Phase.RUNNING)


_PHASES: Final = {
    "JOB_STATE_PENDING": Phase.WAITING,
    "JOB_STATE_QUEUED": Phase.WAITING,
    "JOB_STATE_STOPPED": Phase.WAITING,  # "not yet started to run"
    "JOB_STATE_UNKNOWN": Phase.WAITING,
    "JOB_STATE_RESOURCE_CLEANING_UP": Phase.RUNNING,
    "JOB_STATE_PAUSING": Phase.RUNNING,
    "JOB_STATE_PAUSED": Phase.RUNNING,
    "JOB_STATE_RUNNING": Phase.RUNNING,
    "JOB_STATE_DONE": Phase.DONE,
    "JOB_STATE_FAILED": Phase.FAILED,
    "JOB_STATE_CANCELLING": Phase.CANCELLED,
    "JOB_STATE_CANCELLED": Phase.CANCELLED,
    "JOB_STATE_DRAINING": Phase.DRAINED,
    "JOB_STATE_DRAINED": Phase.DRAINED,
    "JOB_STATE_UPDATED": Phase.UPDATED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobName:
    """A job of Dataflow."""

    project: str
    region: str
    number: str

    @property
    def console(self) -> str:
        """The job's page in Google's console."""
        return f"https://console.cloud.google.com/dataflow/jobs/{self.region}/{self.number}?project={self.project}"

    @property
    def how_to_cancel(self) -> str:
        """The command that cancels it."""
        return f"gcloud dataflow jobs cancel {self.number} --region={self.region} --project={self.project}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A job as Dataflow shows it: `scratch` is where its workers leave what they make."""

    name: JobName
    phase: Phase
    scratch: str = ""

    @property
    def news(self) -> str:
        """A line for a log."""
        return f"Dataflow's job {self.name.number} is {self.phase.value}: {self.name.console}"


class Jobs:
    """The jobs of a place, asked for with the credentials of its connection."""

    def __init__(self, place: Dataflow) -> None:
        self._project, self._region = place.project or "", place.region or ""
        self._connection = place.connection or DEFAULT_CONNECTION

    @cached_property
    def _hook(self) -> Any:  # noqa: ANN401  of Google's provider
        try:
            from airflow.providers.google.common.hooks.base_google import GoogleBaseHook
        except ImportError as error:
            raise UsageError(
                f"dataflow(…): Airflow's providers for Google and Apache Beam are needed ({error}). Install"
                " airflow-provider-lockstep[google], or say direct()."
            ) from error
        return GoogleBaseHook(gcp_conn_id=self._connection)

    @cached_property
    def _clients(self) -> tuple[Any, Any]:
        """Of Google's library: for jobs and for their messages. They speak REST, which passes every company's proxy."""
        from google.cloud.dataflow_v1beta3 import JobsV1Beta3Client, MessagesV1Beta3Client

        credentials = self._hook.get_credentials()
        return (
            JobsV1Beta3Client(credentials=credentials, transport="rest"),
            MessagesV1Beta3Client(credentials=credentials, transport="rest"),
        )

    def opened(self) -> Self:
        """The same, with its connection read and its clients made."""
        _ = self._clients
        return self

    def find(self, name: str, key: str) -> list[Seen]:
        """The jobs of a name that carry the key, the one that was created last first."""
        where = {"project_id": self._project, "location": self._region}

        def ask(**given: Any) -> list[Any]:
            listed = self._clients[0].list_jobs(request={**where, "name": name}, **given)
            ids = [job.id for job in listed if job.name == name]  # a listing shows no labels
            look = self._clients[0].get_job
            return [look(request={**where, "job_id": one, "view": "JOB_VIEW_DESCRIPTION"}, **given) for one in ids]

        mine = [job for job in self._answer(f"looking for {name}", ask) if job.labels.get(KEY) == key]
        return [self._seen(job) for job in sorted(mine, key=lambda job: job.create_time, reverse=True)]

    def look(self, number: str) -> Seen:
        """How a job is now."""
        ask = partial(self._clients[0].get_job, request=self._of(number))
        return self._seen(self._answer(f"looking at {number}", ask))

    def errors(self, number: str) -> list[str]:
        """What a job says of its failure, the last at the end."""
        request = {**self._of(number), "minimum_importance": "JOB_MESSAGE_ERROR"}

        def ask(**given: Any) -> list[str]:
            return [
                str(message.message_text).strip() for message in self._clients[1].list_job_messages(request, **given)
            ]

        return self._answer(f"reading the messages of {number}", ask)[-_SHOWN:]

    def cancel(self, number: str) -> None:
        """Ask a job to stop; one that has ended stays as it is."""
        request = {**self._of(number), "job": {"requested_state": "JOB_STATE_CANCELLED"}}
        try:
            self._answer(f"cancelling {number}", partial(self._clients[0].update_job, request=request))
        except UsageError:
            if self.look(number).phase.is_live:
                raise

    def submit(self, runner: "Runner", spec: str, labels: Mapping[str, str]) -> str | None:
        """Run the launcher, which submits and ends; gives the job's number, if the launcher came to know it.

        Raises:
            CloudUnusable: the launcher failed. A job may exist all the same.
        """
        from airflow.providers.apache.beam.hooks.beam import BeamHook
        from airflow.providers.google.cloud.hooks.dataflow import process_line_and_extract_dataflow_job_id_callback
        from airflow.utils.process_utils import patch_environ

        numbers: list[str] = []
        options: dict[str, Any] = {"spec": [spec]}
        for word in runner.options:
            name, _, value = word.removeprefix("--").partition("=")
            options.setdefault(name, []).append(value)
        options["labels"] = dict(labels)
        paths = os.pathsep.join(path for path in sys.path if path)
        with self._hook.provide_gcp_credential_file_as_context(), patch_environ({"PYTHONPATH": paths}):
            try:
                BeamHook(runner=runner.name).start_python_pipeline(
                    variables=options,
                    py_file="lockstep.data",
                    py_options=["-m"],
                    py_interpreter=sys.executable,
                    process_line_callback=process_line_and_extract_dataflow_job_id_callback(numbers.append),
                )
            except AirflowException as error:
                raise CloudUnusable(
                    f"Dataflow: the launcher of job {labels[KEY][:12]}… failed: {error}. Its own words stand above."
                ) from error
        return numbers[-1] if numbers else None

    def named(self, number: str) -> JobName:
        """A job of this place."""
        return JobName(project=self._project, region=self._region, number=number)

    def _of(self, number: str) -> dict[str, str]:
        return {"project_id": self._project, "location": self._region, "job_id": number}

    def _seen(self, job: Any) -> Seen:  # noqa: ANN401  a message of google-cloud-dataflow-client
        scratch = job.labels.get(SCRATCH, "")
        return Seen(
            name=self.named(job.id),
            phase=_PHASES.get(job.current_state.name, Phase.WAITING),
            scratch=f"scratch/{scratch}" if scratch else "",
        )

    def _answer(self, doing: str, ask: Callable[..., Answer]) -> Answer:
        """Ask what can be asked twice.

        Raises:
            CloudUnusable: there was no answer, though it was asked several times.
            UsageError: Dataflow refuses, and would refuse again.
        """
        from google.api_core.retry import Retry, if_exception_type
        from requests.exceptions import ConnectionError as NoConnection

        from lockstep.training.custom_jobs import may_pass, refuses

        passing: tuple[type[Exception], ...] = (*may_pass(), NoConnection)
        try:
            return ask(retry=Retry(if_exception_type(*passing), timeout=_PATIENCE), timeout=_ANSWER)
        except passing as error:
            cause = getattr(error, "cause", None) or error
            raise CloudUnusable(f"Dataflow: {doing}: {type(cause).__name__}: {cause}. Try again later.") from error
        except refuses() as error:
            raise UsageError(
                f"Dataflow: {doing}: {type(error).__name__}: {error}. Look at project, region, and the rights of"
                f" connection {self._connection} (roles/dataflow.developer)."
            ) from error


def problem_of(job: Seen, said: list[str]) -> CloudError:
    """Why a job that has ended gave no snapshot."""
    what = f"Dataflow's job {job.name.number} is {job.phase.value}"
    if job.phase is Phase.FAILED:
        text = "\n".join(said) or "it says no reason"
        if _ROOM.search(text):
            return CloudUnusable(f"{what}, because there was no room: {text}\nTry again, or in another region.")
        return JobFailed(f"{what}: {text}\nIts log: {job.name.console}")
    why = {
        Phase.CANCELLED: "Somebody stopped it. Clear the task to start it anew.",
        Phase.DRAINED: "It was stopped before all was read. Clear the task to start it anew.",
        Phase.UPDATED: "A snapshot is never taken over by another job. Cancel that one, and clear the task.",
    }[job.phase]
    return JobFailed(f"{what}: {job.name.console} {why}")


def place_of(engine: str) -> Dataflow:
    """The place that its text says.

    Raises:
        UsageError: it is another engine.
    """
    place = parse_engine(engine)
    if not isinstance(place, Dataflow):
        raise UsageError(f"{engine}: jobs are waited for on Dataflow alone.")
    return place


@contextmanager
def written(name: str, data: bytes) -> Iterator[str]:
    """A file for the launcher, which is gone afterwards."""
    with TemporaryDirectory(prefix="lockstep-") as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        yield str(path)


class DataflowJobTrigger(BaseTrigger):
    """Fires when a job has ended, or can't be watched any more; its event says all that the task has to know.

    Args:
        engine: the place, as text; complete.
        number: the job.
        scratch: where its workers leave what they make.
    """

    def __init__(self, *, engine: str, number: str, scratch: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.place, self.number, self.scratch = place_of(engine), number, scratch

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self._said()

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the job has ended; the task's log gets every change."""
        jobs, phase, pause = await self._jobs(), None, FIRST_POLL
        while True:
            try:
                job = await asyncio.to_thread(jobs.look, self.number)
            except CloudUnusable as error:
                self.log.warning("%s", error)
            except UsageError as error:
                yield TriggerEvent({**self._said(), "error": str(error)})  # type: ignore[no-untyped-call]  # as above
                return
            else:
                if job.phase != phase:
                    phase = job.phase
                    self.log.info("%s", job.news)
                if not phase.is_live:
                    yield TriggerEvent({**self._said(), "phase": phase.name})  # type: ignore[no-untyped-call]  # as above
                    return
            await asyncio.sleep(pause)
            pause = min(pause * _SLOWER, LAST_POLL)

    async def on_kill(self) -> None:
        """Cancel the job."""
        await to_its_end(self._cancel_job())

    async def _cancel_job(self) -> None:
        """Cancel the job, unless the task still waits: then another triggerer has taken it over."""
        if await is_waiting(self.task_instance):
            self.log.info("The task still waits for Dataflow's job %s, which goes on.", self.number)
            return
        jobs = await self._jobs()
        try:
            await asyncio.to_thread(jobs.cancel, self.number)
            self.log.info("Dataflow's job %s was cancelled, because its task was killed.", self.number)
        except (CloudError, UsageError) as error:
            self.log.error("%s Cancel it by hand: %s", error, jobs.named(self.number).how_to_cancel)  # noqa: TRY400  its sentence says all

    def _said(self) -> dict[str, str]:
        return {"engine": str(self.place), "number": self.number, "scratch": self.scratch}

    async def _jobs(self) -> Jobs:
        return await sync_to_async(Jobs(self.place).opened)()  # where Airflow's connections can be read
