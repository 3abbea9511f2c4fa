"""Files of versions, read for the pages: verified by their hashes, and kept while there is room.

Rules:
- Nothing is told of a file whose bytes are not those that the log promises: that is an answer with 503 and the reason.
- What is kept is named by its hash, so that it is never out of date.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import HTTPException

from lockstep.errors import LockstepError
from lockstep.registry import ObjectRef, files_of, read_manifest
from lockstep.registry.lineage import AnyVersion
from lockstep_airflow.ui.world import Place


@contextmanager
def told() -> Iterator[None]:
    """Turn what can't be read into an answer that says so."""
    try:
        yield
    except LockstepError as error:
        raise HTTPException(503, str(error)) from error


def manifest_of(place: Place, version: AnyVersion) -> dict[str, Any] | None:
    """The manifest of a version; None where its files were removed."""
    if place.book.state.is_removed(version):
        return None
    ref, objects = version.fact.manifest, place.seen.objects
    if objects is None:
        raise HTTPException(503, place.seen.problem or "The registry is away.")
    with told():
        content = place.scene.world.files.made(
            (place.seen.address, ref.path, ref.sha256), lambda: json.dumps(read_manifest(objects, ref)).encode()
        )
    found: dict[str, Any] = json.loads(content)
    return found


def file_of(place: Place, version: AnyVersion, manifest: dict[str, Any], end: str) -> bytes | None:
    """The file of a version whose name ends so; None where it has none."""
    ref = next((ref for name, ref in _files(version, manifest).items() if name.endswith(end)), None)
    objects = place.seen.objects
    if ref is None or objects is None:
        return None
    with told():
        return place.scene.world.files.made((place.seen.address, ref.path, ref.sha256), lambda: objects.get(ref))


def _files(version: AnyVersion, manifest: dict[str, Any]) -> dict[str, ObjectRef]:
    with told():
        return files_of(version.fact.manifest, manifest)
