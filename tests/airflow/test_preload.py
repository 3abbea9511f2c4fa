"""What a Celery worker imports before its first task."""

import json
import subprocess
import sys

from lockstep_airflow.preload import LIBRARIES

_LOOK = """
import json, os, sys, threading
import lockstep_airflow.preload
names = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
print(json.dumps({"modules": list(sys.modules), "threads": names, "python": threading.active_count()}))
"""


def test_it_imports_libraries_that_survive_a_fork_and_nothing_of_ours() -> None:
    """All that are named are there; no threads of polars or ONNX Runtime, and no code that may change meanwhile."""
    ended = subprocess.run([sys.executable, "-c", _LOOK], capture_output=True, check=True, text=True)
    found = json.loads(ended.stdout.splitlines()[-1])
    assert set(LIBRARIES) <= set(found["modules"])
    assert not {"polars", "onnxruntime", "lockstep", "groups"} & set(found["modules"])
    assert found["python"] == 1
    assert not [name for name in found["threads"] if name.startswith(("polars", "rayon", "tokio"))]
    assert "Warning" not in ended.stderr
