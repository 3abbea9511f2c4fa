"""What workers import before their first task."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lockstep_airflow.preload import LIBRARIES

_LOOK = """
import json, os, sys, threading
import lockstep_airflow.preload
names = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
answer = json.dumps({"modules": list(sys.modules), "threads": names, "python": threading.active_count()})
open(sys.argv[1], "w").write(answer)
"""

_START = """
import json, sys
from lockstep_airflow.local import PreloadedLocalExecutor
assert "sklearn" not in sys.modules
executor = PreloadedLocalExecutor(parallelism=1)
executor.start()
(worker,) = executor.workers
with open(f"/proc/{worker}/maps") as maps:
    answer = json.dumps({"is_local": executor.is_local, "worker": "/sklearn/" in maps.read()})
executor.end()
open(sys.argv[1], "w").write(answer)
"""


def said_by(code: str, home: Path) -> tuple[dict[str, Any], str]:
    """What a new Python with an Airflow of its own writes as JSON, and its errors: a worker may print at any time."""
    command, environment = [sys.executable, "-c", code, home / "said"], {**os.environ, "AIRFLOW_HOME": str(home)}
    ended = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    return json.loads((home / "said").read_text()), ended.stderr


def test_it_imports_libraries_that_survive_a_fork_and_nothing_of_ours(tmp_path: Path) -> None:
    """All that are named are there; no threads of polars or ONNX Runtime, and no code that may change meanwhile."""
    found, errors = said_by(_LOOK, tmp_path)
    assert set(LIBRARIES) <= set(found["modules"])
    assert not {"polars", "onnxruntime", "lockstep", "groups"} & set(found["modules"])
    assert found["python"] == 1
    assert not [name for name in found["threads"] if name.startswith(("polars", "rayon", "tokio"))]
    assert "Warning" not in errors


def test_workers_of_the_local_executor_have_them(tmp_path: Path) -> None:
    """The libraries are there in the process that tasks are forked from."""
    assert said_by(_START, tmp_path)[0] == {"is_local": True, "worker": True}
