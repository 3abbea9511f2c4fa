"""`verify` on registries that are larger than the memory it may take."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

import lockstep
from lockstep.registry import (
    ModelTrained,
    ObjectRef,
    Origin,
    Registry,
    SnapshotTaken,
    canonical_json,
    digest_of,
    sha256_of,
)

ADA = Origin(by="ada")
GIGABYTE = 1 << 30
SIZE_VARIABLE = "LOCKSTEP_VERIFY_GB"
MOST_MEMORY = 300 << 20  # bytes; an interpreter with all that a registry imports takes a third of it

VERIFY = """
import json, resource, sys, time
from pathlib import Path
from lockstep.registry import Registry
from lockstep.upkeep.verify import verify
verification = verify(Registry.open(sys.argv[1]))
before = time.perf_counter()
found = [finding.as_json() for finding in verification]
seconds = time.perf_counter() - before
status = Path("/proc/self/status")  # of this program alone: maxrss begins with that of the process it came from
if status.exists():
    memory = int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
else:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({**verification.as_json(), "found": found, "seconds": seconds, "memory": memory}))
"""


def zeros(size: int) -> str:
    """The SHA-256 of so many zeros."""
    hashed, block = sha256(), bytes(1 << 20)
    for _ in range(size // len(block)):
        hashed.update(block)
    return hashed.hexdigest()


def large(root: Path, *, files: int, size: int) -> Path:
    """Record a snapshot of sparse files, which take no place on the disk but are read as zeros; gives its folder."""
    registry, name = Registry.open(root.as_uri()), zeros(size)
    folder = f"datasets/customers/{digest_of(files)}"
    (root / folder).mkdir(parents=True)
    for number in range(files):
        os.truncate(os.open(root / folder / f"part-{number:05d}.parquet", os.O_CREAT | os.O_WRONLY), size)
    named = {f"part-{number:05d}.parquet": {"sha256": name, "size": size} for number in range(files)}
    manifest = registry.objects.put(f"{folder}/manifest.json", canonical_json({"files": named}))
    taken = SnapshotTaken(dataset="customers", digest=digest_of(files), manifest=manifest, rows=1, quarantined=0)
    registry.record(lambda _: taken, ADA)
    return root / folder


def verified(root: Path) -> dict[str, object]:
    """Verify in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", VERIFY, root.as_uri()],
        cwd=Path(lockstep.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_files_are_read_in_pieces(tmp_path: Path) -> None:
    """Two gigabytes (LOCKSTEP_VERIFY_GB sets another number) are verified in a few hundred megabytes of memory."""
    size = int(os.environ.get(SIZE_VARIABLE, "2")) * GIGABYTE
    folder = large(tmp_path / "registry", files=8, size=size // 8)
    found = verified(tmp_path / "registry")
    print(f"{found['size']} bytes in {found['seconds']:.1f} s, {found['memory']} bytes of memory")  # noqa: T201
    assert found["found"] == []
    assert found["size"] == size + (folder / "manifest.json").stat().st_size
    assert int(str(found["memory"])) < MOST_MEMORY
    with (folder / "part-00005.parquet").open("r+b") as file:
        file.seek(size // 8 - 1)
        file.write(b"x")
    (finding,) = verified(tmp_path / "registry")["found"]  # type: ignore[misc]
    assert (finding["kind"], finding["path"].rpartition("/")[2]) == ("changed bytes", "part-00005.parquet")


@pytest.mark.slow
def test_many_small_files_are_not_held(tmp_path: Path) -> None:
    """Thirty thousand files in ten thousand folders are verified in a few hundred megabytes of memory."""
    root = tmp_path / "registry"
    registry = Registry.open(root.as_uri())
    for name in ("sources", "models/churn"):
        (root / name).mkdir(parents=True)
    (root / "sources" / f"{sha256_of(b'')}.tar.gz").touch()
    folder = large(root, files=1, size=1 << 20)
    snapshot = folder.name
    facts = []
    for number in range(10_000):
        data = canonical_json(
            {"files": {f"{name}.json": {"sha256": sha256_of(b"1"), "size": 1} for name in "ab"}, "n": number}
        )
        place = root / "models" / "churn" / sha256_of(data)
        place.mkdir()
        (place / "manifest.json").write_bytes(data)
        for name in "ab":
            (place / f"{name}.json").write_bytes(b"1")
        ref = ObjectRef(path=f"models/churn/{place.name}/manifest.json", sha256=place.name, size=len(data))
        facts.append(ref)
    _record_at_once(registry, facts, snapshot)
    found = verified(root)
    print(f"{found['objects']} objects in {found['seconds']:.1f} s, {found['memory']} bytes of memory")  # noqa: T201
    assert found["found"] == []
    assert (found["versions"], found["objects"]) == (10_001, 30_000 + 2 + 1)
    assert int(str(found["memory"])) < MOST_MEMORY


def _record_at_once(registry: Registry, refs: list[ObjectRef], snapshot: str) -> None:
    """Write the entries of model versions, without waiting for the disk."""
    from lockstep.registry import Entry
    from lockstep.registry.entries import encode, path_of

    state = registry.state()
    previous = state.head_hash
    root = Path(registry.uri.removeprefix("file://"))
    for number, ref in enumerate(refs, start=state.head + 1):
        fact = ModelTrained(
            model="churn",
            digest=ref.sha256,
            manifest=ref,
            recipe=ref.sha256,
            dataset="customers",
            snapshot=snapshot,
            upstream={},
            parameters={},
            source=sha256_of(b""),
            metrics={},
            missed=(),
        )
        at = registry.now()
        data = encode(Entry(number=number, previous=previous, nonce=str(number), at=at, origin=ADA, fact=fact))
        (root / path_of(number)).write_bytes(data)
        previous = sha256_of(data)
