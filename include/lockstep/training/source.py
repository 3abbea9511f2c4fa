"""The source archive: exactly the team's code that a model is made of, as bytes that are equal for equal code.

Rules:
- It holds the modules that define the estimator and `clean`, and every module beside them that those import.
- Lockstep itself, the libraries whose versions stand in the manifest, and other installed packages are not in it.
- The file of each function is in it, or there is no archive: no change of code goes unnoticed.
- Times, owners and the place of the files on this machine don't enter the bytes.
"""

import ast
import gzip
import io
import sys
import sysconfig
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from lockstep.declare import Model
from lockstep.errors import TrainingError

_LIBRARIES: Final = frozenset({"lockstep", "numpy", "polars", "scipy", "skops", "sklearn"})


def source_archive(model: Model) -> bytes:
    """The code of a model, as a `.tar.gz` whose names are relative to the folder that Python imports from.

    Raises:
        TrainingError: a function has no file, so that nobody could say later which code it was.
    """
    functions = [function for function in (model.estimator, model.data.clean) if function is not None]
    found: dict[str, Path] = {}
    for function in functions:
        module = _module_of(model, function)
        if _top(module.__name__) in _LIBRARIES:
            continue
        root, name = _root_of(module)
        _follow(root, name, found, within=_top(name) if root in _installed() else None)
        if Path(str(module.__file__)).resolve() not in found.values():
            raise _not_importable(model, function)
    return _pack(found)


def name_of(function: Callable[..., Any]) -> str:
    """`package.module.function`, as it is shown and recorded."""
    plain = _unwrapped(function)
    return f"{plain.__module__}.{getattr(plain, '__qualname__', repr(plain))}"


def call_of(function: Callable[..., Any]) -> str:
    """As `name_of`, with the arguments that a `functools.partial` adds; two calls that may differ read differently."""
    if not isinstance(function, partial):
        return name_of(function)
    given = [*map(repr, function.args), *(f"{name}={value!r}" for name, value in sorted(function.keywords.items()))]
    return f"{call_of(function.func)}({', '.join(given)})"


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, partial):
        function = function.func
    return function


def _module_of(model: Model, function: Callable[..., Any]) -> ModuleType:
    module = sys.modules.get(getattr(_unwrapped(function), "__module__", ""))
    if module is None or not getattr(module, "__file__", None) or module.__name__ == "__main__":
        raise _not_importable(model, function)
    return module


def _not_importable(model: Model, function: Callable[..., Any]) -> TrainingError:
    return TrainingError(
        f'Model "{model.name}": {name_of(function)} comes from no importable file, so its code could not be kept. Move'
        " it to a module, and import it."
    )


def _root_of(module: ModuleType) -> tuple[Path, str]:
    """The folder that the module is imported from, and its name there."""
    path = Path(str(module.__file__)).resolve()
    parts = module.__name__.split(".")
    depth = len(parts) + (path.stem == "__init__") - 1
    return path.parents[depth], module.__name__


def _top(name: str) -> str:
    return name.partition(".")[0]


def _installed() -> set[Path]:
    """The folders that hold installed packages; there, what a module imports is beside it by chance."""
    return {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")}


def _follow(root: Path, name: str, found: dict[str, Path], *, within: str | None) -> None:
    """Add a module, the packages that it lies in, and what it imports from the same folder (or package `within`)."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        path = _file_of(root, parts[:depth])
        if path is None and root.joinpath(*parts[:depth]).is_dir():
            continue  # a package without __init__.py
        if path is None:
            return
        key = path.relative_to(root).as_posix()
        if key in found:
            continue
        found[key] = path
        for imported in _imports(path, ".".join(parts[:depth]), is_package=path.stem == "__init__"):
            if _top(imported) not in _LIBRARIES and within in (None, _top(imported)):
                _follow(root, imported, found, within=within)


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
