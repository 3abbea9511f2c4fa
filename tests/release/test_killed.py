"""A process that is killed while it promotes and releases leaves the old release or the new one, wholly."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import lockstep
from lockstep.release import release, verify_members
from tests.release.conftest import ADA, Desk

KILLS = 20
PROGRAM = """
import json, sys
from lockstep.errors import ReleaseRefused
from lockstep.group import Group
from lockstep.registry import Origin, Registry
from lockstep.release import promote, release
registry, group = Registry.open(sys.argv[1]), Group.from_json(json.loads(sys.argv[2]))
print("ready", flush=True)
while True:
    for number in (1, 2):
        promote(registry, group, f"churn@{number}", Origin(by="victim"))
        promote(registry, group, f"churn_reason@{number}", Origin(by="victim"))
        try:
            release(registry, group, Origin(by="victim"))
        except ReleaseRefused as refused:
            assert str(refused).startswith("gate churn: nothing new"), refused
"""


def run_and_kill(desk: Desk, seconds: float) -> None:
    """Let a process promote and release in a loop for that long, and kill it in the middle."""
    victim = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, desk.registry.uri, json.dumps(desk.group.as_json())],
        cwd=Path(lockstep.__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "ready\n"
        time.sleep(seconds)
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.communicate()


def thresholds_and_churn(members: dict[str, str]) -> dict[str, str]:
    """Pick the members that one promotion moves together."""
    return {key: digest for key, digest in members.items() if key != "model:churn_reason"}


def test_killed_writer_leaves_the_old_release_or_the_new_one(tmp_path: Path) -> None:
    """At whatever moment a writer is killed, the registry opens, production is one whole release, and work goes on."""
    desk = Desk(tmp_path.as_uri())
    sets = []
    for recipe in ("first", "second"):
        desk.in_step(recipe, f"rows of {recipe}")
        sets.append(dict(desk.registry.state().staging))
    moments = random.Random(20260105)  # noqa: S311  nothing secret
    heads = []
    for kill in range(KILLS):
        run_and_kill(desk, moments.uniform(0, 0.08))
        opened = Desk(desk.registry.uri)  # nothing of an earlier handle is remembered
        state = opened.registry.state()
        heads.append(state.head)
        now = state.production("churn")
        if now is not None:
            assert dict(now.members) in sets
            verify_members(opened.registry, json.loads(opened.registry.objects.get(now.manifest)))
        assert any(thresholds_and_churn(dict(state.staging)) == thresholds_and_churn(members) for members in sets)
        number = 1 + kill % 2
        opened.promote(f"churn@{number}", f"churn_reason@{number}")
        if now is None or dict(now.members) != sets[number - 1]:
            assert dict(release(opened.registry, opened.group, ADA).members) == sets[number - 1]
        else:
            assert not opened.gate().is_open
    assert sorted(heads) == heads
    assert heads[-1] - heads[0] > KILLS
    by = {entry.origin.by for entry in opened.registry.log.entries()}
    assert by == {"ada", "victim"}
