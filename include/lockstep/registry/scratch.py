"""What a pipeline's workers leave for each other below `scratch/`: whole or not at all, but not meant to last.

Rules:
- Nothing is overwritten here either; a name stands for one content, so that a worker that is tried again finds its own.
- Nothing is synced to the disk: what a power failure takes was not promised to anybody. What is moved out of `scratch/`
  is synced by the move.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import obstore
from obstore.exceptions import AlreadyExistsError

from lockstep.errors import StoreUnusable
from lockstep.registry.objects import Objects, check_scratch

_NEAR: Final = 1 << 16  # bytes between two ranges that are cheaper to read than to ask for anew
_TRIES: Final = 3

Span = tuple[int, int]  # from byte, to before byte


class Scratch(Objects):
    """The objects of a registry, as its workers use them."""

    def leave(self, path: str, data: bytes) -> None:
        """Write an object below `scratch/`, unless one stands there: it is the same, from an earlier try.

        Raises:
            StoreUnusable: the store can't be written to.
        """
        check_scratch(path, "left")
        for left in reversed(range(_TRIES)):
            try:
                with self._reported(path), suppress(AlreadyExistsError):
                    obstore.put(self._store.handle, path, data, mode="create")
            except StoreUnusable:  # perhaps only the answer got lost: then it stands there at the next try
                if not left:
                    raise
            else:
                return

    def parts(self, path: str, spans: Sequence[Span]) -> list[bytes]:
        """The bytes of an object in some ranges, none of which is empty.

        Raises:
            ObjectMissing: nothing stands there.
        """
        starts, ends = zip(*spans, strict=True)
        with self._reported(path):
            found = obstore.get_ranges(self._store.handle, path, starts=starts, ends=ends, coalesce=_NEAR)
        return [bytes(part) for part in found]
