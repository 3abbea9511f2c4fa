"""Two snapshots held against each other, bucket by bucket."""

from dataclasses import replace
from uuid import uuid4

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.data import split
from lockstep.data.bucket import Bucket
from lockstep.data.compared import PRIVATE, SnapshotDiff, snapshot_diff
from lockstep.data.pipeline import _to_bytes, leave_bucket
from lockstep.data.snapshot import finish_snapshot, give_up, start_snapshot
from lockstep.data.split import SPLIT, bucket_of, buckets_of, hash_keys
from lockstep.data.taking import Found
from lockstep.declare import Dataset
from lockstep.errors import UsageError
from lockstep.places import Direct
from lockstep.registry import Origin, Registry, SnapshotTaken, Version
from lockstep.registry.scratch import Scratch
from lockstep.source import csv

ADA = Origin(by="ada")
THINGS = Dataset("things", source=csv("*.csv"), key="id", columns={"n": int, "word": str, "secret": str})
Reasons = tuple[tuple[str, ...], tuple[str, ...]]
Table = dict[str, tuple[int | None, str]]


def snapshot_of(registry: Registry, rows: pl.DataFrame, reasons: tuple[str, ...] = ()) -> Version[SnapshotTaken]:
    """A snapshot of cleaned rows, and of bad ones with these reasons."""
    taking = start_snapshot(registry, THINGS, Direct(), uuid4().hex, found=Found(files=()))
    scratch = Scratch.open(registry.uri)
    hashes = hash_keys(rows["id"])
    numbers = bucket_of(hashes, buckets_of(rows.height))
    bad = pl.DataFrame(
        [("f", line, reason, "{}") for line, reason in enumerate(reasons)],
        schema={"_file": pl.String, "_line": pl.Int64, "_reason": pl.String, "_raw": pl.String},
        orient="row",
    )
    scratch.leave(f"{taking.scratch}/bad-of-000000.arrow", _to_bytes(bad))
    for number in sorted({*numbers}):
        kept = rows.filter(numbers == number).sort("id").with_columns(pl.lit("train").alias(SPLIT))
        leave_bucket(scratch, taking.scratch, "id", number, Bucket(kept=kept, bad=bad.clear()))
    version = finish_snapshot(registry, taking, ADA, Direct())
    give_up(registry, taking.scratch)
    assert version is not None
    return version


def frame(table: Table) -> pl.DataFrame:
    """Rows by key."""
    rows = [(key, number, word, word * 2) for key, (number, word) in table.items()]
    return pl.DataFrame(
        rows,
        schema={"id": pl.String, "n": pl.Int64, "word": pl.String, "secret": pl.String},
        orient="row",
    )


def diff_of(
    old: pl.DataFrame, new: pl.DataFrame, dataset: Dataset = THINGS, *, reasons: Reasons = ((), ())
) -> SnapshotDiff:
    """Compare two snapshots of these rows, and of bad ones with these reasons."""
    registry = Registry.open(f"memory://{uuid4().hex}")
    versions = [snapshot_of(registry, rows, why) for rows, why in zip((old, new), reasons, strict=True)]
    return snapshot_diff(registry, dataset, *versions)


TABLES = st.dictionaries(
    st.sampled_from([f"k{n}" for n in range(12)]),
    st.tuples(st.none() | st.integers(0, 2), st.sampled_from(["a", "b"])),
    min_size=1,
)


@settings(max_examples=40, deadline=None)
@given(old=TABLES, new=TABLES)
def test_rows_are_counted_as_a_dict_counts_them(old: Table, new: Table) -> None:
    """Whatever the rows, and though one snapshot has more buckets, all are counted as two dicts tell them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "BUCKETS", 2)
        patch.setattr(split, "FULL", 3)
        found = diff_of(frame(old), frame(new))
    both = old.keys() & new.keys()
    changed = {key for key in both if old[key] != new[key]}
    assert (found.added.count, found.removed.count) == (len(new.keys() - old), len(old.keys() - new))
    assert (found.changed.count, found.unchanged) == (len(changed), len(both) - len(changed))
    assert found.added.keys == sorted(new.keys() - old)[:5]
    assert found.changed.keys == sorted(changed)[:5]
    assert found.values.get("n", 0) == sum(old[key][0] != new[key][0] for key in both)
    assert found.values.get("word", 0) == sum(old[key][1] != new[key][1] for key in both)
    assert found.is_same == (old == new)


def test_columns_and_quarantine_are_told() -> None:
    """Columns that came, went or have another type are named, whose values are not compared; so are reasons."""
    old = frame({"a": (1, "x"), "b": (2, "y")})
    new = old.drop("word").with_columns(pl.col("n").cast(pl.Float64), extra=pl.lit(value=True))
    found = diff_of(old, new, reasons=(("late", "odd"), ("late", "late")))
    assert (found.columns_added, found.columns_removed) == ({"extra": "Boolean"}, {"word": "String"})
    assert found.columns_retyped == {"n": ("Int64", "Float64")}
    assert (found.unchanged, found.changed.count) == (2, 0)
    assert (found.quarantined, found.reasons) == ((2, 2), {"late": (1, 2), "odd": (1, 0)})
    assert found.as_text().splitlines() == [
        "things@1 → things@2",
        "rows added: 0",
        "rows removed: 0",
        "rows changed: 0",
        "rows unchanged: 2",
        "column added: extra (Boolean)",
        "column removed: word (String)",
        "column retyped: n, Int64 → Float64",
        "quarantined: 2 → 2",
        "  late: 1 → 2",
        "  odd: 1 → 0",
    ]


def test_private_columns_are_not_shown() -> None:
    """Of private columns neither names nor values are shown, in rows, columns or reasons; a private key hides keys."""
    old, new = frame({"a": (1, "x"), "b": (2, "y")}), frame({"a": (1, "z"), "c": (2, "y")})
    hidden = replace(THINGS, private=["id", "secret"])
    found = diff_of(old, new, hidden, reasons=((), ('secret: "pass" is not an int',) * 2))
    assert (found.added.keys, found.removed.keys, found.changed.keys) == ([], [], [])
    assert found.values == {"word": 1, PRIVATE: 1}
    assert found.reasons == {PRIVATE: (0, 2)}
    assert "secret" not in found.as_text() + str(found.as_json())
    assert '"a"' not in str(found.as_json())
    gone = diff_of(old, new.drop("secret"), hidden)
    assert "secret" not in str(gone.as_json())


def test_keys_of_another_type_are_matched_by_their_text() -> None:
    """A key column that became a number names the same rows."""
    old = frame({"1": (1, "x"), "2": (2, "y")})
    found = diff_of(old, old.with_columns(pl.col("id").cast(pl.Int64)))
    assert (found.unchanged, found.added.count, found.columns_retyped) == (2, 0, {"id": ("String", "Int64")})


def test_snapshots_of_two_datasets_are_refused() -> None:
    """Two snapshots can be compared if they are of one dataset."""
    registry = Registry.open(f"memory://{uuid4().hex}")
    version = snapshot_of(registry, frame({"a": (1, "x")}))
    with pytest.raises(UsageError, match=r"^things@1 and things@1 are snapshots of two datasets"):
        snapshot_diff(registry, replace(THINGS, name="others"), version, version)
