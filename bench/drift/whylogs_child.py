"""Runs in whylogs' environment: a profile of each side, and its default drift scores; one job a line.

Rules:
- Jobs, clock and answers are those of `evidently_child`. The column that names rows is dropped.
- Each side is profiled part by part, and the profiles are merged.
"""

import json
import sys
import time
import warnings
from functools import reduce
from pathlib import Path
from typing import Any

import pandas as pd
import whylogs
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Read both sides and compare them."""
    began, worked = time.perf_counter(), time.process_time()
    rows, views = 0, []
    for side in ("reference", "current"):
        parts = []
        for file in job[side]:
            part = pd.read_parquet(file).drop(columns=[*job["without"], job["key"]])
            rows += len(part)
            parts.append(whylogs.log(part).profile().view())
        views.append(reduce(lambda one, other: one.merge(other), parts))
    scores = calculate_drift_scores(target_view=views[1], reference_view=views[0], with_thresholds=True)
    drifted = sum(1 for score in scores.values() if score and score["drift_category"] == "DRIFT")
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    return {"rows": rows, "seconds": seconds, "cpu": cpu, "peak": _peak(), "drifted": drifted, "columns": len(scores)}


def _peak() -> float:
    """The most memory that this process has had, in MB."""
    said = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(said["VmHWM"].split()[0]) / 1024


def main() -> None:
    """Answer until the input ends."""
    warnings.simplefilter("ignore")
    view = whylogs.log(pd.DataFrame({"number": [0.5, 1.5] * 100, "word": ["a", "b"] * 100})).profile().view()
    calculate_drift_scores(target_view=view, reference_view=view, with_thresholds=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
