"""A snapshot only where there is something new: look first, then add, or build anew, or do nothing.

Rules:
- Nothing is new if the files and the recipe are those of the last snapshot: then no pipeline runs. Local files are
  hashed, as their times can't be trusted; of files in a cloud the listing tells.
- Other files may hold the content of a version that is there. That this was seen is kept, in `inputs/` of the registry,
  so that the next look need not find it out again.
- Where the source only grew, the new files are added to the last snapshot (`growth`); where that would not be exact,
  all files are read, and the log and the manifest say why.
- Whoever is killed on the way has recorded the snapshot or not; trying again ends in the same state.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from lockstep.data.aging import check_age, newest_of
from lockstep.data.changes import ADDED, Comparison, Kind, compare, files_in, longer_files
from lockstep.data.engines import Submission, job_name, runner_of
from lockstep.data.growth import Base, NotExact, base_of, build_growth, why_inexact
from lockstep.data.pipeline import run_to_end
from lockstep.data.recipe import recipe_of
from lockstep.data.snapshot import DIRECT, finish_snapshot, give_up, read_parts, start_snapshot, take_snapshot
from lockstep.data.sources import InputFile
from lockstep.data.taking import Found, find_inputs
from lockstep.declare import Dataset
from lockstep.errors import DataError, ObjectMissing
from lockstep.places import Direct, Engine, Portable
from lockstep.registry import (
    ObjectRef,
    Origin,
    Registry,
    SnapshotTaken,
    Version,
    canonical_json,
    digest_of,
    read_manifest,
    sha256_of,
)
from lockstep.registry.names import inputs_folder

_CHUNK: Final = 1 << 20  # bytes
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a source holds now, against the last snapshot.

    Attributes:
        last: the last snapshot whose files are there; None if there is none.
        code: hash of the code of `clean`, None where nobody knows it.
        found: the files, and why they all have to be read, if they have.
        comparison: with the files of `last`; None where there is none.
        known: the version whose content these files and this recipe are known to give, if there is one.
        base: what the new files may be added to; None where all files have to be read.
        newest: of `known`, the newest date of each column that `fresh` looks at.
    """

    last: Version[SnapshotTaken] | None
    code: str | None
    found: Found
    comparison: Comparison | None
    known: Version[SnapshotTaken] | None
    base: Base | None
    newest: Mapping[str, str] = field(default_factory=dict)

    def sentences(self) -> list[str]:
        """What is to be said of it."""
        if self.comparison is None:
            return [f"There is no snapshot yet; the source has {len(self.found.files)} files."]
        if self.comparison.is_same or self.known is None:
            return self.comparison.sentences()
        return [*self.comparison.sentences(), f"These files were seen before: they hold {self.known.ref}."]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """The snapshot of what the source holds now.

    Attributes:
        is_new: whether it was recorded now.
        how: "unchanged" (nothing ran), "incremental" or "full".
        why: why it was a full build, where a snapshot might have been added to.
        says: what was seen of the files, as sentences.
    """

    version: Version[SnapshotTaken]
    is_new: bool
    how: str
    why: str
    says: tuple[str, ...]


def look_at(registry: Registry, dataset: Dataset, code: str | None) -> Look:
    """Hold the files of a dataset's source against the last snapshot; no row is read.

    `code` is the hash of the code of `clean`, None where nobody knows it (`lockstep.training.source.hash_of_clean`).

    Raises:
        DataError: the source can't be read.
    """
    state = registry.state()
    past = state.snapshots.get(dataset.name) or ()
    last = next((past[n] for n in reversed(range(len(past))) if not state.is_removed(past[n])), None)
    files = find_inputs(dataset.source)
    if last is None:
        return Look(last=None, code=code, found=Found(files=files), comparison=None, known=None, base=None)
    manifest = read_manifest(registry.objects, last.fact.manifest)
    before = files_in(manifest)
    beginnings = {path: _beginning(path, size) for path, size in longer_files(before, files).items()}
    comparison = compare(before, files, beginnings)
    recipe = recipe_of(dataset, code)
    is_as_recorded = comparison.is_same and recipe is not None and recipe == manifest.get("recipe")
    known: Version[SnapshotTaken] | None = last
    newest: Mapping[str, str] = manifest.get("newest", {})
    if not is_as_recorded:
        known, newest = _seen_before(registry, dataset.name, files, recipe)
    base: Base | None = None
    why = ""
    try:
        base = None if known else _base(dataset, last, manifest, comparison, recipe)
    except NotExact as reason:
        why = str(reason)
    found = Found(files=files, why=why)
    return Look(last=last, code=code, found=found, comparison=comparison, known=known, base=base, newest=newest)


def refresh_snapshot(
    registry: Registry,
    dataset: Dataset,
    origin: Origin,
    *,
    code: str | None,
    engine: Engine = DIRECT,
    nonce: Callable[[], str] = lambda: uuid4().hex,
) -> Refreshed:
    """The snapshot of what the dataset's source holds now, with as little work as gives just that.

    Engines that run elsewhere than this process's own (Flink, Dataflow) always build in full. `code` as for `look_at`.

    Raises:
        CheckFailed: nothing is new, and a hard `fresh` is broken by now.
        DataError, UsageError: as `take_snapshot`.
    """
    look = look_at(registry, dataset, code)
    for sentence in look.sentences():
        _logger.info("%s", sentence)
    if look.known is not None:
        stale = check_age(registry, dataset, look.known, look.newest)
        says = (*look.sentences(), *stale)
        return Refreshed(version=look.known, is_new=False, how="unchanged", why="", says=says)
    before = registry.state().head
    version, how, why = None, "incremental", look.found.why
    if look.base is not None:
        try:
            version = _grown(registry, dataset, origin, look, engine, nonce)
        except NotExact as reason:
            why = str(reason)
    if version is None:
        how = "full"
        if why:
            _logger.info("All files are read, as %s.", why)
        found = Found(files=look.found.files, why=why)
        version = take_snapshot(registry, dataset, origin, engine=engine, nonce=nonce, code=code, found=found)
    remember(registry, dataset, version, files=look.found.files, code=code)
    is_new = version.recorded.number > before
    return Refreshed(version=version, is_new=is_new, how=how, why=why, says=tuple(look.sentences()))


def remember(
    registry: Registry,
    dataset: Dataset,
    version: Version[SnapshotTaken],
    *,
    files: tuple[InputFile, ...],
    code: str | None,
) -> None:
    """Keep that these files hold that version, unless its manifest says it, and it is the last."""
    recipe = recipe_of(dataset, code)
    if recipe is None:
        return
    manifest = read_manifest(registry.objects, version.fact.manifest)
    is_last = version.number == len(registry.state().snapshots[version.name])
    if is_last and manifest.get("recipe") == recipe and compare(files_in(manifest), files).is_same:
        return
    looked = _looked(files, recipe)
    newest = newest_of(dataset, manifest, read_parts(registry, version))
    about = {"dataset": version.name, "digest": version.digest, **({"newest": newest} if newest else {})}
    said = canonical_json({**looked, **about})
    registry.objects.put(f"{inputs_folder(version.name, digest_of(looked))}/{sha256_of(said)}.json", said)


def _looked(files: Iterable[InputFile], recipe: str) -> dict[str, Any]:
    return {"inputs": [replace(file, as_of=None, version=None).as_json() for file in files], "recipe": recipe}


def _seen_before(
    registry: Registry, dataset: str, files: tuple[InputFile, ...], recipe: str | None
) -> tuple[Version[SnapshotTaken] | None, Mapping[str, str]]:
    """The version that somebody has found these files to hold, if its own files are still there, and newest dates."""
    if recipe is None:
        return None, {}
    state = registry.state()
    past = state.snapshots[dataset]
    for name in registry.objects.names(inputs_folder(dataset, digest_of(_looked(files, recipe)))):
        promised = name.rpartition("/")[2].removesuffix(".json")
        said = json.loads(registry.objects.get(ObjectRef(path=name, sha256=promised, size=0)))
        for place in past.places("digest", said["digest"]):
            if not state.is_removed(past[place]):
                return past[place], said.get("newest", {})
    return None, {}


def _base(
    dataset: Dataset,
    version: Version[SnapshotTaken],
    manifest: Mapping[str, Any],
    comparison: Comparison,
    recipe: str | None,
) -> Base:
    """What the new files may be added to.

    Raises:
        NotExact: says why that would not be the same as a full build.
    """
    if recipe is None:
        raise NotExact("clean comes from no file by itself, so that nobody can tell whether it has changed")
    if manifest.get("recipe") is None:
        raise NotExact(f"the manifest of {version.ref} does not say by which code and declaration it was made")
    if manifest["recipe"] != recipe:
        raise NotExact(f"the declaration, the code of clean or a library is not that of {version.ref}")
    if not comparison.kinds <= ADDED:
        others = ", ".join(sorted(comparison.kinds - ADDED))
        raise NotExact(f"files that {version.ref} was made of are not as they were ({others})")
    if dataset.checks:
        raise NotExact("the dataset has checks, which speak of all its rows together")
    if Kind.DUPLICATED in comparison.kinds:
        raise NotExact("a new file holds the same bytes as another, so that its keys stand there twice")
    return base_of(version.ref, version.fact.manifest, manifest)


def _grown(
    registry: Registry, dataset: Dataset, origin: Origin, look: Look, engine: Engine, nonce: Callable[[], str]
) -> Version[SnapshotTaken] | None:
    """Add the new files to the base; None: what was made so was removed meanwhile.

    Raises:
        NotExact: that would not be the same as a full build, or the engine is one that always makes those.
    """
    base, comparison = look.base, look.comparison
    if base is None or comparison is None:
        raise NotExact("there is no snapshot to add to")
    if not isinstance(engine, Direct | Portable):
        raise NotExact(f"{engine} builds in full always")
    new = {change.path for change in comparison.changes}
    files = [file for file in look.found.files if file.path in new]
    taking = start_snapshot(registry, dataset, engine, name := nonce(), code=look.code, found=look.found)
    runner = runner_of(engine, Submission(name=job_name(dataset.name, name)))
    where = {"uri": registry.uri, "scratch": taking.scratch}
    try:
        run_to_end(build_growth(dataset, base, files, **where, runner=runner), **where)
        if why := why_inexact(registry.objects, taking.scratch):
            raise NotExact(why)
        return finish_snapshot(registry, taking, origin, engine, base)
    except ObjectMissing:
        raise NotExact(f"files of {base.ref} were removed meanwhile") from None
    finally:
        give_up(registry, taking.scratch)


def _beginning(path: str, size: int) -> str:
    """SHA-256 of the first bytes of a local file."""
    hashed, left = sha256(), size
    try:
        with Path(path).open("rb") as file:
            while left and (data := file.read(min(left, _CHUNK))):
                hashed.update(data)
                left -= len(data)
    except OSError as error:
        raise DataError(f"File {path}: {error}. Check the rights of the file.") from None
    return hashed.hexdigest()
