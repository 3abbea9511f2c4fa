"""Snapshots on Dataflow: the real providers of Airflow and the real launcher, against the service on loopback."""

import asyncio
from dataclasses import replace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from lockstep.data import __main__ as launcher
from lockstep.data import read_snapshot, take_snapshot
from lockstep.data.engines import Submission, runner_of
from lockstep.data.pipeline import run_pipeline
from lockstep.data.snapshot import start_snapshot
from lockstep.errors import CloudUnusable, ObjectMissing
from lockstep.places import Direct
from lockstep.registry import Origin, Registry, read_manifest
from lockstep.source import csv
from lockstep_airflow.links import DataflowJobLink
from tests.airflow.conftest import Program
from tests.dataflow.ages import OLDEST
from tests.dataflow.conftest import PROJECT, REGION, ROWS, Cloud, Task
from tests.dataflow.guests import dataset, graph_of

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # Beam's hook leaves pipes open
DIRECT = Direct()


def created(cloud: Cloud) -> int:
    """How often a job was asked for."""
    return [call for call, _ in cloud.dataflow.calls].count("create")


# --------------------------------------------------------------------------------------------- a launcher, and workers


@pytest.mark.airflow
@pytest.mark.slow
def test_the_snapshot_is_that_of_the_direct_runner(cloud: Cloud, task: Task, run_program: Program) -> None:
    """A job on Dataflow makes the same snapshot; its number and link stand in the manifest, with Airflow's task."""
    variables = {**cloud.variables, "LOCKSTEP_REGISTRY": task.registry, "LOCKSTEP_DATA": cloud.bucket}
    played = run_program("from tests.dataflow.play import main; main()", str(task.engine), variables=variables)
    job = cloud.dataflow.jobs[-1]
    assert played["state"] == "success"
    found = played["xcoms"]["return_value"]
    assert any(job.number in str(found) for key, found in played["xcoms"].items() if key.startswith("_link_"))
    registry = task.opened()
    (version,) = registry.state().snapshots["guests"]
    assert (found["version"], found["job"]) == (version.ref, job.number)
    assert len(read_snapshot(registry, version)) == sum(number % 90 <= OLDEST for number in range(ROWS))

    made_by = version.recorded.origin.job
    assert made_by is not None
    assert (made_by.system, made_by.run) == ("dataflow", job.number)
    assert made_by.task == f"door_retrain/{played['run']}/snapshot_guests"
    assert made_by.log == f"https://console.cloud.google.com/dataflow/jobs/{REGION}/{job.number}?project={PROJECT}"
    manifest = read_manifest(registry.objects, version.fact.manifest)
    assert manifest["engine"].startswith(str(task.engine).removesuffix(")"))
    assert manifest["origin"]["job"]["run"] == job.number
    assert registry.objects.names("scratch") == []

    other = Registry.open(f"{task.registry}-direct")
    direct = take_snapshot(other, task.graph.dataset("guests"), Origin(by="tester"), engine=DIRECT)
    assert direct.digest == version.digest


@pytest.mark.slow
def test_a_lost_answer_makes_no_second_job(cloud: Cloud, task: Task) -> None:
    """After a 503 and a lost answer there is one job: a retry finds it, a kill cancels it, a cleared task asks anew."""
    before = len(cloud.dataflow.jobs)
    cloud.dataflow.refuse("create", 503)
    cloud.dataflow.lose("create")
    with cloud.dataflow.holding():
        waiting = task.start()
    (job,) = cloud.dataflow.jobs[before:]
    assert created(cloud) == 3
    again = task.retried().start()
    assert again.trigger.serialize() == waiting.trigger.serialize()
    assert again.trigger.serialize()[1]["number"] == job.number
    asyncio.run(again.trigger.on_kill())
    assert job.state == "JOB_STATE_CANCELLED"

    anew = task.cleared()
    cloud.dataflow.refuse("create", 403)  # a launcher that is sent away fails the try, which another may repeat
    operator = anew.operator()
    with pytest.raises(CloudUnusable, match="the launcher of job"):
        operator.execute(anew.context(operator))
    *_, (_, name) = [call for call in cloud.dataflow.calls if call[0] == "create"]
    assert name.startswith("lockstep-guests-")
    assert name != job.told["name"]
    scratch = anew.opened().objects.names("scratch")
    assert {path.split("/")[1] for path in scratch} == {job.labels["lockstep-scratch"]}


# ----------------------------------------------------------------------------------- a job that a killed attempt left


def test_a_job_that_is_done_is_used(cloud: Cloud, task: Task) -> None:
    """What the job of a killed attempt has made meanwhile is recorded, without another job."""
    job, taking = task.left_job(cloud)
    runner = runner_of(DIRECT, Submission(name="left"))
    run_pipeline(taking.dataset, list(taking.files), uri=task.registry, scratch=taking.scratch, runner=runner)
    cloud.dataflow.end(job, "JOB_STATE_DONE")
    operator = task.operator()
    found = operator.execute(task.context(operator))
    assert found["job"] == job.number
    assert created(cloud) == 0
    assert DataflowJobLink().get_link(operator, ti_key=None).endswith(f"/{job.number}?project={PROJECT}")
    assert task.opened().objects.names("scratch") == []


def test_the_trigger_outlives_a_service_that_stumbles(cloud: Cloud, task: Task) -> None:
    """429, 503 and lost answers don't end the wait; the job's end does, and a worker's error is told as it was."""
    job, taking = task.left_job(cloud)
    waiting = task.start()
    for status in (429, 503):
        cloud.dataflow.refuse("get", status)
    cloud.dataflow.lose("get")
    objects = task.opened().objects
    objects.put(f"{taking.scratch}/error-0.json", b'{"kind": "DataError", "text": "File gs://b/f is no CSV."}')
    cloud.dataflow.end(job, "JOB_STATE_FAILED", "Workflow failed.")
    with pytest.raises(AirflowFailException, match=r"^File gs://b/f is no CSV\.$"):
        task.finish(waiting)
    assert objects.names("scratch") == []


def test_the_end_of_another_job_is_not_its_own(cloud: Cloud, task: Task) -> None:
    """An event on a job that another task waited for wakes it in vain: it waits on for its own."""
    job, taking = task.left_job(cloud)
    waiting = task.start()
    other = {**waiting.trigger.serialize()[1], "number": f"{job.number}0", "phase": "DONE"}
    with pytest.raises(TaskDeferred) as again:
        task.finish(waiting, other)
    assert again.value.trigger.serialize() == waiting.trigger.serialize()
    assert created(cloud) == 0
    assert task.opened().objects.names(taking.scratch) != []


@pytest.mark.parametrize(
    ("state", "said", "error", "message"),
    [
        ("JOB_STATE_FAILED", "SDK harness exited.", AirflowFailException, r"is failed: SDK harness exited\."),
        ("JOB_STATE_FAILED", "Quota 'CPUS' exceeded.", CloudUnusable, "because there was no room: Quota"),
        ("JOB_STATE_CANCELLED", "", AirflowFailException, "Somebody stopped it. Clear the task"),
        ("JOB_STATE_CANCELLING", "", AirflowFailException, "Somebody stopped it. Clear the task"),
        ("JOB_STATE_DRAINED", "", AirflowFailException, "stopped before all was read"),
        ("JOB_STATE_UPDATED", "", AirflowFailException, "never taken over by another job"),
    ],
)
def test_only_a_job_that_is_done_makes_a_snapshot(
    cloud: Cloud, task: Task, state: str, said: str, error: type[Exception], message: str
) -> None:
    """However else a job ends, the task fails with the reason; only a lack of room is tried again."""
    job, _ = task.left_job(cloud)
    waiting = task.start()
    cloud.dataflow.end(job, state, *([said] if said else []))
    with pytest.raises(error, match=message):
        task.finish(waiting)
    assert task.opened().objects.names("") in ([], ["probe"])


def test_a_kill_while_it_asks_cancels_the_job(cloud: Cloud, task: Task) -> None:
    """A task that is killed before it waits cancels the job that it has found."""
    job, _ = task.left_job(cloud)
    operator = task.operator()
    operator._is_killed = True  # as on_kill leaves it, when the kill comes while the task asks
    with pytest.raises(AirflowException, match="was cancelled"):
        operator.execute(task.context(operator))
    assert job.state == "JOB_STATE_CANCELLED"


def test_a_launcher_that_outlives_its_task_submits_nothing(cloud: Cloud, task: Task) -> None:
    """A task that is killed while its launcher works closes the scratch, without which no launcher submits."""
    operator, registry = task.operator(), task.opened()
    taking = start_snapshot(registry, dataset(), task.engine, "0" * 32)
    operator._opened = registry, taking.scratch  # as it is while the launcher works
    operator.on_kill()
    with pytest.raises(ObjectMissing):
        launcher.submit(f"{task.registry}/{taking.scratch}/spec.json", runner_of(task.engine, Submission(name="late")))
    assert created(cloud) == 0


def test_a_project_that_is_unknown_is_told_at_once(cloud: Cloud, task: Task) -> None:
    """What Dataflow would refuse again fails the task with what to look at."""
    cloud.dataflow.refuse("list", 403)
    operator = task.operator()
    with pytest.raises(AirflowFailException, match="rights of connection google_cloud_default"):
        operator.execute(task.context(operator))


def test_a_source_on_this_machine_is_refused(
    cloud: Cloud, task: Task, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A local source is refused before anything is submitted or written."""
    path = tmp_path_factory.mktemp("source") / "guests.csv"
    path.write_text("name,age,stays\ng1,2,yes\n")
    local = replace(dataset(), source=csv(str(path)))
    here = replace(task, graph=graph_of(local))
    operator = here.operator()
    with pytest.raises(AirflowFailException, match="Dataflow's workers hold Google's credentials alone"):
        operator.execute(here.context(operator))
    assert created(cloud) == 0
    assert here.opened().objects.names("") == []
