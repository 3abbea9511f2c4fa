"""Benchmark j: rows a second, and memory, of profile and drift of simulated customers (21 columns); and how good it is.

Rules:
- A measurement is two sides of the same number of rows each, from Parquet files to the verdict, in a process of its own
  that may use two processors; rows are counted on both sides. Ours and the peers' alternate, and the best of the
  repetitions is compared; notes give the load.
- evidently is its default data-drift preset, whylogs its profiles and default drift scores; neither fits a classifier,
  as ours does. They read with pandas, since that is what they take; evidently's rate without reading stands there, too.
- Processor time is compared as well: it depends less on what else the machine does.
- What can't be installed is left out, and a note gives the line that installs it.
- How good it is: the table of `bench.drift.histories`, as notes.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.drift.histories import HISTORIES, judge
from bench.drift.peer import EVIDENTLY, ROOT, WHYLOGS, Peer
from bench.drift.sides import CURRENT, REFERENCE, write_sides
from bench.registry.peer import PeerMissing
from bench.report import Aim, Report, Row
from groups.churn import customers
from lockstep.data.split import SPLIT, buckets_of

PROCESSORS: Final = 2
_DRAWN: Final = 4  # parts of a side, where only memory is looked at
Measured = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Rows of each side for the rates, and for memory; how often; and how many histories.

    Of the sizes for memory the last two have parts of one size, so that they differ by the number of rows alone.
    """

    rows: int
    memory: tuple[int, ...]
    repetitions: int
    histories: int


FULL: Final = Sizes(rows=1_000_000, memory=(500_000, 1_250_000, 10_000_000), repetitions=3, histories=HISTORIES)
SMALL: Final = Sizes(rows=2_000, memory=(2_000, 4_000), repetitions=1, histories=1)


def run(*, small: bool) -> Report:
    """Measure, and judge."""
    sizes = SMALL if small else FULL
    notes = [f"Load when it began: {os.getloadavg()[0]:.1f}."]
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-", dir=os.environ.get("BENCH_FOLDER")) as folder:
        rows, aims = _rates(Path(folder) / "rates", sizes, notes)
        memory, aim = _memory(Path(folder) / "memory", sizes)
    notes += [*judge(sizes.histories), f"Load when it ended: {os.getloadavg()[0]:.1f}."]
    title = f"Drift of {sizes.rows} customers against {sizes.rows} (thousands of rows a second)"
    return Report(title=title, peer="named in each row", rows=[*rows, *memory], aims=[*aims, aim], notes=notes)


def _rates(folder: Path, sizes: Sizes, notes: list[str]) -> tuple[list[Row], list[Aim]]:
    write_sides(folder, sizes.rows)
    found: dict[str, Measured] = {"ours": []}
    missing: set[str] = set()
    for _ in range(sizes.repetitions):
        found["ours"].append(measure(folder))
        for peer in (EVIDENTLY, WHYLOGS):
            if peer.name in missing:
                continue
            try:
                found.setdefault(peer.name, []).append(measure_peer(peer, folder))
            except PeerMissing as why:
                missing.add(peer.name)
                notes.append(str(why))
    ours = found["ours"]
    rows = [Row(what=f"{sizes.rows} rows a side", ours=max(map(_rate, ours)), unit="k/s")]
    for name, theirs in found.items():
        if name != "ours" and theirs:
            rows += _beside(name, ours, theirs)
    theirs = found.get(EVIDENTLY.name, [])
    ratio = max(map(_rate, ours)) / max(map(_rate, theirs)) if theirs else None
    return rows, [Aim(what=f"faster than evidently, {sizes.rows} rows a side", value=ratio, at_least=10)]


def _beside(name: str, ours: Measured, theirs: Measured) -> list[Row]:
    rows = [
        Row(what=f"against {name}", ours=max(map(_rate, ours)), peer=max(map(_rate, theirs)), unit="k/s"),
        Row(
            what=f"processor time a million rows, against {name}",
            ours=min(map(_cpu, ours)),
            peer=min(map(_cpu, theirs)),
            unit="s",
        ),
        Row(what=f"memory, against {name}", ours=_peak(ours), peer=_peak(theirs), unit="MB"),
    ]
    if all("reading" in one for one in theirs):
        without = max(one["rows"] / (one["seconds"] - one["reading"]) / 1000 for one in theirs)
        rows.append(
            Row(what=f"against {name}, its reading left out", ours=max(map(_rate, ours)), peer=without, unit="k/s")
        )
    return rows


def _memory(folder: Path, sizes: Sizes) -> tuple[list[Row], Aim]:
    """Ours alone: the peers' grows with the rows, and may need more than there is."""
    rows = []
    for number in sizes.memory:
        write_sides(folder / str(number), number, _DRAWN)
        what = f"memory, {number} rows a side, in parts of {number // buckets_of(number)}"
        rows.append(Row(what=what, ours=measure(folder / str(number))["peak"], unit="MB"))
        shutil.rmtree(folder / str(number))
    few, many = sizes.memory[-2:]
    return rows, Aim(what=f"memory, {many} rows a side / {few}", value=rows[-1].ours / rows[-2].ours, at_most=1.3)


def measure(folder: Path) -> dict[str, Any]:
    """Ours, of the sides in a folder, in a process of its own."""
    path = os.pathsep.join(str(place) for place in (ROOT, ROOT / "include", ROOT / "plugins"))
    command = [sys.executable, "-W", "ignore", "-m", "bench.drift.ours", str(folder)]
    environment = os.environ | {"PYTHONPATH": path, "POLARS_MAX_THREADS": str(PROCESSORS)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stderr[-2000:]}")
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def measure_peer(peer: Peer, folder: Path) -> dict[str, Any]:
    """A peer, of the same sides.

    Raises:
        PeerMissing: it is not there and can't be installed.
    """
    sides = {side: sorted(map(str, (folder / side).glob("*.parquet"))) for side in (REFERENCE, CURRENT)}
    return peer.answers([sides | {"key": customers.key, "without": [SPLIT]}], PROCESSORS)[0]


def _rate(measured: dict[str, Any]) -> float:
    return float(measured["rows"] / measured["seconds"] / 1000)


def _cpu(measured: dict[str, Any]) -> float:
    return float(measured["cpu"] / measured["rows"] * 1_000_000)


def _peak(measured: Measured) -> float:
    return min(float(one["peak"]) for one in measured)
