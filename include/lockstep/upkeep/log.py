"""The log as `lockstep verify` reads it: every entry's own file, never a checkpoint, and on behind whatever is damaged.

Rules:
- An entry that can't be read takes away what it says, and nothing else: the entries behind it are read and believed.
- Of each entry it is kept what it names and no more, so that memory grows with the number of versions alone.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from lockstep.errors import LogDamaged, ObjectMissing, ProtocolTooNew, StoreUnusable
from lockstep.registry.ahead import in_order
from lockstep.registry.canonical import sha256_of
from lockstep.registry.entries import (
    GENESIS,
    MOST_BYTES,
    Approved,
    Entry,
    Fact,
    Held,
    ModelTrained,
    Promoted,
    Rejected,
    Released,
    Removed,
    Resumed,
    RolledBack,
    SnapshotTaken,
    ThresholdTuned,
    decode,
    path_of,
)
from lockstep.registry.names import Place, folder_at, place_of
from lockstep.registry.objects import Listed, ObjectRef, Objects
from lockstep.upkeep.checkpoints import Checkpoints
from lockstep.upkeep.findings import Finding, Kind, error

_SHOWN: Final = 12  # characters of a digest
_ASKED: Final = 100  # numbers of a gap that are asked for one by one, in case that a listing was late


@dataclass(frozen=True, slots=True)
class Needed:
    """A file that the log promises: where, which entry needs it, and what for, as people write it."""

    ref: ObjectRef
    entry: int
    what: str


@dataclass(frozen=True, slots=True)
class NamedRelease:
    """A release manifest that the log promises, and the members that it must have."""

    needed: Needed
    group: str
    members: dict[str, str]


@dataclass(slots=True)
class Named:
    """All that the entries name.

    Attributes:
        head: the last number of the log.
        entries: how many of its entries can be read.
        folders: folder of a version → its manifest.
        removed: folder whose files were removed → the entry that says so.
        releases: path → release manifest.
        sources: path → source archive; its size is not known.
    """

    head: int = 0
    entries: int = 0
    folders: dict[str, Needed] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    releases: dict[str, NamedRelease] = field(default_factory=dict)
    sources: dict[str, Needed] = field(default_factory=dict)
    _made: dict[str, set[str]] = field(default_factory=dict)  # "model:churn" → digests
    _counted: dict[str, int] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether every entry can be read."""
        return self.entries == self.head

    def add(self, entry: Entry) -> Iterator[Finding]:
        """Keep what an entry names; what it names and nobody made is found."""
        self.entries += 1
        fact = entry.fact
        for kind, name, digest in _leads_to(fact):
            if digest not in self._made.get(f"{kind}:{name}", ()):
                yield error(
                    Kind.DANGLING,
                    path_of(entry.number),
                    f'log entry {entry.number} names {kind} "{name}" with digest {digest[:_SHOWN]}…, which no earlier'
                    " entry made. Restore the log from a copy.",
                    entry.number,
                )
        match fact:
            case SnapshotTaken() | ModelTrained() | ThresholdTuned():
                yield from self._add_version(fact, entry.number)
            case Released() | RolledBack():
                self._made.setdefault(f"release:{fact.group}", set()).add(fact.digest)
                what = f"release {fact.digest[:_SHOWN]} of {fact.group}"
                needed = Needed(fact.manifest, entry.number, what)
                yield from self._misplaced(needed, f"releases/{fact.group}/{fact.digest}.json")
                self.releases.setdefault(fact.manifest.path, NamedRelease(needed, fact.group, fact.members))
            case Removed():
                for folder in fact.folders:
                    self.removed.setdefault(folder, entry.number)
            case Promoted() | Approved() | Rejected() | Held() | Resumed():
                pass

    def _add_version(self, fact: SnapshotTaken | ModelTrained | ThresholdTuned, number: int) -> Iterator[Finding]:
        kind, name = _key_of(fact)
        self._made.setdefault(f"{kind}:{name}", set()).add(fact.digest)
        count = self._counted[f"{kind}:{name}"] = self._counted.get(f"{kind}:{name}", 0) + 1
        needed = Needed(fact.manifest, number, f"{name}@{count}")
        folder = f"{kind.replace('snapshot', 'dataset')}s/{name}/{fact.digest}"
        found = folder_at(fact.manifest.path) or ""
        same = found == folder or (isinstance(fact, SnapshotTaken) and found.startswith(f"{folder}."))
        yield from self._misplaced(needed, f"{found if same else folder}/manifest.json")
        if found in self.removed:
            yield error(
                Kind.DANGLING,
                fact.manifest.path,
                f"log entry {number} names a file in a folder that entry {self.removed[found]} removed. Restore the"
                " log from a copy.",
                number,
            )
        self.folders.setdefault(found or folder, needed)
        if isinstance(fact, ModelTrained):
            path = f"sources/{fact.source}.tar.gz"
            ref = ObjectRef(path=path, sha256=fact.source, size=-1)
            self.sources.setdefault(path, Needed(ref, number, needed.what))

    def _misplaced(self, needed: Needed, rule: str) -> Iterator[Finding]:
        if needed.ref.path != rule:
            yield error(
                Kind.MISNAMED,
                needed.ref.path,
                f'log entry {needed.entry} places {needed.what} here, and the rule is "{rule}". Restore the log from a'
                " copy.",
                needed.entry,
            )


@dataclass(slots=True)
class LogNames:
    """What stands below `log/`: numbers of entries, sizes of those that are too large, and checkpoints."""

    numbers: list[int] = field(default_factory=list)
    too_large: dict[int, int] = field(default_factory=dict)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)

    def add(self, item: Listed) -> None:
        """Take in one object, if it is of the log."""
        place = place_of(item.path)
        if place is Place.ENTRY:
            number = int(item.path[-25:-5])
            self.numbers.append(number)
            if item.size > MOST_BYTES:
                self.too_large[number] = item.size
        elif place is Place.CHECKPOINT:
            self.checkpoints.expect(item.path)


def read_log(objects: Objects, names: LogNames, named: Named) -> Iterator[Finding]:
    """Read every entry's file in order, keep in `named` what they name, and tell the checkpoints."""
    numbers, too_large = sorted(names.numbers), names.too_large
    if numbers and not numbers[0]:
        numbers.pop(0)
        yield error(Kind.MISNAMED, path_of(0), "entries are numbered from 1 on. Move it away.", 0)

    def read(number: int) -> bytes | str:
        if size := too_large.get(number):
            return f"Log entry {number} can't be read: it has {size} bytes; an entry has at most {MOST_BYTES}."
        try:
            return objects.get_unverified(path_of(number))
        except (ObjectMissing, StoreUnusable) as unread:
            return str(unread)

    previous: str | None = GENESIS
    for number, data in in_order(read, _numbers(objects, numbers)):
        if number > named.head + 1:
            yield _gap(named.head + 1, number - 1)
            previous = None
        named.head = number
        if isinstance(data, str):
            yield error(Kind.DAMAGED, path_of(number), data, number)
            previous = None
            continue
        entry, found = _decoded(data, number, previous)
        yield from found
        if entry is not None:
            yield from named.add(entry)
        sha256 = sha256_of(data)
        previous = sha256 if entry is not None else None
        names.checkpoints.add(number, data, entry if not found else None, sha256)


def read_on(objects: Objects, named: Named) -> None:
    """Keep what was appended since; entries that can't be read are left to the next look."""
    while objects.exists(path_of(named.head + 1)):
        entry, _ = _decoded(objects.get_unverified(path_of(named.head + 1)), named.head + 1, None)
        named.head += 1
        if entry is not None:
            list(named.add(entry))


def _numbers(objects: Objects, listed: list[int]) -> Iterator[int]:
    """The numbers that are there; a listing may be late, so that those missing in a small gap are asked for by name."""
    before = 0
    for number in listed:
        if number - before <= _ASKED:
            yield from (between for between in range(before + 1, number) if objects.exists(path_of(between)))
        yield number
        before = number


def _gap(first: int, last: int) -> Finding:
    which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
    says = f"log {which} missing, but entry {last + 1} is there. Nothing is written until restored from a copy."
    return error(Kind.GAP, path_of(first), says, first)


def _decoded(data: bytes, number: int, previous: str | None) -> tuple[Entry | None, list[Finding]]:
    """The entry, if it is whole by itself; and what is wrong with it, or with its place behind `previous`."""
    path, claimed = path_of(number), _claimed(data)
    try:
        entry = decode(data, number=number, previous=claimed)
    except ProtocolTooNew as newer:
        return None, [error(Kind.NEWER, path, str(newer), number)]
    except LogDamaged as damaged:
        kind = Kind.MISPLACED if _is_placed_elsewhere(data, number) else Kind.DAMAGED
        return None, [error(kind, path, str(damaged), number)]
    if previous is not None and claimed != previous:
        says = (
            f"log entry {number} does not follow entry {number - 1} as it is: it was written behind"
            f" {claimed[:_SHOWN]}…, and there is {previous[:_SHOWN]}…. One of them was changed: restore it."
        )
        return entry, [error(Kind.MISPLACED, path, says, number)]
    return entry, []


def _claimed(data: bytes) -> str:
    """The hash that the entry says is that of the one before it; zeros where it says none."""
    found = _field(data, "previous")
    return found if isinstance(found, str) else GENESIS


def _is_placed_elsewhere(data: bytes, number: int) -> bool:
    """Whether it is a whole entry of another number."""
    own = _field(data, "number")
    if not isinstance(own, int) or own == number:
        return False
    try:
        decode(data, number=own, previous=_claimed(data))
    except (LogDamaged, ProtocolTooNew):
        return False
    return True


def _field(data: bytes, name: str) -> object:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found.get(name) if isinstance(found, dict) else None


def _key_of(fact: SnapshotTaken | ModelTrained | ThresholdTuned) -> tuple[str, str]:
    match fact:
        case SnapshotTaken():
            return "snapshot", fact.dataset
        case ModelTrained():
            return "model", fact.model
        case ThresholdTuned():
            return "threshold", fact.threshold


def _leads_to(fact: Fact) -> list[tuple[str, str, str]]:
    """Kind, name and digest of each thing that must have been made before this fact."""
    match fact:
        case ModelTrained():
            upstream = [("model", name, digest) for name, digest in fact.upstream.items()]
            return [("snapshot", fact.dataset, fact.snapshot), *upstream]
        case ThresholdTuned():
            return [("model", fact.model, fact.model_digest)]
        case Promoted() | Released() | RolledBack() | Approved() | Rejected():
            members = [(*key.split(":", 1), digest) for key, digest in fact.members.items()]
            earlier = []
            if isinstance(fact, RolledBack):
                earlier = [("release", fact.group, digest) for digest in (fact.digest, fact.left)]
            return [*((kind, name, digest) for kind, name, digest in members), *earlier]
        case _:
            return []
