"""A million customers, what the direct runner makes of them, and the processes that other engines consist of."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import pytest

from demo.simulate import simulate
from groups.churn import customers
from lockstep.data import take_snapshot
from lockstep.declare import Dataset
from lockstep.places import Direct, Engine
from lockstep.registry import Origin, Registry, SnapshotTaken, Version
from lockstep.source import parquet
from loopback.servers import free_port, started

PROJECT = Path(__file__).parents[2]
ORIGIN = Origin(by="tester")
ROWS = 1_000_000
FILES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Customers in files, and the digest of the snapshot that the direct runner takes of them."""

    dataset: Dataset
    digest: str
    rows: int


def take(folder: Path, dataset: Dataset, engine: Engine) -> Version[SnapshotTaken]:
    """Take a snapshot into a new registry, and print how many rows a second that were."""
    registry = Registry.open(folder.as_uri())
    begun = monotonic()
    version = take_snapshot(registry, dataset, ORIGIN, engine=engine)
    rows = version.fact.rows + version.fact.quarantined
    print(f"{engine}: {rows} rows, {rows / (monotonic() - begun):,.0f} rows/s")  # noqa: T201  pytest -s shows it
    assert registry.objects.names("scratch") == []
    return version


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    """Simulate a million customers, and let the direct runner process them."""
    folder = tmp_path_factory.mktemp("crowd")
    frame = simulate(1, ROWS)
    for number in range(FILES):
        frame.slice(number * ROWS // FILES, ROWS // FILES).write_parquet(folder / f"{number}.parquet")
    dataset = replace(customers, source=parquet(str(folder / "*.parquet")))
    version = take(folder / "direct", dataset, Direct())
    return Crowd(dataset=dataset, digest=version.digest, rows=ROWS)


@contextmanager
def process(folder: Path, module: str, option: str) -> Iterator[int]:
    """Run a module of Beam that serves on a port, with the project and this Python on its paths."""
    port = free_port()
    variables = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),  # a pool starts plain `python`
        "PYTHONPATH": os.pathsep.join([str(PROJECT / "include"), str(PROJECT)]),
    }
    command = [sys.executable, "-m", module, f"--{option}={port}"]
    with started(command, port=port, folder=folder, variables=variables):
        yield port


@pytest.fixture(scope="session")
def worker_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run Beam's pool of Python workers, each of them a process."""
    with process(
        tmp_path_factory.mktemp("pool"), "apache_beam.runners.worker.worker_pool_main", "service_port"
    ) as port:
        yield f"EXTERNAL:localhost:{port}"


@pytest.fixture(scope="session")
def job_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run Beam's portable job service."""
    module = "apache_beam.runners.portability.local_job_service_main"
    with process(tmp_path_factory.mktemp("service"), module, "port") as port:
        yield f"localhost:{port}"
