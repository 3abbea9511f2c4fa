"""Lockstep's own package for images that do not hold it: what is in it, and that its backend makes a wheel of it."""

import io
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

from lockstep import __version__
from lockstep.training.package import LIBRARIES, distribution, put_package
from tests.training.conftest import Shop

ROOT = Path(__file__).parents[2]


def test_the_package_is_kept_once_and_pins_the_libraries(desk: Shop) -> None:
    """Equal code gives equal bytes; what decides what a training gives is pinned as it is installed here."""
    first, second = put_package(desk.registry), put_package(desk.registry)
    assert first == second
    assert desk.registry.objects.names("packages") == [first.removeprefix(f"{desk.registry.uri}/")]
    with tarfile.open(fileobj=io.BytesIO(distribution())) as archive:
        told = archive.extractfile(f"lockstep_train-{__version__}/PKG-INFO")
        assert told is not None
        needed = re.findall(r"^Requires-Dist: (\S+)==(\S+)$", told.read().decode(), re.MULTILINE)
    assert needed == [(name, metadata.version(name)) for name in LIBRARIES]


def test_its_backend_makes_a_wheel_with_nothing_but_python(tmp_path: Path) -> None:
    """The wheel holds the core, module by module, and metadata; no other package is asked for to build it."""
    with tarfile.open(fileobj=io.BytesIO(distribution())) as archive:
        archive.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    assert "requires = []" in (root / "pyproject.toml").read_text()
    code = "import wheel_of_lockstep; print(wheel_of_lockstep.build_wheel('.'))"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); {code}"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(root / done.stdout.strip()) as wheel:
        names = set(wheel.namelist())
        record = wheel.read(f"lockstep_train-{__version__}.dist-info/RECORD").decode().splitlines()
    core = ROOT / "include" / "lockstep"
    modules = {f"lockstep/{path.relative_to(core).as_posix()}" for path in core.rglob("*.py")}
    assert modules == {name for name in names if name.startswith("lockstep/")}
    assert {line.partition(",")[0] for line in record} == names
