"""Registries in every kind of store: local disk, memory, and the clouds on servers of loopback."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from lockstep.registry import Objects
from loopback.servers import Server, Servers
from tests.registry.conftest import run_together

__all__ = ["run_together"]

CLOUDS = ["gcs", "moto", "minio", "azurite"]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Run the servers that this session asks for."""
    running = Servers(tmp_path_factory.mktemp("servers"))
    yield running
    running.end()


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Clear the environment of all that leads to a cloud; what a test sets in it ends with the test."""
    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_", "AZURITE_", "GOOGLE_", "GCE_", "STORAGE_EMULATOR", "CLOUDSDK_")):
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    closed = "http://127.0.0.1:1"
    for name, value in {
        "AWS_METADATA_ENDPOINT": closed,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AZURE_IDENTITY_ENDPOINT": closed,
        "GCE_METADATA_HOST": "127.0.0.1:1",
        "NO_GCE_CHECK": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture(params=CLOUDS)
def cloud(request: pytest.FixtureRequest, servers: Servers, surroundings: pytest.MonkeyPatch) -> Server:
    """Run each cloud in turn, and let the environment say how to come in."""
    server = servers[request.param]
    for name, value in server.environment().items():
        surroundings.setenv(name, value)
    return server


@pytest.fixture(params=["file", "memory", *CLOUDS])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address a new, empty registry in each kind of store."""
    if request.param == "file":
        return (tmp_path / "registry").as_uri()
    if request.param == "memory":
        return f"memory://{uuid4().hex}"
    servers: Servers = request.getfixturevalue("servers")
    surroundings: pytest.MonkeyPatch = request.getfixturevalue("surroundings")
    server = servers[request.param]
    for name, value in server.environment().items():
        surroundings.setenv(name, value)
    return f"{server.root}/tests/{uuid4().hex}"


@pytest.fixture
def objects(uri: str) -> Objects:
    """Open the objects of the registry."""
    return Objects.open(uri)
