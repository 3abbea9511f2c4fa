"""A few cleaned rows as Python values by column: what a single decision needs, without a frame."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl


class Few:
    """Cleaned rows; `values` are by column, and `make` gives the frame that has the same."""

    __slots__ = ("_frame", "_make", "height", "values")

    def __init__(self, values: Mapping[str, Sequence[Any]], height: int, make: Callable[[], pl.DataFrame]) -> None:
        self.values, self.height = values, height
        self._make = make
        self._frame: pl.DataFrame | None = None

    @property
    def frame(self) -> pl.DataFrame:
        """The rows as a frame, made when it is asked for, and once."""
        if self._frame is None:
            self._frame = self._make()
        return self._frame


Rows = pl.DataFrame | Few


def as_frame(rows: Rows) -> pl.DataFrame:
    """Cleaned rows as a frame."""
    return rows.frame if isinstance(rows, Few) else rows
