"""Objects in a store that is opened by URI: local disk, memory, Google Cloud Storage, S3 or Azure Blob Storage.

Rules:
- Nothing is overwritten: every write is put-if-absent. A second write of the same bytes is fine, of other bytes an
  error.
- A store that lets a second writer win is refused before anything but a probe is written to it.
- A write whose answer got lost is looked for before it is reported as failed, where its content tells it.
- A local write is on the disk (file and folder synced) before it is reported as done.
- A read that gives an `ObjectRef` returns the promised bytes or raises.
- Only `scratch/`, where a pipeline's workers leave unfinished parts, can be moved from.
- Deleted is only from `scratch/`, from versions that the log says are removed, checkpoints, specs of jobs, and old
  files of the decision log; never an entry of the log, a source, a package or a release.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from lockstep.errors import NotAllowed, ObjectDamaged, ObjectMissing, StoreUnusable, UsageError
from lockstep.registry.access import Access
from lockstep.registry.address import Address
from lockstep.registry.ahead import Item, Result, in_order
from lockstep.registry.canonical import sha256_of
from lockstep.registry.disk import Disk
from lockstep.registry.paths import check_path
from lockstep.registry.stores import Store, open_store

SCRATCH: Final = "scratch"
DELETABLE: Final = ("datasets", "decisions", "log/checkpoint", "models", "specs", "thresholds")  # by upkeep
_CHUNK: Final = 1 << 20  # bytes read at a time where only a hash is wanted
_RANGE: Final = 16 << 20  # and from a cloud, with a request each
_PROBE: Final = "probe"
_TRIES: Final = 4  # of a write whose fate is unknown
_given: Final[dict[str, Access]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRef:
    """Where an object stands, and the bytes that must be there: `sha256` in hex, `size` in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An object as a listing shows it: `size` in bytes, `modified` in UTC."""

    path: str
    size: int
    modified: datetime


class Objects:
    """The objects below one root. Safe to use from threads; open it again in another process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._disk = Disk(store.address.folder) if store.address.folder is not None else None
        self._probed = False
        self._reached = self._disk is not None
        self._copies: bool | None = None if store.copies else False
        self.uri = store.address.uri

    @classmethod
    def open(cls, uri: str, *, access: Access | None = None) -> Self:
        """Open a folder, `memory://name` (shared within this process), `gs://…`, `s3://…` or `az://…`; see the guide.

        `access` holds credentials and settings, where those of the environment are not the ones. In this process they
        also count for whoever opens the address later without them, as a pipeline's workers do.

        Raises:
            UsageError: no such kind of address.
            StoreUnusable: the folder can't be made, or the access does not fit the store.
        """
        address = Address.parse(uri)
        if access is not None:
            _given[address.uri] = access
        return cls(open_store(address, _given.get(address.uri)))

    def put(self, path: str, data: bytes) -> ObjectRef:
        """Write an object, or find it there already.

        Raises:
            ObjectDamaged: other bytes stand at that path.
        """
        check_path(path)
        self._probe()
        ref = ObjectRef(path=path, sha256=sha256_of(data), size=len(data))
        problem = StoreUnusable(f'Registry "{self.uri}": "{path}" is neither taken nor can it be written. Try again.')
        for _ in range(_TRIES):
            try:
                if self.put_new(path, data):
                    return ref
            except StoreUnusable as error:  # perhaps only the answer got lost
                problem = error
            try:
                present = sha256_of(self.get_unverified(path))
            except ObjectMissing:  # lost on the way, or beaten by a writer that then failed itself
                continue
            self.sync(path)  # whoever wrote it may have been killed before it was on the disk
            if present != ref.sha256:
                raise ObjectDamaged(
                    f'Object "{path}": other bytes stand there (SHA-256 {present[:12]}…, to write'
                    f" {ref.sha256[:12]}…); nothing is ever overwritten. Move the foreign file away."
                )
            return ref
        raise problem

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object if its path is free; False says that it is taken, by whatever bytes."""
        check_path(path)
        self._probe()
        return self._create(path, data)

    def sync(self, path: str) -> None:
        """Have an object that somebody wrote on the disk; in a cloud it is kept before anybody sees it."""
        if self._disk is not None:
            with self._reported(path):
                self._disk.sync(path)

    def move(self, source: str, target: str) -> None:
        """Move an object out of `scratch/` to a path named by content; where that stands already, drop the source.

        A local file is renamed. A store that copies only to free names does the copying; else the bytes pass through
        here, all at once. Doing it again after it broke off is fine.

        Raises:
            UsageError: the source is not below `scratch/`.
            ObjectMissing: nothing stands at the source, nor at the target.
        """
        check_scratch(source, "moved")
        check_path(target)
        problem = StoreUnusable(f'Registry "{self.uri}": "{target}" is neither taken nor can it be written. Try again.')
        for _ in range(_TRIES):
            try:
                self._bring(source, target)
            except StoreUnusable as error:  # perhaps only the answer got lost
                problem = error
            except ObjectMissing:  # moved before, by a try that was not told so
                if not self.exists(target):
                    raise
            if self.exists(target):
                self.sync(target)
                self._delete(source)
                return
        raise problem

    def get(self, ref: ObjectRef) -> bytes:
        """The bytes of an object.

        Raises:
            ObjectMissing: nothing stands there.
            ObjectDamaged: the bytes are not the promised ones.
        """
        data = self.get_unverified(ref.path)
        _check_promised(ref, sha256_of(data))
        return data

    def get_unverified(self, path: str) -> bytes:
        """The bytes that stand at a path, whatever they are.

        Raises:
            ObjectMissing: nothing stands there.
        """
        check_path(path)
        with self._reported(path):
            if self._disk is not None:
                return self._disk.read(path)  # a fraction of the time that the store takes
            return bytes(obstore.get(self._store.handle, path).bytes())

    def get_many(self, paths: Iterable[str]) -> Iterator[bytes]:
        """What stands at each path, in order.

        Raises:
            ObjectMissing: nothing stands at one of them.
        """
        return self.many(self.get_unverified, paths)

    def many(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """What `work` gives for each item, in order; where the store is far, much of it is on the way at once."""
        if self._disk is not None:  # threads would only take turns
            yield from map(work, items)
            return
        for _, result in in_order(work, items):
            yield result

    def describe(self, path: str) -> ObjectRef:
        """What stands at a path, as a reference to just these bytes.

        Raises:
            ObjectMissing: nothing stands there.
        """
        check_path(path)
        hashed, size = hashlib.sha256(), 0
        with self._reported(path):
            for chunk in self._chunks(path):
                hashed.update(chunk)
                size += len(chunk)
        return ObjectRef(path=path, sha256=hashed.hexdigest(), size=size)

    def check(self, ref: ObjectRef) -> None:
        """Read an object in pieces, whatever its size, and compare its hash.

        Raises:
            ObjectMissing: nothing stands there.
            ObjectDamaged: the bytes are not the promised ones.
        """
        _check_promised(ref, self.describe(ref.path).sha256)

    def exists(self, path: str) -> bool:
        """Whether an object stands at that path."""
        check_path(path)
        with self._reported(path):
            if self._disk is not None:
                return self._disk.exists(path)
        try:
            self._head(path)
        except ObjectMissing:
            return False
        return True

    def names(self, prefix: str, *, after: str | None = None) -> list[str]:
        """Paths below a prefix, sorted; with `after`, only those behind it (one request a thousand)."""
        with self._reported(prefix):
            batches = obstore.list(self._store.handle, prefix, offset=after)
            found = (entry["path"] for batch in batches for entry in batch)
            return sorted(path for path in found if path > (after or ""))  # some on Azure begin at the beginning

    def listing(self, prefix: str) -> Iterator[Listed]:
        """The objects below a prefix with size and time, as the store gives them: in no order, a few at a time."""
        with self._reported(prefix):
            for batch in obstore.list(self._store.handle, prefix):
                for entry in batch:
                    modified = entry["last_modified"].astimezone(UTC)
                    yield Listed(path=entry["path"], size=entry["size"], modified=modified)

    def delete_scratch(self, path: str) -> None:
        """Delete an object below `scratch/`; it may be gone already.

        Raises:
            UsageError: the path is not below `scratch/`.
            NotAllowed: the store lets these credentials delete nothing.
        """
        check_scratch(path, "deleted")
        self._delete(path)

    def delete(self, path: str) -> None:
        """Delete what is below one of `DELETABLE`, as a file of a version that the log says is removed; it may be gone.

        Raises:
            UsageError: the path is not below one of `DELETABLE`.
        """
        check_path(path)
        if not path.startswith(tuple(f"{folder}/" for folder in DELETABLE)):
            raise UsageError(f'Object "{path}" can\'t be deleted; only those below {", ".join(DELETABLE)} can.')
        self._delete(path)
        if self._disk is not None:
            with suppress(OSError):  # others still stand in that folder
                self._disk.drop_folder(path)

    def _bring(self, source: str, target: str) -> None:
        """Put what stands at the source at the target, unless that is taken."""
        if self._disk is not None:
            with self._reported(source):
                self._disk.move(source, target)
        elif self._copies_if_absent():
            with self._reported(source), suppress(AlreadyExistsError):
                obstore.copy(self._store.handle, source, target, overwrite=False)
        else:
            self.put_new(target, self.get_unverified(source))

    def _copies_if_absent(self) -> bool:
        """Whether the store refuses to copy onto what stands, tried by copying the probe onto itself."""
        if self._copies is None:
            self._probe()
            try:
                obstore.copy(self._store.handle, _PROBE, _PROBE, overwrite=False)
                self._copies = False
            except AlreadyExistsError:
                self._copies = True
            except (BaseError, OSError):  # it can't, or can't be reached, which the next request tells
                self._copies = False
        return self._copies

    def _delete(self, path: str) -> None:
        for left in reversed(range(_TRIES)):
            try:
                with suppress(ObjectMissing), self._reported(path):
                    obstore.delete(self._store.handle, path)
            except NotAllowed:
                raise
            except StoreUnusable:  # perhaps only the answer got lost
                if not self.exists(path):
                    return
                if not left:
                    raise
            else:
                return

    def _chunks(self, path: str) -> Iterator[bytes]:
        if self._disk is not None:
            yield from self._disk.chunks(path, _CHUNK)
            return
        size = self._head(path)
        for start in range(0, size, _RANGE):
            yield bytes(obstore.get_range(self._store.handle, path, start=start, length=min(_RANGE, size - start)))

    def _head(self, path: str) -> int:
        """The size of an object. A store answers alike where the object and where the bucket is missing."""
        try:
            with self._reported(path):
                return obstore.head(self._store.handle, path)["size"]
        except ObjectMissing:
            if not self._reached:
                with self._reported(""):
                    next(iter(obstore.list(self._store.handle, _PROBE)), None)
                self._reached = True
            raise

    def _probe(self) -> None:
        """Refuse a store that lets a second writer win, before anything is written to it."""
        problem: StoreUnusable | None = None
        won = 0
        for _ in range(_TRIES):
            if self._probed:
                return
            try:
                self._probed = not self._create(_PROBE, b"lockstep")
            except StoreUnusable as error:  # perhaps only the answer got lost
                problem = error
                with suppress(StoreUnusable):
                    if self.exists(_PROBE):
                        continue
                raise
            won += not self._probed  # the first write makes the probe where the registry is new
            if won == 2:  # noqa: PLR2004  the second that was let through
                raise StoreUnusable(
                    f'Registry "{self.uri}": the store lets a second writer overwrite an object (put-if-absent is'
                    " ignored), so releases would not be atomic. Use a store that keeps the condition."
                )
        if problem is not None and not self._probed:
            raise problem

    def _create(self, path: str, data: bytes) -> bool:
        with self._reported(path):
            if self._disk is not None:
                return self._disk.create(path, data)
            try:
                obstore.put(self._store.handle, path, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def _reported(self, path: str) -> "_Reported":
        return _Reported(self._store, path)


class _Reported:
    """Within it, what the system or the store reports becomes a sentence of ours. Lighter than a context manager."""

    __slots__ = ("_path", "_store")

    def __init__(self, store: Store, path: str) -> None:
        self._store, self._path = store, path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, (BaseError, OSError)):
            raise self._store.problem(self._path, error) from None


def _check_promised(ref: ObjectRef, found: str) -> None:
    if found != ref.sha256:
        raise ObjectDamaged(
            f'Object "{ref.path}": its SHA-256 is {found[:12]}…, but the log promises {ref.sha256[:12]}…. Restore it'
            " from a copy; until then every version that needs it is refused."
        )


def check_scratch(path: str, done: str) -> None:
    """Refuse what is not below `scratch/`.

    Raises:
        UsageError: it is not.
    """
    check_path(path)
    if not path.startswith(f"{SCRATCH}/"):
        raise UsageError(f'Object "{path}": only objects below {SCRATCH}/ can be {done}.')
