"""Ours in a process of its own: profiles of both sides, part by part, and the whole comparison; `ours.py FOLDER`.

Rules:
- It does what the pipeline and `lockstep drift` do: a profile of each part, merged and finished; a sample of the first
  parts; then every figure of every column, the classifier, and the verdict. There is no production, so no scores.
- Two threads take parts, and polars has two of its own.
- The clock starts when everything is imported and has been used once, on few rows; reading counts.
- Memory is the most that the process ever had (VmHWM).
"""

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import polars as pl

from bench.drift.sides import CURRENT, REFERENCE
from groups.churn import customers
from lockstep.data.profile import Profile, finish, merge, profile_of
from lockstep.data.split import SPLIT
from lockstep.monitoring import Compared, DriftReport, Limits
from lockstep.monitoring.holding import Lens, hold
from lockstep.monitoring.sides import Reservoir, Side
from lockstep.monitoring.summaries import summaries_of

LABELS: Final = ("Churn", "Contract")
LIMITS: Final = Limits()
_THREADS: Final = 2


def main(folder: Path) -> dict[str, Any]:
    """Measure it."""
    _drift([[next(_files(folder, side))] for side in (REFERENCE, CURRENT)], first=1_000)
    began, worked = time.perf_counter(), time.process_time()
    report = _drift([list(_files(folder, side)) for side in (REFERENCE, CURRENT)])
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    rows = report.reference.rows + report.current.rows
    found = {"columns": len(report.columns), "verdict": report.verdict.value}
    return {"rows": rows, "seconds": seconds, "cpu": cpu, "peak": _peak(), **found}


def _drift(sides: list[list[Path]], first: int | None = None) -> DriftReport:
    targets = {name: name for name in LABELS}
    lens = Lens(dataset=customers.name, key=customers.key, targets=targets, hidden=frozenset({customers.key, *targets}))
    old, new = (_side(files, place, first) for place, files in enumerate(sides))
    return hold(old, new, lens, LIMITS)


def _side(files: list[Path], place: int, first: int | None) -> Side:
    profile, rows = Profile(), 0
    with ThreadPoolExecutor(_THREADS) as pool:
        for found, count in pool.map(lambda file: _part(file, first), files):
            profile, rows = merge([profile, found]), rows + count
    about = Compared(name="reference" if not place else "current", kind="rows", rows=rows)
    sample = _sample(files, place)
    return Side(about=about, summaries=summaries_of(finish(profile), customers.key), rows=sample, unseen=sample.clear())


def _part(file: Path, first: int | None) -> tuple[Profile, int]:
    """The profile of a part, and how many rows it has."""
    rows = pl.read_parquet(file, n_rows=first)
    return profile_of(rows, customers.key), rows.height


def _sample(files: list[Path], place: int) -> pl.DataFrame:
    """Rows of the first parts, as many as the classifier takes: no others are read again."""
    sample, read = Reservoir(LIMITS.sample, place), 0
    for file in files:
        part = pl.read_parquet(file).drop(SPLIT)
        sample.add(part)
        read += part.height
        if read >= LIMITS.sample:
            break
    return sample.result()


def _files(folder: Path, side: str) -> Iterator[Path]:
    yield from sorted((folder / side).glob("*.parquet"))


def _peak() -> float:
    """The most memory that this process has had, in MB."""
    said = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(said["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
