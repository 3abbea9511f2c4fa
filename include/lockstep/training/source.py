"""The source archive: exactly the team's code that a model is made of, as bytes that are equal for equal code.

Rules:
- It holds the modules that define the estimator and `clean`, and every module beside them that those import.
- Lockstep itself and installed packages are not in it; their versions stand in the manifest.
- Times, owners and the place of the files on this machine don't enter the bytes.
"""

import ast
import gzip
import io
import sys
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from lockstep.declare import Model
from lockstep.errors import TrainingError

_OWN = "lockstep"


def source_archive(model: Model) -> bytes:
    """The code of a model, as a `.tar.gz` whose names are relative to the folder that Python imports from.

    Raises:
        TrainingError: a function has no file, so that nobody could say later which code it was.
    """
    functions = [function for function in (model.estimator, model.data.clean) if function is not None]
    found: dict[str, Path] = {}
    for function in functions:
        module = _module_of(model, function)
        root, name = _root_of(module)
        _follow(root, name, found)
    return _pack(found)


def name_of(function: Callable[..., Any]) -> str:
    """`package.module.function`, as it is shown and recorded."""
    plain = _unwrapped(function)
    return f"{plain.__module__}.{getattr(plain, '__qualname__', repr(plain))}"


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, partial):
        function = function.func
    return function


def _module_of(model: Model, function: Callable[..., Any]) -> ModuleType:
    module = sys.modules.get(getattr(_unwrapped(function), "__module__", ""))
    if module is None or not getattr(module, "__file__", None) or module.__name__ == "__main__":
        raise TrainingError(
            f'Model "{model.name}": {name_of(function)} comes from no importable file, so its code could not be kept. Move it'
            " to a module, and import it."
        )
    return module


def _root_of(module: ModuleType) -> tuple[Path, str]:
    """The folder that the module is imported from, and its name there."""
    path = Path(str(module.__file__)).resolve()
    parts = module.__name__.split(".")
    depth = len(parts) + (path.stem == "__init__") - 1
    return path.parents[depth], module.__name__


def _follow(root: Path, name: str, found: dict[str, Path]) -> None:
    """Add a module, the packages that it lies in, and what it imports from the same folder."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        path = _file_of(root, parts[:depth])
        if path is None:
            return
        key = path.relative_to(root).as_posix()
        if key in found:
            continue
        found[key] = path
        for imported in _imports(path, ".".join(parts[:depth]), is_package=path.stem == "__init__"):
            if imported.partition(".")[0] != _OWN:
                _follow(root, imported, found)


def _file_of(root: Path, parts: list[str]) -> Path | None:
    base = root.joinpath(*parts)
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


def _imports(path: Path, name: str, *, is_package: bool) -> Iterator[str]:
    """Every dotted name that a file imports, also inside functions; a name may turn out to be no module."""
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".") if is_package else name.split(".")[:-1]
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _pack(found: dict[str, Path]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, path in sorted(found.items()):
            content = path.read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), mtime=0)
