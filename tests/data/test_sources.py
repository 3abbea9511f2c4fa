"""Files found by a pattern."""

import hashlib
from pathlib import Path

import pytest

from lockstep.data.sources import DATA_VARIABLE, InputFile, find_files
from lockstep.errors import DataError
from lockstep.source import csv, parquet

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
    """An address of another kind is refused with the way out."""
    with pytest.raises(DataError) as caught:
        find_files(csv("ftp://host/*.csv"))
    assert str(caught.value) == (
        'Source "ftp://host/*.csv": sources are read from folders and from file:///, gs://, s3:// and az:// addresses;'
        " copy the files there."
    )
