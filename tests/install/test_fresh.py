"""The wheel as a team installs it: fresh environments, several Pythons, oldest and newest of what it depends on.

CI runs the running Python with the locked versions. `make fresh` (LOCKSTEP_FRESH=all) runs all: that takes minutes, and
asks the package index for what is newest today.
"""

import os
import sys
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from tests.install.conftest import AIRFLOW, Fresh, make

PYTHONS: Final = ("3.11", "3.12", "3.13")
HERE: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
ALL: Final = tuple(product(PYTHONS, ("lowest-direct", "highest")))
CASES: Final = ALL if os.environ.get("LOCKSTEP_FRESH") else ((HERE, "locked"),)
IMPORT_ALL: Final = """
import importlib, pkgutil, sys, warnings
names = []
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    names.append(name)
    for found in pkgutil.walk_packages(getattr(package, "__path__", []), name + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
            names.append(found.name)
print(len(names))
print("airflow" in sys.modules, "apache_beam" in sys.modules)
"""
ROW: Final = '{"id": "new", "x": 2.0, "y": 0.1}'

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def from_rows_to_a_decision(fresh: Fresh) -> None:
    """Snapshot, training, promotion, release, decision: by the command line of the environment."""
    lockstep = ("lockstep", "--graph", "small_group:graph")
    fresh.run(*lockstep, "train", "--group", "small", "--promote")
    fresh.run(*lockstep, "release", "small")
    decide(fresh)


def decide(fresh: Fresh) -> None:
    """The released model says yes to a row far on its side, and names its version."""
    answer = fresh.json("lockstep", "--graph", "small_group:graph", "decide", "answers", "--row", ROW, "--json")
    assert answer["decisions"]["go"]["decision"] is True, answer
    assert answer["decisions"]["go"]["model"] == "guess@1", answer


@pytest.mark.parametrize(("python", "resolution"), CASES)
def test_beside_an_airflow(python: str, resolution: str, wheel: Path, tmp_path: Path) -> None:
    """With all extras every module can be imported, Airflow has plugin and provider, rows become decisions."""
    fresh = make(tmp_path, python, wheel, extras=AIRFLOW, resolution=resolution)
    parts = ("lockstep", "lockstep_airflow", "lockstep_plugin")
    *_, counted, _ = fresh.run("python", "-W", "ignore", "-c", IMPORT_ALL, *parts).splitlines()
    assert int(counted) > 200
    from_rows_to_a_decision(fresh)
    fresh.run("python", "-c", "import airflow.providers.celery.executors.celery_executor")
    fresh.run("airflow", "db", "migrate")
    assert "config" in fresh.run("airflow", "lockstep", "--help")
    assert [one["name"] for one in fresh.json("airflow", "plugins", "--output", "json") if one["name"] == "lockstep"]
    providers = {one["package_name"] for one in fresh.json("airflow", "providers", "list", "--output", "json")}
    assert "airflow-provider-lockstep" in providers
    fresh.run("airflow", "dags", "reserialize")
    listed = {one["dag_id"] for one in fresh.json("airflow", "dags", "list", "--output", "json")}
    assert {f"small_{what}" for what in ("retrain", "promote", "release", "rollback", "resume")} <= listed
    assert fresh.json("airflow", "dags", "list-import-errors", "--output", "json") == []


@pytest.mark.parametrize(("python", "resolution"), CASES)
def test_the_core_alone(python: str, resolution: str, wheel: Path, tmp_path: Path) -> None:
    """Without Airflow and Beam, what another environment has trained is released and decided on, also over HTTP."""
    fresh = make(tmp_path, python, wheel, extras=["serving", "onnx"], resolution=resolution)
    assert not [name for name in fresh.packages() if name.startswith("apache")]
    parts = ("lockstep.registry", "lockstep.training", "lockstep.serving", "lockstep.release", "lockstep.deployment")
    *_, counted, heavy = fresh.run("python", "-W", "ignore", "-c", IMPORT_ALL, *parts).splitlines()
    assert int(counted) > 80
    assert heavy == "False False"
    whole = Fresh(folder=Path(sys.executable).parents[1], team=fresh.team)
    whole.run("lockstep", "--graph", "small_group:graph", "train", "--group", "small", "--promote")
    fresh.run("lockstep", "--graph", "small_group:graph", "release", "small")
    decide(fresh)
    assert "--workers" in fresh.run("lockstep", "serve", "--help")
