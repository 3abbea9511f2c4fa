"""Values that two keys share, where a dataset's checks say that none do.

Rules:
- Rows meet by a hash of the values and are compared by the values themselves, so that nothing is guessed.
- Memory is that of a bucket: the values travel as runs, as rows do (`lockstep.data.runs`).
- A row that stands there twice shares nothing with itself, and a blank shares nothing with another.
"""

from dataclasses import replace
from typing import Final

import polars as pl

from lockstep.checks import Rule
from lockstep.data.checking import Broken, Tally
from lockstep.data.split import hash_keys
from lockstep.declare import Dataset

_SEPARATOR: Final = "\x1f"
_SHOWN: Final = 40


def unique_checks(dataset: Dataset) -> list[int]:
    """The places of the checks that ask for unique values."""
    return [place for place, check in enumerate(dataset.checks) if check.rule is Rule.UNIQUE]


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


def tally_of(dataset: Dataset, place: int, rows: pl.DataFrame) -> Tally:
    """How many rows share their values with another key: of those whose values fall into one bucket."""
    check = dataset.checks[place]
    names = list(check.columns)
    ordered = rows.sort(dataset.key, "_file", "_line")
    distinct = ordered.unique([dataset.key, *names], keep="first", maintain_order=True)
    shared = distinct.filter(pl.struct(names).is_duplicated()).sort("_file", "_line", dataset.key)
    if shared.is_empty():
        return Tally()
    first = shared.row(0, named=True)
    said = ", ".join(f'"{str(first[name])[:_SHOWN]}"' for name in names)
    broken = Broken(
        rows=shared.height,
        first=(first["_file"], first["_line"], f"{', '.join(names)}: {said} stands with other keys, too"),
    )
    return Tally(broken={str(check): broken})
