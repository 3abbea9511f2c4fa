"""The recorded source of a model as the only place that the team's code is imported from.

Rules:
- The team's code comes from the recorded source alone: not from the folder that the process was started in, nor from a
  checkout that Python is told of. A module that is neither recorded nor installed is an error.
- It is for a process that does nothing else: what Python imports from is changed for good.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

import lockstep
from lockstep.errors import TrainingError
from lockstep.training.source import RECORDS, installed_folders

_INSTALLED: Final = ("site-packages", "dist-packages")


class _Recorded:
    """Finds the top-level names of the recorded source there, and nowhere else."""

    def __init__(self, source: Path, names: frozenset[str]) -> None:
        self._source, self._names = str(source), names

    def find_spec(self, name: str, _path: object = None, _target: ModuleType | None = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [self._source]) if name in self._names else None


def names_in(source: Path) -> frozenset[str]:
    """The top-level names that can be imported from a folder of code."""
    return frozenset(path.name.removesuffix(".py") for path in source.iterdir() if path.name != RECORDS)


def import_from(source: Path) -> frozenset[str]:
    """Let the recorded source come first, and folders of code that hold modules of its names not at all.

    Returns:
        the top-level names that come from there.
    """
    names = names_in(source)
    others = [
        entry
        for entry in sys.path
        if entry.endswith(_INSTALLED)
        or not any((Path(entry) / name).exists() or (Path(entry) / f"{name}.py").exists() for name in names)
    ]
    sys.path[:] = [str(source), *others]
    sys.meta_path.insert(0, _Recorded(source, names))
    return names


def check_modules(source: Path, names: frozenset[str]) -> None:
    """Refuse what was trained by code that is neither recorded, nor installed, nor Lockstep's own.

    Raises:
        TrainingError: names the module, and where it came from.
    """
    installed = {*installed_folders(), Path(lockstep.__path__[0]).resolve()}
    for name, module in list(sys.modules.items()):
        place = getattr(module, "__file__", None)
        if not place or name == "__main__":
            continue
        allowed = {source} if name.partition(".")[0] in names else {source, *installed}
        if allowed.isdisjoint(Path(place).resolve().parents):
            raise TrainingError(
                f"Module {name} was imported from {place}, which is neither in the recorded source nor installed; what"
                " was trained is not what was recorded. Import it by a name that stands in the code, or install it."
            )
