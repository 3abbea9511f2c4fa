"""Files in a cloud: listed, and read in ranges, each with the etag that is expected.

Rules:
- Stores are opened as the registry opens them, with the credentials that the environment gives.
- A file is never held whole: who reads it asks for a range, or gets the next block while the last one is looked at.
- Bytes of a file that was replaced meanwhile are refused.
"""

import io
import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Self

import obstore
from obstore.exceptions import BaseError

from lockstep.errors import DataError, LockstepError
from lockstep.registry.address import Address
from lockstep.registry.stores import Store, open_store

BLOCK: Final = 8 << 20  # bytes of one request where a file is read from its beginning to its end
_BUCKET: Final = re.compile(r"(?:(?:gs|s3|az|abfss?)://[^/]+|https://[^/]+\.core\.windows\.net/[^/]+)")


def is_cloud(path: str) -> bool:
    """Whether it is an address in a cloud."""
    return _BUCKET.match(path) is not None


def divide(path: str) -> tuple[str, str]:
    """Divide an address in a cloud into that of the bucket, and the key in it."""
    found = _BUCKET.match(path)
    bucket = found[0] if found else ""
    return bucket, path.removeprefix(bucket).strip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object of a bucket: `key` is its whole path there."""

    key: str
    size: int
    etag: str | None
    version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudFolder:
    """A bucket in which files are looked for; `said` begins each message."""

    store: Store
    said: str

    @classmethod
    def open(cls, bucket: str, said: str) -> Self:
        """Open a bucket by its address.

        Raises:
            DataError: the address or the environment can't be used.
        """
        try:
            return cls(store=_opened(os.getpid(), bucket, _surroundings()), said=said)
        except LockstepError as error:
            raise DataError(said + _without_registry(error)) from None

    def files(self, prefix: str, *, is_flat: bool) -> Iterator[Found]:
        """All objects below a folder, or only those directly in it.

        Raises:
            DataError: the store can't be read, or there is no such bucket.
        """
        try:
            if is_flat:
                listed = obstore.list_with_delimiter(self.store.handle, prefix or None)["objects"]
                yield from map(_found, listed)
                return
            for batch in obstore.list(self.store.handle, prefix or None):
                yield from map(_found, batch)
        except (BaseError, OSError) as error:
            raise self.problem(prefix, error) from None

    def get(self, key: str, start: int, end: int) -> tuple[Any, str | None]:
        """The bytes of a range, and the etag of the object that they are from.

        Raises:
            DataError: it can't be read, or is gone.
        """
        try:
            answer = obstore.get(self.store.handle, key, options={"range": (start, end)})
            return answer.bytes(), _bare(answer.meta["e_tag"])
        except FileNotFoundError:
            raise DataError(f"{self.said}it was there when the files were listed, and is gone. Try again.") from None
        except (BaseError, OSError) as error:
            raise self.problem(key, error) from None

    def version(self, key: str) -> tuple[str | None, str | None]:
        """The etag and the version of an object as it is now.

        Raises:
            DataError: it can't be asked for, or is gone.
        """
        try:
            answer = obstore.head(self.store.handle, key)
        except FileNotFoundError:
            raise DataError(f"{self.said}it was there when the files were listed, and is gone. Try again.") from None
        except (BaseError, OSError) as error:
            raise self.problem(key, error) from None
        return _bare(answer["e_tag"]), answer["version"]

    def problem(self, path: str, error: Exception) -> DataError:
        """What to tell somebody who met an error of obstore's."""
        return DataError(self.said + _without_registry(self.store.problem(path, error)))


def version_of(path: str, etag: str | None) -> str | None:
    """The version of a file, where its store keeps one (on Google Cloud: the generation).

    Raises:
        DataError: it can't be asked for, or has another etag than the one that was listed.
    """
    bucket, key = divide(path)
    now, version = CloudFolder.open(bucket, f"File {path}: ").version(key)
    if etag and now != etag:
        raise DataError(
            f"File {path} was replaced since it was listed (etag {now}, found with {etag}). Let nobody write there"
            " during a snapshot, and take it again."
        )
    return version


class CloudFile(io.RawIOBase):
    """One object, read like a file that can be sought; a next block is fetched while the last one is used."""

    def __init__(self, path: str, size: int, etag: str | None) -> None:
        super().__init__()
        bucket, self._key = divide(path)
        self._folder = CloudFolder.open(bucket, f"File {path}: ")
        self._path, self._size, self._etag = path, size, etag
        self._place = 0
        self._pool = ThreadPoolExecutor(1)
        self._ahead: tuple[int, int, Future[Any]] | None = None

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """Any range of it can be asked for."""
        return True

    def tell(self) -> int:
        """Tell the place of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = base + offset
        return self._place

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  as io has it
        """Fill a buffer from here on, as far as the file goes."""
        start, end = self._place, min(self._place + len(buffer), self._size)
        if start >= end:
            return 0
        data = self._take(start, end)
        buffer[: end - start] = memoryview(data)
        self._place = end
        if end - start >= BLOCK and end < self._size:  # whoever takes whole blocks reads on
            further = min(end + (end - start), self._size)
            self._ahead = (end, further, self._pool.submit(self._fetch, end, further))
        return end - start

    def close(self) -> None:
        """Let go."""
        self._pool.shutdown(cancel_futures=True)
        super().close()

    def _take(self, start: int, end: int) -> Any:  # noqa: ANN401  bytes of obstore's own kind
        ahead, self._ahead = self._ahead, None
        if ahead is not None and (ahead[0], ahead[1]) == (start, end):
            return ahead[2].result()
        return self._fetch(start, end)

    def _fetch(self, start: int, end: int) -> Any:  # noqa: ANN401  see above
        data, etag = self._folder.get(self._key, start, end)
        if (self._etag and etag != self._etag) or len(data) != end - start:
            raise DataError(
                f"File {self._path} was replaced while it was read (etag {etag}, found with {self._etag}). Let nobody"
                " write there during a snapshot, and take it again."
            )
        return data


def _found(entry: Any) -> Found:  # noqa: ANN401  a dictionary of obstore's
    return Found(key=entry["path"], size=entry["size"], etag=_bare(entry["e_tag"]), version=entry["version"])


def _bare(etag: str | None) -> str | None:
    """Without the quotes, which Azure gives in one answer and not in another."""
    return etag and etag.strip('"')


def _without_registry(error: LockstepError) -> str:
    """What is wrong with the store, told by the registry's words but for their beginning."""
    return re.sub(r'^Registry "[^"]*": ', "", str(error))


def _surroundings() -> int:
    """Another number where the environment says another way into a cloud."""
    names = ("AWS_", "AZURE_", "GOOGLE_", "STORAGE_EMULATOR_HOST")
    return hash(tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith(names))))


@lru_cache(maxsize=16)
def _opened(process: int, bucket: str, surroundings: int) -> Store:
    """One store for each bucket in each process: opening costs a connection."""
    del process, surroundings  # a handle does not survive a fork, nor another way in
    return open_store(Address.parse(bucket))
