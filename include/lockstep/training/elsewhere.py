"""Training in a job of Vertex AI, as whoever asks sees it: what has to stand in the registry, and what came of it.

Rules:
- A recipe that was trained is found and nothing is submitted, unless training is forced.
- Source, spec and package are in the registry before a job is submitted that reads them.
- What decides is the registry: a job that has recorded its version has done its work, whatever its state says.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lockstep.errors import UsageError
from lockstep.places import Vertex
from lockstep.registry import ModelTrained, Origin, Registry, State, Version
from lockstep.switch import address_for_job
from lockstep.training.custom_jobs import CustomJobs
from lockstep.training.package import put_package
from lockstep.training.plan import Planned
from lockstep.training.spec import Spec, put_spec, read_failure
from lockstep.training.train import Training, trained_before
from lockstep.training.vertex import JobName, Seen, Wanted, keys_of, problem_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A job that was submitted or found, which is to carry out the plan."""

    job: Seen
    is_new: bool


def ask(
    registry: Registry,
    planned: Planned,
    origin: Origin,
    place: Vertex,
    jobs: Callable[[], CustomJobs],
    *,
    generation: int = 0,
) -> Training | Asked:
    """Have a plan carried out in a job, or find what it would give.

    Args:
        registry: in a bucket that the job can open.
        planned: what to train.
        origin: who asks, in which task.
        place: where; complete.
        jobs: opens the client, which takes seconds.
        generation: as for `keys_of`.

    Raises:
        TrainingError: only this process can carry it out; nothing was submitted.
        CloudUnusable, UsageError: Vertex AI did not take it.
    """
    if found := trained_before(registry, planned.plan, origin):
        return found
    if origin.job is None or place.project is None or place.region is None:
        raise UsageError(f"{place}: a job is submitted for somebody's job, to a project and a region; one is missing.")
    key, task = keys_of(address_for_job(registry.uri), origin.job, generation)
    spec = Spec.asked(planned.plan, origin, project=place.project, region=place.region)
    planned.keep_source(registry)
    wanted = Wanted(
        model=planned.plan.model,
        asked_by=spec.asked_by,
        key=key,
        task=task,
        spec=put_spec(registry, spec),
        place=place,
        package=put_package(registry) if place.image is None else None,
    )
    opened = jobs()
    there = opened.of_task(task)
    state, plan = registry.state(), planned.plan
    for job in there:
        if job.key == key and (version := recorded_by(state, plan.model, plan.recipe, job.name)):
            return Training(version=version, is_new=True)
    done = opened.submit(wanted, there)
    return Asked(job=done.job, is_new=done.is_new)


def result_of(registry: Registry, model: str, recipe: str, job: Seen) -> Training:
    """The version that a job which has ended gave: its own, or one of the same recipe that it found.

    Raises:
        TrainingError, JobFailed, CloudUnusable: it gave none; see `problem_of`. A note of the error is the job's stack
            trace, or whatever else Vertex AI says of its end.
    """
    state = registry.state()
    if version := recorded_by(state, model, recipe, job.name):
        return Training(version=version, is_new=True)
    known = state.models_by_recipe(model, recipe)
    if job.phase.is_usable and known:
        return Training(version=known[-1], is_new=False)
    failure = read_failure(registry.objects, job.name.number)
    problem = problem_of(job, failure)
    if trace := failure.trace if failure else job.said:
        problem.add_note(trace)
    raise problem


def recorded_by(state: State, model: str, recipe: str, name: JobName) -> Version[ModelTrained] | None:
    """The version of that recipe which a custom job has recorded; of several, the newest."""
    for version in reversed(state.models_by_recipe(model, recipe)):
        job = version.recorded.origin.job
        if job is not None and job.system == "vertex" and job.run == str(name):
            return version
    return None
