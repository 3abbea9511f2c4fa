"""A deployment that is killed at any call is finished, or undone, by the next one."""

from itertools import count, pairwise

import pytest

from lockstep.deployment import Done
from lockstep.errors import DeploymentFailed
from tests.deployment.conftest import MODELS, Killed, Life, Team


def killed_after(team: Team, calls: int, *, after: bool) -> Done | None:
    """Deploy in a process that dies around a writing call; None if it came so far."""
    try:
        return team.deploy(Life(calls=calls, after=after))
    except Killed:
        return None


def in_step(team: Team) -> bool:
    """Whether both endpoints serve members of one release, or nothing."""
    serving = team.serving()
    known = [team.digests(one.digest) for one in team.desk.registry.state().releases["churn"]]
    return serving in [*known, dict.fromkeys(MODELS)]


@pytest.mark.parametrize(("after", "step"), [(False, 4), (True, 1)], ids=["before a call", "after a call"])
def test_the_next_attempt_finishes(team: Team, after: bool, step: int) -> None:  # noqa: FBT001  a parameter
    """Wherever it was killed, the next attempt ends as one that was never killed, and brings nothing twice."""
    for calls in count(step=step):
        one = Team(team.service, team.clients, team.programs, keep=0)
        one.release("first")
        one.deploy()
        second = one.release("second")
        died = killed_after(one, calls, after=after) is None
        one.deploy()
        assert one.serving() == one.digests(second)
        for model in MODELS:
            digest = one.digests(second)[model]
            assert one.standing(model) == {digest}
            assert one.aliases(model) == {"default": digest, "production": digest, "staging": digest}
            assert len(one.uploads(model)) == len(set(one.uploads(model))) == 2
        if not died:
            break
    assert calls > 8


def test_the_next_attempt_undoes(team: Team) -> None:
    """Where a release can't be deployed, and the attempt that took it back was killed, the next one takes it back."""
    for calls in count():
        one = Team(team.service, team.clients, team.programs)
        first = one.release("first")
        one.deploy()
        one.containers("dies", [one.digests(one.release("second"))["churn_reason"]])
        try:
            one.deploy(Life(calls=calls, after=True))
        except Killed:
            died = True
        except DeploymentFailed:
            died = False
        with pytest.raises(DeploymentFailed, match="no such version"):
            one.deploy()
        assert one.serving() == one.digests(first)
        assert all(one.standing(model) == {one.digests(first)[model]} for model in MODELS)
        if not died:
            break
    assert calls >= 5


def test_a_kill_amid_the_shift_is_healed_before_anything_else(team: Team) -> None:
    """If another release is wanted meanwhile, the endpoints are first led to one release, and then prepared."""
    first = team.release("first")
    team.deploy()
    team.release("second")
    with pytest.raises(Killed):
        team.deploy(Life(calls=5))  # two uploads, two deployments, one of two shifts
    assert not in_step(team)
    third = team.release("third")
    before = len(team.service.calls)
    team.deploy()
    methods = [call.method for call in team.service.calls[before:]]
    assert methods.index("UpdateEndpoint") < methods.index("UploadModel")
    assert team.serving() == team.digests(third) != team.digests(first)


def test_a_rollback_meanwhile_counts(team: Team) -> None:
    """What the log wants when traffic is about to move counts, not what it wanted when the deployment began."""
    first = team.release("first")
    team.deploy()
    team.release("second")
    said = team.said

    class Listens(list[str]):
        def append(self, text: str) -> None:
            said.append(text)
            if text.startswith("Deploy(model='churn',") and team.desk.registry.state().head == head:
                team.rollback()

    head = team.desk.registry.state().head
    team.said = Listens()
    done = team.deploy()
    assert done.release == first
    assert any("no longer in production" in text for text in said)
    assert team.serving() == team.digests(first)


def test_releases_are_mixed_for_the_shift_alone(team: Team) -> None:
    """Between the first endpoint's change and the last's, the service gets no call but those of the shift."""
    team.release("first")
    team.deploy()
    team.release("second")
    before = len(team.service.calls)
    done = team.deploy()
    calls = team.service.calls[before:]
    shifts = [place for place, call in enumerate(calls) if call.method == "UpdateEndpoint"]
    between = calls[shifts[0] : shifts[-1] + 1]
    assert {call.method for call in between} == {"UpdateEndpoint"}
    ours = [one for one in team.service.endpoints.history if one.endpoint in map(team.endpoint, MODELS)]
    mixed = next(late.at - early.at for early, late in pairwise(ours[-2:]))
    assert 0 < mixed <= done.seconds + 0.001
