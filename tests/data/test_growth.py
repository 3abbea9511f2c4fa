"""A snapshot that new files are added to is the snapshot of all files, or it is built from them, and says why."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.checks import between
from lockstep.data import Refreshed, read_snapshot, refresh_snapshot, split, take_snapshot
from lockstep.data.changes import files_in
from lockstep.data.growth import (
    Base,
    NotExact,
    base_of,
    grow_bucket,
    keys_aside,
    leave_aside,
    shares_with,
    why_inexact,
)
from lockstep.data.pipeline import cut_file, read_shard, write_bucket
from lockstep.data.runs import shares_of
from lockstep.data.snapshot import finish_snapshot, give_up, start_snapshot
from lockstep.data.sources import InputFile, find_files
from lockstep.data.taking import Found
from lockstep.declare import Dataset
from lockstep.places import Direct
from lockstep.registry import ObjectRef, Origin, Registry, SnapshotTaken, Version, files_of, read_manifest
from lockstep.registry.scratch import Scratch
from lockstep.source import csv
from lockstep.training.source import hash_of_clean
from lockstep.upkeep.verify import verify

ADA = Origin(by="ada")
ONE = Direct(workers=1)
HOW_MADE = ("build", "origin", "engine", "files")
DICE = ("sketch", "frequent", "distinct_sketch", "quantiles", "quantile_error")
OLD = [f"k{n},{n},{n % 3}" for n in range(90)]
MET = "a key of the new files stands in an old one, too"
KNOWN = {f"k{n}" for n in range(12)}
LINES = st.builds(
    "{},{},{}".format,
    st.sampled_from([*(f"k{n}" for n in range(12)), "", " k1"]),
    st.sampled_from(["1", "2", "2.0", "x", ""]),
    st.sampled_from(["0", "1"]),
) | st.sampled_from(["k1", "k2,1,1,1", ""])


def halve(rows: pl.DataFrame) -> pl.DataFrame:
    """Look at each row by itself: leave some out, and add a column."""
    return rows.filter(pl.col("n") != 7).with_columns(half=pl.col("n") / 2)


def centre(rows: pl.DataFrame) -> pl.DataFrame:
    """Look from each row at all others, as a `clean` must not."""
    return rows.with_columns(off=pl.col("n") - pl.col("n").mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A folder with files and a registry."""

    folder: Path
    dataset: Dataset
    registry: Registry

    def write(self, name: str, lines: list[str]) -> None:
        """Write a file with the dataset's header."""
        (self.folder / "in" / name).write_text("".join(f"{line}\n" for line in ["id,n,m", *lines]))

    def refresh(self, dataset: Dataset | None = None) -> Refreshed:
        """Look, and take a snapshot if there is something new."""
        wanted = dataset or self.dataset
        return refresh_snapshot(self.registry, wanted, ADA, code=hash_of_clean(wanted), engine=ONE)

    def in_full(self) -> tuple[Registry, Version[SnapshotTaken]]:
        """The snapshot of the same files in a registry that knows nothing."""
        other = Registry.open(f"memory://full-{id(object())}-{self.folder.name}-{len(self.registry.state().snapshots)}")
        code = hash_of_clean(self.dataset)
        return other, take_snapshot(other, self.dataset, ADA, engine=ONE, code=code)


def house_in(folder: Path, clean: Any = halve) -> House:  # noqa: ANN401  any function
    """An empty house."""
    (folder / "in").mkdir(parents=True)
    dataset = Dataset(
        "things", source=csv(str(folder / "in" / "*.csv")), key="id", columns={"n": int, "m": int}, clean=clean
    )
    return House(folder=folder, dataset=dataset, registry=Registry.open(str(folder / "registry")))


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A house with one file and its snapshot."""
    made = house_in(tmp_path / "house")
    made.write("b.csv", [*OLD, "k7,8,8", "w,1,1", "w,2,1", "bad,q,1"])
    made.refresh()
    return made


def read(registry: Registry, version: Version[SnapshotTaken]) -> tuple[dict[str, Any], dict[str, Any], pl.DataFrame]:
    """The manifest, the profile and the quarantine of a snapshot."""
    manifest = read_manifest(registry.objects, version.fact.manifest)
    files = files_of(version.fact.manifest, manifest)
    by_end = {name.rpartition("-")[2]: ref for name, ref in files.items()}
    profile = json.loads(registry.objects.get(by_end["profile.json"]))
    return manifest, profile, pl.read_parquet(io.BytesIO(registry.objects.get(by_end["quarantine.parquet"])))


def assert_as_in_full(house: House, done: Refreshed) -> None:
    """Compare with a snapshot of all files."""
    other, full = house.in_full()
    assert_same(house.registry, done.version, other, full, is_new=done.is_new)


def assert_same(
    one: Registry, made: Version[SnapshotTaken], other: Registry, full: Version[SnapshotTaken], *, is_new: bool
) -> None:
    """Compare rows, quarantine, profile, and of a snapshot that was made now also the parts and the manifest."""
    assert made.digest == full.digest
    assert read_snapshot(one, made).equals(read_snapshot(other, full))
    (manifest, profile, bad), (wanted, wanted_profile, wanted_bad) = read(one, made), read(other, full)
    assert bad.equals(wanted_bad)
    assert without_dice(profile) == without_dice(wanted_profile)
    if is_new:
        parts = [{name: file for name, file in one["files"].items() if "part" in name} for one in (manifest, wanted)]
        assert parts[0] == parts[1]
        rest = [{name: value for name, value in one.items() if name not in HOW_MADE} for one in (manifest, wanted)]
        assert rest[0] == rest[1]


def without_dice(value: Any) -> Any:  # noqa: ANN401  any JSON
    """A profile without its sketches and what is read from them."""
    if isinstance(value, dict):
        return {k: without_dice(v) for k, v in value.items() if k not in DICE}
    return value


# ------------------------------------------------------------------------------------------------------- equal, or full


def played(registry: Registry, dataset: Dataset, files: list[InputFile], base: Base | None) -> Version[SnapshotTaken]:
    """Do what the pipelines do, step by step, in this thread: of all files, or of those that the base has not."""
    taking = start_snapshot(registry, dataset, ONE, uuid4().hex, found=Found(files=tuple(files)), code="same")
    scratch, folder = Scratch.open(registry.uri), taking.scratch
    try:
        known = set() if base is None else set(paths_of(registry, base))
        runs = [
            run
            for number, file in enumerate(files)
            if file.path not in known
            for shard in cut_file(dataset, scratch, (f"{number:06d}", file))
            for run in read_shard(dataset, folder, 4, scratch, shard)
        ]
        if base is None:
            for share in shares_of(runs):
                list(write_bucket(dataset, folder, scratch, share))
        else:
            leave_aside(dataset, base, registry.objects, folder)
            for share in shares_with(base, (0, runs)):
                list(grow_bucket(dataset, base, folder, scratch, share))
            if why := why_inexact(registry.objects, folder):
                raise NotExact(why)
        version = finish_snapshot(registry, taking, ADA, ONE, base)
        assert version is not None
        return version
    finally:
        give_up(registry, folder)


def paths_of(registry: Registry, base: Base) -> list[str]:
    """The files that a base was made of."""
    version = registry.state().snapshot(base.ref)
    return [file.path for file in files_in(read_manifest(registry.objects, version.fact.manifest))]


@settings(max_examples=80, deadline=None)
@given(
    first=st.lists(LINES, max_size=12),
    second=st.lists(LINES | st.builds("n{},{},1".format, st.integers(0, 30), st.integers(5, 9)), max_size=8),
    third=st.lists(st.builds("p{},{},1".format, st.integers(0, 30), st.integers(5, 9)), max_size=8),
)
def test_what_is_added_to_is_what_is_built_in_full(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], second: list[str], third: list[str]
) -> None:
    """Whatever old and new files hold, what is added to a snapshot gives that of all files, or the attempt ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "BUCKETS", 2)
        patch.setattr(split, "FULL", 4)  # rows of a bucket: so few that there are soon twice as many
        house = house_in(tmp_path_factory.mktemp("house") / "house")
        house.write("b.csv", ["zero,1,1", *first])
        one = Registry.open(f"memory://{uuid4().hex}")
        last = played(one, house.dataset, find_files(house.dataset.source), None)
        for name, lines in (("c.csv", second), ("a.csv", third)):
            house.write(name, lines)
            files = find_files(house.dataset.source)
            other = Registry.open(f"memory://{uuid4().hex}")
            full = played(other, house.dataset, files, None)
            try:
                base = base_of(last.ref, last.fact.manifest, read_manifest(one.objects, last.fact.manifest))
                made = played(one, house.dataset, files, base)
            except NotExact as why:
                keys = {line.partition(",")[0].strip() for line in lines}
                assert keys & KNOWN or str(why).startswith("the rows are so many")  # noqa: PT017  both ends are looked at
                last = played(one, house.dataset, files, None)
            else:
                assert_same(one, made, other, full, is_new=made.number > last.number)
                last = made


def test_new_keys_are_added_without_reading_old_files(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a source with new keys only the new file is read; buckets without new rows go on byte for byte."""
    read_files = list[str]()
    before = read(house.registry, house.registry.state().snapshot("things@1"))[0]["files"]
    from lockstep.data import pipeline

    whole = pipeline.chunks_of

    def noted(source: Any, shard: Any) -> Iterator[Any]:  # noqa: ANN401  as chunks_of
        read_files.append(Path(shard.file.path).name)
        return whole(source, shard)

    monkeypatch.setattr(pipeline, "chunks_of", noted)
    house.write("c.csv", ["new,4,1", "new,4,1", "worse,z,1"])
    done = house.refresh()
    assert (done.how, done.is_new, done.version.number, read_files) == ("incremental", True, 2, ["c.csv"])
    after = read(house.registry, done.version)[0]
    assert after["build"] == {"kind": "incremental", "base": "things@1"}
    kept = [name for name, file in before.items() if name.startswith("part-") and after["files"].get(name) == file]
    assert len(kept) == sum(name.startswith("part-") for name in before) - 1
    monkeypatch.undo()
    assert_as_in_full(house, done)
    assert house.registry.objects.names("scratch") == []


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["k5,5,2"], MET),
        (["k5,6,2"], MET),
        (["k7,1,1"], MET),  # which clean left out, and which conflicted
        (["w,3,3"], MET),
        (["bad,1,1"], MET),
    ],
    ids=["equal", "different", "left out", "in conflict", "never typed"],
)
def test_a_key_that_comes_again_makes_a_full_build(house: House, lines: list[str], why: str) -> None:
    """A key of an old row, kept or set aside, in a new file: all files are read, and manifest and result say why."""
    house.write("c.csv", lines)
    done = house.refresh()
    assert (done.how, done.why) == ("full", why)
    assert read(house.registry, done.version)[0]["build"] == {"kind": "full", "why": why}
    assert_as_in_full(house, done)


def test_another_number_of_buckets_makes_a_full_build(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the new rows make twice as many buckets, all files are read."""
    monkeypatch.setattr(split, "FULL", 6)  # 16 buckets hold 96 rows
    house.write("c.csv", [f"n{n},1,1" for n in range(20)])
    done = house.refresh()
    assert done.why == "the rows are so many now that there are 32 buckets instead of 16"
    assert_as_in_full(house, done)


def test_a_clean_that_looks_at_other_rows_makes_a_full_build(tmp_path: Path) -> None:
    """A `clean` whose result for a row hangs on other rows is noticed by cleaning the new rows in two ways."""
    house = house_in(tmp_path / "house", centre)
    house.write("b.csv", OLD)
    house.refresh()
    house.write("c.csv", [f"n{n},{n * n},1" for n in range(200)])
    done = house.refresh()
    assert (done.how, done.why) == ("full", "clean makes something else of a row when it gets other rows beside it")
    assert_as_in_full(house, done)


# -------------------------------------------------------------------------------------------------- nothing, or another


def test_nothing_new_runs_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files, also written again with other times, run no pipeline; so do files whose content was seen."""
    house.write("c.csv", [])
    assert (house.refresh().how, house.refresh().how) == ("incremental", "unchanged")
    monkeypatch.setattr("lockstep.data.pipeline.build_pipeline", None)
    monkeypatch.setattr("lockstep.data.refresh.build_growth", None)
    house.write("c.csv", [])
    done = house.refresh()
    assert (done.how, done.is_new, done.version.ref) == ("unchanged", False, "things@1")
    assert done.says[-1] == "These files were seen before: they hold things@1."
    assert len(house.registry.objects.names("inputs")) == 1
    assert list(verify(house.registry)) == []


def test_an_old_content_that_comes_back_is_known_afterwards(house: House) -> None:
    """A source that goes back to an older content is read once for it, and known from then on."""
    text = (house.folder / "in" / "b.csv").read_text()
    house.write("b.csv", OLD)
    assert house.refresh().version.ref == "things@2"
    (house.folder / "in" / "b.csv").write_text(text)
    back = house.refresh()
    assert (back.version.ref, back.is_new, back.how) == ("things@1", False, "full")
    assert back.why == "files that things@2 was made of are not as they were (grown)"
    assert (house.refresh().how, house.refresh().version.ref) == ("unchanged", "things@1")


@pytest.mark.parametrize("what", ["columns", "clean"])
def test_another_declaration_makes_a_full_build(house: House, what: str) -> None:
    """The same files under another declaration, or with another `clean`, are read anew."""
    columns = {"n": int, "m": int | None} if what == "columns" else {"n": int, "m": int}
    clean = halve if what == "columns" else centre
    other = Dataset("things", source=house.dataset.source, key="id", columns=columns, clean=clean)
    done = house.refresh(other)
    assert (done.how, done.why) == (
        "full",
        "the declaration, the code of clean or a library is not that of things@1",
    )


def test_a_dataset_with_checks_is_built_in_full(house: House) -> None:
    """Checks speak of all rows, so that they are all read; where nothing changed, even these are not."""
    other = replace(house.dataset, checks=[between("n", 0, 1000)])
    house.write("c.csv", ["new,1,1"])
    assert house.refresh(other).how == "full"
    house.write("d.csv", ["newer,1,1"])
    done = house.refresh(other)
    assert (done.how, done.why) == ("full", "the dataset has checks, which speak of all its rows together")
    assert house.refresh(other).how == "unchanged"


def test_a_clean_that_nobody_can_tell_is_never_taken_for_the_same(house: House) -> None:
    """A lambda has no code of its own to be known by, so that each look reads all files."""
    other = Dataset(
        "things", source=house.dataset.source, key="id", columns={"n": int, "m": int}, clean=lambda rows: rows.head(50)
    )
    assert hash_of_clean(other) is None
    for _ in range(2):
        done = house.refresh(other)
        assert (done.how, done.why[:35]) == ("full", "clean comes from no file by itself,")


def test_a_manifest_that_says_too_little_is_not_added_to() -> None:
    """A snapshot of an older Lockstep is no base, and a quarantine without keys is none either."""
    with pytest.raises(NotExact, match=r"^things@1 was taken by an older Lockstep"):
        base_of("things@1", ObjectRef(path="m", sha256="", size=0), {"files": {}})
    dataset = Dataset("things", source=csv("*.csv"), key="id", columns={"n": int})
    rows = [json.dumps({"id": "k1", "n": 1}), json.dumps({"id": None}), "k1,2,3", "7"]
    assert len(keys_aside(dataset, pl.DataFrame({"_raw": rows}))) == 1
    with pytest.raises(NotExact, match=r'^a row in quarantine does not tell its "id"$'):
        keys_aside(dataset, pl.DataFrame({"_raw": ['{"n": 1}']}))
