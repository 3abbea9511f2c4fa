"""A real MLflow server in an environment of its own, empty for each test; and the desk of the command line's tests."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from bench.registry import peer
from tests.cli.conftest import biopsies, desk, run, settings, staged, template

__all__ = ["biopsies", "desk", "run", "settings", "staged", "template"]

STARTS = 280.0  # seconds, on a machine that has other things to do


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """An MLflow, and a client of its own kind that looks into it."""

    address: str
    client: Any

    def runs(self, experiment: str = "lockstep/biopsy") -> dict[str, Any]:
        """The runs of an experiment, by their names; two of one name are an error."""
        found = self.client.get_experiment_by_name(experiment)
        runs = self.client.search_runs([found.experiment_id]) if found else []
        assert len({run.info.run_name for run in runs}) == len(runs)
        return {run.info.run_name: run for run in runs}

    def versions(self, name: str) -> dict[str, str]:
        """Lockstep's version → MLflow's number."""
        found = self.client.search_model_versions(f"name='{name}'")
        assert len({version.tags["lockstep.digest"] for version in found}) == len(found)
        return {version.tags["lockstep.version"]: str(version.version) for version in found}

    def standing(self, name: str) -> dict[str, str]:
        """Alias → Lockstep's version."""
        of = {number: ref for ref, number in self.versions(name).items()}
        aliases = self.client.get_registered_model(name).aliases
        return {alias: of[str(number)] for alias, number in aliases.items()}

    def files(self, run: Any, folder: str = "") -> list[str]:  # noqa: ANN401  MLflow's type
        """The files beside a run."""
        found = []
        for item in self.client.list_artifacts(run.info.run_id, folder):
            found += self.files(run, item.path) if item.is_dir else [item.path]
        return sorted(found)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the server; it is there when its health is asked for."""
    try:
        python = peer.python()
    except peer.PeerMissing as missing:
        pytest.skip(str(missing))
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", peer.sqlite(folder), "--artifacts-destination", str(folder / "artifacts")]
    log = (folder / "log").open("wb")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW"))}
    command = [python, "-m", "mlflow", "server", *options, *places]
    server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + STARTS
    try:
        while True:
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, "MLflow has not come up."
            try:
                httpx.get(f"{address}/health", timeout=2)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # it has started others, which it leaves behind
        server.wait(30)
        log.close()


@pytest.fixture
def mlflow(process: str) -> Iterator[Server]:
    """The server, with nothing in it that anybody finds."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=process, registry_uri=process)
    yield Server(address=process, client=client)
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)
    for experiment in client.search_experiments():
        if experiment.name.startswith("lockstep/"):
            client.rename_experiment(experiment.experiment_id, uuid4().hex)
