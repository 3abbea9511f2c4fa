"""Snapshots on a real Beam runner and a real registry."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lockstep.data import read_snapshot, take_snapshot
from lockstep.data.split import SPLIT
from lockstep.declare import Dataset
from lockstep.errors import DataError, ObjectDamaged, ObjectMissing
from lockstep.registry import Objects, Origin, Registry, SnapshotTaken, Version, files_of, read_manifest
from lockstep.source import parquet

ORIGIN = Origin(by="tester", why="to see")
HEADER = "visit,guests,bill,table,regular,day,rating,unused"
GOOD = [
    f"v{n:03},{n % 7 + 1},{n / 4},t{n % 5},{'yes' if n % 3 else 'no'},2026-01-{n % 28 + 1:02},{n % 5 or ''},u"
    for n in range(120)
]
# reason → the lines that carry it
BAD = {
    "guests: blank, an int is needed": ["w1,,1.5,t1,true,2026-01-01,1,u"],
    'bill: "a lot" is not a float; day: blank, a date (YYYY-MM-DD) is needed': ["w2,1,a lot,t1,false,,1,u"],
    "visit: blank, a text is needed": [",1,1.5,t1,false,2026-01-01,,u"],
    'visit: key "v000" stands here again, with the same content': [GOOD[0]],
    'visit: key "w3" stands 2 times, with different content': [
        "w3,1,1.5,t1,false,2026-01-01,1,u",
        "w3,2,1.5,t1,false,2026-01-01,1,u",
    ],
}
RAGGED = "w4,1,1.5"
COLUMNS = HEADER.split(",")

FileWriter = Callable[[str, Sequence[str]], Path]
DatasetMaker = Callable[..., Dataset]
Taken = Version[SnapshotTaken]


def failing(rows: pl.DataFrame) -> pl.DataFrame:
    """Fail on one row, as a wrong `clean` does, while other rows still take their time."""
    if "v007" in rows["visit"]:
        raise ZeroDivisionError(f"columns: {rows.width}")
    time.sleep(0.3)
    return rows


def table_lines(*, ragged: bool = True) -> list[str]:
    """Every row below the header, good and bad."""
    return [*GOOD, *(line for lines in BAD.values() for line in lines), *([RAGGED] if ragged else [])]


def shuffled(lines: list[str]) -> list[str]:
    """The same lines in another order."""
    return Random(3).sample(lines, len(lines))  # noqa: S311  an order, not a secret


def bytes_below(folder: Path, *, but: str = "") -> dict[str, str]:
    """Path → hash of each file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    named = {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}
    return {name: digest for name, digest in named.items() if not (but and name.startswith(but))}


def quarantine_of(registry: Registry, version: Taken) -> pl.DataFrame:
    """The rows that were set aside."""
    files = files_of(version.fact.manifest, read_manifest(registry.objects, version.fact.manifest))
    (ref,) = (ref for name, ref in files.items() if name.endswith("quarantine.parquet"))
    return pl.read_parquet(io.BytesIO(registry.objects.get(ref)))


def entries_of(registry: Registry) -> int:
    """How many entries the log has."""
    return len(list(registry.log.entries()))


@pytest.fixture(scope="module")
def taken_once(tmp_path_factory: pytest.TempPathFactory, visits: DatasetMaker) -> Path:
    """A folder with `in/visits.csv` and `registry`, which holds its snapshot."""
    folder = tmp_path_factory.mktemp("taken")
    (folder / "in").mkdir()
    (folder / "in" / "visits.csv").write_text("\n".join([HEADER, *table_lines()]))
    take_snapshot(Registry.open(str(folder / "registry")), visits(str(folder / "in" / "*.csv")), ORIGIN)
    return folder


@pytest.fixture
def registry(taken_once: Path, tmp_path: Path) -> Iterator[Registry]:
    """The test's own copy of that registry. At the end, nothing is left under `scratch/`."""
    shutil.copytree(taken_once / "registry", tmp_path / "registry")
    opened = Registry.open(str(tmp_path / "registry"))
    yield opened
    assert opened.objects.names("scratch") == []


@pytest.fixture
def first(registry: Registry) -> Taken:
    """The snapshot in it."""
    (version,) = registry.state().snapshots["visits"]
    return version


# --------------------------------------------------------------------------------------------------------- what is kept


def test_rows_come_back_typed_and_split(registry: Registry, first: Taken) -> None:
    """What was good in the source comes back with its declared types, and the splits divide it without rest."""
    rows = read_snapshot(registry, first)
    assert sorted(rows["visit"]) == [line.split(",")[0] for line in GOOD]
    types = {"visit": pl.String, "guests": pl.Int64, "bill": pl.Float64, "table": pl.String, "regular": pl.Boolean}
    assert rows.schema == types | {"day": pl.Date, "rating": pl.Int64, SPLIT: pl.String}
    assert rows.filter(visit="v005").rows()[0][1:5] == (6, 1.25, "t0", True)
    parts = [read_snapshot(registry, first, split) for split in ("train", "validation", "test")]
    assert_frame_equal(pl.concat(parts).sort("visit"), rows.sort("visit"))


def test_every_row_is_accounted_for(registry: Registry, first: Taken, taken_once: Path) -> None:
    """The quarantine holds each bad row with reason and place; kept and quarantined rows are all of the source."""
    bad = quarantine_of(registry, first)
    expected = [reason for reason, lines in BAD.items() for _ in lines] + ["3 fields where the header has 8"]
    assert sorted(bad["_reason"]) == sorted(expected)
    assert first.fact.rows + first.fact.quarantined == len(table_lines())
    assert (first.fact.rows, first.fact.quarantined) == (len(GOOD), bad.height)
    source = (taken_once / "in" / "visits.csv").read_text().splitlines()
    for file, line, reason, raw in bad.select("_file", "_line", "_reason", "_raw").rows():
        assert Path(file).name == "visits.csv"
        cells = [raw] if reason.endswith("the header has 8") else [str(json.loads(raw)["visit"] or "")]
        assert source[line - 1].startswith(cells[0])


def test_the_manifest_adds_up(registry: Registry, first: Taken, taken_once: Path) -> None:
    """The manifest counts rows by split and reason, and names the source's files with their hashes."""
    manifest = read_manifest(registry.objects, first.fact.manifest)
    rows = read_snapshot(registry, first)
    assert manifest["digest"] == first.digest == first.fact.digest
    assert manifest["rows_by_split"] == dict(rows[SPLIT].value_counts().rows())
    assert sum(manifest["reasons"].values()) == manifest["quarantined"] == first.fact.quarantined
    (file,) = manifest["source"]["files"]
    assert file["sha256"] == sha256((taken_once / "in" / "visits.csv").read_bytes()).hexdigest()
    assert manifest["origin"]["by"] == "tester"


# ------------------------------------------------------------------------------------------------- the same, or another


def test_order_and_files_do_not_count(
    registry: Registry, first: Taken, write_lines: FileWriter, visits: DatasetMaker
) -> None:
    """The same rows in another order, cut into other files, are the same snapshot: nothing is written."""
    lines = shuffled(table_lines())
    write_lines("other/a.csv", [HEADER, *lines[:50]])
    pattern = str(write_lines("other/b.csv", [HEADER, *lines[50:]]).with_name("*.csv"))
    before = bytes_below(Path(registry.uri.removeprefix("file://")))
    again = take_snapshot(registry, visits(pattern), ORIGIN)
    assert (again.digest, again.number, entries_of(registry)) == (first.digest, first.number, 1)
    assert bytes_below(Path(registry.uri.removeprefix("file://"))) == before


def test_the_format_does_not_count(tmp_path: Path, write_lines: FileWriter, visits: DatasetMaker) -> None:
    """The same rows from typed Parquet instead of CSV are the same snapshot."""
    registry = Registry.open(str(tmp_path / "registry"))
    # in a typed column there is no wrong text, only a blank
    lines = [line.replace("a lot", "") for line in table_lines(ragged=False)]
    from_csv = take_snapshot(registry, visits(str(write_lines("visits.csv", [HEADER, *lines]))), ORIGIN)
    text = pl.DataFrame([line.split(",") for line in lines], schema=COLUMNS, orient="row")
    blank = text.with_columns(pl.when(pl.all() != "").then(pl.all()))
    typed = blank.with_columns(
        pl.col("guests").cast(pl.Int32),
        pl.col("bill").cast(pl.Float64),
        pl.col("table").cast(pl.Categorical),
        pl.col("regular").is_in(["yes", "true"]),
        pl.col("day").str.to_date(),
        pl.col("rating").cast(pl.UInt8),
    )
    typed.sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / "visits.parquet")
    dataset = replace(visits(), source=parquet(str(tmp_path / "visits.parquet")))
    from_parquet = take_snapshot(registry, dataset, ORIGIN)
    assert_frame_equal(read_snapshot(registry, from_parquet), read_snapshot(registry, from_csv))
    assert from_parquet.digest == from_csv.digest
    assert entries_of(registry) == 1


def test_a_changed_value_makes_another_snapshot(
    registry: Registry, first: Taken, write_lines: FileWriter, visits: DatasetMaker
) -> None:
    """One changed value makes a second snapshot beside the first, of which no byte changes."""
    folder = Path(registry.uri.removeprefix("file://"))
    before, rows = bytes_below(folder), read_snapshot(registry, first)
    lines = [line.replace("v005,6,", "v005,7,") for line in table_lines()]
    second = take_snapshot(registry, visits(str(write_lines("visits.csv", [HEADER, *lines]))), ORIGIN)
    assert second.digest != first.digest
    assert (second.number, entries_of(registry)) == (2, 2)
    assert before.items() <= bytes_below(folder).items()
    assert_frame_equal(read_snapshot(registry, first), rows)
    changed = read_snapshot(registry, second).join(rows, on=rows.columns, how="anti", nulls_equal=True)
    assert changed["visit"].to_list() == ["v005"]


# ------------------------------------------------------------------------------------------------------------- failures


def test_a_failing_clean_is_reported(registry: Registry, visits: DatasetMaker, write_lines: FileWriter) -> None:
    """An error in `clean` comes through Beam as ours, and leaves nothing behind, also when slower workers end later."""
    folder = Path(registry.uri.removeprefix("file://"))
    before = bytes_below(folder)
    with pytest.raises(DataError) as caught:
        take_snapshot(registry, visits(str(write_lines("visits.csv", [HEADER, *GOOD])), clean=failing), ORIGIN)
    assert str(caught.value) == (
        'Dataset "visits": failing failed on 6 rows: ZeroDivisionError: columns: 7. It gets the declared columns'
        " (visit, guests, bill, table, regular, day, rating)."
    )
    time.sleep(1)  # what still ran when the first bucket failed has ended by now
    assert bytes_below(folder) == before


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "its 1 files hold no rows. Put rows there, or correct the pattern."),
        (
            [*BAD["guests: blank, an int is needed"], RAGGED, RAGGED],
            (
                "none of 3 rows can be used. The commonest reasons: 3 fields where the header has 8 (2 rows); guests:"
                " blank, an int is needed (1 rows). Correct the source or the declared columns."
            ),
        ),
    ],
    ids=["no rows", "no good rows"],
)
def test_a_source_without_usable_rows_is_refused(
    registry: Registry, visits: DatasetMaker, write_lines: FileWriter, lines: list[str], message: str
) -> None:
    """A source without rows, or with none that can be used, is refused with the commonest reasons."""
    with pytest.raises(DataError) as caught:
        take_snapshot(registry, visits(str(write_lines("visits.csv", [HEADER, *lines]))), ORIGIN)
    assert str(caught.value) == f'Dataset "visits": {message}'
    assert entries_of(registry) == 1


@pytest.mark.parametrize("name", ["part", "manifest"])
def test_a_damaged_file_is_not_read(registry: Registry, first: Taken, name: str) -> None:
    """One flipped bit in a part or in the manifest, and the snapshot is refused."""
    folder = Path(registry.uri.removeprefix("file://")) / "datasets" / "visits" / first.digest
    victim = next(path for path in sorted(folder.iterdir()) if path.name.startswith(name))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    with pytest.raises(ObjectDamaged, match=victim.name):
        read_snapshot(registry, first)


def test_a_missing_part_is_noticed(registry: Registry, first: Taken) -> None:
    """A part that is gone is named."""
    folder = Path(registry.uri.removeprefix("file://")) / "datasets" / "visits" / first.digest
    victim = min(path for path in folder.iterdir() if path.name.startswith("part-"))
    victim.unlink()
    with pytest.raises(ObjectMissing, match=victim.name):
        read_snapshot(registry, first)


# ---------------------------------------------------------------------------------------------------- killed, and again


@pytest.mark.parametrize("lost", [["log"], ["log", "manifest.json"], ["log", "manifest.json", "part-00003"]], ids=len)
def test_what_a_killed_attempt_left_is_used(
    registry: Registry, first: Taken, taken_once: Path, visits: DatasetMaker, lost: list[str]
) -> None:
    """Killed before the entry, the manifest, or a part was written, the next attempt ends in the same snapshot."""
    folder = Path(registry.uri.removeprefix("file://"))
    expected, rows = bytes_below(folder, but="log"), read_snapshot(registry, first)
    shutil.rmtree(folder / "log")
    for path in (folder / "datasets" / "visits" / first.digest).iterdir():
        if path.name.startswith(tuple(lost)):
            path.unlink()
    opened = Registry.open(str(folder))
    again = take_snapshot(opened, visits(str(taken_once / "in" / "*.csv")), ORIGIN)
    assert (again.digest, entries_of(opened)) == (first.digest, 1)
    assert_frame_equal(read_snapshot(opened, again), rows)
    assert bytes_below(folder, but="log") == expected


KILLED = """
import sys, time
from datetime import date
from pathlib import Path
from lockstep.data import take_snapshot
from lockstep.declare import Dataset, by_hash
from lockstep.source import csv
from lockstep.registry import Origin, Registry

registry, pattern, marker = sys.argv[1:]

def sleeping(rows):
    if "v007" in rows["visit"]:
        Path(marker).touch()
        time.sleep(600)
    return rows

columns = {"guests": int, "bill": float, "table": str, "regular": bool, "day": date, "rating": int | None}
split = by_hash(test=0.2, validation=0.2)
visits = Dataset("visits", source=csv(pattern), key="visit", columns=columns, clean=sleeping, split=split)
take_snapshot(Registry.open(registry), visits, Origin(by="killed"))
"""


def _until(seen: Callable[[], Any], *, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not seen():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def test_killed_in_the_middle_and_tried_again(
    tmp_path: Path, taken_once: Path, visits: DatasetMaker, pytestconfig: pytest.Config
) -> None:
    """A process killed while its pipeline writes leaves no entry, and the next attempt ends as an undisturbed one."""
    script, marker, folder = tmp_path / "killed.py", tmp_path / "marker", tmp_path / "registry"
    pattern = str(taken_once / "in" / "*.csv")
    script.write_text(KILLED)
    process = subprocess.Popen(
        [sys.executable, script, folder, pattern, marker],
        env=os.environ | {"PYTHONPATH": str(pytestconfig.rootpath / "include")},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _until(lambda: marker.exists() or process.poll() is not None, timeout=90)
        _until(lambda: list(folder.glob("scratch/*/part-*")) or process.poll() is not None, timeout=30)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    registry = Registry.open(str(folder))
    assert registry.state().snapshots.get("visits", ()) == ()
    assert registry.objects.names("datasets") == []
    left = registry.objects.names("scratch")
    again = take_snapshot(registry, visits(pattern), ORIGIN)

    undisturbed = Registry.open(str(taken_once / "registry"))
    (first,) = undisturbed.state().snapshots["visits"]
    assert (again.digest, entries_of(registry)) == (first.digest, 1)
    assert_frame_equal(read_snapshot(registry, again), read_snapshot(undisturbed, first))
    assert Objects.open(str(folder)).names("scratch") == left


def test_a_file_without_a_declared_column_is_named(
    registry: Registry, visits: DatasetMaker, write_lines: FileWriter
) -> None:
    """Among many files, the one whose header lacks a declared column is named."""
    write_lines("visits/good.csv", [HEADER, *GOOD])
    odd = write_lines("visits/odd.csv", ["visit,guests", "v1,2"])
    with pytest.raises(DataError) as caught:
        take_snapshot(registry, visits(str(odd.with_name("*.csv"))), ORIGIN)
    assert str(caught.value) == (
        f"File {odd}: Columns bill, table, regular, day, rating are declared, but the rows have only visit, guests."
        " Correct the source or the declaration."
    )
