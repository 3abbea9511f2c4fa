"""The gate: open only when all stand in staging and fit together, and a sentence for each member that doesn't."""

import json
from dataclasses import replace

from lockstep.group import Group, GroupModel
from lockstep.registry import Promoted, model_key, threshold_key
from lockstep.release import Status, compose, digest_of_release, gate, release, resume, rollback
from tests.release.conftest import ADA, TODAY, Desk


def test_gate_of_an_empty_registry_names_every_member(desk: Desk) -> None:
    """Before anything is promoted every member is named with its reason, and the APIs with what they wait for."""
    verdict = desk.gate()
    assert (verdict.status, verdict.is_open, verdict.head) == (Status.CLOSED, False, 0)
    assert verdict.as_text() == (
        "gate churn: closed\n"
        "  WAIT model churn: churn is not in staging\n"
        "  WAIT model churn_reason: churn_reason is not in staging\n"
        "  WAIT threshold retention_offer: retention_offer is not in staging\n"
        "  WAIT threshold priority_call: priority_call is not in staging\n"
        "  WAIT api offers: offers waits for retention_offer, churn_reason\n"
        "  WAIT api calls: calls waits for priority_call"
    )


def test_candidates_do_not_exist_for_the_gate(desk: Desk) -> None:
    """Training opens no gate and closes none."""
    snapshot = desk.snapshot()
    desk.reason(snapshot, desk.tuned_churn(snapshot))
    assert desk.gate().reasons == (
        "churn is not in staging",
        "churn_reason is not in staging",
        "retention_offer is not in staging",
        "priority_call is not in staging",
    )
    desk.promote("churn", "churn_reason")
    assert desk.gate().is_open
    desk.tuned_churn(desk.snapshot("february"), "second")
    assert desk.gate().is_open


def test_gate_is_open_when_all_fit(desk: Desk) -> None:
    """With every member in staging and all of one piece the gate is open, and says which versions would go."""
    desk.in_step()
    verdict = desk.gate()
    assert (verdict.is_open, verdict.reasons) == (True, ())
    assert verdict.as_text() == (
        "gate churn: open\n"
        "  ok   model churn: churn@1 is in staging\n"
        "  ok   model churn_reason: churn_reason@1 is in staging\n"
        "  ok   threshold retention_offer: retention_offer@1 is in staging\n"
        "  ok   threshold priority_call: priority_call@1 is in staging\n"
        "  ok   api offers: all it needs fits\n"
        "  ok   api calls: all it needs fits"
    )


def test_model_built_on_another_version_waits(desk: Desk) -> None:
    """A model whose upstream moved on in staging has to be retrained, and only those that need it wait with it."""
    desk.in_step()
    desk.tuned_churn(desk.facts.snapshot("customers", "january"), "second")
    desk.promote("churn@2")
    verdict = desk.gate()
    assert verdict.as_text() == (
        "gate churn: closed\n"
        "  ok   model churn: churn@2 is in staging\n"
        "  WAIT model churn_reason: churn_reason@1 was built on churn@1, but churn@2 is in staging;"
        " retrain and promote churn_reason\n"
        "  ok   threshold retention_offer: retention_offer@2 is in staging\n"
        "  ok   threshold priority_call: priority_call@2 is in staging\n"
        "  WAIT api offers: offers waits for churn_reason\n"
        "  ok   api calls: all it needs fits"
    )


def test_model_that_was_not_built_on_its_upstream_waits(desk: Desk) -> None:
    """A version from before `builds_on=` was declared has to be retrained."""
    snapshot = desk.snapshot()
    desk.tuned_churn(snapshot)
    desk.reason(snapshot, None)
    desk.promote("churn", "churn_reason")
    assert desk.gate().reasons == (
        "churn_reason@1 was not built on churn, but churn@1 is in staging; retrain and promote churn_reason",
    )


def test_threshold_of_another_version_waits(desk: Desk) -> None:
    """A threshold that was tuned for another version than the staged one keeps the gate shut."""
    desk.in_step()
    snapshot = desk.facts.snapshot("customers", "january")
    second = desk.churn(snapshot, "second")
    desk.tune("retention_offer", second)
    desk.reason(snapshot, second, "second")
    # promote() would refuse to leave priority_call behind; an older Lockstep or a hand may not have.
    desk.record(
        Promoted(
            group="churn",
            members={
                model_key("churn"): second.digest,
                threshold_key("retention_offer"): desk.registry.state().threshold("retention_offer@2").digest,
            },
        )
    )
    desk.promote("churn_reason@2")
    verdict = desk.gate()
    assert verdict.reasons == (
        "priority_call@1 was tuned for churn@1, but churn@2 is in staging; tune and promote priority_call",
    )
    assert [member.name for member in verdict.members if not member.fits] == ["priority_call", "calls"]


def test_siblings_on_different_snapshots_wait(desk: Desk) -> None:
    """Of siblings the one on older data waits, with both snapshots named."""
    desk.in_step()
    churn = desk.tuned_churn(desk.snapshot("february"), "second")
    desk.reason(desk.facts.snapshot("customers", "january"), churn, "second")
    desk.promote("churn@2", "churn_reason@2")
    assert desk.gate().reasons == (
        "churn_reason@2 was trained on customers@1, but churn@2 on customers@2; retrain and promote churn_reason",
    )


def test_users_of_an_unshared_dataset_need_not_match(desk: Desk) -> None:
    """Models on a dataset declared shared=False may stand on different snapshots of it."""
    desk.in_step()
    churn = desk.tuned_churn(desk.snapshot("february"), "second")
    desk.reason(desk.facts.snapshot("customers", "january"), churn, "second")
    desk.promote("churn@2", "churn_reason@2")
    loose = replace(desk.group, models=tuple(replace(model, shared=False) for model in desk.group.models))
    assert gate(loose, desk.registry.state()).is_open


def test_models_on_different_datasets_need_not_match(desk: Desk) -> None:
    """Snapshots are compared between models on one dataset only."""
    desk.in_step()
    clicks = desk.facts.snapshot("clicks", "monday")
    desk.record(clicks)
    desk.record(desk.facts.model("click", clicks))
    click = GroupModel(name="click", dataset="clicks", shared=True, deprecated_after=None, builds_on=(), thresholds=())
    wider = Group(name="churn", models=(*desk.group.models, click), apis=desk.group.apis)
    assert gate(wider, desk.registry.state()).reasons == ("click is not in staging",)
    desk.record(Promoted(group="churn", members={"model:click": desk.registry.state().model("click").digest}))
    assert gate(wider, desk.registry.state()).is_open


def test_everything_that_is_wrong_is_said_at_once(desk: Desk) -> None:
    """A model that is out of step in two ways has both reasons in its line."""
    desk.in_step()
    desk.tuned_churn(desk.snapshot("february"), "second")
    desk.promote("churn@2")
    line = desk.gate().as_text().splitlines()[2]
    assert line == (
        "  WAIT model churn_reason: churn_reason@1 was built on churn@1, but churn@2 is in staging; retrain and promote"
        " churn_reason; churn_reason@1 was trained on customers@1, but churn@2 on customers@2; retrain and promote"
        " churn_reason"
    )


def test_what_production_runs_is_nothing_new(desk: Desk) -> None:
    """After a release the gate says that there is nothing new, until something is promoted."""
    desk.in_step()
    done = release(desk.registry, desk.group, ADA)
    verdict = desk.gate()
    assert verdict.status is Status.NOTHING_NEW
    assert verdict.reasons == (f"release {done.short} in production is what stands in staging",)
    assert verdict.as_text().splitlines()[:3] == [
        "gate churn: nothing new",
        f"  release {done.short} in production is what stands in staging",
        "  ok   model churn: churn@1 is in staging",
    ]
    desk.tune("priority_call", desk.registry.state().model("churn@1").fact, 0.4)
    assert desk.gate().status is Status.NOTHING_NEW
    desk.promote("priority_call@2")
    assert desk.gate().is_open


def test_set_that_was_rolled_back_is_not_released_again(desk: Desk) -> None:
    """What was rolled back stays shut out, until another set is promoted or somebody goes forward to it by hand."""
    desk.in_step()
    first = release(desk.registry, desk.group, ADA)
    desk.in_step("second", "february")
    second = release(desk.registry, desk.group, ADA)
    rollback(desk.registry, desk.group, ADA)
    verdict = desk.gate()
    assert verdict.status is Status.CLOSED
    assert verdict.reasons == (
        (
            f"exactly this set was released as {second.short} and rolled back; promote another version, or go forward"
            f" to it with `lockstep rollback churn --to {second.short}`"
        ),
        (
            f"churn is on hold since {TODAY.isoformat(timespec='seconds')}, by ada, after the rollback from release"
            f" {second.short}: a test; lift it with `lockstep resume churn`"
        ),
    )
    assert all(member.fits for member in verdict.members)
    resume(desk.registry, desk.group, ADA)
    assert desk.gate().reasons == verdict.reasons[:1]
    desk.promote("churn@1", "churn_reason@1")
    assert desk.gate().reasons == (f"release {first.short} in production is what stands in staging",)
    desk.promote("churn@2", "churn_reason@2")
    rollback(desk.registry, desk.group, ADA, to=second.short)
    assert desk.gate().status is Status.NOTHING_NEW
    resume(desk.registry, desk.group, ADA)
    desk.in_step("third", "march")
    assert desk.gate().is_open


def test_older_set_that_was_never_rolled_back_may_return(desk: Desk) -> None:
    """A set that a newer release replaced, and nobody rolled back, can be promoted and released again."""
    desk.in_step()
    first = release(desk.registry, desk.group, ADA)
    desk.in_step("second", "february")
    release(desk.registry, desk.group, ADA)
    desk.promote("churn@1", "churn_reason@1")
    assert desk.gate().is_open
    assert release(desk.registry, desk.group, ADA).digest == first.digest


def test_set_that_was_gone_forward_to_may_return(desk: Desk) -> None:
    """A set that was rolled back, put into production again by hand and then replaced, can be released again."""
    desk.in_step()
    release(desk.registry, desk.group, ADA)
    desk.in_step("second", "february")
    second = release(desk.registry, desk.group, ADA)
    rollback(desk.registry, desk.group, ADA)
    rollback(desk.registry, desk.group, ADA, to=second.digest)
    resume(desk.registry, desk.group, ADA)
    desk.in_step("third", "march")
    release(desk.registry, desk.group, ADA)
    desk.promote("churn@2", "churn_reason@2")
    assert desk.gate().is_open
    assert release(desk.registry, desk.group, ADA).digest == second.digest


def test_same_version_recorded_again_is_nothing_new(desk: Desk) -> None:
    """A training that comes out the very same and is recorded again changes neither what was released nor its name."""
    desk.in_step()
    release(desk.registry, desk.group, ADA)
    desk.record(desk.registry.state().model("churn@1").fact)
    desk.record(desk.registry.state().threshold("priority_call@1").fact)
    assert desk.registry.state().model("churn").ref == "churn@2"
    assert desk.gate().status is Status.NOTHING_NEW


def test_changed_api_is_something_new(desk: Desk) -> None:
    """An API that is declared anew is a new release even where all versions stay."""
    desk.in_step()
    release(desk.registry, desk.group, ADA)
    fewer = replace(desk.group, apis=desk.group.apis[:1])
    assert gate(fewer, desk.registry.state()).is_open


def test_each_reason_says_what_above_it_is_about(desk: Desk) -> None:
    """A reason names the node above the member that it is about: the model, what it builds on, or the dataset."""
    desk.in_step()
    desk.tuned_churn(desk.snapshot("february"), "second")
    desk.promote("churn@2")
    about = {member.name: member.about for member in desk.gate().members}
    assert about["churn_reason"] == ("churn", "customers")
    assert about["offers"] == ("",)
    assert about["churn"] == ()
    state = desk.registry.state()
    desk.record(Promoted(group="churn", members={"model:churn": state.model("churn@1").digest}))
    about = {member.name: member.about for member in desk.gate().members}
    assert (about["retention_offer"], about["priority_call"]) == (("churn",), ("churn",))


def test_a_member_that_is_not_staged_is_about_itself(desk: Desk) -> None:
    """A member that is missing in staging blocks no arrow."""
    assert all(used == "" for member in desk.gate().members for used in member.about)


def test_verdict_goes_into_json(desk: Desk) -> None:
    """A verdict as JSON says whether the gate is open, and all that the text says."""
    desk.in_step()
    plain = json.loads(json.dumps(desk.gate().as_json()))
    assert (plain["group"], plain["open"], plain["status"], plain["reasons"]) == ("churn", True, "open", [])
    assert plain["members"][0] == {
        "kind": "model", "name": "churn", "version": "churn@1", "reasons": [], "about": [],
    }  # fmt: skip
    assert len(plain["members"]) == 6


def test_composing_twice_gives_one_release(desk: Desk) -> None:
    """The manifest depends on the members and the group alone, so that the same set has one name."""
    desk.in_step()
    before = compose(desk.group, desk.registry.state())
    desk.churn(desk.facts.snapshot("customers", "january"), "unrelated")
    after = compose(Group.from_json(json.loads(json.dumps(desk.group.as_json()))), desk.registry.state())
    assert before == after
    assert digest_of_release(before) == digest_of_release(after)
    assert set(before["members"]) == {
        "model:churn", "model:churn_reason", "threshold:retention_offer", "threshold:priority_call",
    }  # fmt: skip
