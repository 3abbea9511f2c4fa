"""Benchmark g: rows a second, and memory, of preprocessing simulated customers (21 columns) on FnApiRunner.

Rules:
- Steps: parse, check types, clean, split by hash, unique key, profile, content digest, write Parquet. Ours also hashes
  the files, keeps an account of each row that it leaves out, syncs the result, and records it.
- Each measurement is a process of its own, which may use two processors; ours and the peers' alternate. The best of the
  repetitions is compared, since noise of the machine only adds; notes give the medians and the load.
- Per-row DoFns get fewer rows, since their rate does not depend on the number; ours gets all of them.
- Results are compared: rows, keys, sums of each column, and splits have to be the same.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.preprocess.customers import FORMATS, write_customers
from bench.report import Aim, Report, Row

ROOT = Path(__file__).resolve().parents[2]
PROCESSORS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What each part of the benchmark takes: formats, rows, and how often."""

    kinds: tuple[str, ...]
    rows: int
    per_row: int
    memory: tuple[int, int]
    repetitions: int


FULL = Sizes(kinds=FORMATS, rows=5_000_000, per_row=100_000, memory=(1_000_000, 10_000_000), repetitions=3)
SMALL = Sizes(kinds=FORMATS[:1], rows=1_000, per_row=1_000, memory=(1_000, 2_000), repetitions=1)


def run(*, small: bool) -> Report:
    """Measure all three."""
    sizes = SMALL if small else FULL
    rows: list[Row] = []
    aims: list[Aim] = []
    notes = [f"Load when it began: {os.getloadavg()[0]:.1f}. Runner: FnApiRunner, two threads."]
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-", dir=os.environ.get("BENCH_FOLDER")) as folder:
        place = Path(folder)
        write_customers(place / "rows", sizes.rows)
        write_customers(place / "few", sizes.per_row)
        for kind in sizes.kinds:
            _compare(place, kind, sizes, rows, aims, notes)
        shutil.rmtree(place / "rows")
        _memory(place, sizes, rows, aims)
    notes.append(f"Load when it ended: {os.getloadavg()[0]:.1f}.")
    title = f"Preprocessing {sizes.rows} customers (thousands of rows a second)"
    return Report(title=title, peer="named in each row", rows=rows, aims=aims, notes=notes)


def _compare(place: Path, kind: str, sizes: Sizes, rows: list[Row], aims: list[Aim], notes: list[str]) -> None:
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "plain": [], "perrow": []}
    for _ in range(sizes.repetitions):
        found["ours"].append(_measure(place, "ours", "rows", kind))
        found["plain"].append(_measure(place, "plain", "rows", kind))
        found["perrow"].append(_measure(place, "perrow", "few", kind))
    _check_same(found["ours"][0], found["plain"][0])
    _check_same(_measure(place, "ours", "few", kind), found["perrow"][0])
    best = {who: max(map(_rate, measured)) for who, measured in found.items()}
    rows += [
        Row(what=f"{kind}: against plain polars", ours=best["ours"], peer=best["plain"], unit="k/s"),
        Row(what=f"{kind}: against per-row DoFns", ours=best["ours"], peer=best["perrow"], unit="k/s"),
        Row(
            what=f"{kind}: processor time a million rows, against plain polars",
            ours=min(map(_cpu, found["ours"])),
            peer=min(map(_cpu, found["plain"])),
            unit="s",
        ),
    ]
    aims += [
        Aim(what=f"{kind}: of the rate of plain polars", value=best["ours"] / best["plain"], at_least=0.8),
        Aim(what=f"{kind}: faster than per-row DoFns", value=best["ours"] / best["perrow"], at_least=15),
    ]
    medians = ", ".join(f"{who} {median(map(_rate, measured)):.0f}" for who, measured in found.items())
    notes.append(f"{kind}: medians of {sizes.repetitions}, in thousands of rows a second: {medians}.")


def _memory(place: Path, sizes: Sizes, rows: list[Row], aims: list[Aim]) -> None:
    peaks: dict[str, list[float]] = {"ours": [], "plain": []}
    for number in sizes.memory:
        write_customers(place / "memory", number)
        for who, found in peaks.items():
            found.append(_measure(place, who, "memory", "csv")["peak"])
            rows_of = f"memory, {number} rows of CSV"
        rows.append(Row(what=rows_of, ours=peaks["ours"][-1], peer=peaks["plain"][-1], unit="MB"))
        shutil.rmtree(place / "memory")
    few, many = peaks["ours"]
    aims.append(Aim(what=f"memory, {sizes.memory[1]} rows / {sizes.memory[0]}", value=many / few, at_most=1.3))


def _measure(place: Path, who: str, data: str, kind: str) -> dict[str, Any]:
    path = os.pathsep.join(str(folder) for folder in (ROOT, ROOT / "include", ROOT / "plugins"))
    out = place / "out"
    command = [sys.executable, "-W", "ignore", "-m", "bench.preprocess.child", who, str(place / data), kind, str(out)]
    environment = os.environ | {"PYTHONPATH": path, "POLARS_MAX_THREADS": str(PROCESSORS)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    shutil.rmtree(out, ignore_errors=True)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stderr[-2000:]}")
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def _check_same(ours: dict[str, Any], peer: dict[str, Any]) -> None:
    """Counts have to be equal; sums of floats may differ in how they were added up, and in halves of a cent."""
    pairs = [(value, peer["found"][name]) for name, value in ours["found"].items()]
    if not all(math.isclose(a, b, abs_tol=1) if isinstance(a, float) else a == b for a, b in pairs):
        raise AssertionError(f"The peer's result is not ours: {ours['found']} and {peer['found']}.")


def _rate(measured: dict[str, Any]) -> float:
    return float(measured["rows"] / measured["seconds"] / 1000)


def _cpu(measured: dict[str, Any]) -> float:
    return float(measured["cpu"] / measured["rows"] * 1_000_000)
