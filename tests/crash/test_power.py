"""What somebody was told is done is still done when the power fails at that very moment, also behind killed processes.

The processes run under strace, which also kills them, or lets a sync fail, at a chosen call.
"""

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.conftest import Report
from tests.crash.lives import GROUP
from tests.crash.power import CALLS, Disk
from tests.crash.whole import Whole, verify

JOBS = ["snapshot", "churn", "retention_offer", "priority_call", "churn_reason", "promote", "release"]
OTHER_KILLS = 3
FAILURES = 4
PROJECT = Path(__file__).parents[2]


def can_trace() -> bool:
    """Whether there is a strace that may trace."""
    strace = shutil.which("strace")
    return strace is not None and subprocess.run([strace, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can_trace(), reason="strace is missing, or may not trace: apt-get install strace")


class Traced:
    """A registry on which traced processes work, and the disk below it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder.resolve()
        self.root = self.folder / "registry"
        self.told = self.folder / "told"
        self.disk = Disk(str(self.folder), str(self.told))
        self.synced: list[str] = []
        self.looks = 0

    def run(self, *inject: str) -> int:
        """Let a process do its jobs, or be disturbed; whatever it noted would outlast a power failure then."""
        trace = self.folder / "trace"
        done = subprocess.run(
            [
                *("strace", "-f", "-y", "-s", "64", "-o", str(trace), "-e", f"trace={CALLS}", *inject),
                *(sys.executable, "-m", "tests.crash.power", self.root.as_uri(), str(self.told)),
            ],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT / "include"), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        self.synced = re.findall(r" fsync\(\d+<([^>]*)>", trace.read_text(encoding="utf-8", errors="replace"))
        for run in self.disk.follow(trace):
            self._check_told(run)
        return done.returncode

    def _check_told(self, run: str) -> None:
        self.looks += 1
        left = self.folder / f"left-{self.looks}"
        self.disk.after_power_failure(self.root, left)
        whole = Whole(left.as_uri(), [GROUP])
        whole.check()
        verify(left.as_uri())
        assert len(whole.numbers_of(run)) == 1, f"{run} was told to be done, and is lost"


def test_what_is_told_is_on_the_disk(tmp_path: Path) -> None:
    """File by file and entry by entry, nothing is told to be done before its bytes and its name are on the disk."""
    traced = Traced(tmp_path)
    assert traced.run() == 0
    assert traced.told.read_text(encoding="utf-8").split() == JOBS


def test_killed_between_a_write_and_its_sync(tmp_path: Path, report: Report) -> None:
    """A retry that finds what a killed process wrote sees to it that it lasts before it says that it is done."""
    first = Traced(tmp_path / "undisturbed")
    assert first.run() == 0
    log = [number for number, place in enumerate(first.synced, 1) if place == str(first.root / "log")]
    assert len(log) == len(JOBS)  # behind each entry's link: it can be seen, and its name is not on the disk
    others = random.Random(20260107).sample(range(1, len(first.synced) + 1), OTHER_KILLS)  # noqa: S311  nothing secret
    looks = 0
    for number in (*log, *others):
        traced = Traced(tmp_path / f"killed-{number}")
        assert traced.run("-e", f"inject=fsync:signal=SIGKILL:when={number}") != 0
        assert traced.run() == 0
        looks += traced.looks
    report(kills=len(log) + OTHER_KILLS, power_failures=looks, violations=0)


def test_sync_that_fails(tmp_path: Path, report: Report) -> None:
    """Where a sync fails nothing is told to be done that may be lost; the retry makes up for it."""
    draw = random.Random(20260108)  # noqa: S311  nothing secret
    looks = 0
    for failure in range(FAILURES):
        traced = Traced(tmp_path / f"failed-{failure}")
        traced.run("-e", f"inject=fsync:error=EIO:when={draw.randint(2, 40)}")
        assert traced.run() == 0
        looks += traced.looks
    report(failed_syncs=FAILURES, power_failures=looks, violations=0)
