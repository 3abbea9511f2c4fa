"""A version's folder: its manifest, and the files that stand beside it.

Rules:
- The manifest names every other file of the folder with its SHA-256 and size, so that the manifest's own hash covers
  all.
- Files are written first, the manifest after them, the log entry last.
- A manifest is read within limits, and the files that it names stand beside it, whatever it says: who forged one can
  neither exhaust the reader nor lead it elsewhere.
"""

import json
import re
from collections.abc import Container, Mapping
from typing import Any, Final

from lockstep.errors import ObjectDamaged, UsageError
from lockstep.registry.canonical import canonical_json, digest_of, sha256_of
from lockstep.registry.objects import ObjectRef, Objects

MANIFEST: Final = "manifest.json"
MOST_BYTES: Final = 64 << 20  # of a manifest; one of a snapshot of 100,000 files takes about 20 MB
DEEPEST: Final = 64  # lists and objects within each other
_NAME: Final = re.compile(r"(?!\.{1,2}$)[\w. -]{1,200}", re.ASCII)
_SHA: Final = re.compile(r"[0-9a-f]{64}")


def put_folder(
    objects: Objects,
    parent: str,
    manifest: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    removed: Container[str] = (),
) -> ObjectRef:
    """Write files and their manifest into a folder of `parent` that is named by the hash of the manifest.

    Where exactly this manifest's folder is among those `removed`, it says `again`, how often, and so gets another name.

    Returns:
        where the manifest stands; its `sha256` is the digest of the version.

    Raises:
        UsageError: the manifest would not be read again.
    """
    named = {name: {"sha256": sha256_of(data), "size": len(data)} for name, data in files.items()}
    whole, again = {**manifest, "files": named}, 0
    while (folder := f"{parent}/{digest_of(whole)}") in removed:
        again += 1
        whole["again"] = again
    content = canonical_json(whole)
    if fault := _fault_of(content, whole):
        raise UsageError(f'A manifest below "{parent}" {fault}. Make the parameters simpler.')
    for name, data in files.items():
        objects.put(f"{folder}/{name}", data)
    return objects.put(f"{folder}/{MANIFEST}", content)


def read_manifest(objects: Objects, ref: ObjectRef) -> dict[str, Any]:
    """The manifest of a version or a release.

    Raises:
        ObjectMissing, ObjectDamaged: it is not what the log promises, or no manifest.
    """
    if ref.size > MOST_BYTES:
        raise _damaged(ref, f"has {ref.size} bytes; allowed are {MOST_BYTES}")
    content = objects.get(ref)
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(ref, f"is no JSON that can be read ({type(error).__name__})") from None
    if not isinstance(manifest, dict):
        raise _damaged(ref, "is no JSON object")
    if fault := _fault_of(content, manifest):
        raise _damaged(ref, fault)
    return manifest


def files_of(ref: ObjectRef, manifest: Mapping[str, Any]) -> dict[str, ObjectRef]:
    """Name → where each file stands that the manifest at `ref` names.

    Raises:
        ObjectDamaged: it names none, or something that is no file beside it.
    """
    folder, files = ref.path.rpartition("/")[0], manifest.get("files")
    if not isinstance(files, dict):
        raise _damaged(ref, "does not name its files")
    found = {}
    for name, file in files.items():
        match file:
            case {"sha256": str(sha256), "size": int(size)} if _NAME.fullmatch(name) and _SHA.fullmatch(sha256):
                found[name] = ObjectRef(path=f"{folder}/{name}", sha256=sha256, size=size)
            case _:
                raise _damaged(ref, f"names {name!r}, which is no file beside it with a hash and a size")
    return found


def _fault_of(content: bytes, manifest: Mapping[str, Any]) -> str:
    """Why a manifest breaks the limits, as the end of a sentence; empty if it keeps them."""
    if len(content) > MOST_BYTES:
        return f"has {len(content)} bytes; allowed are {MOST_BYTES}"
    level: list[Any] = [manifest]
    for _ in range(DEEPEST):
        level = [item for value in level for item in _within(value)]
        if not level:
            return ""
    return f"is nested deeper than {DEEPEST} levels"


def _within(value: Any) -> list[Any]:  # noqa: ANN401  any JSON value
    """The lists and objects that stand directly in a list or an object."""
    items = value.values() if isinstance(value, Mapping) else value
    return [item for item in items if isinstance(item, dict | list | tuple)]


def _damaged(ref: ObjectRef, why: str) -> ObjectDamaged:
    return ObjectDamaged(
        f'Manifest "{ref.path}" {why}. It is not used; restore it from a copy, or find out who wrote it.'
    )
