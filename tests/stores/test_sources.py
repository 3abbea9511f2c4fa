"""Sources in clouds, on the servers of loopback: found, recorded, and read in pieces, also by a pipeline's workers."""

import io
from pathlib import Path
from uuid import uuid4

import obstore
import polars as pl
import pytest

from lockstep.data import read_snapshot, refresh_snapshot, take_snapshot
from lockstep.data.cloud import BLOCK, CloudFile
from lockstep.data.reading import chunks_of, shards_of
from lockstep.data.sources import DATA_VARIABLE, find_files
from lockstep.declare import Dataset
from lockstep.errors import DataError
from lockstep.registry import Objects, Origin, Registry, read_manifest
from lockstep.source import Source, csv, parquet
from loopback.servers import Server, Servers

ADA = Origin(by="ada")
LINES = "id,n\n" + "".join(f"k{n},{n}\n" for n in range(1000))


def things(source: Source) -> Dataset:
    """A dataset of ids and numbers."""
    return Dataset("things", source=source, key="id", columns={"n": int})


@pytest.fixture
def bucket(cloud: Server) -> str:
    """An empty prefix in each cloud in turn."""
    return f"{cloud.root}/{uuid4().hex}"


@pytest.fixture
def gcs(servers: Servers, surroundings: pytest.MonkeyPatch) -> str:
    """An empty prefix in Google's."""
    for name, value in servers["gcs"].environment().items():
        surroundings.setenv(name, value)
    return f"{servers['gcs'].root}/{uuid4().hex}"


def fill(bucket: str, *names: str, text: str = LINES) -> None:
    """Put a file under each name."""
    objects = Objects.open(bucket)
    for name in names:
        objects.put(name, text.encode())


def found(bucket: str, pattern: str) -> list[str]:
    """What a pattern finds, without the prefix."""
    return [file.path.removeprefix(f"{bucket}/") for file in find_files(csv(pattern))]


def test_patterns_mean_what_they_mean_in_a_folder(bucket: str) -> None:
    """`*`, `?`, `[…]` and `**` find in a bucket what they would find in a folder; hidden files are not meant."""
    fill(
        bucket, "in/a-1.csv", "in/a-2.csv", "in/b.txt", "in/deep/c.csv", "in/deep/er/d.csv", "in/.e.csv", "other/f.csv"
    )
    assert found(bucket, f"{bucket}/in/*.csv") == ["in/a-1.csv", "in/a-2.csv"]
    assert found(bucket, f"{bucket}/in/a-[2-9].csv") == ["in/a-2.csv"]
    assert found(bucket, f"{bucket}/in/?.*") == ["in/b.txt"]
    assert found(bucket, f"{bucket}/*/deep/*.csv") == ["in/deep/c.csv"]
    assert found(bucket, f"{bucket}/in/**/*.csv") == ["in/a-1.csv", "in/a-2.csv", "in/deep/c.csv", "in/deep/er/d.csv"]
    assert found(bucket, f"{bucket}/other/f.csv") == ["other/f.csv"]


def test_a_snapshot_from_a_cloud(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below LOCKSTEP_DATA in a cloud, rows come as from a folder, and the manifest names each file with its etag."""
    half = LINES.index("k500,")
    fill(bucket, "in/a.csv", text=LINES[:half])
    fill(bucket, "in/b.csv", text="id,n\n" + LINES[half:] + "k7\n")
    monkeypatch.setenv(DATA_VARIABLE, f"{bucket}/in")
    registry = Registry.open(f"{bucket}/registry")
    version = take_snapshot(registry, things(csv("*.csv")), ADA)
    assert (version.fact.rows, version.fact.quarantined) == (1000, 1)
    assert sorted(read_snapshot(registry, version)["n"]) == list(range(1000))
    files = read_manifest(registry.objects, version.fact.manifest)["source"]["files"]
    assert [file["path"] for file in files] == [f"{bucket}/in/a.csv", f"{bucket}/in/b.csv"]
    assert [file["size"] for file in files] == [half, len(LINES) - half + len("id,n\nk7\n")]
    assert all(file["etag"] and file["sha256"] is None for file in files)
    if bucket.startswith("gs://"):  # the generation, which is not in the listing; the others keep no versions here
        assert all(file["version"].isdecimal() for file in files)
        assert files[0]["version"] != files[1]["version"]
    assert registry.objects.names("scratch") == []


def test_parquet_is_read_by_ranges(bucket: str) -> None:
    """Of a Parquet file in a cloud each reader takes its row groups, and rows know their numbers."""
    buffer = io.BytesIO()
    pl.DataFrame({"id": [f"k{n}" for n in range(300_000)], "n": range(300_000)}).write_parquet(
        buffer, row_group_size=100_000
    )
    Objects.open(bucket).put("f.parquet", buffer.getvalue())
    source = parquet(f"{bucket}/f.parquet")
    (file,) = find_files(source)
    (shard,) = shards_of(source, file, "f")
    frames = [rows.frame for rows in chunks_of(source, shard)]
    assert max(frame.height for frame in frames) <= 1 << 16
    whole = pl.concat(frames)
    assert (whole["n"] + 1 == whole["_line"]).all()
    assert whole.height == 300_000


def test_large_files_come_in_blocks(gcs: str) -> None:
    """A file of several blocks comes whole and in order, whatever is sought between."""
    data = bytes(range(256)) * (5 * BLOCK // 512)
    Objects.open(gcs).put("f.bin", data)
    with CloudFile(f"{gcs}/f.bin", len(data), None) as file:
        assert file.read(10) == data[:10]
        file.seek(-5, io.SEEK_END)
        assert file.read(10) == data[-5:]
        file.seek(0)
        with io.BufferedReader(file, BLOCK) as blocks:
            assert blocks.read() == data


def test_a_file_that_is_replaced_is_refused(gcs: str) -> None:
    """Bytes of another state of the file than the recorded one are not taken for it."""
    fill(gcs, "in/a.csv")
    source = csv(f"{gcs}/in/*.csv")
    (file,) = find_files(source)
    registry = Registry.open(gcs)
    obstore.put(registry.objects._store.handle, "in/a.csv", LINES.replace("k1,", "x1,").encode())
    with pytest.raises(DataError) as refused:
        list(chunks_of(source, shards_of(source, file, "f")[0]))
    assert str(refused.value).startswith(f"File {gcs}/in/a.csv was replaced while it was read (etag ")
    obstore.delete(registry.objects._store.handle, "in/a.csv")
    with pytest.raises(DataError) as refused:
        list(chunks_of(source, shards_of(source, file, "f")[0]))
    assert str(refused.value) == (
        f"File {gcs}/in/a.csv: it was there when the files were listed, and is gone. Try again."
    )


def test_errors_name_the_file_and_the_cloud(gcs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No match, no bucket, no CSV and no Parquet are told as exactly as on the local disk."""
    with pytest.raises(DataError) as refused:
        find_files(csv(f"{gcs}/in/*.csv"))
    assert str(refused.value) == (
        f'Source csv("{gcs}/in/*.csv"): no file matches {gcs}/in/*.csv. Relative patterns start at the folder in'
        " LOCKSTEP_DATA (not set, so the working folder); put files there or correct the pattern."
    )
    with pytest.raises(DataError, match=r'^Source csv\("gs://nowhere-at-all/\*.csv"\): there is no bucket'):
        find_files(csv("gs://nowhere-at-all/*.csv"))
    fill(gcs, "in/empty.csv", text="")
    source = csv(f"{gcs}/in/empty.csv")
    with pytest.raises(DataError, match=r"^File gs://\S+/in/empty.csv is empty; a CSV file has a header line"):
        list(chunks_of(source, shards_of(source, find_files(source)[0], "f")[0]))
    source = parquet(f"{gcs}/in/empty.csv")
    with pytest.raises(DataError, match=r"^File gs://\S+/in/empty.csv can't be read as Parquet: "):
        shards_of(source, find_files(source)[0], "f")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    with pytest.raises(DataError, match=r"^Source csv\(\S+\): Google Cloud Storage at 127.0.0.1:1 can't be reached"):
        find_files(csv(f"{gcs}/in/*.csv"))


def test_a_snapshot_has_one_digest_wherever_its_files_are(gcs: str, tmp_path: Path) -> None:
    """The same rows in a folder and in a cloud are the same snapshot."""
    fill(gcs, "a.csv")
    (tmp_path / "a.csv").write_text(LINES)
    registry = Registry.open(str(tmp_path / "registry"))
    digests = {take_snapshot(registry, things(csv(f"{place}/*.csv")), ADA).digest for place in (gcs, tmp_path)}
    assert len(digests) == 1


def test_a_prefix_is_looked_at_without_reading_it(gcs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """New, replaced and unchanged objects of a bucket are told by the listing; of these only new ones are read."""
    fill(gcs, "in/b.csv")
    dataset = things(csv(f"{gcs}/in/*.csv"))
    registry = Registry.open(gcs)
    first = refresh_snapshot(registry, dataset, ADA, code=None)
    (file,) = find_files(dataset.source)
    assert first.how == "full"
    opened: list[str] = []
    whole = CloudFile.__init__

    def noted(self: CloudFile, path: str, *rest: object) -> None:
        opened.append(path.removeprefix(f"{gcs}/in/"))
        whole(self, path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(CloudFile, "__init__", noted)
    assert (refresh_snapshot(registry, dataset, ADA, code=None).how, opened) == ("unchanged", [])
    fill(gcs, "in/a.csv", text="id,n\nnew,1\n")
    added = refresh_snapshot(registry, dataset, ADA, code=None)
    assert (added.how, added.version.fact.rows, {*opened}) == ("incremental", 1001, {"a.csv"})
    assert added.says[0] == (f"{gcs}/in/a.csv (11 bytes) came late: {gcs}/in/b.csv, which sorts behind it, was known.")
    handle = registry.objects._store.handle
    obstore.put(handle, "in/b.csv", LINES.encode())  # the same bytes in another generation: their etag hashes them
    opened.clear()
    assert (refresh_snapshot(registry, dataset, ADA, code=None).how, opened) == ("unchanged", [])
    obstore.put(handle, "in/b.csv", LINES.replace("k1,1\n", "k1,2\n").encode())
    corrected = refresh_snapshot(registry, dataset, ADA, code=None)
    assert (corrected.how, corrected.version.ref, {*opened}) == ("full", "things@3", {"a.csv", "b.csv"})
    (now,) = [one for one in find_files(dataset.source) if one.path.endswith("b.csv")]
    assert corrected.says[0] == (
        f"{gcs}/in/b.csv was written again: etag {file.etag} became {now.etag}, {len(LINES)} bytes as before."
    )
