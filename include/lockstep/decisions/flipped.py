"""All rows that get another decision, as Parquet, written as they come by.

Rules:
- A row says which threshold, in which direction, both scores and both cuts (columns with a leading underscore), and all
  columns that it was decided on.
- Where no row flips there is no file; one that is there already is replaced.
"""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl
import pyarrow.parquet as arrow_parquet


class FlippedRows:
    """The files of one diff: `path` itself where the rows are of one kind only, else `<stem>-<kind>` beside it."""

    def __init__(self, path: Path, *, alone: bool) -> None:
        self._path, self._alone = path, alone
        self._writers: dict[Path, Any] = {}

    def of(self, kind: str) -> Callable[[pl.DataFrame], None]:
        """What takes the flipped rows of a kind, such as "test-customers"."""
        is_main = self._alone and kind.startswith("test-")
        path = self._path if is_main else self._path.with_name(f"{self._path.stem}-{kind}{self._path.suffix}")
        path.unlink(missing_ok=True)

        def keep(rows: pl.DataFrame) -> None:
            table = rows.to_arrow()
            writer = self._writers.get(path)
            if writer is None:
                writer = self._writers[path] = arrow_parquet.ParquetWriter(path, table.schema)
            writer.write_table(table.cast(writer.schema))

        return keep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()
