"""Custom jobs through Google's own client: at most one lives, whatever happens to questions and answers on the way."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import grpc
import pytest

from lockstep.errors import CloudUnusable, JobFailed, TrainingError, UsageError
from lockstep.places import vertex as place_of
from lockstep.registry import Job
from lockstep.training.custom_jobs import CustomJobs
from lockstep.training.spec import Failure
from lockstep.training.vertex import JobName, Phase, Seen, Wanted, custom_job, keys_of, prebuilt_image, problem_of, seen
from loopback.cloud import Cloud
from loopback.google import PROJECT as PROJECT_ID
from loopback.vertex import State
from tests.vertex.conftest import REGION

Status = grpc.StatusCode
CREATE = "CreateCustomJob"


@pytest.fixture
def wanted() -> Wanted:
    """Ask for a job that nobody has asked for."""
    key, task = keys_of("gs://shop/registry", Job(system="airflow", run=uuid4().hex, task="train"), 0)
    place = place_of(project=PROJECT_ID, region=REGION, image="train", machine="n2-highmem-8", service_account="a@b")
    return Wanted(
        model="leaving", asked_by="shop/run/train", key=key, task=task, spec="gs://s/1.json", place=place, package=None
    )


@pytest.fixture(autouse=True)
def held(cloud: Cloud) -> Iterator[None]:
    """Let no job leave the queue."""
    cloud.vertex.faults.clear()
    with cloud.vertex.jobs.holding(State.JOB_STATE_QUEUED):
        yield
        for job in cloud.vertex.jobs.all:
            cloud.vertex.jobs.expire(job)


def ask(custom_jobs: CustomJobs, wanted: Wanted) -> tuple[str, bool]:
    """Submit or find; gives the job's number, and whether it is new."""
    done = custom_jobs.submit(wanted, custom_jobs.of_task(wanted.task))
    return done.job.name.number, done.is_new


def states(cloud: Cloud, wanted: Wanted) -> list[str]:
    """List the states of all jobs of a task that were ever created."""
    return [job.state.name for job in cloud.vertex.jobs.all if job.told.labels["lockstep-task"] == wanted.task]


def test_who_asks_again_finds_the_job(cloud: Cloud, custom_jobs: CustomJobs, wanted: Wanted) -> None:
    """The same question finds the job that is there, as it was asked for; another question gets another."""
    number, is_new = ask(custom_jobs, wanted)
    assert is_new
    assert ask(custom_jobs, wanted) == (number, False)
    told = next(job.told for job in cloud.vertex.jobs.all if job.name.endswith(number))
    pool = told.job_spec.worker_pool_specs[0]
    assert (told.display_name, told.labels["lockstep-model"]) == ("leaving for shop/run/train", "leaving")
    assert (pool.machine_spec.machine_type, told.job_spec.service_account) == ("n2-highmem-8", "a@b")
    assert list(pool.container_spec.command) == ["python", "-m", "lockstep.training"]
    assert list(pool.container_spec.args) == ["--spec", "gs://s/1.json"]
    other = replace(wanted, key="0" * 40, task="1" * 40)
    assert ask(custom_jobs, other)[1]
    assert len(states(cloud, wanted)) == 1


def test_a_cleared_task_asks_anew_and_its_old_job_ends(cloud: Cloud, custom_jobs: CustomJobs, wanted: Wanted) -> None:
    """A new generation of the same task submits a new job, and cancels the one of the generation before."""
    old, _ = ask(custom_jobs, wanted)
    new, is_new = ask(custom_jobs, replace(wanted, key="f" * 40))
    assert is_new
    assert new != old
    cloud.vertex.jobs.wait(cloud.vertex.jobs.all[-2])
    assert states(cloud, wanted) == ["JOB_STATE_CANCELLED", "JOB_STATE_QUEUED"]


@pytest.mark.parametrize(
    ("phase", "again"), [("lose", "once"), ("delay", "once"), ("silence", "twice")], ids=["lost", "late", "silent"]
)
def test_an_answer_that_is_lost_or_late_makes_no_second_job(
    cloud: Cloud, custom_jobs: CustomJobs, wanted: Wanted, phase: str, again: str
) -> None:
    """After a create whose answer never came, the job is found where it was made, and made where it was not."""
    getattr(cloud.vertex.faults, phase)(CREATE)
    before = cloud.vertex.called(CREATE)
    number, _ = ask(custom_jobs, wanted)
    assert states(cloud, wanted) == ["JOB_STATE_QUEUED"]
    assert cloud.vertex.called(CREATE) - before == {"once": 1, "twice": 2}[again]
    assert ask(custom_jobs, wanted) == (number, False)


@pytest.mark.parametrize("code", [Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED, Status.DEADLINE_EXCEEDED])
def test_what_may_pass_is_tried_again(
    cloud: Cloud, custom_jobs: CustomJobs, wanted: Wanted, code: grpc.StatusCode
) -> None:
    """503, 429 and a deadline, at the create and at the questions around it, cost time and nothing else."""
    for method in (CREATE, "ListCustomJobs", "GetCustomJob", "CancelCustomJob"):
        cloud.vertex.faults.refuse(method, code, times=2)
    number, is_new = ask(custom_jobs, wanted)
    assert is_new
    assert states(cloud, wanted) == ["JOB_STATE_QUEUED"]
    name = JobName(project=PROJECT_ID, region=REGION, number=number)
    assert custom_jobs.look(name).phase is Phase.WAITING
    custom_jobs.cancel(name)
    cloud.vertex.jobs.wait(cloud.vertex.jobs.all[-1])
    assert custom_jobs.look(name).phase is Phase.CANCELLED
    custom_jobs.cancel(name)


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (Status.RESOURCE_EXHAUSTED, CloudUnusable, "ResourceExhausted: .* The quota is used up for now"),
        (Status.UNAVAILABLE, CloudUnusable, "ServiceUnavailable: .* It was asked several times; try again later"),
        (Status.PERMISSION_DENIED, UsageError, r"PermissionDenied: .* use Vertex AI \(roles/aiplatform.user\)"),
        (Status.INVALID_ARGUMENT, UsageError, "InvalidArgument: .* Correct the project, the region, the image"),
    ],
)
def test_what_does_not_pass_is_told(
    cloud: Cloud, custom_jobs: CustomJobs, wanted: Wanted, code: grpc.StatusCode, kind: type[Exception], said: str
) -> None:
    """After some tries, or at once where no try would help, one sentence says what Vertex AI said and what to do."""
    cloud.vertex.faults.refuse(CREATE, code, "aiplatform.googleapis.com/x", times=9)
    with pytest.raises(kind, match=f"^Vertex AI: creating a custom job: {said}"):
        ask(custom_jobs, wanted)
    assert states(cloud, wanted) == []


def test_of_two_that_race_one_job_lives(cloud: Cloud, custom_jobs: CustomJobs, wanted: Wanted) -> None:
    """Two workers that both saw no job both create one; both then take the older, and the younger is cancelled."""
    barrier = Barrier(2)

    def race(_: int) -> str:
        there = custom_jobs.of_task(wanted.task)
        barrier.wait(30)
        return custom_jobs.submit(wanted, there).job.name.number

    with ThreadPoolExecutor() as pool:
        first, second = pool.map(race, range(2))
    assert first == second
    for job in cloud.vertex.jobs.all[-1:]:
        cloud.vertex.jobs.wait(job)
    assert states(cloud, wanted) == ["JOB_STATE_QUEUED", "JOB_STATE_CANCELLED"]
    assert ask(custom_jobs, wanted) == (first, False)


def test_a_job_that_ended_badly_is_not_taken(cloud: Cloud, custom_jobs: CustomJobs, wanted: Wanted) -> None:
    """Whoever tries again after a failure, a preemption, a quota or a cancellation gets another job."""
    numbers = []
    for end in range(4):
        numbers.append(ask(custom_jobs, wanted)[0])
        job = cloud.vertex.jobs.all[-1]
        if end == 0:
            cloud.vertex.jobs.fail(job, Status.INVALID_ARGUMENT, "it failed")
        elif end == 1:
            cloud.vertex.jobs.fail(job, Status.ABORTED, "The replica workerpool0-0 was preempted.")
        elif end == 2:
            cloud.vertex.jobs.expire(job)
        else:
            custom_jobs.cancel(JobName.parse(job.name, PROJECT_ID))
            cloud.vertex.jobs.wait(job)
    assert len(set(numbers)) == 4
    phases = [found.phase for found in custom_jobs.of_task(wanted.task)]
    assert phases == [Phase.FAILED, Phase.PREEMPTED, Phase.EXPIRED, Phase.CANCELLED]


NAME = JobName(project="p", region="r", number="7")
FAILED = Failure(error='Model "m": no.', trace="Traceback", is_final=True)


@pytest.mark.parametrize(
    ("state", "code", "message", "failure", "kind", "said"),
    [
        ("FAILED", 3, "exited with 1.\nTraceback", FAILED, TrainingError, 'failed: Model "m": no.'),
        ("FAILED", 3, "exited with 1.", replace(FAILED, is_final=False), CloudUnusable, "failed: Model"),
        ("FAILED", 3, "exited with 137.", None, JobFailed, "failed: exited with 137."),
        ("FAILED", 13, "Internal error.", None, CloudUnusable, "failed: Internal error."),
        ("FAILED", 10, "It was preempted.", None, CloudUnusable, "lost its machine, or got none: It was preempted"),
        ("FAILED", 8, "Quota exceeded.", None, CloudUnusable, "the project's quota is used up: Quota exceeded"),
        ("CANCELLED", 1, "", None, JobFailed, "was cancelled"),
        ("EXPIRED", 4, "", None, CloudUnusable, "expired before it could end"),
        ("SUCCEEDED", 0, "", None, JobFailed, "the registry has no version of it"),
        ("PARTIALLY_SUCCEEDED", 0, "", None, JobFailed, "the registry has no version of it"),
    ],
)
def test_each_end_is_told_as_what_it_is(
    state: str, code: int, message: str, failure: Failure | None, kind: type[Exception], said: str
) -> None:
    """What ended without a version says how, where its page is, and by its kind whether to try again."""
    problem = problem_of(look_at(state, code, message), failure)
    assert type(problem) is kind
    assert said in str(problem)
    assert "https://console.cloud.google.com/vertex-ai/locations/r/training/7/cpu?project=p" in str(problem)


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("QUEUED", Phase.WAITING),
        ("PENDING", Phase.WAITING),
        ("RUNNING", Phase.RUNNING),
        ("UPDATING", Phase.RUNNING),
        ("PAUSED", Phase.PAUSED),
        ("CANCELLING", Phase.CANCELLED),
        ("OF_TOMORROW", Phase.RUNNING),
    ],
)
def test_each_state_has_a_meaning(state: str, phase: Phase) -> None:
    """Every state of Vertex AI is live or has ended; a paused job is no success, and an unknown state no end."""
    found = look_at(state)
    assert found.phase is phase
    assert found.phase.is_live == (state != "CANCELLING")
    assert ("resumes it" in found.news) == (phase is Phase.PAUSED)


def look_at(state: str, code: int = 0, message: str = "") -> Seen:
    """Read an answer of Vertex AI."""
    error = SimpleNamespace(code=code, message=message)
    name = "projects/123/locations/r/customJobs/7"
    job: Any = SimpleNamespace(
        name=name, state=SimpleNamespace(name=f"JOB_STATE_{state}"), error=error, labels={}, create_time=None
    )
    return seen(job, "p")


def test_without_an_image_the_job_installs_lockstep_into_googles_own(wanted: Wanted) -> None:
    """The image is that of the region's continent; Lockstep comes as a package."""
    place = place_of(project="p", region="europe-west1")
    spec = custom_job(replace(wanted, place=place, package="gs://s/lockstep.tar.gz"))["job_spec"]
    pool = spec["worker_pool_specs"][0]
    package = pool["python_package_spec"]
    assert (package["package_uris"], package["python_module"]) == (["gs://s/lockstep.tar.gz"], "lockstep.training")
    assert "service_account" not in spec
    assert pool["machine_spec"] == {"machine_type": "n2-standard-4"}
    regions = {"europe-west1": "europe", "us-central1": "us", "asia-east1": "asia", "southamerica-east1": "us"}
    for region, continent in regions.items():
        assert prebuilt_image(region).startswith(f"{continent}-docker.pkg.dev/vertex-ai/training/sklearn-cpu.")


def test_keys_change_with_whoever_asks() -> None:
    """Retries of a task ask the same question; another task, registry or generation another one."""
    job = Job(system="airflow", run="shop/one", task="train")
    key, task = keys_of("gs://a", job, 0)
    assert keys_of("gs://a", replace(job, attempt=3, log="elsewhere"), 0) == (key, task)
    cleared, same = keys_of("gs://a", job, 1)
    assert cleared != key
    assert same == task
    others = [keys_of("gs://b", job, 0), keys_of("gs://a", replace(job, task="train[1]"), 0)]
    assert len({key, cleared, *(one for pair in others for one in pair)}) == 6
