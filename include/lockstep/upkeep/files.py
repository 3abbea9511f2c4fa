"""The files that the log needs, one by one: is it there, and are its bytes those that were promised?"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lockstep.errors import LockstepError, ObjectMissing, UsageError
from lockstep.registry.folder import files_of, read_manifest
from lockstep.registry.names import folder_at
from lockstep.registry.objects import ObjectRef, Objects
from lockstep.upkeep.findings import Finding, Kind, error, note
from lockstep.upkeep.log import NamedRelease, Needed
from lockstep.upkeep.stored import stored

_SHOWN: Final = 12  # characters of a digest, also at the start of a name that says its content
_MEND: Final = "Restore it from a copy."


@dataclass(frozen=True, slots=True)
class Held:
    """A file that the log needs, and the size that the store lists it with; None where that was not asked for."""

    needed: Needed
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A manifest that was read: what is wrong about it, the files that it names, and its own size."""

    findings: list[Finding]
    files: list[Held]
    size: int = 0


def open_folder(objects: Objects, folder: str, manifest: Needed) -> Opened:
    """Compare a version's folder with its manifest."""
    try:
        listed = {item.path: item.size for item in stored(objects, folder)}
        files = files_of(manifest.ref, read_manifest(objects, manifest.ref))
    except LockstepError as unread:
        found, size = check_bytes(objects, manifest)
        as_promised = error(
            Kind.UNREADABLE, manifest.ref.path, f"{_which(manifest)} needs it. {unread}", manifest.entry
        )
        return Opened([found or as_promised], [], size)
    needed = [Needed(ref, manifest.entry, manifest.what) for ref in files.values()]
    named = {manifest.ref.path, *(item.ref.path for item in needed)}
    return Opened(
        [_not_named(objects, path, manifest) for path in sorted(listed.keys() - named)]
        + [_missing(item) for item in needed if item.ref.path not in listed],
        [Held(item, listed[item.ref.path]) for item in needed if item.ref.path in listed],
        manifest.ref.size,
    )


def open_release(objects: Objects, release: NamedRelease, manifests: Mapping[str, Needed]) -> Opened:
    """Compare a release's manifest with the entry that names it, and with its members' own entries (by folder)."""
    needed = release.needed
    found, size = check_bytes(objects, needed)
    if found is not None:
        return Opened([found], [], size)
    if _is_of(objects.get_unverified(needed.ref.path), release, manifests):
        return Opened([], [], size)
    says = f"its members are not those that log entry {needed.entry} names. Release the group again."
    return Opened([error(Kind.DANGLING, needed.ref.path, says, needed.entry)], [], size)


def check_bytes(objects: Objects, needed: Needed) -> tuple[Finding | None, int]:
    """Read a file in pieces; gives what is wrong with it, and its size."""
    ref = needed.ref
    try:
        found = objects.describe(ref.path)
    except ObjectMissing:
        return _missing(needed), 0
    except UsageError as refused:
        return error(Kind.MISNAMED, ref.path, f"{_which(needed)} needs it. {refused}", needed.entry), 0
    except LockstepError as unread:
        return error(Kind.UNREADABLE, ref.path, f"{_which(needed)} needs it. {unread}", needed.entry), 0
    if found.sha256 == ref.sha256:
        return None, found.size
    wrong = f"its SHA-256 is {found.sha256[:_SHOWN]}…, but {_which(needed)} promises {ref.sha256[:_SHOWN]}…"
    return error(Kind.CHANGED, ref.path, f"{wrong}. {_MEND}", needed.entry), found.size


def check_size(objects: Objects, held: Held) -> tuple[Finding | None, int]:
    """Compare a file's listed size with the promised one; where neither is known, ask whether it is there."""
    ref = held.needed.ref
    if held.size is None:
        return (None if objects.exists(ref.path) else _missing(held.needed)), 0
    if held.size == ref.size:
        return None, held.size
    wrong = f"it has {held.size} bytes, but {_which(held.needed)} promises {ref.size}"
    return error(Kind.CHANGED, ref.path, f"{wrong}. {_MEND}", held.needed.entry), held.size


def is_named_by_content(objects: Objects, path: str) -> bool:
    """Whether a file's name starts with its own hash (12 characters at least), as only its writer would name it.

    A package stands in a folder of that name.
    """
    name = path.split("/")[1] if path.startswith("packages/") else path.rpartition("/")[2]
    start = name.partition(".")[0].partition("-")[0]
    try:
        return len(start) >= _SHOWN and objects.describe(path).sha256.startswith(start)
    except LockstepError:
        return False


def _missing(needed: Needed) -> Finding:
    return error(Kind.MISSING, needed.ref.path, f"{_which(needed)} needs it. {_MEND}", needed.entry)


def _not_named(objects: Objects, path: str, manifest: Needed) -> Finding:
    if is_named_by_content(objects, path):
        says = f"a killed attempt to make {manifest.what} left it. It goes when that version is removed."
        return note(Kind.LEFTOVER, path, says, manifest.entry)
    says = f"the manifest of {_which(manifest)} does not name it. Move it away."
    return error(Kind.FOREIGN, path, says, manifest.entry)


def _is_of(data: bytes, release: NamedRelease, manifests: Mapping[str, Needed]) -> bool:
    try:
        found = json.loads(data)
        members = {key: member["digest"] for key, member in found["members"].items()}
        refs = [ObjectRef(**member["manifest"]) for member in found["members"].values()]
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    own = [manifests.get(folder_at(ref.path) or "") for ref in refs]
    same = all(needed is not None and needed.ref == ref for needed, ref in zip(own, refs, strict=True))
    return same and found.get("group") == release.group and members == release.members


def _which(needed: Needed) -> str:
    return f"{needed.what} (log entry {needed.entry})"
