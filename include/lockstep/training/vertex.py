"""Custom jobs of Vertex AI as values: what one is called, what it is asked for, and what its states mean.

Rules:
- Nothing here speaks to Google or imports its libraries; `custom_jobs` does.
- A job is known by two labels. `lockstep-key` says which attempt of whose question it answers: it stays the same over
  retries, and changes when somebody clears the task. `lockstep-task` leaves the latter out.
- A state is never taken for success that is not: a paused job waits, and whatever else has ended is told as what it is.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from lockstep.errors import CloudUnusable, JobFailed, LockstepError, TrainingError
from lockstep.places import Vertex
from lockstep.registry import Job, digest_of
from lockstep.training.spec import Failure

KEY: Final = "lockstep-key"
TASK: Final = "lockstep-task"
MODEL: Final = "lockstep-model"
DEFAULT_MACHINE: Final = "n2-standard-4"
MODULE: Final = "lockstep.training"
_PREBUILT: Final = "{continent}-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-6:latest"
_CONTINENTS: Final = {"europe": "europe", "me": "europe", "africa": "europe", "asia": "asia", "australia": "asia"}
_LONGEST_NAME: Final = 128
_LONGEST_LABEL: Final = 63
_HEX: Final = 40  # characters of a hash in a label
_NAME: Final = re.compile(r"projects/([^/]+)/locations/([^/]+)/customJobs/([0-9]+)")
_EXHAUSTED: Final = 8  # codes of google.rpc
_MACHINE_LOST: Final = frozenset({10, 13, 14})  # aborted, internal, unavailable
_PREEMPTED: Final = re.compile(r"(?i)preempt|evicted|spot capacity|stockout|resources are insufficient")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobName:
    """A custom job: the project as the place calls it (Google's answers say its number), region, and number."""

    project: str
    region: str
    number: str

    @classmethod
    def parse(cls, name: str, project: str) -> Self:
        """Read a name that Vertex AI gave, of a job in that project."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise CloudUnusable(f'Vertex AI called a custom job "{name}"; the form is projects/…/customJobs/NUMBER.')
        return cls(project=project, region=found[2], number=found[3])

    def __str__(self) -> str:
        return f"projects/{self.project}/locations/{self.region}/customJobs/{self.number}"

    @property
    def console(self) -> str:
        """The job's page in Google's console."""
        return (
            f"https://console.cloud.google.com/vertex-ai/locations/{self.region}/training/{self.number}/cpu"
            f"?project={self.project}"
        )

    @property
    def how_to_cancel(self) -> str:
        """The command that cancels it."""
        return f"gcloud ai custom-jobs cancel {self.number} --region={self.region} --project={self.project}"


class Phase(StrEnum):
    """What a job's state means."""

    WAITING = "waiting for a machine"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"
    EXPIRED = "expired"
    NO_QUOTA = "without quota"

    @property
    def is_live(self) -> bool:
        """Whether it may still give a version."""
        return self in (Phase.WAITING, Phase.RUNNING, Phase.PAUSED)

    @property
    def is_usable(self) -> bool:
        """Whether who asks again takes this job, instead of a new one."""
        return self.is_live or self is Phase.SUCCEEDED


_PHASES: Final = {
    "JOB_STATE_UNSPECIFIED": Phase.WAITING,
    "JOB_STATE_QUEUED": Phase.WAITING,
    "JOB_STATE_PENDING": Phase.WAITING,
    "JOB_STATE_RUNNING": Phase.RUNNING,
    "JOB_STATE_UPDATING": Phase.RUNNING,
    "JOB_STATE_PAUSED": Phase.PAUSED,
    "JOB_STATE_SUCCEEDED": Phase.SUCCEEDED,
    "JOB_STATE_PARTIALLY_SUCCEEDED": Phase.SUCCEEDED,  # whether there is a version, the registry says
    "JOB_STATE_FAILED": Phase.FAILED,
    "JOB_STATE_CANCELLING": Phase.CANCELLED,
    "JOB_STATE_CANCELLED": Phase.CANCELLED,
    "JOB_STATE_EXPIRED": Phase.EXPIRED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A job as Vertex AI shows it: `said` is its error, `key` its label, `created` when it was accepted."""

    name: JobName
    phase: Phase
    said: str = ""
    code: int = 0
    key: str = ""
    created: datetime | None = None

    @property
    def age(self) -> tuple[str, int]:
        """Sorts the job that was accepted first to the front; equal for whoever looks."""
        return (self.created.isoformat() if self.created else "", int(self.name.number))

    @property
    def news(self) -> str:
        """A line for a log: how the job is, and where to look at it."""
        more = " It goes on when somebody resumes it." if self.phase is Phase.PAUSED else ""
        return f"Vertex AI's custom job {self.name.number} is {self.phase.value}: {self.name.console}{more}"


def seen(job: Any, project: str) -> Seen:  # noqa: ANN401  a message of google-cloud-aiplatform
    """What an answer of Vertex AI says of a custom job."""
    phase, said, code = _PHASES.get(job.state.name, Phase.RUNNING), job.error.message, int(job.error.code)
    if phase is Phase.FAILED and _PREEMPTED.search(said):
        phase = Phase.PREEMPTED
    elif phase is Phase.FAILED and code == _EXHAUSTED:
        phase = Phase.NO_QUOTA
    return Seen(
        name=JobName.parse(job.name, project),
        phase=phase,
        said=" ".join(said.split()) if phase is not Phase.FAILED else said.strip(),
        code=code,
        key=dict(job.labels).get(KEY, ""),
        created=job.create_time,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A job that somebody wants.

    Attributes:
        model: name of the model.
        asked_by: whose question it answers, as `dag_id/run_id/task_id`.
        key, task: hashes for the labels.
        spec: address of the spec.
        package: address of Lockstep as a source distribution, for an image that does not hold it.
    """

    model: str
    asked_by: str
    key: str
    task: str
    spec: str
    place: Vertex
    package: str | None


def keys_of(registry: str, job: Job, generation: int) -> tuple[str, str]:
    """The labels `lockstep-key` and `lockstep-task` of what a task asks for.

    Args:
        registry: its address, without a connection.
        job: the task.
        generation: grows when somebody clears the task, and stays the same over its retries.
    """
    whose = [registry, job.system, job.run, job.task]
    return digest_of([*whose, generation])[:_HEX], digest_of(whose)[:_HEX]


def custom_job(wanted: Wanted) -> dict[str, Any]:
    """The job as Vertex AI's API takes it."""
    place = wanted.place
    told = {"args": ["--spec", wanted.spec], "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}]}
    if place.image is not None:
        runs = {"container_spec": {"image_uri": place.image, "command": ["python", "-m", MODULE], **told}}
    else:
        image = prebuilt_image(place.region or "")
        package = {"package_uris": [wanted.package], "python_module": MODULE}
        runs = {"python_package_spec": {"executor_image_uri": image, **package, **told}}
    pool = {"machine_spec": {"machine_type": place.machine or DEFAULT_MACHINE}, "replica_count": 1, **runs}
    spec: dict[str, Any] = {"worker_pool_specs": [pool]}
    if place.service_account is not None:
        spec["service_account"] = place.service_account
    return {
        "display_name": f"{wanted.model} for {wanted.asked_by}"[:_LONGEST_NAME],
        "labels": {KEY: wanted.key, TASK: wanted.task, MODEL: wanted.model[:_LONGEST_LABEL]},
        "job_spec": spec,
    }


def prebuilt_image(region: str) -> str:
    """Google's image for scikit-learn that is nearest to a region."""
    return _PREBUILT.format(continent=_CONTINENTS.get(region.partition("-")[0], "us"))


_ENDS: Final[dict[Phase, tuple[type[LockstepError], str]]] = {
    Phase.CANCELLED: (JobFailed, "was cancelled{said}. To train anew, clear the task, or start again."),
    Phase.PREEMPTED: (CloudUnusable, "lost its machine, or got none{said}. Trying again submits another."),
    Phase.EXPIRED: (CloudUnusable, "expired before it could end{said}. Trying again submits another."),
    Phase.NO_QUOTA: (
        CloudUnusable,
        "was stopped, because the project's quota is used up{said}. Ask for more, or use another region or machine.",
    ),
    Phase.SUCCEEDED: (
        JobFailed,
        "succeeded, but the registry has no version of it: its image may hold another Lockstep. Clear the task.",
    ),
}


def problem_of(job: Seen, failure: Failure | None) -> LockstepError:
    """What to tell of a job that ended without a version; the kind of error says whether trying again may help.

    `failure` is what the job itself left. `TrainingError` and `JobFailed` are final, `CloudUnusable` is not.
    """
    what, where = f"Vertex AI's custom job {job.name.number}", f"Its page: {job.name.console}"
    said = f": {job.said}" if job.said else ""
    if job.phase in _ENDS:
        kind, end = _ENDS[job.phase]
        return kind(f"{what} {end.format(said=said)} {where}")
    if failure is not None:
        return (TrainingError if failure.is_final else CloudUnusable)(f"{what} failed: {failure.error} {where}")
    kind = CloudUnusable if job.code in _MACHINE_LOST else JobFailed
    return kind(f"{what} failed: {job.said.partition(chr(10))[0] or 'Vertex AI does not say why.'} {where}")
