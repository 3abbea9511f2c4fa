"""Benchmark b: what a DAG file of many release groups costs, against the same DAGs written by hand.

Rules:
- Both files are generated and give the same DAGs (`handwritten`); that they do is checked before the clock counts.
- Each measurement is a process of its own; ours and the peer's alternate. Bytecode is compiled and cached before, on
  both sides.
- The clock starts when Airflow is imported (its parts fork after that). What the file itself imports counts.
- The best of the repetitions is compared: noise of the machine only adds. The processor's time stands beside it.
- One task: the file is parsed as the task runner does it. The aim looks at the parsing alone; the whole process, from
  the start of Python, stands beside it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.handwritten import number_of, write_ours, write_plain
from bench.report import Aim, Report, Row

ROOT = Path(__file__).resolve().parents[1]
SIZES = {200: 4, 1000: 2}  # groups → repetitions
SMALL_SIZES = {20: 2}
TASK_REPETITIONS, SMALL_TASK_REPETITIONS = 7, 2
MS = 1000.0
WORDS = {"doc_md", "fileloc", "relative_fileloc", "_task_module", "task_type", "_operator_name", "_task_display_name"}
OWN = {
    "_processor_dags_folder",
    "_operator_extra_links",
    "operator_extra_links",
    "doc_json",
}  # where it lies; the link to a version's page and what the web UI reads are ours alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of one process: parse, serialize, processor time of both, and the whole process."""

    parse: float
    serialize: float
    cpu: float
    whole: float
    dags: int
    tasks: int


def run(*, small: bool) -> Report:
    """Measure both."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        place = Path(folder)
        _check_same(place / "same")
        rows: list[Row] = []
        aims: list[Aim] = []
        for groups, repetitions in (SMALL_SIZES if small else SIZES).items():
            _compare_files(place, groups, repetitions, rows, aims)
        _compare_tasks(
            place,
            max(SMALL_SIZES if small else SIZES),
            SMALL_TASK_REPETITIONS if small else TASK_REPETITIONS,
            rows,
            aims,
        )
    title = "Parsing DAG files of many release groups"
    return Report(title=title, peer="the same DAGs written by hand; a file of one group", rows=rows, aims=aims)


def _compare_files(place: Path, groups: int, repetitions: int, rows: list[Row], aims: list[Aim]) -> None:
    files = (write_ours(place / f"ours_{groups}", groups), write_plain(place / f"plain_{groups}", groups))
    for file in files:
        _compile(file)
    measured: tuple[list[Timing], list[Timing]] = ([], [])
    for _ in range(repetitions):
        for file, timings in zip(files, measured, strict=True):
            timings.append(_measure(file, "all"))
    ours, plain = measured
    if (ours[0].dags, ours[0].tasks) != (plain[0].dags, plain[0].tasks):
        raise AssertionError(f"Not the same DAGs: {ours[0]} and {plain[0]}.")

    def row(what: str, seconds: Callable[[Timing], float]) -> Row:
        return Row(
            what=f"{groups} groups: {what}", ours=min(map(seconds, ours)), peer=min(map(seconds, plain)), unit="s"
        )

    total = row("parse + serialize", lambda timing: timing.parse + timing.serialize)
    rows += [
        total,
        row("  parse", lambda timing: timing.parse),
        row("  serialize", lambda timing: timing.serialize),
        row("  processor time", lambda timing: timing.cpu),
    ]
    aims.append(
        Aim(what=f"{groups} groups, {ours[0].dags} DAGs, {ours[0].tasks} tasks", value=total.ratio, at_most=1.2)
    )


def _compare_tasks(place: Path, groups: int, repetitions: int, rows: list[Row], aims: list[Aim]) -> None:
    many, one = place / f"ours_{groups}" / "bench_dags.py", write_ours(place / "ours_1", 1)
    _compile(one)
    dag_id = f"group_{number_of(0)}_release"
    measured: tuple[list[Timing], list[Timing]] = ([], [])
    for _ in range(repetitions):
        for file, timings in zip((many, one), measured, strict=True):
            timings.append(_measure(file, dag_id))

    def row(what: str, seconds: Callable[[Timing], float]) -> Row:
        ours, peer = (MS * min(map(seconds, timings)) for timings in measured)
        return Row(what=f"one task of {groups}: {what}", ours=ours, peer=peer)

    parse = row("parse", lambda timing: timing.parse)
    rows += [parse, row("whole process", lambda timing: timing.whole)]
    aims.append(Aim(what=f"one task's parse, {groups} groups / one", value=parse.ratio, at_most=1.3))


def _measure(file: Path, what: str) -> Timing:
    began = time.perf_counter()
    said = _child(file, what)
    whole = time.perf_counter() - began
    return Timing(
        parse=said["parse"],
        serialize=said.get("serialize", 0.0),
        cpu=said["cpu"],
        whole=whole,
        dags=said["dags"],
        tasks=said["tasks"],
    )


def _compile(file: Path) -> None:
    """Write the bytecode of a file and what lies beside it, as Airflow's first parse would."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", file.parent], check=True)


def _child(file: Path, what: str, **variables: str) -> dict[str, Any]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW") and name != "PYTHONDONTWRITEBYTECODE"
    }
    home = file.parent.parent / "airflow"
    environment = inherited | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(file.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "no_plugins"),
        "PYTHONPATH": os.pathsep.join(map(str, [file.parent, ROOT / "include", ROOT / "plugins"])),
        **variables,
    }
    command = [sys.executable, str(Path(__file__).with_name("parse_child.py")), str(file), what]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stderr[-2000:]}")
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def _check_same(place: Path) -> None:
    """Both files give the same DAGs, but for words and the classes of tasks."""
    ours, plain = (
        {dag["dag"]["dag_id"]: _plain(dag["dag"]) for dag in _child(file, "all", BENCH_SHOW="1")["serialized"]}
        for file in (write_ours(place / "ours", 1), write_plain(place / "plain", 1))
    )
    if ours != plain:
        differing = [
            f"{dag_id}: {_difference(ours[dag_id], plain.get(dag_id))}"
            for dag_id in ours
            if ours[dag_id] != plain.get(dag_id)
        ]
        raise AssertionError("The peer's DAGs are not ours: " + "; ".join(differing))


def _plain(value: Any) -> Any:  # noqa: ANN401  any JSON
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key not in WORDS | OWN}
    if isinstance(value, list):
        return sorted((_plain(inner) for inner in value), key=lambda inner: json.dumps(inner, sort_keys=True))
    return value


def _difference(ours: Any, plain: Any, path: str = "") -> str:  # noqa: ANN401  any JSON
    if isinstance(ours, dict) and isinstance(plain, dict):
        for key in sorted(ours.keys() | plain.keys()):
            if ours.get(key) != plain.get(key):
                return _difference(ours.get(key), plain.get(key), f"{path}.{key}")
    if isinstance(ours, list) and isinstance(plain, list) and len(ours) == len(plain):
        for place, (left, right) in enumerate(zip(ours, plain, strict=True)):
            if left != right:
                return _difference(left, right, f"{path}[{place}]")
    return f"{path}: {str(ours)[:300]} against {str(plain)[:300]}"
