"""For docker-compose.yaml as processes: values for its variables, a patient client, and who strikes."""

import base64
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

import httpx
import psutil

from demo.answers import TaskInstance
from demo.rest import NO_ANSWER, Rest, RestError
from loopback.containers import Containers

PATIENCE: Final = 90.0  # seconds that a server may be away
LOOK: Final = 0.1


def values() -> dict[str, str]:
    """What .env asks for, as its comments say to make it."""
    return {
        "POSTGRES_PASSWORD": secrets.token_hex(24),
        "REDIS_PASSWORD": secrets.token_hex(24),
        "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "AIRFLOW_JWT_SECRET": secrets.token_hex(64),
        "AIRFLOW_SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW_ADMIN_PASSWORD": secrets.token_urlsafe(12),
        "LOCKSTEP_TOKEN": secrets.token_hex(32),
    }


class PatientRest(Rest):
    """Asks again as long as the API server, or its database, is away."""

    def _again(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> Any:  # noqa: ANN401  any JSON
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._send(method, path, body, query)
            except RestError as error:
                away = error.status == NO_ANSWER or error.status >= httpx.codes.INTERNAL_SERVER_ERROR
                if not away or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """Kill a container as soon as a task of a further run of a DAG is in one of the states; no service: who runs it."""

    dag: str
    task: str
    states: frozenset[str]
    service: str = ""

    @property
    def whom(self) -> str:
        """In words, for a failure."""
        return f"{self.service or 'the worker'} at {self.dag}.{self.task}"


@dataclass
class Striker:
    """Kills in a given order, while others play."""

    containers: Containers
    rest: Rest
    blows: Sequence[Blow]
    struck: list[tuple[str, str, float]] = field(default_factory=list)  # container, when, seconds until it was back
    _known: set[str] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._strike, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _strike(self) -> None:
        for blow in self.blows:
            while (name := self._target(blow)) is None:
                if self._over.wait(LOOK):
                    return
            began = time.monotonic()
            self.containers.kill(name)
            self.struck.append((name, f"{blow.dag}.{blow.task}", time.monotonic() - began))

    def _target(self, blow: Blow) -> str | None:
        """The container to kill now."""
        with suppress(RestError, psutil.Error):
            for run in self.rest.runs(blow.dag):
                if run.run_id in self._known:
                    continue
                for task in self.rest.task_instances(blow.dag, run.run_id):
                    if task.task_id == blow.task and task.state in blow.states:
                        name = blow.service or self._worker_of(task)
                        if name:
                            self._known.add(run.run_id)
                        return name
        return None

    def _worker_of(self, task: TaskInstance) -> str | None:
        """The worker whose process runs a task."""
        workers = self.containers.of("airflow-worker")
        found = [one.name for one in workers if task.pid in {process.pid for process in one.processes()}]
        return found[0] if found else None


def until(holds: Callable[[], bool], what: str, *, timeout: float = 120.0) -> None:
    """Wait for something."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.3)
