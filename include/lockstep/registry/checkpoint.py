"""Checkpoints: what the log says up to some entry, in a form that opens fast.

Rules:
- A checkpoint is derived. It may be missing, deleted, damaged or late at any time: the log alone counts, and nothing
  but time is lost.
- It bears its own SHA-256 in its name and the hash of the entry that it ends with, and is believed only if both hold.
- It is an index, `<entry>-<sha256>.json`: names, digests and numbers of entries. The entries themselves stand in packs
  of a thousand, `<first>-<last>-<sha256>.jsonl`, byte for byte as in the log; one is read when somebody asks for a
  version in it. A pack that is gone or damaged is read from the log instead, and its chain of hashes checked.
- Whoever appends every thousandth entry writes the next one. An older one stays until two newer ones stand.
"""

import json
import re
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final

from lockstep.errors import ObjectDamaged, ObjectMissing
from lockstep.registry.canonical import canonical_json, sha256_of
from lockstep.registry.entries import GENESIS, Entry, decode, path_of
from lockstep.registry.fold import hold_at, judgement_at, release_at, staging_at, version_at
from lockstep.registry.objects import ObjectRef, Objects
from lockstep.registry.past import Past, Shelf
from lockstep.registry.state import State

FOLDER: Final = "log/checkpoint"
PROTOCOL: Final = 2
PACKED: Final = 1000  # entries in a pack
_KEPT: Final = 2  # indexes that stay when a newer one stands: a reader may be about to open one
_CACHED: Final = 32  # packs held in memory, about 0.7 MB each
_INDEX: Final = re.compile(rf"{FOLDER}/(\d{{20}})-([0-9a-f]{{64}})\.json")
_PASTS: Final = {  # the parts of a state that are pasts, and what makes an item of an entry
    "snapshots": version_at,
    "models": version_at,
    "thresholds": version_at,
    "promotions": staging_at,
    "releases": release_at,
    "undo": release_at,
    "judgements": judgement_at,
    "holds": hold_at,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """Entries `first` to `last` in one file; `last_hash` is the SHA-256 of the last of them."""

    first: int
    last: int
    last_hash: str
    file: ObjectRef


@dataclass(slots=True)
class Packs:
    """The packs of a checkpoint, and those of their entries that were asked for. Safe to use from threads."""

    objects: Objects
    all: tuple[Pack, ...] = ()
    _lines: dict[int, list[bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def entry(self, number: int) -> Entry:
        """An entry of the past, verified.

        Raises:
            LogDamaged, ObjectMissing: neither its pack nor the log itself has it whole.
        """
        place = bisect_left(self.all, number, key=lambda pack: pack.last)
        lines, pack = self._of(place), self.all[place]
        at = number - pack.first
        return decode(lines[at], number=number, previous=sha256_of(lines[at - 1]) if at else self._hash_before(place))

    def _of(self, place: int) -> list[bytes]:
        with self._lock:
            found = self._lines.get(place)
        if found is None:
            found = self._read(place)
            with self._lock:
                if len(self._lines) >= _CACHED:
                    self._lines.pop(next(iter(self._lines)))
                self._lines[place] = found
        return found

    def _read(self, place: int) -> list[bytes]:
        pack = self.all[place]
        try:
            return self.objects.get(pack.file).split(b"\n")
        except (ObjectMissing, ObjectDamaged):
            lines = list(read_chained(self.objects, pack.first, pack.last, self._hash_before(place)))
            if sha256_of(lines[-1]) != pack.last_hash:
                raise
            return lines

    def _hash_before(self, place: int) -> str:
        return self.all[place - 1].last_hash if place else GENESIS


def read_chained(objects: Objects, first: int, last: int, previous: str) -> Iterator[bytes]:
    """The bytes of the log's entries `first` to `last`, each checked to follow the one before it.

    Raises:
        LogDamaged, ObjectMissing: an entry is not what it should be, or is not there.
    """
    for number, data in enumerate(objects.get_many(map(path_of, range(first, last + 1))), start=first):
        decode(data, number=number, previous=previous)
        previous = sha256_of(data)
        yield data


def open_newest(objects: Objects) -> tuple[State, Packs]:
    """The state of the newest checkpoint that can be believed, and its packs; an empty state where there is none."""
    for path in reversed(_indexes(objects.names(FOLDER))):
        try:
            return _open(objects, path)
        except _NotBelieved:
            continue
    return State(), Packs(objects)


def why_not(objects: Objects, path: str) -> str:
    """Why the index at a path is not believed, as the end of a sentence; empty if it is."""
    try:
        _open(objects, path)
    except _NotBelieved as reason:
        return str(reason)
    return ""


def write(objects: Objects, state: State) -> None:
    """Write the checkpoint of a state, unless a newer one stands, and delete those that nobody needs any more.

    Packs of the newest checkpoint are taken over where they stand; all others are made of the log's own entries.

    Raises:
        LogDamaged: the log does not lead to this state.
    """
    there = objects.names(FOLDER)
    earlier, packs = open_newest(objects)
    if earlier.head >= state.head:
        return
    made = list(packs.all)
    for place, pack in enumerate(made):
        if pack.file.path not in there:
            made[place] = _pack(objects, pack.first, pack.last, made[place - 1].last_hash if place else GENESIS)
    while (last := made[-1].last if made else 0) < state.head:
        until = min(last + PACKED, state.head)
        made.append(_pack(objects, last + 1, until, made[-1].last_hash if made else GENESIS))
    data = canonical_json(index_of(state, made))
    path = f"{FOLDER}/{state.head:020d}-{sha256_of(data)}.json"
    _put(objects, path, data)
    for older in [name for name in _indexes(there) if name < path][:-_KEPT]:
        objects.delete(older)


def index_of(state: State, packs: Iterable[Pack]) -> dict[str, Any]:
    """What the index of a state holds, as JSON values."""
    pasts = {
        kind: {name: {"entry": past.entries(), **past.columns} for name, past in getattr(state, kind).items()}
        for kind in _PASTS
    }
    return {
        "protocol": PROTOCOL,
        "head": state.head,
        "head_hash": state.head_hash,
        "packs": [asdict(pack) for pack in packs],
        **pasts,
        "staging": dict(state.staging),
        "staged_once": {key: sorted(digests) for key, digests in state.staged_once.items()},
        "members": {group: dict(members) for group, members in state.members.items()},
        "abandoned": {group: sorted(digests) for group, digests in state.abandoned.items()},
        "removed": dict(state.removed),
    }


class _NotBelieved(Exception):
    """An index is not what it should be; the message is the end of a sentence."""


def _open(objects: Objects, path: str) -> tuple[State, Packs]:
    """The state that an index holds, and its packs."""
    name = _INDEX.fullmatch(path)
    try:
        data = objects.get_unverified(path)
    except ObjectMissing:
        raise _NotBelieved("is gone") from None
    if name is None or sha256_of(data) != name[2]:
        raise _NotBelieved("does not hold the bytes that its name promises")
    try:
        found = json.loads(data)
        if found["protocol"] != PROTOCOL:
            raise _NotBelieved(f"has protocol {found['protocol']}, and this Lockstep reads {PROTOCOL}")
        files = ({**pack, "file": ObjectRef(**pack["file"])} for pack in found["packs"])
        packs = Packs(objects, tuple(Pack(**pack) for pack in files))
        state = _state_of(found, packs.entry)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _NotBelieved(f"does not have the form of a checkpoint ({type(error).__name__}: {error})") from None
    try:
        last = objects.get_unverified(path_of(state.head))
    except ObjectMissing:
        raise _NotBelieved(f"ends with entry {state.head}, which is not in the log") from None
    if sha256_of(last) != state.head_hash:
        raise _NotBelieved(f"does not end with entry {state.head} of the log")
    return state, packs


def _state_of(found: Mapping[str, Any], read: Callable[[int], Entry]) -> State:
    def past(kind: str, name: str, columns: Mapping[str, Any]) -> Past[Any]:
        searched = {column: tuple(values) for column, values in columns.items() if column != "entry"}
        return Past(name, tuple(columns["entry"]), searched, Shelf(read=read, make=_PASTS[kind]))

    return State(
        head=found["head"],
        head_hash=found["head_hash"],
        **{
            kind: MappingProxyType({name: past(kind, name, columns) for name, columns in found[kind].items()})
            for kind in _PASTS
        },
        staging=MappingProxyType(found["staging"]),
        staged_once=MappingProxyType({key: frozenset(digests) for key, digests in found["staged_once"].items()}),
        members=MappingProxyType({group: MappingProxyType(members) for group, members in found["members"].items()}),
        abandoned=MappingProxyType({group: frozenset(digests) for group, digests in found["abandoned"].items()}),
        removed=MappingProxyType(found["removed"]),
    )


def _indexes(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if _INDEX.fullmatch(name))


def _pack(objects: Objects, first: int, last: int, previous: str) -> Pack:
    lines = list(read_chained(objects, first, last, previous))
    data = b"\n".join(lines)
    path = f"{FOLDER}/{first:020d}-{last:020d}-{sha256_of(data)}.jsonl"
    return Pack(first=first, last=last, last_hash=sha256_of(lines[-1]), file=_put(objects, path, data))


def _put(objects: Objects, path: str, data: bytes) -> ObjectRef:
    """Write a file that is named by its own bytes; where others stand in its place, they are damage."""
    try:
        return objects.put(path, data)
    except ObjectDamaged:
        objects.delete(path)
        return objects.put(path, data)
