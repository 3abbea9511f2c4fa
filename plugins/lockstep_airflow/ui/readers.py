"""One reader for each registry in an API server, however many browsers are open.

Rules:
- A registry is looked at when somebody asks, and at most once in `PAUSE` seconds; who asks meanwhile gets what was
  seen.
- Nobody waits for long: where a registry does not answer within `PATIENCE`, what was known last is given, with a
  sentence that says so. The look goes on behind, and whoever comes later gets what it found. For one that is known to
  be away nobody waits.
- What was known is not given up for less: a folder that is not mounted any more looks like a registry that is new. So
  the end of the log is looked at from time to time, and a log that has become shorter is a sentence, too.
- A registry that can't be opened, or is not named at all, is a sentence with the next step, and no error.
"""

import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from airflow.sdk import Variable

from lockstep.errors import LockstepError, LogDamaged, StoreUnusable, UsageError
from lockstep.registry import REGISTRY_VARIABLE, Objects, Registry, State
from lockstep.registry.address import Address
from lockstep.switch import AIRFLOW_REGISTRY, registry_of
from lockstep_airflow.connection import access_to
from lockstep_airflow.ui.book import Book

PAUSE: Final = 0.5  # seconds between two looks
PATIENCE: Final = 1.5  # seconds that a request waits for a look
FIRST: Final = 4.0  # seconds that it waits for the first look at a registry: a long log is read in that
AWAY: Final = 5.0  # seconds between two looks at a registry that is away
_CHECK: Final = 5.0  # seconds after which the end of the log is looked at again
_NAMED_FOR: Final = 2.0  # seconds for which the name of the usual registry is kept
_AGAIN: Final = 30.0  # seconds after which one that is away is opened anew: its credentials may be others now
_logger: Final = logging.getLogger(__name__)
NOT_NAMED: Final = (
    f"No registry is named. Set {REGISTRY_VARIABLE} for Airflow's API server, scheduler, workers and triggerer, or the"
    f" Airflow variable {AIRFLOW_REGISTRY}, or give registry= to release_dags; for example file:///srv/lockstep."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of a registry: `book` is None where it was never read; `problem` is None as a rule."""

    address: str
    book: Book | None = None
    objects: Objects | None = None
    problem: str | None = None

    @property
    def shown(self) -> str:
        """The address as people may see it."""
        return shown(self.address) if self.address else ""

    @property
    def version(self) -> tuple[str, str, str | None]:
        """What changes whenever anything of it does."""
        return self.address, self.book.state.head_hash if self.book else "", self.problem


class Reader:
    """Of one address."""

    def __init__(self, address: str, pool: ThreadPoolExecutor) -> None:
        self.address = address
        self._pool = pool
        self._lock = threading.Lock()
        self._seen = Seen(address=address)
        self._registry: Registry | None = None
        self._opened = self._looked = self._began = self._checked = float("-inf")
        self._under_way: Future[None] | None = None
        self._is_away = False

    def look(self) -> Future[None] | None:
        """Begin to look, if it is time; the look that is worth to be waited for, if there is one."""
        with self._lock:
            now = time.monotonic()
            if self._under_way is not None and not self._under_way.done():
                return self._under_way if now - self._began < PATIENCE and self._seen.problem is None else None
            if now - self._looked < (AWAY if self._is_away else PAUSE):
                return None
            self._began = now
            self._under_way = self._pool.submit(self._look)
            return self._under_way if self._seen.problem is None else None

    def seen(self) -> Seen:
        """What is known now."""
        with self._lock:
            late = self._under_way is not None and not self._under_way.done()
            if late and self._seen.problem is None and time.monotonic() - self._began >= PATIENCE:
                said = "has not answered yet" if self._seen.book is None else "does not answer; this was known last"
                return Seen(
                    address=self.address,
                    book=self._seen.book,
                    objects=self._seen.objects,
                    problem=f"Registry {shown(self.address)} {said}.",
                )
            return self._seen

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever read."""
        return self._seen.book is None and self._seen.problem is None

    def _look(self) -> None:
        problem, state, is_away = None, None, False
        try:
            state = self._read()
        except LockstepError as error:
            problem, state = str(error), None
            is_away = isinstance(error, StoreUnusable)
            if not is_away:
                self._registry = None
        except Exception as error:  # whatever an SDK raises: the page says it, and the log has the rest
            _logger.exception("Registry %s can't be read", shown(self.address))
            why = f"({type(error).__name__}); the API server's log says more"
            problem = f"Registry {shown(self.address)} can't be read {why}."
            self._registry = None
        objects = self._registry.objects if self._registry else self._seen.objects
        book = self._seen.book if state is None else self._booked(state)
        with self._lock:
            self._seen = Seen(address=self.address, book=book, objects=objects, problem=problem)
            self._looked, self._is_away = time.monotonic(), is_away

    def _read(self) -> State:
        registry = self._open()
        state, known = registry.state(), self._seen.book
        if known is not None and state.head < known.state.head:
            raise LogDamaged(
                f"Registry {shown(self.address)} had {known.state.head} entries, and has {state.head} now: its folder"
                " is not mounted, or was replaced. This was known last. Bring it back; if it was made anew on purpose,"
                " restart Airflow's API server."
            )
        if time.monotonic() - self._checked > _CHECK:
            registry.log.check_end(state)
            self._checked = time.monotonic()
        return state

    def _open(self) -> Registry:
        now = time.monotonic()
        is_stale = self._seen.problem is not None and now - self._opened > _AGAIN
        if self._registry is None or is_stale:
            self._registry = Registry.open(self.address, access=access_to(self.address))
            self._opened = now
        return self._registry

    def _booked(self, state: State) -> Book:
        book = self._seen.book
        if book is None:
            return Book(state)
        return book if state.head_hash == book.state.head_hash else book.after(state)


def shown(address: str) -> str:
    """An address as people may see it: one that can't be read may hold a secret."""
    try:
        return Address.parse(address).uri
    except UsageError:
        return f"{address.partition('://')[0]}://…" if "://" in address else "…"


class Readers:
    """The readers of all registries. Safe to use from threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="lockstep-registry")
        self._readers: dict[str, Reader] = {}
        self._lock = threading.Lock()
        self._usual: tuple[float, str | None] = (float("-inf"), None)

    def look(self, given: Iterable[str | None]) -> dict[str | None, Seen]:
        """What is known of the registries that DAG files name; None is the usual one."""
        wanted = {one: one if one is not None else self._named() for one in given}
        readers = {address: self._reader(address) for address in set(wanted.values()) if address is not None}
        looks = {address: look for address, reader in readers.items() if (look := reader.look()) is not None}
        if looks:
            first = any(readers[address].is_new for address in looks)
            wait(looks.values(), timeout=FIRST if first else PATIENCE)
        nothing = Seen(address="", problem=NOT_NAMED)
        return {one: nothing if address is None else readers[address].seen() for one, address in wanted.items()}

    def _reader(self, address: str) -> Reader:
        with self._lock:
            if address not in self._readers:
                self._readers[address] = Reader(address, self._pool)
            return self._readers[address]

    def _named(self) -> str | None:
        """The usual registry: Airflow's variable, else the environment's."""
        with self._lock:
            at, named = self._usual
            if time.monotonic() - at < _NAMED_FOR:
                return named
        found = registry_of(variable=Variable.get(AIRFLOW_REGISTRY, default=None) or "")
        with self._lock:
            self._usual = time.monotonic(), found.address if found else None
            return self._usual[1]
