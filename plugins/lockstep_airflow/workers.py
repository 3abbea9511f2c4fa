"""The code that Dataflow's workers need, as one small source distribution: Lockstep's core and the team's `clean`.

Rules:
- It holds the code that asks, and asks for just the versions of the libraries that are installed here: they decide what
  a snapshot holds.
- pip installs it without fetching anything to build it with. Equal code and libraries give equal bytes and a name that
  says so.
"""

import importlib.metadata
from pathlib import Path
from typing import Final

import lockstep
from lockstep.declare import Dataset
from lockstep.registry import sha256_of
from lockstep.training import wheel
from lockstep.training.source import code_of_clean, pack

NAME: Final = "lockstep-pipeline"
LIBRARIES: Final = ("datasketches", "numpy", "obstore", "polars", "pyarrow", "pydantic")
_FOR_CHECKS: Final = "pandera"
_BACKEND: Final = "wheel_of_lockstep"
_PYPROJECT: Final = f'[build-system]\nrequires = []\nbuild-backend = "{_BACKEND}"\nbackend-path = ["."]\n'


def distribution(dataset: Dataset) -> tuple[str, bytes]:
    """The file's name and its bytes.

    Raises:
        TrainingError: `clean` has no file.
    """
    core = Path(lockstep.__path__[0])
    files = {f"lockstep/{path.relative_to(core).as_posix()}": path.read_bytes() for path in sorted(core.rglob("*.py"))}
    files |= {name: path.read_bytes() for name, path in code_of_clean(dataset).items()}
    pinned = [f"Requires-Dist: {name}=={importlib.metadata.version(name)}" for name in _libraries(dataset)]
    content = sha256_of(pack(files) + "\n".join(pinned).encode())[:12]
    version = f"{lockstep.__version__}+{content}"
    head = ["Metadata-Version: 2.1", f"Name: {NAME}", f"Version: {version}", "Requires-Python: >=3.11"]
    files |= {
        "PKG-INFO": "\n".join([*head, *pinned, ""]).encode(),
        "pyproject.toml": _PYPROJECT.encode(),
        f"{_BACKEND}.py": Path(wheel.__file__).read_bytes(),
    }
    root = f"{NAME.replace('-', '_')}-{version}"
    return f"{root}.tar.gz", pack({f"{root}/{name}": data for name, data in files.items()})


def _libraries(dataset: Dataset) -> tuple[str, ...]:
    """What the pipeline of the dataset imports."""
    return (*LIBRARIES, _FOR_CHECKS) if any(check.is_of_rows for check in dataset.checks) else LIBRARIES
