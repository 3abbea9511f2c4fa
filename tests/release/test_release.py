"""Release and rollback: all at once by one entry, on conditions that hold at that entry and files that are whole."""

import json
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from lockstep.errors import ObjectDamaged, ObjectMissing, ReleaseRefused, RollbackRefused
from lockstep.registry import Job, ObjectRef, Origin, Released, RolledBack, Stage, canonical_json, sha256_of
from lockstep.release import compose, release, resume, rollback
from tests.release.conftest import ADA, Desk

JOB = Job(system="airflow", run="churn_release/manual__1", task="release")
AIRFLOW = Origin(by="airflow", job=JOB)
RETRY = Origin(by="airflow", job=replace(JOB, attempt=2))


def release_sets(desk: Desk, *recipes: str) -> list[str]:
    """Bring sets in step and release them, one after the other; list their digests."""
    digests = []
    for recipe in recipes:
        desk.in_step(recipe, f"rows of {recipe}")
        digests.append(release(desk.registry, desk.group, ADA).digest)
    return digests


def production(desk: Desk) -> str:
    """Tell the digest of what production runs."""
    now = desk.registry.state().production("churn")
    assert now is not None
    return now.digest


def test_release_is_one_entry_and_moves_every_member(desk: Desk) -> None:
    """A release appends one entry, and with it every member stands in production."""
    desk.in_step()
    before = desk.registry.state()
    done = release(desk.registry, desk.group, ADA)
    after = desk.registry.state()
    assert after.head == before.head + 1 == done.recorded.number
    assert dict(done.members) == dict(before.staging)
    assert all(after.stage_of(key, digest) is Stage.PRODUCTION for key, digest in before.staging.items())
    entry = list(desk.registry.log.entries())[-1]
    assert entry.fact == Released(group="churn", digest=done.digest, manifest=done.manifest, members=dict(done.members))
    assert entry.origin == ADA


def test_release_manifest_is_named_by_its_content(desk: Desk) -> None:
    """The manifest of a release stands under its hash and holds what the group composes to."""
    desk.in_step()
    manifest = compose(desk.group, desk.registry.state())
    done = release(desk.registry, desk.group, ADA)
    assert done.manifest.path == f"releases/churn/{done.digest}.json"
    data = desk.registry.objects.get(done.manifest)
    assert (data, sha256_of(data)) == (canonical_json(manifest), done.digest)
    assert manifest["members"]["model:churn_reason"] == {
        "name": "churn_reason",
        "number": 1,
        "digest": done.members["model:churn_reason"],
        "manifest": manifest["members"]["model:churn_reason"]["manifest"],
        "snapshot": {"name": "customers", "number": 1, "digest": desk.registry.state().snapshot("customers").digest},
        "upstream": {"churn": done.members["model:churn"]},
    }
    assert manifest["members"]["threshold:priority_call"]["model_digest"] == done.members["model:churn"]
    assert manifest["apis"]["offers"] == {"decides": ["retention_offer"], "explains": ["churn_reason"]}


def test_closed_gate_refuses_with_its_verdict(desk: Desk) -> None:
    """A release through a closed gate is refused with the gate's own words, and leaves nothing."""
    desk.in_step()
    desk.tuned_churn(desk.facts.snapshot("customers", "january"), "second")
    desk.promote("churn@2")
    with pytest.raises(ReleaseRefused) as refused:
        release(desk.registry, desk.group, ADA)
    assert str(refused.value) == desk.gate().as_text()
    assert "released" not in desk.kinds()
    assert desk.registry.objects.names("releases") == []


def test_nothing_new_is_refused(desk: Desk) -> None:
    """What production runs is not released twice."""
    release_sets(desk, "first")
    with pytest.raises(
        ReleaseRefused, match=r"^gate churn: nothing new\n  release \w{12} in production is what stands"
    ):
        release(desk.registry, desk.group, ADA)
    assert desk.kinds().count("released") == 1


def test_condition_is_checked_at_the_entry_itself(desk: Desk) -> None:
    """A promotion that comes in between the gate and the entry closes the gate, and nothing is released."""
    desk.in_step()
    desk.tuned_churn(desk.facts.snapshot("customers", "january"), "second")
    assert desk.gate().is_open
    registry = desk.meanwhile(lambda: desk.promote("churn@2"))
    with pytest.raises(ReleaseRefused) as refused:
        release(registry, desk.group, ADA)
    assert str(refused.value).splitlines()[2] == (
        "  WAIT model churn_reason: churn_reason@1 was built on churn@1, but churn@2 is in staging;"
        " retrain and promote churn_reason"
    )
    assert "released" not in desk.kinds()


def test_release_takes_what_fits_at_the_entry(desk: Desk) -> None:
    """A newer threshold that comes in between the gate and the entry, and fits, is what is released."""
    desk.in_step()
    desk.tune("priority_call", desk.registry.state().model("churn@1").fact, 0.3)
    registry = desk.meanwhile(lambda: desk.promote("priority_call@2"))
    done = release(registry, desk.group, ADA)
    assert done.members["threshold:priority_call"] == desk.registry.state().threshold("priority_call@2").digest


def test_two_release_the_same_and_one_entry_stands(desk: Desk) -> None:
    """Who is beaten to the very same release is told that there is nothing new."""
    desk.in_step()
    registry = desk.meanwhile(lambda: release(desk.registry, desk.group, ADA))
    with pytest.raises(ReleaseRefused, match=r"^gate churn: nothing new"):
        release(registry, desk.group, ADA)
    assert desk.kinds().count("released") == 1


def test_retried_job_gets_its_release(desk: Desk) -> None:
    """A job that asks again, in another attempt and another process, gets the release that it made."""
    desk.in_step()
    done = release(desk.registry, desk.group, AIRFLOW)
    again = release(Desk(desk.registry.uri).registry, desk.group, RETRY)
    assert again == done
    assert desk.kinds().count("released") == 1


def test_retried_job_gets_its_rollback(desk: Desk) -> None:
    """A rollback that is asked for again by the same job goes back once."""
    first, _, third = release_sets(desk, "first", "second", "third")
    done = rollback(desk.registry, desk.group, AIRFLOW)
    assert rollback(desk.registry, desk.group, RETRY) == done
    assert production(desk) == done.digest
    assert done.left == third
    assert desk.kinds().count("rolled_back") == 1
    assert rollback(desk.registry, desk.group, ADA).digest == first


def test_retried_job_does_nothing_to_what_came_after(desk: Desk) -> None:
    """A job that asks again after others have gone on gets what it did, and does not do it a second time."""
    release_sets(desk, "first", "second")
    undone = rollback(desk.registry, desk.group, AIRFLOW)
    resume(desk.registry, desk.group, ADA)
    (third,) = release_sets(desk, "third")
    assert rollback(desk.registry, desk.group, RETRY) == undone
    assert production(desk) == third
    desk.in_step("fourth", "april")
    done = release(desk.registry, desk.group, AIRFLOW)
    (fifth,) = release_sets(desk, "fifth")
    assert release(desk.registry, desk.group, RETRY) == done
    assert production(desk) == fifth


def test_job_may_release_and_roll_back(desk: Desk) -> None:
    """A job that released and saw its smoke check fail rolls back, although it is the job that made the release."""
    (first,) = release_sets(desk, "first")
    desk.in_step("second", "february")
    release(desk.registry, desk.group, AIRFLOW)
    assert rollback(desk.registry, desk.group, AIRFLOW).digest == first
    assert production(desk) == first


def test_job_of_another_run_is_no_retry(desk: Desk) -> None:
    """Another run of the same task makes a release of its own, or hears that there is nothing new."""
    desk.in_step()
    release(desk.registry, desk.group, AIRFLOW)
    other = Origin(by="airflow", job=replace(JOB, run="churn_release/manual__2"))
    with pytest.raises(ReleaseRefused):
        release(desk.registry, desk.group, other)
    desk.in_step("second", "february")
    assert release(desk.registry, desk.group, other).recorded.origin.job == other.job


def member_files(desk: Desk) -> list[Path]:
    """List the files on disk that production's members consist of, the manifests among them."""
    state = desk.registry.state()
    now = [state.model("churn@1"), state.model("churn_reason@1"), state.threshold("retention_offer@1")]
    folders = [Path(desk.registry.uri.removeprefix("file://")) / Path(one.fact.manifest.path).parent for one in now]
    return [path for folder in folders for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("place", range(8))
def test_damaged_file_refuses_the_release(file_desk: Desk, place: int) -> None:
    """Whichever file of a member was changed on disk, the release is refused and not recorded."""
    file_desk.in_step()
    files = member_files(file_desk)
    assert len(files) == 8
    files[place].write_bytes(files[place].read_bytes() + b" ")
    with pytest.raises(ObjectDamaged, match=rf"{files[place].name}\": its SHA-256 is \w{{12}}…, but the log promises"):
        release(file_desk.registry, file_desk.group, ADA)
    assert "released" not in file_desk.kinds()


def test_missing_file_refuses_the_release(file_desk: Desk) -> None:
    """A member's file that is gone refuses the release; once it is back the release goes through."""
    file_desk.in_step()
    lost = next(path for path in member_files(file_desk) if path.name == "model.skops")
    data = lost.read_bytes()
    lost.unlink()
    with pytest.raises(ObjectMissing):
        release(file_desk.registry, file_desk.group, ADA)
    lost.write_bytes(data)
    assert release(file_desk.registry, file_desk.group, ADA).recorded.origin == ADA


def test_damaged_file_refuses_the_rollback(file_desk: Desk) -> None:
    """A rollback reads every file that it goes back to, and stays where it is when one is damaged."""
    _, second = release_sets(file_desk, "first", "second")
    damaged = next(path for path in member_files(file_desk) if path.name == "model.skops")
    damaged.write_bytes(b"something else")
    with pytest.raises(ObjectDamaged):
        rollback(file_desk.registry, file_desk.group, ADA)
    assert production(file_desk) == second


def test_changed_release_manifest_refuses_the_rollback(file_desk: Desk) -> None:
    """A release manifest that was edited on disk is not gone back to."""
    first, second = release_sets(file_desk, "first", "second")
    path = Path(file_desk.registry.uri.removeprefix("file://")) / f"releases/churn/{first}.json"
    path.write_bytes(path.read_bytes().replace(b'"value":0.5', b'"value":0.1'))
    with pytest.raises(ObjectDamaged):
        rollback(file_desk.registry, file_desk.group, ADA)
    assert production(file_desk) == second


def test_rollback_goes_to_the_release_before(desk: Desk) -> None:
    """A rollback puts the release before back with all its members, by one entry that says what it left."""
    first, second = release_sets(desk, "first", "second")
    before = desk.registry.state()
    done = rollback(desk.registry, desk.group, ADA)
    after = desk.registry.state()
    assert (done.digest, done.left, after.head) == (first, second, before.head + 1)
    assert dict(done.members) == dict(before.releases["churn"][0].members)
    assert list(desk.registry.log.entries())[-1].fact == RolledBack(
        group="churn", digest=first, manifest=done.manifest, members=dict(done.members), left=second
    )
    assert after.staging == before.staging


def test_rollback_again_goes_further_back(desk: Desk) -> None:
    """A second rollback goes to the release before that, a third too, and then there is none."""
    first, second, third = release_sets(desk, "first", "second", "third")
    assert production(desk) == third
    assert [rollback(desk.registry, desk.group, ADA).digest for _ in range(2)] == [second, first]
    with pytest.raises(RollbackRefused) as refused:
        rollback(desk.registry, desk.group, ADA)
    assert str(refused.value) == (
        f'Group "churn": release {first[:12]} is the first; there is none before it to go back to.'
    )


def test_release_after_a_rollback_leads_back_to_it(desk: Desk) -> None:
    """After a rollback and a new release, the next rollback goes to where the first went, not to what it left."""
    first, _ = release_sets(desk, "first", "second")
    rollback(desk.registry, desk.group, ADA)
    resume(desk.registry, desk.group, ADA)
    release_sets(desk, "third")
    assert rollback(desk.registry, desk.group, ADA).digest == first


def test_rollback_to_a_release_by_its_first_characters(desk: Desk) -> None:
    """A release is named by the first characters of its digest, forward as well as back."""
    first, second, third = release_sets(desk, "first", "second", "third")
    assert rollback(desk.registry, desk.group, ADA, to=first[:12]).digest == first
    assert rollback(desk.registry, desk.group, ADA, to=third).digest == third
    assert rollback(desk.registry, desk.group, ADA, to=second[:12]).digest == second


def test_rollback_before_the_first_release_is_refused(desk: Desk) -> None:
    """Without a release there is nothing to roll back, to whatever release."""
    for to in (None, "abc"):
        with pytest.raises(RollbackRefused) as refused:
            rollback(desk.registry, desk.group, ADA, to=to)
        assert str(refused.value) == 'Group "churn" has no release yet, so there is nothing to roll back.'


def test_rollback_to_what_is_not_there_is_refused(desk: Desk) -> None:
    """An unknown release, none at all and the one in production are refused, with those that there are."""
    first, second = release_sets(desk, "first", "second")
    known = f"they are {first[:12]}, {second[:12]}."
    messages = {
        "x": f'Group "churn": "x" is not one of its releases; {known}',
        "": f'Group "churn": "" is not one of its releases; {known}',
        second: f'Group "churn": release {second[:12]} is in production already; its releases are {known[9:]}',
    }
    for to, message in messages.items():
        with pytest.raises(RollbackRefused) as refused:
            rollback(desk.registry, desk.group, ADA, to=to)
        assert str(refused.value) == message


def test_rollback_to_an_ambiguous_beginning_is_refused(memory_desk: Desk) -> None:
    """A beginning that more than one release has is refused; of seventeen releases two begin alike."""
    digests = release_sets(memory_desk, *(f"recipe {number}" for number in range(17)))
    alike = {begin: list(group) for begin, group in groupby(sorted(digests), key=lambda digest: digest[0])}
    begin = next(begin for begin, group in alike.items() if len(group) > 1)
    with pytest.raises(RollbackRefused) as refused:
        rollback(memory_desk.registry, memory_desk.group, ADA, to=begin)
    assert str(refused.value) == (
        f'Group "churn": "{begin}" is the beginning of more than one release; they are'
        f" {', '.join(digest[:12] for digest in digests)}."
    )


def test_rollback_is_checked_at_the_entry_itself(desk: Desk) -> None:
    """Of two that roll back at once the second goes on from where the first went, or hears that there is nothing."""
    release_sets(desk, "first", "second")
    registry = desk.meanwhile(lambda: rollback(desk.registry, desk.group, ADA))
    with pytest.raises(RollbackRefused, match="is the first; there is none before it to go back to"):
        rollback(registry, desk.group, ADA)
    assert desk.kinds().count("rolled_back") == 1


def test_manifest_of_a_member_leads_to_its_files(desk: Desk) -> None:
    """From a release manifest alone every file of every member is found and verified."""
    desk.in_step()
    done = release(desk.registry, desk.group, ADA)
    manifest = json.loads(desk.registry.objects.get(done.manifest))
    for key, member in manifest["members"].items():
        described = json.loads(desk.registry.objects.get(ObjectRef(**member["manifest"])))
        folder = str(Path(member["manifest"]["path"]).parent)
        assert folder.endswith(done.members[key])
        for name, file in described["files"].items():
            assert desk.registry.objects.get(ObjectRef(path=f"{folder}/{name}", **file))
