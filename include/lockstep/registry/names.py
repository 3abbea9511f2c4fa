"""The rule that every name in a registry follows, in one place.

Rules:
- A name says by itself what stands there. What follows none of these patterns is not Lockstep's.
- A version's folder is named by the version's digest. Where a snapshot's folder of that name was removed, the same
  content gets the next name that was never used: `<digest>.1`, `<digest>.2`, ….
"""

import re
from collections.abc import Container
from enum import StrEnum
from typing import Final

_NAME: Final = r"[a-z][a-z0-9_]{0,63}"
_SHA: Final = r"[0-9a-f]{64}"


class Place(StrEnum):
    """What a name is for."""

    VERSION = "version"
    RELEASE = "release"
    SOURCE = "source"
    SPEC = "spec"
    PACKAGE = "package"
    DIFF = "diff"
    INPUTS = "inputs"
    DECISIONS = "decisions"
    ENTRY = "entry"
    CHECKPOINT = "checkpoint"
    SCRATCH = "scratch"
    PROBE = "probe"


VERSIONS: Final = ("datasets", "models", "thresholds")  # below these stand the folders of versions
_FOLDER: Final = re.compile(rf"datasets/{_NAME}/{_SHA}(\.[1-9][0-9]{{0,8}})?|(models|thresholds)/{_NAME}/{_SHA}")
_RULES: Final = {
    Place.ENTRY: r"log/[0-9]{20}\.json",
    Place.CHECKPOINT: rf"log/checkpoint/[0-9]{{20}}-({_SHA}\.json|[0-9]{{20}}-{_SHA}\.jsonl)",
    Place.RELEASE: rf"releases/{_NAME}/{_SHA}\.json",
    Place.SOURCE: rf"sources/{_SHA}\.tar\.gz",
    Place.SPEC: rf"specs/{_SHA}\.json",
    Place.PACKAGE: rf"packages/{_SHA}/lockstep_train-[0-9A-Za-z.+]{{1,40}}\.tar\.gz",
    Place.DIFF: rf"diffs/{_NAME}/{_SHA}/{_SHA}-[0-9]{{20}}-{_SHA}\.json",
    Place.INPUTS: rf"inputs/{_NAME}/{_SHA}/{_SHA}\.json",
    Place.DECISIONS: rf"decisions/{_NAME}/[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}/[0-9a-f]{{16}}-[0-9]{{6,12}}\.parquet",
    Place.SCRATCH: r"scratch/[^/]+/.+",
    Place.PROBE: r"probe",
}
_OTHERS: Final = tuple((place, re.compile(pattern)) for place, pattern in _RULES.items())


def place_of(path: str) -> Place | None:
    """What stands at a path; None if the name breaks the rule."""
    if folder_at(path) is not None:
        return Place.VERSION
    return next((place for place, pattern in _OTHERS if pattern.fullmatch(path)), None)


def folder_at(path: str) -> str | None:
    """The folder of a version that a path leads into; None if it leads into none."""
    found = _FOLDER.match(path)
    return found[0] if found and path[found.end() : found.end() + 1] == "/" and path[found.end() + 1 :] else None


def inputs_folder(dataset: str, key: str) -> str:
    """Where it is kept which content a dataset's files gave; `key` hashes these files and the recipe."""
    return f"inputs/{dataset}/{key}"


def run_at(path: str) -> str:
    """The folder below `scratch/` that one pipeline works in."""
    return "/".join(path.split("/")[:2])


def free_folder(dataset: str, digest: str, removed: Container[str]) -> str:
    """The folder for a snapshot of this content: the first of its names that was never removed."""
    folder, times = f"datasets/{dataset}/{digest}", 0
    while (name := f"{folder}.{times}" if times else folder) in removed:
        times += 1
    return name
