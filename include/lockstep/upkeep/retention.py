"""`lockstep retain`: the files of old versions that nobody needs go, and the log says so before they do.

Rules:
- A folder's files are deleted only behind an entry that names the folder. The entry is proposed on the state just
  before it, so that a promotion that was faster is respected.
- The name of a removed folder is never used again. Who makes the same content a second time writes it elsewhere, and
  never meets files that are being deleted.
- Killed at any point, the next run finishes: it deletes whatever is left below a folder that the log says is removed.
- Whoever may not delete is refused before an entry says that something is gone.
- A manifest is deleted first: a folder with a manifest is whole, when it comes and when it goes.
- What the log says of a removed version stays, for ever.
- The spec of a job goes when no job can be at work by it any more; none is needed once its job has ended.
- The decision log goes by the day, whole days only. No version is made of it, so no entry speaks of it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import chain
from typing import Any, Final

from lockstep.registry import Listed, Objects, Origin, Registry, Removed, State
from lockstep.registry.folder import MANIFEST
from lockstep.registry.names import VERSIONS, Place, folder_at, place_of, run_at
from lockstep.registry.objects import SCRATCH
from lockstep.upkeep.keep import AT_WORK, Catalogue, Heap, Plan, Removal, Rule, plan
from lockstep.upkeep.stored import stored

SPECS: Final = "specs"
DECISIONS: Final = "decisions"
SPEC_LASTS: Final = timedelta(days=30)  # a custom job of Vertex AI runs for a week at most
MOST_FOLDERS: Final = 1000  # in one entry, which has a size limit
_NOTHING: Final = f"{SCRATCH}/nothing"  # stands never; deleting it shows whether that is allowed
_OPEN: Final = "open"  # stands in a scratch as long as its pipeline wants it


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What was removed, or would be.

    Attributes:
        plan: the folders that the log says are removed now, and what is kept.
        entries: the log entries that say so; none where it was only asked for.
        unfinished: what an earlier, killed run had left.
        scratch: what killed pipelines and failed jobs had left.
        specs: of jobs that must have ended.
        decisions: group → files of the decision log that are of days long past.
        files: how many were deleted.
        size: of the deleted files, in bytes.
    """

    plan: Plan
    entries: tuple[int, ...]
    unfinished: Mapping[str, Heap]
    scratch: Mapping[str, Heap]
    specs: Heap
    decisions: Mapping[str, Heap]
    files: int = 0
    size: int = 0

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        left = {"unfinished": self.unfinished, "scratch": self.scratch}
        return {
            "removed": [asdict(removal) for removal in self.plan.removals],
            "size": self.plan.size,
            "kept": {name: {why.value: count for why, count in whys.items()} for name, whys in self.plan.kept.items()},
            "entries": list(self.entries),
            **{
                what: [{"folder": folder, "files": heap.files, "size": heap.size} for folder, heap in heaps.items()]
                for what, heaps in left.items()
            },
            "decisions": [
                {"group": group, "files": heap.files, "size": heap.size} for group, heap in self.decisions.items()
            ],
            "specs": {"files": self.specs.files, "size": self.specs.size},
            "deleted": {"files": self.files, "size": self.size},
        }


def preview(registry: Registry, rule: Rule) -> Retention:
    """What `retain` would remove now; nothing is changed."""
    state, folders = registry.state(), _survey(registry.objects)
    return Retention(
        plan=plan(state, Catalogue(), folders, rule, registry.now()),
        entries=(),
        unfinished={folder: heap for folder, heap in folders.items() if folder in state.removed},
        scratch=_old_scratch(registry),
        specs=_heap(_old_specs(registry)),
        decisions=_by_group(_old_decisions(registry, rule)),
    )


def retain(registry: Registry, rule: Rule, origin: Origin, *, most: int = MOST_FOLDERS) -> Retention:
    """Remove what the rule lets go, `most` folders by one entry, and delete what killed jobs and runs of this left.

    Raises:
        LogDamaged: the log does not say what is needed; nothing is removed.
        NotAllowed: the store lets these credentials delete nothing; nothing is removed, and no entry says so.
    """
    registry.objects.delete_scratch(_NOTHING)
    folders, catalogue = _survey(registry.objects), Catalogue()
    unfinished = {folder: heap for folder, heap in folders.items() if folder in registry.state().removed}
    removals: list[Removal] = []
    entries: list[int] = []
    proposed = Plan(removals=(), kept={})

    def propose(state: State) -> Removed | None:
        nonlocal proposed
        proposed = plan(state, catalogue, folders, rule, registry.now())
        batch = proposed.removals[:most]
        if not batch:
            return None
        return Removed(folders=tuple(removal.folder for removal in batch), size=sum(removal.size for removal in batch))

    while entry := registry.record(propose, origin):
        removals += proposed.removals[:most]
        entries.append(entry.number)
    removed, scratch = registry.state().removed, _old_scratch(registry)
    specs, decisions = list(_old_specs(registry)), list(_old_decisions(registry, rule))
    files = size = 0
    gone = _below(registry.objects, (folder for folder in sorted(folders) if folder in removed), MANIFEST)
    for item in chain(specs, decisions, gone):
        registry.objects.delete(item.path)
        files, size = files + 1, size + item.size
    for item in _below(registry.objects, sorted(scratch), _OPEN):
        registry.objects.delete_scratch(item.path)
        files, size = files + 1, size + item.size
    return Retention(
        plan=Plan(removals=tuple(removals), kept=proposed.kept),
        entries=tuple(entries),
        unfinished=unfinished,
        scratch=scratch,
        specs=_heap(specs),
        decisions=_by_group(decisions),
        files=files,
        size=size,
    )


def _survey(objects: Objects) -> dict[str, Heap]:
    """The folders of versions that hold files; what else stands there is not retention's."""
    return _heaps((item for kind in VERSIONS for item in stored(objects, kind)), folder_at)


def _old_scratch(registry: Registry) -> dict[str, Heap]:
    """Pipelines in whose scratch nothing was written for so long that they must be dead."""
    now, runs = registry.now(), _heaps(stored(registry.objects, SCRATCH), run_at)
    return {run: heap for run, heap in sorted(runs.items()) if heap.is_older(AT_WORK, now)}


def _old_specs(registry: Registry) -> Iterator[Listed]:
    """The specs by which no job can be at work any more."""
    now = registry.now()
    return (item for item in stored(registry.objects, SPECS) if now - item.modified > SPEC_LASTS)


def _old_decisions(registry: Registry, rule: Rule) -> Iterator[Listed]:
    """The files of the decision log that are of days before those that the rule keeps; the name says the day."""
    first = (registry.now() - rule.decisions).date().isoformat()
    for item in stored(registry.objects, DECISIONS):
        if place_of(item.path) is Place.DECISIONS and item.path.split("/")[2] < first:
            yield item


def _by_group(items: Iterable[Listed]) -> dict[str, Heap]:
    return dict(sorted(_heaps(iter(items), lambda path: path.split("/")[1]).items()))


def _heap(items: Iterable[Listed]) -> Heap:
    heap = Heap()
    for item in items:
        heap.add(item.size, item.modified)
    return heap


def _heaps(items: Iterator[Listed], place: Callable[[str], str | None]) -> dict[str, Heap]:
    heaps: dict[str, Heap] = {}
    for item in items:
        folder = place(item.path)
        if folder is not None:
            heaps.setdefault(folder, Heap()).add(item.size, item.modified)
    return heaps


def _below(objects: Objects, folders: Iterator[str] | list[str], first: str) -> Iterator[Listed]:
    """The files below folders; in each, the one that says that it is whole, or wanted, comes first."""
    for folder in folders:
        yield from sorted(stored(objects, folder), key=lambda item: (item.path != f"{folder}/{first}", item.path))
