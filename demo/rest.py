"""A small client for the parts of Airflow's stable REST API (v2) that the demo, the tests and the benchmarks use.

Rules:

* Whatever is no success becomes one `RestError` that says method, path, status and what the server wrote. A server that
  can't be reached, or goes silent, has the status `NO_ANSWER`.
* A token that ran out is renewed once per request.
* Nothing is done twice. Airflow on SQLite now and then answers 500 when much happens at once: with "Database error"
  where it noticed the lock, bare where it did not. What may be asked twice is: reading, pausing, and a trigger, which
  carries its own run id, so that a second try can't start a second run.
"""

import json
import time
import uuid
from collections.abc import Callable, Collection
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

from demo.answers import Asset, AssetEvent, Dag, ImportFailure, Run, TaskInstance, log_line, moment

__all__ = ["Rest", "RestError", "RunNotFinished"]

TRIES = 6
PAUSE = 0.5  # seconds before a second try
EXCERPT = 400  # characters of a body that an error shows
NO_ANSWER = 0  # in place of an HTTP status


class RestError(Exception):
    """The server said no, or something that is not understood."""

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        excerpt = body if len(body) <= EXCERPT else f"{body[:EXCERPT]}…"
        super().__init__(f"{method} {path}: {status} {excerpt}")
        self.status = status
        self.body = body


class RunNotFinished(Exception):
    """A run took longer than the caller would wait; the message says how far each task got."""


Progress = Callable[[Run, list[TaskInstance]], None]


class Rest:
    """A logged-in user of one Airflow; a context manager that closes its connections."""

    def __init__(self, url: str, user: str, password: str, *, timeout: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._credentials = {"username": user, "password": password}
        self._http = httpx.Client(base_url=self.url, timeout=timeout)
        self._token: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # ------------------------------------------------------------------------------------------------------ the server

    def version(self) -> str:
        """Airflow's version."""
        return str(self._get("/api/v2/version")["version"])

    def health(self) -> dict[str, str]:
        """What Airflow says of metadatabase, scheduler, triggerer and dag_processor: "healthy" or "unhealthy".

        It goes by heartbeats, and so notices a death after `[scheduler] scheduler_health_check_threshold` seconds (30).
        """
        return {
            part: said["status"] or "unhealthy" for part, said in self._get("/api/v2/monitor/health").items() if said
        }

    def heartbeats(self) -> dict[str, datetime]:
        """When Airflow last heard from scheduler, triggerer and dag_processor; what it never heard from is missing."""
        said = self._get("/api/v2/monitor/health")
        beats = {
            part: (said.get(part) or {}).get(f"latest_{part}_heartbeat")
            for part in ("scheduler", "triggerer", "dag_processor")
        }
        return {part: moment(beat) for part, beat in beats.items() if beat}

    def warm(self) -> None:
        """Make the server build its execution API now, and not when the first task starts."""
        self._get("/execution/health")

    def import_errors(self) -> list[ImportFailure]:
        """Every DAG file that can't be imported."""
        found = self._get("/api/v2/importErrors", limit=100)["import_errors"]
        return [ImportFailure.read(error) for error in found]

    # -------------------------------------------------------------------------------------------------------- the DAGs

    def dags(self) -> list[Dag]:
        """Every DAG that was parsed."""
        found: list[Dag] = []
        while True:
            answer = self._get("/api/v2/dags", limit=100, offset=len(found), order_by="dag_id")
            found += [Dag.read(dag) for dag in answer["dags"]]
            if len(found) >= answer["total_entries"] or not answer["dags"]:
                return found

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run."""
        self._again("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Let a DAG start no further runs; those that run go on."""
        self._again("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": True})

    def unpause_all(self) -> list[str]:
        """Let every DAG run; returns those that were paused."""
        paused = [dag.dag_id for dag in self.dags() if dag.is_paused]
        for dag_id in paused:
            self.unpause(dag_id)
        return paused

    # --------------------------------------------------------------------------------------------------- the variables

    def set_variable(self, name: str, value: str) -> None:
        """Add one of Airflow's variables.

        Raises:
            RestError: it is there already (409).
        """
        self._send("POST", "/api/v2/variables", {"key": name, "value": value})

    # -------------------------------------------------------------------------------------------------------- the runs

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, *, run_id: str | None = None) -> Run:
        """Start a run with no logical date.

        Raises:
            RestError: the DAG is unknown (404), `conf` does not fit its params (400), or a run of that id is there
                (409).
        """
        chosen = run_id or f"by_hand__{uuid.uuid4().hex[:12]}"
        body = {"dag_run_id": chosen, "logical_date": None, "conf": conf or {}}
        try:
            return Run.read(self._again("POST", f"/api/v2/dags/{dag_id}/dagRuns", body))
        except RestError as error:
            if run_id is None and error.status == httpx.codes.CONFLICT:
                return self.run(dag_id, chosen)  # the first try had worked, and only its answer was lost
            raise

    def run(self, dag_id: str, run_id: str) -> Run:
        """A run as it is now."""
        return Run.read(self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"))

    def runs(self, dag_id: str, *, limit: int = 100) -> list[Run]:
        """The latest runs of a DAG, newest first."""
        found = self._get(f"/api/v2/dags/{dag_id}/dagRuns", limit=limit, order_by="-run_after")["dag_runs"]
        return [Run.read(run) for run in found]

    def wait(
        self, dag_id: str, run_id: str, *, timeout: float = 300.0, poll: float = 0.25, progress: Progress | None = None
    ) -> Run:
        """The run once it has finished, well or badly; `progress` sees it and its tasks after each poll.

        Raises:
            RunNotFinished: after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            run = self.run(dag_id, run_id)
            if progress:
                progress(run, self.task_instances(dag_id, run_id))
            if run.is_finished:
                return run
            if time.monotonic() > deadline:
                tasks = ", ".join(f"{task.task_id} {task.state}" for task in self.task_instances(dag_id, run_id))
                raise RunNotFinished(f"{dag_id} {run_id} is {run.state} after {timeout:g} s: {tasks or 'no tasks'}.")
            time.sleep(poll)

    def wait_for_new_run(
        self, dag_id: str, known: Collection[str], *, timeout: float = 60.0, poll: float = 0.25
    ) -> Run:
        """The oldest run whose id is not in `known`, for runs that an asset event or a schedule starts.

        Raises:
            RunNotFinished: after `timeout` seconds without one.
        """
        deadline = time.monotonic() + timeout
        while True:
            if new := [run for run in self.runs(dag_id) if run.run_id not in known]:
                return new[-1]
            if time.monotonic() > deadline:
                raise RunNotFinished(f"{dag_id}: no new run within {timeout:g} s; is the DAG paused?")
            time.sleep(poll)

    # ------------------------------------------------------------------------------------------------------- the tasks

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """The tasks of a run, each at its latest try."""
        found = self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=100)["task_instances"]
        return [TaskInstance.read(task) for task in found]

    def task(self, dag_id: str, run_id: str, task_id: str) -> TaskInstance:
        """One task of a run, at its latest try."""
        return TaskInstance.read(self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"))

    def log(self, dag_id: str, run_id: str, task_id: str, *, try_number: int | None = None) -> str:
        """The log of one try (the latest, unless said), one line a message, with the fields that a message carries."""
        number = try_number or max(self.task(dag_id, run_id, task_id).try_number, 1)
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{number}"
        return "\n".join(log_line(message) for message in self._get(path, full_content="true")["content"])

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value") -> Any:  # noqa: ANN401  any JSON
        """What a task left under a key.

        Raises:
            RestError: nothing is there (404).
        """
        return self._get(
            f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}", stringify="false"
        )["value"]

    # ------------------------------------------------------------------------------------------------------ the assets

    def assets(self) -> list[Asset]:
        """Every asset that a parsed DAG names."""
        found: list[Asset] = []
        while True:
            answer = self._get("/api/v2/assets", limit=100, offset=len(found), order_by="id")
            found += [Asset.read(asset) for asset in answer["assets"]]
            if len(found) >= answer["total_entries"] or not answer["assets"]:
                return found

    def asset_events(self, *, source_dag_id: str | None = None, limit: int = 100) -> list[AssetEvent]:
        """The latest asset events, newest first."""
        wanted: dict[str, str | int] = {"limit": limit, "order_by": "-timestamp"}
        if source_dag_id:
            wanted["source_dag_id"] = source_dag_id
        return [AssetEvent.read(event) for event in self._get("/api/v2/assets/events", **wanted)["asset_events"]]

    def send_event(self, name: str, extra: dict[str, Any] | None = None) -> None:
        """Say that something happened to an asset, as a task that has it as an outlet does.

        Raises:
            KeyError: no parsed DAG names such an asset.
        """
        ids = {asset.name: asset.asset_id for asset in self.assets()}
        self._send("POST", "/api/v2/assets/events", {"asset_id": ids[name], "extra": extra or {}})

    # -------------------------------------------------------------------------------------------------------- requests

    def _get(self, path: str, **query: str | int) -> Any:  # noqa: ANN401  any JSON
        return self._again("GET", path, query=query)

    def _again(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> Any:  # noqa: ANN401  any JSON
        """Send what does no harm when it is done twice, until it is no 500."""
        for _ in range(TRIES - 1):
            try:
                return self._send(method, path, body, query)
            except RestError as error:
                if error.status != httpx.codes.INTERNAL_SERVER_ERROR:
                    raise
                time.sleep(PAUSE)
        return self._send(method, path, body, query)

    def _send(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> Any:  # noqa: ANN401  any JSON
        answer = self._request(method, path, body, query)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._token = None
            answer = self._request(method, path, body, query)
        return _json(method, path, answer)

    def _request(self, method: str, path: str, body: Any, query: dict[str, Any] | None) -> httpx.Response:  # noqa: ANN401  any JSON
        if self._token is None:
            login = self._ask("POST", "/auth/token", self._credentials)
            self._token = str(_json("POST", "/auth/token", login)["access_token"])
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        return self._ask(method, path, body, query, headers)

    def _ask(
        self,
        method: str,
        path: str,
        body: Any,  # noqa: ANN401  any JSON
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        try:
            return self._http.request(method, path, json=body, params=query, headers=headers)
        except httpx.TransportError as error:
            raise RestError(method, path, NO_ANSWER, f"{type(error).__name__}: {error}") from error


def _json(method: str, path: str, answer: httpx.Response) -> Any:  # noqa: ANN401  any JSON
    if not answer.is_success:
        raise RestError(method, path, answer.status_code, answer.text)
    try:
        return answer.json()
    except json.JSONDecodeError as error:
        raise RestError(method, path, answer.status_code, f"is not JSON: {answer.text}") from error
