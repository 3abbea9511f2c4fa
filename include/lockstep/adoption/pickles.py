"""Pickles and joblib files: what they hold is listed without running any of it; then only what was trusted is loaded.

Rules:
- A pickle is a program, and whoever loads one runs it. So what it would import is listed first, by reading it with
  stand-ins in the place of everything but arrays, plain values and joblib's own frame around an array.
- Nothing is loaded that was not listed; and of what was listed only plain values, what the word `scikit-learn` stands
  for (classes that fitted estimators are known to hold, by the list of model files), and names that were given in full.
- A name is looked up in its module alone: a path of names, by which one could reach what a module imports, is refused.
- Arrays of objects are pickles within the pickle, and are read under the same rules.
- A compressed file is unpacked up to a limit.
"""

import bz2
import importlib
import io
import lzma
import pickle
import zlib
from collections.abc import Callable, Collection
from typing import Any, Final, Self

from joblib import numpy_pickle

from lockstep.errors import UsageError
from lockstep.training.audit import foreign_types

SCIKIT_LEARN: Final = "scikit-learn"
MOST_BYTES: Final = 4 << 30  # of a file, once it is unpacked
_MULTIARRAY: Final = ("numpy._core.multiarray", "numpy.core.multiarray")
_BYTES: Final = "_codecs.encode"  # how protocol 2 writes bytes
_FRAME: Final = "joblib.numpy_pickle.NumpyArrayWrapper"
_ARRAYS: Final = frozenset(
    {
        "numpy.dtype",
        "numpy.ndarray",
        *(f"{module}.{name}" for module in _MULTIARRAY for name in ("_reconstruct", "scalar")),
    }
)
_PLAIN: Final = frozenset(
    {
        *(
            f"builtins.{name}"
            for name in ("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int")
        ),
        *(f"builtins.{name}" for name in ("list", "object", "range", "set", "slice", "str", "tuple")),
        "collections.OrderedDict",
        "copyreg._reconstructor",
        "numpy.random._mt19937.MT19937",
        "numpy.random._pcg64.PCG64",
        *(
            f"numpy.random._pickle.{name}"
            for name in ("__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor")
        ),
    }
)


def names_in(data: bytes) -> tuple[str, ...]:
    """All that the file would import, without plain values; nothing of it is imported or run.

    Raises:
        UsageError: it is no pickle, or can't be read without running it.
    """
    seen: dict[str, None] = {}

    def stand_in(module: str, name: str) -> Any:  # noqa: ANN401  a class
        full = f"{module}.{name}"
        seen.setdefault(full)
        if full in _ARRAYS:
            return getattr(importlib.import_module(module), name)
        return type(name, (_StandIn,), {})

    _read(data, stand_in)
    return tuple(sorted(name for name in seen if name not in _ARRAYS and name not in _PLAIN))


def untrusted(names: Collection[str], trust: Collection[str], own: Collection[str]) -> list[str]:
    """The names that were not trusted; those of scikit-learn are, where that word is among them.

    `own` are the team's packages: what comes from them is the team's to trust, by its name.
    """
    known = set(names) - set(foreign_types(names, ())) if SCIKIT_LEARN in trust else set()
    return sorted(name for name in names if name not in trust and (name not in known or name.partition(".")[0] in own))


def load(data: bytes, names: Collection[str]) -> Any:  # noqa: ANN401  whatever the file holds
    """What the file holds, where it imports nothing but these names and plain values.

    Raises:
        UsageError: it imports something else, or can't be loaded here.
    """
    allowed = {*names, *_PLAIN, *_ARRAYS}

    def find(module: str, name: str) -> Any:  # noqa: ANN401  whatever bears that name
        if f"{module}.{name}" not in allowed or "." in name:
            raise pickle.UnpicklingError(f"{module}.{name} was not trusted")
        return getattr(importlib.import_module(module), name)

    return _read(data, find)


def _read(data: bytes, find: Callable[[str, str], Any]) -> Any:  # noqa: ANN401  whatever the file holds
    try:
        return _Reader(io.BytesIO(_unpacked(data)), find).load()
    except UsageError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise UsageError(
            f"The file can't be read as a pickle or a joblib file: {said[:300]}. Load it where it was made, and save"
            " the model as ONNX or with skops."
        ) from error


def _unpacked(data: bytes) -> bytes:
    """The file as it was before it was compressed, if it was.

    Raises:
        UsageError: it would be too large.
    """
    if data[:2] == b"\x1f\x8b" or (data[:1] == b"\x78" and data[1:2] in b"\x01\x5e\x9c\xda"):
        unpack: Any = zlib.decompressobj(wbits=47)
    elif data[:3] == b"BZh":
        unpack = bz2.BZ2Decompressor()
    elif data[:6] == b"\xfd7zXZ\x00" or data[:3] == b"\x5d\x00\x00":
        unpack = lzma.LZMADecompressor()
    else:
        return data
    whole: bytes = unpack.decompress(data, MOST_BYTES + 1)
    if len(whole) > MOST_BYTES:
        raise UsageError(f"The file would unpack to more than {MOST_BYTES} bytes; it is not read.")
    return whole


def _latin(text: str, encoding: str) -> bytes:
    """Bytes that were written as a text: the one thing that `_codecs.encode` is called for by a pickle."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it wants the encoding {encoding!r}")
    return text.encode("latin1")


class _Frame(numpy_pickle.NumpyArrayWrapper):  # type: ignore[misc]  # joblib has no types
    """joblib's frame around an array; one of objects is read as all the rest of the file is."""

    def read(self, unpickler: "_Reader", ensure_native_byte_order: bool) -> Any:  # noqa: ANN401, FBT001  joblib's signature
        if self.dtype.hasobject:
            return _Reader(unpickler.file_handle, unpickler.find).load()
        self.allow_mmap = False
        return self.read_array(unpickler, ensure_native_byte_order)


class _Reader(numpy_pickle.NumpyUnpickler):  # type: ignore[misc]  # as above
    """Reads a pickle, with or without joblib's arrays, and asks `find` for whatever it wants to import."""

    def __init__(self, file: io.BufferedIOBase, find: Callable[[str, str], Any]) -> None:
        super().__init__("", file, ensure_native_byte_order=False)
        self.find = find

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  as above
        full = f"{module}.{name}"
        return _Frame if full == _FRAME else _latin if full == _BYTES else self.find(module, name)

    def get_extension(self, code: int) -> Any:  # noqa: ANN401  as above
        raise pickle.UnpicklingError(f"it names something by the number {code}, which is looked up nowhere")

    def persistent_load(self, pid: Any) -> Any:  # noqa: ANN401  as above
        raise pickle.UnpicklingError(f"it names something outside of the file: {pid!r}")


class _StandIn:
    """Takes the place of any class or function: it can be called and filled, and does nothing."""

    def __new__(cls, *_: object, **__: object) -> Self:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        """Take anything."""

    def __setstate__(self, _: object) -> None:
        """Take any state."""

    def __call__(self, *_: object, **__: object) -> Self:
        return self

    def __setitem__(self, _: object, __: object) -> None:
        """Take any item."""

    def append(self, _: object) -> None:
        """Take any item."""

    def extend(self, _: object) -> None:
        """Take any items."""

    def add(self, _: object) -> None:
        """Take any item."""
