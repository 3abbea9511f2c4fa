"""Checkpoints as `lockstep verify` sees them: what they should hold is told by the log's entries, one after the other.

Rules:
- A checkpoint whose bytes are not what its name says is a note: nobody believes it. One that would be believed, and
  says something else than the log, is an error.
- The log's end is compared with the checkpoints: they know of entries that are gone.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from lockstep.errors import LogDamaged, ObjectMissing
from lockstep.registry.canonical import digest_of
from lockstep.registry.checkpoint import index_of, why_not
from lockstep.registry.entries import Entry, path_of
from lockstep.registry.fold import fold
from lockstep.registry.objects import Objects
from lockstep.registry.past import Past
from lockstep.registry.state import State
from lockstep.upkeep.findings import Finding, Kind, error, note

_PACK: Final = re.compile(r"log/checkpoint/([0-9]{20})-([0-9]{20})-([0-9a-f]{64})\.jsonl")
_INDEX: Final = re.compile(r"log/checkpoint/([0-9]{20})-([0-9a-f]{64})\.json")
_AT_ONCE: Final = 1000  # entries folded together
_PASTS: Final = ("snapshots", "models", "thresholds", "promotions", "releases", "undo", "judgements", "holds")
_LIES: Final = "it does not say what the log says, but would be believed. Delete all below log/checkpoint/."


class Pack:
    """A pack, as the log says it should be."""

    def __init__(self, path: str, first: int, last: int, sha256: str) -> None:
        self.path, self.first, self.last, self.sha256 = path, first, last, sha256
        self._hashed, self._next = hashlib.sha256(), first

    def add(self, number: int, data: bytes) -> None:
        """Take an entry in, if it is the next one of the pack."""
        if number == self._next and number <= self.last:
            self._hashed.update(b"\n" + data if number > self.first else data)
            self._next += 1

    @property
    def lies(self) -> bool:
        """Whether its name promises other entries than the log has; no, where not all of them can be read."""
        return self._next > self.last and self._hashed.hexdigest() != self.sha256


class Checkpoints:
    """All files of checkpoints, given by their paths."""

    def __init__(self) -> None:
        self._packs: list[Pack] = []
        self._indexes: dict[str, int] = {}  # path → the entry that it ends with
        self._state: State | None = State()  # None: the log is damaged, so nobody knows what an index should say
        self._waiting: list[tuple[Entry, str]] = []
        self._says: dict[int, str] = {}  # entry → hash of what the index there should say

    def expect(self, path: str) -> None:
        """Take in the name of a file."""
        if pack := _PACK.fullmatch(path):
            self._packs.append(Pack(path, int(pack[1]), int(pack[2]), pack[3]))
        elif index := _INDEX.fullmatch(path):
            self._indexes[path] = int(index[1])

    def add(self, number: int, data: bytes, entry: Entry | None, sha256: str) -> None:
        """Take in the next entry of the log; None if it can't be read."""
        for pack in self._packs if entry is not None else ():
            pack.add(number, data)
        if self._state is None or not self._indexes:
            return
        if entry is None or number != self._state.head + len(self._waiting) + 1:
            self._state = None
            return
        self._waiting.append((entry, sha256))
        if number in self._indexes.values() or len(self._waiting) >= _AT_ONCE:
            self._fold(self._state, number)

    def _fold(self, state: State, number: int) -> None:
        try:
            self._state = _without_items(fold(state, self._waiting))
        except LogDamaged:
            self._state = None
            return
        self._waiting = []
        if number in self._indexes.values():
            self._says[number] = _said(index_of(self._state, ()))

    def findings(self, objects: Objects, head: int) -> Iterator[Finding]:
        """What is wrong with them, where the log ends with entry `head`."""
        for pack in self._packs:
            with suppress(ObjectMissing):  # a newer one has taken its place
                if objects.describe(pack.path).sha256 != pack.sha256:
                    yield _unused(pack.path, "does not hold the bytes that its name promises")
                elif pack.lies:
                    yield error(Kind.CHECKPOINT, pack.path, _LIES)
        for path, end in sorted(self._indexes.items()):
            with suppress(ObjectMissing):
                yield from self._index(objects, path, end, head)

    def _index(self, objects: Objects, path: str, end: int, head: int) -> Iterator[Finding]:
        is_whole = objects.describe(path).sha256 == path[-69:-5]
        if is_whole and end > head:
            says = f"the log ends with entry {head}, but a checkpoint with entry {end}."
            yield error(Kind.GAP, path_of(head + 1), f"{says} Restore what is missing from a copy.", head + 1)
            return
        wrong = why_not(objects, path)
        if wrong:
            yield _unused(path, wrong)
        elif self._says.get(end) not in (None, _said(json.loads(objects.get_unverified(path)))):
            yield error(Kind.CHECKPOINT, path, _LIES)


def _unused(path: str, wrong: str) -> Finding:
    return note(Kind.CHECKPOINT, path, f"it {wrong}. It is not used, and made again by itself.")


def _said(index: dict[str, Any]) -> str:
    return digest_of({name: value for name, value in index.items() if name != "packs"})


def _without_items(state: State) -> State:
    """The state with numbers of entries where versions were: what an index holds, and no more."""
    slim: dict[str, Any] = {
        kind: {name: Past(name, tuple(past.entries()), past.columns) for name, past in getattr(state, kind).items()}
        for kind in _PASTS
    }
    return replace(state, **slim)
