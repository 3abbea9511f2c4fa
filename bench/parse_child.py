"""Parses one DAG file in a process of its own, as DAG processor or task runner do, and prints how long it took.

Rules:
- `python bench/parse_child.py FILE all` parses and serializes every DAG, as the DAG processor does; `python
  bench/parse_child.py FILE DAG_ID` parses for one task of that DAG, as the task runner does.
- Airflow itself is imported before the clock starts, because its parts fork after that; whatever the file imports
  counts.
- With BENCH_PROFILE=FILE the calls are profiled into that file; the times then say nothing.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main(file: Path, what: str) -> dict[str, Any]:
    """Seconds of parsing and serializing, and how many DAGs and tasks; with BENCH_SHOW also what was serialized."""
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
    import airflow.sdk.execution_time.task_runner  # noqa: F401  a task's process has it
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager
    from airflow.serialization.serialized_objects import DagSerialization

    began, worked = time.perf_counter(), time.process_time()
    with _airflow_parsing_context_manager(dag_id=None if what == "all" else what):
        bag = BundleDagBag(
            dag_folder=str(file), bundle_path=file.parent, bundle_name="bench", safe_mode=False, load_op_links=False
        )
    parsed = time.perf_counter()
    if bag.import_errors:
        raise SystemExit(next(iter(bag.import_errors.values())))
    if what != "all":
        cpu = time.process_time() - worked
        return {"parse": parsed - began, "cpu": cpu, "dags": len(bag.dags), "tasks": len(bag.dags[what].tasks)}
    serialized = [DagSerialization.to_dict(dag) for dag in bag.dags.values()]
    done = time.perf_counter()
    found: dict[str, Any] = {
        "parse": parsed - began,
        "serialize": done - parsed,
        "cpu": time.process_time() - worked,
        "dags": len(serialized),
        "tasks": sum(len(dag.tasks) for dag in bag.dags.values()),
    }
    if "BENCH_SHOW" in os.environ:
        found["serialized"] = serialized
    return found


if __name__ == "__main__":
    arguments = (Path(sys.argv[1]), sys.argv[2])
    if "BENCH_PROFILE" in os.environ:
        import cProfile

        profile = cProfile.Profile()
        profile.enable()
        main(*arguments)
        profile.disable()
        profile.dump_stats(os.environ["BENCH_PROFILE"])
    else:
        print(json.dumps(main(*arguments)))
