"""From a job, a source or a file to what was made and done with it."""

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from lockstep.errors import UsageError
from lockstep.registry import Fact, Job, Origin, Promoted, Registry, Released, Removed, RolledBack, State, sha256_of
from lockstep.registry.lineage import find, lineage
from lockstep.registry.state import folder_of
from lockstep.registry.trace import by_file, by_job, by_source, deeds
from tests.registry.conftest import Facts

MONTHS = {"january": "a1" * 20, "february": "b2" * 20 + "-dirty"}
CHURN = {month: sha256_of(month.encode()) for month in MONTHS}


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Record by hand: two months of training on Airflow, promoted and released, a rollback by a person, a removal."""
    registry = Registry.open(f"memory://{uuid4().hex}")
    facts, released = Facts(registry.objects), {}

    def record(fact: Fact, run: str, task: str, commit: str = "", by: str = "airflow") -> None:
        system = "cli" if by == "ada" else "airflow"
        job = Job(system=system, run=run, task=task, log=f"https://airflow/{run}/{task}", commit=commit)
        registry.record(lambda _: fact, Origin(by=by, why=f"do {task}", job=job))

    for month, commit in MONTHS.items():
        run = f"churn_retrain/manual__{month}"
        snapshot = facts.snapshot("customers", month)
        churn = replace(facts.model("churn", snapshot), source=CHURN[month])
        offer = facts.threshold("offer", churn)
        for fact, task in ((snapshot, "snapshot"), (churn, "train"), (offer, "tune")):
            record(fact, run, task, commit)
        members = {"model:churn": churn.digest, "threshold:offer": offer.digest}
        record(Promoted(group="churn", members=members), f"churn_promote/{month}", "promote")
        digest = sha256_of(f"release {month}".encode())
        manifest = registry.objects.put(f"releases/churn/{digest}.json", f"release {month}".encode())
        released[month] = Released(group="churn", digest=digest, manifest=manifest, members=members)
        record(released[month], f"churn_release/{month}", "release")
    first, second = released.values()
    back = RolledBack(
        group="churn", digest=first.digest, manifest=first.manifest, members=first.members, left=second.digest
    )
    record(back, "ada@desk/2026-03-01/77", "lockstep rollback", by="ada")
    gone = folder_of(registry.state().model("churn@2").fact.manifest.path)
    record(Removed(folders=(gone,), size=9), "ada@desk/2026-04-01/78", "lockstep retain", by="ada")
    return registry


@pytest.fixture(scope="module")
def state(registry: Registry) -> State:
    """Read what all of it adds up to."""
    return registry.state()


def test_every_entry_says_what_was_done_to_which_versions(registry: Registry) -> None:
    """Versions have the numbers that people know, in promotions, releases and removals too."""
    assert [(deed.entry, deed.did, deed.versions) for deed in deeds(registry.log.entries())] == [
        (1, "snapshot_taken", ("customers@1",)),
        (2, "model_trained", ("churn@1",)),
        (3, "threshold_tuned", ("offer@1",)),
        (4, "promoted", ("churn@1", "offer@1")),
        (5, "released", ("churn@1", "offer@1")),
        (6, "snapshot_taken", ("customers@2",)),
        (7, "model_trained", ("churn@2",)),
        (8, "threshold_tuned", ("offer@2",)),
        (9, "promoted", ("churn@2", "offer@2")),
        (10, "released", ("churn@2", "offer@2")),
        (11, "rolled_back", ("churn@1", "offer@1")),
        (12, "removed", ("churn@2",)),
    ]


@pytest.mark.parametrize(
    ("job", "entries"),
    [
        ("churn_retrain/manual__january", [1, 2, 3]),
        ("manual__february", [6, 7, 8]),
        ("january", [1, 2, 3, 4, 5]),
        ("churn_retrain/manual__january/train", [2]),
        ("train", [2, 7]),
        ("churn_release/february", [10]),
        ("ada@desk/2026-03-01/77", [11]),
        ("lockstep retain", [12]),
    ],
)
def test_a_job_leads_to_all_that_it_did(registry: Registry, job: str, entries: list[int]) -> None:
    """A run, a run with its task, or the end of either: what it promoted, released and removed, and what it made."""
    assert [deed.entry for deed in by_job(registry.log.entries(), job)] == entries


@pytest.mark.parametrize("job", ["", "churn_retrain", "march"])
def test_an_unknown_job_is_an_error_that_names_the_last_ones(registry: Registry, job: str) -> None:
    """A beginning of a run is no end of it."""
    with pytest.raises(UsageError) as caught:
        by_job(registry.log.entries(), job)
    assert str(caught.value) == (
        f'No job "{job}" made or moved anything; the last that did: ada@desk/2026-04-01/78, ada@desk/2026-03-01/77,'
        " churn_release/february, churn_promote/february, churn_retrain/manual__february."
    )


def test_an_empty_registry_has_no_jobs_and_no_sources() -> None:
    """The errors say that there are none."""
    with pytest.raises(UsageError, match=r'No job "x" made or moved anything; the last that did: none\.'):
        by_job([], "x")
    with pytest.raises(UsageError, match=r'No version was made from source or commit "abcdef"; some that were: none\.'):
        by_source(State(), "abcdef")


def test_a_source_leads_to_the_versions_that_were_made_from_it(state: State) -> None:
    """The archive's hash gives the model, the commit all that its jobs made; six characters are enough."""
    february = CHURN["february"]
    for source in (february, february[:6]):
        assert [version.ref for version in by_source(state, source)] == ["churn@2"]
    for commit in ("b2" * 20 + "-dirty", "b2" * 20, "b2b2b2"):
        assert [version.ref for version in by_source(state, commit)] == ["customers@2", "churn@2", "offer@2"]


def test_a_source_that_is_too_short_or_unknown_is_an_error(state: State) -> None:
    """The messages say how much is needed, and what there is."""
    with pytest.raises(UsageError, match=r'--source "b2b2b": give at least the first 6 characters'):
        by_source(state, "b2b2b")
    with pytest.raises(UsageError) as caught:
        by_source(state, "c3c3c3")
    assert str(caught.value) == (
        f'No version was made from source or commit "c3c3c3"; some that were: b2b2b2b2b2b2…, a1a1a1a1a1a1…,'
        f" {CHURN['february'][:12]}…, {CHURN['january'][:12]}…."
    )


def test_a_version_says_who_promoted_released_and_rolled_it_back(state: State) -> None:
    """Each with entry, person, reason and job, whose log can be read; a snapshot counts through its models."""
    for ref in ("churn@1", "offer@1", "customers@1"):
        found = lineage(state, find(state, ref))
        assert [(item["entry"], item["by"], item["why"]) for item in found["promotions"]] == [
            (4, "airflow", "do promote")
        ]
        assert found["promotions"][0]["job"]["log"] == "https://airflow/churn_promote/january/promote"
        assert [(item["entry"], item["did"], item["by"]) for item in found["releases"]] == [
            (5, "released", "airflow"),
            (11, "rolled_back", "ada"),
        ]


def test_a_removed_version_still_answers(state: State) -> None:
    """What the log says stays; the entry by which the files went is named."""
    found = lineage(state, state.model("churn@2"))
    assert (found["removed"], found["stage"]) == (12, "staging")
    assert [item["version"] for item in found["made_from"]] == ["customers@2"]
    offer = lineage(state, state.threshold("offer@2"))
    assert [(item["version"], item["removed"]) for item in offer["made_from"]] == [("churn@2", 12)]


def forms(path: str) -> list[str]:
    """Write a file's name as people find it: in the registry, as an address, on disk, in a copy."""
    return [path, f"s3://bucket/team/{path}", f"file:///srv/lock%20step/{path}", f"/srv/models/registry/{path}"]


def test_a_file_leads_to_its_version(registry: Registry, state: State) -> None:
    """Each file of a folder, and the folder itself, give the version's lineage, removed or not."""
    for ref, files in (
        ("churn@1", ("model.skops", "manifest.json")),
        ("customers@2", ("part-0.parquet",)),
        ("churn@2", ("x",)),
    ):
        version = find(state, ref)
        folder = folder_of(version.fact.manifest.path)
        for path in (path for file in files for path in forms(f"{folder}/{file}")):
            found = by_file(state, registry.log.entries(), path)
            assert found["is"] == "version"
            assert found["version"] == lineage(state, version)
        assert by_file(state, [], folder)["version"]["version"] == ref


def test_a_source_a_release_and_an_entry_lead_to_what_they_are(registry: Registry, state: State) -> None:
    """An archive gives versions, a manifest of a release all that moved it, an entry what it says."""
    (made,) = by_file(state, [], f"sources/{CHURN['january']}.tar.gz")["made"]
    assert made["version"] == "churn@1"
    release = state.releases["churn"][0]
    for path in forms(release.manifest.path):
        found = by_file(state, registry.log.entries(), path)
        assert [(deed.entry, deed.did) for deed in found["deeds"]] == [(5, "released"), (11, "rolled_back")]
    found = by_file(state, registry.log.entries(), f"log/{9:020d}.json")
    assert [(deed.entry, deed.versions) for deed in found["deeds"]] == [(9, ("churn@2", "offer@2"))]
    checkpoint = f"log/checkpoint/{900:020d}-{'0' * 64}.json"
    assert by_file(state, [], checkpoint)["note"] == "derived from the log; it may be deleted, and is made again"


def test_a_path_from_the_working_folder_is_found(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stands in a version's folder can name a file as it is called there."""
    folder = tmp_path / folder_of(state.model("churn@1").fact.manifest.path)
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert by_file(state, [], "model.skops")["version"]["version"] == "churn@1"


@pytest.mark.parametrize(
    "path",
    [
        f"models/churn/{'0' * 64}/model.skops",
        f"models/nobody/{'0' * 64}/model.skops",
        f"releases/churn/{'0' * 64}.json",
        f"log/{13:020d}.json",
    ],
)
def test_a_file_that_no_entry_leads_to_is_an_error(registry: Registry, state: State, path: str) -> None:
    """The message says how such a file comes about, and what looks at it."""
    with pytest.raises(UsageError) as caught:
        by_file(state, registry.log.entries(), path)
    assert str(caught.value) == (
        f'No entry of the log leads to "{path}". A job that was killed before its entry may have left it, or somebody'
        " put it there; `lockstep verify` looks."
    )


@pytest.mark.parametrize("path", ["", "model.skops", "models/churn", f"models/../churn/{'0' * 64}/x", "/etc/passwd"])
def test_a_path_of_no_registry_is_an_error(
    state: State, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what files of a registry are called."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UsageError, match=r'^--file ".*": no file of a registry is called so\. Files are models/NAME/DIGEST/'
    ):
        by_file(state, [], path)
