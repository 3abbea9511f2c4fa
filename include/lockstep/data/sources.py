"""Files of rows: found by a pattern, read into frames.

Rules:
- A pattern that finds nothing is an error; it never stands for an empty dataset.
- CSV comes as text, without guessing of types; a line with too many or too few fields is set aside with its number, and
  does not harm its neighbours.
- Each row knows its file and line (`_file`, `_line`; the header is line 1; a row with quoted line breaks counts as one
  line). A line with nothing in it is no row, but is counted.
"""

import glob
import os
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow_csv

from lockstep.data.rows import REASON
from lockstep.declare import Source
from lockstep.errors import DataError

DATA_VARIABLE: Final = "LOCKSTEP_DATA"
_FILE: Final = "file://"
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """One file of a source: size in bytes, SHA-256 in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What one file holds: `frame` with all its columns, and `ragged` with `_reason`, `_file`, `_line`, `_text`."""

    frame: pl.DataFrame
    ragged: pl.DataFrame


def find_files(source: Source) -> list[InputFile]:
    """The files that the source's pattern matches now, in the order of their names.

    Raises:
        DataError: there is none, or one can't be read.
    """
    root, pattern = _root(), _path_pattern(source.pattern)
    found = (root / name for name in glob.glob(pattern, root_dir=root, recursive=True))  # noqa: PTH207  Path.glob refuses an absolute pattern
    paths = sorted(str(path) for path in found if path.is_file())
    if not paths:
        raise DataError(
            f'Source {source.format}("{source.pattern}"): no file matches {root / pattern}. Relative patterns start at'
            f" the folder in {DATA_VARIABLE} ({os.environ.get(DATA_VARIABLE) or 'not set, so the working folder'}); put"
            " files there or correct the pattern."
        )
    try:
        return [_describe(path) for path in paths]
    except OSError as error:
        raise DataError(f'Source {source.format}("{source.pattern}"): {error}. Check the rights of the file.') from None


def read_rows(source: Source, path: str) -> Rows:
    """All rows of one file.

    Raises:
        DataError: it is not a file of the source's format, is empty, is not UTF-8, or its header names a column twice.
    """
    frame, ragged = (_read_csv if source.format == "csv" else _read_parquet)(path)
    return Rows(frame=frame, ragged=ragged)


def _path_pattern(pattern: str) -> str:
    if pattern.startswith(_FILE):
        return unquote(pattern.removeprefix(_FILE))  # not taken apart as an address: a "?" is part of the pattern
    if "://" in pattern:
        raise DataError(
            f'Source "{pattern}": sources are read from folders and file:/// addresses; copy the files there.'
        )
    return pattern


def _root() -> Path:
    """Where relative patterns start; a folder's own name is no pattern, whatever stands in it."""
    return Path(_path_pattern(os.environ.get(DATA_VARIABLE) or ".")).absolute()


def _describe(path: str) -> InputFile:
    with Path(path).open("rb") as file:
        return InputFile(
            path=path, size=os.fstat(file.fileno()).st_size, sha256=file_digest(file, "sha256").hexdigest()
        )


def _no_ragged() -> pl.DataFrame:
    return pl.DataFrame(schema={"_line": pl.Int64, "_file": pl.String, "_text": pl.String, REASON: pl.String})


def _read_parquet(path: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    try:
        frame = pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"File {path} can't be read as Parquet: {error}. Write it again, or take it away.") from None
    numbered = frame.with_columns(_file=pl.lit(path), _line=pl.int_range(1, frame.height + 1, dtype=pl.Int64))
    return numbered, _no_ragged()


def _read_csv(path: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Through pyarrow, whose reader hands over a ragged line instead of failing the file or cutting the line."""
    ragged: list[arrow_csv.InvalidRow] = []

    def set_aside(row: arrow_csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    header = _header(path)
    try:
        table = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(use_threads=False),  # only then does a ragged row know its number
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=set_aside
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                strings_can_be_null=False,
                quoted_strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"File {path} can't be read as CSV: {error}. Write it again as UTF-8 with a header line."
        ) from None
    frame = pl.DataFrame(table)
    skipped = pl.Series([row.number for row in ragged], dtype=pl.Int64)
    lines = pl.Series("_line", range(2, 2 + frame.height + len(ragged)), dtype=pl.Int64)
    bad = pl.DataFrame(
        {
            "_line": skipped,
            "_file": [path] * len(ragged),
            "_text": [row.text[:_SHOWN] for row in ragged],
            REASON: [f"{row.actual_columns} fields where the header has {row.expected_columns}" for row in ragged],
        },
        schema=_no_ragged().schema,
    )
    has_content = frame.select(pl.any_horizontal(pl.all() != "")).to_series()
    numbered = frame.with_columns(lines.filter(~lines.is_in(skipped.to_list())), _file=pl.lit(path))
    return numbered.filter(has_content), bad


def _header(path: str) -> list[str]:
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
        names = (
            [str(name) for name in arrow_csv.read_csv(pa.BufferReader(first.encode() + b"\n")).column_names]
            if first
            else []
        )
    except (pa.ArrowInvalid, UnicodeDecodeError, OSError) as error:
        raise DataError(
            f"File {path}: its header can't be read: {error}. Write it as UTF-8 with a header line."
        ) from None
    if not any(name.strip() for name in names):
        raise DataError(f"File {path} is empty; a CSV file has a header line with the names of its columns.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"File {path}: its header names {', '.join(twice)} more than once. Rename the columns.")
    return names
