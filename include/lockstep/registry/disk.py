"""Files on a local disk: created once, and on the disk before anybody can see them.

Rules:
- A file is written under a name of its own (`<name>#<number>`), synced, and linked to its name. The link fails where
  the name is taken: of racing writers one wins. Whoever sees the name sees all of its bytes, also after the power has
  failed; a killed writer leaves at most a file that is no object.
- Before a write is reported as done, the folder that holds the name is synced, and so is each folder that was made.
"""

import os
import secrets
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Final

_TRIES: Final = 20  # an empty folder may be removed between its making and its first file, again and again
_NUMBERS: Final = 10**18  # a process's own number would not do: in containers that share a disk it is 1 in each


class Disk:
    """The files below one folder; `OSError` as the system says it. Safe to use from threads and several processes."""

    def __init__(self, folder: Path) -> None:
        self._root = os.fspath(folder)
        self._lasting: set[str] = set()  # folders whose own names are on the disk

    def create(self, path: str, data: bytes) -> bool:
        """Create a file, unless its name is taken."""
        target = self._at(path)
        if os.path.lexists(target):
            return False
        staged = _stage(target, data)
        try:
            os.link(staged, target)
        except FileExistsError:
            return False
        finally:
            os.unlink(staged)
        self._sync_names(target)
        return True

    def move(self, source: str, target: str) -> bool:
        """Give a file another name, unless that is taken; the bytes stay where they are."""
        found, wanted = self._at(source), self._at(target)
        _make(os.path.dirname(wanted))
        try:
            os.link(found, wanted)
        except FileExistsError:
            return False
        self.sync(target)
        os.unlink(found)
        return True

    def sync(self, path: str) -> None:
        """Have a file that somebody wrote, and its name, on the disk."""
        target = self._at(path)
        _sync(target)
        self._sync_names(target)

    def read(self, path: str) -> bytes:
        """All bytes of a file."""
        with FileIO(self._at(path)) as file:
            return file.readall()

    def chunks(self, path: str, most: int) -> Iterator[bytes]:
        """The bytes of a file, at most so many at a time."""
        with FileIO(self._at(path)) as file:
            step = min(most, os.fstat(file.fileno()).st_size + 1)
            while chunk := file.read(step):
                yield chunk

    def exists(self, path: str) -> bool:
        """Whether there is a file of that name."""
        return os.path.isfile(self._at(path))

    def drop_folder(self, path: str) -> None:
        """Remove the folder that a file stood in, if nothing else stands there."""
        os.rmdir(os.path.dirname(self._at(path)))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _sync_names(self, target: str) -> None:
        """Sync the folder of a name, and those above it whose names may be new, that of the root among them."""
        synced: list[str] = []
        folder, above = os.path.dirname(target), ""
        while folder != above:
            try:
                _sync(folder)
            except OSError:
                if len(folder) >= len(self._root):  # above the root it is done where it is allowed
                    raise
            if folder in self._lasting:
                break
            synced.append(folder)
            folder, above = os.path.dirname(folder), folder
        self._lasting.update(synced)


def _stage(target: str, data: bytes) -> str:
    """A synced file with the bytes beside the target, under a name that nobody else uses."""
    for left in reversed(range(_TRIES)):
        staged = f"{target}#{secrets.randbelow(_NUMBERS)}"
        try:
            file = FileIO(staged, "xb")
        except (FileNotFoundError, FileExistsError):  # the folder is not there, or another has that number
            if not left:
                raise
            _make(os.path.dirname(target))
            continue
        try:
            with file:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
        except BaseException:
            os.unlink(staged)
            raise
        return staged
    raise AssertionError("unreachable")


def _make(folder: str) -> None:
    """Make a folder and those above it; one that somebody removes meanwhile is made again."""
    for left in reversed(range(_TRIES)):
        try:
            os.makedirs(folder, exist_ok=True)
        except (FileExistsError, FileNotFoundError):  # it, or one above it, was there and is gone
            if not left or os.path.isfile(folder):
                raise
            continue
        return


def _sync(place: str) -> None:
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
