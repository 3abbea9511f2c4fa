"""Beam's portable job service, with workers in the process that asks and in processes of their own."""

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from demo.simulate import simulate
from groups.churn import customers
from lockstep import between, satisfies, soft, unique
from lockstep.data import take_snapshot
from lockstep.declare import Dataset
from lockstep.errors import DataError
from lockstep.places import Direct, Portable
from lockstep.registry import Registry, read_manifest
from lockstep.source import parquet
from tests.engines.broken import broken, no_fibre
from tests.engines.conftest import ORIGIN, Crowd, take


@pytest.fixture
def few(tmp_path: Path) -> Dataset:
    """A few customers."""
    simulate(1, 300).write_parquet(tmp_path / "few.parquet")
    return replace(customers, source=parquet(str(tmp_path / "few.parquet")))


@pytest.mark.slow
def test_workers_in_other_processes_make_the_same_snapshot(
    crowd: Crowd, job_service: str, worker_pool: str, tmp_path: Path
) -> None:
    """A million customers are the same snapshot through a job service and a worker pool as on the direct runner."""
    engine = Portable(endpoint=job_service, environment=worker_pool)
    version = take(tmp_path / "registry", crowd.dataset, engine)
    assert version.digest == crowd.digest
    manifest = read_manifest(Registry.open(str(tmp_path / "registry")).objects, version.fact.manifest)
    assert manifest["engine"] == str(engine)


def test_workers_in_the_asking_process_share_its_memory(few: Dataset, job_service: str) -> None:
    """Where nothing is said of workers they are in this process, so that a registry in its memory will do."""
    direct, portable = (Registry.open(f"memory://{uuid4().hex}") for _ in range(2))
    expected = take_snapshot(direct, few, ORIGIN, engine=Direct())
    found = take_snapshot(portable, few, ORIGIN, engine=Portable(endpoint=job_service))
    assert found.digest == expected.digest


def test_an_error_of_a_worker_comes_back_as_it_was(
    few: Dataset, job_service: str, worker_pool: str, tmp_path: Path
) -> None:
    """What a team's `clean` raises in another process is told as on the direct runner, and nothing is left."""
    registry = Registry.open(str(tmp_path / "registry"))
    engine = Portable(endpoint=job_service, environment=worker_pool)
    with pytest.raises(DataError, match=r"broken failed on \d+ rows: ZeroDivisionError: 21 columns"):
        take_snapshot(registry, replace(few, clean=broken), ORIGIN, engine=engine)
    assert registry.objects.names("scratch") == []


def test_checks_are_the_same_in_other_processes(
    few: Dataset, job_service: str, worker_pool: str, tmp_path: Path
) -> None:
    """Workers in other processes set aside, count and compare what the direct runner does, a team's schema included."""
    checks = [between("tenure", 0, 60), satisfies(no_fibre), soft(unique("MonthlyCharges", "tenure"))]
    found = []
    for engine in (Direct(), Portable(endpoint=job_service, environment=worker_pool)):
        registry = Registry.open(str(tmp_path / f"registry-{engine.kind}"))
        version = take_snapshot(registry, replace(few, checks=checks), ORIGIN, engine=engine)
        manifest = read_manifest(registry.objects, version.fact.manifest)
        found.append((version.digest, manifest["reasons"], manifest["checks"]))
    assert found[0] == found[1]
    assert min(check["rows"] for check in found[0][2][:2]) > 0
