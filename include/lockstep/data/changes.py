"""What a source holds now, held against what a snapshot was made of.

Rules:
- The comparison is pure: it knows lists of files and what was hashed before; it opens none.
- A file is the same if its bytes are: by SHA-256 where that is known, else by the store's etag and version. Times of
  files are not asked.
- Each file that is not as it was gets one kind and one sentence; of several kinds, the one that says most.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from lockstep.data.sources import InputFile

_MD5: Final = 32  # hex digits: an etag of that form hashes the content, on Google Cloud and on S3
_SHOWN: Final = 20


class Kind(StrEnum):
    """How a file differs from what the snapshot was made of."""

    NEW = "new"
    LATE = "late"
    DUPLICATED = "duplicated"
    CHANGED = "changed"
    GROWN = "grown"
    SHRUNK = "shrunk"
    GONE = "gone"


ADDED: Final = frozenset({Kind.NEW, Kind.LATE, Kind.DUPLICATED})  # nothing that was known is touched


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file that is not as it was; `says` is a sentence for people."""

    kind: Kind
    path: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs, in the order of paths, and how many files are as they were."""

    changes: tuple[Change, ...]
    unchanged: int

    @property
    def is_same(self) -> bool:
        """Whether the source holds exactly what the snapshot was made of."""
        return not self.changes

    @property
    def only_grew(self) -> bool:
        """Whether there are further files, and all that were known are as they were."""
        return bool(self.changes) and self.kinds <= ADDED

    @property
    def kinds(self) -> frozenset[Kind]:
        """Every kind of change there is."""
        return frozenset(change.kind for change in self.changes)

    def sentences(self, most: int = _SHOWN) -> list[str]:
        """A sentence for each change, the first so many of them, and one for the rest."""
        if self.is_same:
            return [f"Nothing changed: {_files(self.unchanged)} as before."]
        said = [change.says for change in self.changes[:most]]
        rest = len(self.changes) - len(said)
        return [
            *said,
            *([f"And {_files(rest)} more."] if rest else []),
            f"{_files(self.unchanged)} as before.",
        ]


def files_in(manifest: Mapping[str, Any]) -> list[InputFile]:
    """The files that a snapshot was made of, as its manifest names them."""
    return [InputFile(**file) for file in manifest["source"]["files"]]


def longer_files(before: Iterable[InputFile], now: Iterable[InputFile]) -> dict[str, int]:
    """Path → how many of its first bytes to hash, of files that may have grown; only those of which that can be told.

    That takes the old SHA-256, which is kept of local files alone.
    """
    known = {file.path: file for file in before}
    return {
        file.path: old.size
        for file in now
        if (old := known.get(file.path)) and old.sha256 and file.sha256 and file.size > old.size
    }


def compare(
    before: Iterable[InputFile], now: Iterable[InputFile], beginnings: Mapping[str, str] | None = None
) -> Comparison:
    """Say of each file whether it is as it was, and if not, what happened to it.

    Args:
        before: what a snapshot was made of.
        now: what the source holds.
        beginnings: path → SHA-256 of its first bytes, for the files of `longer_files`.
    """
    old, new = ({file.path: file for file in files} for files in (before, now))
    contents = {mark: path for path, file in reversed(old.items()) if (mark := _content(file))}
    newest = max(old, default="")
    changes, unchanged = list[Change](), 0
    for path in sorted(old.keys() | new.keys()):
        if path not in new:
            changes.append(Change(kind=Kind.GONE, path=path, says=f"{path} is gone; it had {old[path].size} bytes."))
        elif path not in old:
            mark = _content(new[path])
            changes.append(_added(new[path], contents.get(mark) if mark else None, newest, new))
            if mark:
                contents.setdefault(mark, path)  # of two new files with the same bytes, the second is the duplicate
        elif _is_same(old[path], new[path]):
            unchanged += 1
        else:
            changes.append(_touched(old[path], new[path], (beginnings or {}).get(path)))
    return Comparison(changes=tuple(changes), unchanged=unchanged)


def _content(file: InputFile) -> tuple[int, str] | None:
    """What two files share if their bytes are the same; None where that can't be told, or they are empty."""
    etag = (file.etag or "").strip('"').lower()
    is_hash = file.rows is None and len(etag) == _MD5 and all(digit in "0123456789abcdef" for digit in etag)
    mark = file.sha256 or (etag if is_hash else None)
    return (file.size, mark) if mark and file.size else None


def _is_same(old: InputFile, new: InputFile) -> bool:
    if old.sha256 or new.sha256:
        return old.sha256 == new.sha256
    is_told = old.version is not None and new.version is not None  # a listing of Google or S3 does not tell it
    if is_told and old.version != new.version:
        return False
    return (old.size, old.etag, old.rows) == (new.size, new.etag, new.rows)


def _added(file: InputFile, twin: str | None, newest: str, now: Mapping[str, InputFile]) -> Change:
    path = file.path
    about = f"{path} ({file.size} bytes)" if file.rows is None else f"{path} ({file.rows:,} rows)"
    if twin is not None:
        where = "which is still there: its rows stand there twice" if twin in now else "which is gone: it was renamed"
        says = f"{about} is a duplicate: it holds the same bytes as {twin}, {where}."
        return Change(kind=Kind.DUPLICATED, path=path, says=says)
    if path < newest:
        return Change(kind=Kind.LATE, path=path, says=f"{about} came late: {newest}, which sorts behind it, was known.")
    return Change(kind=Kind.NEW, path=path, says=f"{about} is new.")


def _touched(old: InputFile, new: InputFile, beginning: str | None) -> Change:
    if new.rows is not None and old.rows is not None:
        return _touched_table(old, new)
    path, sizes = new.path, f"from {old.size} to {new.size} bytes"
    if beginning is not None and beginning == old.sha256 and new.size > old.size:
        says = f"{path} has grown {sizes}; it begins as before."
        return Change(kind=Kind.GROWN, path=path, says=says)
    if new.size < old.size:
        return Change(kind=Kind.SHRUNK, path=path, says=f"{path} has shrunk {sizes}: rows may be missing.")
    if new.size == old.size:
        says = f"{path} was corrected: it has other content than before in as many bytes ({new.size})."
        if new.sha256 is None:
            says = f"{path} was written again: {_states(old, new)}, {new.size} bytes as before."
        return Change(kind=Kind.CHANGED, path=path, says=says)
    why = "" if new.sha256 else "; whether it begins as before is not known without reading it"
    return Change(kind=Kind.CHANGED, path=path, says=f"{path} was corrected: it went {sizes}{why}.")


def _touched_table(old: InputFile, new: InputFile) -> Change:
    """Of a table only its rows are counted without reading it: it may have grown, or been corrected."""
    was, now = f"{old.rows:,} rows (version {old.version})", f"{new.rows:,} rows (version {new.version})"
    if (new.rows or 0) < (old.rows or 0):
        says = f"{new.path} has shrunk: it had {was}, and has {now}."
        return Change(kind=Kind.SHRUNK, path=new.path, says=says)
    return Change(kind=Kind.CHANGED, path=new.path, says=f"{new.path} was changed: it had {was}, and has {now}.")


def _states(old: InputFile, new: InputFile) -> str:
    if old.version and new.version and old.version != new.version:
        return f"version {old.version} became {new.version}"
    return f"etag {old.etag} became {new.etag}"


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"
