"""What a model file may be and may hold; asked before anything of it is loaded.

Rules:
- A file is a zip of parts that are not compressed, so that it can't unpack to more than it is; its schema and what the
  schema has read have a limit.
- Arrays hold numbers and text. An array of objects would be a pickle, and loading one is running it.
- Beyond the list of skops, a type is a class of scikit-learn or SciPy that fitted estimators are known to hold, or it
  comes from a package of the team, and stands under the name by which it is imported. Who forges a file together with
  its manifest gets no further: many classes and functions of these libraries, and all of Python's own that open files,
  run text or call what they are given, are not among them.
- The team's packages are those that the declarations name. Where nobody declares, the manifest's own word counts only
  for code that is not installed, so that it can't name a library.
"""

import importlib
import io
import json
import math
import struct
import sys
from collections.abc import Collection, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from numpy.lib import format as npy

from lockstep.declare import Model
from lockstep.graph import Graph
from lockstep.training.call import name_of
from lockstep.training.normal import SCHEMA, children_of, is_node
from lockstep.training.source import LIBRARIES, installed_folders

MOST_SCHEMA: Final = 64 << 20  # bytes; a forest of a thousand trees takes about 10 MB
MOST_LOADED: Final = 8 << 30  # bytes of all parts, each as often as the schema reads it
_CLASSES: Final = ("sklearn.", "scipy.interpolate._", "scipy.sparse._", "scipy.spatial._")
_FUNCTIONS: Final = ("sklearn.covariance.", "sklearn.feature_selection.", "sklearn.metrics.", "sklearn.preprocessing.")
_NAMES: Final = frozenset(
    {
        "builtins.complex",
        "builtins.frozenset",
        "builtins.object",
        "builtins.range",
        "functools.partial",
        "lockstep.training.adopted.OnnxModel",
        "numpy.dtype",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",  # of a spline
    }
)
_NEVER: Final = (  # they fetch, open or run what they are told
    "sklearn.conftest",
    "sklearn.datasets.",
    "sklearn.externals.",
    "sklearn.utils._mocking",
    "sklearn.utils._testing",
    "sklearn.utils.estimator_checks",
)


def fault_of(data: bytes) -> str | None:
    """Why the bytes are no model file that can be opened safely, as the end of a sentence; None if they are one."""
    if not data.startswith(b"PK\x03\x04"):
        return "is no skops file"
    try:
        with ZipFile(io.BytesIO(data)) as file:
            return next(_faults(file, len(data)), None)
    except (BadZipFile, EOFError, LookupError, OverflowError, RuntimeError, ValueError, struct.error) as error:
        return f"can't be opened as a skops file ({type(error).__name__}: {error})"


def _faults(file: ZipFile, size: int) -> Iterator[str]:
    sizes = {info.filename: info.file_size for info in file.infolist()}
    if any(info.compress_type != ZIP_STORED for info in file.infolist()):
        yield "has compressed parts, which skops does not write"
    if len(sizes) < len(file.infolist()) or sum(sizes.values()) > size:
        yield "has parts that overlap or bear one name"
    if sizes[SCHEMA] > MOST_SCHEMA:
        yield f"has a schema of {sizes[SCHEMA]} bytes; allowed are {MOST_SCHEMA}"
    schema = json.loads(file.read(SCHEMA))
    if not is_node(schema):
        yield "has a schema that describes no object"
    loaded = sum(sizes[name] for name in _read_by(schema))
    for name, length in sizes.items():
        with file.open(name) as part:
            if name.endswith(".npy"):
                yield from _faults_of_array(part, name, length)
            elif name.endswith(".npz"):
                with ZipFile(io.BytesIO(part.read())) as arrays:
                    loaded += sum(info.file_size for info in arrays.infolist())
                    yield from _faults_of_arrays(arrays, name)
    if loaded > MOST_LOADED:
        yield f"would take {loaded} bytes once loaded; allowed are {MOST_LOADED}"


def _read_by(schema: Any) -> Iterator[str]:  # noqa: ANN401  any JSON value
    """The parts that the schema has read, each as often as it is read; no recursion, however deep the schema is."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if is_node(value) and isinstance(value.get("file"), str):
            yield value["file"]
        waiting += children_of(value)


def _faults_of_arrays(arrays: ZipFile, of: str) -> Iterator[str]:
    for info in arrays.infolist():
        with arrays.open(info) as part:
            yield from _faults_of_array(part, f"{of}/{info.filename}", info.file_size)


def _faults_of_array(part: IO[bytes], name: str, size: int) -> Iterator[str]:
    version = npy.read_magic(part)
    if version not in ((1, 0), (2, 0)):
        yield f"has an array {name} of format {version}; allowed are (1, 0) and (2, 0)"
        return
    shape, _, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(part)
    if dtype.hasobject:
        yield f"holds pickled objects in its array {name}"
    elif math.prod(shape) * dtype.itemsize > size:
        yield f"has an array {name} that says it is larger than its file"


def foreign_types(types: Iterable[str], own: Collection[str]) -> list[str]:
    """Those of the types that no model file may hold; `own` are the team's packages.

    A type that can't be imported here is not judged: it can't be loaded either.
    """
    return [name for name in types if name not in _NAMES and not _is_allowed(name, own)]


def _is_allowed(name: str, own: Collection[str]) -> bool:
    module, _, last = name.rpartition(".")
    top = name.partition(".")[0]
    if top not in own and (not name.startswith(_CLASSES) or name.startswith(_NEVER) or ".tests." in name):
        return False
    try:
        found = _found(module, last)
    except (ImportError, AttributeError):
        return top in own or not _is_there(module)  # a method of a class, say, whose name is no module's
    if top in own:  # not something else's, which a module of the team's only imports
        return str(getattr(found, "__module__", "")).partition(".")[0] in own
    is_its_own = getattr(found, "__module__", None) == module
    return is_its_own and (isinstance(found, type) or name.startswith(_FUNCTIONS))


def _found(module: str, name: str) -> Any:  # noqa: ANN401  whatever bears that name
    return getattr(importlib.import_module(module), name)


def _is_there(name: str) -> bool:
    """Whether something that is no module bears that name."""
    module, _, last = name.rpartition(".")
    try:
        return bool(module) and _found(module, last) is not None
    except (ImportError, AttributeError):
        return False


def own_packages(graph: Graph) -> frozenset[str]:
    """The top-level packages whose code the declarations of a graph name."""
    models = (node for node in graph.nodes if isinstance(node, Model))
    functions = (function for model in models for function in (model.estimator, model.data.clean))
    return _without_libraries(name_of(function) for function in functions if function is not None)


def recorded_packages(functions: Iterable[str]) -> frozenset[str]:
    """The top-level packages of recorded functions (`package.module.function`), leaving out whatever is installed."""
    return _without_libraries(name for name in functions if not _is_installed(name))


def _without_libraries(names: Iterable[str]) -> frozenset[str]:
    tops = {name.partition(".")[0] for name in names}
    return frozenset(tops - LIBRARIES - sys.stdlib_module_names)


def _is_installed(function: str) -> bool:
    """Whether the module of a function lies among installed packages; false where there is no such module."""
    module = function
    while module := module.rpartition(".")[0]:
        try:
            spec = find_spec(module)
        except (ImportError, ValueError, AttributeError):
            continue
        if spec is not None:
            place = Path(spec.origin or "").resolve()
            return any(folder in place.parents for folder in installed_folders())
    return False
