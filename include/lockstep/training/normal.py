"""Model files in a normal form: the same fitted estimator gives the same bytes in any process, at any time.

Rules:
- What skops takes from the process (ids of objects, names made of them, the clock) is replaced by what follows from the
  content: objects are numbered as they appear, parts are named by their hash, times are fixed.
- What is one object stays one object, and keys keep their order, which tells skops their types.
- Numbers, texts and the like lose their ids: whether two equal ones are one object is chance, and nobody can tell.
- Bytes between the fields of a structured array are zero; they are memory that nobody wrote.
- A file of another protocol of skops is left as it is.
"""

import io
import json
from itertools import count
from typing import Any, Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from lockstep.registry import sha256_of

SCHEMA: Final = "schema.json"
_PROTOCOL: Final = 2  # of skops, whose rules stand above
_TIME: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say
_UNIX: Final = 3
_MODE: Final = 0o600 << 16
_ID: Final = "__id__"


def normal_form(data: bytes) -> bytes:
    """A file that skops wrote, in its normal form; the normal form of a normal form is itself."""
    with ZipFile(io.BytesIO(data)) as file:
        schema = json.loads(file.read(SCHEMA))
        parts = {name: file.read(name) for name in file.namelist() if name != SCHEMA}
    if schema.get("protocol") != _PROTOCOL:
        return data
    parts = {name: _without_gaps(part) if name.endswith(".npy") else part for name, part in parts.items()}
    names = {name: f"{sha256_of(part)}.{name.rpartition('.')[2]}" for name, part in parts.items()}
    _rename(schema, names)
    _renumber(schema, {}, count(1))
    named = {names[name]: part for name, part in parts.items()}
    return _packed({**dict(sorted(named.items())), SCHEMA: json.dumps(schema, separators=(",", ":")).encode()})


def is_node(value: Any) -> bool:  # noqa: ANN401  any JSON value
    """Whether a value of the schema describes an object: a dict of the model's own holds no text, only objects."""
    return isinstance(value, dict) and isinstance(value.get("__loader__"), str)


def children_of(value: Any) -> list[Any]:  # noqa: ANN401  any JSON value
    """The values that stand directly in a value of the schema."""
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _without_gaps(part: bytes) -> bytes:
    """An array file; where its items have fields, with zeros between these."""
    array = np.load(io.BytesIO(part), allow_pickle=False)
    if array.dtype.names is None:
        return part
    filled = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        filled[name] = array[name]
    saved = io.BytesIO()
    np.save(saved, filled, allow_pickle=False)
    return saved.getvalue()


def _rename(value: Any, names: dict[str, str]) -> None:  # noqa: ANN401  any JSON value
    """Name parts by their content, forget chance ids, and put the members of sets in order."""
    for child in children_of(value):
        _rename(child, names)
    if not is_node(value):
        return
    if isinstance(value.get("file"), str):
        value["file"] = names[value["file"]]
    if value["__loader__"] == "JsonNode":
        value.pop(_ID, None)
    if value["__loader__"] == "SetNode":
        value["content"].sort(key=lambda member: json.dumps(_without_ids(member), sort_keys=True))


def _without_ids(value: Any) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(value, list):
        return [_without_ids(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_ids(item) for key, item in value.items() if key != _ID or not is_node(value)}
    return value


def _renumber(value: Any, numbers: dict[int, int], fresh: "count[int]") -> None:  # noqa: ANN401  any JSON value
    if is_node(value) and isinstance(value.get(_ID), int):
        given = value[_ID]
        if given not in numbers:
            numbers[given] = next(fresh)
        value[_ID] = numbers[given]
    for child in children_of(value):
        _renumber(child, numbers, fresh)


def _packed(parts: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with ZipFile(packed, "w", ZIP_STORED) as file:
        for name, part in parts.items():
            info = ZipInfo(name, _TIME)
            info.create_system, info.external_attr = _UNIX, _MODE
            file.writestr(info, part)
    return packed.getvalue()
