"""The task that trains on Vertex AI, in a real `dag.test()`: the unchanged provider, and a job that really runs."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from lockstep.registry import Registry, read_manifest
from lockstep.registry.trace import by_job
from lockstep.upkeep.verify import verify
from loopback.cloud import Cloud
from loopback.google import PROJECT as PROJECT_ID
from loopback.vertex import Job, State
from tests.training.conftest import Shop, job
from tests.vertex.conftest import PLACE, REGION, Player

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(600)]
Status = grpc.StatusCode
BROKEN = '{"leaving": {"logisticregression__C": -1}}'


@pytest.fixture
def new_jobs(cloud: Cloud) -> Callable[[], list[Job]]:
    """List the jobs that were created since the test began."""
    before = len(cloud.vertex.jobs.all)
    return lambda: cloud.vertex.jobs.all[before:]


NewJobs = Callable[[], list[Job]]


def number_of(made: Job) -> str:
    """The number of a job."""
    return made.name.rpartition("/")[2]


def waiting(player: Player, *, times: int = 1) -> None:
    """Read Airflow's log until the task waits for a job."""
    player.await_line("is waiting for a machine", times)


def test_a_model_is_trained_in_a_job_and_the_task_tells_it(
    desk: Shop, player: Player, runs: Iterator[int], new_jobs: NewJobs
) -> None:
    """The version is that of a local run but for its job; XCom has the job's name, and the task a link to its page."""
    run = next(runs)
    done = player.play(run, desk.registry.uri, parameters='{"leaving": {"logisticregression__C": 0.5}}')
    assert done["state"] == "success", done["log"]
    (made,) = new_jobs()
    name = f"projects/{PROJECT_ID}/locations/{REGION}/customJobs/{number_of(made)}"
    page = f"https://console.cloud.google.com/vertex-ai/locations/{REGION}/training/{number_of(made)}/cpu?project={PROJECT_ID}"
    version = desk.registry.state().model("leaving@1")
    given = done["xcoms"]["return_value"]
    assert given == {
        "version": "leaving@1",
        "digest": version.digest,
        "new": True,
        "metrics": version.fact.metrics,
        "missed": [],
        "job": name,
    }
    assert done["xcoms"]["_link_VertexJobLink"] == page
    assert done["xcoms"]["_link_VersionLink"].endswith("/plugin/lockstep/versions/leaving%401")
    assert "waiting for a machine" in done["log"]
    assert f"Submitted. Vertex AI's custom job {number_of(made)} is" in done["log"]
    of_job = version.recorded.origin.job
    assert of_job is not None
    assert (of_job.system, of_job.run, of_job.task, of_job.log) == ("vertex", name, f"{done['run']}/train", page)
    entries = list(desk.registry.log.entries())
    for called in (number_of(made), made.name, done["run"], f"{done['run']}/train"):
        assert [deed.versions for deed in by_job(entries, called)] == [("leaving@1",)]
    local = desk.train("leaving", job("here"), parameters={"logisticregression__C": 0.5}, force=True)
    ours, its = (manifest_of(desk.registry, one.ref) for one in (local.version, version))
    assert its["files"] == ours["files"]
    assert {name for name in ours if ours[name] != its[name]} <= {"origin", "code", "source"}
    assert ours["code"]["sha256"] == its["code"]["sha256"]
    assert not list(verify(desk.registry))
    again = player.play(run + 1000, desk.registry.uri, parameters='{"leaving": {"logisticregression__C": 0.5}}')
    assert (again["state"], again["xcoms"]["return_value"]["new"]) == ("success", False)
    assert new_jobs() == [made]


def test_googles_own_image_gets_lockstep_as_a_package(
    desk: Shop, player: Player, runs: Iterator[int], new_jobs: NewJobs
) -> None:
    """Without an image, the job installs the package that stands in the registry, and trains the same."""
    done = player.play(next(runs), desk.registry.uri, where=PLACE.replace(", image=train", ""))
    assert done["state"] == "success", done["log"]
    (made,) = new_jobs()
    (package,) = desk.registry.objects.names("packages")
    spec = made.told.job_spec.worker_pool_specs[0].python_package_spec
    assert list(spec.package_uris) == [f"{desk.registry.uri}/{package}"]
    assert manifest_of(desk.registry, "leaving@1")["origin"]["job"]["system"] == "vertex"
    assert not list(verify(desk.registry))


def test_faults_on_the_way_cost_no_second_job(
    cloud: Cloud, desk: Shop, player: Player, runs: Iterator[int], new_jobs: NewJobs
) -> None:
    """The answer to the create is lost, then 503, 429, a deadline and a lost answer while it waits: one job trains."""
    cloud.vertex.faults.refuse("ListCustomJobs", Status.UNAVAILABLE)
    cloud.vertex.faults.lose("CreateCustomJob")
    for fault in (Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED, Status.DEADLINE_EXCEEDED):
        cloud.vertex.faults.refuse("GetCustomJob", fault)
    cloud.vertex.faults.lose("GetCustomJob")
    done = player.play(next(runs), desk.registry.uri)
    assert (done["state"], done["tries"]) == ("success", 1), done["log"]
    assert len(new_jobs()) == 1
    assert len(desk.registry.state().models["leaving"]) == 1


def test_the_models_error_reaches_the_tasks_log(
    desk: Shop, player: Player, runs: Iterator[int], new_jobs: NewJobs
) -> None:
    """The task fails with the sentence that a local one would fail with, at once; the stack trace stands in its log."""
    done = player.play(next(runs), desk.registry.uri, parameters=BROKEN, retries=2)
    assert (done["state"], done["tries"]) == ("failed", 1)
    (made,) = new_jobs()
    assert made.state is State.JOB_STATE_FAILED
    assert f'Vertex AI\'s custom job {number_of(made)} failed: Model "leaving": fitting Pipeline on' in done["log"]
    assert "The 'C' parameter of LogisticRegression must be a float in the range (0.0, inf]. Got -1" in done["log"]
    assert "What the job raised:" in done["log"]
    assert "/lockstep/training/fit.py" in done["log"]
    assert desk.registry.state().models == {}


def test_a_machine_that_is_taken_away_is_tried_again(
    cloud: Cloud, desk: Shop, player: Player, runs: Iterator[int], new_jobs: NewJobs
) -> None:
    """After a preemption and a quota the retries submit again; the third job trains."""
    with cloud.vertex.jobs.holding(State.JOB_STATE_PENDING):
        step = player.begin(next(runs), desk.registry.uri, retries=2)
        for number, (code, why) in enumerate(
            ((Status.ABORTED, "The replica workerpool0-0 was preempted."), (Status.RESOURCE_EXHAUSTED, "No quota.")), 1
        ):
            waiting(player, times=number)
            cloud.vertex.jobs.fail(new_jobs()[-1], code, why)
        waiting(player, times=3)
    done = player.end(step)
    assert (done["state"], done["tries"]) == ("success", 3), done["log"]
    assert "lost its machine, or got none: The replica workerpool0-0 was preempted" in done["log"]
    assert "the project's quota is used up: No quota." in done["log"]
    assert [made.state.name for made in new_jobs()] == ["JOB_STATE_FAILED", "JOB_STATE_FAILED", "JOB_STATE_SUCCEEDED"]


def test_a_paused_job_waits_and_a_cancelled_one_ends_the_task(
    cloud: Cloud, desk: Shop, player: Player, runs: Iterator[int], new_jobs: NewJobs
) -> None:
    """A pause is told and outlived; who cancels the job in the console ends the task, without a retry."""
    step = player.begin(next(runs), desk.registry.uri, retries=2)
    player.await_line("Submitted. ")
    cloud.vertex.jobs.wait(new_jobs()[0], State.JOB_STATE_RUNNING)
    cloud.vertex.jobs.pause(new_jobs()[0])
    player.await_line("is paused: ")
    cloud.vertex.jobs.resume(new_jobs()[0])
    done = player.end(step)
    assert done["state"] == "success", done["log"]
    with cloud.vertex.jobs.holding(State.JOB_STATE_PENDING):
        step = player.begin(next(runs), desk.registry.uri, retries=2, force="true")
        waiting(player)
        cloud.vertex.jobs._stop(new_jobs()[1])
        done = player.end(step)
    assert (done["state"], done["tries"]) == ("failed", 1)
    assert "was cancelled: The job was cancelled." in done["log"]


def test_the_end_of_another_job_is_not_its_own(
    desk: Shop, player: Player, runs: Iterator[int], new_jobs: NewJobs
) -> None:
    """An event on a job that another task waited for wakes it in vain: it finds its own again, and its version."""
    done = player.play(next(runs), desk.registry.uri, woken_by_another=True)
    assert (done["state"], done["tries"]) == ("success", 1), done["log"]
    (made,) = new_jobs()
    assert f"What came is about job 1; this task waits for {number_of(made)}." in done["log"]
    assert done["xcoms"]["return_value"]["job"].endswith(f"/{number_of(made)}")


def test_a_killed_worker_finds_its_job_again(
    cloud: Cloud, desk: Shop, player: Player, new_player: Callable[[], Player], runs: Iterator[int], new_jobs: NewJobs
) -> None:
    """Airflow dies while the job is at work; the same try of the same run, forced, finds it, and trains no other."""
    run = next(runs)
    other = new_player()
    with cloud.vertex.jobs.holding(State.JOB_STATE_PENDING):
        other.begin(run, desk.registry.uri, force="true")
        waiting(other)
        other.kill()
        step = player.begin(run, desk.registry.uri, force="true")
        waiting(player)
    done = player.end(step)
    assert done["state"] == "success", done["log"]
    assert "Found again. Vertex AI's custom job" in done["log"]
    after = player.play(run, desk.registry.uri, force="true")
    assert after["xcoms"]["return_value"] == done["xcoms"]["return_value"]
    assert len(new_jobs()) == 1
    assert len(desk.registry.state().models["leaving"]) == 1


def test_what_a_job_can_not_reach_is_refused_before_anything_is_submitted(
    cloud: Cloud, desk: Shop, player: Player, runs: Iterator[int], new_jobs: NewJobs
) -> None:
    """A registry on this machine, a place without a region, and a service that refuses: one sentence, and no job."""
    local = player.play(next(runs), "file:///tmp/no-registry", retries=2)
    assert (local["state"], local["tries"]) == ("failed", 1)
    assert "can't be reached from vertex(" in local["log"]
    cloud.vertex.faults.refuse("CreateCustomJob", Status.PERMISSION_DENIED, "Permission denied on the resource.")
    refused = player.play(next(runs), desk.registry.uri, retries=2)
    assert (refused["state"], refused["tries"]) == ("failed", 1)
    assert "Let these credentials use Vertex AI (roles/aiplatform.user)" in refused["log"]
    assert new_jobs() == []


def manifest_of(registry: Registry, ref: str) -> dict[str, Any]:
    """Read a version's manifest."""
    return read_manifest(registry.objects, registry.state().model(ref).fact.manifest)
