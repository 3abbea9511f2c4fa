"""Vertex AI on loopback, and this process's way to it."""

from collections.abc import Iterator
from typing import Any

import pytest

from loopback.google import PROJECT, Google, google
from loopback.vertex import Vertex, vertex

REGION = "europe-west1"
PARENT = f"projects/{PROJECT}/locations/{REGION}"
ENDPOINT: dict[str, Any] = {"client_options": {"api_endpoint": f"{REGION}-aiplatform.googleapis.com:443"}}


@pytest.fixture(scope="session")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    """Open the way for Google's clients."""
    with google(tmp_path_factory.mktemp("google")) as found:
        yield found


@pytest.fixture(autouse=True)
def surroundings(way: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that a client needs, and no others."""
    for name, value in way.variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def running(way: Google, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vertex]:
    """Run Vertex AI."""
    with vertex(tmp_path_factory.mktemp("vertex"), way.proxy) as found:
        yield found


@pytest.fixture
def service(running: Vertex) -> Iterator[Vertex]:
    """Take faults away after each test."""
    yield running
    running.faults.clear()


def job(program: str, *, name: str = "a job", **labels: str) -> dict[str, Any]:
    """Describe a custom job that runs a program of Python."""
    container = {"image_uri": "any", "command": ["python", "-S", "-c"], "args": [program]}
    container["env"] = [{"name": "SAID", "value": "by the specification"}]
    pool = {"machine_spec": {"machine_type": "n2-standard-4"}, "replica_count": 1, "container_spec": container}
    return {"display_name": name, "labels": labels, "job_spec": {"worker_pool_specs": [pool]}}
