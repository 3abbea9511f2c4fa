"""Release and rollback: all members of a group change in production at once, by one entry.

Rules:
- The gate is asked again on the state just before the release's own entry; what it said earlier counts for nothing.
- Before a release or rollback is recorded, every file that it names has been read and its hash compared.
- The job that did it may ask again (a retried task): it gets what it did, whatever has happened since, and nothing is
  recorded twice. To release again is another job.
"""

from typing import Any

from lockstep.errors import ReleaseRefused, RollbackRefused
from lockstep.group import Group
from lockstep.registry import (
    Entry,
    ObjectRef,
    Origin,
    Registry,
    Release,
    Released,
    RolledBack,
    State,
    canonical_json,
    files_of,
    read_manifest,
)
from lockstep.release.gate import gate
from lockstep.release.manifest import compose, digest_of_release, path_of_release


def release(registry: Registry, group: Group, origin: Origin) -> Release:
    """Release what stands in staging.

    Raises:
        ReleaseRefused: the gate is closed; the message is its verdict.
        ObjectMissing, ObjectDamaged: a member's file is not what the log promises.
    """
    verified: set[str] = set()

    def propose(state: State) -> Released | None:
        if _done_by(origin, group, state, Released):
            return None
        verdict = gate(group, state)
        if not verdict.is_open:
            raise ReleaseRefused(verdict.as_text())
        manifest = compose(group, state)
        digest = digest_of_release(manifest)
        if digest not in verified:
            verify_members(registry, manifest)
            verified.add(digest)
        ref = registry.objects.put(path_of_release(group.name, digest), canonical_json(manifest))
        members = {key: member["digest"] for key, member in manifest["members"].items()}
        return Released(group=group.name, digest=digest, manifest=ref, members=members)

    entry = registry.record(propose, origin)
    return _result(registry, group, entry, _done_by(origin, group, registry.state(), Released))


def rollback(registry: Registry, group: Group, origin: Origin, *, to: str | None = None) -> Release:
    """Put an earlier release back into production.

    Args:
        registry: where releases stand.
        group: whose production moves.
        origin: who, why, in which job.
        to: the first characters of a release of this group; by default the one that production replaced.

    Raises:
        RollbackRefused: there is no such release, more than one begins so, or it is in production already.
        ObjectMissing, ObjectDamaged: a file of that release is not what the log promises.
    """
    verified: set[str] = set()

    def propose(state: State) -> RolledBack | None:
        if _done_by(origin, group, state, RolledBack):
            return None
        production, target = _target(state, group.name, to)
        if target.digest not in verified:
            verify_members(registry, read_manifest(registry.objects, target.manifest))
            verified.add(target.digest)
        return RolledBack(
            group=group.name,
            digest=target.digest,
            manifest=target.manifest,
            members=dict(target.members),
            left=production.digest,
        )

    entry = registry.record(propose, origin)
    return _result(registry, group, entry, _done_by(origin, group, registry.state(), RolledBack))


def verify_members(registry: Registry, manifest: dict[str, Any]) -> None:
    """Read every file that a release manifest leads to, and compare its hash.

    Raises:
        ObjectMissing, ObjectDamaged: a file is not what the manifest promises.
    """
    for member in manifest["members"].values():
        ref = ObjectRef(**member["manifest"])
        for file in files_of(ref, read_manifest(registry.objects, ref)).values():
            registry.objects.get(file)


def _done_by(origin: Origin, group: Group, state: State, kind: type[Released | RolledBack]) -> Release | None:
    """What the job itself has done to the group before: its release, or its rollback."""
    for item in reversed(state.releases.get(group.name, ())):
        is_rollback = item.left is not None
        if origin.job and origin.job.is_same_as(item.recorded.origin.job) and is_rollback == (kind is RolledBack):
            return item
    return None


def _result(registry: Registry, group: Group, entry: Entry | None, done: Release | None) -> Release:
    """The release at the entry just written, else what the job had done before."""
    if entry is None and done is not None:
        return done
    past = registry.state().releases[group.name]
    return next(item for item in past if entry is not None and item.recorded.number == entry.number)


def _target(state: State, group: str, to: str | None) -> tuple[Release, Release]:
    """Production and the release to go back to."""
    past, undo = state.releases.get(group, ()), state.undo.get(group, ())
    if not past:
        raise RollbackRefused(f'Group "{group}" has no release yet, so there is nothing to roll back.')
    production = past[-1]
    if to is None:
        if len(undo) < 2:  # noqa: PLR2004  production itself and the one before it
            raise RollbackRefused(
                f'Group "{group}": release {production.short} is the first; there is none before it to go back to.'
            )
        return production, undo[-2]
    found = {item.digest: item for item in past if to and item.digest.startswith(to)}
    known = ", ".join(dict.fromkeys(item.short for item in past))
    if len(found) != 1:
        what = "is not one of its releases" if not found else "is the beginning of more than one release"
        raise RollbackRefused(f'Group "{group}": "{to}" {what}; they are {known}.')
    target = next(iter(found.values()))
    if target.digest == production.digest:
        raise RollbackRefused(
            f'Group "{group}": release {target.short} is in production already; its releases are {known}.'
        )
    return production, target
