"""What `lockstep verify` finds: each thing with its kind, its place, and a sentence that says what to do.

Rules:
- An error is something that the log promises and the store does not keep, or that stands where it must not. A note is
  something that nobody needs and that goes by itself, or by `lockstep retain`.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """Whether a finding is damage."""

    ERROR = "error"
    NOTE = "note"


class Kind(StrEnum):
    """What was found."""

    MISSING = "missing object"
    CHANGED = "changed bytes"
    FOREIGN = "foreign object"
    MISNAMED = "name breaks the rule"
    DANGLING = "entry points to nothing"
    GAP = "missing entry"
    DAMAGED = "damaged entry"
    MISPLACED = "misplaced entry"
    NEWER = "entry of a newer protocol"
    UNREADABLE = "can't be read"
    CHECKPOINT = "wrong checkpoint"
    ORPHAN = "no entry names it"
    LEFTOVER = "leftover"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found; `entry` is the number of the log entry that it is about, if there is one."""

    severity: Severity
    kind: Kind
    path: str
    says: str
    entry: int | None = None

    def as_text(self) -> str:
        """One line for people; a name that would confuse a terminal is quoted."""
        path = self.path if self.path.isprintable() else repr(self.path)
        return f"{self.severity}: {self.kind}: {path}: {self.says}"

    def as_json(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return asdict(self)


def error(kind: Kind, path: str, says: str, entry: int | None = None) -> Finding:
    """Something that has to be mended."""
    return Finding(severity=Severity.ERROR, kind=kind, path=path, says=says, entry=entry)


def note(kind: Kind, path: str, says: str, entry: int | None = None) -> Finding:
    """Something that may stay as it is."""
    return Finding(severity=Severity.NOTE, kind=kind, path=path, says=says, entry=entry)
