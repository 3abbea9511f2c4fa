"""Whichever call of the store fails, and however, all stays whole, and the retried job ends where it would have ended.

A fault is a call that is refused, that is done and says it failed, or that times out and is done later: before the next
call but one, while the job is retried, or never. Every call of every operation is tried with each of them.
"""

import random
from itertools import count
from pathlib import Path

import pytest

from lockstep.registry import ModelTrained, Origin, Registry, State
from lockstep.release import approve, compose, digest_of_release, hold, promote, reject, release, resume, rollback
from tests.crash.conftest import Report
from tests.crash.trial import Act, Copy, Trial
from tests.crash.weather import Fault
from tests.registry.conftest import Facts
from tests.release.conftest import Desk, telecom

GROUP = telecom()
PAIRS = 25  # of faults, a seeded sample for each operation and store


def record_model(registry: Registry, origin: Origin) -> None:
    """Write the files of a candidate, and record it unless this job has recorded it before."""
    fact = Facts(registry.objects).model("churn", registry.state().snapshot("customers").fact, recipe="third")

    def propose(state: State) -> ModelTrained | None:
        known = any(one.digest == fact.digest for one in state.models["churn"])
        return None if known else fact

    registry.record(propose, origin)


def staged_set(registry: Registry) -> str:
    """The digest of what stands in staging."""
    return digest_of_release(compose(GROUP, registry.state()))


ACTS: dict[str, Act] = {
    "record": record_model,
    "promote": lambda registry, origin: promote(registry, GROUP, "churn@2", origin),
    "promote several": lambda registry, origin: promote(registry, GROUP, ("churn@2", "churn_reason@2"), origin),
    "promote a threshold": lambda registry, origin: promote(registry, GROUP, "priority_call@3", origin),
    "release": lambda registry, origin: release(registry, GROUP, origin),
    "approve": lambda registry, origin: approve(registry, GROUP, origin, digest=staged_set(registry)),
    "reject": lambda registry, origin: reject(registry, GROUP, origin, digest=staged_set(registry)),
    "hold": lambda registry, origin: hold(registry, GROUP, origin),
    "resume": lambda registry, origin: resume(registry, GROUP, origin),
    "roll back": lambda registry, origin: rollback(registry, GROUP, origin),
    "roll back to": lambda registry, origin: rollback(
        registry, GROUP, origin, to=registry.state().releases["churn"][0].digest
    ),
}


def prepare(uri: str, act: str) -> None:
    """Bring an empty registry to where an operation can be done."""
    desk = Desk(uri)
    desk.in_step("first", "january")
    if act not in ("release", "approve", "reject"):
        release(desk.registry, GROUP, Origin(by="ada"))
    if act.startswith("roll back"):
        desk.in_step("second", "february")
        release(desk.registry, GROUP, Origin(by="ada"))
    elif act == "resume":
        hold(desk.registry, GROUP, Origin(by="ada"))
    elif act.startswith("promote"):
        rows = desk.snapshot("february")
        desk.reason(rows, desk.tuned_churn(rows, "second"), "second")
        desk.tune("priority_call", desk.registry.state().model("churn@1").fact, 0.3)


@pytest.fixture
def trial(act: str, tmp_path: Path, copy: Copy) -> Trial:
    """Prepare the operation `act`."""
    base = (tmp_path / "base").as_uri()
    prepare(base, act)
    return Trial(ACTS[act], base, copy, GROUP)


@pytest.mark.parametrize("act", ACTS)
def test_any_fault_at_any_call(trial: Trial, report: Report) -> None:
    """After any one fault all is whole, and the retried job ends in the state of an undisturbed one."""
    turn = count()
    injected = [trial.run({place: fault}, in_one_process=next(turn) % 2 == 0) for place, fault in trial.faults()]
    assert set(injected) == {1}
    report(calls=len(trial.calls), faults=len(injected), violations=0)


@pytest.mark.parametrize("act", ACTS)
def test_two_faults(trial: Trial, act: str, report: Report) -> None:
    """After a fault and another one in the retry all is whole, and the next retry ends as it should."""
    draw = random.Random(f"two faults {act}")  # noqa: S311  nothing secret
    known = list(trial.faults())
    injected = 0
    for turn in range(PAIRS):
        first, second = draw.choice(known), draw.choice(known)
        injected += trial.run(dict([first]), dict([second]), in_one_process=turn % 2 == 0)
    report(rounds=PAIRS, faults=injected, violations=0)


@pytest.mark.parametrize("act", ACTS)
def test_storm(trial: Trial, act: str, report: Report) -> None:
    """Where many calls fail, in one attempt after the other, all stays whole, and the attempt in the calm ends well."""
    draw = random.Random(f"storm {act}")  # noqa: S311  nothing secret
    kinds = list(Fault)
    injected = 0
    for share in (0.02, 0.1, 0.3):
        storms = [{place: draw.choice(kinds) for place in range(1, 99) if draw.random() < share} for _ in range(9)]
        injected += trial.run(*storms, in_one_process=False)
    report(attempts=27, faults=injected, violations=0)
