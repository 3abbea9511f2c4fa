"""Programs that run beside pytest: with Airflow's own settings and modules, and without pytest's rules for warnings."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
WAIT = 280  # seconds, on a machine that has other things to do

Program = Callable[..., Any]


@pytest.fixture(scope="session")
def run_program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Runs Python text in a process and an Airflow home of its own; gives back the JSON in its last line of output.

    `variables` are set for it; `log` is where all that it has said is kept.
    """

    def run(
        text: str, *arguments: str | Path, variables: Mapping[str, str | Path] | None = None, log: Path | None = None
    ) -> Any:  # noqa: ANN401  any JSON
        home = tmp_path_factory.mktemp("airflow")
        (home / "no_dags").mkdir()
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "LOCKSTEP", "_AIRFLOW")) and name != "PYTHONDONTWRITEBYTECODE"
        }
        own = {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": home / "no_dags",
            "AIRFLOW__CORE__PLUGINS_FOLDER": PROJECT / "plugins",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PYTHONPATH": os.pathsep.join(str(PROJECT / name) for name in ("include", "plugins", ".")),
            **(variables or {}),
        }
        done = subprocess.run(
            [sys.executable, "-c", text, *map(str, arguments)],
            env=inherited | {name: str(value) for name, value in own.items()},
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        if log:
            log.write_text(f"{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    return run
