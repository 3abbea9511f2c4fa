"""What is compared: a column of one side, out of a profile, or out of rows.

Rules:
- A summary is small, whatever the number of rows, and says by how much it may be off.
- The splits of a snapshot are taken together: a key's split does not depend on its row.
- Splits of numbers are laid side by side, not merged, which would throw dice: the same profile is the same summary.
- Of words, counts are lower bounds: the true count of each is at most `error` more, of those that are not there too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import polars as pl

from lockstep.data import sketches
from lockstep.monitoring.figures import Floats, Weighted

Column = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Numbers of `rows` rows of which `nulls` are blank; `error`: by how much a share of `values` may be off."""

    rows: int
    nulls: int
    values: Weighted
    error: float = 0.0

    @property
    def known(self) -> int:
        """Rows with a value."""
        return self.rows - self.nulls


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Texts, bools or dates of `rows` rows of which `nulls` are blank; `distinct`: how many are different."""

    rows: int
    nulls: int
    counts: Mapping[str, int]
    distinct: int
    error: int = 0

    @property
    def known(self) -> int:
        """Rows with a value."""
        return self.rows - self.nulls


Summary = Numbers | Words


def is_sketched(profile: Mapping[str, Mapping[str, Column]], key: str) -> bool:
    """Whether each column but the key has its sketches; older profiles have fewer."""
    columns = [column for split in profile.values() for name, column in split.items() if name != key]
    return all(("sketch" if "min" in column else "frequent") in column for column in columns)


def summaries_of(profile: Mapping[str, Mapping[str, Column]], key: str) -> dict[str, Summary]:
    """Each column but the key, of a finished profile whose columns are sketched, over all splits."""
    names = dict.fromkeys(name for split in profile.values() for name in split if name != key)
    return {name: _summary([split[name] for split in profile.values() if name in split]) for name in names}


def numbers_of(values: Floats) -> Numbers:
    """A summary of numbers that are at hand (shape n), of which those that are not finite are blank."""
    finite = values[np.isfinite(values)]
    return Numbers(rows=len(values), nulls=len(values) - len(finite), values=Weighted.of(finite))


def words_of(values: pl.Series) -> Words:
    """A summary of words that are at hand (shape n)."""
    known = values.drop_nulls().cast(pl.String)
    counts = dict(known.alias("_text").value_counts().rows())
    return Words(rows=len(values), nulls=values.null_count(), counts=counts, distinct=len(counts))


def _summary(columns: list[Column]) -> Summary:
    rows, nulls = (sum(column[what] for column in columns) for what in ("count", "nulls"))
    if "sketch" in columns[0]:
        found = [sketches.read_numbers(column["sketch"]) for column in columns]
        items = np.asarray([item for sketch in found for item in sketch], dtype=np.float64).reshape(-1, 2)
        error = max(map(sketches.distribution_error, found))
        return Numbers(rows=rows, nulls=nulls, values=Weighted.of(items[:, 0], items[:, 1]), error=error)
    sketch = sketches.read_words(reduce(sketches.merged_words, (column["frequent"] for column in columns)))
    dropped = sum(_dropped(column) for column in columns)
    distinct, _ = sketches.distinct_of(
        sketches.read_distinct(reduce(sketches.merged_distinct, (column["distinct_sketch"] for column in columns)))
    )
    counts = dict(_lower_bounds(sketch))
    error = sketches.count_error(sketch) + dropped
    return Words(rows=rows, nulls=nulls, counts=counts, distinct=distinct, error=error)


def _lower_bounds(sketch: Any) -> Iterable[tuple[str, int]]:  # noqa: ANN401  datasketches carries no types
    return ((word, low) for word, low in sketches.commonest(sketch) if low)


def _dropped(column: Column) -> int:
    """What the profile's error says beyond that of its sketch."""
    error = round(column["frequent_error"] * (column["count"] - column["nulls"]))
    return int(error) - sketches.count_error(sketches.read_words(column["frequent"]))
