"""The JobService: custom jobs that really run, each as a process of its own, and their logs.

Rules:
- A job goes QUEUED → PENDING → RUNNING → SUCCEEDED, FAILED, CANCELLED or EXPIRED, and never back, but for a pause.
- It runs its first worker pool: the command and arguments of a container, or Python packages that are installed first.
- A job that failed says its exit status and the end of what it said, as Vertex AI does; all of it is in Cloud Logging.
- All jobs that were ever created are in `all`, so that a test can say that there is no second one.
"""

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from threading import Condition, RLock, Thread
from typing import Any, Final

import grpc
from google.cloud.aiplatform_v1 import types
from google.cloud.logging_v2 import types as logging_types
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, struct_pb2
from obstore.store import GCSStore

from loopback.vertex.containers import Container, Image
from loopback.vertex.operations import Operations
from loopback.vertex.wire import Method, Refused, canonical, missing, page, parent_of, parse_filter

SERVICE: Final = "google.cloud.aiplatform.v1.JobService"
LOGGING: Final = "google.logging.v2.LoggingServiceV2"
State = types.JobState
ENDED: Final = {
    State.JOB_STATE_SUCCEEDED, State.JOB_STATE_FAILED, State.JOB_STATE_CANCELLED, State.JOB_STATE_EXPIRED,
}  # fmt: skip
_FIRST: Final = 1_000_000_000  # number of the first job


class Job:
    """A custom job, what was asked, and its container."""

    def __init__(self, told: types.CustomJob, container: Container) -> None:
        self.told = told
        self.container = container
        self.created: datetime = told.create_time

    @property
    def name(self) -> str:
        """The resource name, with the project's number."""
        return str(self.told.name)

    @property
    def state(self) -> State:
        """Where it stands."""
        return State(self.told.state)


class Jobs:
    """All jobs of one service; `image` says what lies in an image, by its URI."""

    def __init__(
        self, folder: Path, variables: Mapping[str, str], image: Callable[[str], Image], operations: Operations
    ) -> None:
        self.all: list[Job] = []  # also those that were deleted
        self._folder, self._variables, self._image, self._operations = folder, variables, image, operations
        self._deleted: set[str] = set()
        self._lock = RLock()
        self._moved = Condition(self._lock)
        self._held: set[State] = set()

    # what a test says

    @contextmanager
    def holding(self, state: State) -> Iterator[None]:
        """Let no job leave a state (QUEUED, PENDING) until the block ends."""
        with self._moved:
            self._held.add(state)
        try:
            yield
        finally:
            with self._moved:
                self._held.discard(state)
                self._moved.notify_all()

    def wait(self, job: Job, *states: State, seconds: float = 120) -> State:
        """Wait until a job stands in one of some states, by default where it has ended."""
        wanted = states or tuple(ENDED)
        with self._moved:
            reached = self._moved.wait_for(lambda: job.state in wanted, seconds)
        assert reached, f"{job.name} is {job.state.name} after {seconds} s: {job.container.tail()}"
        return job.state

    def fail(self, job: Job, code: grpc.StatusCode, message: str) -> None:
        """Let the service fail a job: its machine was preempted (ABORTED), a quota is used up (RESOURCE_EXHAUSTED)."""
        self._end(job, State.JOB_STATE_FAILED, code, message)
        job.container.kill()

    def expire(self, job: Job) -> None:
        """Let a job reach its time limit."""
        self._end(job, State.JOB_STATE_EXPIRED, grpc.StatusCode.DEADLINE_EXCEEDED, "The job has reached its timeout.")
        job.container.end()

    def pause(self, job: Job) -> None:
        """Stop a job where it stands."""
        job.container.signal(SIGSTOP)
        self._move(job, State.JOB_STATE_PAUSED)

    def resume(self, job: Job) -> None:
        """Let a paused job go on."""
        self._move(job, State.JOB_STATE_RUNNING)
        job.container.signal(SIGCONT)

    def close(self) -> None:
        """End all that still run."""
        with self._moved:
            self._held.clear()
            self._moved.notify_all()
        for job in self.all:
            self._end(job, State.JOB_STATE_CANCELLED)
            job.container.end()

    # what clients ask

    def methods(self) -> dict[str, Method]:
        """The methods of the JobService."""
        return {
            "CreateCustomJob": Method(self._create, types.CreateCustomJobRequest, types.CustomJob),
            "GetCustomJob": Method(self._get, types.GetCustomJobRequest, types.CustomJob),
            "ListCustomJobs": Method(self._list, types.ListCustomJobsRequest, types.ListCustomJobsResponse),
            "CancelCustomJob": Method(self._cancel, types.CancelCustomJobRequest, empty_pb2.Empty),
            "DeleteCustomJob": Method(self._delete, types.DeleteCustomJobRequest, operations_pb2.Operation),
        }

    def logging_methods(self) -> dict[str, Method]:
        """The methods of Cloud Logging that read what jobs said."""
        asked, answer = logging_types.ListLogEntriesRequest, logging_types.ListLogEntriesResponse
        return {"ListLogEntries": Method(self._entries, asked, answer)}

    def _create(self, request: types.CreateCustomJobRequest) -> types.CustomJob:
        parent, told = canonical(request.parent), types.CustomJob(request.custom_job)
        pools = told.job_spec.worker_pool_specs
        if not told.display_name or not pools or not pools[0].machine_spec.machine_type:
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                "display_name and job_spec.worker_pool_specs with a machine are needed.",
            )
        with self._lock:
            number = str(_FIRST + len(self.all))
            told.name = f"{parent}/customJobs/{number}"
            told.create_time = told.update_time = datetime.now(UTC)
            told.state = State.JOB_STATE_QUEUED
            job = Job(told, self._container(told, number, parent))
            self.all.append(job)
            answer = types.CustomJob(told)
        Thread(target=self._run, args=(job,), daemon=True).start()
        return answer

    def _container(self, told: types.CustomJob, number: str, parent: str) -> Container:
        pool = told.job_spec.worker_pool_specs[0]
        _, project, _, region = parent.split("/")
        out = told.job_spec.base_output_directory.output_uri_prefix.rstrip("/")
        places = {"MODEL": "model", "CHECKPOINT": "checkpoints", "TENSORBOARD_LOG": "logs"} if out else {}
        spec, uri = pool.container_spec, pool.container_spec.image_uri
        if pool.python_package_spec.executor_image_uri:
            spec, uri = pool.python_package_spec, pool.python_package_spec.executor_image_uri
        variables = {
            **self._variables,
            "CLOUD_ML_PROJECT_ID": project,
            "CLOUD_ML_JOB_ID": number,
            "CLOUD_ML_REGION": region,
            "CLUSTER_SPEC": json.dumps(
                {"cluster": {"workerpool0": []}, "environment": "cloud", "task": {"type": "workerpool0", "index": 0}}
            ),
            **{f"AIP_{name}_DIR": f"{out}/{place}/" for name, place in places.items()},
            **{one.name: one.value for one in spec.env},
        }
        command = [*getattr(spec, "command", ()), *spec.args]
        return Container(self._image(uri), command, variables, self._folder / number)

    def _run(self, job: Job) -> None:
        spec, container = job.told.job_spec.worker_pool_specs[0].python_package_spec, job.container
        for state in (State.JOB_STATE_PENDING, State.JOB_STATE_RUNNING):
            with self._moved:
                self._moved.wait_for(lambda: job.state not in self._held)
            if not self._move(job, state):
                return
        status, command = 0, container.command
        try:
            if spec.executor_image_uri:
                status = _install(container, [*spec.package_uris])
                command = [str(container.image.programs / "python"), "-m", spec.python_module, *spec.args]
            status = status or container.run(command)
        except Exception as error:  # noqa: BLE001  the job tells it, as it would tell that an image can't be had
            container.say(f"{type(error).__name__}: {error}")
            status = 1
        if status == 0:
            self._end(job, State.JOB_STATE_SUCCEEDED)
        else:
            message = (
                f"The replica workerpool0-0 exited with a non-zero status of {status}. Termination reason: Error.\n"
            )
            logs = (
                f"https://console.cloud.google.com/logs/viewer?resource=ml_job%2Fjob_id%2F{job.name.rpartition('/')[2]}"
            )
            message += f"{container.tail()}\nTo find out more about why your job exited please check the logs: {logs}"
            self._end(job, State.JOB_STATE_FAILED, grpc.StatusCode.INVALID_ARGUMENT, message)

    def _move(self, job: Job, state: State) -> bool:
        with self._moved:
            if job.state in ENDED or job.state is State.JOB_STATE_CANCELLING:
                return False
            job.told.state, job.told.update_time = state, datetime.now(UTC)
            if state is State.JOB_STATE_RUNNING and "start_time" not in job.told:
                job.told.start_time = datetime.now(UTC)
            self._moved.notify_all()
            return True

    def _end(self, job: Job, state: State, code: grpc.StatusCode = grpc.StatusCode.OK, message: str = "") -> None:
        with self._moved:
            if job.state in ENDED or (
                job.state is State.JOB_STATE_CANCELLING and state is not State.JOB_STATE_CANCELLED
            ):
                return
            job.told.state, job.told.end_time = state, datetime.now(UTC)
            job.told.update_time = job.told.end_time
            if code is not grpc.StatusCode.OK:
                job.told.error = {"code": code.value[0], "message": message}
            self._moved.notify_all()

    def _find(self, name: str) -> Job:
        wanted = canonical(name)
        for job in self.all:
            if job.name == wanted and wanted not in self._deleted:
                return job
        raise missing(name)

    def _get(self, request: types.GetCustomJobRequest) -> types.CustomJob:
        with self._lock:
            return types.CustomJob(self._find(request.name).told)

    def _list(self, request: types.ListCustomJobsRequest) -> types.ListCustomJobsResponse:
        parent, wanted = parent_of(request.parent), parse_filter(request.filter)
        with self._lock:
            found = [
                job.told
                for job in reversed(self.all)
                if job.name.startswith(parent + "/") and job.name not in self._deleted and wanted(_fields(job.told))
            ]
            some, token = page(found, request.page_size, request.page_token)
            return types.ListCustomJobsResponse(
                custom_jobs=[types.CustomJob(one) for one in some], next_page_token=token
            )

    def _cancel(self, request: types.CancelCustomJobRequest) -> empty_pb2.Empty:
        with self._moved:
            job = self._find(request.name)
            if job.state not in ENDED:
                job.told.state = State.JOB_STATE_CANCELLING
                self._moved.notify_all()
                Thread(target=self._stop, args=(job,), daemon=True).start()
        return empty_pb2.Empty()

    def _stop(self, job: Job) -> None:
        job.container.end()
        self._end(job, State.JOB_STATE_CANCELLED, grpc.StatusCode.CANCELLED, "The job was cancelled.")

    def _delete(self, request: types.DeleteCustomJobRequest) -> operations_pb2.Operation:
        with self._lock:
            job = self._find(request.name)
            if job.state not in ENDED:
                raise Refused(grpc.StatusCode.FAILED_PRECONDITION, f"{job.name} has not ended; cancel it first.")

        def work() -> empty_pb2.Empty:
            self._deleted.add(job.name)
            return empty_pb2.Empty()

        return self._operations.start("DeleteCustomJob", job.name, work)

    def _entries(self, request: logging_types.ListLogEntriesRequest) -> logging_types.ListLogEntriesResponse:
        wanted = parse_filter(request.filter)
        found = []
        for job in list(self.all):
            number = job.name.rpartition("/")[2]
            fields = {"resource.type": "ml_job", "resource.labels.job_id": number}
            if wanted(fields):
                found += [_entry(job, number, *line) for line in enumerate(list(job.container.lines))]
        found.sort(key=lambda entry: entry.timestamp, reverse=request.order_by == "timestamp desc")
        some, token = page(found, request.page_size, request.page_token)
        return logging_types.ListLogEntriesResponse(entries=some, next_page_token=token)


def _fields(told: types.CustomJob) -> Mapping[str, Any]:
    """What a filter may name."""
    own = {"display_name": told.display_name, "state": State(told.state).name, "name": told.name}
    return own | {f"labels.{key}": value for key, value in told.labels.items()}


def _entry(job: Job, number: str, index: int, line: Any) -> logging_types.LogEntry:  # noqa: ANN401  a line of a container
    said = struct_pb2.Struct()
    said.update({"message": line.text, "attrs": {"tag": "workerpool0-0"}})
    project = job.name.split("/")[1]
    return logging_types.LogEntry(
        log_name=f"projects/{project}/logs/workerpool0-0",
        resource={"type": "ml_job", "labels": {"job_id": number, "task_name": "workerpool0-0", "project_id": project}},
        timestamp=line.at,
        insert_id=f"{number}-{index:08}",
        json_payload=said,
    )


def _install(container: Container, packages: Sequence[str]) -> int:
    """Fetch Python packages from buckets, and install them for this container alone, without what they depend on."""
    site = container.folder / "site"
    for uri in packages:
        bucket, _, path = uri.removeprefix("gs://").partition("/")
        archive = container.folder / path.rpartition("/")[2]
        archive.write_bytes(bytes(_bucket(bucket, container.variables).get(path).bytes()))
        command = [container.image.programs / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
        command += ["--no-build-isolation", "--disable-pip-version-check", "--target", site, archive]
        container.say("$ " + shlex.join(map(str, command)))
        if status := container.run([str(word) for word in command]):
            return status
    paths = [str(site), container.variables.get("PYTHONPATH", "")]
    container.variables["PYTHONPATH"] = ":".join(path for path in paths if path)
    return 0


def _bucket(name: str, variables: Mapping[str, str]) -> GCSStore:
    config: Any = {"base_url": variables["STORAGE_EMULATOR_HOST"], "skip_signature": True}
    return GCSStore(name, config=config, client_options={"allow_http": True})
