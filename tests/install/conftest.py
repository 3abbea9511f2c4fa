"""Fresh virtual environments with the wheel in them, and a small team that uses it."""

import contextlib
import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
UV: Final = Path(sys.executable).with_name("uv")
AIRFLOW: Final = ("airflow", "beam", "cluster", "google", "mlflow", "onnx", "report", "serving", "ui")
GROUP: Final = '''
"""One model with a threshold and an API."""

from lockstep import Api, Dataset, Graph, Model, Threshold, csv, recall_at_least


def linear():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


rows = Dataset("rows", source=csv("rows/*.csv"), key="id", columns={"x": float, "y": float, "yes": bool})
model = Model("guess", data=rows, target="yes", estimator=linear)
graph = Graph([Api("answers", decides=[Threshold("go", model=model, choose=recall_at_least(0.8))])], name="small")
'''
DAGS: Final = """
from small_group import graph
from lockstep_airflow import release_dags

globals().update(release_dags(graph))
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this project."""
    folder = tmp_path_factory.mktemp("wheel")
    _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT])
    (found,) = folder.glob("*.whl")
    return found


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """A virtual environment that holds nothing but what was asked for, and the folder of a team."""

    folder: Path
    team: Path

    def run(self, *words: str | Path, status: int = 0) -> str:
        """Run a program of the environment in the team's folder; gives what it prints."""
        return _run(
            [self.folder / "bin" / words[0], *words[1:]], environment=self._variables(), cwd=self.team, status=status
        )

    def json(self, *words: str | Path) -> Any:  # noqa: ANN401  any JSON
        """The same, for a program that prints a JSON document, behind whatever else it has to say."""
        lines = self.run(*words).splitlines()
        for place, line in enumerate(lines):
            if line.startswith(("[", "{")):
                with contextlib.suppress(json.JSONDecodeError):
                    return json.loads("\n".join(lines[place:]))
        raise AssertionError(f"{' '.join(map(str, words))} prints no JSON: {lines}")

    def packages(self) -> dict[str, str]:
        """What is installed, by name."""
        command = [UV, "pip", "list", "--quiet", "--format", "json", "--python", self.folder / "bin/python"]
        return {found["name"]: found["version"] for found in json.loads(_run(command))}

    def _variables(self) -> dict[str, str]:
        home = self.team / "airflow"
        return {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.team / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "LOCKSTEP_DATA": str(self.team / "data"),
            "LOCKSTEP_REGISTRY": (self.team / "registry").as_uri(),
            "PATH": os.pathsep.join([str(self.folder / "bin"), os.defpath]),
            "PYTHONPATH": str(self.team),
        }


def make(folder: Path, python: str, wheel: Path, *, extras: Sequence[str], resolution: str) -> Fresh:
    """A fresh environment with the wheel; `resolution` is lowest-direct, highest, or locked."""
    flags = ["--quiet", "--python-version", python, "--no-annotate", *(f"--extra={extra}" for extra in extras)]
    flags += ["--constraint", ROOT / "requirements.txt"] if resolution == "locked" else [f"--resolution={resolution}"]
    wanted = folder / "requirements.txt"
    _run([UV, "pip", "compile", *flags, "--output-file", wanted, "pyproject.toml"], cwd=ROOT)
    _run([UV, "venv", "--quiet", "--python", interpreter(python), folder / "venv"])
    install = [UV, "pip", "install", "--quiet", "--python", folder / "venv/bin/python"]
    _run([*install, "--requirement", wanted])
    _run([*install, "--no-deps", wheel])
    return Fresh(folder=folder / "venv", team=_team(folder / "team"))


def interpreter(version: str) -> Path:
    """A Python of that version on this machine; the test is skipped if there is none."""
    pyenv = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
    found = shutil.which(f"python{version}")
    for one in [*pyenv, *([Path(found)] if found else [])]:
        said = subprocess.run([one, "--version"], capture_output=True, text=True, check=False).stdout
        if said.startswith(f"Python {version}."):
            return one
    pytest.skip(f"There is no Python {version} on this machine.")


def _team(folder: Path) -> Path:
    """A group, its DAG file and its rows."""
    for name in ("dags", "data/rows", "airflow"):
        (folder / name).mkdir(parents=True)
    (folder / "small_group.py").write_text(GROUP)
    (folder / "dags/small_dags.py").write_text(DAGS)
    chance = random.Random(0)  # noqa: S311  nothing secret
    with (folder / "data/rows/rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "x", "y", "yes"])
        for number in range(400):
            x, y = chance.gauss(0, 1), chance.gauss(0, 1)
            writer.writerow([f"r{number}", f"{x:.3f}", f"{y:.3f}", "yes" if x + chance.gauss(0, 0.5) > 0 else "no"])
    return folder


def _run(
    command: Sequence[str | Path],
    *,
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
    status: int = 0,
) -> str:
    unwanted = re.compile("AIRFLOW|LOCKSTEP|PYTHON|VIRTUAL_ENV|CI$")
    inherited = {name: value for name, value in os.environ.items() if not unwanted.match(name)}
    done = subprocess.run(
        command, env=inherited | (environment or {}), cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
