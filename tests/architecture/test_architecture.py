"""What the core may bring along, what its packages export, and how long its files are."""

import ast
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
    and info.name != "lockstep.data.threads"  # Beam imports it, by its name
]
HEAVY = ("airflow", "apache_beam", "fastapi", "numpy", "obstore", "polars", "pyarrow", "sklearn", "skops", "uvicorn")
MOST_LINES, MOST_LINES_OF_TESTS = 400, 600
LONGER = {
    "dev.py": 450,  # one script that starts before anything is installed, so it can't be cut into modules
    "tests/airflow/test_standalone.py": 650,  # one Airflow is started for all of it
}
FOLDERS = ("include", "plugins", "dags", "demo", "bench", "loopback", "tests")
FILES = sorted([*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))])

PROBE = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""

WITHOUT = """
import importlib, sys

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("airflow", "apache_beam"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuses())
for name in ("airflow", "apache_beam"):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} can be found all the same")
for name in sys.argv[1:]:
    importlib.import_module(name)
from groups.biopsy import forest, linear
from lockstep.serving import create_app
print(type(linear()).__name__, type(forest()).__name__, callable(create_app))
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


@pytest.mark.parametrize("names", [["lockstep"], ["lockstep.draw"], ["groups.biopsy"]], ids=" ".join)
def test_declaring_is_light(names: list[str]) -> None:
    """Declaring brings none of the heavy packages, so that a DAG file parses fast."""
    assert not brought_by(*names) & set(HEAVY)


def test_training_and_serving_work_where_airflow_and_beam_are_not_installed() -> None:
    """In a container without either, training, serving and the command line are imported, and estimators are built."""
    names = ("lockstep.training", "lockstep.decisions", "lockstep.serving", "lockstep.release", "lockstep.cli")
    assert run(WITHOUT, *names).split() == ["Pipeline", "RandomForestClassifier", "True"]


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("lockstep.registry", {"polars", "sklearn", "skops", "fastapi", "pyarrow"}),
        ("lockstep.release", {"polars", "sklearn", "skops", "fastapi", "pyarrow"}),
        ("lockstep.data", {"sklearn", "skops", "fastapi"}),
        ("lockstep.training", {"sklearn", "skops", "fastapi"}),
        ("lockstep.decisions", {"sklearn", "skops", "fastapi"}),
        ("lockstep.monitoring", {"sklearn", "scipy", "skops", "fastapi", "datasketches"}),
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


def test_every_list_of_exports_is_sorted() -> None:
    """Every `__all__`, those of the Airflow side too, is in ruff's order and names nothing that is not defined."""
    command = [Path(sys.executable).with_name("ruff"), "check", "--no-cache", "--select", "RUF022,F822", *FOLDERS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_is_too_long() -> None:
    """Files stay short enough to be read in one go; what is longer has a reason beside its name."""
    assert len(FILES) > 100
    too_long = {}
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        length = len(path.read_text(encoding="utf-8").splitlines())
        usual = MOST_LINES_OF_TESTS if name.startswith("tests/") else MOST_LINES
        if length > LONGER.get(name, usual):
            too_long[name] = length
    assert too_long == {}


def test_every_test_says_what_holds() -> None:
    """Each test has a docstring of one paragraph that ends as a sentence does."""
    silent = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                said = ast.get_docstring(node) or ""
                if not said.endswith(".") or "\n\n" in said:
                    silent.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert silent == []


def test_every_module_says_what_it_is_for() -> None:
    """Each module of the core opens with a docstring."""
    assert [name for name in MODULES if not (importlib.import_module(name).__doc__ or "").strip()] == []
