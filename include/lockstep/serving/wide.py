"""Rows that are columns already: many rows are looked at by column, and become dicts only where one has to be seen.

Rules:
- As a sequence they are rows like any other; `typed` is a shorter way to the same values.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, overload

import polars as pl

from lockstep.data.plain import plain_frame
from lockstep.declare import Column

Row = Mapping[str, Any]


class Wide(Sequence[Row]):
    """Rows that know their columns."""

    def __init__(self) -> None:
        self._rows: Sequence[Row] | None = None

    @abstractmethod
    def typed(self, columns: Mapping[str, Column]) -> pl.DataFrame | None:
        """The columns as `parse_rows` would make them; None where a row has to be looked at by itself."""

    @abstractmethod
    def _made(self) -> Sequence[Row]:
        """The rows as dicts."""

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        if self._rows is None:
            self._rows = self._made()
        return self._rows[place]


class FrameRows(Wide):
    """The rows of a frame."""

    def __init__(self, frame: pl.DataFrame) -> None:
        super().__init__()
        self._frame = frame

    def __len__(self) -> int:
        return self._frame.height

    def typed(self, columns: Mapping[str, Column]) -> pl.DataFrame | None:
        """The frame itself, where it has the declared types."""
        return plain_frame(self._frame, columns)

    def _made(self) -> Sequence[Row]:
        return self._frame.to_dicts()
