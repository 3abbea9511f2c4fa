"""The bundle of the web UI that is committed: what its sources give, checked and tested, and not too large."""

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from loopback.servers import ProgramMissing

ROOT = Path(__file__).parents[2]
DIST = Path("plugins/lockstep_airflow/ui/dist")
MOST = 600_000  # bytes, gzipped, of all that a page fetches

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The UI's sources alone, with the packages of their lock."""
    if shutil.which("npm") is None:
        raise ProgramMissing("npm", "install Node.js 20.19 or newer, as by `apt-get install nodejs npm`")
    place = tmp_path_factory.mktemp("bundle")
    shutil.copytree(ROOT / "ui", place / "ui", ignore=shutil.ignore_patterns("node_modules"))
    npm(place, "ci", "--no-audit", "--no-fund")
    return place


def npm(place: Path, *words: str) -> None:
    """Run npm, and fail with what it said."""
    environment = {**os.environ, "CI": "true", "NO_COLOR": "1"}
    done = subprocess.run(
        ["npm", *words],  # noqa: S607  whichever npm the machine has
        cwd=place / "ui",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"npm {' '.join(words)}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"


def test_the_sources_are_in_order(checkout: Path) -> None:
    """Linter, formatter and types find nothing."""
    npm(checkout, "run", "check")


def test_the_parts_do_what_they_should(checkout: Path) -> None:
    """The tests of the parts pass, those that need no browser."""
    npm(checkout, "test")


def test_the_committed_bundle_is_what_the_sources_give(checkout: Path) -> None:
    """Who changed a source has built the bundle again, by `npm run build` in ui/."""
    npm(checkout, "run", "build")
    built = {file.name: file.read_bytes() for file in (checkout / DIST).iterdir()}
    committed = {file.name: file.read_bytes() for file in (ROOT / DIST).iterdir()}
    assert sorted(built) == sorted(committed)
    assert [name for name in built if built[name] != committed[name]] == []


def test_the_bundle_is_small() -> None:
    """All files together stay under 600 kB as they go over the wire."""
    sizes = {file.name: len(gzip.compress(file.read_bytes(), 9)) for file in (ROOT / DIST).iterdir()}
    assert sum(sizes.values()) < MOST, sizes
