"""Files on a local disk: one winner, nothing half-written, and on the disk before it is seen."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from lockstep.errors import StoreUnusable
from lockstep.registry import Log, Objects, Origin, SnapshotTaken
from lockstep.registry.disk import Disk
from lockstep.registry.entries import path_of


def test_a_file_is_created_once_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """The first bytes stay, and no temporary file does."""
    disk = Disk(tmp_path)
    assert [disk.create("a/b/c", data) for data in (b"first", b"second")] == [True, False]
    assert (tmp_path / "a/b/c").read_bytes() == b"first"
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["c"]


def test_what_a_killed_writer_left_does_no_harm(tmp_path: Path) -> None:
    """Temporary files of writers that were killed lie there for ever, and keep nobody from the name."""
    for number in (1, 17, 10**17):
        (tmp_path / f"y#{number}").write_bytes(b"half")
    objects = Objects.open(str(tmp_path))
    assert objects.put_new("y", b"whole")
    assert objects.get_unverified("y") == b"whole"
    assert objects.names("") == ["probe", "y"]


def test_threads_race_while_the_folder_is_removed(tmp_path: Path) -> None:
    """Of eight writers one wins each name, also while somebody removes the folder whenever it is empty."""
    start, going = Barrier(9), True

    def write(number: int) -> int:
        disk, won = Disk(tmp_path), 0
        start.wait()
        for turn in range(60):
            won += disk.create(f"folder/{turn % 20}/name{turn}", bytes([number]) * 100)
        return won

    def remove() -> None:
        start.wait()
        while going:
            for folder in (tmp_path / "folder").glob("*"):
                try:
                    folder.rmdir()
                except OSError:
                    continue

    with ThreadPoolExecutor(9) as pool:
        remover = pool.submit(remove)
        try:
            won = list(pool.map(write, range(8)))
        finally:
            going = False
        remover.result()
    assert sum(won) == 60
    for turn in range(60):
        assert len(set((tmp_path / f"folder/{turn % 20}/name{turn}").read_bytes())) == 1


class FailsToSync(Objects):
    """A disk that writes an entry, and once can't say that it is on it."""

    syncs = 0
    broken = True

    def put_new(self, path: str, data: bytes) -> bool:
        """Write, and fail behind it."""
        super().put_new(path, data)
        raise StoreUnusable(f"{path}: Input/output error")

    def sync(self, path: str) -> None:
        """Fail, or count."""
        if self.broken:
            raise StoreUnusable(f"{path}: Input/output error")
        self.syncs += 1
        super().sync(path)


def test_an_entry_that_is_not_on_the_disk_is_not_reported_as_done(tmp_path: Path) -> None:
    """Who finds the own entry after an error has it synced again before saying done, and fails where that fails."""
    objects = FailsToSync.open(str(tmp_path))
    log, origin = Log(objects), Origin(by="ada")
    taken = SnapshotTaken(
        dataset="customers", digest="d", manifest=Objects.open("memory://m").put("a/b", b"x"), rows=1, quarantined=0
    )
    with pytest.raises(StoreUnusable, match=r"Input/output error$"):
        log.append(lambda _: taken, origin)
    assert Objects.open(str(tmp_path)).exists(path_of(1))
    objects.broken = False
    assert log.append(lambda _: None, origin) is None
    assert objects.syncs == 1
    entry = log.append(lambda _: taken, origin)
    assert entry is not None
    assert (entry.number, objects.syncs) == (2, 2)
