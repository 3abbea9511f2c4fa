"""Retention: what it never removes, what it removes, and that it can be stopped, beaten and repeated at any point."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from lockstep.errors import (
    FactRefused,
    LogDamaged,
    PromotionRefused,
    RollbackRefused,
    StoreUnusable,
    UsageError,
    VersionRemoved,
)
from lockstep.registry import (
    Objects,
    Registry,
    Removed,
    canonical_json,
    sha256_of,
)
from lockstep.registry.entries import path_of
from lockstep.registry.lineage import find, lineage, versions
from lockstep.registry.removal import check_kept, told_if_removed
from lockstep.release import promote, rollback
from lockstep.upkeep.keep import Removal, Rule, Why
from lockstep.upkeep.retention import Retention, preview, retain
from lockstep.upkeep.verify import Depth, verify
from tests.upkeep.years import ADA, BOT, GROUP, NOW, TIGHT, Years


@pytest.fixture
def years(uri: str) -> Years:
    """Sit down before an empty registry, ten years ago."""
    return Years(uri)


@pytest.fixture
def memory() -> Years:
    """Sit down before an empty registry in memory."""
    return Years(f"memory://{uuid4().hex}")


def whole(number: int) -> set[str]:
    """The names of all that one round of training makes."""
    names = ("customers", "churn", "churn_reason", "retention_offer", "priority_call")
    return {f"{name}@{number}" for name in names}


# ------------------------------------------------------------------------------------------------ what goes, what stays


def test_forgotten_candidates_go(years: Years) -> None:
    """Old candidates go with their thresholds and the snapshots that only they needed; the newest of each name stay."""
    for recipe in "abc":
        years.trained(recipe)
    before = {item.path: item.size for item in years.registry.objects.listing("")}
    done = years.retain()
    assert years.there() == whole(3)
    after = {item.path for item in years.registry.objects.listing("")}
    gone = {path: size for path, size in before.items() if path not in after}
    assert (done.files, done.size, done.plan.size) == (len(gone), sum(gone.values()), sum(gone.values()))
    assert {removal.what for removal in done.plan.removals} == whole(1) | whole(2)
    assert {removal.why for removal in done.plan.removals} == {"candidate", "no kept version needs it"}
    (entry,) = [entry for entry in years.registry.log.entries() if isinstance(entry.fact, Removed)]
    assert entry.fact == Removed(
        folders=tuple(removal.folder for removal in done.plan.removals), size=sum(gone.values())
    )
    assert (entry.origin, done.entries) == (BOT, (entry.number,))
    assert years.is_sound()


def test_young_versions_stay(years: Years) -> None:
    """However many there are, what is younger than the rule says stays."""
    for recipe in "abc":
        years.trained(recipe)
    assert years.retain(Rule(keep=1, older_than=timedelta(days=250))).plan.kept["churn"] == {
        Why.NEWEST: 1,
        Why.YOUNG: 1,
    }
    assert years.there() == whole(2) | whole(3)


def test_the_newest_stay(years: Years) -> None:
    """However old they are, the newest of each name stay."""
    for recipe in "abc":
        years.trained(recipe)
    years.pass_by(1000)
    assert years.retain(Rule(keep=2)).plan.kept["churn"] == {Why.NEWEST: 2}
    assert years.there() == whole(2) | whole(3)


def test_staging_stays(years: Years) -> None:
    """What stands in staging stays, with all it was made from."""
    for recipe in "abcd":
        years.trained(recipe)
    promote(years.registry, GROUP, "churn_reason@2", ADA)
    kept = years.retain().plan.kept
    assert years.there() == whole(4) | {"churn_reason@2", "churn@2", "customers@2"}
    assert kept["churn_reason"] == {Why.STAGING: 1, Why.NEWEST: 1}
    assert kept["churn"] == {Why.NEEDED: 1, Why.NEWEST: 1}
    assert kept["customers"] == {Why.NEEDED: 1, Why.NEWEST: 1}


def test_production_and_the_rollback_window_stay(years: Years) -> None:
    """Production stays, and as many releases before it as the rule says; beyond these, a rollback is refused."""
    for number in range(1, 6):
        years.trained(str(number))
        years.release(f"churn@{number}", f"churn_reason@{number}")
    first = years.registry.state().releases["churn"][0]
    promote(years.registry, GROUP, ["churn@1", "churn_reason@1"], ADA)
    promote(years.registry, GROUP, ["churn@5", "churn_reason@5"], ADA)
    kept = years.retain(Rule(keep=1, rollbacks=2)).plan.kept
    assert years.there() == whole(3) | whole(4) | whole(5)
    assert kept["churn"] == {Why.PRODUCTION: 1, Why.ROLLBACK: 2}
    assert years.is_sound()
    with pytest.raises(RollbackRefused) as refused:
        rollback(years.registry, GROUP, ADA, to=first.digest)
    number = years.registry.state().head
    assert str(refused.value) == (
        f'Group "churn": release {first.short} can\'t be put back. Model version churn@1: its files were removed by log'
        f" entry {number}; what the log says stays. Train it again."
    )
    for wanted in (4, 3):
        back = rollback(years.registry, GROUP, ADA)
        assert back.members["model:churn"] == years.registry.state().model(f"churn@{wanted}").digest
    with pytest.raises(RollbackRefused, match=r"churn@2: its files were removed"):
        rollback(years.registry, GROUP, ADA)


def test_what_was_rolled_back_is_kept_as_production_was(years: Years) -> None:
    """After a rollback, the release that was left is archived and goes; what came back stays with its own window."""
    for number in (1, 2, 3):
        years.trained(str(number))
        years.release(f"churn@{number}", f"churn_reason@{number}")
    rollback(years.registry, GROUP, ADA)
    promote(years.registry, GROUP, ["churn@2", "churn_reason@2"], ADA)
    years.trained("4")
    done = years.retain()
    assert years.there() == whole(1) | whole(2) | whole(4)
    assert {removal.why for removal in done.plan.removals if removal.what.startswith("churn")} == {"archived"}


def test_upstream_stays_however_far_back(years: Years) -> None:
    """A kept model keeps the models that it was built on, and their snapshots, through every step."""
    snapshot = years.snapshot("old")
    churn = years.churn(snapshot, "old")
    reason = years.facts.model("churn_reason", snapshot, upstream={"churn": churn.digest})
    years.record(reason)
    years.pass_by()
    for recipe in ("new", "newer"):
        years.churn(years.snapshot(recipe), recipe)
        years.pass_by()
    newest = years.facts.model("advice", years.snapshot("other"), upstream={"churn_reason": reason.digest})
    years.record(newest)
    years.pass_by()
    assert years.retain().plan.kept["churn"] == {Why.NEEDED: 1, Why.NEWEST: 1}
    assert {"advice@1", "churn_reason@1", "churn@1", "customers@1", "churn@3", "customers@3"} <= years.there()
    assert not {"churn@2", "customers@2", "retention_offer@1"} & years.there()


def test_a_kept_threshold_keeps_its_model(years: Years) -> None:
    """A threshold that is among the newest keeps the model version it was tuned for, and its snapshot."""
    _, first, _ = years.trained("a")
    years.trained("b")
    years.record(years.facts.threshold("retention_offer", first, value=0.9))
    years.pass_by()
    assert years.retain().plan.kept["churn"] == {Why.NEEDED: 1, Why.NEWEST: 1}
    assert {"retention_offer@3", "churn@1", "customers@1"} <= years.there()


def test_sources_releases_and_entries_never_go(years: Years) -> None:
    """Whatever is removed, every source archive, release manifest and log entry is still there."""
    for number in range(1, 5):
        years.trained(str(number))
        years.release(f"churn@{number}", f"churn_reason@{number}")
    names = years.registry.objects.names
    before = {path for place in ("sources", "releases", "log") for path in names(place)}
    years.retain(Rule(keep=1, older_than=timedelta(0), rollbacks=0))
    assert before < {path for place in ("sources", "releases", "log") for path in names(place)}
    assert "churn@1" not in years.there()


def test_the_log_keeps_the_facts(years: Years) -> None:
    """Versions keep their numbers, and lineage answers for a removed one as before, and names the entry that did it."""
    for recipe in "abc":
        years.trained(recipe)
    state = years.registry.state()
    before = {version.ref: lineage(state, version) for version in versions(state)}
    (number,) = years.retain().entries
    state = Registry.open(years.registry.uri).state()
    for ref, answer in before.items():
        now = lineage(state, find(state, ref))
        assert now["removed"] == (None if ref in whole(3) else number)
        assert (now["made_from"], now["made_into"]) == (
            [{**other, "removed": now["removed"]} for other in answer["made_from"]],
            [{**other, "removed": now["removed"]} for other in answer["made_into"]],
        )
        kept = {key: value for key, value in now.items() if key not in ("removed", "made_from", "made_into")}
        assert kept.items() <= answer.items()


# ------------------------------------------------------------------------------------------------------ what it refuses


def test_a_removed_version_is_not_promoted(years: Years) -> None:
    """The promotion of a version whose files were removed says by which entry."""
    for recipe in "abc":
        years.trained(recipe)
    number = years.retain().entries[0]
    for ref, kind, way_out in (
        ("churn@1", "Model version", "Train it again"),
        ("retention_offer@1", "Threshold version", "Tune it again"),
    ):
        with pytest.raises(PromotionRefused) as refused:
            promote(years.registry, GROUP, ref, ADA)
        assert str(refused.value) == (
            f"{kind} {ref}: its files were removed by log entry {number}; what the log says stays. {way_out}."
        )


def test_a_threshold_that_was_removed_does_not_move_along(years: Years) -> None:
    """A model moves with the newest of its thresholds whose files are there."""
    _, first, _ = years.trained("a")
    promote(years.registry, GROUP, "churn@1", ADA)
    years.record(years.facts.threshold("retention_offer", first, value=0.9))
    years.trained("b")
    years.retain()
    assert "retention_offer@2" not in years.there()
    done = promote(years.registry, GROUP, "churn@1", ADA)
    assert [version.ref for version in done.versions] == ["churn@1", "retention_offer@1", "priority_call@1"]


def test_a_removed_version_is_told_where_its_files_are_needed(years: Years) -> None:
    """Reading a removed version says that it was removed; one that is really missing stays a missing object."""
    for recipe in "abc":
        years.trained(recipe)
    number = years.retain().entries[0]
    state = years.registry.state()
    gone, kept = state.snapshot("customers@1"), state.snapshot("customers@3")
    with pytest.raises(VersionRemoved) as refused, told_if_removed(years.registry.state, gone):
        years.registry.objects.get(gone.fact.manifest)
    assert str(refused.value) == (
        f"Snapshot customers@1: its files were removed by log entry {number}; what the log says stays. Take a snapshot"
        " of the data as it is now."
    )
    with pytest.raises(VersionRemoved):
        check_kept(state, kept, gone)
    check_kept(state, kept)


def test_nothing_is_recorded_in_a_removed_folder(years: Years) -> None:
    """The same files under the same name are refused, whoever writes them."""
    _, churn, _ = years.trained("a")
    years.trained("b")
    years.retain()
    years.registry.objects.put(churn.manifest.path, b"again")
    with pytest.raises(FactRefused):
        years.record(churn)


def test_on_a_damaged_log_nothing_is_removed(years: Years) -> None:
    """Where an entry is gone, nobody knows what is needed: nothing goes."""
    for recipe in "abc":
        years.trained(recipe)
    import obstore

    obstore.delete(years.registry.objects._store.handle, path_of(4))
    before = years.registry.objects.names("")
    with pytest.raises(LogDamaged):
        retain(Registry.open(years.registry.uri, clock=lambda: years.time), TIGHT, BOT)
    assert years.registry.objects.names("") == before


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"keep": 0}, "keep: 0 is not allowed; at least 1 version of each name stays."),
        ({"rollbacks": -1}, "rollbacks: -1 is not allowed; it is a number of releases, 0 or more."),
        (
            {"older_than": timedelta(days=-1)},
            "older_than: -1 day, 0:00:00 is not allowed; it is a time span of 0 or more.",
        ),
    ],
)
def test_a_rule_that_keeps_nothing_is_refused(wrong: dict[str, object], says: str) -> None:
    """A rule out of range is refused with what is allowed."""
    with pytest.raises(UsageError) as refused:
        Rule(**wrong)  # type: ignore[arg-type]
    assert str(refused.value) == says


# -------------------------------------------------------------------------------------------- asking, races and crashes


def test_asking_changes_nothing(years: Years) -> None:
    """What would be removed is what then is removed, and asking writes nothing."""
    for recipe in "abc":
        years.trained(recipe)
    before = years.registry.objects.names("")
    asked = preview(years.registry, TIGHT)
    assert years.registry.objects.names("") == before
    assert (asked.entries, asked.files, asked.size) == ((), 0, 0)
    done = years.retain()
    assert asked.plan == done.plan
    assert preview(years.registry, TIGHT).plan.removals == ()
    document = json.loads(json.dumps(done.as_json()))
    assert document["entries"] == list(done.entries)
    assert document["kept"]["churn"] == {"among the newest": 1}
    assert document["deleted"] == {"files": done.files, "size": done.size}
    assert Removal(**document["removed"][0]) == done.plan.removals[0]


def test_nothing_to_remove_writes_nothing(years: Years) -> None:
    """Where all is kept, no entry is written, however often it runs."""
    years.trained("a")
    head = years.registry.state().head
    assert years.retain().entries == years.retain().entries == ()
    assert years.registry.state().head == head


def meanwhile(years: Years, act: Callable[[], object]) -> Registry:
    """Open a second handle, before whose next entry somebody else acts: after it looked, before it writes."""
    waiting = [act]

    def clock() -> datetime:
        while waiting:
            waiting.pop()()
        return years.time

    return Registry.open(years.registry.uri, clock=clock)


def test_a_faster_promotion_is_respected(years: Years) -> None:
    """What is promoted between the look and the entry stays; what nobody wanted goes all the same."""
    for recipe in "abc":
        years.trained(recipe)
    other = meanwhile(years, lambda: promote(years.registry, GROUP, ["churn@1", "churn_reason@1"], ADA))
    assert preview(years.registry, TIGHT).plan.kept["churn"] == {Why.NEWEST: 1}
    done = retain(other, TIGHT, BOT)
    assert done.plan.kept["churn"] == {Why.STAGING: 1, Why.NEWEST: 1}
    assert years.there() == whole(1) | whole(3)
    assert years.is_sound()


def test_a_promotion_that_was_slower_is_refused(years: Years) -> None:
    """A promotion that looked before the removal and writes after it looks again, and is refused."""
    for recipe in "abc":
        years.trained(recipe)
    other = meanwhile(years, years.retain)
    with pytest.raises(PromotionRefused, match=r"^Model version churn@1: its files were removed by log entry"):
        promote(other, GROUP, "churn@1", ADA)


def test_two_at_once(years: Years) -> None:
    """Of two that run at once, each folder is removed by one."""
    for recipe in "abc":
        years.trained(recipe)
    others: list[Retention] = []
    other = meanwhile(years, lambda: others.append(years.retain()))
    done = retain(other, TIGHT, BOT)
    assert (len(others[0].entries), len(done.entries), done.files) == (1, 0, 0)
    assert years.is_sound()


def test_an_attempt_that_records_itself_meanwhile_is_no_orphan(years: Years) -> None:
    """A folder without an entry, which gets one between the look and the removal, stays."""
    snapshot = years.snapshot("a")
    years.time = NOW + timedelta(days=400)
    fact = years.facts.model("churn", snapshot, recipe="slow")
    other = meanwhile(years, lambda: years.record(fact))
    assert [removal.what for removal in preview(years.registry, TIGHT).plan.removals] == [""]
    assert retain(other, TIGHT, BOT).entries == ()
    assert "churn@1" in years.there()


class Failing(Objects):
    """A store that breaks at a chosen deletion, before it is done."""

    left = 0

    def _delete(self, path: str) -> None:
        if not self.left:
            raise StoreUnusable(f"no more: {path}")
        self.left -= 1
        super()._delete(path)


def killed_at(years: Years, deletion: int) -> bool:
    """Run until that deletion breaks; false if there were fewer."""
    objects = Failing.open(years.registry.uri)
    objects.left = deletion
    try:
        retain(Registry(objects, Registry.open(years.registry.uri, clock=lambda: years.time).log), TIGHT, BOT)
    except StoreUnusable:
        return True
    return False


def test_killed_at_any_deletion_the_next_run_finishes() -> None:
    """Stopped at any deletion, the registry is sound but for leftovers, and the next run deletes just these."""
    deletion, was_killed = 1, True  # 0 is the trial whether deleting is allowed, before there is anything to finish
    while was_killed:
        years = Years(f"memory://{uuid4().hex}")
        for recipe in "abc":
            years.trained(recipe)
        years.registry.objects.put("scratch/run/open", b"")
        years.registry.objects.put("scratch/run/part", b"x")
        years.time = NOW + timedelta(days=400)
        was_killed = killed_at(years, deletion)
        left = list(verify(years.registry))
        assert {finding.severity for finding in left} == ({"note"} if was_killed else set())
        asked = preview(years.registry, TIGHT)
        done = years.retain()
        assert asked.unfinished == done.unfinished
        assert done.entries == ()
        assert years.there() == whole(3)
        assert years.is_sound()
        assert [finding.path for finding in left if finding.path.startswith("scratch")] == [*done.scratch]
        deletion += 1
    assert deletion == 1 + 24 + 2 + 1


def test_a_manifest_goes_first(memory: Years) -> None:
    """A folder that has a manifest is whole, also while it is being deleted."""
    for recipe in "abc":
        memory.trained(recipe)
    for deletion in range(2, 13):
        killed_at(memory, deletion)
        state = memory.registry.state()
        names = memory.registry.objects.names("models")
        for version in versions(state):
            if version.fact.manifest.path in names and version.fact.kind == "model_trained":
                folder = version.fact.manifest.path.removesuffix("/manifest.json")
                assert len([name for name in names if name.startswith(folder)]) == 3


def test_many_folders_take_several_entries(memory: Years) -> None:
    """More folders than an entry may name are removed by several, and no cut leaves a version without its lineage."""
    for recipe in "abcd":
        memory.trained(recipe)
    done = retain(memory.registry, TIGHT, BOT, most=2)
    assert len(done.entries) == 8
    assert memory.there() == whole(4)
    removed: set[str] = set()
    state = memory.registry.state()
    made_from = {v.ref: {other["version"] for other in lineage(state, v)["made_from"]} for v in versions(state)}
    refs = {v.fact.manifest.path.removesuffix("/manifest.json"): v.ref for v in versions(state)}
    for entry in memory.registry.log.entries():
        if isinstance(entry.fact, Removed):
            removed |= {refs[folder] for folder in entry.fact.folders}
            assert not any(above & removed for ref, above in made_from.items() if ref not in removed)


# -------------------------------------------------------------------------------------------------- orphans and scratch


def test_orphans_go_when_they_are_old(years: Years) -> None:
    """A folder that no entry names goes by an entry of its own once it is older than the rule and two days."""
    snapshot = years.snapshot("a")
    fact = years.facts.model("churn", snapshot, recipe="killed")
    folder = fact.manifest.path.removesuffix("/manifest.json")
    stored = list(years.registry.objects.listing(folder))
    rule = Rule(older_than=timedelta(0))
    years.time = datetime.now(UTC) + timedelta(days=1, hours=23)
    assert retain(years.registry, rule, BOT).entries == ()
    years.time += timedelta(hours=2)
    assert preview(years.registry, Rule()).plan.removals == ()
    done = retain(years.registry, rule, BOT)
    size = sum(item.size for item in stored)
    assert done.plan.removals == (Removal(folder=folder, what="", why="a killed attempt's", size=size, files=3),)
    assert years.registry.objects.names("models") == []
    assert folder in years.registry.state().removed
    assert [finding.path for finding in verify(years.registry)] == years.registry.objects.names("sources")


def test_scratch_of_a_pipeline_that_is_at_work_stays(years: Years) -> None:
    """Scratch goes as a whole, and only when nothing was added to it for two days; its mark goes first."""
    years.registry.objects.put("scratch/dead/open", b"")
    years.registry.objects.put("scratch/dead/a-part", b"123")
    years.time = datetime.now(UTC) + timedelta(days=1, hours=23)
    assert years.retain().scratch == {}
    years.time += timedelta(hours=2)
    done = years.retain()
    assert {run: (heap.files, heap.size) for run, heap in done.scratch.items()} == {"scratch/dead": (2, 3)}
    assert (done.files, done.size, done.entries) == (2, 3, ())
    assert years.registry.objects.names("scratch") == []


def test_what_is_not_ours_stays(years: Years) -> None:
    """A name that breaks the rule is never deleted, however old."""
    years.trained("a")
    foreign = ["models/README", "models/churn/best/model.skops", "scratch/lonely", "notes"]
    import obstore

    for path in foreign:
        obstore.put(years.registry.objects._store.handle, path, b"x")
    years.time = NOW + timedelta(days=400)
    years.retain(Rule(keep=1, older_than=timedelta(0), rollbacks=0))
    assert set(foreign) <= set(years.registry.objects.names(""))


def test_specs_of_jobs_go_when_no_job_can_be_at_work(years: Years) -> None:
    """A spec stays for a month, whoever retains; the package that jobs install stays for ever."""
    years.time = datetime.now(UTC)
    spec, package = canonical_json({"plan": 1}), b"a package"
    path = f"specs/{sha256_of(spec)}.json"
    years.registry.objects.put(path, spec)
    kept = f"packages/{sha256_of(package)}/lockstep_train-0.2.0.tar.gz"
    years.registry.objects.put(kept, package)
    years.pass_by(29)
    assert years.retain().specs.files == 0
    years.pass_by(2)
    assert not list(verify(years.registry, depth=Depth.WHOLE))
    assert (preview(years.registry, TIGHT).specs.files, years.retain().specs.files) == (1, 1)
    assert years.registry.objects.names("specs") == []
    assert years.registry.objects.names("packages") == [kept]
    assert years.retain().specs.files == 0


def test_what_is_no_spec_or_package_is_foreign(memory: Years) -> None:
    """Their names say their content; what holds other bytes is told."""
    for path in (f"specs/{'a' * 64}.json", f"packages/{'b' * 64}/lockstep_train-0.2.0.tar.gz"):
        memory.registry.objects.put(path, b"something else")
    texts = [finding.as_text() for finding in verify(memory.registry, depth=Depth.QUICK)]
    assert len(texts) == 2
    assert all("its bytes are not those of its name" in text for text in texts)
