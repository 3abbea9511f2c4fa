"""One contract that every store keeps: put-if-absent, verified reads, and nothing deleted outside `scratch/`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Barrier
from typing import Any

import pytest

from lockstep.errors import ObjectDamaged, ObjectMissing, UsageError
from lockstep.registry import ObjectRef, Objects, Registry, files_of, put_folder, sha256_of

PATH = "models/churn/abc/model.skops"
REFUSED_PATHS = ["", "/x", "x/", "a//b", "../x", "a/../b", "a/./b", ".", "a\\b", "a#1", "a\nb", "a\0b"]


def test_put_then_get(objects: Objects) -> None:
    """What was put is got, and its reference says path, hash and size."""
    ref = objects.put(PATH, b"bytes")
    assert ref == ObjectRef(path=PATH, sha256=sha256_of(b"bytes"), size=5)
    assert objects.get(ref) == objects.get_unverified(PATH) == b"bytes"
    assert objects.describe(PATH) == ref
    assert objects.exists(PATH)


def test_put_of_the_same_bytes_again_is_fine(objects: Objects) -> None:
    """A second write of the same bytes finds them there."""
    assert objects.put(PATH, b"bytes") == objects.put(PATH, b"bytes")


def test_put_of_other_bytes_is_refused(objects: Objects) -> None:
    """A second write of other bytes is an error that names both hashes, and the first bytes stay."""
    ref = objects.put(PATH, b"bytes")
    with pytest.raises(ObjectDamaged) as refused:
        objects.put(PATH, b"others")
    assert str(refused.value) == (
        f'Object "{PATH}": other bytes stand there (SHA-256 {sha256_of(b"bytes")[:12]}…, to write'
        f" {sha256_of(b'others')[:12]}…); nothing is ever overwritten. Move the foreign file away."
    )
    assert objects.get(ref) == b"bytes"


def test_put_new_tells_who_was_first(objects: Objects) -> None:
    """The first writer of a path is told True, every later one False, the same bytes or not."""
    assert [objects.put_new(PATH, data) for data in (b"a", b"a", b"b")] == [True, False, False]
    assert objects.get_unverified(PATH) == b"a"


def test_missing_object_is_named(objects: Objects) -> None:
    """Reading what is not there says what and where."""
    ref = ObjectRef(path="models/none", sha256="0" * 64, size=1)
    for read in (
        lambda: objects.get(ref),
        lambda: objects.get_unverified(ref.path),
        lambda: objects.describe(ref.path),
    ):
        with pytest.raises(ObjectMissing) as refused:
            read()
        assert str(refused.value) == f'Object "models/none" is not in registry "{objects.uri}". Restore it from a copy.'
    assert not objects.exists(ref.path)
    assert not objects.exists("models")


def test_get_refuses_bytes_that_were_not_promised(objects: Objects) -> None:
    """A read by reference compares the hash."""
    ref = replace(objects.put(PATH, b"bytes"), sha256="f" * 64)
    with pytest.raises(ObjectDamaged) as refused:
        objects.get(ref)
    assert str(refused.value) == (
        f'Object "{PATH}": its SHA-256 is {sha256_of(b"bytes")[:12]}…, but the log promises ffffffffffff…. Restore it'
        " from a copy; until then every version that needs it is refused."
    )


def test_names_are_sorted_below_a_prefix_and_behind_a_name(objects: Objects) -> None:
    """Names below a folder come sorted; `after` leaves out what stands before it, and itself."""
    for number in (3, 1, 10, 2):
        objects.put(f"log/{number:020d}.json", b"{}")
    objects.put("logs/other.json", b"{}")
    every = [f"log/{number:020d}.json" for number in (1, 2, 3, 10)]
    assert objects.names("log") == every
    assert objects.names("log", after=every[1]) == every[2:]
    assert objects.names("log", after=every[-1]) == []
    assert objects.names("nothing/here") == []


@pytest.mark.parametrize("path", REFUSED_PATHS)
def test_path_that_could_lead_elsewhere_is_refused(objects: Objects, path: str) -> None:
    """A path that is not plain names separated by one slash is neither written, read, moved nor deleted."""
    objects.put("scratch/part", b"x")
    uses: list[Callable[[], Any]] = [
        lambda: objects.put(path, b"x"),
        lambda: objects.put_new(path, b"x"),
        lambda: objects.get_unverified(path),
        lambda: objects.exists(path),
        lambda: objects.move("scratch/part", path),
        lambda: objects.delete_scratch(path),
    ]
    for use in uses:
        with pytest.raises(UsageError) as refused:
            use()
        assert str(refused.value) == (
            f'Object path {path!r} is not allowed: names are separated by one "/" and hold no "..", "\\", "#" or'
            " control character."
        )


def test_scratch_alone_can_be_deleted(objects: Objects) -> None:
    """An object below `scratch/` can be deleted, twice too; any other stays."""
    objects.put("scratch/run/part", b"x")
    objects.put(PATH, b"bytes")
    objects.delete_scratch("scratch/run/part")
    objects.delete_scratch("scratch/run/part")
    assert not objects.exists("scratch/run/part")
    for path in (PATH, "scratch", "scratchy/part"):
        with pytest.raises(UsageError) as refused:
            objects.delete_scratch(path)
        assert str(refused.value) == f'Object "{path}": only objects below scratch/ can be deleted.'
    with pytest.raises(UsageError):
        objects.delete_scratch(f"scratch/../{PATH}")
    assert objects.exists(PATH)


def test_scratch_alone_can_be_moved_from(objects: Objects) -> None:
    """A finished part moves out of `scratch/`, once; a recorded object never moves."""
    objects.put("scratch/run/part", b"x")
    objects.move("scratch/run/part", "datasets/customers/abc/part-0.parquet")
    assert objects.names("datasets") == ["datasets/customers/abc/part-0.parquet"]
    assert objects.names("scratch") == []
    with pytest.raises(UsageError) as refused:
        objects.move("datasets/customers/abc/part-0.parquet", "elsewhere")
    assert str(refused.value) == (
        'Object "datasets/customers/abc/part-0.parquet": only objects below scratch/ can be moved.'
    )
    with pytest.raises(ObjectMissing):
        objects.move("scratch/run/part", "datasets/customers/def/part-0.parquet")


def test_move_onto_what_stands_there_drops_the_source(objects: Objects) -> None:
    """A part whose target stands already leaves the target as it is."""
    objects.put("scratch/run/part", b"second")
    objects.put("datasets/part", b"first")
    objects.move("scratch/run/part", "datasets/part")
    assert objects.get_unverified("datasets/part") == b"first"
    assert objects.names("scratch") == []


def test_two_handles_see_one_store(uri: str) -> None:
    """A registry opened twice is one registry."""
    ref = Objects.open(uri).put(PATH, b"bytes")
    again = Objects.open(Objects.open(uri).uri)
    assert again.get(ref) == b"bytes"
    assert not again.put_new(PATH, b"others")


def test_sixteen_threads_race_and_one_wins(uri: str) -> None:
    """Of sixteen threads that write one path at once exactly one is told that it won, and its bytes stand."""
    shared = Objects.open(uri)
    start = Barrier(16)

    def write(number: int, path: str) -> bool:
        handle = shared if number % 2 else Objects.open(uri)
        start.wait()
        return handle.put_new(path, f"writer {number}".encode())

    with ThreadPoolExecutor(16) as writers:
        for turn in range(20):
            path = f"log/{turn:020d}.json"
            won = list(writers.map(write, range(16), [path] * 16))
            assert won.count(True) == 1
            assert shared.get_unverified(path) == f"writer {won.index(True)}".encode()


def test_version_folder_is_named_by_its_manifest(objects: Objects) -> None:
    """A version's folder bears the hash of its manifest, which names every other file with its hash and size."""
    ref = put_folder(objects, "models/churn", {"model": "churn"}, {"model.skops": b"fit", "curve.json": b"[]"})
    assert ref.path == f"models/churn/{ref.sha256}/manifest.json"
    files = files_of(ref, {"files": {"model.skops": {"sha256": sha256_of(b"fit"), "size": 3}}})
    assert objects.get(files["model.skops"]) == b"fit"
    assert put_folder(objects, "models/churn", {"model": "churn"}, {"curve.json": b"[]", "model.skops": b"fit"}) == ref


RACE = """
import sys
from lockstep.registry import Objects
uri, name = sys.argv[1:]
objects = Objects.open(uri)
print("ready", flush=True)
sys.stdin.readline()
for turn in range(50):
    if objects.put_new(f"log/{turn}", name.encode()):
        print(turn)
"""


@pytest.mark.parametrize("uri", ["file", "gcs", "moto", "minio", "azurite"], indirect=True)
def test_four_processes_race_and_one_wins(uri: str, run_together: Callable[..., list[str]]) -> None:
    """Of four processes that write the same paths at once exactly one wins each, and its bytes stand."""
    said = run_together(RACE, *((uri, name) for name in "abcd"))
    won = {name: [int(turn) for turn in lines.split()] for name, lines in zip("abcd", said, strict=True)}
    assert sorted(turn for turns in won.values() for turn in turns) == list(range(50))
    objects = Objects.open(uri)
    assert all(objects.get_unverified(f"log/{turn}") == name.encode() for name, turns in won.items() for turn in turns)


def test_sixteen_threads_move_to_one_place_and_one_part_stands(uri: str) -> None:
    """Of sixteen parts that are moved to one place at once one stands there whole, and none is left in `scratch/`."""
    start = Barrier(16)

    def move(number: int) -> None:
        handle = Objects.open(uri)
        handle.put(f"scratch/{number}/part", b"%d" % number * 1000)
        start.wait()
        handle.move(f"scratch/{number}/part", "datasets/customers/abc/part")

    with ThreadPoolExecutor(16) as movers:
        list(movers.map(move, range(16)))
    objects = Objects.open(uri)
    assert objects.get_unverified("datasets/customers/abc/part") in [b"%d" % number * 1000 for number in range(16)]
    assert objects.names("scratch") == []


def test_move_that_broke_off_is_made_again(objects: Objects) -> None:
    """A move that had done all, or all but dropping the source, is made again without harm."""
    objects.put("scratch/run/part", b"x")
    objects.put("datasets/part", b"x")
    for _ in range(2):
        objects.move("scratch/run/part", "datasets/part")
        assert objects.names("datasets") == ["datasets/part"]
        assert objects.names("scratch") == []


@pytest.mark.parametrize("size", [0, 1, 33 << 20])
def test_object_of_any_size_is_moved_and_checked(objects: Objects, size: int) -> None:
    """An object is moved whole and read in pieces, be it empty or larger than what is read at once."""
    data = Random(7).randbytes(size)  # noqa: S311  not for secrets
    ref = objects.put("scratch/part", data)
    objects.move("scratch/part", "datasets/part")
    moved = replace(ref, path="datasets/part")
    assert objects.describe("datasets/part") == moved
    objects.check(moved)
    with pytest.raises(ObjectDamaged):
        objects.check(replace(moved, sha256="0" * 64))


def test_listing_gives_size_and_time(objects: Objects) -> None:
    """A listing gives each object below a prefix with its size and the time of its writing in UTC."""
    before = datetime.now(UTC)
    objects.put("datasets/a/part", b"12345")
    objects.put("models/b", b"1")
    (found,) = objects.listing("datasets")
    assert (found.path, found.size) == ("datasets/a/part", 5)
    assert abs(found.modified - before) < timedelta(minutes=1)
    assert found.modified.tzinfo is UTC


def test_deleted_is_gone_and_may_be_deleted_again(objects: Objects) -> None:
    """A file of a version can be deleted, twice too; the log's entries, releases and sources can't."""
    objects.put(PATH, b"bytes")
    objects.delete(PATH)
    objects.delete(PATH)
    assert not objects.exists(PATH)
    for path in ("log/00000000000000000001.json", "releases/a/b.json", "sources/c.tar.gz", "probe"):
        with pytest.raises(UsageError):
            objects.delete(path)


def test_reading_writes_nothing(uri: str) -> None:
    """A registry that was only looked at holds nothing, not even the probe."""
    registry = Registry.open(uri)
    assert registry.state().head == 0
    assert not registry.objects.exists(PATH)
    assert list(registry.objects.listing("")) == []


def test_neighbours_do_not_see_each_other(uri: str) -> None:
    """Two registries side by side in one bucket or folder share nothing, also if one's name begins the other's."""
    one, other = Objects.open(f"{uri}/a"), Objects.open(f"{uri}/ab")
    one.put(PATH, b"one")
    assert other.names("") == []
    assert other.put_new(PATH, b"other")
    assert one.get_unverified(PATH) == b"one"
    assert one.names("") == [PATH, "probe"]
