"""What only local disk and memory have; the contract that every store keeps is tested in tests/stores."""

from pathlib import Path
from uuid import uuid4

import pytest

from lockstep.errors import ObjectDamaged, ObjectMissing, StoreUnusable
from lockstep.registry import Objects

PATH = "models/churn/abc/model.skops"


def test_file_that_changed_on_disk_is_refused(tmp_path: Path) -> None:
    """A file that was changed behind the store's back is not read as if it were whole."""
    objects = Objects.open(str(tmp_path))
    ref = objects.put(PATH, b"bytes")
    (tmp_path / PATH).write_bytes(b"bytez")
    with pytest.raises(ObjectDamaged):
        objects.get(ref)
    (tmp_path / PATH).unlink()
    with pytest.raises(ObjectMissing):
        objects.get(ref)


def test_what_a_killed_writer_left_is_not_an_object(tmp_path: Path) -> None:
    """A staging file of a writer that died is not listed, and doesn't keep the next writer out."""
    objects = Objects.open(str(tmp_path))
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "1.json#1").write_bytes(b"half an ent")
    assert objects.names("log") == []
    assert objects.put_new("log/1.json", b"whole")
    assert objects.get_unverified("log/1.json") == b"whole"


def test_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """A root that is a file is refused when it is opened."""
    root = tmp_path / "root"
    root.write_text("not a folder")
    with pytest.raises(StoreUnusable, match=r"the folder can't be used: .* Check its path and rights\.$"):
        Objects.open(str(root))


def test_folder_with_a_strange_name_is_one_place(tmp_path: Path) -> None:
    """A folder whose name needs quoting in a URI is the same place by path and by URI."""
    folder = tmp_path / "a b%20ü#1?"
    ref = Objects.open(str(folder)).put(PATH, b"bytes")
    assert (folder / PATH).read_bytes() == b"bytes"
    assert Objects.open(folder.as_uri()).get(ref) == b"bytes"


def test_memory_stores_are_apart_by_name() -> None:
    """Memory registries of different names share nothing."""
    one, other = Objects.open(f"memory://{uuid4().hex}"), Objects.open(f"memory://{uuid4().hex}")
    one.put(PATH, b"bytes")
    assert not other.exists(PATH)
