"""`lockstep verify`: everything that the log promises is there, byte for byte, and nothing else stands beside it.

Rules:
- Nothing is written, mended or deleted, and one thing that is wrong hides no other.
- The log is verified from the files of its entries; a checkpoint is compared with them, and never believed.
- Files are read in pieces by a few threads, and of the store's names only one folder's are held, so that the size of a
  registry costs time and not memory.
- Others may go on working: what they add, or remove by the log's leave, is no finding.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from lockstep.registry import Registry
from lockstep.registry.ahead import in_order
from lockstep.registry.names import folder_at
from lockstep.registry.objects import Objects
from lockstep.upkeep.files import Held, Opened, check_bytes, check_size, open_folder, open_release
from lockstep.upkeep.findings import Finding, Kind, Severity
from lockstep.upkeep.log import LogNames, Named, read_log, read_on
from lockstep.upkeep.stored import stored
from lockstep.upkeep.strangers import look_for_strangers


class Depth(StrEnum):
    """How closely files are looked at."""

    WHOLE = "whole"  # every byte is read
    QUICK = "quick"  # the log, manifests and releases are read; of other files, presence and size are compared


@dataclass(slots=True)
class Counts:
    """What was looked at, and what was found; `size` in bytes, of the files that the log needs."""

    entries: int = 0
    versions: int = 0
    objects: int = 0
    size: int = 0
    errors: int = 0
    notes: int = 0


@dataclass(slots=True)
class Verification:
    """Verifies while it is iterated, and counts meanwhile."""

    registry: Registry
    depth: Depth
    counts: Counts = field(default_factory=Counts)

    def __iter__(self) -> Iterator[Finding]:
        self.counts = Counts()
        for finding in self._all():
            if finding.severity is Severity.ERROR:
                self.counts.errors += 1
            else:
                self.counts.notes += 1
            yield finding

    @property
    def is_sound(self) -> bool:
        """Whether nothing broken was found."""
        return not self.counts.errors

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {"registry": self.registry.uri, "depth": self.depth.value, **asdict(self.counts)}

    def _all(self) -> Iterator[Finding]:
        named = Named()
        yield from _log(self.registry.objects, named)
        self.counts.entries, self.counts.versions = named.entries, len(named.folders)
        yield from self._needed(named)
        yield from look_for_strangers(self.registry.objects, named, self.registry.now())

    def _needed(self, named: Named) -> Iterator[Finding]:
        """Every file that an entry leads to."""
        objects = self.registry.objects

        def look(item: Finding | Held) -> tuple[Finding | None, int]:
            if isinstance(item, Finding):
                return item, 0
            return check_size(objects, item) if self.depth is Depth.QUICK else check_bytes(objects, item.needed)

        for item, (found, size) in in_order(look, self._named_files(named)):
            self.counts.objects += isinstance(item, Held)
            self.counts.size += size
            if found is not None and not (found.kind is Kind.MISSING and self._was_removed(found.path, named)):
                yield found

    def _named_files(self, named: Named) -> Iterator[Finding | Held]:
        """What manifests name, behind what is wrong with a manifest itself; the manifests are read by the way."""
        objects = self.registry.objects
        there = [item for item in named.folders.items() if item[0] not in named.removed]
        folders = in_order(lambda item: open_folder(objects, *item), there)
        releases = in_order(lambda item: open_release(objects, item, named.folders), named.releases.values())
        opened: Iterator[tuple[Any, Opened]]
        for opened in (folders, releases):
            for _, manifest in opened:
                self.counts.objects += 1
                self.counts.size += manifest.size
                yield from manifest.findings
                yield from manifest.files
        yield from map(Held, named.sources.values())

    def _was_removed(self, path: str, named: Named) -> bool:
        """Whether somebody has removed its version since the log was read."""
        read_on(self.registry.objects, named)
        return folder_at(path) in named.removed


def verify(registry: Registry, *, depth: Depth = Depth.WHOLE) -> Verification:
    """Compare all that stands in a registry with what its log says: iterate over the findings.

    Raises:
        StoreUnusable: the store can't be listed (while it is iterated).
    """
    return Verification(registry=registry, depth=depth)


def _log(objects: Objects, named: Named) -> Iterator[Finding]:
    names = LogNames()
    for item in stored(objects, "log"):
        names.add(item)
    yield from read_log(objects, names, named)
    read_on(objects, named)  # a checkpoint may be newer than the list of entries
    yield from names.checkpoints.findings(objects, named.head)
