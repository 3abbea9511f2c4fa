"""Promotion: a version and its thresholds move together, or a sentence says why not."""

from dataclasses import replace
from datetime import date

import pytest

from lockstep.errors import PromotionRefused, UsageError
from lockstep.group import Group
from lockstep.registry import Job, Promoted, Stage
from lockstep.release import promote
from tests.release.conftest import ADA, Desk


def refs(desk: Desk, ref: str) -> list[str]:
    """Promote, and list the versions that stand in staging for it."""
    return [version.ref for version in promote(desk.registry, desk.group, ref, ADA).versions]


def test_model_takes_its_thresholds_along_in_one_entry(desk: Desk) -> None:
    """A model version moves to staging with the newest version of each of its thresholds that fits it, in one entry."""
    snapshot = desk.snapshot()
    first = desk.tuned_churn(snapshot)
    desk.tune("priority_call", first, 0.3)
    desk.tuned_churn(snapshot, "second")
    done = promote(desk.registry, desk.group, "churn@1", ADA)
    assert [version.ref for version in done.versions] == ["churn@1", "retention_offer@1", "priority_call@2"]
    assert done.entry is not None
    assert done.entry.fact == Promoted(
        group="churn",
        members={
            "model:churn": first.digest,
            "threshold:retention_offer": desk.registry.state().threshold("retention_offer@1").digest,
            "threshold:priority_call": desk.registry.state().threshold("priority_call@2").digest,
        },
    )
    assert desk.kinds().count("promoted") == 1
    assert desk.registry.state().stage_of("model:churn", first.digest) is Stage.STAGING


def test_name_alone_is_the_newest_version(desk: Desk) -> None:
    """Without a number the newest version moves."""
    snapshot = desk.snapshot()
    desk.tuned_churn(snapshot)
    desk.tuned_churn(snapshot, "second")
    assert refs(desk, "churn") == ["churn@2", "retention_offer@2", "priority_call@2"]


def test_threshold_moves_alone_where_its_model_is_staged(desk: Desk) -> None:
    """A newer threshold for the staged model version moves without it."""
    desk.in_step()
    desk.tune("priority_call", desk.registry.state().model("churn@1").fact, 0.3)
    assert refs(desk, "priority_call") == ["priority_call@2"]
    staged = desk.registry.state().staged_threshold("priority_call")
    assert staged is not None
    assert staged.ref == "priority_call@2"


def test_what_stands_there_is_not_promoted_again(desk: Desk) -> None:
    """Promoting what stands in staging writes no entry, and still says what stands there."""
    desk.in_step()
    before = desk.registry.state().head
    again = promote(desk.registry, desk.group, "churn@1", ADA)
    assert again.entry is None
    assert [version.ref for version in again.versions] == ["churn@1", "retention_offer@1", "priority_call@1"]
    assert desk.registry.state().head == before


def test_older_version_may_return_to_staging(desk: Desk) -> None:
    """An archived version can be promoted again, with its own thresholds."""
    snapshot = desk.snapshot()
    desk.tuned_churn(snapshot)
    desk.tuned_churn(snapshot, "second")
    desk.promote("churn@1", "churn@2")
    assert refs(desk, "churn@1") == ["churn@1", "retention_offer@1", "priority_call@1"]


def test_version_that_missed_an_expectation_is_refused(desk: Desk) -> None:
    """A version below what is expected of it stays a candidate, and each miss is named."""
    missed = ("roc_auc is 0.71, expected at least 0.8", "brier is 0.3, expected at most 0.2")
    version = desk.churn(desk.snapshot(), missed=missed)
    desk.tune("retention_offer", version)
    desk.tune("priority_call", version)
    with pytest.raises(PromotionRefused) as refused:
        promote(desk.registry, desk.group, "churn@1", ADA)
    assert str(refused.value) == (
        "Model version churn@1 missed what is expected of it: roc_auc is 0.71, expected at least 0.8; brier is 0.3,"
        " expected at most 0.2. Train a better one, or change expects= in its declaration and train again."
    )
    assert "promoted" not in desk.kinds()


def until(group: Group, last: date) -> Group:
    """Deprecate the dataset of every model, with a last day."""
    return replace(group, models=tuple(replace(model, deprecated_after=last) for model in group.models))


def test_dataset_past_its_last_day_is_refused(desk: Desk) -> None:
    """From the day after deprecated_after nothing trained on the dataset is promoted; on the day itself it still is."""
    desk.tuned_churn(desk.snapshot())
    with pytest.raises(PromotionRefused) as refused:
        promote(desk.registry, until(desk.group, date(2026, 1, 4)), "churn@1", ADA)
    assert str(refused.value) == (
        'Model version churn@1: dataset "customers" is deprecated, and since 2026-01-04 models trained on it can\'t be'
        " promoted. Declare the model on the dataset that replaces it."
    )
    assert promote(desk.registry, until(desk.group, date(2026, 1, 5)), "churn@1", ADA).entry is not None


def test_model_without_a_threshold_of_its_own_is_refused(desk: Desk) -> None:
    """A model version of which one threshold was not tuned stays where it is, and the threshold is named."""
    snapshot = desk.snapshot()
    desk.tuned_churn(snapshot)
    second = desk.churn(snapshot, "second")
    desk.tune("retention_offer", second)
    with pytest.raises(PromotionRefused) as refused:
        promote(desk.registry, desk.group, "churn@2", ADA)
    assert str(refused.value) == (
        'Model version churn@2: threshold "priority_call" has no version that was tuned for it, and one for another'
        " version would not fit. Tune it (`lockstep train churn` does), then promote again."
    )
    assert dict(desk.registry.state().staging) == {}


def test_threshold_of_a_version_that_is_not_staged_is_refused(desk: Desk) -> None:
    """A threshold doesn't move alone unless exactly its model version is in staging."""
    snapshot = desk.snapshot()
    desk.tuned_churn(snapshot)
    with pytest.raises(PromotionRefused) as refused:
        promote(desk.registry, desk.group, "retention_offer@1", ADA)
    assert str(refused.value) == (
        "Threshold version retention_offer@1 was tuned for churn@1, but no version of churn is in staging. Promote"
        " churn@1, which takes its thresholds along."
    )
    desk.tuned_churn(snapshot, "second")
    desk.promote("churn@2")
    with pytest.raises(PromotionRefused) as refused:
        promote(desk.registry, desk.group, "retention_offer@1", ADA)
    assert str(refused.value) == (
        "Threshold version retention_offer@1 was tuned for churn@1, but churn@2 is in staging. Promote churn@1, which"
        " takes its thresholds along."
    )


@pytest.mark.parametrize("name", ["offers", "customers", "chrun", "", "offers@1"])
def test_what_is_no_model_or_threshold_of_the_group_is_refused(desk: Desk, name: str) -> None:
    """An API, a dataset or an unknown name can't be promoted; those that can be are named."""
    with pytest.raises(UsageError) as refused:
        promote(desk.registry, desk.group, name, ADA)
    assert str(refused.value) == (
        f'Group "churn" has no model or threshold "{name.partition("@")[0]}" to promote; it has churn, churn_reason,'
        " retention_offer, priority_call."
    )


def test_version_that_does_not_exist_is_refused(desk: Desk) -> None:
    """A number that was never given is refused with those that were."""
    desk.tuned_churn(desk.snapshot())
    with pytest.raises(UsageError) as refused:
        promote(desk.registry, desk.group, "churn@2", ADA)
    assert str(refused.value) == 'There is no model version "churn@2"; "churn" has versions churn@1 to churn@1.'


def test_condition_is_checked_at_the_entry_itself(desk: Desk) -> None:
    """A threshold whose model is replaced in staging between the look and the entry is refused after all."""
    desk.in_step()
    desk.tune("priority_call", desk.registry.state().model("churn@1").fact, 0.3)
    desk.tuned_churn(desk.facts.snapshot("customers", "january"), "second")
    registry = desk.meanwhile(lambda: desk.promote("churn@2"))
    with pytest.raises(PromotionRefused) as refused:
        promote(registry, desk.group, "priority_call@2", ADA)
    assert str(refused.value) == (
        "Threshold version priority_call@2 was tuned for churn@1, but churn@2 is in staging. Promote churn@1, which"
        " takes its thresholds along."
    )
    staged = desk.registry.state().staged_threshold("priority_call")
    assert staged is not None
    assert staged.ref == "priority_call@3"


def test_newest_means_newest_at_the_entry(desk: Desk) -> None:
    """Promoting by name alone takes a version that came in between the look and the entry."""
    snapshot = desk.snapshot()
    desk.tuned_churn(snapshot)
    registry = desk.meanwhile(lambda: desk.tuned_churn(snapshot, "second"))
    done = promote(registry, desk.group, "churn", ADA)
    assert [version.ref for version in done.versions] == ["churn@2", "retention_offer@2", "priority_call@2"]


def test_two_promote_the_same_and_one_entry_stands(desk: Desk) -> None:
    """Who is beaten to the very same promotion writes nothing."""
    desk.tuned_churn(desk.snapshot())
    registry = desk.meanwhile(lambda: desk.promote("churn@1"))
    assert promote(registry, desk.group, "churn@1", ADA).entry is None
    assert desk.kinds().count("promoted") == 1


def test_several_move_together_by_one_entry(desk: Desk) -> None:
    """Models that are named together move with all their thresholds by one entry, and the gate opens at that entry."""
    snapshot = desk.snapshot()
    churn = desk.tuned_churn(snapshot)
    desk.reason(snapshot, churn)
    done = promote(desk.registry, desk.group, ["churn_reason", "churn@1"], ADA)
    assert {version.ref for version in done.versions} == {
        "churn@1",
        "churn_reason@1",
        "retention_offer@1",
        "priority_call@1",
    }
    assert desk.kinds().count("promoted") == 1
    assert desk.gate().is_open


def test_one_that_is_refused_keeps_all_where_they_are(desk: Desk) -> None:
    """When one of several may not be promoted, none is."""
    snapshot = desk.snapshot()
    churn = desk.churn(snapshot, missed=("roc_auc is 0.5, expected is at least 0.8",))
    desk.reason(snapshot, churn)
    with pytest.raises(PromotionRefused, match="churn@1 missed what is expected"):
        promote(desk.registry, desk.group, ["churn_reason", "churn"], ADA)
    assert desk.registry.state().staging == {}


def test_threshold_named_beside_its_model_takes_the_place_of_the_newest(desk: Desk) -> None:
    """An older threshold version can be chosen by naming it; it has to fit the model version beside it."""
    first = desk.tuned_churn(desk.snapshot())
    desk.tune("priority_call", first, 0.3)
    assert [
        version.ref for version in promote(desk.registry, desk.group, ["churn", "priority_call@1"], ADA).versions
    ] == [
        "churn@1",
        "retention_offer@1",
        "priority_call@1",
    ]
    desk.tuned_churn(desk.snapshot(), "second")
    with pytest.raises(
        PromotionRefused, match=r"priority_call@1 was tuned for churn@1, but churn@2 is to be promoted with it"
    ):
        promote(desk.registry, desk.group, ["churn@2", "priority_call@1"], ADA)


def test_member_named_twice_is_refused(desk: Desk) -> None:
    """Two versions of one member can't both stand in staging."""
    desk.tuned_churn(desk.snapshot())
    with pytest.raises(UsageError) as refused:
        promote(desk.registry, desk.group, ["churn@1", "churn"], ADA)
    assert str(refused.value) == '"churn" is named 2 times to be promoted; name one version of it.'


FIRST = replace(ADA, job=Job(system="airflow", run="churn_promote/1", task="promote"))
RETRY = replace(ADA, job=Job(system="airflow", run="churn_promote/1", task="promote", attempt=2))
LATER = replace(ADA, job=Job(system="airflow", run="churn_promote/2", task="promote"))


def test_retried_job_does_not_undo_what_was_promoted_since(desk: Desk) -> None:
    """A job whose answer was lost gets what it promoted, and leaves alone what another has promoted behind it."""
    snapshot = desk.snapshot()
    desk.tuned_churn(snapshot)
    done = promote(desk.registry, desk.group, "churn", FIRST)
    newer = desk.tuned_churn(snapshot, "second")
    promote(desk.registry, desk.group, "churn", LATER)
    again = promote(Desk(desk.registry.uri).registry, desk.group, "churn", RETRY)
    assert [one.ref for one in again.versions] == [one.ref for one in done.versions]
    assert again.entry is None
    assert desk.registry.state().staging["model:churn"] == newer.digest
    assert desk.kinds().count("promoted") == 2


def test_job_that_asks_for_something_else_is_no_retry(desk: Desk) -> None:
    """One job may promote several, one after the other; only the same again is a retry."""
    desk.in_step("first", "january")
    desk.in_step("second", "february")
    for ref in ("churn@1", "churn_reason@1", "churn@2", "churn_reason"):
        promote(desk.registry, desk.group, ref, FIRST)
    state = desk.registry.state()
    assert state.staged_model("churn") == state.model("churn@2")
    assert state.staged_model("churn_reason") == state.model("churn_reason@1")
