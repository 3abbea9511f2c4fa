"""Conditions of a release: weighed by the decision diff of exactly the set that is released, or it is not released."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep import flip_rate, split_rate
from lockstep.errors import ObjectDamaged, ReleaseRefused
from lockstep.group import Group
from lockstep.registry import ObjectRef
from lockstep.release import Status, compose, consult, digest_of_release, find_evidence, gate, keep_evidence, release
from lockstep.upkeep.verify import verify
from tests.release.conftest import ADA, Desk

LIMITS = (flip_rate("retention_offer", at_most=0.05), split_rate("offers", "calls", at_most=0.01))


def limited(desk: Desk, *limits: Any) -> Group:
    """Give the group conditions, and APIs that must agree."""
    offers, calls = desk.group.apis
    apis = (replace(offers, agrees_with=("calls",), on="id"), calls)
    return replace(desk.group, apis=apis, release_if=limits or LIMITS)


def share(count: int, of: int) -> dict[str, Any]:
    """Say so many of so many."""
    return {"count": count, "of": of, "rate": count / of if of else None, "low": None, "high": None}


def sides(desk: Desk, group: Group) -> tuple[str | None, str]:
    """Name what is in production, and what would be released now."""
    state = desk.registry.state()
    production = state.production(group.name)
    return (production.digest if production else None), digest_of_release(compose(group, state))


def keep(
    desk: Desk,
    group: Group,
    *,
    flips: int = 0,
    splits: int = 0,
    of: int = 100,
    entry: int = 1,
    changed: dict[str, Any] | None = None,
) -> ObjectRef:
    """Keep a diff with these figures of what would be released now."""
    old, new = sides(desk, group)
    threshold = {
        "threshold": "retention_offer",
        "old": {"version": "retention_offer@1"} if old else None,
        "flips": share(flips, of) if old else None,
    }
    split = {"rows_of": "test", "api": "offers", "other": "calls", "on": "id", "old": None, "new": share(splits, of)}
    diff = {
        "kind": "decision_diff",
        "protocol": 1,
        "group": group.name,
        "old": {"release": old},
        "new": {"release": new},
        "populations": [{"rows_of": "test", "thresholds": [threshold]}],
        "splits": [split],
    }
    return keep_evidence(desk.registry.objects, diff | (changed or {}), entry)


def refused(desk: Desk, group: Group) -> str:
    """Fail to release, and say why; nothing is recorded."""
    before = desk.registry.state().head
    with pytest.raises(ReleaseRefused) as caught:
        release(desk.registry, group, ADA)
    assert desk.registry.state().head == before
    return str(caught.value)


def second(desk: Desk) -> Group:
    """Release a first set without conditions, and stage a second."""
    desk.in_step()
    release(desk.registry, desk.group, ADA)
    desk.in_step("second", "february")
    return limited(desk)


def test_figures_within_their_limits_let_a_set_through(desk: Desk) -> None:
    """A share that is equal to its limit keeps it."""
    group = second(desk)
    keep(desk, group, flips=5, splits=1)
    assert consult(group, desk.registry.state(), desk.registry.objects).is_open
    release(desk.registry, group, ADA)


def test_a_figure_above_its_limit_keeps_it_back(desk: Desk) -> None:
    """The refusal names each broken condition, its figure, its limit, and what to do."""
    group = second(desk)
    keep(desk, group, flips=6, splits=1)
    _, new = sides(desk, group)
    assert refused(desk, group) == (
        f'Group "churn": set {new[:12]} fits together, but release_if does not hold.\n'
        '  flip_rate("retention_offer", at_most=0.05): 6 of 100 decisions change (6.00 %), allowed is at most 5.00 %\n'
        "Look at what changes with `lockstep diff churn --html …`. Promote another version; or, if the change is meant,"
        " allow it in release_if."
    )
    verdict = consult(group, desk.registry.state(), desk.registry.objects)
    assert (verdict.status, [one.holds for one in verdict.conditions]) == (Status.CLOSED, [False, True])
    assert verdict.as_text().splitlines()[-2:] == [
        f"  WAIT {LIMITS[0]}: 6 of 100 decisions change (6.00 %), allowed is at most 5.00 %",
        f"  ok   {LIMITS[1]}: {verdict.conditions[1].says}",
    ]
    assert verdict.conditions[1].says.startswith("1 of 100 keys get a yes from the one, a no from the other (1.00 %), ")
    assert json.loads(json.dumps(verdict.as_json()))["conditions"][0]["holds"] is False
    release(desk.registry, limited(desk, flip_rate("retention_offer", at_most=0.06)), ADA)  # the change is meant


def test_without_a_diff_there_is_no_release(desk: Desk) -> None:
    """Where nobody has counted, the refusal says how to; the gate itself, which reads no data, is open."""
    group = second(desk)
    old, new = sides(desk, group)
    expected = (
        'Group "churn": release_if needs the decision diff of exactly the set that would be released'
        f" ({new[:12]} in the place of release {old[:12]}), and none is kept. Make it with `lockstep diff churn"
        " --record`, then release."
    )
    assert refused(desk, group) == expected
    assert gate(group, desk.registry.state()).is_open
    assert consult(group, desk.registry.state(), desk.registry.objects).reasons == (expected,)


def test_a_diff_counts_for_its_own_set_alone(desk: Desk) -> None:
    """After another promotion, or another release, the diff of the set before does not let a set through."""
    group = second(desk)
    keep(desk, group)
    desk.promote("churn@1", "churn_reason@1")
    desk.in_step("third", "march")
    assert "none is kept" in refused(desk, group)
    desk.promote("churn@2", "churn_reason@2")
    release(desk.registry, group, ADA)
    desk.promote("churn@3", "churn_reason@3")
    keep(desk, group)
    desk.promote("churn@1", "churn_reason@1")
    release(desk.registry, desk.group, ADA)
    desk.promote("churn@3", "churn_reason@3")
    assert "in the place of release" in refused(desk, group)


def test_somebody_who_promotes_meanwhile_is_noticed(desk: Desk) -> None:
    """A set that changed between the diff and the release's own entry is not released on the diff of the other."""
    group = second(desk)
    keep(desk, group)
    slow = desk.meanwhile(lambda: desk.in_step("third", "march"))
    with pytest.raises(ReleaseRefused, match="none is kept"):
        release(slow, group, ADA)
    assert desk.kinds().count("released") == 1


def test_a_first_release_has_nothing_that_can_flip(desk: Desk) -> None:
    """Without decisions to compare with a flip rate holds, but contradictions count from the first release on."""
    desk.in_step()
    group = limited(desk)
    assert "in the place of nothing" in refused(desk, group)
    keep(desk, group, splits=2)
    assert "2 of 100 keys get a yes from the one, a no from the other (2.00 %), allowed is at most 1.00 %" in refused(
        desk, group
    )
    lenient = limited(desk, LIMITS[0], split_rate("offers", "calls", at_most=0.02))
    verdict = consult(lenient, desk.registry.state(), desk.registry.objects)
    assert verdict.conditions[0].says == "nothing was decided before, so nothing changes"
    release(desk.registry, lenient, ADA)


def test_the_newest_rows_count(desk: Desk) -> None:
    """Of two diffs of one set, that on the newer snapshot decides, whichever was kept first."""
    group = second(desk)
    keep(desk, group, flips=50, entry=20)
    keep(desk, group, flips=0, entry=3)
    assert "50 of 100" in refused(desk, group)
    keep(desk, group, flips=1, entry=21)
    release(desk.registry, group, ADA)


@pytest.mark.parametrize(
    "more",
    [
        {"populations": []},
        {"splits": []},
        {"splits": [{"rows_of": "test", "api": "offers", "other": "calls", "on": "street", "new": share(0, 9)}]},
        {"group": "other"},
        {"kind": "another"},
        {"protocol": 2},
        {"new": {"release": "0" * 64}},
    ],
)
def test_a_diff_that_does_not_say_it_does_not_count(memory_desk: Desk, more: dict[str, Any]) -> None:
    """A diff that was made before a condition was declared, or of something else, is as if there were none."""
    group = second(memory_desk)
    old, new = sides(memory_desk, group)
    kept = keep(memory_desk, group, changed=more)
    name = kept.path.rpartition("/")[2].rpartition("-")[0]
    data = memory_desk.registry.objects.get(kept)
    memory_desk.registry.objects.put(f"diffs/churn/{new}/{name}-{old}.json", data)  # where it would count
    assert find_evidence(memory_desk.registry.objects, group, old, new) is None


def test_no_rows_are_no_reason_to_release(desk: Desk) -> None:
    """Where there was nothing to count on, a condition does not hold."""
    group = second(desk)
    keep(desk, group, of=0)
    assert "there are no rows to count on, allowed is at most 5.00 %" in refused(desk, group)


def test_a_diff_that_was_changed_is_noticed(file_desk: Desk) -> None:
    """Figures that somebody has mended afterwards let nothing through, and verify names the file."""
    group = second(file_desk)
    ref = keep(file_desk, group, flips=90)
    assert verify(file_desk.registry).is_sound
    path = Path(file_desk.registry.uri.removeprefix("file://")) / ref.path
    path.write_bytes(path.read_bytes().replace(b'"count":90', b'"count":10'))
    with pytest.raises(ObjectDamaged, match="diffs/churn/"):
        release(file_desk.registry, group, ADA)
    findings = [finding.path for finding in verify(file_desk.registry)]
    assert findings == [ref.path]


def test_the_same_diff_is_kept_once(desk: Desk) -> None:
    """Kept again, it is the same file."""
    group = second(desk)
    assert keep(desk, group) == keep(desk, group)
