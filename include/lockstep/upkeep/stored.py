"""What stands in a store, whether it belongs there or not.

Rules:
- On local disk the folders themselves are walked: a store's listing leaves out staging files of killed writers and
  links that lead nowhere, and fails as a whole where one name is not text.
- Nothing is held but the names of one folder.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from lockstep.registry.objects import Listed, Objects

_STAGING: Final = re.compile(r"#[0-9]+$")  # of a writer that was killed before it linked its file to its name


class Oddity(StrEnum):
    """Why something on local disk is no object."""

    STAGING = "a staging file"
    EMPTY = "an empty folder"
    LOOP = "a link to a folder above it"
    NOWHERE = "a link that leads nowhere"
    SPECIAL = "neither a file nor a folder"
    NO_TEXT = "a name that is not text"
    CLOSED = "a folder that can't be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """Something that is no object, but stands among them on local disk."""

    path: str
    what: Oddity
    modified: datetime


def stored(objects: Objects, prefix: str = "") -> Iterator[Listed]:
    """The objects below a folder (blank: all of them), in no order."""
    folder = local_folder(objects)
    if folder is None:
        yield from objects.listing(prefix)
        return
    yield from (found for found in walk(folder, prefix) if isinstance(found, Listed))


def local_folder(objects: Objects) -> Path | None:
    """The root on local disk; None where the store is another."""
    scheme, _, path = urlsplit(objects.uri)[:3]
    return Path(unquote(path)) if scheme == "file" else None


def walk(root: Path, below: str = "", above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Listed | Odd]:
    """All that stands below a folder of local disk: what a store would list, and what it would not.

    What goes while it is looked at is left out. `above` tells the folders that lead there.
    """
    place = root / below
    try:
        status = place.stat()
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        yield _odd(below, Oddity.CLOSED, place.lstat())
        return
    here = above | {(status.st_dev, status.st_ino)}
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        with suppress(FileNotFoundError):
            if not entry.is_dir():
                yield _found(path, entry)
            elif entry.is_symlink() and _place_of(entry.stat()) in here:
                yield _odd(path, Oddity.LOOP, entry.stat(follow_symlinks=False))
            else:
                yield from walk(root, path, here)
    if below and not entries:
        yield _odd(below, Oddity.EMPTY, status)


def _found(path: str, entry: "os.DirEntry[str]") -> Listed | Odd:
    try:
        status = entry.stat()
    except OSError:
        return _odd(path, Oddity.NOWHERE, entry.stat(follow_symlinks=False))
    if not stat.S_ISREG(status.st_mode):
        return _odd(path, Oddity.SPECIAL, status)
    if not path.isprintable():
        return _odd(path, Oddity.NO_TEXT, status)
    if _STAGING.search(path):
        return _odd(path, Oddity.STAGING, status)
    return Listed(path=path, size=status.st_size, modified=_time_of(status))


def _place_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _time_of(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)


def _odd(path: str, what: Oddity, status: os.stat_result) -> Odd:
    text = path.encode("utf-8", "backslashreplace").decode()  # what is not text would break who prints it
    return Odd(path=text, what=what, modified=_time_of(status))
