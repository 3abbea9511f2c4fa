"""The wheel: the core, its Airflow side and the plugin in one, found by Airflow through its entry points."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOOK = """
import json, lockstep, lockstep_airflow, lockstep_plugin
from airflow.plugins_manager import get_plugin_info
from airflow.providers_manager import ProvidersManager
found = {
    "files": [lockstep.__file__, lockstep_airflow.__file__, lockstep_plugin.__file__],
    "plugins": {plugin["name"]: plugin["source"] for plugin in get_plugin_info()},
    "providers": {name: info.version for name, info in ProvidersManager().providers.items() if "lockstep" in name},
    "commands": [
        f"{group.name} {command.name}"
        for get in ProvidersManager().cli_command_functions if "lockstep" in get.__module__
        for group in get() for command in group.subcommands
    ],
    "links": [link for link in ProvidersManager().extra_links_class_names if "lockstep" in link],
}
print(json.dumps(found, default=str))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel, as an installer leaves it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, home: Path, command: Sequence[str | Path]) -> str:
    """Run Python with the wheel in front of all else, and with an empty Airflow home; give its output."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    environment = inherited | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "no_plugins"),
        "PYTHONPATH": str(site),
    }
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_airflow_finds_plugin_and_provider(site: Path, tmp_path: Path) -> None:
    """With the wheel installed and no plugins folder, Airflow knows the plugin, the provider and its link."""
    found = json.loads(run(site, tmp_path, ["-c", LOOK]).splitlines()[-1])
    assert all(Path(file).is_relative_to(site) for file in found["files"])
    assert "lockstep" in found["plugins"]
    assert "airflow-provider-lockstep==0.3.0: EntryPoint(name='lockstep'" in found["plugins"]["lockstep"]
    assert found["providers"] == {"airflow-provider-lockstep": "0.3.0"}
    names = ("DataflowJobLink", "EndpointsLink", "VersionLink", "VertexJobLink")
    assert found["commands"] == ["lockstep config"]
    assert sorted(found["links"]) == [f"lockstep_airflow.links.{name}" for name in names]


def test_it_brings_the_command_line_and_the_pages(site: Path, tmp_path: Path) -> None:
    """The command, the built web UI and the marks for type checkers are in the wheel; groups and DAGs are not."""
    assert run(site, tmp_path, ["-m", "lockstep", "--version"]) == "lockstep 0.3.0\n"
    names = {path.relative_to(site).as_posix() for path in site.rglob("*")}
    assert {"lockstep_airflow/ui/app.py", "lockstep/py.typed", "lockstep_airflow/py.typed"} <= names
    dist = ROOT / "plugins" / "lockstep_airflow" / "ui" / "dist"
    built = {f"lockstep_airflow/ui/dist/{path.name}" for path in dist.glob("*")}
    assert "lockstep_airflow/ui/dist/main.js" in built
    assert built <= names
    assert "lockstep = lockstep.cli:main" in next(site.glob("*.dist-info/entry_points.txt")).read_text()
    assert not {"groups", "dags", "demo", "bench", "tests"} & {name.partition("/")[0] for name in names}
