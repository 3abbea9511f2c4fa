"""The log: numbered without gaps, chained by hash, written by whoever is first, and read again after a lost answer."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest

from lockstep.errors import FactRefused, LogDamaged, ProtocolTooNew, StoreUnusable
from lockstep.registry import (
    Fact,
    Log,
    ObjectRef,
    Objects,
    Origin,
    Promoted,
    Removed,
    SnapshotTaken,
    State,
    canonical_json,
    sha256_of,
)
from lockstep.registry.entries import GENESIS, decode, encode
from lockstep.registry.log import path_of
from tests.registry.conftest import START, chained

ADA = Origin(by="ada", why="a test")
REF = ObjectRef(path="datasets/customers/abc/manifest.json", sha256="a" * 64, size=1)


def taken(digest: str) -> SnapshotTaken:
    """Make a fact of that digest."""
    return SnapshotTaken(dataset="customers", digest=digest, manifest=REF, rows=1, quarantined=0)


def next_one(state: State) -> SnapshotTaken:
    """Propose a fact that says how many were there before it."""
    return taken(f"behind {len(state.snapshots.get('customers', ()))}")


def digests(log: Log) -> list[str]:
    """List the digests that the log holds, by version number."""
    return [version.digest for version in log.read().snapshots.get("customers", ())]


def append(log: Log, digest: str) -> None:
    """Append a fact of that digest."""
    log.append(lambda _: taken(digest), ADA)


def test_entries_are_numbered_without_gaps_and_chained(objects: Objects) -> None:
    """Entry n stands at its number and carries the hash of entry n - 1; the first carries zeros."""
    log = Log(objects, clock=lambda: START)
    made = [log.append(next_one, ADA) for _ in range(5)]
    assert objects.names("log") == [f"log/{number:020d}.json" for number in range(1, 6)]
    previous = GENESIS
    for number, entry in enumerate(made, start=1):
        data = objects.get_unverified(path_of(number))
        assert entry == decode(data, number=number, previous=previous)
        assert (entry.at, entry.origin) == (START, ADA)
        previous = sha256_of(data)
    assert list(log.entries()) == made
    state = log.read()
    assert (state.head, state.head_hash) == (5, previous)


def test_empty_log_is_an_empty_state(objects: Objects) -> None:
    """A registry that nobody wrote to has an empty state, and reading it writes nothing."""
    assert Log(objects).read() == State()
    assert objects.names("") == []


def test_another_reader_sees_what_was_written(uri: str) -> None:
    """What one handle appends another reads, whether it read before or not."""
    one, other = Log(Objects.open(uri)), Log(Objects.open(uri))
    append(one, "a")
    assert digests(other) == ["a"]
    append(other, "b")
    append(one, "c")
    assert digests(one) == digests(other) == digests(Log(Objects.open(uri))) == ["a", "b", "c"]


def test_many_new_entries_are_read_in_order(objects: Objects) -> None:
    """A log long enough to be read by several threads is read in order."""
    writer = Log(objects)
    for _ in range(70):
        writer.append(next_one, ADA)
    assert digests(Log(objects)) == [f"behind {number}" for number in range(70)]


def test_proposing_none_writes_nothing(objects: Objects) -> None:
    """A proposal that has nothing to say leaves the log as it is."""
    log = Log(objects)
    append(log, "a")
    assert log.append(lambda _: None, ADA) is None
    assert log.read().head == 1


def test_proposal_that_raises_leaves_nothing(objects: Objects) -> None:
    """What a proposal raises comes out, and no entry is written."""
    log = Log(objects)

    def refuse(state: State) -> Fact:
        raise LookupError(state.head)

    with pytest.raises(LookupError):
        log.append(refuse, ADA)
    assert objects.names("log") == []
    append(log, "a")
    assert digests(log) == ["a"]


class Interloper:
    """A clock that lets somebody else write between a proposal and its entry, a few times."""

    def __init__(self, objects: Objects, *, times: int) -> None:
        self._log = Log(objects)
        self._left = times

    def __call__(self) -> datetime:
        """Tell the time, after the other has written."""
        if self._left:
            self._left -= 1
            self._log.append(next_one, Origin(by="somebody else"))
        return START


def test_beaten_proposal_is_made_again_on_the_newer_state(uri: str) -> None:
    """Whoever is beaten to a number proposes again, on the state just before the entry it then writes."""
    seen: list[int] = []

    def propose(state: State) -> SnapshotTaken:
        seen.append(state.head)
        return next_one(state)

    log = Log(Objects.open(uri), clock=Interloper(Objects.open(uri), times=3))
    entry = log.append(propose, ADA)
    assert seen == [0, 1, 2, 3]
    assert entry is not None
    assert entry.number == 4
    assert digests(log) == ["behind 0", "behind 1", "behind 2", "behind 3"]
    assert [one.origin.by for one in log.entries()] == ["somebody else"] * 3 + ["ada"]


def test_beaten_proposal_may_refuse_or_fall_silent(uri: str) -> None:
    """A proposal that was beaten may find that nothing is to be done any more."""
    log = Log(Objects.open(uri), clock=Interloper(Objects.open(uri), times=1))
    assert log.append(lambda state: None if state.head else taken("a"), ADA) is None
    assert [one.origin.by for one in log.entries()] == ["somebody else"]


@pytest.mark.parametrize("handles", ["one handle", "a handle each"])
def test_threads_race_without_loss(uri: str, handles: str) -> None:
    """Two threads that append 25 facts each leave fifty, each proposed on the state just before its own entry."""
    shared = Log(Objects.open(uri))
    start = Barrier(2)

    def write(name: str) -> None:
        log = shared if handles == "one handle" else Log(Objects.open(uri))
        start.wait()
        for _ in range(25):
            log.append(next_one, Origin(by=name))

    with ThreadPoolExecutor(2) as writers:
        list(writers.map(write, "ab"))
    log = Log(Objects.open(uri))
    assert digests(log) == [f"behind {number}" for number in range(50)]
    assert sorted(entry.origin.by for entry in log.entries()) == ["a"] * 25 + ["b"] * 25
    assert [version.number for version in log.read().snapshots["customers"]] == list(range(1, 51))


RACE = """
import sys
from lockstep.registry import ObjectRef, Origin, Registry, SnapshotTaken
registry, name = Registry.open(sys.argv[1]), sys.argv[2]
def propose(state):
    return SnapshotTaken(
        dataset="customers", digest=f"behind {len(state.snapshots.get('customers', ()))}", rows=1, quarantined=0,
        manifest=ObjectRef(path="p", sha256="s", size=1),
    )
print("ready", flush=True)
sys.stdin.readline()
for _ in range(25):
    registry.record(propose, Origin(by=name))
"""


def test_processes_race_without_loss(tmp_path: Path, run_together: Callable[..., list[str]]) -> None:
    """Three processes that append 25 facts each leave 75, each proposed on the state just before its own entry."""
    run_together(RACE, *((str(tmp_path), name) for name in "abc"))
    log = Log(Objects.open(str(tmp_path)))
    assert digests(log) == [f"behind {number}" for number in range(75)]
    assert sorted(entry.origin.by for entry in log.entries()) == ["a"] * 25 + ["b"] * 25 + ["c"] * 25
    assert [version.number for version in log.read().snapshots["customers"]] == list(range(1, 76))


class LosesAnswers(Objects):
    """A store that writes an entry and then breaks the connection before it says so."""

    def put_new(self, path: str, data: bytes) -> bool:
        """Write, and don't say so."""
        super().put_new(path, data)
        raise StoreUnusable(f"{path}: connection reset")


class RepeatsItself(Objects):
    """A store whose client sends a write twice, and reports what the second one found."""

    def put_new(self, path: str, data: bytes) -> bool:
        """Write twice."""
        super().put_new(path, data)
        return super().put_new(path, data)


class Unplugged(Objects):
    """A store that writes nothing, and can be plugged in again."""

    plugged = False

    def put_new(self, path: str, data: bytes) -> bool:
        """Write, if plugged in."""
        if not self.plugged:
            raise StoreUnusable(f"{path}: no route to host")
        return super().put_new(path, data)


@pytest.mark.parametrize("kind", [LosesAnswers, RepeatsItself])
def test_entry_whose_answer_was_lost_counts_once(uri: str, kind: type[Objects]) -> None:
    """A writer that isn't told of its success finds its own entry by the nonce, and doesn't write it again."""
    log = Log(kind.open(uri))
    first, second = log.append(next_one, ADA), log.append(next_one, ADA)
    assert list(Log(Objects.open(uri)).entries()) == [first, second]
    assert digests(log) == ["behind 0", "behind 1"]


def test_entry_of_another_is_not_taken_for_the_own(uri: str) -> None:
    """A writer that meets the same fact of another at its number writes its own behind it, as the nonce differs."""
    log = Log(RepeatsItself.open(uri), clock=Interloper(Objects.open(uri), times=1))
    entry = log.append(lambda _: taken("behind 0"), Origin(by="somebody else"))
    assert entry is not None
    assert entry.number == 2
    assert digests(log) == ["behind 0", "behind 0"]


def test_write_that_failed_is_reported(uri: str) -> None:
    """A write that did not happen is an error, and can be tried again."""
    store = Unplugged.open(uri)
    log = Log(store)
    with pytest.raises(StoreUnusable):
        append(log, "a")
    assert log.read() == State()
    store.plugged = True
    append(log, "a")
    assert digests(log) == ["a"]


def write_raw(objects: Objects, *numbers: int, of: int) -> None:
    """Write some of the entries of a log of that length, past the log."""
    entries = chained(taken(f"behind {number}") for number in range(of))
    for number in numbers:
        objects.put(path_of(number), encode(entries[number - 1][0]))


def test_gap_stops_reading_and_writing(objects: Objects) -> None:
    """A number that is missing is named, and nothing can be appended while it is."""
    write_raw(objects, 1, 3, 4, of=4)
    log = Log(objects)
    for use in (log.read, lambda: append(log, "x"), lambda: list(log.entries())):
        with pytest.raises(LogDamaged) as refused:
            use()
        assert str(refused.value) == (
            f'Log entry 2 is missing: "{path_of(2)}" is not there, but "{path_of(3)}" is. Nothing is written until'
            " it is restored from a copy."
        )
    assert len(objects.names("log")) == 3
    write_raw(objects, 2, of=4)
    append(log, "x")
    assert digests(log) == ["behind 0", "behind 1", "behind 2", "behind 3", "x"]


@pytest.mark.parametrize("length", [3, 40])
@pytest.mark.parametrize("place", [1, 3])
def test_changed_entry_stops_reading_and_writing(tmp_path: Path, length: int, place: int) -> None:
    """An entry that was changed is named, first or last, in a short log and in a long one."""
    objects = Objects.open(str(tmp_path))
    write_raw(objects, *range(1, length + 1), of=length)
    changed = tmp_path / path_of(place)
    changed.write_bytes(changed.read_bytes().replace(b'"by":"ada"', b'"by":"eve"'))
    for use in (Log(objects).read, lambda: append(Log(objects), "x")):
        with pytest.raises(LogDamaged) as refused:
            use()
        assert str(refused.value) == (
            f"Log entry {place} can't be read: its bytes are not those that it was sealed with. Nothing is written"
            " until it is restored from a copy."
        )
    assert len(objects.names("log")) == length


@pytest.mark.parametrize("length", [3, 40])
def test_forged_entry_breaks_the_chain(tmp_path: Path, length: int) -> None:
    """An entry that was changed and sealed anew does not fit the one behind it."""
    objects = Objects.open(str(tmp_path))
    write_raw(objects, *range(1, length + 1), of=length)
    first = tmp_path / path_of(1)
    was = sha256_of(first.read_bytes())
    entry = decode(first.read_bytes(), number=1, previous=GENESIS)
    first.write_bytes(encode(replace(entry, origin=Origin(by="eve"))))
    now = sha256_of(first.read_bytes())
    for use in (Log(objects).read, lambda: append(Log(objects), "x")):
        with pytest.raises(LogDamaged) as refused:
            use()
        assert str(refused.value) == (
            f"Log entry 2 does not follow entry 1: it says number 2 behind {was[:12]}…, expected 2 behind {now[:12]}…."
            " Nothing is written until the log is restored from a copy."
        )
    assert len(objects.names("log")) == length


def test_entry_that_is_cut_short_stops_reading_and_writing(tmp_path: Path) -> None:
    """An entry of which a part is missing is damage, and nothing is written behind it."""
    objects = Objects.open(str(tmp_path))
    write_raw(objects, 1, 2, of=2)
    second = tmp_path / path_of(2)
    second.write_bytes(second.read_bytes()[:-20])
    log = Log(objects)
    for use in (log.read, lambda: append(log, "x")):
        with pytest.raises(LogDamaged, match=r"^Log entry 2 can't be read: the file: Invalid JSON"):
            use()
    assert len(objects.names("log")) == 2


def test_entry_of_a_newer_lockstep_stops_writing(objects: Objects) -> None:
    """A registry that a newer Lockstep wrote to is not written to by this one."""
    objects.put(path_of(1), canonical_json({"protocol": 4, "anything": "else"}))
    log = Log(objects)
    with pytest.raises(ProtocolTooNew):
        append(log, "x")
    assert objects.names("log") == [path_of(1)]


class ListsLate(Objects):
    """A folder that is listed while others write to it: some entry is left out though it stands there."""

    def names(self, prefix: str, *, after: str | None = None) -> list[str]:
        """List all names but two."""
        return [name for name in super().names(prefix, after=after) if name not in {path_of(1), path_of(4)}]


def test_entry_that_a_listing_left_out_is_no_gap(uri: str) -> None:
    """An entry that a listing misses while others are written is asked for by name before it is called missing."""
    write_raw(Objects.open(uri), 1, 2, 3, 4, 5, of=5)
    assert digests(Log(ListsLate.open(uri))) == [f"behind {number}" for number in range(5)]


def change_bytes(objects: Objects, number: int) -> None:
    """Change an entry behind the log's back."""
    data = objects.get_unverified(path_of(number))
    objects._delete(path_of(number))
    objects.put_new(path_of(number), data.replace(b"customers", b"customerz"))


def test_writer_that_has_read_on_notices_what_was_done_to_the_end(uri: str) -> None:
    """A writer that has long read the last entry still sees that it was changed or is gone, and writes nothing."""
    objects = Objects.open(uri)
    log = Log(objects)
    append(log, "a")
    append(log, "b")
    whole = objects.get_unverified(path_of(2))
    change_bytes(objects, 2)
    with pytest.raises(LogDamaged) as refused:
        append(log, "c")
    assert str(refused.value) == (
        f'Log entry 2 was changed since it was read: "{path_of(2)}" has other bytes. Nothing is written until it is'
        " restored from a copy."
    )
    objects._delete(path_of(2))
    with pytest.raises(LogDamaged) as refused:
        append(log, "c")
    assert str(refused.value) == (
        f'Log entry 2 is missing: "{path_of(2)}" is not there. Nothing is written until it is restored from a copy.'
    )
    objects.put_new(path_of(2), whole)
    append(log, "c")
    assert digests(Log(objects)) == ["a", "b", "c"]


def test_writer_that_has_not_read_the_end_notices_a_gap_in_it(uri: str) -> None:
    """An entry that was deleted before this writer read it leaves a gap, into which nothing is written."""
    objects = Objects.open(uri)
    one, other = Log(objects), Log(Objects.open(uri))
    append(one, "a")
    append(other, "b")
    append(other, "c")
    gone = objects.get_unverified(path_of(2))
    objects._delete(path_of(2))
    with pytest.raises(LogDamaged) as refused:
        append(one, "d")
    assert str(refused.value) == (
        f'Log entry 2 is missing: "{path_of(2)}" is not there, but "{path_of(3)}" is. Nothing is written until it is'
        " restored from a copy."
    )
    assert objects.names("log") == [path_of(1), path_of(3)]
    objects.put_new(path_of(2), gone)
    append(one, "d")
    assert digests(Log(objects)) == ["a", "b", "c", "d"]


def test_fact_that_contradicts_the_log_is_not_written(objects: Objects) -> None:
    """A fact that no reader could fold is refused before it would lock the log for all."""
    log = Log(objects)
    append(log, "a")
    unknown = Promoted(group="churn", members={"model:churn": "f" * 64})
    with pytest.raises(FactRefused) as refused:
        log.append(lambda _: unknown, ADA)
    assert str(refused.value) == (
        'Log entry 2 was not written: it names model "churn" with digest ffffffffffff…, which no earlier entry made.'
        " Run what wanted it again."
    )
    log.append(lambda _: Removed(folders=("datasets/customers/abc",), size=1), ADA)
    with pytest.raises(FactRefused) as refused:
        append(log, "b")
    assert str(refused.value) == (
        'Log entry 3 was not written: it names a file in "datasets/customers/abc", a folder that an earlier entry has'
        " removed. Run what wanted it again."
    )
    assert len(objects.names("log")) == 2


def test_strangers_in_the_folder_are_left_alone(objects: Objects) -> None:
    """Files of the log's folder that aren't entries, checkpoints for one, are neither read nor counted."""
    write_raw(objects, 1, of=1)
    for name in ("checkpoint/00000000000000000001.json", "README.txt", "notes.json", "2.json"):
        objects.put(f"log/{name}", b"not an entry")
    log = Log(objects)
    append(log, "a")
    assert digests(log) == ["behind 0", "a"]


def test_nonce_and_clock_come_from_outside(objects: Objects) -> None:
    """Time and nonce are given to the log, one nonce for each append."""
    nonces: Iterator[str] = iter(["n1", "n2"])
    log = Log(objects, clock=lambda: datetime(2026, 2, 3, tzinfo=UTC), nonce=lambda: next(nonces))
    append(log, "a")
    append(log, "b")
    assert [(entry.nonce, entry.at) for entry in log.entries()] == [("n1", log.now()), ("n2", log.now())]
