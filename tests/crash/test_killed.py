"""Processes that are killed at random moments while they train, promote, release, roll back and go on: all stays whole.

The next process goes on in the same registry, and the job that was killed is tried again, as Airflow does.
"""

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lockstep.errors import Refused
from lockstep.registry import Registry
from lockstep.release import promote, release, resume, rollback
from tests.crash import lives_training
from tests.crash.conftest import Report
from tests.crash.lives import GROUP, job
from tests.crash.nursery import Nursery
from tests.crash.whole import Whole, check_whole

JOBS = ("snapshot", "train", "tune", "promote", "release", "rollback", "resume")
REGISTRIES = 10
KILLS = 30  # in each of them
LONGEST = 0.012  # seconds; a job takes about half of it
REAL_JOBS = ("train", "tune", "promote", "release", "train")
REAL_KILLS = 15
REAL_LONGEST = 0.1  # seconds; a model is trained in about as much


@pytest.fixture
def nursery(request: pytest.FixtureRequest) -> Iterator[Nursery]:
    """Start the process that forks those that are killed; it has imported a module of lives."""
    with Nursery(request.param) as started:
        yield started


def try_again(registry: Registry, run: str) -> None:
    """Do what a killed job was about to do, as its next attempt; a rule may say no."""
    origin = job(run, attempt=2)
    with suppress(Refused):
        match run.split("/"):
            case "promote", _, refs:
                promote(registry, GROUP, refs.split("+"), origin)
            case "release", _, _:
                release(registry, GROUP, origin)
            case "rollback", _, _:
                rollback(registry, GROUP, origin)
            case "resume", _, _:
                resume(registry, GROUP, origin)


@dataclass
class Figures:
    """What the kills hit: jobs, and calls of the store within them."""

    jobs: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    entries: int = 0
    told: int = 0

    def add(self, mark: str) -> str:
        """Count a kill by the last mark; gives the job that it hit."""
        run, _, call = mark.partition("|")
        self.jobs[run.partition("/")[0] or "opening"] += 1
        self.calls[call] += 1
        return run

    def report(self, report: Report) -> None:
        """Say them."""
        hits = {"jobs": dict(self.jobs.most_common()), "calls": dict(self.calls.most_common())}
        report(kills=self.jobs.total(), entries=self.entries, told=self.told, violations=0, **hits)


def check_told(whole: Whole, told: Path) -> int:
    """What a job was told is done stands in the log, once, at the number that it was told."""
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    for line in lines:
        run, number = line.split()
        assert whole.numbers_of(run) == ([int(number)] if number != "0" else [])
    return len(lines)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("nursery", ["tests.crash.lives"], indirect=True)
def test_killed_at_random_moments(tmp_path: Path, nursery: Nursery, report: Report) -> None:
    """At whatever moment a process is killed, all is whole, what it was told stands, and its job can be tried again."""
    draw = random.Random(20260105)  # noqa: S311  nothing secret
    figures = Figures()
    for place in range(REGISTRIES):
        uri = (tmp_path / str(place)).as_uri()
        whole = Whole(uri, [GROUP])
        for kill in range(KILLS):
            told = tmp_path / f"told-{place}-{kill}"
            arguments = {"uri": uri, "told": str(told), "name": f"{place}.{kill}"}
            at, seconds = draw.choice(("", *JOBS)), draw.uniform(0, LONGEST)
            run = figures.add(nursery.kill("tests.crash.lives:train_and_release", arguments, at=at, seconds=seconds))
            whole.check()
            figures.told += check_told(whole, told)
            try_again(Registry.open(uri), run)
            whole.check()
            assert len(whole.numbers_of(run)) <= 1
        figures.entries += check_whole(uri, GROUP).head
    figures.report(report)
    assert figures.jobs.total() == REGISTRIES * KILLS
    assert figures.jobs.keys() >= set(JOBS)
    assert sum(hits for call, hits in figures.calls.items() if call.startswith("put")) > figures.jobs.total() / 4


@pytest.mark.parametrize("nursery", ["tests.crash.lives_training"], indirect=True)
def test_killed_while_models_are_really_trained(
    tmp_path: Path, shop_template: Path, nursery: Nursery, report: Report
) -> None:
    """Where real models are fitted, tuned and released, kills leave all whole as well, and the next process goes on."""
    draw = random.Random(20260106)  # noqa: S311  nothing secret
    figures = Figures()
    shutil.copytree(shop_template / "registry", tmp_path / "registry")
    uri = (tmp_path / "registry").as_uri()
    whole = Whole(uri, [lives_training.GROUP])
    for kill in range(REAL_KILLS):
        told = tmp_path / f"told-{kill}"
        arguments = {"uri": uri, "told": str(told), "name": str(kill)}
        at, seconds = REAL_JOBS[kill % len(REAL_JOBS)], draw.uniform(0, REAL_LONGEST)
        figures.add(nursery.kill("tests.crash.lives_training:train_and_release", arguments, at=at, seconds=seconds))
        whole.check()
        figures.told += check_told(whole, told)
    figures.entries = check_whole(uri, lives_training.GROUP).head
    figures.report(report)
