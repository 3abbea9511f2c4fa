"""Words on a set: of exactly the set that was shown, checked at the entry, and what a release makes of them."""

from dataclasses import replace

import pytest

from lockstep.errors import JudgementRefused, ReleaseRefused, SetChanged, UsageError
from lockstep.registry import Job, Origin, Word
from lockstep.release import (
    Needs,
    approval_of,
    approve,
    compose,
    digest_of_release,
    needs_word,
    reject,
    release,
    resume,
    rollback,
)
from tests.release.conftest import ADA, TODAY, Desk

BOB = Origin(by="bob", why="too many\ncalls", job=Job(system="airflow", run="churn_release/1", task="approve"))
RETRY = replace(BOB, job=replace(BOB.job, attempt=2))


def staged(desk: Desk) -> str:
    """Tell the digest of the set in staging."""
    return digest_of_release(compose(desk.group, desk.registry.state()))


def test_an_approval_is_one_entry_and_releases_nothing(desk: Desk) -> None:
    """An approval names the set with its members, and says by whom and why; production stays."""
    desk.in_step()
    done = approve(desk.registry, desk.group, BOB, digest=staged(desk))
    state = desk.registry.state()
    entry = list(desk.registry.log.entries())[-1]
    assert (done.word, done.recorded.number, done.recorded.origin) == (Word.APPROVED, state.head, BOB)
    assert (entry.fact.digest, entry.fact.members) == (staged(desk), dict(state.staging))
    assert state.production("churn") is None
    assert desk.gate().approved == f"exactly this set was approved by bob on {TODAY.date()}: too many calls"
    assert desk.gate().as_text().splitlines()[-1].strip() == f"ok   {desk.gate().approved}"


def test_a_rejected_set_is_not_released_until_it_is_approved(desk: Desk) -> None:
    """A rejection shuts the gate with the reason that the person gave; an approval of the same set lifts it."""
    desk.in_step()
    reject(desk.registry, desk.group, BOB, digest=staged(desk))
    assert desk.gate().reasons == (
        (
            f"exactly this set was rejected by bob on {TODAY.date()}: too many calls; promote another version, or"
            " `lockstep approve churn`"
        ),
    )
    with pytest.raises(ReleaseRefused, match="was rejected by bob"):
        release(desk.registry, desk.group, ADA)
    approve(desk.registry, desk.group, ADA, digest=staged(desk))
    assert desk.gate().is_open
    assert release(desk.registry, desk.group, ADA, needs=Needs.APPROVAL).digest == staged(desk)


def test_a_rejection_blocks_exactly_that_set(desk: Desk) -> None:
    """Another set is released, and the rejected one stays shut out when it comes again."""
    desk.in_step()
    reject(desk.registry, desk.group, BOB, digest=staged(desk))
    desk.in_step("second", "february")
    release(desk.registry, desk.group, ADA)
    desk.promote("churn@1", "churn_reason@1")
    assert "was rejected by bob" in desk.gate().reasons[0]


def test_a_rejection_needs_a_reason(desk: Desk) -> None:
    """Whoever rejects without saying why is refused, and nothing is recorded."""
    desk.in_step()
    with pytest.raises(UsageError, match="a rejection needs a reason"):
        reject(desk.registry, desk.group, Origin(by="bob", why=" "), digest=staged(desk))
    assert "rejected" not in desk.kinds()


@pytest.mark.parametrize("say", [approve, reject])
def test_a_word_on_a_set_that_has_changed_is_refused(desk: Desk, say: object) -> None:
    """Who was shown another set than the one in staging is told so; nothing is recorded."""
    desk.in_step()
    shown = staged(desk)
    desk.in_step("second", "february")
    with pytest.raises(SetChanged) as refused:
        say(desk.registry, desk.group, BOB, digest=shown)
    assert str(refused.value) == (
        f'Group "churn": the set has changed. Shown was {shown[:12]}, in staging is {staged(desk)[:12]} now. Look at'
        " what that one changes with `lockstep diff churn`."
    )
    assert not {"approved", "rejected"} & set(desk.kinds())


@pytest.mark.parametrize("say", [approve, reject])
def test_a_word_is_checked_at_the_entry_itself(desk: Desk, say: object) -> None:
    """Where somebody promotes between the look and the entry, the word is refused."""
    desk.in_step()
    desk.tune("priority_call", desk.registry.state().model("churn@1").fact, 0.3)
    shown = staged(desk)
    registry = desk.meanwhile(lambda: desk.promote("priority_call@2"))
    with pytest.raises(SetChanged):
        say(registry, desk.group, BOB, digest=shown)
    assert not {"approved", "rejected"} & set(desk.kinds())


def test_a_word_is_of_what_the_set_would_change(desk: Desk) -> None:
    """Where production has moved since the set was shown, a word on it is refused, although the set is the same."""
    desk.in_step()
    first = release(desk.registry, desk.group, ADA)
    desk.in_step("second", "february")
    release(desk.registry, desk.group, ADA)
    desk.in_step("third", "march")
    shown, seen = staged(desk), desk.registry.state().head
    assert needs_word(desk.group, desk.registry.state(), shown, seen)
    registry = desk.meanwhile(lambda: rollback(desk.registry, desk.group, ADA, to=first.digest))
    with pytest.raises(SetChanged, match="production has moved"):
        approve(registry, desk.group, BOB, digest=shown, seen=seen)
    resume(desk.registry, desk.group, ADA)
    assert not needs_word(desk.group, desk.registry.state(), shown, seen)
    assert approve(desk.registry, desk.group, BOB, digest=shown, seen=desk.registry.state().head)


def test_an_approval_counts_no_more_once_production_has_moved(desk: Desk) -> None:
    """A set that was approved in the place of another release has to be approved again."""
    desk.in_step()
    approve(desk.registry, desk.group, BOB, digest=staged(desk))
    approved = staged(desk)
    desk.in_step("second", "february")
    release(desk.registry, desk.group, ADA)
    desk.promote("churn@1", "churn_reason@1")
    assert staged(desk) == approved
    assert approval_of(desk.group, desk.registry.state(), approved) is None
    with pytest.raises(ReleaseRefused, match="nobody has approved it in the place of release"):
        release(desk.registry, desk.group, ADA, needs=Needs.APPROVAL)
    assert desk.gate().is_open


def test_a_release_that_needs_an_approval_is_refused_without(desk: Desk) -> None:
    """It says which set has to be approved; an approval of another set is none of this one."""
    desk.in_step()
    approve(desk.registry, desk.group, BOB, digest=staged(desk))
    desk.in_step("second", "february")
    with pytest.raises(ReleaseRefused) as refused:
        release(desk.registry, desk.group, ADA, needs=Needs.APPROVAL)
    short = staged(desk)[:12]
    assert str(refused.value) == (
        f'Group "churn": set {short} fits together, but nobody has approved it as the first release. Look at what it'
        f" changes with `lockstep diff churn`, then `lockstep approve churn --set {short}`."
    )
    assert "released" not in desk.kinds()


def test_an_approval_is_looked_for_at_the_entry_itself(desk: Desk) -> None:
    """Where somebody rejects, or promotes another set, between the look and the entry, nothing is released."""
    desk.in_step()
    approve(desk.registry, desk.group, BOB, digest=staged(desk))
    registry = desk.meanwhile(lambda: reject(desk.registry, desk.group, ADA, digest=staged(desk)))
    with pytest.raises(ReleaseRefused, match="was rejected by ada"):
        release(registry, desk.group, ADA, needs=Needs.APPROVAL)
    approve(desk.registry, desk.group, ADA, digest=staged(desk))
    desk.tune("priority_call", desk.registry.state().model("churn@1").fact, 0.3)
    registry = desk.meanwhile(lambda: desk.promote("priority_call@2"))
    with pytest.raises(ReleaseRefused, match="nobody has approved it"):
        release(registry, desk.group, ADA, needs=Needs.APPROVAL)
    assert "released" not in desk.kinds()


@pytest.mark.parametrize("say", [approve, reject])
def test_a_retried_job_gets_what_it_said(desk: Desk, say: object) -> None:
    """A job that asks again gets its word, even if others have said another or promoted since; it is recorded once."""
    desk.in_step()
    shown = staged(desk)
    done = say(desk.registry, desk.group, BOB, digest=shown)
    (reject if say is approve else approve)(desk.registry, desk.group, ADA, digest=shown)
    desk.in_step("second", "february")
    assert say(Desk(desk.registry.uri).registry, desk.group, RETRY, digest=shown) == done
    assert len([kind for kind in desk.kinds() if kind in ("approved", "rejected")]) == 2


def test_there_has_to_be_a_set(desk: Desk) -> None:
    """Of members that don't fit together, and of what is in production already, nothing can be said."""
    with pytest.raises(JudgementRefused, match="no set to say anything of"):
        approve(desk.registry, desk.group, BOB, digest="0" * 64)
    desk.in_step()
    release(desk.registry, desk.group, ADA)
    with pytest.raises(JudgementRefused, match="is in production already"):
        reject(desk.registry, desk.group, BOB, digest=staged(desk))
