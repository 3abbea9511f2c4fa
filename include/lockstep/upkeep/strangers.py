"""The other way round: is each thing that stands in the store one that the log needs, or where does it come from?"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from lockstep.registry.names import VERSIONS, Place, folder_at, place_of, run_at
from lockstep.registry.objects import Listed, Objects
from lockstep.upkeep.files import is_named_by_content
from lockstep.upkeep.findings import Finding, Kind, error, note
from lockstep.upkeep.log import Named
from lockstep.upkeep.stored import Odd, Oddity, local_folder, stored, walk

AT_WORK: Final = timedelta(days=1)  # what is younger may belong to somebody who is at work
_RULE: Final = (
    "names are datasets|models|thresholds/<name>/<digest>/…, releases/<group>/<digest>.json, sources/<digest>.tar.gz,"
    " specs/<digest>.json, packages/<digest>/…, diffs/<group>/<release>/…, inputs/<dataset>/<key>/…,"
    " decisions/<group>/<day>/<worker>-<number>.parquet, log/<20 digits>.json, scratch/<run>/…. Move it away."
)


@dataclass(slots=True)
class _Heap:
    """Files that are told together."""

    count: int
    size: int
    newest: datetime

    def add(self, item: Listed) -> None:
        self.count += 1
        self.size += item.size
        self.newest = max(self.newest, item.modified)

    def __str__(self) -> str:
        return f"{self.count} {'file' if self.count == 1 else 'files'}, {self.size} bytes"


def look_for_strangers(objects: Objects, named: Named, now: datetime) -> Iterator[Finding]:
    """Go through all that stands in the store; only what nobody needs is held."""
    root = local_folder(objects)
    heaps: dict[str, _Heap] = {}
    for item in stored(objects) if root is None else walk(root):
        if isinstance(item, Odd):
            yield from _odd(item, now)
            continue
        match place_of(item.path):
            case None:
                yield error(Kind.MISNAMED, item.path, _RULE)
            case Place.VERSION:
                folder = folder_at(item.path) or ""
                if folder in named.removed or folder not in named.folders:
                    _heap(heaps, folder, item)
            case Place.SCRATCH:
                _heap(heaps, run_at(item.path), item)
            case Place.RELEASE | Place.SOURCE if item.path not in named.releases and item.path not in named.sources:
                yield from _unused(objects, item, now, named)
            case Place.SPEC | Place.PACKAGE | Place.DIFF | Place.INPUTS if not is_named_by_content(objects, item.path):
                yield error(Kind.FOREIGN, item.path, "its bytes are not those of its name. Move it away.")
            case _:
                pass  # needed, and looked at where the log was read
    for folder, heap in sorted(heaps.items()):
        yield from _told(folder, heap, named, now)


def _heap(heaps: dict[str, _Heap], folder: str, item: Listed) -> None:
    heaps.setdefault(folder, _Heap(0, 0, item.modified)).add(item)


def _told(folder: str, heap: _Heap, named: Named, now: datetime) -> Iterator[Finding]:
    removed = named.removed.get(folder)
    if removed is not None:
        says = f"{heap} left of what log entry {removed} removed. `lockstep retain` deletes them."
        yield note(Kind.LEFTOVER, folder, says, removed)
    elif now - heap.newest < AT_WORK:
        return
    elif folder.startswith("scratch/"):
        says = f"{heap} of a pipeline that was killed {_age(heap.newest, now)} ago. `lockstep retain` deletes them."
        yield note(Kind.LEFTOVER, folder, says)
    else:
        says = f"{heap} of an attempt that was killed {_age(heap.newest, now)} ago. `lockstep retain` deletes them."
        yield note(Kind.ORPHAN, folder, says + _unless_whole(named))


def _unused(objects: Objects, item: Listed, now: datetime, named: Named) -> Iterator[Finding]:
    """A source or a release that no entry names: its writer was killed, or is about to write the entry."""
    if not is_named_by_content(objects, item.path):
        yield error(
            Kind.FOREIGN, item.path, "no entry names it, and its bytes are not those of its name. Move it away."
        )
    elif now - item.modified >= AT_WORK:
        says = f"a job that was killed {_age(item.modified, now)} ago left it. It does no harm."
        yield note(Kind.ORPHAN, item.path, says + _unless_whole(named))


def _odd(item: Odd, now: datetime) -> Iterator[Finding]:
    is_old = now - item.modified >= AT_WORK
    match item.what:
        case Oddity.STAGING:
            if is_old:
                says = f"a writer that was killed {_age(item.modified, now)} ago left it. Delete it."
                yield note(Kind.LEFTOVER, item.path, says)
        case Oddity.EMPTY:
            if is_old and item.path.startswith(VERSIONS) and item.path.count("/") > 1:
                yield note(Kind.LEFTOVER, item.path, "it is an empty folder. Delete it, or leave it.")
        case Oddity.CLOSED:
            yield error(Kind.UNREADABLE, item.path, "it is a folder that can't be read. Correct its rights.")
        case Oddity.NO_TEXT:
            yield error(Kind.MISNAMED, item.path, _RULE)
        case _:
            yield error(Kind.FOREIGN, item.path, f"it is {item.what}. Move it away.")


def _unless_whole(named: Named) -> str:
    return "" if named.is_whole else " Mend the log first: an entry that can't be read may name it."


def _age(then: datetime, now: datetime) -> str:
    days = (now - then).days
    return f"{days} {'day' if days == 1 else 'days'}"
