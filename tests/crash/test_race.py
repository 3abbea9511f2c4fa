"""Sixteen processes promote, judge, release and roll back at once, two watch: nothing is lost, doubled or half done.

LOCKSTEP_RACE_SECONDS says for how long; figures that are published are those of 60.
"""

import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from lockstep.registry import Origin
from tests.crash.conftest import Report
from tests.crash.nursery import Nursery
from tests.crash.race import GROUPS, SETS, open_log, set_of
from tests.crash.whole import Whole, verify

SECONDS = float(os.environ.get("LOCKSTEP_RACE_SECONDS", "20"))
# Ten meet in one group, eight in another, four in the third; two work in all of them.
RACERS = [["churn"]] * 6 + [["fraud"]] * 4 + [["churn", "fraud"]] * 2 + [["basket"]] * 2 + [list(GROUPS)] * 2
WATCHERS = 2


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 400)
def test_sixteen_processes_race(tmp_path: Path, report: Report) -> None:
    """What each process was told is done stands in the log exactly once, at that number, and nothing else does."""
    with Nursery("tests.crash.race") as nursery:
        uri = (tmp_path / "registry").as_uri()
        registry = open_log(uri)
        for name in GROUPS:
            for number in range(SETS):
                for fact in set_of(registry, name, f"before {number}"):
                    registry.record(lambda _, fact=fact: fact, Origin(by="before"))
        before = registry.state().head
        until = time.time() + SECONDS
        racers = [
            {"uri": uri, "name": str(number), "groups": groups, "until": until, "notes": str(tmp_path / str(number))}
            for number, groups in enumerate(RACERS)
        ]
        watchers = [{"uri": uri, "until": until, "notes": str(tmp_path / f"watch {n}")} for n in range(WATCHERS)]
        statuses = nursery.run_together(
            [("tests.crash.race:change", one) for one in racers] + [("tests.crash.race:watch", one) for one in watchers]
        )
    assert statuses == [0] * (len(RACERS) + WATCHERS)
    told: dict[str, int] = {}
    results: Counter[str] = Counter()
    for racer in racers:
        for line in Path(str(racer["notes"])).read_text(encoding="utf-8").splitlines():
            run, number = line.split()
            results[f"{run.partition('/')[0]} {'done' if number.isdecimal() else number}"] += 1
            if number not in ("refused", "0"):
                told[run] = int(number)
    whole = Whole(uri, GROUPS.values())
    head = whole.check().head
    verify(uri)
    in_log = [(one.origin.job.run, one.number) for one in whole.entries[before:] if one.origin.job]
    assert len(in_log) == head - before
    assert dict(in_log) == told
    assert len(in_log) == len(told)
    watched = [json.loads(Path(str(watcher["notes"])).read_text(encoding="utf-8")) for watcher in watchers]
    kinds = Counter(one.fact.kind for one in whole.entries[before:])
    report(
        seconds=SECONDS,
        entries=head - before,
        per_second=round((head - before) / SECONDS, 1),
        releases_per_second=round(kinds["released"] / SECONDS, 1),
        kinds=dict(kinds),
        results=dict(results),
        looks=watched,
        violations=0,
    )
    assert min(kinds[kind] for kind in ("promoted", "released", "rolled_back", "resumed")) >= 5
    assert min(kinds["approved"], kinds["rejected"]) >= 1
    assert all(one["kept"] > 0 and one["releases"] > 0 for one in watched)
