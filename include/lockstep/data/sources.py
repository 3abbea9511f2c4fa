"""Files of rows: found by a pattern, in a folder or in a cloud.

Rules:
- A pattern that finds nothing is an error; it never stands for an empty dataset.
- A pattern means the same everywhere: `*` and `?` stop at a "/", `**` does not, and hidden files are not meant.
- Each file is recorded as it was found. A local one with its SHA-256; one in a cloud with the etag that the store keeps
  of it, since a hash would need a second download. Whoever reads it refuses bytes of another etag.
- The version (generation) of a file in a cloud is asked for before it is read, and not when it is looked at.
"""

import glob
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from lockstep.data.cloud import CloudFolder, Found, divide, is_cloud, version_of
from lockstep.errors import DataError
from lockstep.source import Source

DATA_VARIABLE: Final = "LOCKSTEP_DATA"
_FILE: Final = "file://"
_MAGIC: Final = frozenset("*?[")
_OF_TABLES: Final = ("rows", "as_of")
_AT_ONCE: Final = 16  # requests


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """One file, or one table, of a source: size in bytes, and its SHA-256 in hex or, in a cloud, the store's etag.

    Attributes:
        version: the store's number of this state of the object, where it keeps one (on Google Cloud: the generation);
            of a table, when it was last changed.
        rows: of a table, how many it has.
        as_of: of a table, the moment whose state is read; a later moment, before the next change, has the same rows.
    """

    path: str
    size: int
    sha256: str | None = None
    etag: str | None = None
    version: str | None = None
    rows: int | None = None
    as_of: str | None = None

    def as_json(self) -> dict[str, Any]:
        """What a manifest keeps; what tables alone have is left out of a file."""
        return {name: value for name, value in asdict(self).items() if value is not None or name not in _OF_TABLES}


def find_files(source: Source) -> list[InputFile]:
    """The files that the source's pattern matches now, in the order of their names.

    Raises:
        DataError: there is none, or one can't be read.
    """
    said = f'Source {source.format}("{source.pattern}"): '
    root = os.environ.get(DATA_VARIABLE) or "."
    if is_cloud(source.pattern) or (is_cloud(root) and not Path(_path_pattern(source.pattern)).is_absolute()):
        where, files = _in_cloud(root, source.pattern, said)
    else:
        where, files = _in_folder(root, source.pattern, said)
    if not files:
        raise DataError(
            f"{said}no file matches {where}. Relative patterns start at the folder in {DATA_VARIABLE}"
            f" ({os.environ.get(DATA_VARIABLE) or 'not set, so the working folder'}); put files there or correct the"
            " pattern."
        )
    return files


def with_versions(files: Iterable[InputFile]) -> tuple[InputFile, ...]:
    """The same files; those in a cloud with the version that its store keeps, which no listing of Google or S3 tells.

    Raises:
        DataError: a file is gone, or was replaced.
    """
    found = tuple(files)
    asked = [file for file in found if is_cloud(file.path) and file.version is None]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        told = dict(zip(asked, pool.map(lambda file: version_of(file.path, file.etag), asked), strict=True))
    return tuple(replace(file, version=told.get(file, file.version)) for file in found)


def _in_folder(root: str, pattern: str, said: str) -> tuple[str, list[InputFile]]:
    start, wanted = Path(_path_pattern(root)).absolute(), _path_pattern(pattern)
    found = (start / name for name in glob.glob(wanted, root_dir=start, recursive=True))  # noqa: PTH207  Path.glob refuses an absolute pattern
    paths = sorted(str(path) for path in found if path.is_file())
    try:
        return str(start / wanted), [_describe(path) for path in paths]
    except OSError as error:
        raise DataError(f"{said}{error}. Check the rights of the file.") from None


def _in_cloud(root: str, pattern: str, said: str) -> tuple[str, list[InputFile]]:
    """Look below the last folder whose name is no pattern; what LOCKSTEP_DATA says is never one."""
    if is_cloud(pattern):
        bucket, wanted = divide(pattern)
        literal: list[str] = []
    else:
        bucket, start = divide(root)
        literal, wanted = [part for part in start.split("/") if part], pattern
    parts = [part for part in wanted.split("/") if part]
    while len(parts) > 1 and not _MAGIC.intersection(parts[0]):
        literal.append(parts.pop(0))
    folder = CloudFolder.open(bucket, said)
    prefix = "/".join(literal)
    is_flat = len(parts) == 1 and parts[0] != "**"
    found = [
        InputFile(path=f"{bucket}/{item.key}", size=item.size, etag=item.etag, version=item.version)
        for item in _matching(folder.files(prefix, is_flat=is_flat), len(literal), parts)
    ]
    return "/".join([bucket, *literal, *parts]), sorted(found, key=lambda file: file.path)


def _matching(items: Iterator[Found], below: int, parts: list[str]) -> Iterator[Found]:
    return (item for item in items if _matches(item.key.split("/")[below:], parts))


def _matches(names: list[str], parts: list[str]) -> bool:
    """Whether the names of a path, from folder to file, are as the parts of a pattern say."""
    if not parts:
        return not names
    if parts[0] == "**":
        is_seen = not names or not names[0].startswith(".")
        return _matches(names, parts[1:]) or (bool(names) and is_seen and _matches(names[1:], parts))
    if not names or (names[0].startswith(".") and not parts[0].startswith(".")):
        return False
    return fnmatchcase(names[0], parts[0]) and _matches(names[1:], parts[1:])


def _path_pattern(pattern: str) -> str:
    if pattern.startswith(_FILE):
        return unquote(pattern.removeprefix(_FILE))  # not taken apart as an address: a "?" is part of the pattern
    if "://" in pattern and not is_cloud(pattern):
        raise DataError(
            f'Source "{pattern}": sources are read from folders and from file:///, gs://, s3:// and az:// addresses;'
            " copy the files there."
        )
    return pattern


def _describe(path: str) -> InputFile:
    with Path(path).open("rb") as file:
        return InputFile(
            path=path, size=os.fstat(file.fileno()).st_size, sha256=file_digest(file, "sha256").hexdigest()
        )
