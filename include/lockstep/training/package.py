"""Lockstep's core as a small source distribution, for a job whose image does not hold it.

Rules:
- It holds the code that asks, so that the job trains as this process would.
- It asks for just the versions of the libraries that are installed here: they decide what a training gives.
- Equal code and equal libraries give equal bytes, which are kept once in a registry.
"""

import importlib.metadata
from pathlib import Path
from typing import Final

import lockstep
from lockstep.registry import Registry, sha256_of
from lockstep.switch import address_for_job
from lockstep.training import wheel
from lockstep.training.source import pack

NAME: Final = "lockstep-train"
LIBRARIES: Final = ("numpy", "obstore", "polars", "pyarrow", "pydantic", "scikit-learn", "scipy", "skops")
_ROOT: Final = "lockstep_train-{version}"
_PYPROJECT: Final = '[build-system]\nrequires = []\nbuild-backend = "wheel_of_lockstep"\nbackend-path = ["."]\n'


def put_package(registry: Registry) -> str:
    """Write the distribution into the registry, or find it there; gives its address."""
    data = distribution()
    path = f"packages/{sha256_of(data)}/{_ROOT.format(version=lockstep.__version__)}.tar.gz"
    registry.objects.put(path, data)
    return f"{address_for_job(registry.uri)}/{path}"


def distribution() -> bytes:
    """The source distribution: a `.tar.gz` that pip installs without fetching anything to build it with."""
    core = Path(lockstep.__path__[0])
    root = _ROOT.format(version=lockstep.__version__)
    files = {f"lockstep/{path.relative_to(core).as_posix()}": path.read_bytes() for path in core.rglob("*.py")}
    files |= {
        "PKG-INFO": _metadata().encode(),
        "pyproject.toml": _PYPROJECT.encode(),
        "wheel_of_lockstep.py": Path(wheel.__file__).read_bytes(),
    }
    return pack({f"{root}/{name}": content for name, content in files.items()})


def _metadata() -> str:
    pinned = [f"Requires-Dist: {name}=={importlib.metadata.version(name)}" for name in LIBRARIES]
    head = ["Metadata-Version: 2.1", f"Name: {NAME}", f"Version: {lockstep.__version__}", "Requires-Python: >=3.11"]
    return "\n".join([*head, *pinned, ""])
