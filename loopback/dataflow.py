"""Dataflow's REST interface on this machine: jobs are created, listed, looked at and cancelled, and really run.

Rules:
- A job runs the pipeline that the client staged, in a process that has Beam and its libraries, what the job's packages
  bring, and nothing else of this project.
- As the service has it: a request that comes again gives the same job, a name is run once at a time, a listing shows
  summaries without labels, and a job that has ended can't be changed.
- What becomes of a call is said before it comes: refused with a status, or carried out with its answer lost.
"""

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Condition, Thread
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from loopback.google import Google, authority
from loopback.relay import Message, serving

HOST: Final = "dataflow.googleapis.com"
ENDED: Final = frozenset(f"JOB_STATE_{state}" for state in ("DONE", "FAILED", "CANCELLED", "DRAINED", "UPDATED"))
_JOBS: Final = re.compile(r"/v1b3/projects/([^/]+)/locations/([^/]+)/jobs(?:/([^/]+)(/messages)?)?")
_SUMMARY: Final = ("id", "projectId", "name", "type", "currentState", "createTime", "location", "clientRequestId")
_PAGE: Final = 2  # jobs, so that clients have to turn pages
_SAID: Final = 3000  # characters of a worker's output that a message holds
_STATUSES: Final = {400: "FAILED_PRECONDITION", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
_LOST: Final = 0


@dataclass(slots=True, kw_only=True)
class Job:
    """A job: `told` is what the client asked for."""

    told: dict[str, Any]
    number: str
    project: str
    region: str
    state: str = "JOB_STATE_PENDING"
    messages: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def labels(self) -> dict[str, str]:
        """By which the client finds it again."""
        return dict(self.told.get("labels", {}))

    def as_json(self, *, whole: bool) -> dict[str, Any]:
        """As a listing shows it, or whole."""
        found = {**self.told, "id": self.number, "projectId": self.project, "location": self.region}
        found["currentState"] = self.state
        return found if whole else {name: found[name] for name in _SUMMARY if name in found}


class Dataflow:
    """The service; `calls` are those that came in, as ("create", job's name or number)."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.jobs: list[Job] = []
        self.calls: list[tuple[str, str]] = []
        self._folder, self._variables = folder, variables
        self._faults: dict[str, list[int]] = {}
        self._holds = False
        self._changed = Condition()

    # ------------------------------------------------------------------------------------------------------- on demand

    def refuse(self, call: str, status: int, *, times: int = 1) -> None:
        """Let calls (`create`, `list`, `get`, `update`, `messages`) fail with a status."""
        self._faults.setdefault(call, []).extend([status] * times)

    def lose(self, call: str, *, times: int = 1) -> None:
        """Carry calls out, and hang up before the answer."""
        self.refuse(call, _LOST, times=times)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Jobs that are created in the block stay running, until they are cancelled or `end` says how they end."""
        self._holds = True
        try:
            yield
        finally:
            self._holds = False

    def end(self, job: Job, state: str, *messages: str) -> None:
        """Let a job end."""
        with self._changed:
            job.messages += messages
            job.state = state
            self._changed.notify_all()

    def wait(self, count: int, timeout: float = 120) -> Job:
        """The job of that number, counted from one, as soon as it runs."""
        with self._changed:
            running = self._changed.wait_for(
                lambda: len(self.jobs) >= count and self.jobs[count - 1].state != "JOB_STATE_PENDING", timeout
            )
            assert running, f"there are {len(self.jobs)} jobs"
            return self.jobs[count - 1]

    # ------------------------------------------------------------------------------------------------------- the wire

    def answer(self, request: Message) -> Message | None:
        """Carry a request out."""
        url = urlsplit(request.path)
        found = _JOBS.fullmatch(url.path)
        if found is None:
            return _refusal(404, f"{url.path} is not known here")
        project, region, number, messages = found.groups()
        call = _call(request.method, number, messages)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = json.loads(request.body or b"{}")
        with self._changed:
            self.calls.append((call, number or body.get("name") or asked.get("name", "")))
            waiting = self._faults.get(call)
            fault = waiting.pop(0) if waiting else None
            if fault:
                return _refusal(fault, f"Injected: {_STATUSES.get(fault, fault)}")
            if call == "create":
                answer = self._create(project, region, body)
            elif call == "list":
                answer = self._list(project, region, asked)
            else:
                answer = self._one(call, number, asked, body)
            self._changed.notify_all()
        return None if fault == _LOST else answer

    def close(self) -> None:
        """End what runs."""
        with self._changed:
            for job in self.jobs:
                if job.process is not None:
                    job.process.kill()

    def _create(self, project: str, region: str, body: dict[str, Any]) -> Message:
        again = [job for job in self.jobs if job.told.get("clientRequestId") == body.get("clientRequestId")]
        named = [job for job in self.jobs if job.told["name"] == body["name"] and job.state not in ENDED]
        if there := [*again, *named]:
            return _json(there[0].as_json(whole=True))
        now = datetime.now(UTC)
        number = f"{now:%Y-%m-%d_%H_%M_%S}-{len(self.jobs) + 1:019}"
        told = {**body, "createTime": f"{now:%Y-%m-%dT%H:%M:%S.%f}Z"}
        job = Job(told=told, number=number, project=project, region=region)
        self.jobs.append(job)
        if self._holds:
            job.state = "JOB_STATE_RUNNING"
        else:
            Thread(target=self._run, args=(job,), daemon=True).start()
        return _json(job.as_json(whole=True))

    def _list(self, project: str, region: str, asked: dict[str, str]) -> Message:
        here = [job for job in self.jobs if (job.project, job.region) == (project, region)]
        wanted = [job for job in here if asked.get("name") in (None, job.told["name"])]
        start = int(asked.get("pageToken", 0))
        page = [job.as_json(whole=False) for job in wanted[start : start + _PAGE]]
        more = {"nextPageToken": str(start + _PAGE)} if len(wanted) > start + _PAGE else {}
        return _json({"jobs": page, **more} if page else {})

    def _one(self, call: str, number: str, asked: dict[str, str], body: dict[str, Any]) -> Message:
        job = next((job for job in self.jobs if job.number == number), None)
        if job is None:
            return _refusal(404, f"({number}): Information about job {number} could not be found in our system.")
        if call == "messages":
            said = [{"messageText": text, "messageImportance": "JOB_MESSAGE_ERROR"} for text in job.messages]
            return _json({"jobMessages": said} if said else {})
        if call == "update":
            if job.state in ENDED:
                return _refusal(400, f"Workflow modification failed. Causes: {number} is in {job.state}.")
            job.state = _state(body["requestedState"])
            if job.process is not None:
                job.process.kill()
        return _json(job.as_json(whole=asked.get("view", "JOB_VIEW_SUMMARY") != "JOB_VIEW_SUMMARY"))

    def _run(self, job: Job) -> None:
        folder = self._folder / job.number
        folder.mkdir(parents=True)
        options = job.told["environment"]["sdkPipelineOptions"]["options"]
        # -S: this Python's .pth files lead to the project, which a worker in the cloud has not
        command = [sys.executable, "-S", "-P", str(Path(__file__).with_name("dataflow_worker.py"))]
        command += [sysconfig.get_path("purelib"), options["pipelineUrl"], str(folder)]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "OPENBLAS_CORETYPE") if name in os.environ}
        with (folder / "log").open("wb") as log, self._changed:
            if job.state in ENDED:
                return
            job.process = subprocess.Popen(
                command, cwd=folder, env=kept | self._variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            job.state = "JOB_STATE_RUNNING"
            self._changed.notify_all()
        status = job.process.wait()
        said = (folder / "log").read_text(errors="replace")[-_SAID:]
        with self._changed:
            if job.state not in ENDED:
                job.state = "JOB_STATE_DONE" if status == 0 else "JOB_STATE_FAILED"
                job.messages += (
                    [] if status == 0 else [f"Workflow failed. Causes: a worker ended with {status}: {said}"]
                )
            self._changed.notify_all()


@contextmanager
def dataflow(folder: Path, way: Google, *, variables: Mapping[str, str]) -> Iterator[tuple[Dataflow, dict[str, str]]]:
    """Run it until the block ends; gives also the variables that its clients need beside those of the way.

    Beam's own client speaks REST to an endpoint on localhost alone, so it is told one; the others come by the way.
    """
    service = Dataflow(folder, variables)
    with serving(service) as plain, serving(service, tls=authority().context()) as port:
        way.proxy.route(HOST, port)
        leads = {"CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAFLOW": f"http://localhost:{plain}"}
        yield service, leads | {"HTTPLIB2_CA_CERTS": str(authority().trusted)}


def _call(method: str, number: str | None, messages: str | None) -> str:
    if messages:
        return "messages"
    if number is None:
        return "create" if method == "POST" else "list"
    return "update" if method == "PUT" else "get"


def _state(told: int | str) -> str:
    """Clients say a state by its name or by its number."""
    from google.cloud.dataflow_v1beta3 import JobState

    return told if isinstance(told, str) else str(JobState(told).name)


def _json(body: Any, status: int = 200) -> Message:  # noqa: ANN401  any JSON
    return Message(status=status, headers={"Content-Type": "application/json"}, body=json.dumps(body).encode())


def _refusal(status: int, message: str) -> Message:
    return _json({"error": {"code": status, "message": message, "status": _STATUSES.get(status, "UNKNOWN")}}, status)
