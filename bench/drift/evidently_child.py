"""Runs in evidently's environment: its default data-drift preset on two sides; one job a line, one answer a line.

Rules:
- A job names the Parquet files of both sides, the column that names rows, and columns that are not read.
- The preset is as it comes; all that it is told is which column names rows, so that it doesn't compare that.
- The preset has been used once, on few rows, before a clock starts. Reading counts, and is told apart.
- A column has drifted, and the dataset has, as evidently's own count and share say.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

DRIFT_SHARE = 0.5  # evidently's default


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Read both sides and compare them."""
    began, worked = time.perf_counter(), time.process_time()
    sides = [_read(job[side], job["without"]) for side in ("reference", "current")]
    read = time.perf_counter() - began
    found = _compare(*sides, job["key"])
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    rows = sum(len(side) for side in sides)
    return {"rows": rows, "seconds": seconds, "reading": read, "cpu": cpu, "peak": _peak(), **found}


def _read(files: list[str], without: list[str]) -> pd.DataFrame:
    parts = [pd.read_parquet(file) for file in files]
    return pd.concat(parts, ignore_index=True).drop(columns=without)


def _compare(reference: pd.DataFrame, current: pd.DataFrame, key: str) -> dict[str, Any]:
    definition = DataDefinition(id_column=key)
    old, new = (Dataset.from_pandas(side, data_definition=definition) for side in (reference, current))
    metrics = Report([DataDriftPreset()]).run(new, old).dict()["metrics"]
    whole = next(one["value"] for one in metrics if one["metric_name"].startswith("DriftedColumnsCount"))
    columns = {
        one["config"]["column"]: [one["config"]["method"], float(one["value"]), float(one["config"]["threshold"])]
        for one in metrics
        if one["metric_name"].startswith("ValueDrift")
    }
    share = float(whole["share"])
    return {"drifted": int(whole["count"]), "share": share, "dataset": share >= DRIFT_SHARE, "columns": columns}


def _peak() -> float:
    """The most memory that this process has had, in MB."""
    said = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(said["VmHWM"].split()[0]) / 1024


def main() -> None:
    """Answer until the input ends."""
    warnings.simplefilter("ignore")
    few = pd.DataFrame({"key": range(200), "number": [0.5, 1.5] * 100, "word": ["a", "b"] * 100})
    _compare(few, few, "key")
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
