"""A folder of biopsies, a registry in which both models were trained, and the commands, in process and not."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest

from demo.customers import write_biopsies
from groups.biopsy import graph
from lockstep.cli import main
from lockstep.data import take_snapshot
from lockstep.data.sources import DATA_VARIABLE
from lockstep.decisions import tune_threshold
from lockstep.registry import Job, Origin, Registry, Release, State
from lockstep.release import promote, release
from lockstep.training import train_model

PROJECT = Path(__file__).parents[2]
GROUP = graph.group("biopsy")
VARIABLES = ("LOCKSTEP_REGISTRY", "LOCKSTEP_GRAPH", "LOCKSTEP_DATA", "LOCKSTEP_COMMIT")


def job(run: str) -> Origin:
    """Say that ada's job of Airflow does it."""
    at = Job(system="airflow", run=run, task="train", attempt=2, log=f"logs/{run}.log", commit="c0ffee")
    return Origin(by="ada", why="the monthly run", job=at)


@dataclass(frozen=True)
class Done:
    """What a command ended with, and what it said."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401  any JSON
        """Read the one JSON document that stdout holds."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Desk:
    """A registry, and what the core says of it."""

    registry: Registry

    @property
    def state(self) -> State:
        """Read the state as another process would."""
        return Registry.open(self.registry.uri).state()

    def stage(self, *refs: str) -> None:
        """Move versions to staging, by the core."""
        for ref in refs:
            promote(self.registry, GROUP, ref, job("promote/1"))

    def release(self, run: str) -> Release:
        """Release what is in staging, by the core."""
        return release(self.registry, GROUP, job(run))


@pytest.fixture(scope="session")
def biopsies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the data once; relative patterns start there."""
    folder = tmp_path_factory.mktemp("data")
    write_biopsies(folder / "biopsies")
    return folder


@pytest.fixture(scope="session")
def a_row(biopsies: Path) -> dict[str, Any]:
    """Describe one biopsy without its label."""
    header, first = (biopsies / "biopsies" / "biopsies.csv").read_text(encoding="utf-8").splitlines()[:2]
    sample, *measures = zip(header.split(","), first.split(","), strict=True)
    return dict([sample, *((name, float(value)) for name, value in measures[:-1])])


@pytest.fixture(scope="session")
def template(biopsies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train by the core, once: surgery@1, second_look@1 and second_look@2, with their thresholds, all candidates."""
    folder = tmp_path_factory.mktemp("trained") / "registry"
    registry = Registry.open(str(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DATA_VARIABLE, str(biopsies))
        snapshot = take_snapshot(registry, graph.dataset("biopsies"), job("biopsy_retrain/january"))
    runs = [("surgery", "january", {}), ("second_look", "january", {}), ("second_look", "february", {"max_depth": 2})]
    for name, month, parameters in runs:
        origin = job(f"biopsy_retrain/{month}")
        options = {"snapshot": snapshot, "upstream": {}, "parameters": parameters}
        version = train_model(registry, graph, name, origin, **options).version
        for threshold in graph.thresholds_of(name):
            tune_threshold(registry, graph, threshold.name, origin, model=version)
    return folder


@pytest.fixture
def settings(biopsies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the data, the registry and the graph by variables, as a deployment does."""
    values = (str(tmp_path / "registry"), "groups.biopsy", str(biopsies), "c0ffee")
    for name, value in zip(VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)


@pytest.fixture
def desk(template: Path, tmp_path: Path, settings: None) -> Desk:  # noqa: ARG001  its variables name the copy
    """Sit down before a copy of the registry in which all was trained."""
    shutil.copytree(template, tmp_path / "registry")
    return Desk(Registry.open(str(tmp_path / "registry")))


@pytest.fixture
def staged(desk: Desk) -> Desk:
    """Sit down where the first version of each model is in staging."""
    desk.stage("surgery@1", "second_look@1")
    return desk


@pytest.fixture
def released(staged: Desk) -> Desk:
    """Sit down where the first version of each model is in production."""
    staged.release("biopsy_release/january")
    return staged


Command = Callable[..., Done]


@pytest.fixture
def run(
    settings: None,  # noqa: ARG001  its variables name what the commands work with
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run `lockstep …` in this process, through the same `main` as a person."""

    def command(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["lockstep", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(ended.value.code, said.out, said.err)

    return command


@pytest.fixture
def start(settings: None, tmp_path: Path) -> Command:  # noqa: ARG001  as in `run`
    """Run `python -m lockstep …` in a process of its own, in a folder that is not the project's."""

    def command(*words: str, stdin: str = "", **variables: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "lockstep", *words],
            env={**os.environ, "PYTHONPATH": str(PROJECT / "include"), **variables},
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return command


Declare = Callable[[str, str], str]


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Declare]:
    """Write a module of declarations where Python finds it; gives its name back."""
    folder = tmp_path / "declarations"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    written: list[str] = []

    def write(name: str, text: str) -> str:
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        invalidate_caches()
        written.append(name)
        return name

    yield write
    for name in written:
        sys.modules.pop(name, None)
