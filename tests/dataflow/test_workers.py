"""The package that Dataflow's workers install."""

import importlib.metadata
import io
import tarfile
from dataclasses import replace

from lockstep import satisfies, unique
from lockstep_airflow.workers import LIBRARIES, distribution
from tests.dataflow.guests import dataset, grown_up


def unpacked(data: bytes) -> dict[str, bytes]:
    """Name below the package's folder → content."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive}
        return {name: file.read() for name, file in members.items() if file is not None}


def test_it_holds_lockstep_and_what_clean_imports() -> None:
    """The core, the module of `clean`, and what that imports of the team's code; nothing else of the team's."""
    files = unpacked(distribution(dataset())[1])
    assert "lockstep/data/pipeline.py" in files
    own = {name for name in files if name.startswith("tests/")}
    assert {"tests/dataflow/guests.py", "tests/dataflow/ages.py"} <= own
    assert "tests/dataflow/test_workers.py" not in own
    assert not any(name.startswith("tests/") for name in unpacked(distribution(replace(dataset(), clean=None))[1]))


def test_it_asks_for_the_libraries_that_are_installed_here() -> None:
    """Workers compute with the same versions as the machine that asks."""
    said = unpacked(distribution(dataset())[1])["PKG-INFO"].decode()
    for name in LIBRARIES:
        assert f"Requires-Dist: {name}=={importlib.metadata.version(name)}\n" in said


def test_equal_code_is_the_same_package() -> None:
    """Equal code gives equal bytes under the same name; other code another name."""
    name, data = distribution(dataset())
    assert distribution(dataset()) == (name, data)
    assert distribution(replace(dataset(), clean=None))[0] != name


def test_checks_come_along() -> None:
    """The module of a check's schema, and pandera, are there for a dataset with checks of rows, and for no other."""
    checked = unpacked(distribution(replace(dataset(), clean=None, checks=[satisfies(grown_up)]))[1])
    assert "tests/dataflow/guests.py" in checked
    wanted = f"Requires-Dist: pandera=={importlib.metadata.version('pandera')}\n"
    assert wanted in checked["PKG-INFO"].decode()
    assert wanted not in unpacked(distribution(replace(dataset(), checks=[unique("age")]))[1])["PKG-INFO"].decode()
