"""A snapshot whose files were removed, taken again; and attempts that retention meets on the way."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from lockstep.data import read_snapshot, take_snapshot
from lockstep.declare import Dataset
from lockstep.errors import DataError, VersionRemoved
from lockstep.registry import Objects, Origin, Registry, Removed, folder_of
from lockstep.registry.lineage import lineage
from lockstep.upkeep.keep import Rule
from lockstep.upkeep.retention import retain
from lockstep.upkeep.verify import verify

ADA = Origin(by="ada")
HEADER = "visit,guests,bill,table,regular,day,rating"
FORGET = Rule(keep=1, older_than=timedelta(0), rollbacks=0)

FileWriter = Callable[[str, Sequence[str]], Path]
DatasetMaker = Callable[..., Dataset]


class Visits:
    """A registry, and the file that its dataset is read from."""

    def __init__(self, folder: Path, dataset: Dataset, write_lines: FileWriter) -> None:
        self.registry = Registry.open(str(folder / "registry"))
        self.dataset = dataset
        self.write_lines = write_lines

    def have(self, guests: int) -> None:
        """Put one visit of so many guests into the file."""
        self.write_lines("in/visits.csv", [HEADER, f"v1,{guests},1.5,t1,yes,2026-01-01,5"])

    def take(self, guests: int, registry: Registry | None = None) -> str:
        """Take a snapshot of one visit of so many guests."""
        self.have(guests)
        return take_snapshot(registry or self.registry, self.dataset, ADA).ref


@pytest.fixture
def at(tmp_path: Path, visits: DatasetMaker, write_lines: FileWriter) -> Visits:
    """Sit down before an empty registry."""
    return Visits(tmp_path, visits(str(tmp_path / "in" / "*.csv")), write_lines)


def test_a_removed_snapshot_is_taken_again_elsewhere(at: Visits) -> None:
    """The same content gets another number and another folder each time, reads the same, and the old ones stay told."""
    assert at.take(1) == "visits@1"
    before = at.registry.state().snapshot("visits@1")
    rows = read_snapshot(at.registry, before)
    for times in (1, 2):
        at.take(2)
        retain(at.registry, FORGET, ADA)
        again = f"visits@{len(at.registry.state().snapshots['visits']) + 1}"
        assert at.take(1) == again
        state = at.registry.state()
        version = state.snapshot(again)
        assert folder_of(version.fact.manifest.path) == f"datasets/visits/{before.digest}.{times}"
        assert version.digest == before.digest
        assert state.snapshot_by_digest("visits", before.digest) == version
        assert_frame_equal(read_snapshot(at.registry, version), rows)
        assert at.take(1) == again
        retain(at.registry, FORGET, ADA)
    with pytest.raises(VersionRemoved, match=r"^Snapshot visits@1: its files were removed by log entry 3;"):
        read_snapshot(at.registry, before)
    assert lineage(at.registry.state(), before)["manifest"] == before.fact.manifest.path
    assert list(verify(at.registry)) == []


def test_a_folder_that_is_removed_before_it_is_recorded(at: Visits) -> None:
    """Where retention takes the folder for a killed attempt's just before the entry, the snapshot is taken again."""
    gone: list[str] = []

    def clock() -> datetime:
        if not gone:
            (folder,) = {folder_of(name) for name in at.registry.objects.names("datasets")}
            gone.append(folder)
            at.registry.record(lambda _: Removed(folders=(folder,), size=0), ADA)
            for name in at.registry.objects.names("datasets"):
                at.registry.objects.delete(name)
        return datetime.now(UTC)

    assert at.take(1, Registry.open(at.registry.uri, clock=clock)) == "visits@1"
    version = at.registry.state().snapshot("visits@1")
    assert folder_of(version.fact.manifest.path) == f"{gone[0]}.1"
    assert read_snapshot(at.registry, version).height == 1
    assert list(verify(at.registry)) == []


class Cleared(Objects):
    """Objects whose scratch retention begins to clear just after it was listed."""

    def names(self, prefix: str, *, after: str | None = None) -> list[str]:
        """List, and let the mark of a pipeline at work go."""
        found = super().names(prefix, after=after)
        if prefix.startswith("scratch/"):
            self.delete_scratch(f"{prefix}/open")
        return found


def test_parts_that_were_cleared_away_are_not_left_out(at: Visits) -> None:
    """A snapshot of which unfinished parts may be gone is refused, rather than taken of the others."""
    with pytest.raises(DataError) as refused:
        at.take(1, Registry(Cleared.open(at.registry.uri), at.registry.log))
    assert str(refused.value) == (
        'Dataset "visits": its unfinished parts were cleared away, because nothing was added to them for two days. Take'
        " the snapshot again."
    )
    assert at.registry.objects.names("datasets") == at.registry.objects.names("scratch") == []
