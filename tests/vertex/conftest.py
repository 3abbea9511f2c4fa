"""Vertex AI on loopback, a bucket with registries, and Airflow in a process that takes one step after the other."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import pytest

from lockstep.registry import Objects, Registry
from lockstep.training.custom_jobs import CustomJobs, Patience
from loopback.cloud import Cloud
from loopback.google import PROJECT as PROJECT_ID
from loopback.google import google
from loopback.servers import gcs
from loopback.vertex import Image, vertex
from tests.training.conftest import Shop, shop_template

__all__ = ["shop_template"]

PROJECT = Path(__file__).parents[2]
REGION = "europe-west1"
PLACE = f"vertex(project={PROJECT_ID}, region={REGION}, image=train)"
_numbers = count()


@pytest.fixture(scope="session")
def cloud_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Google Cloud on this machine; Google's own images hold no Lockstep."""
    folder = tmp_path_factory.mktemp("cloud")
    with ExitStack() as stack:
        storage, way = stack.enter_context(gcs(folder / "gcs")), stack.enter_context(google(folder / "google"))
        leads = storage.environment()
        service = vertex(
            folder / "vertex", way.proxy, variables=leads, image=lambda uri: Image(core="docker.pkg.dev" not in uri)
        )
        running = stack.enter_context(service)
        variables = {**way.variables, **leads}
        yield Cloud(bucket=storage.root, variables=variables, google=way, vertex=running)


@pytest.fixture
def cloud(cloud_of_session: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Lead this process there, for one test: those that run later have a cloud of their own, or none."""
    for name, value in cloud_of_session.variables.items():
        monkeypatch.setenv(name, str(value))
    return cloud_of_session


@pytest.fixture
def desk(cloud: Cloud, shop_template: Path) -> Shop:
    """Sit down before a registry of its own in the bucket, with a snapshot that was taken once; all faults are over."""
    uri = f"{cloud.bucket}/registry-{next(_numbers)}"
    source, target = Objects.open(str(shop_template / "registry")), Objects.open(uri)
    for name in source.names(""):
        target.put(name, source.get_unverified(name))
    cloud.vertex.faults.clear()
    registry = Registry.open(uri)
    return Shop(registry=registry, snapshot=registry.state().snapshot("shoppers"))


@pytest.fixture
def custom_jobs(cloud: Cloud) -> CustomJobs:  # noqa: ARG001  its variables lead there
    """Google's own client, and not much patience."""
    from google.cloud.aiplatform_v1 import JobServiceClient

    client = JobServiceClient(client_options={"api_endpoint": f"{REGION}-aiplatform.googleapis.com"})
    return CustomJobs(client, PROJECT_ID, REGION, patience=Patience(answer=1, first_pause=0.05, tries=4))


class Player:
    """Airflow in a process of its own: each step is a run of one DAG by `dag.test()`, told by a line."""

    def __init__(self, home: Path, cloud: Cloud) -> None:
        (home / "no_dags").mkdir(parents=True)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "LOCKSTEP", "_AIRFLOW")) and name != "PYTHONDONTWRITEBYTECODE"
        }
        own = {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": home / "no_dags",
            "AIRFLOW__CORE__PLUGINS_FOLDER": PROJECT / "plugins",
            "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PYTHONPATH": os.pathsep.join(str(PROJECT / name) for name in ("include", "plugins", ".")),
            **cloud.variables,
        }
        self.said: list[str] = []
        self._more = Condition()
        self._answers: list[str] = []
        self._step: Thread | None = None
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("player.py")],
            env=inherited | {name: str(value) for name, value in own.items()},
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._await(), "".join(self.said)[-6000:]

    def _await(self) -> str | None:
        """Read on to the next answer, or to the end; all else is the log."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("@"):
                return line[1:]
            with self._more:
                self.said.append(line)
                self._more.notify_all()
        return None

    def begin(self, run: int, registry: str, *, where: str = PLACE, retries: int = 0, **given: Any) -> Thread:
        """Tell a step, and go on at once; `end` waits for it."""
        assert self.process.stdin is not None
        self.said.clear()
        told = {"run": run, "registry": registry, "where": where, "retries": retries, **given}
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        self._step = Thread(target=self._answer, daemon=True)
        self._step.start()
        return self._step

    def _answer(self) -> None:
        found = self._await()
        with self._more:
            self._answers += [found] if found else []
            self._more.notify_all()

    def await_line(self, text: str, times: int = 1) -> None:
        """Wait until the log of this step says something, so many times."""
        with self._more:
            self._more.wait_for(lambda: self._answers or self._is_said(text, times), 120)
            assert self._is_said(text, times), "".join(self.said)[-6000:]

    def _is_said(self, text: str, times: int) -> bool:
        return sum(text in line for line in self.said) >= times

    def end(self, step: Thread) -> dict[str, Any]:
        """What a step gave, with its log."""
        step.join(120)
        assert self._answers, "".join(self.said)[-6000:]
        found: dict[str, Any] = json.loads(self._answers.pop())
        return {**found, "log": "".join(self.said)}

    def play(self, run: int, registry: str, **given: Any) -> dict[str, Any]:
        """A step from beginning to end."""
        return self.end(self.begin(run, registry, **given))

    def kill(self) -> None:
        """Let it die where it stands."""
        self.process.kill()
        self.process.wait()
        if self._step is not None:
            self._step.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture(scope="session")
def new_player(cloud_of_session: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Player]]:
    """Start another Airflow."""
    started: list[Player] = []

    def start() -> Player:
        started.append(Player(tmp_path_factory.mktemp("player") / "home", cloud_of_session))
        return started[-1]

    yield start
    for player in started:
        player.kill()


@pytest.fixture(scope="session")
def player(new_player: Callable[[], Player]) -> Player:
    """Start the Airflow that the tests share; each has a registry and runs of its own."""
    return new_player()


@pytest.fixture
def runs() -> Iterator[int]:
    """Count runs, so that no two steps are one."""
    return _numbers
