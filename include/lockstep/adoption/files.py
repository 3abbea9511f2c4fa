"""Which kind of model a file or folder holds: ONNX, skops, a pickle or joblib file, or a model that MLflow has saved.

Rules:
- It is told by the bytes, not by the name; nothing is loaded.
- Of a folder of MLflow's, the file of its `onnx` or `sklearn` flavor counts, and what `MLmodel` says of its origin.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from lockstep.errors import UsageError
from lockstep.registry import sha256_of

MOST_BYTES: Final = 2 << 30
_MLMODEL: Final = "MLmodel"
_PACKED: Final = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"BZh", b"\xfd7zXZ", b"\x5d\x00\x00")


class Kind(StrEnum):
    """How a model is stored."""

    ONNX = "onnx"
    SKOPS = "skops"
    PICKLE = "pickle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that holds a model.

    Attributes:
        name: of the file, without its folder.
        about: what its surroundings say of its origin.
        inputs: the names of its inputs, where its surroundings say them.
    """

    name: str
    kind: Kind
    data: bytes
    sha256: str
    about: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()


def recognise(path: Path) -> Found:
    """Read a file, or the file of a folder of MLflow's.

    Raises:
        UsageError: there is none, or it is of no kind that is known.
    """
    if path.is_dir():
        return _in_folder(path)
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise UsageError(f'"{path}" has {size} bytes; at most {MOST_BYTES} are read.')
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f'"{path}" can\'t be read: {error.strerror or error}.') from None
    return Found(name=path.name, kind=_kind_of(path, data), data=data, sha256=sha256_of(data))


def _kind_of(path: Path, data: bytes) -> Kind:
    if data.startswith(b"PK\x03\x04"):
        return Kind.SKOPS
    if data[:1] == b"\x80" or data.startswith(_PACKED):
        return Kind.PICKLE
    if data[:1] == b"\x08" and path.suffix == ".onnx":  # protobuf has no mark of its own; ONNX begins with its version
        return Kind.ONNX
    raise UsageError(
        f'"{path}" is neither ONNX (a file *.onnx), nor a skops file, a pickle (protocol 2 or newer) or a joblib file,'
        " nor a folder with MLmodel. Save the model in one of these forms."
    )


def _in_folder(path: Path) -> Found:
    described = path / _MLMODEL
    if not described.is_file():
        raise UsageError(f'"{path}" is a folder without {_MLMODEL}. Name a file, or a folder that MLflow has saved.')
    try:
        import yaml
    except ImportError:
        raise UsageError(
            "A model of MLflow's is described in YAML, and PyYAML is not installed. Install"
            f" airflow-provider-lockstep[mlflow], or name the file in {path} that holds the model."
        ) from None
    try:
        told = yaml.safe_load(described.read_text(encoding="utf-8"))
        flavors = dict(told["flavors"])
        flavor = next(name for name in ("onnx", "sklearn") if name in flavors)
        name = str(flavors[flavor]["data" if flavor == "onnx" else "pickled_model"])
    except (yaml.YAMLError, OSError, ValueError, KeyError, TypeError, StopIteration):
        raise UsageError(
            f'"{described}" names no model of flavor onnx or sklearn. Save the model in one of these, or name its file.'
        ) from None
    if Path(name).name != name and Path(name).parts[:1] in ((), ("..",), ("/",)):
        raise UsageError(f'"{described}" names the file "{name}", which is not in its folder.')
    found = recognise(path / name)
    about = {
        key: str(told[key]) for key in ("run_id", "model_uuid", "utc_time_created", "mlflow_version") if key in told
    }
    about["flavor"] = flavor
    return Found(
        name=found.name,
        kind=found.kind,
        data=found.data,
        sha256=found.sha256,
        about={"mlflow": about},
        inputs=_inputs(told),
    )


def _inputs(told: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of the model's signature, if it has one that names them."""
    import json

    try:
        columns = json.loads(told["signature"]["inputs"])
        return tuple(str(column["name"]) for column in columns)
    except (KeyError, TypeError, ValueError):
        return ()
