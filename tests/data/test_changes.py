"""What a source holds now against what a snapshot was made of: one kind and one sentence for each file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data.changes import Kind, compare, longer_files
from lockstep.data.sources import InputFile

MD5 = "0123456789abcdef0123456789abcdef"
FILES = st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.integers(0, 3), st.sampled_from("xyz")))


def local(path: str, size: int, sha256: str) -> InputFile:
    """A file on the disk."""
    return InputFile(path=path, size=size, sha256=sha256)


def far(path: str, size: int, etag: str, version: str | None = None) -> InputFile:
    """A file in a cloud."""
    return InputFile(path=path, size=size, etag=etag, version=version)


@pytest.mark.parametrize(
    ("before", "now", "kind", "says"),
    [
        ([local("a", 5, "A")], [local("a", 5, "A"), local("b", 6, "B")], Kind.NEW, "b (6 bytes) is new."),
        (
            [local("b", 6, "B")],
            [local("a", 5, "A"), local("b", 6, "B")],
            Kind.LATE,
            "a (5 bytes) came late: b, which sorts behind it, was known.",
        ),
        (
            [local("a", 5, "A")],
            [local("a", 5, "A"), local("b", 5, "A")],
            Kind.DUPLICATED,
            (
                "b (5 bytes) is a duplicate: it holds the same bytes as a, which is still there: its rows stand there"
                " twice."
            ),
        ),
        (
            [far("a", 5, f'"{MD5}"', "1")],
            [far("a", 5, f'"{MD5}"', "1"), far("b", 5, f'"{MD5}"', "2")],
            Kind.DUPLICATED,
            (
                "b (5 bytes) is a duplicate: it holds the same bytes as a, which is still there: its rows stand there"
                " twice."
            ),
        ),
        (
            [far("a", 5, "CPjx", "1")],
            [far("a", 5, "CPjx", "1"), far("b", 5, "CPjx", "2")],
            Kind.NEW,
            "b (5 bytes) is new.",
        ),
        (
            [local("a", 5, "A")],
            [local("a", 5, "B")],
            Kind.CHANGED,
            "a was corrected: it has other content than before in as many bytes (5).",
        ),
        (
            [local("a", 5, "A")],
            [local("a", 9, "B")],
            Kind.CHANGED,
            "a was corrected: it went from 5 to 9 bytes.",
        ),
        (
            [far("a", 5, "e", "1")],
            [far("a", 5, "e", "2")],
            Kind.CHANGED,
            "a was written again: version 1 became 2, 5 bytes as before.",
        ),
        (
            [far("a", 5, "e")],
            [far("a", 5, "f")],
            Kind.CHANGED,
            "a was written again: etag e became f, 5 bytes as before.",
        ),
        (
            [far("a", 5, "e")],
            [far("a", 9, "f")],
            Kind.CHANGED,
            (
                "a was corrected: it went from 5 to 9 bytes; whether it begins as before is not known without reading"
                " it."
            ),
        ),
        (
            [local("a", 5, "A")],
            [local("a", 4, "B")],
            Kind.SHRUNK,
            "a has shrunk from 5 to 4 bytes: rows may be missing.",
        ),
        ([local("a", 5, "A")], [], Kind.GONE, "a is gone; it had 5 bytes."),
    ],
)
def test_each_change_is_named(before: list[InputFile], now: list[InputFile], kind: Kind, says: str) -> None:
    """A file that is not as it was gets its kind and its sentence; the others are counted."""
    found = compare(before, now)
    (change,) = found.changes
    assert (change.kind, change.says) == (kind, says)
    assert found.unchanged == len({*before} & {*now})
    assert not found.is_same


def test_a_version_that_the_listing_does_not_tell_is_no_change() -> None:
    """What was asked for when the snapshot was taken is not held against a listing without it; the etag is."""
    assert compare([far("a", 5, "e", "1")], [far("a", 5, "e")]).is_same
    (change,) = compare([far("a", 5, "e", "1")], [far("a", 5, "f")]).changes
    assert change.says == "a was written again: etag e became f, 5 bytes as before."


def test_a_file_that_begins_as_before_has_grown() -> None:
    """Only of a longer local file the beginning is asked for, and only the old hash of it makes it grown."""
    before, now = [local("a", 5, "A"), far("b", 5, "e")], [local("a", 9, "B"), far("b", 9, "f")]
    assert longer_files(before, now) == {"a": 5}
    assert longer_files(before, [local("a", 4, "B")]) == {}
    grown, _ = compare(before, now, {"a": "A"}).changes
    assert (grown.kind, grown.says) == (Kind.GROWN, "a has grown from 5 to 9 bytes; it begins as before.")
    other, _ = compare(before, now, {"a": "C"}).changes
    assert other.kind is Kind.CHANGED


def test_a_renamed_file_is_told_as_such() -> None:
    """A file that is gone and whose bytes stand there under a new name was renamed."""
    gone, renamed = compare([local("a", 5, "A")], [local("b", 5, "A")]).changes
    assert gone.kind is Kind.GONE
    assert renamed.says == "b (5 bytes) is a duplicate: it holds the same bytes as a, which is gone: it was renamed."


def test_many_changes_are_told_in_few_sentences() -> None:
    """Of many changes the first are told, and how many more there are."""
    found = compare([local("a", 1, "A")], [local("a", 1, "A"), *(local(f"b{n}", 1, f"{n}") for n in range(5))])
    assert found.sentences(2) == [
        "b0 (1 bytes) is new.",
        "b1 (1 bytes) is new.",
        "And 3 files more.",
        "1 file as before.",
    ]
    assert found.only_grew
    assert compare([], []).sentences() == ["Nothing changed: 0 files as before."]


@given(old=FILES, new=FILES)
def test_every_file_is_told_once(old: dict[str, tuple[int, str]], new: dict[str, tuple[int, str]]) -> None:
    """Each path of either list is told once or counted as unchanged, and nothing else; equal lists are the same."""
    before, now = ([local(path, *about) for path, about in files.items()] for files in (old, new))
    found = compare(before, now)
    told = [change.path for change in found.changes]
    untouched = {path for path in old.keys() & new.keys() if old[path][1] == new[path][1]}
    assert told == sorted((old.keys() | new.keys()) - untouched)
    assert found.unchanged == len(untouched)
    assert found.only_grew == (bool(told) and untouched == old.keys())
    assert compare(now, now).is_same
