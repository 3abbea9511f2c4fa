"""What the story plays in: this machine alone, or a registry and training in a cloud.

Rules:

* Configuration is all that differs: the registry's address, variables of the environment, and variables of Airflow.
* Whoever trained a version is looked up where it ran, and not only where the registry says so.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from demo.answers import Run
from lockstep.registry import Job, State

if TYPE_CHECKING:
    from loopback.cloud import Cloud

__all__ = ["StoryFailed", "Surroundings", "alone", "on_loopback"]

REGION = "us-central1"
IMAGE = f"{REGION}-docker.pkg.dev/shop-ml/lockstep/train:demo"  # as the Dockerfile's target `train` makes one


class StoryFailed(Exception):
    """Something was not as the story says."""


class Surroundings(Protocol):
    """Where the registry is, and what has to be said so that all find it.

    Attributes:
        registry: its address.
        variables: for the environment of Airflow, the decision API and the command line.
        said: variables of Airflow, by name.
    """

    registry: str
    variables: Mapping[str, str]
    said: Mapping[str, str]

    def describe(self) -> list[str]:
        """What runs beside Airflow, in sentences."""

    def trained_by(self, job: Job | None, run: Run, task_id: str) -> str:
        """Who trained a version of which the registry names that job, for that task (`StoryFailed` if not so)."""

    def at_the_end(self, state: State) -> list[str]:
        """What holds for the whole story, in sentences (`StoryFailed` if it does not)."""


class _Alone:
    """A folder, and training in Airflow's tasks."""

    def __init__(self, folder: Path) -> None:
        self.registry = (folder / "registry").absolute().as_uri()
        self.variables: Mapping[str, str] = {}
        self.said: Mapping[str, str] = {}

    def describe(self) -> list[str]:
        return []

    def trained_by(self, job: Job | None, run: Run, task_id: str) -> str:
        told = None if job is None else (job.system, job.run, job.task)
        if told != ("airflow", f"{run.dag_id}/{run.run_id}", task_id):
            raise StoryFailed(f"The task {task_id} of {run.run_id} trained it, but the registry says: {told}.")
        return f"the task {task_id}"

    def at_the_end(self, state: State) -> list[str]:  # noqa: ARG002  nothing else could have trained
        return []


class _OnLoopback:
    """A bucket, and training by custom jobs of Vertex AI; servers on this machine stand for both."""

    def __init__(self, cloud: "Cloud") -> None:
        self.registry = f"{cloud.bucket}/registry"
        self.variables = cloud.variables
        # the project stands in the environment; an image that holds Lockstep spares each job its installation
        self.said = {"lockstep_where": f"vertex(region={REGION}, image={IMAGE})"}
        self._jobs = cloud.vertex.jobs

    def describe(self) -> list[str]:
        return [
            f"the registry is {self.registry}: fake-gcs-server answers for Google Cloud Storage",
            f"Vertex AI's API in {REGION} answers on this machine too, and runs each job in a Python of its own",
        ]

    def trained_by(self, job: Job | None, run: Run, task_id: str) -> str:
        if job is None or job.system != "vertex" or f"/locations/{REGION}/customJobs/" not in job.run:
            raise StoryFailed(f"A custom job trained it, but the registry says: {job}.")
        if job.task != f"{run.dag_id}/{run.run_id}/{task_id}":
            raise StoryFailed(
                f"{job.run} was asked for by {task_id} of {run.run_id}, but the registry says: {job.task}."
            )
        known = {one.name.rpartition("/")[2]: one.state.name for one in self._jobs.all}
        state = known.get(job.run.rpartition("/")[2])
        if state != "JOB_STATE_SUCCEEDED":
            raise StoryFailed(f"{job.run} has trained it, but Vertex AI says: {state}.")
        return job.run

    def at_the_end(self, state: State) -> list[str]:
        made, jobs = sum(map(len, state.models.values())), len(self._jobs.all)
        if made != jobs:
            raise StoryFailed(f"Each version was trained by one job; there are {made} versions and {jobs} jobs.")
        return [f"{jobs} custom jobs on Vertex AI have made {made} versions: none was submitted twice"]


@contextmanager
def alone(folder: Path) -> Iterator[Surroundings]:
    """This machine alone."""
    yield _Alone(folder)


@contextmanager
def on_loopback(folder: Path) -> Iterator[Surroundings]:
    """A cloud on this machine, until the block is left.

    Raises:
        ProgramMissing: a program of it is not installed; the message says how it is.
    """
    from loopback.cloud import cloud

    with cloud(folder / "cloud", backend="filesystem") as found:
        yield _OnLoopback(found)
