"""What the core may bring along, what its packages export, and how long its files are."""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import lockstep

ROOT = Path(__file__).parents[2]
PACKAGES = [lockstep.__name__] + [
    info.name for info in pkgutil.walk_packages(lockstep.__path__, "lockstep.") if info.ispkg
]
MODULES = [
    info.name
    for info in pkgutil.walk_packages(lockstep.__path__, "lockstep.")
    if not info.name.endswith("__main__")  # it runs the command line
]
HEAVY = ("airflow", "apache_beam", "fastapi", "numpy", "obstore", "polars", "pyarrow", "sklearn", "skops", "uvicorn")
MOST_LINES = 400

PROBE = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""

PIPELINE = """
import sys
from pathlib import Path
from lockstep import Dataset, csv
from lockstep.data import take_snapshot
from lockstep.registry import Origin, Registry

assert "apache_beam" not in sys.modules
folder = Path(sys.argv[1])
(folder / "rows.csv").write_text("id,size\\na,1\\nb,2\\n")
rows = Dataset("rows", source=csv(str(folder / "rows.csv")), key="id", columns={"size": int})
take_snapshot(Registry.open(str(folder / "registry")), rows, Origin(by="ada"))
print("apache_beam" in sys.modules, "airflow" in sys.modules)
"""


def run(program: str, *arguments: str) -> str:
    """Run a program in a new Python that sees `include` alone."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def brought_by(*names: str) -> set[str]:
    """List the top-level packages that stand in a new Python after these modules are imported."""
    return set(json.loads(run(PROBE, *names)))


def test_no_module_of_the_core_brings_airflow_or_beam() -> None:
    """After every module is imported, the web server and the command line among them, neither is there."""
    assert {"lockstep.serving.http", "lockstep.cli.train", "lockstep.data.pipeline"} <= set(MODULES)
    assert not brought_by(*MODULES) & {"airflow", "apache_beam", "lockstep_airflow"}


def test_beam_comes_when_a_pipeline_runs_and_airflow_never(tmp_path: Path) -> None:
    """Taking a snapshot imports Beam, and only that does."""
    assert run(PIPELINE, str(tmp_path)).split() == ["True", "False"]


def test_declaring_is_light() -> None:
    """`import lockstep` brings none of the heavy packages, so that a DAG file parses fast."""
    assert not brought_by("lockstep", "lockstep.draw") & set(HEAVY)


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("lockstep.registry", {"polars", "sklearn", "skops", "fastapi", "pyarrow"}),
        ("lockstep.release", {"polars", "sklearn", "skops", "fastapi", "pyarrow"}),
        ("lockstep.data", {"sklearn", "skops", "fastapi"}),
        ("lockstep.training", {"sklearn", "skops", "fastapi"}),
        ("lockstep.decisions", {"sklearn", "skops", "fastapi"}),
        ("lockstep.cli", {"sklearn", "skops", "fastapi", "uvicorn"}),
    ],
)
def test_a_package_brings_only_what_it_needs(name: str, without: set[str]) -> None:
    """The gate needs no data library, and no library of models is imported before a model is used."""
    assert not brought_by(name) & without


@pytest.mark.parametrize("name", PACKAGES)
def test_exports_are_sorted_and_exist(name: str) -> None:
    """`__all__` of each package is sorted as ruff sorts it, holds no name twice, and each name is there."""
    package = importlib.import_module(name)
    exported = package.__all__
    assert len(set(exported)) == len(exported)
    assert all(hasattr(package, member) for member in exported)
    assert exported == sorted(exported, key=lambda member: (not member.isupper(), not member[0].isupper(), member))


def test_import_contracts_hold() -> None:
    """Imports run one way, as pyproject.toml draws it."""
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "include"), str(ROOT / "plugins")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 broken." in done.stdout


def test_no_file_is_too_long() -> None:
    """Modules of the core and of the plugin stay short enough to be read in one go."""
    files = [path for folder in ("include", "plugins") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 50
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_every_module_says_what_it_is_for() -> None:
    """Each module of the core opens with a docstring."""
    assert [name for name in MODULES if not (importlib.import_module(name).__doc__ or "").strip()] == []
