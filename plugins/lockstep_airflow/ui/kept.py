"""Values that are kept while there is room: by keys that say all that they depend on.

Rules:
- What is kept has a limit; what was asked for longest ago goes first.
- A value is made once, however many threads ask for it at the same time.
- Safe to use from threads.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

T = TypeVar("T")
_LOCKS: Final = 64


class Kept(Generic[T]):
    """At most `most` values, or values of at most that size together, as `size_of` says."""

    def __init__(self, most: int, size_of: Callable[[T], int] = lambda _: 1) -> None:
        self._most, self._size_of, self._size = most, size_of, 0
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()
        self._making = [threading.Lock() for _ in range(_LOCKS)]

    def get(self, key: Hashable) -> T | None:
        """What is kept under a key."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: T) -> None:
        """Keep a value; one that alone is too large is not kept."""
        size = self._size_of(value)
        if size > self._most:
            return
        with self._lock:
            if key in self._values:
                self._size -= self._size_of(self._values.pop(key))
            self._values[key] = value
            self._size += size
            while self._size > self._most:
                self._size -= self._size_of(self._values.popitem(last=False)[1])

    def made(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is kept under a key, or what `make` gives, which is kept then."""
        found = self.get(key)
        if found is None:
            with self._making[hash(key) % _LOCKS]:
                found = self.get(key)
                if found is None:
                    found = make()
                    self.put(key, found)
        return found
