"""`approve`, `reject`, `hold` and `resume`, and what `gate`, `status` and `log` say of them."""

import pytest

from lockstep.release import compose, digest_of_release
from tests.cli.conftest import GROUP, Command, Desk


def staged_set(desk: Desk) -> str:
    """Tell the digest of the set in staging."""
    return digest_of_release(compose(GROUP, desk.state))


def test_a_release_that_needs_an_approval(staged: Desk, run: Command) -> None:
    """Without an approval it is refused with the way out; with one it goes through, and the log says who and why."""
    digest = staged_set(staged)
    refused = run("release", "biopsy", "--needs", "approval")
    assert (refused.status, refused.out) == (1, "")
    assert f"`lockstep approve biopsy --set {digest[:12]}`" in refused.err
    done = run("--why", "looked at it", "approve", "biopsy", "--set", digest[:12], "--json")
    assert done.document == {"group": "biopsy", "set": digest, "word": "approved", "entry": staged.state.head}
    assert "exactly this set was approved by" in run("gate", "biopsy").out
    assert "exactly this set was approved by" in run("status").out
    assert run("release", "biopsy", "--needs", "approval").status == 0
    kinds = run("log", "--last", "2").out.splitlines()
    assert "approved" in kinds[0]
    assert kinds[0].endswith("(looked at it)")


def test_a_rejected_set(staged: Desk, run: Command) -> None:
    """A rejection needs --why, shuts the gate with that reason, and is lifted by an approval."""
    before = staged.state.head
    refused = run("reject", "biopsy")
    assert (refused.status, refused.out, staged.state.head) == (2, "", before)
    assert "a rejection needs a reason" in refused.err
    done = run("--why", "too many referrals", "reject", "biopsy")
    assert done.out == f"biopsy: set {staged_set(staged)[:12]} is rejected, and will not be released\n"
    for words in (("gate", "biopsy"), ("status",), ("release", "biopsy")):
        said = run(*words)
        assert "too many referrals; promote another version, or `lockstep approve biopsy`" in said.out + said.err
    assert run("approve", "biopsy").status == 0
    assert run("gate", "biopsy").status == 0


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_a_set_that_is_not_in_staging(staged: Desk, run: Command, command: str) -> None:
    """Who names another set than the one in staging hears which that is, and nothing is recorded."""
    before, digest = staged.state.head, staged_set(staged)
    done = run("--why", "x", command, "biopsy", "--set", "0123")
    assert (done.status, done.out, staged.state.head) == (1, "", before)
    assert done.err == (
        f'lockstep: Group "biopsy": the set has changed. You name 0123, in staging is {digest[:12]} now.\n'
    )


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_a_group_without_a_whole_set(desk: Desk, run: Command, command: str) -> None:
    """Of members that don't fit together nothing can be said; the verdict of the gate says why."""
    done = run("--why", "x", command, "biopsy")
    assert (done.status, done.out) == (1, "")
    assert "There is no set to say anything of." in done.err
    assert "surgery is not in staging" in done.err
    assert desk.state.judgements == {}


def test_hold_and_resume(staged: Desk, run: Command) -> None:
    """On hold nothing is released, and gate and status say since when, by whom and why; resumed, it is."""
    done = run("--why", "an audit", "hold", "biopsy", "--json")
    assert done.document == {"group": "biopsy", "on_hold": True, "entry": staged.state.head}
    for words in (("gate", "biopsy"), ("status",), ("release", "biopsy")):
        said = run(*words)
        assert "an audit; lift it with `lockstep resume biopsy`" in said.out + said.err
    assert run("status", "--json").document["groups"][0]["on_hold"] is True
    again = run("hold", "biopsy")
    assert (again.status, again.out) == (1, "")
    assert "is on hold since" in again.err
    assert run("resume", "biopsy").out == "biopsy is not on hold any more\n"
    assert run("resume", "biopsy").err == 'lockstep: Group "biopsy" is not on hold, so there is nothing to lift.\n'
    assert run("release", "biopsy").status == 0


def test_a_rollback_holds(released: Desk, run: Command) -> None:
    """After a rollback the gate says from which release, and the release waits for `resume`."""
    released.stage("second_look@2")
    second = released.release("biopsy_release/february")
    assert run("--why", "complaints", "rollback", "biopsy").status == 0
    assert f"after the rollback from release {second.short}: complaints" in run("gate", "biopsy").out
    assert run("rollback", "biopsy", "--to", second.digest).status == 0
    assert run("resume", "biopsy").status == 0
    assert "goes on" in run("log", "--last", "1").out
