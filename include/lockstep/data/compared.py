"""Two snapshots of a dataset, row by row: what came, what went, what changed.

Rules:
- Memory does not grow with the number of rows: the buckets of one snapshot are held against those of the other, one
  after the other, since a key is in the same bucket in both, or in one half of it; and of a bucket, a column at a time.
- Of the rows only keys are shown, a few of them. Of columns that are declared private, nothing is shown: neither their
  names nor their values; what changes in them is counted together.
- Values of a column whose type has changed are not compared: that is told of the column.
"""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import polars as pl

from lockstep.data.split import SPLIT, buckets_of
from lockstep.declare import Dataset
from lockstep.errors import UsageError
from lockstep.registry import ObjectRef, Registry, SnapshotTaken, Version, files_of, read_manifest
from lockstep.registry.removal import told_if_removed

KEYS_SHOWN: Final = 5
_REASONS_SHOWN: Final = 5
PRIVATE: Final = "(private columns)"
_PART: Final = "part-"
_OLD, _NEW = "\0old", "\0new"


@dataclass(slots=True, kw_only=True)
class Rows:
    """Rows of one kind: how many, and the least keys among them."""

    count: int = 0
    keys: list[Any] = field(default_factory=list)

    def add(self, keys: pl.Series) -> None:
        """Count further rows in."""
        self.count += len(keys)
        self.keys = sorted([*self.keys, *keys.sort().head(KEYS_SHOWN)])[:KEYS_SHOWN]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotDiff:
    """What a newer snapshot has that an older one has not, and the other way round.

    Attributes:
        old, new: as `customers@3`.
        unchanged: rows that are the same in both.
        values: column → in how many rows its value changed; `_split` where a row went to another split.
        columns_added, columns_removed: column → type.
        columns_retyped: column → type before and after.
        quarantined: rows set aside, before and after.
        reasons: reason → rows set aside for it before and after, where these differ; as the manifests keep them.
    """

    old: str
    new: str
    added: Rows
    removed: Rows
    changed: Rows
    unchanged: int
    values: Mapping[str, int]
    columns_added: Mapping[str, str]
    columns_removed: Mapping[str, str]
    columns_retyped: Mapping[str, tuple[str, str]]
    quarantined: tuple[int, int]
    reasons: Mapping[str, tuple[int, int]]

    @property
    def is_same(self) -> bool:
        """Whether the two hold the same rows, in columns and in quarantine."""
        rows = self.added.count + self.removed.count + self.changed.count
        columns = {**self.columns_added, **self.columns_removed, **self.columns_retyped}
        return not rows and not columns and not self.reasons and self.quarantined[0] == self.quarantined[1]

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        before, after = self.quarantined
        return {
            "old": self.old,
            "new": self.new,
            "same": self.is_same,
            "rows": {
                **{
                    name: {"count": rows.count, "keys": [_plain(key) for key in rows.keys]}
                    for name, rows in (("added", self.added), ("removed", self.removed), ("changed", self.changed))
                },
                "unchanged": self.unchanged,
            },
            "changed_values": dict(self.values),
            "columns": {
                "added": dict(self.columns_added),
                "removed": dict(self.columns_removed),
                "retyped": {name: {"from": old, "to": new} for name, (old, new) in self.columns_retyped.items()},
            },
            "quarantined": {
                "from": before,
                "to": after,
                "reasons": {why: {"from": old, "to": new} for why, (old, new) in self.reasons.items()},
            },
        }

    def as_text(self) -> str:
        """For people, a line for each kind of difference."""
        lines = [f"{self.old} → {self.new}" + (": the same rows" if self.is_same else "")]
        for name, rows in (("added", self.added), ("removed", self.removed), ("changed", self.changed)):
            keys = ", ".join(map(str, rows.keys)) + (", …" if rows.count > len(rows.keys) else "")
            lines.append(f"rows {name}: {rows.count:,}" + (f" ({keys})" if rows.keys else ""))
        lines.append(f"rows unchanged: {self.unchanged:,}")
        lines += [f"  {name} changed in {count:,} rows" for name, count in self.values.items()]
        lines += [f"column added: {name} ({dtype})" for name, dtype in self.columns_added.items()]
        lines += [f"column removed: {name} ({dtype})" for name, dtype in self.columns_removed.items()]
        lines += [f"column retyped: {name}, {old} → {new}" for name, (old, new) in self.columns_retyped.items()]
        before, after = self.quarantined
        lines.append(f"quarantined: {before:,} → {after:,}")
        shown = islice(self.reasons.items(), _REASONS_SHOWN)
        lines += [f"  {reason}: {old:,} → {new:,}" for reason, (old, new) in shown]
        if len(self.reasons) > _REASONS_SHOWN:
            lines.append(f"  and {len(self.reasons) - _REASONS_SHOWN} other reasons")
        return "\n".join(lines)


def snapshot_diff(
    registry: Registry, dataset: Dataset, old: Version[SnapshotTaken], new: Version[SnapshotTaken]
) -> SnapshotDiff:
    """Compare two snapshots of a dataset; its declaration says which columns are private.

    Raises:
        UsageError: they are of two datasets, or their rows have keys of two columns.
        ObjectMissing, ObjectDamaged, VersionRemoved: a snapshot can't be read.
    """
    if {old.name, new.name} != {dataset.name}:
        raise UsageError(
            f"{old.ref} and {new.ref} are snapshots of two datasets, whose keys have nothing to do with each other."
            f" Give two of {old.name}."
        )
    sides = [_read(registry, version) for version in (old, new)]
    (before, _), (after, _) = sides
    if before["key"] != after["key"]:
        raise UsageError(
            f'The rows of {old.ref} are named by "{before["key"]}", those of {new.ref} by "{after["key"]}", so that'
            " they can't be matched. Compare snapshots with the same key."
        )
    private = frozenset(dataset.private)
    key = before["key"]
    count = _Counted(key=key, private=private)
    is_retyped = (
        before["columns"][key] != after["columns"][key]
    )  # its text, of which the hash is made, tells the bucket
    as_text = key if is_retyped else None
    with told_if_removed(registry.state, old), told_if_removed(registry.state, new):
        for pair in _pairs(registry, sides[0][1], sides[1][1]):
            count.add(*(_Bucket(files=files, as_text=as_text) for files in pair))
    return _result(old.ref, new.ref, before, after, count)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bucket:
    """The rows of a bucket as Parquet files, read by the column; the one named `as_text` is read as text."""

    files: Sequence[bytes]
    as_text: str | None

    def schema(self) -> dict[str, pl.DataType]:
        """Column → type."""
        return dict(pl.read_parquet_schema(io.BytesIO(self.files[0])))

    def read(self, name: str) -> pl.Series:
        """One column."""
        parts = [pl.read_parquet(io.BytesIO(file), columns=[name]) for file in self.files]
        column = pl.concat(parts).to_series()
        return column.cast(pl.String) if name == self.as_text else column


@dataclass(slots=True, kw_only=True)
class _Counted:
    """What was found in the buckets so far."""

    key: str
    private: frozenset[str]
    added: Rows = field(default_factory=Rows)
    removed: Rows = field(default_factory=Rows)
    changed: Rows = field(default_factory=Rows)
    unchanged: int = 0
    values: Counter[str] = field(default_factory=Counter)

    def add(self, old: "_Bucket", new: "_Bucket") -> None:
        """Count the rows of a bucket of both."""
        if not old.files or not new.files:
            rows, into = (new, self.added) if new.files else (old, self.removed)
            if rows.files:
                self._count(into, rows.read(self.key))
            return
        one, other = (
            pl.DataFrame({self.key: rows.read(self.key)}).with_row_index(place)
            for rows, place in ((old, _OLD), (new, _NEW))
        )
        self._count(self.added, other.join(one, on=self.key, how="anti")[self.key])
        self._count(self.removed, one.join(other, on=self.key, how="anti")[self.key])
        both, was, now = one.join(other, on=self.key), old.schema(), new.schema()
        common = [name for name in was if name != self.key and was[name] == now.get(name)]
        any_differs = pl.repeat(value=False, n=both.height, eager=True)
        hidden = any_differs
        for name in common:
            pair = pl.DataFrame({_OLD: old.read(name).gather(both[_OLD]), _NEW: new.read(name).gather(both[_NEW])})
            differs = pair.select(pl.col(_OLD).ne_missing(pl.col(_NEW))).to_series()
            any_differs |= differs
            if name in self.private:
                hidden |= differs
            else:
                self.values[name] += int(differs.sum())
        self._count(self.changed, both[self.key].filter(any_differs))
        self.unchanged += int((~any_differs).sum())
        if any(name in self.private for name in common):
            self.values[PRIVATE] += int(hidden.sum())

    def _count(self, into: Rows, keys: pl.Series) -> None:
        into.add(keys)
        if self.key in self.private:
            into.keys = []


def _result(old: str, new: str, before: Mapping[str, Any], after: Mapping[str, Any], count: _Counted) -> SnapshotDiff:
    was, now = (_shown(manifest["columns"], count.private) for manifest in (before, after))
    told = [_reasons(manifest, count.private) for manifest in (before, after)]
    reasons = {reason: (told[0][reason], told[1][reason]) for reason in sorted(told[0].keys() | told[1].keys())}
    return SnapshotDiff(
        old=old,
        new=new,
        added=count.added,
        removed=count.removed,
        changed=count.changed,
        unchanged=count.unchanged,
        values={name: rows for name, rows in sorted(count.values.items(), key=lambda item: -item[1]) if rows},
        columns_added={name: now[name] for name in sorted(now.keys() - was.keys())},
        columns_removed={name: was[name] for name in sorted(was.keys() - now.keys())},
        columns_retyped={
            name: (was[name], now[name]) for name in sorted(was.keys() & now.keys()) if was[name] != now[name]
        },
        quarantined=(before["quarantined"], after["quarantined"]),
        reasons={reason: counts for reason, counts in reasons.items() if counts[0] != counts[1]},
    )


def _shown(columns: Mapping[str, str], private: frozenset[str]) -> dict[str, str]:
    return {name: dtype for name, dtype in columns.items() if name not in private and name != SPLIT}


def _reasons(manifest: Mapping[str, Any], private: frozenset[str]) -> Counter[str]:
    """Reason → rows; those that may quote a value of a private column are told together."""
    told = Counter[str]()
    for reason, rows in manifest["reasons"].items():
        told[PRIVATE if any(f"{name}: " in reason for name in private) else reason] += rows
    return told


def _read(registry: Registry, version: Version[SnapshotTaken]) -> tuple[dict[str, Any], dict[int, ObjectRef]]:
    """The manifest of a snapshot, and its parts by bucket."""
    with told_if_removed(registry.state, version):
        manifest = read_manifest(registry.objects, version.fact.manifest)
    files = files_of(version.fact.manifest, manifest)
    parts = {
        int(name.removeprefix(_PART).partition(".")[0]): ref for name, ref in files.items() if name.startswith(_PART)
    }
    return manifest, parts


def _pairs(
    registry: Registry, old: Mapping[int, ObjectRef], new: Mapping[int, ObjectRef]
) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The rows of both snapshots that can have keys in common, bucket by bucket of the one that has fewer."""
    buckets = min(_at_least(old), _at_least(new))
    for bucket in range(buckets):
        yield (
            [registry.objects.get(ref) for number, ref in sorted(old.items()) if number % buckets == bucket],
            [registry.objects.get(ref) for number, ref in sorted(new.items()) if number % buckets == bucket],
        )


def _at_least(parts: Mapping[int, ObjectRef]) -> int:
    """A number of buckets that divides the one of a snapshot: equal, if its last parts are not all empty."""
    return max(buckets_of(0), 1 << max(parts, default=0).bit_length())


def _plain(key: Any) -> Any:  # noqa: ANN401  whatever a key may be
    return key if isinstance(key, str | int | float | bool) else str(key)
