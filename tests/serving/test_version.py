"""One model version over HTTP, as a container of Vertex AI: in this process, and as `python -m lockstep.serving`."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient

import lockstep
from lockstep.data import read_snapshot
from lockstep.registry import ModelTrained, Registry, Version, read_manifest
from lockstep.serving.version import Served, create_version_app
from lockstep.training import load_model
from loopback.servers import free_port
from tests.training.conftest import open_shop, trained_template

__all__ = ["trained_template"]
PATIENCE = 60


@pytest.fixture(scope="module")
def registry(trained_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Copy the registry that holds a version of each model."""
    folder = tmp_path_factory.mktemp("served") / "registry"
    shutil.copytree(trained_template, folder)
    return open_shop(folder).registry


@pytest.fixture(scope="module")
def rows(registry: Registry) -> pl.DataFrame:
    """Some rows, as `clean` returned them; one of them lacks values."""
    found = read_snapshot(registry, registry.state().snapshot("shoppers"), split="test")
    return pl.concat([found.filter(pl.col("basket").is_null()).head(1), found.head(6)])


Serve = Callable[[str], TestClient]


@pytest.fixture
def serve(registry: Registry) -> Serve:
    """Serve the version of a model, in this process."""

    def make(name: str) -> TestClient:
        state = registry.state()
        version = state.model(name)
        snapshot = state.snapshot_by_digest("shoppers", version.fact.snapshot)
        columns = read_manifest(registry.objects, snapshot.fact.manifest)["columns"]
        served = Served(ref=version.ref, predictor=load_model(registry, version), columns=columns)
        return TestClient(create_version_app(served, health="/alive", predict="/answers"))

    return make


def expected(registry: Registry, version: Version[ModelTrained], rows: pl.DataFrame) -> np.ndarray:
    """What the version says of the rows where it was trained."""
    return load_model(registry, version).scores(rows)


def instances(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON values; of whole numbers, what comes over gRPC is a float."""
    floats = rows.with_columns(pl.col(pl.Int64).cast(pl.Float64))
    return floats.to_dicts()


@pytest.mark.parametrize("name", ["leaving", "planning", "filling", "advising"])
def test_predictions_are_those_of_the_version(serve: Serve, registry: Registry, rows: pl.DataFrame, name: str) -> None:
    """Over HTTP a version says of each row what it says in the process that trained it, and names itself."""
    answer = serve(name).post("/answers", json={"instances": instances(rows)}).json()["predictions"]
    version = registry.state().model(name)
    scores = expected(registry, version, rows)
    for said, score in zip(answer, scores, strict=True):
        assert (said["model"], said["digest"]) == (version.ref, version.digest)
        found = [said["prediction"]] if len(score) == 1 else [*said["probabilities"].values()]
        assert found == pytest.approx(score.tolist())


def test_health_and_version(serve: Serve, registry: Registry) -> None:
    """The health route, and whoever asks for nothing else, learns which version answers."""
    client, digest = serve("leaving"), registry.state().model("leaving").digest
    identity = {"model": "leaving@1", "digest": digest}
    assert client.get("/alive").json() == identity
    asked = {"instances": [{}], "parameters": {"only": "version"}}
    assert client.post("/answers", json=asked).json() == {"predictions": [identity]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"age": "old"}, "don't fit the columns of model leaving@1"), ({"age": None, "spend": ...}, "spend are missing")],
    ids=["a wrong value", "a missing feature"],
)
def test_a_wrong_instance_is_told(serve: Serve, rows: pl.DataFrame, change: dict[str, Any], reason: str) -> None:
    """What is wrong with an instance is one sentence, with status 400."""
    row = {**instances(rows)[0], **change}
    answer = serve("leaving").post(
        "/answers", json={"instances": [{name: value for name, value in row.items() if value is not ...}]}
    )
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


def test_a_container_needs_the_registry_and_the_digest(registry: Registry, rows: pl.DataFrame, tmp_path: Path) -> None:
    """A process that sees Lockstep alone loads the team's code from the recorded source, and answers on its port."""
    version, port = registry.state().model("advising"), free_port()
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(lockstep.__file__).parents[1]),
        "AIP_HTTP_PORT": str(port),
        "LOCKSTEP_HOST": "127.0.0.1",
    }
    command = [sys.executable, "-m", "lockstep.serving", "--registry", registry.uri]
    with subprocess.Popen(
        [*command, "--model", "advising", "--digest", version.digest], cwd=tmp_path, env=variables
    ) as process:
        try:
            url, end = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
            while True:
                try:
                    assert httpx.get(f"{url}/health").json()["digest"] == version.digest
                    break
                except httpx.TransportError:
                    assert process.poll() is None
                    assert time.monotonic() < end
                    time.sleep(0.1)
            answer = httpx.post(f"{url}/predict", json={"instances": instances(rows)}).json()["predictions"]
        finally:
            process.terminate()
    said = np.array([[*one["probabilities"].values()] for one in answer])
    assert said == pytest.approx(expected(registry, version, rows))


def test_a_version_that_is_not_there_ends_the_container(registry: Registry) -> None:
    """The exit status and one sentence say that nothing can be served."""
    done = subprocess.run(
        [sys.executable, "-m", "lockstep.serving", "--registry", registry.uri, "--model", "leaving", "--digest", "ab"],
        env={**os.environ, "PYTHONPATH": str(Path(lockstep.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == 'There is no version of "leaving" with digest ab… in the registry.\n'
