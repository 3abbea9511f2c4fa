"""A version's folder: its manifest, and the files that stand beside it.

Rules:
- The manifest names every other file of the folder with its SHA-256 and size, so that the manifest's own hash covers
  all.
- Files are written first, the manifest after them, the log entry last.
"""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from lockstep.registry.canonical import canonical_json, sha256_of
from lockstep.registry.objects import ObjectRef, Objects

MANIFEST: Final = "manifest.json"


def put_folder(objects: Objects, parent: str, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> ObjectRef:
    """Write files and their manifest into a folder of `parent` that is named by the hash of the manifest.

    Returns:
        where the manifest stands; its `sha256` is the digest of the version.
    """
    named = {name: {"sha256": sha256_of(data), "size": len(data)} for name, data in files.items()}
    content = canonical_json({**manifest, "files": named})
    folder = f"{parent}/{sha256_of(content)}"
    for name, data in files.items():
        objects.put(f"{folder}/{name}", data)
    return objects.put(f"{folder}/{MANIFEST}", content)


def read_manifest(objects: Objects, ref: ObjectRef) -> dict[str, Any]:
    """The manifest of a version or a release.

    Raises:
        ObjectMissing, ObjectDamaged: it is not what the log promises.
    """
    manifest: dict[str, Any] = json.loads(objects.get(ref))
    return manifest


def files_of(ref: ObjectRef, manifest: Mapping[str, Any]) -> dict[str, ObjectRef]:
    """Name → where each file stands that the manifest at `ref` names."""
    folder = PurePosixPath(ref.path).parent
    return {
        name: ObjectRef(path=str(folder / name), sha256=file["sha256"], size=file["size"])
        for name, file in manifest["files"].items()
    }
