"""Benchmark c: from the last promotion to the release, through a real Airflow (standalone, SQLite, LocalExecutor).

Rules:
- Two tiny models, the second built on the first, so that the gate stays closed until both are promoted. All versions
  are trained before, by the core.
- A round: `tiny_promote` of the first wakes `tiny_release`, whose gate waits deferred; then `tiny_promote` of the
  last is started. What counts is in the log: the time of its Promoted entry to the time of the Released entry.
- The peer is what plain Airflow needs for half of that: a task with an asset as outlet ends, a DAG scheduled on that
  asset starts and ends its one empty task. It runs in the pauses between our rounds, in the same Airflow.
- A first round warms up and does not count. Where Airflow tried a task again, the round counts and a note says why;
  only the break-down leaves it out.
"""

import os
import random
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from bench import tiny
from bench.report import Aim, Report, Row
from demo.rest import Rest
from demo.standalone import Standalone
from lockstep.data import take_snapshot
from lockstep.decisions import tune_threshold
from lockstep.registry import Entry, Origin, Promoted, Registry, Released
from lockstep.training import resolve_upstream, train_model

ROOT: Final = Path(__file__).resolve().parents[1]
ROUNDS, SMALL_ROUNDS = 20, 2
WARM_UP = 1
PATIENCE = 60.0  # seconds
ORIGIN = Origin(by="bench")
DAGS = ["tiny_promote", "tiny_release", "peer_source", "peer_sink"]

_DAG_FILE = """\
from bench.tiny import graph
from lockstep_airflow import release_dags

globals().update(release_dags(graph))
"""
_PEER_FILE = """\
from airflow.sdk import DAG, Asset, BaseOperator

notice = Asset(name="peer_notice", uri="x-bench://notice")


class Nothing(BaseOperator):
    def execute(self, context):
        return None


with DAG("peer_source", schedule=None, is_paused_upon_creation=False):
    Nothing(task_id="say", outlets=[notice])
with DAG("peer_sink", schedule=[notice], is_paused_upon_creation=False):
    Nothing(task_id="hear")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Seconds from the last promotion's entry: to the gate's task resumed, to its end, and so on."""

    total: float
    seen: float  # the gate's task runs again
    gate_ended: float
    release_queued: float
    release_started: float
    peer: float
    again: str  # why a task was tried again; blank in nearly all rounds


def run(*, small: bool) -> Report:
    """Prepare, start Airflow, measure."""
    rounds = (SMALL_ROUNDS if small else ROUNDS) + WARM_UP
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        place = Path(folder)
        uri = (place / "registry").as_uri()
        _prepare(uri, place / "data", rounds)
        dags = place / "dags"
        dags.mkdir()
        (dags / "tiny_dags.py").write_text(_DAG_FILE)
        (dags / "peer_dags.py").write_text(_PEER_FILE)
        airflow = Standalone(
            home=place / "airflow",
            dags=dags,
            plugins=ROOT / "plugins",
            include=[ROOT / "include", ROOT / "plugins", ROOT],
            expected=DAGS,
            variables={"LOCKSTEP_REGISTRY": uri} | _settings(),
        )
        with airflow:
            measured = [_round(airflow.rest, uri, number + 1) for number in range(rounds)][WARM_UP:]
    return _report(measured)


def _settings() -> dict[str, str]:
    """Airflow settings to try out: AIRFLOW__… in BENCH_SETTINGS as `NAME=value NAME=value`."""
    return dict(pair.split("=", 1) for pair in os.environ.get("BENCH_SETTINGS", "").split())


def _prepare(uri: str, data: Path, rounds: int) -> None:
    """A snapshot, and for each round a version of both models with their thresholds."""
    data.mkdir()
    numbers = random.Random(0)  # noqa: S311  rows of a benchmark
    lines = ["row,a,b,yes"]
    for row in range(300):
        a, b = numbers.gauss(0, 1), numbers.gauss(0, 1)
        lines.append(f"r{row},{a:.4f},{b:.4f},{str(a + b > 0).lower()}")
    (data / "rows.csv").write_text("\n".join(lines) + "\n")
    os.environ["LOCKSTEP_DATA"] = str(data)
    registry = Registry.open(uri)
    snapshot = take_snapshot(registry, tiny.rows, ORIGIN)
    for number in range(rounds):
        made: dict[str, str] = {}
        for model in (tiny.first, tiny.last):
            version = train_model(
                registry,
                tiny.graph,
                model.name,
                ORIGIN,
                snapshot=snapshot,
                upstream=resolve_upstream(tiny.graph, model.name, registry.state(), made),
                parameters={"C": 1.0 + number},
            ).version
            made[model.name] = version.digest
            for threshold in tiny.graph.thresholds_of(model.name):
                tune_threshold(registry, tiny.graph, threshold.name, ORIGIN, model=version)


def _round(rest: Rest, uri: str, number: int) -> Round:
    peer = _peer_round(rest)
    waiting_since = datetime.now(UTC)
    known = {run.run_id for run in rest.runs("tiny_release")}
    _promote(rest, f"tiny_first@{number}")
    waiting = rest.wait_for_new_run("tiny_release", known, timeout=PATIENCE)
    _until(lambda: rest.task("tiny_release", waiting.run_id, "gate").state == "deferred", "gate deferred")
    time.sleep(1.0)  # the trigger has reached the triggerer, as after any longer wait
    _promote(rest, f"tiny_last@{number}")
    rest.wait("tiny_release", waiting.run_id, timeout=PATIENCE)
    second = rest.wait_for_new_run("tiny_release", known | {waiting.run_id}, timeout=PATIENCE)
    rest.wait("tiny_release", second.run_id, timeout=PATIENCE)
    tasks = {task.task_id: task for task in rest.task_instances("tiny_release", waiting.run_id)}
    promoted, released = _entries(uri)
    if released.at < waiting_since:
        raise RuntimeError(f"Round {number} released nothing:\n{rest.log('tiny_release', waiting.run_id, 'release')}")
    log = rest.log("tiny_release", waiting.run_id, "gate")

    def since(moment: datetime | None) -> float:
        return (moment - promoted.at).total_seconds() if moment else float("nan")

    return Round(
        total=since(released.at),
        seen=since(_time_of(log, "The gate was seen")),
        gate_ended=since(tasks["gate"].end),
        release_queued=since(tasks["release"].queued_at),
        release_started=since(tasks["release"].start),
        peer=peer,
        again="; ".join(
            _tried_again(rest, waiting.run_id, task.task_id, task.try_number) for task in tasks.values()
        ).strip("; "),
    )


def _tried_again(rest: Rest, run_id: str, task_id: str, tries: int) -> str:
    """Why a task did not end well at first, in one line; blank if it did."""
    if tries <= 1:
        return ""
    lines = rest.log("tiny_release", run_id, task_id, try_number=1).splitlines()
    errors = [line for line in lines if " error " in line or " warning " in line]
    return f"{task_id} was tried {tries} times: {(errors or lines or ['no log'])[-1][:300]}"


def _promote(rest: Rest, version: str) -> None:
    run = rest.trigger("tiny_promote", {"version": version})
    ended = rest.wait("tiny_promote", run.run_id, timeout=PATIENCE)
    if ended.state != "success":
        raise RuntimeError(f"Promoting {version} failed:\n{rest.log('tiny_promote', run.run_id, 'promote')}")


def _peer_round(rest: Rest) -> float:
    """Seconds from the end of the task that says to the end of the task that hears."""
    known = {run.run_id for run in rest.runs("peer_sink")}
    said = rest.trigger("peer_source")
    rest.wait("peer_source", said.run_id, timeout=PATIENCE)
    heard = rest.wait_for_new_run("peer_sink", known, timeout=PATIENCE)
    rest.wait("peer_sink", heard.run_id, timeout=PATIENCE)
    begin = rest.task("peer_source", said.run_id, "say").end
    end = rest.task("peer_sink", heard.run_id, "hear").end
    if begin is None or end is None:
        raise AssertionError("unreachable")
    return (end - begin).total_seconds()


def _entries(uri: str) -> tuple[Entry, Entry]:
    """The last promotion and the release behind it."""
    entries = list(Registry.open(uri).log.entries())
    released = next(entry for entry in reversed(entries) if isinstance(entry.fact, Released))
    promoted = next(
        entry for entry in reversed(entries) if isinstance(entry.fact, Promoted) and entry.number < released.number
    )
    return promoted, released


def _time_of(log: str, words: str) -> datetime | None:
    line = next((line for line in log.splitlines() if words in line), "")
    found = re.match(r"\S+", line)
    return datetime.fromisoformat(found.group()) if found else None


def _until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Waited {PATIENCE:g} s in vain for: {what}")
        time.sleep(0.1)


def _report(measured: list[Round]) -> Report:
    total, peer = [found.total for found in measured], [found.peer for found in measured]
    smooth = [found for found in measured if not found.again] or measured
    steps = {
        "promotion → gate's task resumed": [found.seen for found in smooth],
        "→ gate's task ended": [found.gate_ended - found.seen for found in smooth],
        "→ release task queued": [found.release_queued - found.gate_ended for found in smooth],
        "→ release task started": [found.release_started - found.release_queued for found in smooth],
        "→ release entry": [found.total - found.release_started for found in smooth],
    }
    rows = [
        Row(what="last promotion → release, median", ours=median(total), peer=median(peer), unit="s"),
        Row(what="last promotion → release, worst", ours=max(total), peer=max(peer), unit="s"),
        *(Row(what=f"  {step}, median", ours=median(values), unit="s") for step, values in steps.items()),
    ]
    aims = [Aim(what="median from last promotion to release", value=median(total), at_most=2.0, unit="s")]
    peer_name = "plain Airflow: outlet's task ended → asset-scheduled empty task ended"
    notes = [f"round {number}: {found.again}" for number, found in enumerate(measured, start=1) if found.again]
    title = f"Release latency ({len(measured)} rounds)"
    return Report(title=title, peer=peer_name, rows=rows, aims=aims, notes=notes)
