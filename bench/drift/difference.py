"""Memory of `lockstep data diff`: `python -m bench.drift.difference 100000 1000000 5000000`.

Rules:
- Two snapshots of so many rows of 21 columns, taken as ever from Parquet; the second has a hundredth of its rows
  changed, a hundredth gone, and as many new.
- The comparison runs in a process of its own, and is the first thing that this does. Its memory is the most that it
  ever had (VmHWM), less what it had when everything was imported.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from lockstep.data import take_snapshot
from lockstep.data.compared import snapshot_diff
from lockstep.declare import Dataset
from lockstep.registry import Origin, Registry
from lockstep.source import parquet

SIZES: Final = (100_000, 1_000_000, 5_000_000)
_FILE: Final = 250_000  # rows
_EACH: Final = 100  # one in so many rows is changed, or gone
_WORDS: Final = [f"word number {number}" for number in range(50)]


def things(pattern: str) -> Dataset:
    """Seven columns each of ints, floats and texts, but one: the key."""
    columns = {f"n{place}": int for place in range(7)} | {f"x{place}": float for place in range(7)}
    return Dataset(
        "things", source=parquet(pattern), key="thing", columns=columns | {f"w{place}": str for place in range(6)}
    )


def write(folder: Path, rows: int, *, later: bool) -> None:
    """Write the files of a snapshot."""
    folder.mkdir(parents=True)
    for start in range(0, rows, _FILE):
        numbers = np.arange(start, min(start + _FILE, rows))
        dice = np.random.default_rng(start)
        frame = pl.DataFrame(
            {"thing": pl.Series(numbers).cast(pl.String)}
            | {f"n{place}": dice.integers(0, 1000, len(numbers)) for place in range(7)}
            | {f"x{place}": dice.random(len(numbers)) for place in range(7)}
            | {f"w{place}": np.array(_WORDS)[dice.integers(0, 50, len(numbers))] for place in range(6)}
        )
        if later:
            is_changed, is_gone = pl.Series(numbers % _EACH == 0), pl.Series(numbers % _EACH == 1)
            frame = frame.with_columns(
                pl.when(is_changed).then(pl.col("n0") + 1).otherwise("n0").alias("n0"),
                pl.when(is_gone).then(pl.lit("new ") + pl.col("thing")).otherwise("thing").alias("thing"),
            )
        frame.write_parquet(folder / f"{start:09d}.parquet")


def measure(rows: int, folder: Path) -> dict[str, Any]:
    """Take two snapshots, and compare them in another process."""
    registry = Registry.open((folder / "registry").as_uri())
    for name, later in (("old", False), ("new", True)):
        write(folder / name, rows, later=later)
        take_snapshot(registry, things(f"{folder / name}/*.parquet"), Origin(by="bench"))
    words = [sys.executable, "-m", "bench.drift.difference", "--child", registry.uri]
    found = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ)
    return {"rows": rows, **json.loads(found.stdout)}


def compare(uri: str) -> dict[str, Any]:
    """Compare the two snapshots of a registry, and tell what that took."""
    registry = Registry.open(uri)
    state, before = registry.state(), _status("VmRSS")
    began, worked = time.perf_counter(), time.process_time()
    diff = snapshot_diff(registry, things(""), state.snapshot("things@1"), state.snapshot("things@2"))
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    counts = {"added": diff.added.count, "changed": diff.changed.count, "unchanged": diff.unchanged}
    return {"peak": _status("VmHWM"), "before": before, "seconds": seconds, "cpu": cpu, **counts}


def line(found: dict[str, Any]) -> str:
    """One size as text."""
    grown = found["peak"] - found["before"]
    return (
        f"{found['rows']:>9,} rows a side: {found['peak']:.0f} MB at most ({grown:.0f} MB more than before),"
        f" {found['seconds']:.1f} s, {found['cpu']:.1f} s of processor time; {found['added']:,} added,"
        f" {found['changed']:,} changed"
    )


def _status(name: str) -> float:
    said = dict(one.split(":", 1) for one in Path("/proc/self/status").read_text().splitlines())
    return int(said[name].split()[0]) / 1024


def main() -> None:
    """Measure each size."""
    parser = argparse.ArgumentParser(prog="python -m bench.drift.difference", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--child", metavar="REGISTRY", help="compare the two snapshots there, and tell")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(compare(options.child)))
        return
    for rows in options.sizes:
        with tempfile.TemporaryDirectory(prefix="lockstep-bench-", dir=os.environ.get("BENCH_FOLDER")) as folder:
            print(line(measure(rows, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
