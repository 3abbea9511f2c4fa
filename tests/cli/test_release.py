"""`promote`, `gate`, `release` and `rollback` do what the core does, and say it."""

import json

import pytest

from lockstep.registry import canonical_json
from lockstep.release import compose, digest_of_release, gate
from tests.cli.conftest import GROUP, Command, Desk


def plain(document: object) -> object:
    """Turn tuples into lists, as JSON does."""
    return json.loads(json.dumps(document))


def test_promote(desk: Desk, run: Command) -> None:
    """A version moves to staging with its thresholds; asked again, it says that it stands there."""
    done = run("--why", "it is better", "promote", "second_look@1", "--json")
    state = desk.state
    assert (done.status, done.err) == (0, "")
    assert done.document == {"group": "biopsy", "staging": ["second_look@1", "review@1"], "entry": state.head}
    assert state.staging == {
        "model:second_look": state.model("second_look@1").digest,
        "threshold:review": state.threshold("review@1").digest,
    }
    entry = list(desk.registry.log.entries())[-1]
    assert (entry.origin.why, entry.origin.job.task) == ("it is better", "lockstep promote")
    again = run("promote", "second_look@1")
    assert (again.status, again.out) == (0, "in staging: second_look@1, review@1 (as before)\n")
    assert run("promote", "second_look").out == "in staging: second_look@2, review@2\n"


def test_a_why_that_is_a_command(desk: Desk, run: Command) -> None:
    """The job is named after the command that runs, whatever the words before it are."""
    assert run("--why", "release", "promote", "surgery").status == 0
    assert list(desk.registry.log.entries())[-1].origin.job.task == "lockstep promote"


def test_promotion_refused(staged: Desk, run: Command) -> None:
    """A threshold of another model version than the staged one is refused with status 1 and its reason."""
    before = staged.state.head
    done = run("promote", "review@2", "--json")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("lockstep: Threshold version review@2 was tuned for second_look@2, but second_look@1")
    assert staged.state.head == before


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("surgeon@1", '"surgeon" is not declared; declared are biopsies,'),
        ("surgery@9", 'There is no model version "surgery@9"; "surgery" has versions surgery@1 to surgery@1.'),
        ("surgery@", 'There is no model version "surgery@"; "surgery" has versions surgery@1 to surgery@1.'),
        ("surgery@-1", 'There is no model version "surgery@-1"; "surgery" has versions surgery@1 to surgery@1.'),
        ("biopsies@1", '"biopsies" belongs to no release group; only models, thresholds and APIs do.'),
        ("referrals", 'Group "biopsy" has no model or threshold "referrals" to promote; it has surgery, second_look,'),
        ("", '"" is not declared; declared are biopsies,'),
    ],
)
def test_promote_what_is_not_there(desk: Desk, run: Command, ref: str, message: str) -> None:
    """An unknown name or version is wrong use, and the message says what there is."""
    before = desk.state.head
    done = run("promote", ref)
    assert (done.status, done.out, desk.state.head) == (2, "", before)
    assert done.err.startswith(f"lockstep: {message}")


def test_a_closed_gate(desk: Desk, run: Command) -> None:
    """A closed gate ends with status 1, and its verdict is the result: on stdout, as text or as JSON."""
    desk.stage("surgery@1")
    verdict = gate(GROUP, desk.state)
    done = run("gate", "biopsy", "--json")
    assert (done.status, done.document, done.err) == (1, plain(verdict.as_json()), "")
    assert (done.document["open"], done.document["reasons"]) == (
        False,
        ["second_look is not in staging", "review is not in staging"],
    )
    assert run("gate", "biopsy").out == verdict.as_text() + "\n"


def test_an_open_gate(staged: Desk, run: Command) -> None:
    """An open gate ends with status 0, and asking it changes nothing."""
    before = staged.state.head
    done = run("gate", "biopsy", "--json")
    assert (done.status, done.document["open"], done.document["status"]) == (0, True, "open")
    assert run("gate", "biopsy").out.startswith("gate biopsy: open\n")
    assert staged.state.head == before


def test_a_gate_with_nothing_new(released: Desk, run: Command) -> None:
    """Where staging is what production runs, the gate ends with status 1 and says so."""
    done = run("gate", "biopsy")
    assert (done.status, done.out) == (1, gate(GROUP, released.state).as_text() + "\n")
    assert done.out.startswith("gate biopsy: nothing new\n")


def test_release(staged: Desk, run: Command) -> None:
    """A release puts into production exactly what the core composes of staging, in one entry."""
    state = staged.state
    digest = digest_of_release(compose(GROUP, state))
    done = run("--why", "monthly", "release", "biopsy", "--json")
    assert (done.status, done.err) == (0, "")
    production = staged.state.production("biopsy")
    assert done.document == {
        "group": "biopsy",
        "release": digest,
        "entry": state.head + 1,
        "members": dict(state.staging),
        "left": None,
    }
    assert (production.digest, production.members) == (digest, state.staging)
    assert (production.recorded.number, production.recorded.origin.why) == (state.head + 1, "monthly")
    assert staged.registry.objects.get(production.manifest) == canonical_json(compose(GROUP, state))


def test_release_refused(desk: Desk, run: Command) -> None:
    """A release through a closed gate is refused with status 1; the verdict is the reason, on stderr."""
    verdict = gate(GROUP, desk.state)
    done = run("release", "biopsy")
    assert (done.status, done.out, done.err) == (1, "", f"lockstep: {verdict.as_text()}\n")
    assert desk.state.production("biopsy") is None


def test_a_second_release_of_the_same(released: Desk, run: Command) -> None:
    """What is in production already is not released again."""
    before = released.state
    done = run("release", "biopsy", "--json")
    assert (done.status, done.out, released.state.head) == (1, "", before.head)
    assert f"release {before.production('biopsy').short} in production is what stands in staging" in done.err


def test_rollback(released: Desk, run: Command) -> None:
    """A rollback puts the release before back into production, or the one that `--to` begins."""
    first = released.state.production("biopsy")
    released.stage("second_look@2")
    second = released.release("biopsy_release/february")
    back = run("--why", "complaints", "rollback", "biopsy", "--json")
    production = released.state.production("biopsy")
    assert back.document == {
        "group": "biopsy",
        "release": first.digest,
        "entry": released.state.head,
        "members": dict(first.members),
        "left": second.digest,
    }
    assert (production.members, production.recorded.origin.why) == (first.members, "complaints")
    forward = run("rollback", "biopsy", "--to", second.digest[:8])
    assert (forward.status, forward.out) == (
        0,
        f"biopsy: release {second.short} is back in production; on hold until `lockstep resume biopsy`\n",
    )
    assert released.state.production("biopsy").members == second.members


def test_rollback_refused(released: Desk, run: Command) -> None:
    """Without a release to go back to, a rollback ends with status 1 and names those that there are."""
    first = released.state.production("biopsy").short
    done = run("rollback", "biopsy")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        f'lockstep: Group "biopsy": release {first} is the first; there is none before it to go back to.\n'
    )
    for to in ("", "zz", first.upper() + "zz"):
        done = run("rollback", "biopsy", "--to", to)
        assert (done.status, done.err) == (
            1,
            f'lockstep: Group "biopsy": "{to}" is not one of its releases; they are {first}.\n',
        )
    assert run("rollback", "biopsy", "--to", first[:6]).err.startswith(
        f'lockstep: Group "biopsy": release {first} is in production already;'
    )


def test_rollback_before_any_release(desk: Desk, run: Command) -> None:
    """A group that was never released has nothing to roll back."""
    done = run("rollback", "biopsy", "--json")
    assert (done.status, done.out, desk.state.releases) == (1, "", {})
    assert done.err == 'lockstep: Group "biopsy" has no release yet, so there is nothing to roll back.\n'


@pytest.mark.parametrize("command", ["gate", "release", "rollback", "approve", "reject", "hold", "resume"])
def test_an_unknown_group(desk: Desk, run: Command, command: str) -> None:
    """A group that is not declared is wrong use; the name of a member is no name of a group."""
    done = run(command, "surgery")
    assert (done.status, done.out) == (2, "")
    assert done.err == 'lockstep: There is no release group "surgery"; there are biopsy.\n'
    assert desk.state.releases == {}
