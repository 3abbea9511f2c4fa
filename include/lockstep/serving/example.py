"""A row that an API can be asked about, for its documentation: typical values, of nobody in particular.

Rules:
- It is asked about before it is shown: what stands in the documentation works.
- A text is taken from the data only where many rows share it, and nothing is taken of a column declared private.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from lockstep.declare import Column, Dataset
from lockstep.errors import LockstepError
from lockstep.registry import Registry, files_of, read_manifest
from lockstep.serving.loaded import Loaded

_MANY: Final = 10  # rows that share a text, for it to be nobody's own
_OF_KIND: Final[dict[str, Any]] = {"int": 1, "float": 1.5, "str": "text", "bool": True, "date": "2026-01-31"}
_CENTS: Final = 2


def example_of(registry: Registry, loaded: Loaded, api: str) -> dict[str, Any] | None:
    """A row that the release answers; None where no such row was found."""
    row: dict[str, Any] = {}
    for name, columns in loaded.columns(api).items():
        dataset = loaded.graph.dataset(name)
        row |= row_of(dataset, columns, _profile_of(registry, loaded, dataset))
    try:
        (answer,) = loaded.decide(api, [row])
    except LockstepError:
        return None
    return None if "error" in answer else row


def row_of(dataset: Dataset, columns: Mapping[str, Column], profile: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each column that is not only a label, from a profile of the data."""
    hidden = {dataset.key, *dataset.private}
    return {
        name: _value(column, {} if name in hidden else profile.get(name, {}))
        for name, column in columns.items()
        if dataset.schema[name].nullable or not column.nullable
    }


def _value(column: Column, found: Mapping[str, Any]) -> Any:  # noqa: ANN401  JSON
    """The middle of numbers, the commonest of other values, else one that only has the type."""
    if column.kind in ("int", "float"):
        middle = found.get("quantiles", {}).get("0.5")
        if middle is None:
            return _OF_KIND[column.kind]
        return round(middle) if column.kind == "int" else round(middle, _CENTS)
    shared = {value: count for value, count in found.get("values", {}).items() if count >= _MANY}
    if not shared:
        return _OF_KIND[column.kind]
    commonest = max(shared, key=lambda value: (shared[value], value))
    return commonest == "true" if column.kind == "bool" else commonest


def _profile_of(registry: Registry, loaded: Loaded, dataset: Dataset) -> Mapping[str, Any]:
    """Column → what the snapshot holds that the release was trained on; empty where that can't be read now."""
    members = loaded.manifest["members"].values()
    snapshot = next((one["snapshot"] for one in members if one.get("snapshot", {}).get("name") == dataset.name), None)
    if snapshot is None:
        return {}
    try:
        manifest = registry.state().snapshot_by_digest(dataset.name, snapshot["digest"]).fact.manifest
        files = files_of(manifest, read_manifest(registry.objects, manifest))
        ref = next((ref for name, ref in files.items() if name.endswith("-profile.json")), None)
        found = json.loads(registry.objects.get(ref)) if ref else {}
    except LockstepError:
        return {}
    profile: Mapping[str, Any] = found.get("train", {})
    return profile
