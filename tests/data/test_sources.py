"""Files found by a pattern and read into frames."""

import hashlib
from pathlib import Path

import polars as pl
import pytest

from lockstep.data.rows import REASON
from lockstep.data.sources import DATA_VARIABLE, InputFile, find_files, read_rows
from lockstep.declare import csv, parquet
from lockstep.errors import DataError

BOM = b"\xef\xbb\xbf"


def frame_of(path: Path) -> pl.DataFrame:
    """The usable rows of a CSV file."""
    return read_rows(csv(str(path)), str(path)).frame


def ragged_of(path: Path) -> list[tuple[int, str, str]]:
    """Line, text and reason of each line of a CSV file with another number of fields."""
    return read_rows(csv(str(path)), str(path)).ragged.select("_line", "_text", REASON).rows()


def error_of(path: Path, *, is_parquet: bool = False) -> str:
    """What reading a file says."""
    source = parquet(str(path)) if is_parquet else csv(str(path))
    with pytest.raises(DataError) as caught:
        read_rows(source, str(path))
    return str(caught.value)


# -------------------------------------------------------------------------------------------------------- finding files


def test_a_pattern_finds_its_files(data_folder: Path) -> None:
    """The files that a relative pattern matches below LOCKSTEP_DATA come by name, with size and hash; folders don't."""
    for name in ("b.csv", "a.csv", "c.txt"):
        (data_folder / name).write_bytes(name.encode())
    (data_folder / "folder.csv").mkdir()
    assert find_files(csv("*.csv")) == [
        InputFile(path=str(data_folder / name), size=5, sha256=hashlib.sha256(name.encode()).hexdigest())
        for name in ("a.csv", "b.csv")
    ]


@pytest.mark.parametrize(
    "pattern", ["{folder}/day-?.csv", "file://{folder}/day-?.csv", "file://{folder}/day%2D[0-9].csv"]
)
def test_absolute_patterns_and_addresses(tmp_path: Path, data_folder: Path, pattern: str) -> None:
    """An absolute path or file:/// address, with `?` and `[…]` too, is looked up where it says."""
    assert data_folder != tmp_path
    target = tmp_path / "day-1.csv"
    target.write_text("a\n1\n")
    assert [file.path for file in find_files(csv(pattern.format(folder=tmp_path)))] == [str(target)]


def test_two_stars_look_into_folders(data_folder: Path) -> None:
    """`**` finds files at any depth."""
    for name in ("top.csv", "2026/january.csv", "2026/02/first.csv"):
        (data_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (data_folder / name).write_text("a\n")
    found = [Path(file.path).relative_to(data_folder) for file in find_files(csv("**/*.csv"))]
    assert [str(path) for path in found] == ["2026/02/first.csv", "2026/january.csv", "top.csv"]


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_the_folder_is_no_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    """LOCKSTEP_DATA may be a path or a file:/// address, and its brackets and stars are names, not patterns."""
    folder = tmp_path / "run[1]*"
    folder.mkdir()
    (folder / "a.csv").write_text("a\n")
    monkeypatch.setenv(DATA_VARIABLE, f"{prefix}{folder}")
    assert [file.path for file in find_files(csv("*.csv"))] == [str(folder / "a.csv")]


def test_relative_patterns_start_at_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without LOCKSTEP_DATA a relative pattern starts at the working folder."""
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("a\n")
    assert [file.path for file in find_files(csv("a.csv"))] == [str(tmp_path / "a.csv")]


def test_no_match_says_where_it_looked(data_folder: Path) -> None:
    """A pattern that finds nothing is an error that names the whole path and LOCKSTEP_DATA."""
    with pytest.raises(DataError) as caught:
        find_files(csv("visits/*.csv"))
    assert str(caught.value) == (
        f'Source csv("visits/*.csv"): no file matches {data_folder}/visits/*.csv. Relative patterns start at the folder'
        f" in LOCKSTEP_DATA ({data_folder}); put files there or correct the pattern."
    )


def test_no_match_says_that_the_variable_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where LOCKSTEP_DATA is not set, the error says so."""
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"LOCKSTEP_DATA \(not set, so the working folder\)"):
        find_files(parquet("*.parquet"))


def test_other_addresses_are_refused() -> None:
    """An address that is no file is refused with the way out."""
    with pytest.raises(DataError) as caught:
        find_files(csv("gs://bucket/*.csv"))
    assert str(caught.value) == (
        'Source "gs://bucket/*.csv": sources are read from folders and file:/// addresses; copy the files there.'
    )


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
    """Line numbers hold over the reader's blocks of one megabyte."""
    path = tmp_path / "f.csv"
    filler = "x" * 60
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
    rows = read_rows(parquet(str(path)), str(path))
    assert rows.frame.rows() == [(1, 0.5, str(path), 1), (2, None, str(path), 2)]
    assert rows.ragged.is_empty()


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n" * 10], ids=["nothing", "csv"])
def test_what_is_no_parquet_is_an_error(tmp_path: Path, content: bytes) -> None:
    """A file that is no Parquet is refused with its name."""
    path = tmp_path / "f.parquet"
    path.write_bytes(content)
    message = error_of(path, is_parquet=True)
    assert message.startswith(f"File {path} can't be read as Parquet: ")
    assert message.endswith("Write it again, or take it away.")
