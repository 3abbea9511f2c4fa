"""Files read into frames, a bounded number of rows at a time.

Rules:
- Memory does not depend on the size of a file: CSV is read in blocks, Parquet in slices of its row groups.
- CSV comes as text, without guessing of types; a line with too many or too few fields is set aside with its number, and
  does not harm its neighbours.
- Each row knows its file and line (`_file`, `_line`; the header is line 1; a row with quoted line breaks counts as one
  line). A line with nothing in it is no row, but is counted.
- What is compressed by gzip is read as what it holds, whatever its name. Another encoding than UTF-8, a quote that is
  never closed, and a file that grew or shrank meanwhile are errors: good rows would be lost or cut.
- A Parquet file may be read in several places at once, a CSV file by one reader, since only who has read all lines
  before one knows its number.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet as arrow_parquet

from lockstep.data.cloud import BLOCK, CloudFile, is_cloud
from lockstep.data.rows import REASON
from lockstep.data.sources import InputFile
from lockstep.errors import DataError
from lockstep.source import BIGQUERY, Source

_CSV_BLOCK: Final = 4 << 20  # bytes; a longer line is an error
SLICE: Final = 1 << 16  # rows of a Parquet file
SHARD: Final = 1 << 18  # rows of a Parquet file that are worth a reader of their own
_SAMPLE: Final = 1 << 16  # bytes
_SHOWN: Final = 200
_GZIP: Final = b"\x1f\x8b"
_ENDS: Final = ("\n", "\r")  # of a line
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
RAGGED: Final = {"_line": pl.Int64, "_file": pl.String, "_text": pl.String, REASON: pl.String}
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """What one reader reads of a file: all of it, or `rows` from `start` on, which are the `groups` of a Parquet file.

    `name` tells it from all other shards. Of a table it is a `stream`, whose rows have an Arrow `schema`.
    """

    name: str
    file: InputFile
    start: int = 0
    rows: int = 0
    groups: tuple[int, ...] = ()
    stream: str = ""
    schema: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Some rows of a file: `frame` with all its columns, and `ragged` with `_reason`, `_file`, `_line`, `_text`."""

    frame: pl.DataFrame
    ragged: pl.DataFrame


def shards_of(source: Source, file: InputFile, name: str) -> list[Shard]:
    """The pieces of a file that may be read side by side, one at least.

    Raises:
        DataError: it is no Parquet file, or can't be read.
    """
    if source.format == "csv":
        return [Shard(name=name, file=file)]
    with _as_parquet(file) as opened:
        about = opened.metadata
        sizes = [about.row_group(number).num_rows for number in range(about.num_row_groups)]
    found: list[Shard] = []
    start, groups = 0, list[int]()
    for number, _ in enumerate(sizes):
        groups.append(number)
        rows = sum(sizes[place] for place in groups)
        if rows >= SHARD or number == len(sizes) - 1:
            found.append(
                Shard(name=f"{name}-{len(found):05d}", file=file, start=start, rows=rows, groups=tuple(groups))
            )
            start, groups = start + rows, []
    return found or [Shard(name=name, file=file)]


def chunks_of(source: Source, shard: Shard) -> Iterator[Rows]:
    """The rows of a shard, at least one chunk, which may be empty.

    Raises:
        DataError: it is not a file of the source's format, is empty, is not UTF-8, or its header names a column twice.
    """
    yield from _csv_chunks(shard.file) if source.format == "csv" else _parquet_chunks(shard)


def expected_rows(source: Source, files: list[InputFile]) -> int:
    """About how many rows there are, judged by the largest file.

    Raises:
        DataError: that can't be read.
    """
    largest = max(files, key=lambda file: file.size)
    if source.format == BIGQUERY:
        return sum(file.rows or 0 for file in files)
    total = sum(file.size for file in files)
    if source.format == "parquet":
        with _as_parquet(largest) as opened:
            return int(opened.metadata.num_rows * total / max(largest.size, 1))
    try:
        with _bytes_of(largest) as file:
            sample = file.read(_SAMPLE)
        lines = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(sample) if sample.startswith(_GZIP) else sample
    except (OSError, zlib.error) as error:
        raise _no_csv(largest, error) from None
    return int(total * lines.count(b"\n") / max(len(sample), 1))


# ------------------------------------------------------------------------------------------------------------- Parquet


@contextmanager
def _as_parquet(file: InputFile) -> Iterator[Any]:
    """A Parquet file; whatever goes wrong with it within the block is said of it."""
    try:
        with pa.PythonFile(_cloud_file(file)) if is_cloud(file.path) else pa.OSFile(file.path) as handle:
            yield arrow_parquet.ParquetFile(handle)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"File {file.path} can't be read as Parquet: {str(error).rstrip('.')}. Write it again, or take it away."
        ) from None


def _parquet_chunks(shard: Shard) -> Iterator[Rows]:
    line = shard.start + 1
    with _as_parquet(shard.file) as opened:
        for frame in _in_cloud(opened, shard) if is_cloud(shard.file.path) else _on_disk(shard):
            lines = pl.int_range(line, line + frame.height, dtype=pl.Int64, eager=True)
            line += frame.height
            yield Rows(
                frame=frame.with_columns(_file=pl.lit(shard.file.path), _line=lines),
                ragged=pl.DataFrame(schema=RAGGED),
            )
    _check_unchanged(shard.file)


def _on_disk(shard: Shard) -> Iterator[pl.DataFrame]:
    """By polars, which takes a fifth of pyarrow's time."""
    file = pl.scan_parquet(shard.file.path, glob=False)
    for start in range(shard.start, max(shard.start + shard.rows, shard.start + 1), SLICE):
        yield file.slice(start, min(SLICE, shard.start + shard.rows - start)).collect()


def _in_cloud(opened: Any, shard: Shard) -> Iterator[pl.DataFrame]:  # noqa: ANN401  pyarrow carries no types
    """By pyarrow, which asks for the ranges that it needs."""
    yield _frame_of(opened.schema_arrow.empty_table())
    for batch in opened.iter_batches(SLICE, row_groups=list(shard.groups)):
        yield _frame_of(pa.Table.from_batches([batch]))


# ----------------------------------------------------------------------------------------------------------------- CSV


def _csv_chunks(file: InputFile) -> Iterator[Rows]:
    """Through pyarrow, whose reader hands over a ragged line instead of failing the file or cutting the line."""
    names, is_packed = _header(file)
    waiting: list[arrow_csv.InvalidRow] = []  # lines that were set aside, and for whose number there was no row yet

    def set_aside(row: arrow_csv.InvalidRow) -> str:
        waiting.append(row)
        return "skip"

    line, last = 2, ""
    try:
        with _for_arrow(file, is_packed=is_packed) as handle:
            for batch in _one_ahead(_opened(handle, names, set_aside)):
                lines = _next_lines(line, batch.num_rows, [row.number for row in waiting])
                line = lines[-1] + 1 if batch.num_rows else line
                passed, waiting[:] = _divide(waiting, line)
                frame = _frame_of(pa.Table.from_batches([batch])).with_columns(lines, _file=pl.lit(file.path))
                last = frame[names[-1]][-1] if frame.height else last
                yield Rows(frame=_with_content(frame, names), ragged=_ragged(file, passed))
        _check_closed(file, last, line - 1, waiting)
    except (pa.ArrowInvalid, OSError, EOFError, zlib.error) as error:
        raise _no_csv(file, error) from None
    _check_unchanged(file)
    nothing = pl.DataFrame(schema=dict.fromkeys(names, pl.String) | {"_line": pl.Int64, "_file": pl.String})
    yield Rows(frame=nothing, ragged=_ragged(file, waiting))


def _opened(handle: Any, names: list[str], set_aside: Callable[[arrow_csv.InvalidRow], str]) -> Any:  # noqa: ANN401  pyarrow carries no types
    return arrow_csv.open_csv(
        handle,
        read_options=arrow_csv.ReadOptions(
            use_threads=False, block_size=_CSV_BLOCK
        ),  # so ragged rows know their number
        parse_options=arrow_csv.ParseOptions(
            newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=set_aside
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, quoted_strings_can_be_null=False
        ),
    )


def _next_lines(first: int, rows: int, skipped: list[int]) -> pl.Series:
    """The numbers of the next rows, from `first` on, without those of lines that were set aside."""
    lines = pl.int_range(first, first + rows + len(skipped), dtype=pl.Int64, eager=True).alias("_line")
    return lines.filter(~lines.is_in(skipped)).head(rows)


def _divide(
    rows: list[arrow_csv.InvalidRow], line: int
) -> tuple[list[arrow_csv.InvalidRow], list[arrow_csv.InvalidRow]]:
    return [row for row in rows if row.number < line], [row for row in rows if row.number >= line]


def _ragged(file: InputFile, rows: list[arrow_csv.InvalidRow]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "_line": [row.number for row in rows],
            "_file": [file.path] * len(rows),
            "_text": [row.text[:_SHOWN] for row in rows],
            REASON: [f"{row.actual_columns} fields where the header has {row.expected_columns}" for row in rows],
        },
        schema=RAGGED,
    )


def _with_content(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Without the lines in which nothing stands: whoever has something in the first column needs no second look."""
    if (frame[names[0]] != "").all():
        return frame
    return frame.filter(pl.any_horizontal(pl.col(names) != ""))


def _check_closed(file: InputFile, cell: str, line: int, ragged: list[arrow_csv.InvalidRow]) -> None:
    """Refuse a file whose last row has a quote that is never closed: rows below it would be part of a cell.

    Args:
        file: the file, read to its end.
        cell: the last cell of the last row that has all its fields.
        line: the line of that row.
        ragged: the rows behind it.
    """
    text = ragged[-1].text if ragged else cell
    if not any(end in text for end in _ENDS):
        return
    if ragged:
        is_open, line = text.count('"') % 2 == 1, ragged[-1].number
    else:
        is_open = not _end_of(file).rstrip(b"\r\n").endswith(b'"')
    if is_open:
        raise DataError(
            f"File {file.path}: a quote that opens in line {line} is never closed, so that the rows below it can't be"
            " told from one cell. Close it, or double each quote that is part of a text."
        )


def _end_of(file: InputFile) -> bytes:
    with _unpacked(file) as lines:
        end = b""
        while block := lines.read(BLOCK):
            end = (end + block)[-_SHOWN:]
    return end


def _header(file: InputFile) -> tuple[list[str], bool]:
    """The names of the columns, and whether the file is compressed."""
    try:
        with _unpacked(file) as lines:
            line, is_packed = lines.readline(), isinstance(lines, gzip.GzipFile)
        if line.startswith(_UTF_16) or b"\0" in line:
            raise DataError(
                f"File {file.path} is no UTF-8; it looks like UTF-16. Write it again as UTF-8 with a header line."
            )
        first = line.decode("utf-8-sig")
        names = (
            [str(name) for name in arrow_csv.read_csv(pa.BufferReader(first.encode() + b"\n")).column_names]
            if first
            else []
        )
    except (pa.ArrowInvalid, UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"File {file.path}: its header can't be read: {error}. Write it as UTF-8 with a header line."
        ) from None
    if not any(name.strip() for name in names):
        raise DataError(f"File {file.path} is empty; a CSV file has a header line with the names of its columns.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"File {file.path}: its header names {', '.join(twice)} more than once. Rename the columns.")
    return names, is_packed


def _no_csv(file: InputFile, error: Exception) -> DataError:
    if "straddling" in str(error):  # as pyarrow says it
        return DataError(
            f"File {file.path} can't be read as CSV: a line is longer than {_CSV_BLOCK >> 20} MB. Shorten it, or"
            " close the quote that opens in it."
        )
    return DataError(f"File {file.path} can't be read as CSV: {error}. Write it again as UTF-8 with a header line.")


# ------------------------------------------------------------------------------------------------------------- both


def _bytes_of(file: InputFile, block: int = _SAMPLE) -> BinaryIO:
    """The bytes of a file, from its beginning on; in a cloud, with a request for each block."""
    return io.BufferedReader(_cloud_file(file), block) if is_cloud(file.path) else Path(file.path).open("rb")


@contextmanager
def _unpacked(file: InputFile) -> Iterator[gzip.GzipFile | BinaryIO]:
    """What a file holds, from its beginning on."""
    with _bytes_of(file) as raw:
        is_packed = raw.read(len(_GZIP)) == _GZIP
        raw.seek(0)
        yield gzip.GzipFile(fileobj=raw) if is_packed else raw


@contextmanager
def _for_arrow(file: InputFile, *, is_packed: bool) -> Iterator[Any]:
    """The same, to be read by pyarrow."""
    with pa.PythonFile(_bytes_of(file, BLOCK)) if is_cloud(file.path) else pa.OSFile(file.path) as handle:
        yield pa.CompressedInputStream(handle, "gzip") if is_packed else handle


def _check_unchanged(file: InputFile) -> None:
    """Refuse a file on the disk that has grown or shrunk; one in a cloud is read by its etag."""
    if is_cloud(file.path):
        return
    size = Path(file.path).stat().st_size
    if size != file.size:
        raise DataError(
            f"File {file.path} changed while the snapshot was taken: it had {file.size} bytes when it was found, and"
            f" has {size} now. Take the snapshot again when nothing writes to it."
        )


def _cloud_file(file: InputFile) -> CloudFile:
    return CloudFile(file.path, file.size, file.etag)


def _frame_of(table: Any) -> pl.DataFrame:  # noqa: ANN401  pyarrow carries no types
    frame = pl.from_arrow(table)
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


def _one_ahead(items: Iterable[_Item]) -> Iterator[_Item]:
    """The same items; the next is made while this one is looked at."""
    rest = iter(items)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, rest, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, rest, None)
            yield item
