"""A manifest is read within limits, and leads only to files beside it."""

from typing import Any
from uuid import uuid4

import pytest

from lockstep.errors import ObjectDamaged, UsageError
from lockstep.registry import ObjectRef, Objects, files_of, folder, put_folder, read_manifest

FILE = {"sha256": "0" * 64, "size": 3}


@pytest.fixture
def objects() -> Objects:
    """Open a store of its own."""
    return Objects.open(f"memory://{uuid4().hex}")


def put(objects: Objects, content: bytes) -> ObjectRef:
    """Write a manifest as it is."""
    return objects.put("models/churn/abc/manifest.json", content)


def nested(levels: int) -> Any:  # noqa: ANN401  any JSON
    """Lists within each other."""
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_what_was_written_is_read(objects: Objects) -> None:
    """The manifest names the files, whose hashes are those of what stands beside it."""
    ref = put_folder(objects, "models/churn", {"model": "churn"}, {"model.skops": b"fit", "curve.json": b"[]"})
    manifest = read_manifest(objects, ref)
    files = files_of(ref, manifest)
    assert {name: objects.get(file) for name, file in files.items()} == {"model.skops": b"fit", "curve.json": b"[]"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"not json", "is no JSON that can be read (JSONDecodeError)"),
        (b'{"a":"\xff"}', "is no JSON that can be read (UnicodeDecodeError)"),
        (b"[" * 100_000 + b"]" * 100_000, "is no JSON that can be read (RecursionError)"),
        (b"[1]", "is no JSON object"),
        (b'{"a":' * 64 + b"1" + b"}" * 64, ""),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "is nested deeper than 64 levels"),
    ],
    ids=["text", "bytes", "deepest", "a list", "deep enough", "too deep"],
)
def test_a_manifest_that_can_not_be_one_is_told(objects: Objects, content: bytes, why: str) -> None:
    """Whatever stands there, the error names the manifest and the reason."""
    ref = put(objects, content)
    if not why:
        assert read_manifest(objects, ref)
        return
    with pytest.raises(ObjectDamaged) as caught:
        read_manifest(objects, ref)
    assert str(caught.value) == (
        f'Manifest "models/churn/abc/manifest.json" {why}. It is not used; restore it from a copy, or find out who'
        " wrote it."
    )


def test_a_large_manifest_is_refused_before_it_is_read(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the size that the log says, and by the size that it has."""
    with pytest.raises(ObjectDamaged, match="has 999999999 bytes; allowed are 67108864"):
        read_manifest(objects, ObjectRef(path="models/churn/abc/manifest.json", sha256="0" * 64, size=999_999_999))
    ref = put(objects, b'{"a":"' + b"x" * 100 + b'"}')
    monkeypatch.setattr(folder, "MOST_BYTES", 50)
    with pytest.raises(ObjectDamaged, match="has 108 bytes; allowed are 50"):
        read_manifest(objects, ObjectRef(path=ref.path, sha256=ref.sha256, size=50))


def test_a_manifest_that_would_not_be_read_is_not_written(objects: Objects) -> None:
    """Nothing of its folder is there afterwards."""
    put_folder(objects, "models/churn", {"parameters": nested(63)}, {})
    with pytest.raises(UsageError, match=r'^A manifest below "models/fit" is nested deeper than 64 levels\. Make'):
        put_folder(objects, "models/fit", {"parameters": nested(64)}, {"model.skops": b"fit"})
    assert objects.names("models/fit") == []


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "..",
        ".",
        "",
        "a/b",
        "/etc/passwd",
        "a\\b",
        "a\nb",
        "a\0b",
        "a#b",
        "ü",
        "x" * 201,
        "manifest.json/../y",
    ],
)
def test_a_file_is_never_anywhere_but_beside_its_manifest(name: str) -> None:
    """A name that could lead elsewhere is refused, whatever it would lead to."""
    ref = ObjectRef(path="models/churn/abc/manifest.json", sha256="0" * 64, size=1)
    with pytest.raises(ObjectDamaged) as caught:
        files_of(ref, {"files": {"model.skops": FILE, name: FILE}})
    assert str(caught.value).startswith(
        f'Manifest "models/churn/abc/manifest.json" names {name!r}, which is no file beside it with a hash and a size.'
    )


@pytest.mark.parametrize(
    "manifest",
    [
        {},
        {"files": None},
        {"files": ["a"]},
        {"files": {"a": None}},
        {"files": {"a": {}}},
        {"files": {"a": {"sha256": "short", "size": 1}}},
        {"files": {"a": {"sha256": "0" * 64, "size": "1"}}},
    ],
)
def test_files_without_hash_or_size_are_refused(manifest: dict[str, Any]) -> None:
    """A manifest that does not promise the bytes is damaged."""
    ref = ObjectRef(path="models/churn/abc/manifest.json", sha256="0" * 64, size=1)
    with pytest.raises(
        ObjectDamaged, match=r"does not name its files|which is no file beside it with a hash and a size"
    ):
        files_of(ref, manifest)
