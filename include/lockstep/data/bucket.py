"""One bucket of a snapshot: all rows whose keys fall into it, made unique, sorted, cleaned and split.

Rules:
- The result depends on the rows alone, not on their order or on the file they came in.
- A row that stands there twice is kept once; rows with one key and different content are all set aside.
- Whatever `clean` leaves out is set aside too, so rows in = rows kept + rows set aside.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from lockstep.data.rows import REASON, WHERE
from lockstep.data.split import HASH, SPLIT, split_of
from lockstep.declare import Dataset
from lockstep.errors import DataError

RAW: Final = "_raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """`kept`: cleaned rows by key, with `_split`. `bad`: `_file`, `_line`, `_reason` and `_raw` (the row as JSON)."""

    kept: pl.DataFrame
    bad: pl.DataFrame


def make_bucket(dataset: Dataset, rows: pl.DataFrame) -> Bucket:
    """Build a bucket from parsed rows (declared columns, `_file`, `_line`, `_hash` of the key) in any order.

    Raises:
        DataError: `clean` failed, or returned rows that can't be matched with those it was given.
    """
    columns = [name for name in rows.columns if not name.startswith("_")]
    again = rows[dataset.key].is_duplicated()
    judged = _judge(dataset, rows.filter(again), columns)
    bad = [as_bad(judged.filter(pl.col(REASON).is_not_null()))]
    if again.any():
        rows = pl.concat([rows.filter(~again), judged.filter(pl.col(REASON).is_null()).drop(REASON)])
    unique = rows.sort(dataset.key)
    cleaned = clean_rows(dataset, unique.select(columns))
    if not cleaned[dataset.key].is_sorted():
        cleaned = cleaned.sort(dataset.key)
    hashes = unique[HASH]
    if cleaned.height != unique.height:
        is_kept = unique[dataset.key].is_in(cleaned[dataset.key].implode())
        hashes = hashes.filter(is_kept)
        dropped = unique.filter(~is_kept)
        bad.append(as_bad(dropped.with_columns(pl.lit(f"left out by {_name(dataset)}").alias(REASON))))
    kept = cleaned.with_columns(split_of(hashes, dataset.split).alias(SPLIT))
    return Bucket(kept=kept.rechunk(), bad=pl.concat(bad))


def _judge(dataset: Dataset, rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Rows whose keys stand there several times, with a `_reason`; null for the first of those that are all alike."""
    ordered = rows.sort(dataset.key, *(name for name in columns if name != dataset.key), *WHERE, nulls_last=True)
    marked = ordered.with_columns(_first=pl.struct(columns).is_first_distinct())
    conflicts = marked.filter("_first").group_by(dataset.key).len().filter(pl.col("len") > 1)[dataset.key]
    is_conflict = pl.col(dataset.key).is_in(conflicts.implode())
    times = pl.len().over(dataset.key)
    doubled = pl.format(
        '{}: key "{}" stands {} times, with different content', pl.lit(dataset.key), pl.col(dataset.key), times
    )
    repeated = pl.format(
        '{}: key "{}" stands here again, with the same content', pl.lit(dataset.key), pl.col(dataset.key)
    )
    return marked.with_columns(
        pl.when(is_conflict).then(doubled).when(~pl.col("_first")).then(repeated).alias(REASON)
    ).drop("_first")


def clean_rows(dataset: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
    """What the dataset's `clean` makes of parsed rows; the same call before training and for a decision.

    Args:
        dataset: whose rows they are.
        rows: parsed; no key is blank or stands twice.

    Raises:
        DataError: it raised, did not return a frame with the key, made keys up or doubled them, or used a name of ours.
    """
    if dataset.clean is None:
        return rows
    try:
        cleaned: object = dataset.clean(rows)
    except Exception as error:
        raise DataError(
            f'Dataset "{dataset.name}": {_name(dataset)} failed on {rows.height} rows: {type(error).__name__}: {error}.'
            f" It gets the declared columns ({', '.join(rows.columns)})."
        ) from error
    if not isinstance(cleaned, pl.DataFrame) or dataset.key not in (columns := cleaned.columns):
        raise DataError(
            f'Dataset "{dataset.name}": {_name(dataset)} must return a polars DataFrame that keeps the key'
            f' "{dataset.key}".'
        )
    own = [name for name in columns if name[:1] == "_"]
    if own:
        raise DataError(
            f'Dataset "{dataset.name}": {_name(dataset)} returned {", ".join(own)}; a leading underscore is ours.'
        )
    keys, given = cleaned.get_column(dataset.key), rows.get_column(dataset.key)
    if keys.dtype == given.dtype and keys.equals(given):
        return cleaned  # nearly always; for a service that decides on one row at a time, every expression counts
    is_unique = keys.n_unique() == len(keys) and not keys.null_count()
    if keys.dtype != given.dtype or not is_unique or not keys.is_in(given.implode()).all():
        raise DataError(
            f'Dataset "{dataset.name}": {_name(dataset)} must return at most one row for each row it gets, with its'
            " key; it doubled keys or made some up."
        )
    return cleaned


def turns_of(keys: Sequence[Any]) -> list[list[int]]:
    """The places at which each key stands for the first time, then those of the second time, and so on.

    `clean` needs unique keys; requests may come with the same one again.
    """
    seen: Counter[Any] = Counter()
    turns: list[list[int]] = []
    for place, key in enumerate(keys):
        if seen[key] == len(turns):
            turns.append([])
        turns[seen[key]].append(place)
        seen[key] += 1
    return turns


def as_bad(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with a `_reason`, in the form of the quarantine."""
    own = [name for name in rows.columns if not name.startswith("_")]
    raw = rows.select(pl.struct(own).struct.json_encode().alias(RAW)).to_series()
    return rows.select("_file", "_line", REASON).with_columns(raw)


def _name(dataset: Dataset) -> str:
    return getattr(dataset.clean, "__qualname__", repr(dataset.clean))
