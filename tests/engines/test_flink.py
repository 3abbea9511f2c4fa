"""Flink: a real cluster, Beam's job server for it, and Python workers in processes of their own."""

from pathlib import Path

import pytest

from lockstep.places import Flink
from loopback.servers import ProgramMissing
from tests.engines.conftest import Crowd, take
from tests.engines.flink import cluster
from tests.engines.install import GIVEN, JOB_SERVER, LIBRARIES, MISSING

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")  # looked for before anything is made for the test
def job_server() -> str:
    """Find the job server; where no registry has it, the test is skipped, in CI too."""
    if MISSING.exists() and not JOB_SERVER.exists():
        pytest.skip(f"{MISSING.read_text()} Name the jar in {GIVEN}, and: python3 tests/engines/install.py")
    if not (JOB_SERVER.exists() and LIBRARIES.exists()):
        raise ProgramMissing("Flink", "python3 tests/engines/install.py")
    return str(JOB_SERVER)


def test_a_million_customers_on_flink(job_server: str, crowd: Crowd, worker_pool: str, tmp_path: Path) -> None:
    """A million customers are the same snapshot on Flink as on the direct runner."""
    with cluster(tmp_path / "flink") as master:
        engine = Flink(master=master, job_server=job_server, environment=worker_pool)
        version = take(tmp_path / "registry", crowd.dataset, engine)
    assert version.digest == crowd.digest
