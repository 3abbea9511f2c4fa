"""Files of simulated customers, 21 columns, cut into parts as a snapshot is.

Rules:
- The same arguments give the same rows. Ids are unique over all parts of both sides.
- Where only memory is looked at, a few parts are drawn, and the others repeat their rows under other ids.
- Each row stands with its split; the peers don't read that column.
"""

from pathlib import Path
from typing import Final

import polars as pl

from demo.simulate import simulate
from groups.churn import customers
from lockstep.data import parse_rows
from lockstep.data.split import buckets_of, hash_keys, split_of

REFERENCE, CURRENT = "reference", "current"
_SEEDS: Final = {REFERENCE: 0, CURRENT: 10_000}


def write_sides(folder: Path, rows: int, drawn: int | None = None) -> None:
    """Write `rows` customers for each side into `folder/reference` and `folder/current`; both are of month 1.

    `drawn`: how many parts of a side are drawn; by default all.
    """
    for side, first in _SEEDS.items():
        (folder / side).mkdir(parents=True)
        parts = buckets_of(rows)
        made: list[pl.DataFrame] = []
        for number in range(parts):
            size = rows // parts + (number < rows % parts)
            if drawn is None or number < drawn:
                made[number % (drawn or 1) :] = [simulate(1, size, seed=first + number)]
            text = made[number % (drawn or 1)].head(size)
            text = text.with_columns(pl.format("{}-{}", customers.key, pl.lit(first + number)).alias(customers.key))
            found = parse_rows(text, customers.schema).good
            split = split_of(hash_keys(found[customers.key]), customers.split)
            found.with_columns(split).write_parquet(folder / side / f"part-{number:05d}.parquet")
