"""A group on hold: what it shuts, what it leaves alone, and that it says who did it."""

from dataclasses import replace

import pytest

from lockstep.errors import HoldRefused, ReleaseRefused
from lockstep.registry import Job, Origin
from lockstep.release import Status, describe_hold, hold, release, resume, rollback
from tests.release.conftest import ADA, TODAY, Desk

BOB = Origin(by="bob", why="audit", job=Job(system="airflow", run="churn_resume/1", task="resume"))
RETRY = replace(BOB, job=replace(BOB.job, attempt=2))
NOW = TODAY.isoformat(timespec="seconds")


def test_nothing_is_released_of_a_group_on_hold(desk: Desk) -> None:
    """The gate says since when, by whom and why, and how to lift it; lifted, the same set is released."""
    desk.in_step()
    done = hold(desk.registry, desk.group, BOB)
    assert (done.is_on, done.left, done.recorded.origin) == (True, None, BOB)
    verdict = desk.gate()
    assert verdict.status is Status.CLOSED
    assert verdict.reasons == (f"churn is on hold since {NOW}, by bob: audit; lift it with `lockstep resume churn`",)
    assert all(member.fits for member in verdict.members)
    with pytest.raises(ReleaseRefused, match="is on hold"):
        release(desk.registry, desk.group, ADA)
    assert resume(desk.registry, desk.group, ADA).is_on is False
    assert release(desk.registry, desk.group, ADA).recorded.number == desk.registry.state().head


def test_a_hold_shows_beside_what_else_is_missing(desk: Desk) -> None:
    """A group whose members don't fit together says both."""
    hold(desk.registry, desk.group, BOB)
    reasons = desk.gate().reasons
    assert "churn is not in staging" in reasons
    assert reasons[-1].startswith("churn is on hold since")


def test_a_hold_is_seen_at_the_entry_itself(desk: Desk) -> None:
    """Where somebody puts the group on hold between the look and the entry, nothing is released."""
    desk.in_step()
    registry = desk.meanwhile(lambda: hold(desk.registry, desk.group, BOB))
    with pytest.raises(ReleaseRefused, match="is on hold"):
        release(registry, desk.group, ADA)
    assert "released" not in desk.kinds()


def test_a_rollback_holds_and_another_one_is_let_through(desk: Desk) -> None:
    """After a rollback nothing is released, but any earlier release can be gone to, forward as well."""
    releases = []
    for recipe in ("first", "second", "third"):
        desk.in_step(recipe, f"rows of {recipe}")
        releases.append(release(desk.registry, desk.group, ADA))
    rollback(desk.registry, desk.group, BOB)
    found = desk.registry.state().hold("churn")
    assert found is not None
    assert describe_hold(found) == (
        f"churn is on hold since {NOW}, by bob, after the rollback from release {releases[2].short}: audit"
    )
    desk.in_step("fourth", "april")
    with pytest.raises(ReleaseRefused, match="after the rollback from release"):
        release(desk.registry, desk.group, ADA)
    for wanted in (releases[0], releases[2], releases[1]):
        assert rollback(desk.registry, desk.group, ADA, to=wanted.digest).digest == wanted.digest
    resume(desk.registry, desk.group, ADA)
    assert desk.gate().is_open


def test_what_is_so_already_is_refused(desk: Desk) -> None:
    """Who holds what is on hold hears who did it; who lifts what is not on hold hears that."""
    with pytest.raises(HoldRefused) as refused:
        resume(desk.registry, desk.group, ADA)
    assert str(refused.value) == 'Group "churn" is not on hold, so there is nothing to lift.'
    hold(desk.registry, desk.group, BOB)
    with pytest.raises(HoldRefused) as refused:
        hold(desk.registry, desk.group, ADA)
    assert str(refused.value) == f"churn is on hold since {NOW}, by bob: audit. Lift it with `lockstep resume churn`."
    assert desk.kinds() == ["held"]


def test_of_two_that_hold_at_once_one_entry_stands(desk: Desk) -> None:
    """The second hears that the first was faster."""
    registry = desk.meanwhile(lambda: hold(desk.registry, desk.group, ADA))
    with pytest.raises(HoldRefused, match="by ada"):
        hold(registry, desk.group, BOB)
    assert desk.kinds() == ["held"]


def test_a_retried_job_gets_what_it_did(desk: Desk) -> None:
    """A job that asks again holds or lifts once, whatever others have done since."""
    done = hold(desk.registry, desk.group, BOB)
    lifted = resume(desk.registry, desk.group, BOB)
    hold(desk.registry, desk.group, ADA)
    assert hold(desk.registry, desk.group, RETRY) == done
    assert resume(desk.registry, desk.group, RETRY) == lifted
    assert desk.kinds() == ["held", "resumed", "held"]
