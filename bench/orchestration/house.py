"""The services of docker-compose.yaml for a benchmark: started with secrets made for it, and what is asked of them.

Rules:
- All listen on 127.0.0.1 on free ports, and are ended when the block ends.
- What is measured is read from Airflow's own database, so that asking costs the services nothing but a query.
"""

import base64
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg2  # type: ignore[import-untyped]

from demo.rest import Rest
from loopback.compose import ROOT
from loopback.containers import Containers

PATIENCE: Final = 900.0
PAUSE: Final = 1.0  # seconds between two probes
PROBE: Final = """\
from airflow.sdk import DAG, BaseOperator


class Nothing(BaseOperator):
    def execute(self, context):
        return None


with DAG("probe", schedule=None, is_paused_upon_creation=False):
    Nothing(task_id="nothing")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """Runs of one empty task: seconds from the making of a run until its task was handed over, and until it began."""

    handed_over: list[float]
    began: list[float]


class House:
    """The running services, and what is asked of them."""

    def __init__(self, containers: Containers, folder: Path, said: Mapping[str, str]) -> None:
        self.containers, self._folder = containers, folder
        ports = containers.place.ports
        self.rest = Rest(f"http://127.0.0.1:{ports[8080]}", "admin", said["AIRFLOW_ADMIN_PASSWORD"])
        self._database = psycopg2.connect(
            host="127.0.0.1", port=ports[5432], user="airflow", password=said["POSTGRES_PASSWORD"], dbname="airflow"
        )
        self._database.autocommit = True

    def close(self) -> None:
        """End what it holds open."""
        self.rest.close()
        self._database.close()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with self._database.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def count(self, query: str, *values: object) -> int:
        """The one number that a query gives."""
        return int(self.rows(query, *values)[0][0])

    def size(self) -> float:
        """The database's bytes."""
        return float(self.count("SELECT pg_database_size('airflow')"))

    def parsed(self) -> int:
        """How many DAGs stand in the database."""
        return self.count("SELECT count(*) FROM serialized_dag")

    def place(self, run: str, registry: str, trigger: str, poll: float, groups: int) -> None:
        """Let every group's release wait at its gate."""
        command = [sys.executable, Path(__file__).with_name("place.py"), run, registry, trigger, str(poll), str(groups)]
        environment = self.containers.all["airflow-scheduler"].environment
        done = subprocess.run(command, env=environment, cwd=self._folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"place.py failed:\n{done.stderr[-3000:]}")

    def forget(self, run: str) -> None:
        """No gate of a run waits any more, and the triggerer has heard of it."""
        with self._database.cursor() as cursor:
            over = (
                "UPDATE task_instance SET state = 'failed', trigger_id = NULL WHERE run_id = %s AND state = 'deferred'"
            )
            cursor.execute(over, (run,))
            cursor.execute("UPDATE dag_run SET state = 'failed' WHERE run_id = %s AND state = 'running'", (run,))
        until(lambda: not self.count("SELECT count(*) FROM trigger"), "no trigger is left")

    def waiting(self, run: str) -> int:
        """How many gates wait in the triggerer."""
        query = (
            "SELECT count(*) FROM task_instance t JOIN trigger g ON g.id = t.trigger_id"
            " WHERE t.run_id = %s AND t.state = 'deferred' AND g.triggerer_id IS NOT NULL"
        )
        return self.count(query, run)

    def processor(self, service: str) -> float:
        """Processor seconds of a service so far."""
        return sum(
            sum(process.cpu_times()[:2])
            for container in self.containers.of(service)
            for process in container.processes()
        )

    def probe(self, times: int) -> Probed:
        """Run an empty task a few times, one after the other."""
        until(
            lambda: bool(self.count("SELECT count(*) FROM serialized_dag WHERE dag_id = 'probe'")), "the probe is there"
        )
        runs = []
        for _ in range(times):
            runs.append(self.rest.trigger("probe").run_id)
            time.sleep(PAUSE)
        done = "SELECT count(*) FROM dag_run WHERE run_id = ANY(%s) AND state = 'success'"
        until(lambda: self.count(done, runs) == times, "the probes have run")
        found = self.rows(
            "SELECT extract(epoch FROM t.queued_dttm - r.queued_at), extract(epoch FROM t.start_date - r.queued_at)"
            " FROM task_instance t JOIN dag_run r ON r.dag_id = t.dag_id AND r.run_id = t.run_id"
            " WHERE r.run_id = ANY(%s)",
            runs,
        )
        return Probed(handed_over=[float(one) for one, _ in found], began=[float(one) for _, one in found])


@contextmanager
def house(
    folder: Path, store: Mapping[str, str], registry: str, *, without: Sequence[str] = ("decisions",), **changes: str
) -> Iterator[House]:
    """Start the services on the DAGs of `folder`/dags, and give what asks them; `changes` are settings of Airflow's."""
    said = {name: secrets.token_hex(64) for name in ("AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY", "LOCKSTEP_TOKEN")}
    said |= {name: secrets.token_hex(16) for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "AIRFLOW_ADMIN_PASSWORD")}
    said |= {"AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(), "LOCKSTEP_REGISTRY": registry}
    settings = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "900",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        "LOCKSTEP_DATA": str(folder / "data"),
        "PYTHONPATH": os.pathsep.join(map(str, [folder / "dags", ROOT / "include", ROOT / "plugins", ROOT])),
    }
    with Containers(said, store=store, changes=settings | changes, without=without, timeout=PATIENCE) as containers:
        found = House(containers, folder, said)
        try:
            yield found
        finally:
            found.close()


def until(holds: Callable[[], bool], what: str, *, pause: float = 0.2) -> None:
    """Wait for something; `what` says in words for what."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Waited {PATIENCE:g} s in vain until {what}.")
        time.sleep(pause)
