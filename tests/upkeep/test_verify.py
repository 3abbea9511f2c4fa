"""`verify` on a registry that someone has damaged by hand: each damage is found, named, and hides no other."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.registry import Objects, Registry, Removed, canonical_json, sha256_of
from lockstep.registry.entries import path_of
from lockstep.upkeep.findings import Kind
from lockstep.upkeep.verify import Depth, verify
from tests.upkeep.house import LATER, House, short


@pytest.fixture
def house(uri: str) -> House:
    """A sound registry in each kind of store."""
    return House(uri)


# ----------------------------------------------------------------------------------------------------------- sound ones


@pytest.mark.parametrize("depth", Depth)
def test_nothing_is_found_where_nothing_is_wrong(house: House, depth: Depth) -> None:
    """A registry as the steps leave it has no finding, and all of it was looked at."""
    assert house.found(depth=depth, later=LATER) == []
    verification = verify(house.desk.registry, depth=depth)
    assert list(verification) == []
    state = house.desk.registry.state()
    assert (verification.counts.entries, verification.counts.versions) == (state.head, 5)
    assert verification.counts.objects == sum(
        not name.startswith(("log/", "probe")) for name in house.objects.names("")
    )
    everything = sum(item.size for item in house.objects.listing("") if not item.path.startswith(("log/", "probe")))
    sources = sum(item.size for item in house.objects.listing("sources")) if depth is Depth.QUICK else 0
    assert verification.counts.size == everything - sources
    assert verification.as_json() == {
        "registry": house.desk.registry.uri,
        "depth": depth.value,
        "entries": state.head,
        "versions": 5,
        "objects": verification.counts.objects,
        "size": verification.counts.size,
        "errors": 0,
        "notes": 0,
    }


def test_an_empty_registry_is_sound_and_stays_empty(uri: str) -> None:
    """Where nothing was written there is nothing to find, and verifying writes nothing."""
    registry = Registry.open(uri)
    assert list(verify(registry)) == []
    assert registry.objects.names("") == []


# -------------------------------------------------------------------------------------------------------------- objects


def test_missing_file(house: House) -> None:
    """A file that a manifest names and that is gone is named, with the version and the entry that need it."""
    path = f"{house.folder()}/model.skops"
    house.lose(path)
    number = house.state.model("churn@1").recorded.number
    wanted = f"error: missing object: {path}: churn@1 (log entry {number}) needs it. Restore it from a copy."
    assert house.texts() == [wanted]
    (finding,) = house.found(depth=Depth.QUICK)
    assert finding.as_json() == {
        "severity": "error",
        "kind": "missing object",
        "path": path,
        "says": f"churn@1 (log entry {number}) needs it. Restore it from a copy.",
        "entry": number,
    }


@pytest.mark.parametrize("what", ["manifest", "release", "source"])
def test_entry_that_points_to_nothing(house: House, what: str) -> None:
    """The manifest, release or source archive that an entry names and that is gone is found, quick or not."""
    model, production = house.state.model("churn@1"), house.state.production("churn")
    assert production is not None
    path, who, number = {
        "manifest": (model.fact.manifest.path, "churn@1", model.recorded.number),
        "source": (f"sources/{model.fact.source}.tar.gz", "churn@1", model.recorded.number),
        "release": (production.manifest.path, f"release {production.short} of churn", production.recorded.number),
    }[what]
    house.lose(path)
    assert house.texts() == [
        f"error: missing object: {path}: {who} (log entry {number}) needs it. Restore it from a copy."
    ]
    assert [finding.path for finding in house.found(depth=Depth.QUICK)] == [path]


@pytest.mark.parametrize("what", ["file", "manifest", "release", "source"])
def test_changed_bytes(house: House, what: str) -> None:
    """One byte that differs is found in a version's file, a manifest, a release and a source archive."""
    model, production = house.state.model("churn@1"), house.state.production("churn")
    assert production is not None
    path, who, number = {
        "file": (f"{house.folder()}/model.skops", "churn@1", model.recorded.number),
        "manifest": (model.fact.manifest.path, "churn@1", model.recorded.number),
        "source": (f"sources/{model.fact.source}.tar.gz", "churn@1", model.recorded.number),
        "release": (production.manifest.path, f"release {production.short} of churn", production.recorded.number),
    }[what]
    whole = house.objects.get_unverified(path)
    changed = whole[:-1] + bytes([whole[-1] ^ 1])
    house.overwrite(path, changed)
    assert house.texts() == [
        (
            f"error: changed bytes: {path}: its SHA-256 is {short(sha256_of(changed))}, but {who} (log entry {number})"
            f" promises {short(sha256_of(whole))}. Restore it from a copy."
        )
    ]


def test_quick_sees_a_file_that_was_cut(house: House) -> None:
    """Without reading it, a file of another size is found; one of the same size is not."""
    path = f"{house.folder()}/model.skops"
    whole = house.objects.get_unverified(path)
    house.overwrite(path, whole[:-1])
    (finding,) = house.found(depth=Depth.QUICK)
    number = house.state.model("churn@1").recorded.number
    assert finding.as_text() == (
        f"error: changed bytes: {path}: it has {len(whole) - 1} bytes, but churn@1 (log entry {number}) promises"
        f" {len(whole)}. Restore it from a copy."
    )
    house.overwrite(path, whole[:-1] + b"#")
    assert house.found(depth=Depth.QUICK) == []


def test_foreign_object_in_a_versions_folder(house: House) -> None:
    """A file in a version's folder that its manifest does not name is found."""
    house.overwrite(f"{house.folder()}/notes.txt", b"remember the milk")
    number = house.state.model("churn@1").recorded.number
    assert house.texts() == [
        (
            f"error: foreign object: {house.folder()}/notes.txt: the manifest of churn@1 (log entry {number}) does not"
            " name it. Move it away."
        )
    ]


@pytest.mark.parametrize("path", [f"sources/{'a' * 64}.tar.gz", f"releases/churn/{'b' * 64}.json"])
def test_foreign_object_under_a_name_that_fits(house: House, path: str) -> None:
    """A source or a release that no entry names and whose bytes are not those of its name is foreign."""
    house.overwrite(path, b"not mine")
    assert house.texts() == [
        f"error: foreign object: {path}: no entry names it, and its bytes are not those of its name. Move it away."
    ]


MISNAMED = [
    "notes.txt",
    "models/README.md",
    "models/churn/latest/model.skops",
    f"models/Churn/{'a' * 64}/model.skops",
    f"models/churn/{'a' * 64}.1/model.skops",
    f"models/churn/{'a' * 63}/model.skops",
    f"datasets/customers/{'a' * 64}.0/part-0.parquet",
    f"thresholds/{'a' * 64}/x",
    "releases/churn/1.json",
    f"releases/{'b' * 64}.json",
    f"sources/{'c' * 64}.zip",
    "log/7.json",
    "log/00000000000000000001.json.bak",
    "log/checkpoint/newest.json",
    "scratch/lonely",
    "secret/.env",
]


def test_name_that_breaks_the_rule(house: House) -> None:
    """Whatever is named otherwise than Lockstep names things is told, wherever it stands."""
    for path in MISNAMED:
        house.overwrite(path, b"x")
    assert sorted(house.texts(later=LATER)) == sorted(
        f"error: name breaks the rule: {path}: names are datasets|models|thresholds/<name>/<digest>/…,"
        " releases/<group>/<digest>.json, sources/<digest>.tar.gz, specs/<digest>.json,"
        " packages/<digest>/…, diffs/<group>/<release>/…, inputs/<dataset>/<key>/…,"
        " decisions/<group>/<day>/<worker>-<number>.parquet,"
        " log/<20 digits>.json, scratch/<run>/…. Move it away."
        for path in MISNAMED
    )


def test_manifest_that_names_no_files(house: House) -> None:
    """A manifest with the promised bytes that is none is told, and does not end the search."""
    data = b'{"files": 7}'
    fact = house.desk.facts.model("churn", house.desk.facts.snapshot(), recipe="odd")
    digest = sha256_of(data)
    ref = house.objects.put(f"models/churn/{digest}/manifest.json", data)
    house.desk.record(replace(fact, digest=digest, manifest=ref))
    assert house.texts() == [
        (
            f"error: can't be read: {ref.path}: churn@2 (log entry {house.state.head + 1}) needs it. Manifest"
            f' "{ref.path}" does not name its files. It is not used; restore it from a copy, or find out who wrote it.'
        )
    ]


def test_release_that_is_not_what_its_entry_says(house: House) -> None:
    """A release whose manifest has other members than its entry is found."""
    production = house.state.production("churn")
    assert production is not None
    other = canonical_json({"group": "churn", "members": {}})
    ref = house.objects.put(f"releases/churn/{sha256_of(other)}.json", other)
    last = [entry.fact for entry in house.desk.registry.log.entries()][-1]
    house.desk.record(replace(last, digest=ref.sha256, manifest=ref))
    assert house.texts() == [
        (
            f"error: entry points to nothing: {ref.path}: its members are not those that log entry"
            f" {house.state.head + 1} names. Release the group again."
        )
    ]


def test_everything_is_found_at_once(house: House) -> None:
    """Damage of every kind at once gives a finding for each."""
    house.lose(house.state.threshold("priority_call").fact.manifest.path)
    house.overwrite(f"{house.folder('churn_reason@1')}/model.skops", b"x")
    house.overwrite(f"{house.folder('churn_reason@1')}/foreign", b"x")
    house.overwrite("models/foreign", b"x")
    house.overwrite(path_of(2), b"{")
    kinds = [finding.kind for finding in house.found()]
    assert sorted({*kinds}) == sorted(
        {Kind.MISSING, Kind.CHANGED, Kind.FOREIGN, Kind.MISNAMED, Kind.DAMAGED, Kind.DANGLING}
    )


# ------------------------------------------------------------------------------------------------------------ leftovers


def test_leftovers_are_notes_when_they_are_old(house: House) -> None:
    """What killed jobs leave is a note with its age once it is older than a day, and nothing before."""
    orphan = house.desk.facts.model("churn", house.desk.facts.snapshot(), recipe="killed").manifest
    size = sum(item.size for item in house.objects.listing(orphan.path.rpartition("/")[0]))
    source = house.objects.put(f"sources/{sha256_of(b'code')}.tar.gz", b"code")
    house.objects.put("scratch/run/open", b"")
    house.objects.put("scratch/run/part-00000.parquet", b"123")
    assert house.found() == []
    assert house.texts(later=LATER) == [
        f"note: no entry names it: {source.path}: a job that was killed 3 days ago left it. It does no harm.",
        (
            f"note: no entry names it: {orphan.path.rpartition('/')[0]}: 3 files, {size} bytes of an attempt that was"
            " killed 3 days ago. `lockstep retain` deletes them."
        ),
        (
            "note: leftover: scratch/run: 2 files, 3 bytes of a pipeline that was killed 3 days ago. `lockstep retain`"
            " deletes them."
        ),
    ]


def test_orphans_of_a_damaged_log_may_be_needed(house: House) -> None:
    """Where an entry can't be read, what nobody names may be what that entry named."""
    number = house.state.threshold("priority_call").recorded.number
    house.overwrite(path_of(number), b"{")
    (note,) = [finding for finding in house.found(later=LATER) if finding.kind is Kind.ORPHAN]
    assert note.says.endswith(" Mend the log first: an entry that can't be read may name it.")


def test_killed_attempt_at_a_snapshot(house: House) -> None:
    """A file that an earlier attempt left in the folder, named by its own bytes, is a note."""
    folder = house.state.snapshot("customers").fact.manifest.path.removesuffix("/manifest.json")
    path = f"{folder}/{sha256_of(b'profile')[:12]}-profile.json"
    house.overwrite(path, b"profile")
    assert house.texts() == [
        f"note: leftover: {path}: a killed attempt to make customers@1 left it. It goes when that version is removed."
    ]


def removed(house: House) -> str:
    """Train a second version of churn, and record that its files are removed."""
    snapshot = house.state.snapshot("customers").fact
    fact = house.desk.churn(snapshot, "second")
    folder = fact.manifest.path.rpartition("/")[0]
    house.desk.record(Removed(folders=(folder,), size=1))
    return folder


def test_removed_version(house: House) -> None:
    """Files that the log says are removed may be gone; those that are still there are told, for retention to finish."""
    folder = removed(house)
    size = sum(item.size for item in house.objects.listing(folder))
    assert house.texts() == [
        (
            f"note: leftover: {folder}: 3 files, {size} bytes left of what log entry {house.state.head + 2} removed."
            " `lockstep retain` deletes them."
        )
    ]
    for path in house.objects.names(folder):
        house.objects.delete(path)
    assert house.found() == []


def test_version_that_is_removed_meanwhile(house: House) -> None:
    """A version that is removed while it is verified is not missed."""
    snapshot = house.state.snapshot("customers").fact
    fact = house.desk.churn(snapshot, "second")
    folder = fact.manifest.path.rpartition("/")[0]
    acted: list[str] = []

    class Meanwhile(Objects):
        """Somebody removes the version after the log was read, just before its manifest is."""

        def get(self, ref: object) -> bytes:
            if not acted:
                acted.append(folder)
                house.desk.record(Removed(folders=(folder,), size=1))
                for path in house.objects.names(folder):
                    house.objects.delete(path)
            return super().get(ref)  # type: ignore[arg-type]

    registry = Registry(Meanwhile.open(house.desk.registry.uri), house.desk.registry.log)
    assert list(verify(registry)) == []
    assert acted == [folder]


# ----------------------------------------------------------------------------------------------------------- local disk


@pytest.fixture
def local(tmp_path: Path) -> tuple[House, Path]:
    """A sound registry on local disk, and its folder."""
    house = House((tmp_path / "registry").as_uri())
    return house, tmp_path / "registry"


def test_staging_files_of_killed_writers(local: tuple[House, Path]) -> None:
    """A staging file, which no listing of the store shows, and an empty folder are notes when they are old."""
    house, root = local
    (root / f"{house.folder()}/model.skops#3").write_bytes(b"half")
    (root / "models/churn/unfinished").mkdir()
    assert house.found() == []
    assert house.texts(later=LATER) == [
        f"note: leftover: {house.folder()}/model.skops#3: a writer that was killed 3 days ago left it. Delete it.",
        "note: leftover: models/churn/unfinished: it is an empty folder. Delete it, or leave it.",
    ]


def test_what_is_no_file(local: tuple[House, Path]) -> None:
    """Links that lead nowhere or in circles, pipes, and names that are not text are told, and end nothing."""
    house, root = local
    (root / "models/nowhere").symlink_to(root / "none")
    (root / "models/churn/circle").symlink_to(root / "models")
    os.mkfifo(root / "models/pipe")
    Path(os.fsdecode(os.fsencode(root) + b"/models/\xff")).write_bytes(b"x")
    (root / "models/a\nb").write_bytes(b"x")
    found = house.texts()
    assert sorted(text.partition(": names are")[0] for text in found) == sorted(
        [
            "error: foreign object: models/nowhere: it is a link that leads nowhere. Move it away.",
            "error: foreign object: models/churn/circle: it is a link to a folder above it. Move it away.",
            "error: foreign object: models/pipe: it is neither a file nor a folder. Move it away.",
            r"error: name breaks the rule: models/\udcff",
            r"error: name breaks the rule: 'models/a\nb'",
        ]
    )
    json.dumps([finding.as_json() for finding in house.found()], ensure_ascii=False).encode()


def test_folder_on_another_disk(local: tuple[House, Path], tmp_path: Path) -> None:
    """A folder that is a link to another disk is verified as if it stood here."""
    house, root = local
    (root / "models").rename(tmp_path / "elsewhere")
    (root / "models").symlink_to(tmp_path / "elsewhere")
    assert house.found() == []
    house.overwrite(f"{house.folder()}/model.skops", b"x")
    assert [finding.kind for finding in house.found()] == [Kind.CHANGED]
