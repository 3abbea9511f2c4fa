"""Release and rollback: all members of a group change in production at once, by one entry.

Rules:
- The gate is asked again on the state just before the release's own entry; what it said earlier counts for nothing.
- Where the group has conditions, the decision diff of exactly this set, in the place of exactly the release that is in
  production just before the entry, must be kept and keep them.
- Where an approval is needed, it must be of exactly this set, and newer than what is in production just before the
  entry.
- A rollback puts its group on hold, and is let through whether or not it is: to any earlier release whose files verify.
- Before a release or rollback is recorded, every file that it names has been read and its hash compared.
- The job that did it may ask again (a retried task): it gets what it did, whatever has happened since, and nothing is
  recorded twice. To release again is another job.
"""

from enum import StrEnum
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
from lockstep.registry.fold import release_at
from lockstep.registry.removal import removal
from lockstep.release.evidence import check_conditions
from lockstep.release.gate import weigh
from lockstep.release.manifest import digest_of_release, path_of_release
from lockstep.release.words import approval_of


class Needs(StrEnum):
    """What a release needs besides files that verify: an open gate, with its conditions; or that and an approval."""

    GATE = "gate"
    APPROVAL = "approval"


def release(registry: Registry, group: Group, origin: Origin, *, needs: Needs = Needs.GATE) -> Release:
    """Release what stands in staging.

    Raises:
        ReleaseRefused: the gate is closed, and the message is its verdict; a condition of the group does not hold; or
            nobody approved exactly this set.
        ObjectMissing, ObjectDamaged: a member's file is not what the log promises.
    """
    verified: set[str] = set()

    def propose(state: State) -> Released | None:
        if _done_by(origin, group, state, Released):
            return None
        verdict, manifest = weigh(group, state)
        if manifest is None or not verdict.is_open:
            raise ReleaseRefused(verdict.as_text())
        digest, production = digest_of_release(manifest), state.production(group.name)
        if needs is Needs.APPROVAL and approval_of(group, state, digest) is None:
            raise ReleaseRefused(_not_approved(group, production, digest))
        check_conditions(registry.objects, group, production.digest if production else None, digest)
        if digest not in verified:
            verify_members(registry, manifest)
            verified.add(digest)
        ref = registry.objects.put(path_of_release(group.name, digest), canonical_json(manifest))
        members = {key: member["digest"] for key, member in manifest["members"].items()}
        return Released(group=group.name, digest=digest, manifest=ref, members=members)

    entry = registry.record(propose, origin)
    return _result(registry, group, origin, entry, Released)


def _not_approved(group: Group, production: Release | None, digest: str) -> str:
    place = f"in the place of release {production.short}" if production else "as the first release"
    return (
        f'Group "{group.name}": set {digest[:12]} fits together, but nobody has approved it {place}. Look at what it'
        f" changes with `lockstep diff {group.name}`, then `lockstep approve {group.name} --set {digest[:12]}`."
    )


def rollback(registry: Registry, group: Group, origin: Origin, *, to: str | None = None) -> Release:
    """Put an earlier release back into production.

    Args:
        registry: where releases stand.
        group: whose production moves.
        origin: who, why, in which job.
        to: the first characters of a release of this group; by default the one that production replaced.

    Raises:
        RollbackRefused: there is no such release, more than one begins so, it is in production already, or files of it
            were removed.
        ObjectMissing, ObjectDamaged: a file of that release is not what the log promises.
    """
    verified: set[str] = set()

    def propose(state: State) -> RolledBack | None:
        if _done_by(origin, group, state, RolledBack):
            return None
        production, target = _target(state, group.name, to)
        _check_is_there(target, state)
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
    return _result(registry, group, origin, entry, RolledBack)


def _check_is_there(target: Release, state: State) -> None:
    for key, digest in target.members.items():
        kind, _, name = key.partition(":")
        gone = removal(state, (state.model_by_digest if kind == "model" else state.threshold_by_digest)(name, digest))
        if gone:
            raise RollbackRefused(f'Group "{target.group}": release {target.short} can\'t be put back. {gone}')


def verify_members(registry: Registry, manifest: dict[str, Any]) -> None:
    """Read every file that a release manifest leads to, and compare its hash.

    Raises:
        ObjectMissing, ObjectDamaged: a file is not what the manifest promises.
    """
    objects = registry.objects
    refs = [ObjectRef(**member["manifest"]) for member in manifest["members"].values()]
    folders = objects.many(lambda ref: files_of(ref, read_manifest(objects, ref)), refs)
    files = [file for folder in folders for file in folder.values()]
    for _ in objects.many(objects.check, files):
        continue


def _done_by(origin: Origin, group: Group, state: State, kind: type[Released | RolledBack]) -> Release | None:
    """What the job itself has done to the group before: its release, or its rollback."""
    past = state.releases.get(group.name)
    if past is None or origin.job is None:
        return None
    return next((item for item in past.by_job(origin.job) if (item.left is not None) == (kind is RolledBack)), None)


def _result(
    registry: Registry, group: Group, origin: Origin, entry: Entry | None, kind: type[Released | RolledBack]
) -> Release:
    """The release of the entry just written, else what the job had done before."""
    if entry is not None:
        return release_at(group.name, 0, entry)
    done = _done_by(origin, group, registry.state(), kind)
    if done is None:
        raise AssertionError("nothing is written only where the job has done it before")
    return done


def _target(state: State, group: str, to: str | None) -> tuple[Release, Release]:
    """Production and the release to go back to."""
    past, undo = state.releases.get(group), state.undo.get(group)
    if not past or not undo:
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
