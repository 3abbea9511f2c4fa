"""From new data to a release, a group of five models, on docker-compose's services: against pure computation.

Rules:
- A round: a new file of rows is there, `five_retrain` is started with *promote*; it ends with the release's entry,
  which `five_release` writes once all five stand in staging. The clock runs from before the start to the entry.
- The peer, in the same services and in turn with ours: plain operators, joblib and MLflow's aliases (`by_hand.py`),
  before an MLflow server with SQLite. Its round ends when the fifth alias `production` is set.
- Pure computation: the same steps as plain calls in one warm process, one after the other, on the idle machine; the
  critical path is the longest chain of them. It is taken of each side's own steps. Two cores run what the path leaves
  out beside it, and no process of Airflow is counted.
- Where the rest goes: along the tasks of the path, from Airflow's database. Within tasks: what they took beyond pure
  computation, that is a new process, imports, reading the DAG file, talking to the API server, and others on the same
  cores. Between tasks: from the end of one to the start of the next.
- A first round warms up (workers, caches) and does not count. Registry and MLflow lie on the same local disk.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.orchestration import by_hand, five
from bench.orchestration.hand_dags import DAG_FILE, TRIGGER
from bench.orchestration.house import House, house, until
from bench.registry.peer import server
from bench.report import Aim, Report, Row
from lockstep.data import take_snapshot
from lockstep.decisions import diff_before_release, keep_diff, tune_threshold
from lockstep.registry import Origin, Registry, Released
from lockstep.release import gate, promote, release
from lockstep.training import resolve_upstream, train_model

ROUNDS, SMALL_ROUNDS = 4, 1
WARM_UP: Final = 1
PURE, SMALL_PURE = 3, 1  # rounds of pure computation, behind one that warms up
ORIGIN: Final = Origin(by="bench")
OURS: Final = """\
from bench.orchestration.five import graph
from lockstep_airflow import release_dags

globals().update(release_dags(graph))
"""
Seconds = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A round: seconds in all, and along the tasks of its critical path, within them and between them."""

    total: float
    within: float
    between: float
    path: tuple[str, ...]


def run(*, small: bool) -> Report:
    """Compute alone, then start the services and play the rounds of both in turn."""
    rounds, pure = (SMALL_ROUNDS, SMALL_PURE) if small else (ROUNDS, PURE)
    with (
        tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name,
        server(Path(name) / "mlflow") as address,
    ):
        folder = Path(name)
        (folder / "dags").mkdir()
        (folder / "dags/five_dags.py").write_text(OURS)
        (folder / "dags/hand_dags.py").write_text(DAG_FILE)
        (folder / "dags/by_hand_trigger.py").write_text(TRIGGER)
        variables = {
            "LOCKSTEP_DATA": str(folder / "data"),
            "BY_HAND": str(folder / "hand"),
            "BY_HAND_MLFLOW": address,
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        os.environ.update(variables)
        by_hand.set_up()
        alone = _alone(folder, pure)
        registry = folder / "registry"
        with house(folder, {}, registry.as_uri(), **variables) as services:
            ids = ["five_retrain", "five_release", "hand_retrain", "hand_release"]
            there = "SELECT count(*) FROM serialized_dag WHERE dag_id = ANY(%s)"
            until(lambda: services.count(there, ids) == len(ids), "the DAGs are parsed")
            told: dict[str, list[Told]] = {"five": [], "hand": []}
            for number in range(rounds + WARM_UP):
                for side, found in told.items():
                    five.write_month(folder / "data/rows", 100 + number)
                    found.append(_round(services, side, registry.as_uri()))
    return _report(alone, {side: found[WARM_UP:] for side, found in told.items()})


# ------------------------------------------------------------------------------------------------------ computed alone


def _alone(folder: Path, rounds: int) -> dict[str, Seconds]:
    """Each step's median seconds, of both sides."""
    registry = Registry.open((folder / "alone").as_uri())
    measured: dict[str, list[Seconds]] = {"five": [], "hand": []}
    for number in range(rounds + 1):
        five.write_month(folder / "data/rows", number)
        measured["five"].append(_ours_alone(registry))
        measured["hand"].append(_theirs_alone())
    return {
        side: {step: median(one[step] for one in found[1:]) for step in found[0]} for side, found in measured.items()
    }


def _ours_alone(registry: Registry) -> Seconds:
    took, graph, group = {}, five.graph, five.graph.groups["five"]
    made: dict[str, str] = {}
    snapshot = _timed(took, "snapshot", lambda: take_snapshot(registry, five.rows, ORIGIN))
    for name in five.CHAIN:
        upstream = resolve_upstream(graph, name, registry.state(), made)
        version = _timed(
            took,
            f"{name}.train",
            lambda name=name, upstream=upstream: train_model(
                registry, graph, name, ORIGIN, snapshot=snapshot, upstream=upstream
            ),
        ).version
        made[name] = version.digest
        _timed(
            took,
            f"{name}.tune",
            lambda name=name, version=version: tune_threshold(registry, graph, f"cut_{name}", ORIGIN, model=version),
        )
        ref = version.ref
        _timed(took, f"{name}.promote", lambda ref=ref: promote(registry, group, [ref], ORIGIN))
    _timed(took, "gate", lambda: gate(group, registry.state()))
    _timed(took, "diff", lambda: keep_diff(registry, diff_before_release(registry, graph, "five")[0]))
    _timed(took, "release", lambda: release(registry, group, ORIGIN))
    return took


def _theirs_alone() -> Seconds:
    took: Seconds = {}
    rows = _timed(took, "snapshot", by_hand.snapshot)
    for name in five.CHAIN:
        version = _timed(took, f"{name}.train", lambda name=name: by_hand.train(name, rows))
        _timed(took, f"{name}.tune", lambda name=name, version=version: by_hand.tune(name, rows, version))
        _timed(took, f"{name}.promote", lambda name=name, version=version: by_hand.stage(name, version))
    for step in (by_hand.is_open, by_hand.diff, by_hand.release):
        _timed(took, {"is_open": "gate"}.get(step.__name__, step.__name__), step)
    return took


def _timed(took: Seconds, step: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401  whatever the step gives
    began = time.perf_counter()
    found = work()
    took[step] = time.perf_counter() - began
    return found


def critical(took: Seconds) -> float:
    """Seconds of the longest chain of steps."""
    trained = dict.fromkeys(five.CHAIN, 0.0)
    for name, above in five.CHAIN.items():  # in an order in which what is built on comes first
        trained[name] = max([took["snapshot"], *(trained[one] for one in above)]) + took[f"{name}.train"]
    staged = max(trained[name] + took[f"{name}.tune"] + took[f"{name}.promote"] for name in five.CHAIN)
    return staged + took["gate"] + took["diff"] + took["release"]


# ---------------------------------------------------------------------------------------------------- through Airflow


def _round(services: House, side: str, uri: str) -> Told:
    """Start, wait until all is over, and read what took how long."""
    done = "SELECT run_id FROM task_instance WHERE dag_id = %s AND task_id = 'release' AND state = 'success'"
    known = services.rows(done, f"{side}_release")
    conf = {"promote": True} if side == "five" else {}
    began = datetime.now(UTC)
    retraining = services.rest.trigger(f"{side}_retrain", conf).run_id
    until(lambda: len(services.rows(done, f"{side}_release")) > len(known), f"{side} is released")
    ((releasing,),) = set(services.rows(done, f"{side}_release")) - set(known)
    open_runs = "SELECT run_id FROM dag_run WHERE dag_id LIKE %s AND state IN ('queued', 'running')"
    if side == "five":
        until(lambda: not services.rows(open_runs, "five_%"), "all runs have ended")
        ended = [entry.at for entry in Registry.open(uri).log.entries() if isinstance(entry.fact, Released)][-1]
    else:
        # the next release waits already; it would go on asking MLflow while ours is measured
        waiting = "SELECT count(*) FROM task_instance WHERE dag_id = 'hand_release' AND state = 'deferred'"
        until(lambda: bool(services.count(waiting)) or not services.rows(open_runs, "hand_%"), "the next one waits")
        for (run,) in services.rows(open_runs, "hand_%"):
            services.forget(run)
        ended = datetime.fromisoformat(services.rest.xcom("hand_release", releasing, "release"))
    return _told(services, side, (began, ended), retraining, releasing)


def _told(services: House, side: str, clock: tuple[datetime, datetime], retraining: str, releasing: str) -> Told:
    """Walk back from the release to the snapshot, always to what ended last."""
    tasks: dict[str, tuple[datetime, datetime]] = {}
    for dag, run in ((f"{side}_retrain", retraining), (f"{side}_release", releasing)):
        query = "SELECT task_id, start_date, end_date FROM task_instance WHERE dag_id = %s AND run_id = %s"
        tasks |= {
            task.replace("tune_cut_" + task.split(".")[0], "tune"): (a, b)
            for task, a, b in services.rows(query, dag, run)
        }
    snapshot = next(task for task in tasks if task.startswith("snapshot"))
    before = {snapshot: [], "gate": [f"{name}.promote" for name in five.CHAIN], "diff": ["gate"], "release": ["diff"]}
    for name, above in five.CHAIN.items():
        before |= {
            f"{name}.train": [snapshot, *(f"{one}.train" for one in above)],
            f"{name}.tune": [f"{name}.train"],
            f"{name}.promote": [f"{name}.tune"],
        }
    path, within, between, later = ["release"], 0.0, 0.0, clock[1]
    while True:
        start, end = tasks[path[0]][0], min(tasks[path[0]][1], later)
        earlier = max(before[path[0]], key=lambda task: tasks[task][1], default=None)
        ready = clock[0] if earlier is None else tasks[earlier][1]
        # a gate has waited since it first looked: its part begins when it may open
        within += (end - max(start, ready)).total_seconds()
        between += max(0.0, (start - ready).total_seconds())
        if earlier is None:
            break
        path.insert(0, earlier)
        later = ready
    return Told(total=(clock[1] - clock[0]).total_seconds(), within=within, between=between, path=tuple(path))


def _report(alone: Mapping[str, Seconds], told: Mapping[str, Sequence[Told]]) -> Report:
    pure = {side: critical(took) for side, took in alone.items()}

    def row(what: str, figure: Callable[[str], float], unit: str = "s") -> Row:
        return Row(what=what, ours=figure("five"), peer=figure("hand"), unit=unit)

    def middle(figure: Callable[[Told], float]) -> Callable[[str], float]:
        return lambda side: median(figure(one) for one in told[side])

    total = middle(lambda one: one.total)
    rows = [
        row("new data → released, median", total),
        row("new data → released, worst", lambda side: max(one.total for one in told[side])),
        row("pure computation, critical path", lambda side: pure[side]),
        row("  of it the snapshot", lambda side: alone[side]["snapshot"]),
        row(
            "  of it the three models of the chain",
            lambda side: sum(alone[side][f"{one}.train"] for one in ("one", "two", "three")),
        ),
        row("all steps one after the other", lambda side: sum(alone[side].values())),
        row("released / pure computation", lambda side: total(side) / pure[side], "×"),
        row("the rest, in tasks of the path", lambda side: middle(lambda one: one.within)(side) - pure[side]),
        row("the rest, between tasks of the path", middle(lambda one: one.between)),
    ]
    aims = [Aim(what="ours / written by hand", value=rows[0].ratio, at_most=1.2)]
    ways = {
        side: max({one.path for one in found}, key=[one.path for one in found].count) for side, found in told.items()
    }
    notes = [f"the path of {side}, most often: {' → '.join(way)}" for side, way in ways.items()]
    notes += [f"rounds of {side}: {', '.join(f'{one.total:.1f}' for one in found)} s" for side, found in told.items()]
    return Report(
        title=f"New data → released, five models ({len(told['five'])} rounds)",
        peer="plain operators, joblib and MLflow's aliases",
        rows=rows,
        aims=aims,
        notes=notes,
    )
