"""Files read into frames, piece by piece."""

from pathlib import Path

import polars as pl
import pytest

from lockstep.data.reading import Rows, chunks_of, shards_of
from lockstep.data.rows import REASON
from lockstep.data.sources import InputFile
from lockstep.errors import DataError
from lockstep.source import Source, csv, parquet

BOM = b"\xef\xbb\xbf"


def read(source: Source) -> list[Rows]:
    """All pieces of a file."""
    file = InputFile(path=source.pattern, size=Path(source.pattern).stat().st_size)
    return [rows for shard in shards_of(source, file, "f") for rows in chunks_of(source, shard)]


def frame_of(path: Path) -> pl.DataFrame:
    """The usable rows of a CSV file."""
    return pl.concat(rows.frame for rows in read(csv(str(path))))


def ragged_of(path: Path) -> list[tuple[int, str, str]]:
    """Line, text and reason of each line of a CSV file with another number of fields."""
    return pl.concat(rows.ragged for rows in read(csv(str(path)))).select("_line", "_text", REASON).rows()


def error_of(path: Path, *, is_parquet: bool = False) -> str:
    """What reading a file says."""
    with pytest.raises(DataError) as caught:
        read(parquet(str(path)) if is_parquet else csv(str(path)))
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------------------ CSV


def test_cells_stay_text(tmp_path: Path) -> None:
    """Every cell stays the text that it is: no type is guessed, and no word stands for null."""
    path = tmp_path / "f.csv"
    path.write_text('a,b\n007,NA\nnull,""\n"x, y",\n')
    assert frame_of(path).drop("_file").rows() == [("007", "NA", 2), ("null", "", 3), ("x, y", "", 4)]


RAGGED = ["a,b", "1,2", "3", "4,5", "6,7,8", "9,10"]


@pytest.mark.parametrize("start", [b"", BOM], ids=["plain", "bom"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "open"])
def test_ragged_lines_are_set_aside(tmp_path: Path, start: bytes, end: str, *, last: bool) -> None:
    """A line with too few or too many fields is set aside with its number, and all other lines keep theirs."""
    path = tmp_path / "f.csv"
    path.write_bytes(start + (end.join(RAGGED) + end * last).encode())
    assert frame_of(path).rows() == [("1", "2", 2, str(path)), ("4", "5", 4, str(path)), ("9", "10", 6, str(path))]
    assert ragged_of(path) == [
        (3, "3", "1 fields where the header has 2"),
        (5, "6,7,8", "3 fields where the header has 2"),
    ]


def test_a_quoted_line_break_counts_as_one_line(tmp_path: Path) -> None:
    """A row with quoted line breaks is one row and one line, in good and in ragged rows."""
    path = tmp_path / "f.csv"
    path.write_text('a,b\n1,"x\n\ny"\n3\n4,5\n"p\nq",7,8\n9,10\n')
    assert frame_of(path).drop("_file").rows() == [("1", "x\n\ny", 2), ("4", "5", 4), ("9", "10", 6)]
    assert [(line, text) for line, text, _ in ragged_of(path)] == [(3, "3"), (5, '"p\nq",7,8')]


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_blank_lines_are_counted(tmp_path: Path, end: str) -> None:
    """A line with nothing in it is no row, but the lines after it keep their true numbers."""
    path = tmp_path / "f.csv"
    path.write_bytes(end.join(["a,b", "1,2", "", "3", "", "4,5", ",", "6,7,8", "9,", "", ""]).encode())
    assert frame_of(path).drop("_file").rows() == [("1", "2", 2), ("4", "5", 6), ("9", "", 9)]
    assert [(line, text) for line, text, _ in ragged_of(path)] == [(4, "3"), (8, "6,7,8")]


def test_lines_are_numbered_right_in_a_long_file(tmp_path: Path) -> None:
    """Line numbers hold over the reader's blocks of four megabytes."""
    path = tmp_path / "f.csv"
    filler = "x" * 240
    path.write_text("n,f\n" + "".join(f"{n}\n" if n % 20_000 == 0 else f"{n},{filler}\n" for n in range(50_000)))
    frame = frame_of(path)
    assert frame.height == 49_997
    assert (frame["n"].cast(pl.Int64) + 2 == frame["_line"]).all()
    assert [(line, text) for line, text, _ in ragged_of(path)] == [(2, "0"), (20_002, "20000"), (40_002, "40000")]


def test_the_text_of_a_ragged_line_is_cut(tmp_path: Path) -> None:
    """Of a very long ragged line 200 characters are kept."""
    path = tmp_path / "f.csv"
    path.write_text("a,b\n" + "x" * 1000 + "\n1,2\n")
    assert [text for _, text, _ in ragged_of(path)] == ["x" * 200]


def test_a_header_alone_is_a_file_without_rows(tmp_path: Path) -> None:
    """A file with a header and nothing below has its columns and no rows."""
    path = tmp_path / "f.csv"
    path.write_text("a,b\n")
    assert frame_of(path).is_empty()
    assert frame_of(path).columns[:2] == ["a", "b"]


@pytest.mark.parametrize("content", [b"", BOM], ids=["nothing", "bom"])
def test_an_empty_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    """A file with nothing in it says so, and what a CSV file needs."""
    path = tmp_path / "f.csv"
    path.write_bytes(content)
    assert error_of(path) == f"File {path} is empty; a CSV file has a header line with the names of its columns."


def test_a_column_named_twice_is_an_error(tmp_path: Path) -> None:
    """A header that names columns twice is refused with their names."""
    path = tmp_path / "f.csv"
    path.write_text("b,a,c,a,b\n1,2,3,4,5\n")
    assert error_of(path) == f"File {path}: its header names a, b more than once. Rename the columns."


@pytest.mark.parametrize(
    "lines", ["ä,b\n1,2\n", "a,b\nä,2\n", "a,b\n" + "1,2\n" * 5000 + "ä,2\n"], ids=["header", "row", "far"]
)
def test_other_encodings_are_an_error(tmp_path: Path, lines: str) -> None:
    """A file that is not UTF-8, in its header or far below, is refused with what to do."""
    path = tmp_path / "f.csv"
    path.write_bytes(lines.encode("latin-1"))
    message = error_of(path)
    assert message.startswith(f"File {path}")
    assert message.endswith("as UTF-8 with a header line.")


# -------------------------------------------------------------------------------------------------------------- Parquet


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    """Rows from Parquet keep their types, and are numbered from 1."""
    path = tmp_path / "f.parquet"
    pl.DataFrame({"a": [1, 2], "b": [0.5, None]}).write_parquet(path)
    (rows,) = read(parquet(str(path)))
    assert rows.frame.rows() == [(1, 0.5, str(path), 1), (2, None, str(path), 2)]
    assert rows.ragged.is_empty()


def test_parquet_is_read_in_pieces(tmp_path: Path) -> None:
    """Row groups are dealt out to readers, each row comes once and knows its number, and no piece is large."""
    path = tmp_path / "f.parquet"
    pl.DataFrame({"n": range(1, 600_001)}).write_parquet(path, row_group_size=100_000)
    source = parquet(str(path))
    assert [shard.rows for shard in shards_of(source, InputFile(path=str(path), size=path.stat().st_size), "f")] == [
        300_000,
        300_000,
    ]
    pieces = [rows.frame for rows in read(source)]
    assert max(piece.height for piece in pieces) <= 1 << 16
    whole = pl.concat(pieces)
    assert (whole["n"] == whole["_line"]).all()
    assert whole.height == 600_000


def test_parquet_without_rows(tmp_path: Path) -> None:
    """A Parquet file without rows has its columns."""
    path = tmp_path / "f.parquet"
    pl.DataFrame({"a": [1]}).clear().write_parquet(path)
    (rows,) = read(parquet(str(path)))
    assert rows.frame.columns == ["a", "_file", "_line"]
    assert rows.frame.is_empty()


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n" * 10], ids=["nothing", "csv"])
def test_what_is_no_parquet_is_an_error(tmp_path: Path, content: bytes) -> None:
    """A file that is no Parquet is refused with its name."""
    path = tmp_path / "f.parquet"
    path.write_bytes(content)
    message = error_of(path, is_parquet=True)
    assert message.startswith(f"File {path} can't be read as Parquet: ")
    assert message.endswith("Write it again, or take it away.")
