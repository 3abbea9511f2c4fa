"""A thousand release groups on docker-compose's services: parsing, scheduling, a thousand gates in one triggerer.

Rules:
- The services are those of docker-compose.yaml (`loopback.compose`): CeleryExecutor with two workers, PostgreSQL,
  Redis. The registry is in an S3, behind a relay that counts requests.
- All DAGs of all groups are there, in files of fifty groups. An empty task is run before they come, and again while all
  gates wait: the first is the peer of the second.
- By hand: a gate that waits is not brought there by a worker, who needs seconds for each; `place.py` makes the run, the
  deferred task and its trigger by Airflow's own classes. What is measured begins behind that.
- The peer of the gates is the same gate without a shared reader: what a deferrable sensor written by hand does. Both
  wait with the same pause between two looks, one after the other, in the same triggerer.
- Waking: some groups are promoted by the core; the clock runs from the promotion's entry to the moment when
  Airflow's database says that the gate does not wait any more, and on to the release's entry, which a worker writes.
"""

import importlib.util
import os
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
from typing import Final

import polars as pl

from bench.handwritten import number_of, write_ours
from bench.orchestration.house import PROBE, House, Probed, house, until
from bench.report import Aim, Report, Row, percentile
from demo.customers import write_biopsies
from lockstep import Graph
from lockstep.data import take_snapshot
from lockstep.decisions import tune_threshold
from lockstep.registry import Origin, Registry, Released
from lockstep.release import promote
from lockstep.training import resolve_upstream, train_model
from loopback.relay import Relay, serving
from loopback.servers import minio

GROUPS, SMALL_GROUPS = 1000, 20
OF_A_FILE, SMALL_OF_A_FILE = 50, 10
WOKEN, SMALL_WOKEN = 10, 2
PROBES, SMALL_PROBES = 10, 2
WARM_UP: Final = 8  # probes: every process of the workers has run a task
SECONDS, SMALL_SECONDS = 15.0, 5.0  # of waiting that are measured
POLL: Final = 0.25  # as GateSensor has it
ORIGIN: Final = Origin(by="bench")
MIB: Final = 1024.0 * 1024.0
OURS, PEER = "lockstep_airflow.gate.GateTrigger", "bench_gates.OwnReader"
_DAG_FILE = """\
from functools import partial

from bench_groups import declare
from lockstep_airflow import release_dags

for place in range(START, STOP):
    number = f"{place:04d}"
    globals().update(release_dags(partial(declare, number), group=f"group_{number}"))
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
    grown: float  # bytes of the database
    woken: list[float]
    released: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What it took until all DAGs stood in the database, and what they take there."""

    dags: int
    seconds: float
    processor: float
    a_file: list[float]
    before: float  # bytes of the database without them
    after: float


def run(*, small: bool) -> Report:
    """Start the services, let them parse, schedule and wait, wake some."""
    groups, woken, probes = (SMALL_GROUPS, SMALL_WOKEN, SMALL_PROBES) if small else (GROUPS, WOKEN, PROBES)
    seconds = SMALL_SECONDS if small else SECONDS
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name, minio(Path(name) / "minio") as server:
        folder, relay = Path(name), Relay(server.port)
        write_ours(folder / "dags", 0)
        (folder / "dags/bench_dags.py").write_text(PROBE)
        (folder / "dags/bench_gates.py").write_text(_OWN_READER)
        capacity = {"AIRFLOW__TRIGGERER__CAPACITY": str(2 * groups)}
        with (
            serving(relay) as port,
            house(folder, server.environment(port), f"{server.root}/registry", **capacity) as services,
        ):
            services.probe(WARM_UP)
            empty = services.probe(probes)
            parsed = _parsed(services, folder, groups, SMALL_OF_A_FILE if small else OF_A_FILE)
            sides, full = {}, empty
            for side, trigger in (("ours", OURS), ("peer", PEER)):
                with _variables(server.environment()):
                    promotions = _prepared(Registry.open(f"{server.root}/{side}"), folder, woken)
                    before = services.size()
                    services.place(side, f"{server.root}/{side}", trigger, POLL, groups)
                    sides[side] = _measured(
                        services, relay, side, seconds=seconds, groups=groups, promotions=promotions, before=before
                    )
                if side == "ours":
                    full = services.probe(probes)
                services.forget(side)
    return _report(groups, parsed, (empty, full), sides)


def _parsed(services: House, folder: Path, groups: int, of_a_file: int) -> Parsed:
    """Write all groups' files, and wait until each DAG is there."""
    before, known = services.size(), services.parsed()
    began, processor = time.monotonic(), services.processor("airflow-dag-processor")
    for place in range(0, groups, of_a_file):
        text = _DAG_FILE.replace("START", str(place)).replace("STOP", str(min(place + of_a_file, groups)))
        (folder / f"dags/bench_groups_{number_of(place)}.py").write_text(text)
    last = [f"group_{number_of(place)}_release" for place in range(groups)]
    there = "SELECT count(*) FROM serialized_dag WHERE dag_id = ANY(%s)"
    until(lambda: services.count(there, last) == groups, "the DAGs are parsed")
    time.sleep(1.0)
    until(lambda: (services.parsed() - known) % groups == 0, "each group has all of its DAGs")
    seconds = time.monotonic() - began
    durations = services.rows(
        "SELECT max(last_parse_duration) FROM dag WHERE last_parse_duration IS NOT NULL AND dag_id <> 'probe'"
        " GROUP BY fileloc"
    )
    return Parsed(
        dags=services.parsed() - known,
        seconds=seconds,
        # those of files that were parsed in processes that have ended are not in it
        processor=services.processor("airflow-dag-processor") - processor,
        a_file=[float(one) for (one,) in durations],
        before=before,
        after=services.size(),
    )


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
    services: House,
    relay: Relay,
    run: str,
    *,
    seconds: float,
    groups: int,
    promotions: Sequence[Callable[[], tuple[datetime, Registry]]],
    before: float,
) -> Waiting:
    began = time.monotonic()
    until(lambda: services.waiting(run) >= groups, f"{groups} gates wait")
    until_all_wait = time.monotonic() - began
    time.sleep(seconds)  # each has looked at least once
    processor, requests, began = services.processor("airflow-triggerer"), len(relay.seen), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    used = (services.processor("airflow-triggerer") - processor) / passed
    asked, grown = (len(relay.seen) - requests) / passed, services.size() - before
    opened = [_opened(services, run, place, wake) for place, wake in enumerate(promotions)]
    return Waiting(
        processor=used,
        requests=asked,
        until_all_wait=until_all_wait,
        grown=grown,
        woken=[seconds for _, seconds, _ in opened],
        released=[
            _released(registry, f"group_{number_of(place)}", promoted)
            for place, (promoted, _, registry) in enumerate(opened)
        ],
    )


def _opened(
    services: House, run: str, place: int, wake: Callable[[], tuple[datetime, Registry]]
) -> tuple[datetime, float, Registry]:
    """Promote a group: when its entry was written, and seconds from there until its gate waits no more."""
    promoted, registry = wake()
    query = "SELECT count(*) FROM task_instance WHERE dag_id = %s AND run_id = %s AND state = 'deferred'"
    until(lambda: not services.count(query, f"group_{number_of(place)}_release", run), "the gate opens", pause=0.02)
    return promoted, (datetime.now(UTC) - promoted).total_seconds(), registry


def _released(registry: Registry, group: str, promoted: datetime) -> float:
    """Seconds from a promotion's entry to that of the release."""
    until(lambda: bool(registry.state().releases.get(group)), f"{group} is released")
    released = next(
        entry.at for entry in registry.log.entries() if isinstance(entry.fact, Released) and entry.fact.group == group
    )
    return (released - promoted).total_seconds()


def _prepared(registry: Registry, folder: Path, groups: int) -> list[Callable[[], tuple[datetime, Registry]]]:
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


def _promote(registry: Registry, graph: Graph, number: str) -> tuple[datetime, Registry]:
    """Both models with their thresholds move to staging; when, and where."""
    group = graph.group(f"group_{number}")
    promote(registry, group, [f"first_{number}@1", f"second_{number}@1"], ORIGIN)
    return list(registry.log.entries())[-1].at, registry


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


def _report(groups: int, parsed: Parsed, probed: tuple[Probed, Probed], sides: dict[str, Waiting]) -> Report:
    ours, peer = sides["ours"], sides["peer"]
    empty, full = probed

    def row(what: str, figure: Callable[[Waiting], float], unit: str) -> Row:
        return Row(what=what, ours=figure(ours), peer=figure(peer), unit=unit)

    def probe(what: str, figure: Callable[[Probed], float]) -> Row:
        return Row(what=what, ours=figure(full), peer=figure(empty), unit="s")

    rows = [
        Row(what=f"{parsed.dags} DAGs: from their files to the database", ours=parsed.seconds, unit="s"),
        Row(what="  a file, median", ours=median(parsed.a_file), unit="s"),
        Row(what="  the database before", ours=parsed.before / MIB, unit="MiB"),
        Row(what="  and for each group", ours=(parsed.after - parsed.before) / groups / 1024, unit="KiB"),
        Row(what="  and for each run that waits", ours=ours.grown / groups / 1024, unit="KiB"),
        probe("an empty task: run made → handed over, median", lambda side: median(side.handed_over)),
        probe("  run made → it runs, median", lambda side: median(side.began)),
        probe("  run made → it runs, worst", lambda side: max(side.began)),
        row("all gates are in the triggerer", lambda side: side.until_all_wait, "s"),
        row("processor while waiting", lambda side: side.processor, "s/s"),
        row("requests while waiting", lambda side: side.requests, "1/s"),
        row("promotion's entry → gate open, median", lambda side: median(side.woken), "s"),
        row("promotion's entry → gate open, p90", lambda side: percentile(side.woken, 0.9), "s"),
        row("promotion's entry → release's entry, median", lambda side: median(side.released), "s"),
    ]
    aims = [
        Aim(what="requests a second for all gates", value=ours.requests, at_most=2.5 / POLL, unit="1/s"),
        Aim(what="median until a gate is open", value=median(ours.woken), at_most=2.0, unit="s"),
    ]
    return Report(
        title=f"{groups} release groups; their gates wait in one triggerer",
        peer="the same gates, each with a reader of its own; for an empty task, before the groups came",
        rows=rows,
        aims=aims,
    )
