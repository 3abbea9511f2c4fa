"""Objects in a store that is opened by URI: local disk or memory.

Rules:
- Nothing is overwritten: every write is put-if-absent. A second write of the same bytes is fine, of other bytes an
  error.
- A local write is on the disk (file and folder synced) before it is reported as done.
- A read that gives an `ObjectRef` returns the promised bytes or raises.
- Only `scratch/`, where a pipeline's workers leave unfinished parts, can be moved from and deleted.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, MemoryStore

from lockstep.errors import ObjectDamaged, ObjectMissing, StoreUnusable, UsageError
from lockstep.registry.canonical import sha256_of

SCRATCH: Final = "scratch"
_PROBE: Final = "probe"
_memory_stores: dict[str, MemoryStore] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRef:
    """Where an object stands, and the bytes that must be there: `sha256` in hex, `size` in bytes."""

    path: str
    sha256: str
    size: int


class Objects:
    """The objects below one root. Safe to use from threads; open it again in another process."""

    def __init__(self, store: LocalStore | MemoryStore, *, uri: str, folder: Path | None) -> None:
        self._store = store
        self._folder = folder
        self._probed = False
        self._lasting: set[Path] = set()  # folders whose own names are on the disk
        self.uri = uri

    @classmethod
    def open(cls, uri: str) -> Self:
        """Open `file:///folder`, a plain path, or `memory://name` (shared within this process).

        Raises:
            UsageError: no such kind of store.
            StoreUnusable: the folder can't be made.
        """
        scheme, netloc, path = urlsplit(uri)[:3]
        if scheme == "memory":
            return cls(_memory_stores.setdefault(netloc, MemoryStore()), uri=uri, folder=None)
        if scheme not in ("", "file") or (scheme == "file" and netloc):
            raise UsageError(
                f'Registry "{uri}": this kind of address is unknown; allowed are a folder, file:///folder and'
                " memory://name."
            )
        folder = Path(unquote(path) if scheme else uri).expanduser().absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            store = LocalStore(folder)
        except (OSError, BaseError) as error:
            raise StoreUnusable(
                f'Registry "{uri}": the folder can\'t be used: {error}. Check its path and rights.'
            ) from None
        return cls(store, uri=folder.as_uri(), folder=folder)

    def put(self, path: str, data: bytes) -> ObjectRef:
        """Write an object, or find it there already.

        Raises:
            ObjectDamaged: other bytes stand at that path.
        """
        ref = ObjectRef(path=path, sha256=sha256_of(data), size=len(data))
        if not self.put_new(path, data):
            self._sync(path)  # whoever wrote it may have been killed before it was on the disk
            present = sha256_of(self.get_unverified(path))
            if present != ref.sha256:
                raise ObjectDamaged(
                    f'Object "{path}": other bytes stand there (SHA-256 {present[:12]}…, to write {ref.sha256[:12]}…);'
                    " nothing is ever overwritten. Move the foreign file away."
                )
        return ref

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object if its path is free; False says that it is taken, by whatever bytes."""
        _check_path(path)
        self._probe()
        with self._reported(path):
            try:
                obstore.put(self._store, path, data, mode="create")
            except AlreadyExistsError:
                return False
        self._sync(path)
        return True

    def move(self, source: str, target: str) -> None:
        """Move an object out of `scratch/` to a path named by content; where that stands already, drop the source.

        Raises:
            UsageError: the source is not below `scratch/`.
            ObjectMissing: nothing stands at the source.
        """
        _check_scratch(source, "moved")
        _check_path(target)
        with self._reported(source):
            try:
                obstore.rename(self._store, source, target, overwrite=False)
            except AlreadyExistsError:
                self.delete_scratch(source)
        self._sync(target)

    def get(self, ref: ObjectRef) -> bytes:
        """The bytes of an object.

        Raises:
            ObjectMissing: nothing stands there.
            ObjectDamaged: the bytes are not the promised ones.
        """
        data = self.get_unverified(ref.path)
        found = sha256_of(data)
        if found != ref.sha256:
            raise ObjectDamaged(
                f'Object "{ref.path}": its SHA-256 is {found[:12]}…, but the log promises {ref.sha256[:12]}…. Restore'
                " it from a copy; until then every version that needs it is refused."
            )
        return data

    def get_unverified(self, path: str) -> bytes:
        """The bytes that stand at a path, whatever they are.

        Raises:
            ObjectMissing: nothing stands there.
        """
        _check_path(path)
        with self._reported(path):
            if self._folder is not None:
                return (self._folder / path).read_bytes()  # a quarter of the time that the store takes
            return bytes(obstore.get(self._store, path).bytes())

    def describe(self, path: str) -> ObjectRef:
        """What stands at a path, as a reference to just these bytes.

        Raises:
            ObjectMissing: nothing stands there.
        """
        data = self.get_unverified(path)
        return ObjectRef(path=path, sha256=sha256_of(data), size=len(data))

    def exists(self, path: str) -> bool:
        """Whether an object stands at that path."""
        _check_path(path)
        with self._reported(path):
            if self._folder is not None:
                return (self._folder / path).is_file()
            try:
                obstore.head(self._store, path)
            except FileNotFoundError:
                return False
        return True

    def names(self, prefix: str, *, after: str | None = None) -> list[str]:
        """Paths below a prefix, sorted; with `after`, only those behind it (one request)."""
        with self._reported(prefix):
            batches = obstore.list(self._store, prefix, offset=after)
            return sorted(entry["path"] for batch in batches for entry in batch)

    def delete_scratch(self, path: str) -> None:
        """Delete an object below `scratch/`; it may be gone already.

        Raises:
            UsageError: the path is not below `scratch/`.
        """
        _check_scratch(path, "deleted")
        with self._reported(path):
            try:
                obstore.delete(self._store, path)
            except FileNotFoundError:
                return

    def _probe(self) -> None:
        """Refuse a store that lets a second writer win, before anything is written to it."""
        if self._probed:
            return
        with self._reported(_PROBE):
            for _ in range(2):  # the first write makes the probe where the registry is new
                try:
                    obstore.put(self._store, _PROBE, b"lockstep", mode="create")
                except AlreadyExistsError:
                    self._probed = True
                    return
        raise StoreUnusable(
            f'Registry "{self.uri}": the store lets a second writer overwrite an object (put-if-absent is ignored), so'
            " releases would not be atomic. Use a store that keeps the condition."
        )

    def _sync(self, path: str) -> None:
        if self._folder is None:
            return
        target = self._folder / path
        _fsync(target)
        for folder in target.parents:
            _fsync(folder)
            if folder == self._folder or folder in self._lasting:
                break
            self._lasting.add(folder)

    @contextmanager
    def _reported(self, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise ObjectMissing(f'Object "{path}" is not in registry "{self.uri}". Restore it from a copy.') from None
        except (BaseError, OSError) as error:
            raise StoreUnusable(f'Registry "{self.uri}": "{path}" can\'t be read or written: {error}') from error


def _fsync(place: Path) -> None:
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_path(path: str) -> None:
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(char in path for char in "\\#") or not path.isprintable():
        raise UsageError(
            f'Object path {path!r} is not allowed: names are separated by one "/" and hold no "..", "\\", "#" or'
            " control character."
        )


def _check_scratch(path: str, done: str) -> None:
    _check_path(path)
    if not path.startswith(f"{SCRATCH}/"):
        raise UsageError(f'Object "{path}": only objects below {SCRATCH}/ can be {done}.')
