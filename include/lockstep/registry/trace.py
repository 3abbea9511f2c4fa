"""Lineage the other way round: from a job, a source or a file to what was made and done with it.

Rules:
- Only the log is read, each entry once; no file of a version is opened.
- A look-up that finds nothing is an error that says what there is.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from lockstep.errors import UsageError
from lockstep.registry.entries import (
    Approved,
    Entry,
    Held,
    Job,
    Promoted,
    Rejected,
    Released,
    Removed,
    Resumed,
    RolledBack,
)
from lockstep.registry.lineage import AnyVersion, describe, lineage, versions
from lockstep.registry.names import Place, folder_at, place_of
from lockstep.registry.state import State, folder_of

SHORTEST: Final = 6  # characters of a hash that a person has to give
_SHOWN: Final = 5
_CLOUDS: Final = ("dataflow", "vertex")  # their jobs' `task` is the task that asked: dag_id/run_id/task_id
_PROJECT: Final = re.compile(r"^projects/[^/]+/(?=locations/)")
_FOUND_BY_NAME: Final = (Place.VERSION, Place.RELEASE, Place.SOURCE, Place.DIFF, Place.ENTRY, Place.CHECKPOINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What one entry says that somebody did: `did` is the kind of its fact, `versions` are written as `churn@7`."""

    entry: int
    did: str
    at: str
    by: str
    why: str
    job: Job | None
    versions: tuple[str, ...]
    group: str | None = None
    release: str | None = None


def deeds(entries: Iterable[Entry]) -> Iterator[Deed]:
    """What was done, oldest first."""
    numbers: dict[str, int] = {}
    refs: dict[str, str] = {}  # both digests and folders lead to a version
    for entry in entries:
        fact = entry.fact
        named: tuple[str, ...]
        match fact:
            case Promoted() | Released() | RolledBack() | Approved() | Rejected():
                named = tuple(refs.get(digest, digest) for digest in fact.members.values())
            case Removed():
                named = tuple(refs.get(folder, folder) for folder in fact.folders)
            case Held() | Resumed():
                named = ()
            case _:
                kind, name = folder_of(fact.manifest.path).split("/")[:2]
                number = numbers[kind + name] = numbers.get(kind + name, 0) + 1
                named = (f"{name}@{number}",)
                refs |= {fact.digest: named[0], folder_of(fact.manifest.path): named[0]}
        yield Deed(
            entry=entry.number,
            did=fact.kind,
            at=entry.at.isoformat(timespec="seconds"),
            by=entry.origin.by,
            why=entry.origin.why,
            job=entry.origin.job,
            versions=named,
            group=getattr(fact, "group", None),
            release=fact.digest if isinstance(fact, Released | RolledBack | Approved | Rejected) else None,
        )


def by_job(entries: Iterable[Entry], job: str) -> list[Deed]:
    """All that a job did, in each of its attempts.

    Args:
        entries: of the log.
        job: its run (`dag_id/run_id` for Airflow, the job's id for others), or run and task (`dag_id/run_id/task_id`),
            or the end of either. A job of a cloud is also found by the run, or run and task, that asked for it.

    Raises:
        UsageError: no such job did anything.
    """
    done = list(deeds(entries))
    found = [deed for deed in done if job and deed.job is not None and _is_called(deed.job, job)]
    if not found:
        runs = list(dict.fromkeys(deed.job.run for deed in reversed(done) if deed.job is not None))
        raise UsageError(
            f'No job "{job}" made or moved anything; the last that did: {", ".join(runs[:_SHOWN]) or "none"}.'
        )
    return found


def _is_called(job: Job, name: str) -> bool:
    if job.system not in _CLOUDS:
        return job.run.endswith(name) or (bool(job.task) and f"{job.run}/{job.task}".endswith(name))
    asked_by = (job.task, job.task.rpartition("/")[0])
    return any(f"/{one}".endswith(f"/{_without_project(name)}") for one in (_without_project(job.run), *asked_by))


def _without_project(name: str) -> str:
    """A cloud calls one project by its name and by its number; a region and a job's number say which job it is."""
    return _PROJECT.sub("", name)


def by_source(state: State, source: str) -> list[AnyVersion]:
    """The versions that were made from a source archive, or by jobs at a git commit.

    Args:
        state: of the registry.
        source: the SHA-256 of the archive or the commit, or the first `SHORTEST` characters or more of it.

    Raises:
        UsageError: too short, or there is none.
    """
    if len(source) < SHORTEST:
        raise UsageError(f'--source "{source}": give at least the first {SHORTEST} characters of a hash or a commit.')
    every = list(versions(state))
    found = [version for version in every if any(one.startswith(source) for one in _sources_of(version))]
    if not found:
        known = dict.fromkeys(one for version in reversed(every) for one in _sources_of(version))
        shown = ", ".join(f"{one[:12]}…" if len(one) > 12 else one for one in list(known)[:_SHOWN])  # noqa: PLR2004  as git shortens
        raise UsageError(f'No version was made from source or commit "{source}"; some that were: {shown or "none"}.')
    return found


def _sources_of(version: AnyVersion) -> list[str]:
    job = version.recorded.origin.job
    return [one for one in (getattr(version.fact, "source", ""), job.commit if job else "") if one]


def by_file(state: State, entries: Iterable[Entry], file: str) -> dict[str, Any]:
    """What a file of the registry is part of, as JSON values: `file`, `is`, and what there is to say of it.

    Args:
        state: of the registry.
        entries: of its log.
        file: its name in the registry, its address, or a path to it or to a copy that kept the registry's folders.

    Raises:
        UsageError: no registry has a file of such a name, or nothing is known of it.
    """
    path = _path_of(file)
    place = place_of(path)
    about: dict[str, Any] = {"file": path, "is": place.value if place else None}
    match place:
        case Place.VERSION:
            return about | {"version": lineage(state, _version_in(state, folder_at(path) or "", path))}
        case Place.SOURCE:
            sha256 = path.removeprefix("sources/").removesuffix(".tar.gz")
            return about | {"made": [describe(state, version) for version in by_source(state, sha256)]}
        case Place.RELEASE | Place.DIFF:  # a diff stands under the release that it was made for
            group, digest = path.removesuffix(".json").split("/")[1:3]
            found = [deed for deed in deeds(entries) if deed.release == digest and deed.group == group]
        case Place.ENTRY:
            number = int(path.removeprefix("log/").removesuffix(".json"))
            found = [deed for deed in deeds(entries) if deed.entry == number]
        case _:
            return about | {"note": "derived from the log; it may be deleted, and is made again"}
    if not found:
        raise _unknown(path)
    return about | {"deeds": found}


def _path_of(file: str) -> str:
    """The name in the registry that an address or a path ends with."""
    plain = unquote(urlsplit(file).path) if "://" in file else file
    for written in (plain, str(Path(plain).absolute())):
        parts = written.rstrip("/").split("/")
        for start in range(len(parts)):
            name = "/".join(parts[start:])
            if place_of(name) in _FOUND_BY_NAME or place_of(f"{name}/manifest.json") is Place.VERSION:
                return name if place_of(name) in _FOUND_BY_NAME else f"{name}/manifest.json"
    raise UsageError(
        f'--file "{file}": no file of a registry is called so. Files are models/NAME/DIGEST/…, and the same below'
        " datasets and thresholds, releases/GROUP/DIGEST.json, sources/SHA256.tar.gz and log/NUMBER.json."
    )


def _version_in(state: State, folder: str, path: str) -> AnyVersion:
    kind, name = folder.split("/")[:2]
    every: dict[str, Any] = {"datasets": state.snapshots, "models": state.models, "thresholds": state.thresholds}
    for version in every[kind].get(name, ()):
        if folder_of(version.fact.manifest.path) == folder:
            found: AnyVersion = version
            return found
    raise _unknown(path)


def _unknown(path: str) -> UsageError:
    return UsageError(
        f'No entry of the log leads to "{path}". A job that was killed before its entry may have left it, or somebody'
        " put it there; `lockstep verify` looks."
    )
