"""The log: the only truth of a registry, read forward and appended to.

Rules:
- Entry n is written once, by whoever wins the name `log/<n, twenty digits>.json`; numbers have no gap.
- What is proposed is proposed on the state just before its own entry: who is beaten to a number looks again.
- A write whose answer was lost is recognised by its nonce, and counts once.
- Who starts reads and checks the whole log. Who is up to date asks for the next number only: one request, however long
  the log is.
"""

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from lockstep.errors import LogDamaged, ObjectMissing, StoreUnusable
from lockstep.registry.canonical import sha256_of
from lockstep.registry.entries import Entry, Fact, Origin, decode, encode
from lockstep.registry.objects import Objects
from lockstep.registry.state import State, fold

FOLDER: Final = "log"
_ENTRY: Final = re.compile(rf"{FOLDER}/\d{{20}}\.json")
_READERS: Final = 16
_PARALLEL_FROM: Final = 32  # below that, starting threads costs more than it saves

Proposal = Callable[[State], Fact | None]


def _utc_now() -> datetime:
    return datetime.now(UTC)


def path_of(number: int) -> str:
    """The name of entry `number`."""
    return f"{FOLDER}/{number:020d}.json"


class Log:
    """One reader and writer of a log; it remembers the state that it has read. Safe to use from threads."""

    def __init__(
        self,
        objects: Objects,
        *,
        clock: Callable[[], datetime] = _utc_now,
        nonce: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._objects = objects
        self._clock = clock
        self._nonce = nonce
        self._state = State()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The time by the clock that stamps the entries."""
        return self._clock()

    def read(self) -> State:
        """The state at the end of the log.

        Raises:
            LogDamaged: a number is missing, or an entry can't be read.
            ProtocolTooNew: a newer Lockstep wrote to it.
        """
        with self._lock:
            if self._state.head == 0 or self._objects.exists(path_of(self._state.head + 1)):
                self._state = fold(self._state, self._entries_behind(self._state))
            return self._state

    def entries(self) -> Iterator[Entry]:
        """All entries, oldest first, read again from the store."""
        return (entry for entry, _ in self._entries_behind(State()))

    def append(self, propose: Proposal, origin: Origin) -> Entry | None:
        """Append the fact that `propose` makes of the newest state.

        `propose` runs again whenever another writer was faster. It raises to refuse, and returns None where nothing is
        to be written any more.

        Returns:
            the entry written, durable where the store can make it so; None if there was nothing to write.
        """
        nonce = self._nonce()
        while True:
            state = self.read()
            fact = propose(state)
            if fact is None:
                return None
            entry = Entry(
                number=state.head + 1,
                previous=state.head_hash,
                nonce=nonce,
                at=self._clock(),
                origin=origin,
                fact=fact,
            )
            data = encode(entry)
            if self._won(path_of(entry.number), data):
                self._remember(state, entry, data)
                return entry

    def _remember(self, state: State, entry: Entry, data: bytes) -> None:
        """Go on from the entry just written, as if it had been read, unless another thread has read on."""
        with self._lock:
            if self._state is state:
                read = decode(data, number=entry.number, previous=entry.previous)
                self._state = fold(state, [(read, sha256_of(data))])

    def _won(self, path: str, data: bytes) -> bool:
        """Write an entry; True if it stands, also when the store's own answer got lost on the way."""
        try:
            if self._objects.put_new(path, data):
                return True
        except StoreUnusable:
            if not self._stands(path, data):
                raise
            return True
        return self._stands(path, data)

    def _stands(self, path: str, data: bytes) -> bool:
        try:
            return self._objects.get_unverified(path) == data
        except ObjectMissing:
            return False

    def _entries_behind(self, state: State) -> Iterator[tuple[Entry, str]]:
        previous = state.head_hash
        for number, data in enumerate(self._contents(self._paths_behind(state.head)), start=state.head + 1):
            yield decode(data, number=number, previous=previous), (previous := sha256_of(data))

    def _paths_behind(self, head: int) -> list[str]:
        paths: list[str] = []
        for name in self._objects.names(FOLDER, after=path_of(head)):
            if not _ENTRY.fullmatch(name):
                continue
            # While others append, a folder may list an entry without the one before it: ask for that one by name.
            while (wanted := path_of(head + len(paths) + 1)) != name:
                if not self._objects.exists(wanted):
                    raise LogDamaged(
                        f'Log entry {head + len(paths) + 1} is missing: "{wanted}" is not there, but "{name}" is.'
                        " Nothing is written until it is restored from a copy."
                    )
                paths.append(wanted)
            paths.append(name)
        return paths

    def _contents(self, paths: list[str]) -> Iterator[bytes]:
        if len(paths) < _PARALLEL_FROM:
            yield from map(self._objects.get_unverified, paths)
            return
        with ThreadPoolExecutor(_READERS) as readers:
            yield from readers.map(self._objects.get_unverified, paths)
