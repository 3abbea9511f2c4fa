"""Preprocesses in a process of its own, and prints as JSON the time and the memory it took: `child WHO DATA KIND OUT`.

Rules:
- The clock starts when everything is imported: Beam alone takes seconds, once in the life of a worker.
- Memory is the most that the process itself ever had (VmHWM): what `ru_maxrss` says of a child begins with that of its
  parent.
- `found` is what two results that hold the same rows have in common, whatever their order and their files.
"""

import gc
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl


def main(who: str, data: Path, kind: str, out: Path) -> dict[str, Any]:
    """Do it."""
    module = importlib.import_module(f"bench.preprocess.{who}")
    if who != "plain":
        importlib.import_module("apache_beam.runners.portability.fn_api_runner")
    gc.collect()
    began, worked = time.perf_counter(), time.process_time()
    pattern = module.run(data, kind, out)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    peak = _peak()
    found = _found(pattern)
    return {"rows": found["rows"], "seconds": seconds, "cpu": cpu, "peak": peak, "found": found}


def _peak() -> float:
    """The most memory that this process has had, in MB."""
    said = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(said["VmHWM"].split()[0]) / 1024


def _found(pattern: str) -> dict[str, Any]:
    frame = pl.scan_parquet(pattern)
    names = frame.collect_schema()
    numbers = [name for name, dtype in names.items() if dtype.is_numeric() or dtype == pl.Boolean]
    texts = [name for name, dtype in names.items() if dtype == pl.String and name != "_split"]
    sums = frame.select(
        pl.len().alias("rows"),
        pl.col("customerID").n_unique().alias("keys"),
        *(pl.col(name).cast(pl.Float64).sum().alias(name) for name in numbers),
        *(pl.col(name).str.len_bytes().sum().alias(name) for name in texts),
        *((pl.col("_split") == split).sum().alias(split) for split in ("train", "validation", "test")),
    )
    return sums.collect().row(0, named=True)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))))
