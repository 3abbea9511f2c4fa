"""The log: the only truth of a registry, read forward and appended to.

Rules:
- Entry n is written once, by whoever wins the name `log/<n, twenty digits>.json`; numbers have no gap.
- What is proposed is proposed on the state just before its own entry: who is beaten to a number looks again.
- A write whose answer was lost is recognised by its nonce, and counts once.
- Who writes behind an entry has just read it again, and looked for one that stands where none should: behind a log that
  is damaged nothing is written.
- What the fold would refuse is not written.
- Who starts opens the newest checkpoint and reads what is behind it. Who is up to date asks for the next number only:
  one request, however long the log is.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from lockstep.errors import FactRefused, LogDamaged, ObjectMissing, RegistryError, StoreUnusable
from lockstep.registry import checkpoint
from lockstep.registry.canonical import sha256_of
from lockstep.registry.entries import FOLDER, Entry, Fact, Origin, decode, encode, path_of
from lockstep.registry.fold import Contradiction, behind, fold
from lockstep.registry.objects import Objects
from lockstep.registry.state import State

_ENTRY: Final = re.compile(rf"{FOLDER}/\d{{20}}\.json")
_BY_NAME: Final = 8  # new entries that are read one by one before the folder is listed
_logger: Final = logging.getLogger(__name__)

Proposal = Callable[[State], Fact | None]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Log:
    """One reader and writer of a log; it remembers the state that it has read. Safe to use from threads."""

    def __init__(
        self,
        objects: Objects,
        *,
        clock: Callable[[], datetime] = _utc_now,
        nonce: Callable[[], str] = lambda: uuid4().hex,
        checkpoint_every: int = checkpoint.PACKED,
    ) -> None:
        self._objects = objects
        self._clock = clock
        self._nonce = nonce
        self._every = checkpoint_every
        self._checkpointed = 0  # the newest entry that is known to be in a checkpoint
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
            if self._state.head == 0:
                opened, _ = checkpoint.open_newest(self._objects)
                self._checkpointed = opened.head
                self._state = fold(opened, self._entries_behind(opened))
            else:
                self._state = self._read_on(self._state)
            return self._state

    def _read_on(self, state: State) -> State:
        """The state at the end of the log: a few entries are asked for by name, for a listing may be long."""
        found: list[tuple[Entry, str]] = []
        head, previous = state.head, state.head_hash
        while len(found) < _BY_NAME:
            try:
                data = self._objects.get_unverified(path_of(head + 1))
            except ObjectMissing:
                return fold(state, found) if found else state
            found.append((decode(data, number=head + 1, previous=previous), sha256_of(data)))
            head, previous = head + 1, found[-1][1]
        state = fold(state, found)
        return fold(state, self._entries_behind(state))

    def write_checkpoint(self) -> None:
        """Write a checkpoint now, up to the end of the log, unless there is one."""
        state = self.read()
        if state.head:
            checkpoint.write(self._objects, state)
            self._checkpointed = state.head

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
                if state.head:
                    self._objects.sync(path_of(state.head))  # whoever wrote what there is may not have come to it
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
            try:
                read = decode(data, number=entry.number, previous=entry.previous)  # as others will read it
                after = behind(state, read, sha256_of(data))
            except Contradiction as wrong:
                raise FactRefused(
                    f"Log entry {entry.number} was not written: it {wrong}. Run what wanted it again."
                ) from None
            self.check_end(state)
            if self._won(path_of(entry.number), data):
                self._remember(state, after)
                self._keep_checkpoint(entry.number)
                return entry

    def check_end(self, state: State) -> None:
        """Look whether the log still ends where a state does, or goes on behind it.

        Raises:
            LogDamaged: its last entry is gone or changed, or there is one that should not be there yet.
        """
        last, beyond = path_of(state.head), path_of(state.head + 2)
        try:
            if state.head and sha256_of(self._objects.get_unverified(last)) != state.head_hash:
                raise LogDamaged(
                    f'Log entry {state.head} was changed since it was read: "{last}" has other bytes. Nothing is'
                    " written until it is restored from a copy."
                )
        except ObjectMissing:
            raise self._missing(state.head, path_of(state.head)) from None
        if self._objects.exists(beyond) and not self._objects.exists(path_of(state.head + 1)):
            raise self._missing(state.head + 1, beyond)

    def _remember(self, state: State, after: State) -> None:
        """Go on from the entry just written, as if it had been read, unless another thread has read on."""
        with self._lock:
            if self._state is state:
                self._state = after

    def _keep_checkpoint(self, number: int) -> None:
        """Write a checkpoint where it is this writer's turn, or nobody has for long. The entry stands in any case."""
        if number % self._every and number - self._checkpointed < 2 * self._every:
            return
        self._checkpointed = number  # also where it fails: the next turn comes
        try:
            self.write_checkpoint()
        except RegistryError as error:
            level = logging.ERROR if isinstance(error, LogDamaged) else logging.WARNING
            says = "Log entry %d stands, but a checkpoint could not be written, or not deleted: %s"
            _logger.log(level, says, number, error)

    def _won(self, path: str, data: bytes) -> bool:
        """Write an entry; True if it stands and lasts, also when the store's own answer got lost on the way."""
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
            stands = self._objects.get_unverified(path) == data
        except ObjectMissing:
            return False
        if stands:
            self._objects.sync(path)
        return stands

    def _entries_behind(self, state: State) -> Iterator[tuple[Entry, str]]:
        previous = state.head_hash
        for number, data in enumerate(self._objects.get_many(self._paths_behind(state.head)), start=state.head + 1):
            yield decode(data, number=number, previous=previous), (previous := sha256_of(data))

    def _paths_behind(self, head: int) -> list[str]:
        paths: list[str] = []
        for name in self._objects.names(FOLDER, after=path_of(head)):
            if not _ENTRY.fullmatch(name):
                continue
            # While others append, a folder may list an entry without the one before it: ask for that one by name.
            while (wanted := path_of(head + len(paths) + 1)) != name:
                if not self._objects.exists(wanted):
                    raise self._missing(head + len(paths) + 1, name)
                paths.append(wanted)
            paths.append(name)
        return paths

    @staticmethod
    def _missing(number: int, later: str) -> LogDamaged:
        seen = f', but "{later}" is' if later != path_of(number) else ""
        return LogDamaged(
            f'Log entry {number} is missing: "{path_of(number)}" is not there{seen}. Nothing is written until it is'
            " restored from a copy."
        )
