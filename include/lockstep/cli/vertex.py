"""Training in a job of Vertex AI from the command line: submits, waits, and ends as the job has ended.

Rules:
- The credentials are those that the environment has for Google Cloud; connections are Airflow's.
- What this command has started ends with it: Ctrl-C cancels the job, and a second Ctrl-C leaves it and says how to
  cancel it. Killed outright, the command leaves the job at work, which then records its candidate.
"""

import time
from collections.abc import Callable
from itertools import chain, repeat
from typing import Final

from lockstep.cli import say
from lockstep.errors import LockstepError
from lockstep.places import Vertex
from lockstep.registry import Origin, Registry
from lockstep.training import Training
from lockstep.training.custom_jobs import CustomJobs
from lockstep.training.elsewhere import ask, result_of
from lockstep.training.plan import Planned
from lockstep.training.vertex import JobName, Seen

_POLLS: Final = (1.0, 1.0, 2.0, 3.0, 5.0, 10.0)  # seconds between two looks, and then the last


def train_on_vertex(
    registry: Registry,
    planned: Planned,
    origin: Origin,
    place: Vertex,
    *,
    open_jobs: Callable[[Vertex], CustomJobs] = CustomJobs.open,
) -> Training:
    """Have a plan carried out in a job, and wait for it.

    Raises:
        TrainingError, JobFailed, CloudUnusable, UsageError: the job could not be submitted, or gave no version.
    """
    jobs = open_jobs(place)
    asked = ask(registry, planned, origin, place, lambda: jobs)
    if isinstance(asked, Training):
        return asked
    try:
        job = _wait(jobs, asked.job)
    except KeyboardInterrupt:
        _cancel(jobs, asked.job.name)
        raise
    try:
        return result_of(registry, planned.plan.model, planned.plan.recipe, job)
    except LockstepError as problem:
        for trace in getattr(problem, "__notes__", ()):
            say.message(trace)
        raise


def _wait(jobs: CustomJobs, job: Seen) -> Seen:
    """Look until the job has ended; each change is a line."""
    said = None
    for pause in chain(_POLLS, repeat(_POLLS[-1])):
        if job.phase != said:
            said = job.phase
            say.message(job.news)
        if not job.phase.is_live:
            break
        time.sleep(pause)
        job = jobs.look(job.name)
    return job


def _cancel(jobs: CustomJobs, name: JobName) -> None:
    say.message(f"cancelling {name} …")
    try:
        jobs.cancel(name)
    except (KeyboardInterrupt, LockstepError):
        say.message(f"It may run on. To cancel it: {name.how_to_cancel}")
        raise
