"""Custom jobs on loopback, by the official clients: they run, end, are found, and fail in every way that is wanted."""

import asyncio
import io
import json
import signal
import zipfile
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import JobServiceAsyncClient, JobServiceClient

from loopback.google import PROJECT, Google
from loopback.vertex import Image, Job, State, Vertex, vertex
from tests.loopback.conftest import ENDPOINT, PARENT, job

PRINTS = "import json, os; print(json.dumps(dict(os.environ)))"
SLEEPS = "import time; print('begun', flush=True); time.sleep(600)"


@pytest.fixture
def client(service: Vertex) -> JobServiceClient:
    """Make the official client."""
    assert service.port
    return JobServiceClient(**ENDPOINT)


def create(client: JobServiceClient, program: str, **labels: str) -> str:
    """Create a job; gives its resource name."""
    return str(client.create_custom_job(parent=PARENT, custom_job=job(program, **labels)).name)


def of(service: Vertex, name: str) -> Job:
    """Find the job behind a name."""
    return next(one for one in service.jobs.all if one.name == name)


def test_a_job_runs_as_in_a_container(client: JobServiceClient, service: Vertex) -> None:
    """It sees what its specification and Vertex AI say, and nothing of this process's environment."""
    name = create(client, PRINTS)
    assert service.jobs.wait(of(service, name)) is State.JOB_STATE_SUCCEEDED
    seen = json.loads(of(service, name).container.lines[-1].text)
    assert seen["SAID"] == "by the specification"
    assert seen["CLOUD_ML_JOB_ID"] == name.rpartition("/")[2]
    assert not {"HTTPS_PROXY", "GOOGLE_APPLICATION_CREDENTIALS", "AIRFLOW_HOME", "PYTEST_CURRENT_TEST"} & set(seen)
    told = client.get_custom_job(name=name)
    assert told.state == State.JOB_STATE_SUCCEEDED
    assert told.create_time <= told.start_time <= told.end_time


def test_its_python_holds_the_core_but_neither_airflow_nor_beam(client: JobServiceClient, service: Vertex) -> None:
    """The environment of a job is that of a training container."""
    program = (
        "import importlib.util as u\n"
        "print([name for name in ('lockstep', 'sklearn', 'obstore', 'airflow', 'apache_beam') if u.find_spec(name)])"
    )
    asked = job(program)
    asked["job_spec"]["worker_pool_specs"][0]["container_spec"]["command"] = ["python", "-c"]
    name = str(client.create_custom_job(parent=PARENT, custom_job=asked).name)
    assert service.jobs.wait(of(service, name)) is State.JOB_STATE_SUCCEEDED
    assert of(service, name).container.lines[-1].text == "['lockstep', 'sklearn', 'obstore']"


def test_states_come_in_order(client: JobServiceClient, service: Vertex) -> None:
    """A job is queued, waits for its machine, runs, and ends."""
    seen = []
    with service.jobs.holding(State.JOB_STATE_PENDING):
        with service.jobs.holding(State.JOB_STATE_QUEUED):
            name = create(client, "pass")
            seen.append(client.get_custom_job(name=name).state)
        seen.append(service.jobs.wait(of(service, name), State.JOB_STATE_PENDING))
    seen.append(service.jobs.wait(of(service, name)))
    assert seen == [State.JOB_STATE_QUEUED, State.JOB_STATE_PENDING, State.JOB_STATE_SUCCEEDED]


def test_a_failure_tells_the_stack_trace(client: JobServiceClient, service: Vertex) -> None:
    """The error of a failed job ends as what it said; all of that is in Cloud Logging."""
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

    name = create(client, "print('at work')\nraise RuntimeError('no luck')")
    assert service.jobs.wait(of(service, name)) is State.JOB_STATE_FAILED
    error = client.get_custom_job(name=name).error
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "workerpool0-0 exited with a non-zero status of 1" in error.message
    assert "RuntimeError: no luck" in error.message
    asked: dict[str, Any] = {
        "resource_names": [f"projects/{PROJECT}"],
        "filter": f'resource.type="ml_job" AND resource.labels.job_id="{name.rpartition("/")[2]}"',
        "order_by": "timestamp asc",
    }
    said = [entry.json_payload["message"] for entry in LoggingServiceV2Client().list_log_entries(request=asked)]
    assert (said[0], said[-1]) == ("at work", "RuntimeError: no luck")


def test_jobs_are_found_by_their_labels(client: JobServiceClient, service: Vertex) -> None:
    """A filter speaks of labels and states; the newest job comes first."""
    names = [create(client, "pass", key=key, lot="found") for key in ("a", "b", "a")]
    for name in names:
        service.jobs.wait(of(service, name))

    def found(text: str) -> list[str]:
        return [one.name for one in client.list_custom_jobs(request={"parent": PARENT, "filter": text, "page_size": 1})]

    assert found('labels.lot="found" AND labels.key="a"') == [names[2], names[0]]
    assert found('labels.lot="found" AND (labels.key="b" OR labels.key="c")') == [names[1]]
    assert found('labels.lot="found" NOT labels.key="a"') == [names[1]]
    assert found('labels.lot="found" AND state!="JOB_STATE_SUCCEEDED"') == []
    with pytest.raises(exceptions.InvalidArgument, match="Invalid filter"):
        found("labels.lot=")


def test_a_cancelled_job_ends_its_process(client: JobServiceClient, service: Vertex) -> None:
    """Cancelling ends what runs; a job that has ended can be deleted, and not before."""
    name = create(client, SLEEPS)
    one = of(service, name)
    service.jobs.wait(one, State.JOB_STATE_RUNNING)
    with pytest.raises(exceptions.FailedPrecondition):
        client.delete_custom_job(name=name)
    client.cancel_custom_job(name=name)
    assert service.jobs.wait(one) is State.JOB_STATE_CANCELLED
    assert one.container.exited()
    client.delete_custom_job(name=name).result()
    with pytest.raises(exceptions.NotFound):
        client.get_custom_job(name=name)


def test_a_job_is_paused_preempted_or_expires(client: JobServiceClient, service: Vertex) -> None:
    """What can befall a job from outside shows in its state and error."""
    paused, lost, late = (of(service, create(client, SLEEPS)) for _ in range(3))
    for one in (paused, lost, late):
        service.jobs.wait(one, State.JOB_STATE_RUNNING)
    service.jobs.pause(paused)
    assert client.get_custom_job(name=paused.name).state == State.JOB_STATE_PAUSED
    service.jobs.resume(paused)
    assert client.get_custom_job(name=paused.name).state == State.JOB_STATE_RUNNING
    service.jobs.fail(lost, grpc.StatusCode.ABORTED, "The replica workerpool0-0 was preempted.")
    assert client.get_custom_job(name=lost.name).error.message == "The replica workerpool0-0 was preempted."
    service.jobs.expire(late)
    assert client.get_custom_job(name=late.name).state == State.JOB_STATE_EXPIRED
    paused.container.signal(signal.SIGKILL)
    assert service.jobs.wait(paused) is State.JOB_STATE_FAILED


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        (grpc.StatusCode.UNAVAILABLE, exceptions.ServiceUnavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, exceptions.ResourceExhausted),
        (grpc.StatusCode.DEADLINE_EXCEEDED, exceptions.DeadlineExceeded),
        (grpc.StatusCode.PERMISSION_DENIED, exceptions.PermissionDenied),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_refused_call_does_nothing(
    client: JobServiceClient, service: Vertex, code: grpc.StatusCode, seen: type[Exception]
) -> None:
    """503, 429, a deadline, or no permission: the client sees it once, and there is no job."""
    before = len(service.jobs.all)
    service.faults.refuse("CreateCustomJob", code, "as asked for")
    with pytest.raises(seen, match="as asked for"):
        create(client, "pass")
    assert len(service.jobs.all) == before
    create(client, "pass")


def test_a_lost_answer_leaves_a_job(client: JobServiceClient, service: Vertex) -> None:
    """The line is cut after the job was created: the client sees 503, and the job is there."""
    before = len(service.jobs.all)
    service.faults.lose("CreateCustomJob")
    with pytest.raises(exceptions.ServiceUnavailable):
        create(client, "pass", lost="yes")
    assert len(service.jobs.all) == before + 1
    assert [one.name for one in client.list_custom_jobs(request={"parent": PARENT, "filter": 'labels.lost="yes"'})]


@pytest.mark.parametrize("how", ["delay", "silence"])
def test_an_answer_that_does_not_come_runs_into_the_deadline(
    client: JobServiceClient, service: Vertex, how: str
) -> None:
    """The client gives up by its own deadline; the job is there if the service only answered late."""
    before = len(service.jobs.all)
    getattr(service.faults, how)("CreateCustomJob")
    with pytest.raises(exceptions.DeadlineExceeded):
        client.create_custom_job(parent=PARENT, custom_job=job("pass"), timeout=0.3)
    assert len(service.jobs.all) - before == (how == "delay")


def test_async_client_sees_the_same(service: Vertex) -> None:
    """The asynchronous client comes in by the same variables."""

    async def play() -> str:
        client = JobServiceAsyncClient(**ENDPOINT)
        service.faults.refuse("CreateCustomJob", grpc.StatusCode.UNAVAILABLE)
        with pytest.raises(exceptions.ServiceUnavailable):
            await client.create_custom_job(parent=PARENT, custom_job=job("pass"))
        made = await client.create_custom_job(parent=PARENT, custom_job=job("pass", name="later"))
        service.jobs.wait(of(service, made.name))
        told = await client.get_custom_job(name=made.name)
        assert told.state == State.JOB_STATE_SUCCEEDED
        await client.transport.close()
        return str(told.display_name)

    assert asyncio.run(play()) == "later"


def package() -> bytes:
    """Make a wheel by hand: one module, and what pip has to know."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as wheel:
        wheel.writestr("at_work.py", "import sys; print('packaged', sys.argv[1:])")
        wheel.writestr("at_work-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: at-work\nVersion: 1\n")
        wheel.writestr("at_work-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("at_work-1.dist-info/RECORD", "")
    return held.getvalue()


def test_a_python_package_is_fetched_and_installed(way: Google, tmp_path: Path) -> None:
    """A job of Google's own image installs the packages that it names, without Lockstep's core beside it."""
    from loopback.servers import BUCKET, ask, gcs

    with gcs(tmp_path / "gcs") as storage:
        where = f"http://127.0.0.1:{storage.port}/{BUCKET}/at_work-1-py3-none-any.whl"
        ask("PUT", where, package())
        with vertex(
            tmp_path / "vertex", way.proxy, variables=storage.environment(), image=lambda _: Image(core=False)
        ) as service:
            asked = job("")
            pool = asked["job_spec"]["worker_pool_specs"][0]
            del pool["container_spec"]
            pool["python_package_spec"] = {
                "executor_image_uri": "europe-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-6:latest",
                "package_uris": [f"gs://{BUCKET}/at_work-1-py3-none-any.whl"],
                "python_module": "at_work",
                "args": ["--much"],
            }
            JobServiceClient(**ENDPOINT).create_custom_job(parent=PARENT, custom_job=asked)
            (one,) = service.jobs.all
            assert service.jobs.wait(one) is State.JOB_STATE_SUCCEEDED
            assert one.container.lines[-1].text == "packaged ['--much']"
            assert "PYTHONPATH" in one.container.variables
            assert not (one.container.folder / "image").exists()
