"""Values that two keys share, where a dataset's checks say that none do.

Rules:
- Rows meet by a hash of the values and are compared by the values themselves, so that nothing is guessed.
- Memory is that of a bucket: the values travel as runs, as rows do (`lockstep.data.runs`).
- A row that stands there twice shares nothing with itself, and a blank shares nothing with another.
- Where the check is soft, every row that shares a value is set aside, and none is chosen: the result hangs on the rows
  alone. Their keys and values go to the buckets that the rows are in, as runs once more.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import polars as pl

from lockstep.checks import Rule, Weight
from lockstep.data.checking import Broken, Tally
from lockstep.data.rows import REASON
from lockstep.data.split import hash_keys
from lockstep.declare import Dataset

_SEPARATOR: Final = "\x1f"
_SHOWN: Final = 40


def unique_checks(dataset: Dataset) -> list[int]:
    """The places of the checks that ask for unique values."""
    return [place for place, check in enumerate(dataset.checks) if check.rule is Rule.UNIQUE]


def soft_ones(dataset: Dataset) -> list[int]:
    """The places of those that set rows aside."""
    return [place for place in unique_checks(dataset) if dataset.checks[place].weight is Weight.SOFT]


def view_of(dataset: Dataset, place: int) -> Dataset:
    """The dataset with its key and the columns of one check alone."""
    wanted = {dataset.key, *dataset.checks[place].columns}
    columns = {name: kind for name, kind in dataset.columns.items() if name in wanted}
    return replace(dataset, columns=columns, checks=(), private=(), clean=None)


def values_of(view: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of a view that have all values, with the hash of these in the place of the key's."""
    own = [name for name in view.schema if name != view.key]
    found = rows.select(*view.schema, "_file", "_line").drop_nulls(own)
    texts = found.select(pl.concat_str(pl.col(own).cast(pl.String), separator=_SEPARATOR)).to_series()
    return found.with_columns(hash_keys(texts))


def shared_of(dataset: Dataset, place: int, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that share their values with another key, one for each key and values: of those of one bucket."""
    names = list(dataset.checks[place].columns)
    ordered = rows.sort(dataset.key, "_file", "_line")
    distinct = ordered.unique([dataset.key, *names], keep="first", maintain_order=True)
    return distinct.filter(pl.struct(names).is_duplicated()).sort("_file", "_line", dataset.key)


def tally_of(dataset: Dataset, place: int, shared: pl.DataFrame) -> Tally:
    """How many there are, and the first of them."""
    if shared.is_empty():
        return Tally()
    first = shared.row(0, named=True)
    (reason,) = shared.head(1).select(_reason(dataset, place)).to_series()
    broken = Broken(rows=shared.height, first=(first["_file"], first["_line"], reason))
    return Tally(broken={str(dataset.checks[place]): broken})


def runs_of_shared(shared: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """The same, with the hash of the key again: on their way to the buckets that their rows are in."""
    return shared.with_columns(hash_keys(shared[dataset.key]))


def set_aside(dataset: Dataset, rows: pl.DataFrame, shared: Mapping[int, pl.DataFrame]) -> tuple[pl.DataFrame, Any]:
    """The rows of a bucket without those that share a value, and these with their reasons; None if there are none.

    `shared`: place of a soft check → keys and values that others share.
    """
    marked = rows
    for place, found in shared.items():
        on = [dataset.key, *dataset.checks[place].columns]
        reasons = found.select(*on, _reason(dataset, place).alias(f"_{place}"))
        marked = marked.join(reasons, on=on, how="left", maintain_order="left")
    marks = [f"_{place}" for place in shared]
    judged = marked.with_columns(pl.concat_str(marks, separator="; ", ignore_nulls=True).alias(REASON)).drop(marks)
    is_aside = judged[REASON] != ""
    if not is_aside.any():
        return rows, None
    return rows.filter(~is_aside), judged.filter(is_aside)


def _reason(dataset: Dataset, place: int) -> pl.Expr:
    """`email: "a@example.com" stands with other keys, too`, for each row."""
    names = dataset.checks[place].columns
    words = [
        pl.concat_str(pl.lit('"'), pl.col(name).cast(pl.String).str.slice(0, _SHOWN), pl.lit('"')) for name in names
    ]
    said = pl.concat_str(words, separator=", ")
    return pl.concat_str(pl.lit(f"{', '.join(names)}: "), said, pl.lit(" stands with other keys, too"))
