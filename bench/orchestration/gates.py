"""A thousand release gates that wait in one triggerer: what waiting costs, how fast they wake, how the database grows.

Rules:
- The services are those of docker-compose.yaml (`loopback.compose`), with PostgreSQL; the registry is in an S3, behind
  a relay that counts requests. Workers do not run: gates are left waiting as a worker leaves them (`place.py`).
- The peer is the same gate without a shared reader: what a deferrable sensor written by hand does. Both wait with the
  same pause between two looks, one after the other, in the same triggerer.
- Waking: some groups are promoted by the core; the clock runs from the promotion's entry to the moment when
  Airflow's database says that the gate does not wait any more.
"""

import base64
import importlib.util
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import polars as pl
import psycopg2  # type: ignore[import-untyped]

from bench.handwritten import number_of, write_ours
from bench.report import Aim, Report, Row, percentile
from demo.customers import write_biopsies
from lockstep import Graph
from lockstep.data import take_snapshot
from lockstep.decisions import tune_threshold
from lockstep.registry import Origin, Registry
from lockstep.release import promote
from lockstep.training import resolve_upstream, train_model
from loopback.compose import ROOT
from loopback.containers import Containers
from loopback.relay import Relay, serving
from loopback.servers import minio

GROUPS, SMALL_GROUPS = 1000, 20
WOKEN, SMALL_WOKEN = 10, 2
SECONDS, SMALL_SECONDS = 30.0, 5.0  # of waiting that are measured
POLL: Final = 0.25  # as GateSensor has it
PATIENCE: Final = 900.0
ORIGIN: Final = Origin(by="bench")
MIB: Final = 1024.0 * 1024.0
OURS, PEER = "lockstep_airflow.gate.GateTrigger", "bench_gates.OwnReader"
_RELEASES_ONLY = """\
from functools import partial

from bench_groups import declare
from lockstep_airflow import release_dags

for place in range(GROUPS):
    number = f"{place:04d}"
    made = release_dags(partial(declare, number), group=f"group_{number}")
    globals().update({name: dag for name, dag in made.items() if name.endswith("_release")})
"""
_OWN_READER = """\
from lockstep_airflow.gate import GateTrigger


class OwnReader(GateTrigger):
    def shared_stream_key(self):
        return None
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What a number of waiting gates cost: processor and requests a second; seconds until each of some woke."""

    processor: float
    requests: float
    until_all_wait: float
    woken: list[float]


def run(*, small: bool) -> Report:
    """Start the services, let them wait, wake some."""
    groups, woken = (SMALL_GROUPS, SMALL_WOKEN) if small else (GROUPS, WOKEN)
    seconds = SMALL_SECONDS if small else SECONDS
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name, minio(Path(name) / "minio") as server:
        folder, relay = Path(name), Relay(server.port)
        write_ours(folder / "dags", groups)
        (folder / "dags/bench_dags.py").write_text(_RELEASES_ONLY.replace("GROUPS", str(groups)))
        (folder / "dags/bench_gates.py").write_text(_OWN_READER)
        with serving(relay) as port, _house(folder, server.environment(port), f"{server.root}/registry") as house:
            _until(lambda: house.count("SELECT count(*) FROM serialized_dag") >= groups, "the DAGs are parsed")
            size = house.size()
            sides = {}
            for side, trigger in (("ours", OURS), ("peer", PEER)):
                with _variables(server.environment()):
                    promotions = _prepared(Registry.open(f"{server.root}/{side}"), folder, woken)
                    house.place(side, f"{server.root}/{side}", trigger, groups)
                    sides[side] = _measured(house, relay, side, seconds=seconds, groups=groups, promotions=promotions)
                house.forget(side)
            grown = house.size() - size
    return _report(groups, size, grown, sides)


class House:
    """The running services, and what is asked of them."""

    def __init__(self, containers: Containers, folder: Path, password: str) -> None:
        self.containers, self._folder = containers, folder
        port = containers.place.ports[5432]
        self._database = psycopg2.connect(
            host="127.0.0.1", port=port, user="airflow", password=password, dbname="airflow"
        )
        self._database.autocommit = True

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

    def place(self, run: str, registry: str, trigger: str, groups: int) -> None:
        """Let every group's release wait at its gate."""
        command = [sys.executable, Path(__file__).with_name("place.py"), run, registry, trigger, str(POLL), str(groups)]
        environment = self.containers.all["airflow-scheduler"].environment
        done = subprocess.run(command, env=environment, cwd=self._folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"place.py failed:\n{done.stderr[-3000:]}")

    def forget(self, run: str) -> None:
        """No gate of a run waits any more."""
        with self._database.cursor() as cursor:
            cursor.execute("UPDATE task_instance SET state = 'failed', trigger_id = NULL WHERE run_id = %s", (run,))
            cursor.execute("UPDATE dag_run SET state = 'failed' WHERE run_id = %s", (run,))

    def waiting(self, run: str) -> int:
        """How many gates wait in the triggerer."""
        query = (
            "SELECT count(*) FROM task_instance t JOIN trigger g ON g.id = t.trigger_id"
            " WHERE t.run_id = %s AND t.state = 'deferred' AND g.triggerer_id IS NOT NULL"
        )
        return self.count(query, run)

    def processor(self) -> float:
        """Processor seconds of the triggerer so far."""
        (triggerer,) = self.containers.of("airflow-triggerer")
        return sum(sum(process.cpu_times()[:2]) for process in triggerer.processes())


@contextmanager
def _house(folder: Path, store: Mapping[str, str], registry: str) -> Iterator[House]:
    said = {name: secrets.token_hex(64) for name in ("AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY", "LOCKSTEP_TOKEN")}
    said |= {name: secrets.token_hex(16) for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "AIRFLOW_ADMIN_PASSWORD")}
    said |= {"AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(), "LOCKSTEP_REGISTRY": registry}
    changes = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "900",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "PYTHONPATH": os.pathsep.join(map(str, [folder / "dags", ROOT / "include", ROOT / "plugins"])),
    }
    without = ("airflow-worker", "decisions")
    with Containers(said, store=store, changes=changes, without=without, timeout=PATIENCE) as containers:
        yield House(containers, folder, said["POSTGRES_PASSWORD"])


@contextmanager
def _variables(said: Mapping[str, str]) -> Iterator[None]:
    """This process reads and writes the registry, too, past the relay that counts."""
    before = {name: os.environ.get(name) for name in said}
    os.environ.update(said)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


def _measured(
    house: House, relay: Relay, run: str, *, seconds: float, groups: int, promotions: Sequence[Callable[[], datetime]]
) -> Waiting:
    began = time.monotonic()
    _until(lambda: house.waiting(run) >= groups, f"{groups} gates wait")
    until_all_wait = time.monotonic() - began
    time.sleep(seconds / 3)  # each has looked at least once
    processor, requests, began = house.processor(), len(relay.seen), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    used, asked = (house.processor() - processor) / passed, (len(relay.seen) - requests) / passed
    return Waiting(
        processor=used,
        requests=asked,
        until_all_wait=until_all_wait,
        woken=[_woken(house, run, place, wake) for place, wake in enumerate(promotions)],
    )


def _woken(house: House, run: str, place: int, wake: Callable[[], datetime]) -> float:
    """Seconds from a promotion's entry until the gate of that group waits no more."""
    promoted = wake()
    query = "SELECT count(*) FROM task_instance WHERE dag_id = %s AND run_id = %s AND state = 'deferred'"
    _until(lambda: not house.count(query, f"group_{number_of(place)}_release", run), "the gate opens", pause=0.02)
    return (datetime.now(UTC) - promoted).total_seconds()


def _prepared(registry: Registry, folder: Path, groups: int) -> list[Callable[[], datetime]]:
    """Candidates for some groups, and for each group what promotes them all by one entry."""
    found = []
    for place in range(groups):
        graph = _declared(folder, number_of(place))
        number = number_of(place)
        snapshot = take_snapshot(registry, graph.dataset(f"rows_{number}"), ORIGIN)
        for name in (f"first_{number}", f"second_{number}"):
            version = train_model(
                registry,
                graph,
                name,
                ORIGIN,
                snapshot=snapshot,
                upstream=resolve_upstream(graph, name, registry.state(), {}),
            ).version
            for threshold in graph.thresholds_of(name):
                tune_threshold(registry, graph, threshold.name, ORIGIN, model=version)
        found.append(partial(_promote, registry, graph, number))
    return found


def _promote(registry: Registry, graph: Graph, number: str) -> datetime:
    """Both models with their thresholds move to staging; when."""
    group = graph.group(f"group_{number}")
    promote(registry, group, [f"first_{number}@1", f"second_{number}@1"], ORIGIN)
    return list(registry.log.entries())[-1].at


def _declared(folder: Path, number: str) -> Graph:
    """The graph of a generated group, and rows for its dataset."""
    spec = importlib.util.spec_from_file_location("bench_groups", folder / "dags/bench_groups.py")
    if spec is None or spec.loader is None:
        raise AssertionError("unreachable")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["bench_groups"] = module  # what trains asks for the module of the estimator
    graph: Graph = module.declare(number)
    rows = folder / "data" / f"rows_{number}"
    if not rows.exists():
        rows.mkdir(parents=True)
        biopsies = pl.read_csv(write_biopsies(folder / "biopsies"))
        biopsies.select("sample", *module.COLUMNS, "malignant").write_csv(rows / "rows.csv")
    os.environ["LOCKSTEP_DATA"] = str(folder / "data")
    return graph


def _until(holds: Callable[[], bool], what: str, *, pause: float = 0.2) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Waited {PATIENCE:g} s in vain until {what}.")
        time.sleep(pause)


def _report(groups: int, size: float, grown: float, sides: dict[str, Waiting]) -> Report:
    ours, peer = sides["ours"], sides["peer"]

    def row(what: str, figure: Callable[[Waiting], float], unit: str) -> Row:
        return Row(what=what, ours=figure(ours), peer=figure(peer), unit=unit)

    rows = [
        Row(what=f"database with {groups} DAGs", ours=size / MIB, unit="MiB"),
        Row(what="  and for each run that waited", ours=grown / (2 * groups) / 1024, unit="KiB"),
        row("all are in the triggerer", lambda side: side.until_all_wait, "s"),
        row("processor while waiting", lambda side: side.processor, "s/s"),
        row("requests while waiting", lambda side: side.requests, "1/s"),
        row("promotion's entry → gate open, median", lambda side: median(side.woken), "s"),
        row("promotion's entry → gate open, p90", lambda side: percentile(side.woken, 0.9), "s"),
    ]
    aims = [
        Aim(what="requests a second for all gates", value=ours.requests, at_most=2.5 / POLL, unit="1/s"),
        Aim(what="median until a gate is open", value=median(ours.woken), at_most=2.0, unit="s"),
    ]
    title = f"{groups} gates that wait in one triggerer"
    return Report(title=title, peer="the same gates, each with a reader of its own", rows=rows, aims=aims)
