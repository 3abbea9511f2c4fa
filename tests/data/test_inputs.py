"""Files as they come from elsewhere: what is read of them, what is set aside, and the sentence that refuses the rest.

What single cells and lines do is in `test_rows` and `test_reading`; here are whole files.
"""

import gzip
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lockstep.data import read_snapshot, take_snapshot
from lockstep.data.pipeline import expected_rows
from lockstep.data.reading import chunks_of, shards_of
from lockstep.data.sources import find_files
from lockstep.declare import Dataset
from lockstep.errors import DataError
from lockstep.registry import Origin, Registry, read_manifest
from lockstep.source import Source, csv, parquet

ADA = Origin(by="ada")
HEADER = "visit,guests,bill,table,regular,day,rating"
GOOD = [f"v{n},{n % 7 + 1},{n / 4},tä{n % 5},yes,2026-01-0{n % 9 + 1},{n % 5 or ''}" for n in range(20)]
TEXT = "\n".join([HEADER, *GOOD, ""])
AS_UTF_8 = "Write it again as UTF-8 with a header line."

DatasetMaker = Callable[..., Dataset]


class Inbox:
    """A registry, and the folder that its dataset is read from."""

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        self.registry, self.dataset = Registry.open(str(folder / "registry")), dataset
        self.folder = folder / "in"
        self.folder.mkdir()

    def put(self, data: bytes | str, name: str = "visits.csv") -> Path:
        """Put a file there."""
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def take(self, dataset: Dataset | None = None) -> dict[str, Any]:
        """Take a snapshot; its manifest, with its rows under `kept`."""
        version = take_snapshot(self.registry, dataset or self.dataset, ADA)
        kept = read_snapshot(self.registry, version)
        return read_manifest(self.registry.objects, version.fact.manifest) | {"kept": kept}

    def refused(self, dataset: Dataset | None = None) -> str:
        """What is said when it is refused; nothing is recorded or left."""
        with pytest.raises(DataError) as caught:
            take_snapshot(self.registry, dataset or self.dataset, ADA)
        assert self.registry.objects.names("scratch") == []
        assert list(self.registry.log.entries()) == []
        return str(caught.value)


@pytest.fixture
def inbox(tmp_path: Path, visits: DatasetMaker) -> Inbox:
    """Sit down before an empty folder and an empty registry."""
    return Inbox(tmp_path, visits(str(tmp_path / "in" / "*")))


# --------------------------------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + TEXT.encode(),
        b'\xef\xbb\xbf"visit"' + TEXT.encode().removeprefix(b"visit"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        gzip.compress(TEXT.encode()),
        gzip.compress(b"\xef\xbb\xbf" + TEXT[:300].encode()) + gzip.compress(TEXT[300:].encode()),
    ],
    ids=["bom", "bom and quotes", "crlf", "cr", "gzip", "two gzips"],
)
def test_one_text_in_many_forms_is_one_snapshot(inbox: Inbox, data: bytes) -> None:
    """A byte-order mark, other ends of lines or gzip change nothing: it is the snapshot of the plain file."""
    inbox.put(TEXT)
    plain = inbox.take()
    inbox.put(data)
    again = inbox.take()
    assert (again["digest"], again["rows"], again["quarantined"]) == (plain["digest"], 20, 0)
    assert len(list(inbox.registry.log.entries())) == 1


def test_gzip_beside_plain_files(inbox: Inbox) -> None:
    """Compressed and plain files of one source are read together, and each keeps the numbers of its own lines."""
    inbox.put("\n".join([HEADER, *GOOD[:5]]))
    packed = inbox.put(
        gzip.compress("\n".join([HEADER, *GOOD[5:], "w1,1", "w2,x,1,t,no,2026-01-01,"]).encode()), "b.csv.gz"
    )
    manifest = inbox.take()
    assert (manifest["rows"], manifest["quarantined"]) == (20, 2)
    assert next(file["size"] for file in manifest["source"]["files"]) == packed.stat().st_size
    assert manifest["reasons"] == {'guests: "x" is not an int': 1, "2 fields where the header has 7": 1}


def test_the_rows_of_a_compressed_file_are_guessed(inbox: Inbox) -> None:
    """How many rows a compressed file has is known to within a third before it is read whole."""
    lines = "n,text\n" + "".join(f"{n},some text {n % 97}\n" for n in range(200_000))
    inbox.put(gzip.compress(lines.encode()))
    assert expected_rows(csv("x"), find_files(csv(str(inbox.folder / "*")))) == pytest.approx(200_000, rel=0.33)


def test_every_kind_of_bad_row_at_once(inbox: Inbox) -> None:
    """However many kinds of bad rows a file has, each good row is kept, and each bad one counted with its reason."""
    bad = [
        "w1,1,1.5",
        'w2,"1,234",1.5,t,yes,2026-01-01,',
        'w3,1,"1,234.50",t,yes,2026-01-01,',
        'w4,1,"1.234,50",t,yes,2026-01-01,',
        "w5,1,NaN,t,yes,2026-01-01,",
        "w6,1,inf,t,yes,2026-01-01,",
        "w7,1,1e999,t,yes,2026-01-01,",
        "w8,two,1.5,t,perhaps,01.02.2026,",
        "w9,1,1.5,t,,2026-01-01,",
        "w10,1,1.5,t,yes,2026-01-01,,,",
        "v3,7,1.5,t,yes,2026-01-01,",
    ]
    inbox.put(TEXT + "\n".join(bad))
    manifest = inbox.take()
    assert sorted(manifest["kept"]["visit"]) == sorted(
        line.partition(",")[0] for line in GOOD if not line.startswith("v3,")
    )
    yes_no = "a bool (yes/no, true/false, 1/0)"
    assert manifest["reasons"] == {
        "3 fields where the header has 7": 1,
        'guests: "1,234" is not an int': 1,
        'bill: "1,234.50" is not a float': 1,
        'bill: "1.234,50" is not a float': 1,
        'bill: "NaN" is not a float': 1,
        'bill: "inf" is not a float': 1,
        'bill: "1e999" is not a float': 1,
        f'guests: "two" is not an int; regular: "perhaps" is not {yes_no}; day: "01.02.2026" is not a date'
        " (YYYY-MM-DD)": 1,
        f"regular: blank, {yes_no} is needed": 1,
        "9 fields where the header has 7": 1,
        'visit: key "v3" stands 2 times, with different content': 2,
    }
    assert manifest["rows"] + manifest["quarantined"] == len(GOOD) + len(bad)


def test_quoted_line_breaks_and_huge_cells_are_kept_whole(inbox: Inbox) -> None:
    """A cell with commas, quotes and line breaks, and one of three megabytes, come through unchanged."""
    odd, huge = 'one, "two"\nthree\r\n\nfour', "x" * 3_000_000
    quoted = odd.replace('"', '""')
    inbox.put(
        f'{TEXT}w1,1,1.5,"{quoted}",yes,2026-01-01,\nw2,1,1.5,{huge},yes,2026-01-01,\nw3,1,1.5,t,yes,2026-01-01,\n'
    )
    kept = dict(inbox.take()["kept"].select("visit", "table").rows())
    assert (kept["w1"], kept["w2"], kept["w3"]) == (odd, huge, "t")
    assert len(kept) == len(GOOD) + 3


def test_columns_more_and_in_another_order(inbox: Inbox) -> None:
    """Columns that nobody declared are left out, and the order of columns in a file does not count."""
    inbox.put(TEXT)
    plain = inbox.take()
    rows = [line.split(",") for line in TEXT.splitlines()]
    inbox.put("\n".join(",".join([f"extra{n}", *reversed(row)]) for n, row in enumerate(rows)))
    assert inbox.take()["digest"] == plain["digest"]


# ------------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TEXT.encode("utf-16"), f" is no UTF-8; it looks like UTF-16. {AS_UTF_8}"),
        (TEXT.encode("utf-16-le"), f" is no UTF-8; it looks like UTF-16. {AS_UTF_8}"),
        (TEXT.encode("utf-16-be"), f" is no UTF-8; it looks like UTF-16. {AS_UTF_8}"),
        (
            TEXT.encode("latin-1"),
            (" can't be read as CSV: In CSV column #3: Row #2: CSV conversion error to string: invalid UTF8 data."
            f" {AS_UTF_8}"),
        ),
        (b"", " is empty; a CSV file has a header line with the names of its columns."),
        (gzip.compress(b""), " is empty; a CSV file has a header line with the names of its columns."),
        (
            gzip.compress(TEXT.encode())[:-20],
            " can't be read as CSV: Truncated compressed stream. Write it again as UTF-8 with a header line.",
        ),
        (
            f'{TEXT}w1,1,1.5,t,yes,2026-01-01,"3\n'.encode() + b"w2,1,1.5,t,yes,2026-01-01,\n" * 3,
            (": a quote that opens in line 22 is never closed, so that the rows below it can't be told from one cell."
            " Close it, or double each quote that is part of a text."),
        ),
        (
            f'{TEXT}w1,1,1.5,"t,yes,2026-01-01,\n'.encode() + b"w2,1,1.5,t,yes,2026-01-01,\n" * 3,
            (": a quote that opens in line 22 is never closed, so that the rows below it can't be told from one cell."
            " Close it, or double each quote that is part of a text."),
        ),
        (
            f"{TEXT}w1,1,1.5,{'x' * 9_000_000},yes,2026-01-01,\n".encode(),
            " can't be read as CSV: a line is longer than 4 MB. Shorten it, or close the quote that opens in it.",
        ),
        (
            TEXT.replace("bill", "Bill ").replace("guests", "guest").encode(),
            (": Columns guests, bill are declared, but the rows have only visit, guest, Bill , table, regular, day,"
            ' rating. Is it "guest" for "guests", "Bill " for "bill"? Correct the source or the declaration.'),
        ),
        (
            TEXT.replace(",", ";").encode(),
            (": Columns visit, guests, bill, table, regular, day, rating are declared, but the rows have only"
            " visit;guests;bill;table;regular;day;rating. Correct the source or the declaration."),
        ),
        (
            "\n".join(line.rpartition(",")[0] for line in TEXT.splitlines()).encode(),
            (": Columns rating are declared, but the rows have only visit, guests, bill, table, regular, day. Correct"
            " the source or the declaration."),
        ),
    ],
    ids=["utf-16", "utf-16-le", "utf-16-be", "latin-1", "empty", "empty gzip", "gzip cut short", "open quote",
         "open quote in a ragged row", "huge line", "renamed", "semicolons", "no label"],
)  # fmt: skip
def test_a_file_that_would_lose_rows_is_refused(inbox: Inbox, data: bytes, message: str) -> None:
    """A file that can't be told apart, or has not all declared columns, is refused with its name and what to do."""
    inbox.put(TEXT.replace("\nv", "\nu"), "a.csv")
    path = inbox.put(data)
    assert inbox.refused() == f"File {path}{message}"


def test_quotes_that_are_part_of_a_text_are_fine(inbox: Inbox) -> None:
    """A lone quote within a cell, in the last row too, opens nothing; nor does one in a last row that is ragged."""
    inbox.put(f'{TEXT}w1,1,1.5,5" pipe,yes,2026-01-01,\nw2,1,5" pipe')
    manifest = inbox.take()
    assert (manifest["rows"], manifest["quarantined"]) == (21, 1)
    assert manifest["kept"].filter(visit="w1")["table"].to_list() == ['5" pipe']


@pytest.mark.parametrize("end", ["\n", ""], ids=["ended", "open"])
def test_a_closed_quote_at_the_end_is_fine(inbox: Inbox, end: str) -> None:
    """A quoted cell with line breaks may stand last in a file."""
    columns = {"n": int, "note": str}
    dataset = Dataset("notes", source=csv(str(inbox.folder / "*")), key="id", columns=columns)
    inbox.put(f'id,n,note\na,1,x\nb,2,"one\ntwo\n"{end}')
    assert inbox.take(dataset)["kept"].filter(id="b")["note"].to_list() == ["one\ntwo"]


def test_a_pattern_without_files(inbox: Inbox) -> None:
    """An empty folder is no empty dataset: it is told with the pattern and the variable that it starts from."""
    said = inbox.refused()
    pattern = inbox.folder / "*"
    assert said.startswith(f'Source csv("{pattern}"): no file matches {pattern}. Relative patterns start at the folder')


@pytest.mark.parametrize("change", [8, -8], ids=["grows", "shrinks"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_that_changes_while_it_is_read(inbox: Inbox, kind: str, change: int) -> None:
    """A file whose size is another at the end of reading than when it was found is refused, not recorded as it was."""
    path = inbox.folder / f"visits.{kind}"
    frame = pl.DataFrame({"n": range(100_000)})
    frame.write_csv(path) if kind == "csv" else frame.write_parquet(path)
    source = Source(kind, str(path))
    (file,) = find_files(source)
    (shard,) = shards_of(source, file, "f")
    chunks = chunks_of(source, shard)
    next(chunks)
    os.truncate(path, file.size + change)
    with pytest.raises(DataError) as caught:
        list(chunks)
    if kind == "csv" or change > 0:  # a Parquet file that shrank has lost its footer, which polars may look for again
        assert str(caught.value) == (
            f"File {path} changed while the snapshot was taken: it had {file.size} bytes when it was found, and has"
            f" {file.size + change} now. Take the snapshot again when nothing writes to it."
        )
    assert str(caught.value).startswith(f"File {path} ")


def test_a_file_that_grew_since_it_was_found(inbox: Inbox) -> None:
    """Rows that were added between finding and reading are not taken for what was found."""
    path = inbox.put(TEXT)
    (found,) = find_files(csv(str(path)))
    inbox.put(TEXT + GOOD[0].replace("v0", "w0") + "\n")
    (shard,) = shards_of(csv(str(path)), found, "f")
    with pytest.raises(DataError, match=r"changed while the snapshot was taken: it had \d+ bytes when it was found"):
        list(chunks_of(csv(str(path)), shard))


def as_parquet(inbox: Inbox) -> tuple[Path, Dataset]:
    """Put the rows there as Parquet."""
    columns: Sequence[str] = HEADER.split(",")
    rows = pl.DataFrame([line.split(",") for line in GOOD], schema=columns, orient="row")
    path = inbox.folder / "visits.parquet"
    rows.write_parquet(path)
    return path, replace(inbox.dataset, source=parquet(str(path)))


@pytest.mark.parametrize("share", [0.99, 0.5, 0.0], ids=["end", "half", "all"])
def test_a_parquet_file_cut_short(inbox: Inbox, share: float) -> None:
    """A Parquet file that lost its end is refused with its name, and none of its rows is taken."""
    path, dataset = as_parquet(inbox)
    os.truncate(path, int(path.stat().st_size * share))
    said = inbox.refused(dataset)
    assert said.startswith(f"File {path} can't be read as Parquet: ")
    assert said.endswith(". Write it again, or take it away.")
    assert ".." not in said.removeprefix(f"File {path}")


def test_text_in_parquet_is_parsed_as_in_csv(inbox: Inbox) -> None:
    """A Parquet file of texts is the same snapshot as the CSV file."""
    inbox.put(TEXT)
    plain = inbox.take()
    _, dataset = as_parquet(inbox)
    assert inbox.take(dataset)["digest"] == plain["digest"]
    assert plain["kept"]["day"].max() == date(2026, 1, 9)


def test_a_column_of_parquet_that_was_renamed(inbox: Inbox) -> None:
    """Of a Parquet file, too, the near name is told."""
    path, dataset = as_parquet(inbox)
    pl.read_parquet(path).rename({"regular": "is_regular"}).write_parquet(path)
    assert 'Is it "is_regular" for "regular"?' in inbox.refused(dataset)
