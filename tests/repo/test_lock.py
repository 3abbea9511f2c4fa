"""The locks: they pin what pyproject.toml asks for, and nothing in the project says where packages come from."""

import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.txt"
SMALL = ROOT / "requirements-train.txt"  # of a container that trains or answers
PIN = re.compile(
    r"^(?P<requirement>[\w.-]+==[^\\\n]+?) \\\n(?P<hashes>(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)
# Spelled in pieces, or this file would break its own rule.
OPTION = re.compile("--(?:extra-)?" + r"index-url|--" + r"find-links|--" + r"default-index|--" + r"trusted-host")
HOST = re.compile(
    "py" + r"pi\.org|python" + r"hosted\.org|registry\." + r"npmjs|art" + r"ifactory\.[\w-]+\.|/simple/?\s*$",
    re.MULTILINE,
)


def direct() -> list[Requirement]:
    """Every requirement in pyproject.toml: of the core, of its extras, and of the developers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    texts = chain(project["project"]["dependencies"], *extras.values(), *groups.values())
    return [Requirement(text) for text in texts]


@pytest.fixture(scope="module")
def pins() -> dict[str, list[Requirement]]:
    """The pins by package; one package may have several, for different Pythons."""
    found: dict[str, list[Requirement]] = {}
    for pin in PIN.finditer(LOCK.read_text(encoding="utf-8")):
        requirement = Requirement(pin["requirement"])
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


@pytest.mark.parametrize("wanted", direct(), ids=str)
def test_is_pinned(wanted: Requirement, pins: dict[str, list[Requirement]]) -> None:
    """A direct dependency is pinned with at least one hash, to versions within its range."""
    pinned = pins[canonicalize_name(wanted.name)]
    for pin in pinned:
        (exact,) = pin.specifier
        assert exact.operator == "=="
        assert wanted.specifier.contains(exact.version, prereleases=True), f"{wanted} against {pin}"


def test_a_container_trains_with_the_same_versions() -> None:
    """Each line of the container's lock is one of the whole lock, and neither Airflow nor Beam is among them."""
    everything, small = (set(PIN.findall(lock.read_text(encoding="utf-8"))) for lock in (LOCK, SMALL))
    assert small
    assert small <= everything
    names = {canonicalize_name(Requirement(requirement).name) for requirement, _ in small}
    assert {"scikit-learn", "obstore", "fastapi"} <= names
    assert [name for name in names if name.startswith("apache")] == []


@pytest.mark.parametrize("lock", [LOCK, SMALL], ids=lambda lock: lock.name)
def test_every_line_belongs_to_a_pin(lock: Path) -> None:
    """Nothing stands in a lock but pins with their hashes, and comments."""
    rest = PIN.sub("", lock.read_text(encoding="utf-8")).splitlines()
    assert [line for line in rest if line.strip() and not line.lstrip().startswith("#")] == []


@pytest.mark.parametrize("python", ["3.11.0", "3.12.0", "3.13.0"])
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_one_pin_for_each_python(python: str, platform: str, pins: dict[str, list[Requirement]]) -> None:
    """On no Python and no system are there two pins of a package, and every direct dependency has one."""
    here = {"python_full_version": python, "python_version": python[:4], "sys_platform": platform}
    valid = {name: [pin for pin in all_ if not pin.marker or pin.marker.evaluate(here)] for name, all_ in pins.items()}
    assert [name for name, found in valid.items() if len(found) > 1] == []
    assert [str(wanted) for wanted in direct() if not valid[canonicalize_name(wanted.name)]] == []


@pytest.mark.parametrize("lock", [LOCK, SMALL], ids=lambda lock: lock.name)
def test_the_lock_says_how_it_was_made(lock: Path) -> None:
    """The header of a lock names the command that makes it, and no path or host of whoever ran it."""
    header = lock.read_text(encoding="utf-8").splitlines()[:2]
    assert header[1] == "#    python dev.py lock"


def test_nothing_names_a_package_index() -> None:
    """No file of the project, in git or about to be, sets a package index or names the host of one."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # a picture, or a file deleted but not yet committed
        found += [f"{name}: {hit[0]}" for rule in (OPTION, HOST) for hit in rule.finditer(text)]
    assert found == []
