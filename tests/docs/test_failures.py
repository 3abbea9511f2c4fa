"""The failure table of the operations page: a disk that is full or may not be written, and the test of every row."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from lockstep.errors import LogDamaged
from lockstep.registry import Registry
from lockstep.release import release
from lockstep.upkeep import verify
from tests.training import shop
from tests.training.conftest import ADA, Shop, open_shop, shop_template

__all__ = ["shop_template"]

ROOT: Final = Path(__file__).parents[2]
GROUP = shop.graph.group("shop")
MOUNTED: Final = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc")
# What of the table is shown where; a row may need several.
SHOWN: Final = {
    "a worker, the scheduler or the triggerer is killed": ["cluster/test_killed.py::test_the_story_comes_true_while"],
    "the store can't be reached": [
        "stores/test_errors.py::test_",
        "serving/test_http.py::test_a_registry_that_is_away",
    ],
    "no credentials, or the wrong ones": ["stores/test_errors.py::test_", "stores/test_access.py::test_"],
    "the bucket ignores put-if-absent": ["stores/test_refused.py::test_store_that_ignores_the_condition_is_refused"],
    "an entry of the log is changed, or one with others behind it lost": [
        "registry/test_log.py::test_changed_entry_stops_reading_and_writing",
        "docs/test_failures.py::test_a_lost_entry",
    ],
    "the newest entries of the log are lost": [
        "docs/test_failures.py::test_the_newest_entry_is_not_missed",
        "upkeep/test_verify_log.py::test_log_that_lost_its_end",
    ],
    "a file of a version is changed or lost": [
        "release/test_release.py::test_damaged_file_refuses_the_release",
        "training/test_storage.py::test_a_changed_file_is_not_loaded",
    ],
    "a checkpoint is lost or wrong": ["registry/test_checkpoint.py::test_a_checkpoint_that_is_wrong_is_not_believed"],
    "the gate stays closed": [
        "airflow/test_standalone.py::test_a_waiting_gate_says_why",
        "airflow/test_waiting.py::test_whoever_wants_to_know_is_told_by_the_triggerer",
    ],
    "a hard check of the data fails": ["airflow/test_checks.py::test_a_hard_check_fails_the_snapshot_and_nothing_else"],
    "a policy can't be met": ["decisions/test_tune.py::test_a_policy_that_can_not_be_met"],
    "a release turns out to be bad": ["airflow/test_standalone.py::test_a_rollback_holds_until_somebody_resumes"],
    "somebody promoted while others approved": [
        "airflow/test_standalone.py::test_who_promotes_meanwhile_is_noticed_and_no_old_answer_counts"
    ],
    "a service can't load a release": [
        "serving/test_http.py::test_a_damaged_release_is_a_warning_and_the_old_one_answers"
    ],
    "a job on Vertex AI fails": ["vertex/test_operator.py::test_"],
    "a newer Lockstep has written": [
        "registry/test_entries.py::test_newer_protocol_says_so",
        "registry/test_log.py::test_entry_of_a_newer_lockstep_stops_writing",
    ],
    "disk full": ["docs/test_failures.py::test_a_full_disk"],
    "the folder may not be written": ["docs/test_failures.py::test_a_folder_that_may_only_be_read"],
    "clocks differ": ["docs/test_failures.py::test_a_clock_that_is_wrong"],
}


@pytest.fixture
def at(shop_template: Path, tmp_path: Path) -> Shop:
    """A shop with a release, and another set in staging."""
    shutil.copytree(shop_template / "registry", tmp_path / "registry")
    found = open_shop(tmp_path / "registry")
    found.release("first")
    found.stage("second")
    return found


def place_of(at: Shop) -> Path:
    """The folder of its registry."""
    return Path(at.registry.uri.removeprefix("file://"))


def within(at: Shop, mount: str, words: str) -> str:
    """Run commands before the registry's folder as it is mounted; gives all they print. `$LOCKSTEP` is the program."""
    place = place_of(at)
    if subprocess.run([*MOUNTED, "mount -t tmpfs none /mnt"], check=False, capture_output=True).returncode:
        pytest.skip("This machine lets nobody mount anything.")
    variables = {
        "PLACE": str(place),
        "LOCKSTEP": f"{sys.executable} -m lockstep --graph tests.training.shop:graph",
        "LOCKSTEP_REGISTRY": place.as_uri(),
        "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("include", "plugins", ".")),
    }
    command = f"cp -r $PLACE $PLACE.copy\n{mount}\n{words}"
    done = subprocess.run(
        [*MOUNTED, command],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_every_row_says_what_a_test_shows() -> None:
    """Each row of the table has its tests, and they are there."""
    page = (ROOT / "docs/operations/index.md").read_text()
    table = page.partition("## When something breaks")[2].partition("\n\n")[2].partition("\n\n")[0]
    rows = [re.split(r" \| ", line.strip("| "))[0] for line in table.splitlines()[2:]]
    assert rows == list(SHOWN)
    for file, _, name in (one.partition("::") for tests in SHOWN.values() for one in tests):
        assert f"def {name}" in (ROOT / "tests" / file).read_text(), f"{file} has no {name}"


def test_a_full_disk(at: Shop) -> None:
    """Nothing can be written, reading goes on, nothing is damaged; once there is room the same release goes through."""
    said = within(
        at,
        "mount -t tmpfs -o size=16m tmpfs $PLACE\ncp -r $PLACE.copy/. $PLACE",
        "dd if=/dev/zero of=$PLACE/filler bs=4k 2>/dev/null || true\n"
        "$LOCKSTEP release shop && exit 1\n"
        "$LOCKSTEP gate shop\n"
        "rm $PLACE/filler\n"
        "$LOCKSTEP verify\n"
        "$LOCKSTEP release shop\n"
        "$LOCKSTEP verify",
    )
    assert "No space left on device" in said
    assert "gate shop: open" in said
    assert said.count(": 0 errors, ") == 2
    assert "is in production" in said


def test_a_folder_that_may_only_be_read(at: Shop) -> None:
    """A release is refused by the name of the file that could not be written; who only reads notices nothing."""
    said = within(
        at,
        "mount --bind $PLACE $PLACE\nmount -o remount,bind,ro $PLACE",
        "$LOCKSTEP release shop && exit 1\n$LOCKSTEP gate shop\n$LOCKSTEP verify",
    )
    assert "can't be read or written: [Errno 30] Read-only file system" in said
    assert "gate shop: open" in said
    assert ": 0 errors, 0 notes" in said


def test_a_lost_entry(at: Shop) -> None:
    """Where entries stand behind it, its number is missed by whoever reads, and nothing is written."""
    log = place_of(at) / "log"
    (log / f"{at.registry.state().head - 1:020d}.json").unlink()
    before = sorted(log.iterdir())
    with pytest.raises(LogDamaged, match=r"^Log entry \d+ is missing: "):
        release(Registry.open(at.registry.uri), GROUP, ADA)
    assert sorted(log.iterdir()) == before


def test_the_newest_entry_is_not_missed(at: Shop) -> None:
    """Without it the log is whole and shorter, and nobody can tell: what it said is done again."""
    done = release(at.registry, GROUP, ADA)
    head = at.registry.state().head
    (place_of(at) / "log" / f"{head:020d}.json").unlink()
    registry = Registry.open(at.registry.uri)
    assert registry.state().head == head - 1
    assert list(verify(registry)) == []
    assert release(registry, GROUP, ADA).digest == done.digest


def test_a_clock_that_is_wrong(at: Shop) -> None:
    """A writer whose clock is years behind writes behind the others: numbers give the order, not times."""
    late = Registry.open(at.registry.uri, clock=lambda: datetime(2001, 1, 1, tzinfo=UTC))
    done = release(late, GROUP, ADA)
    assert at.registry.state().production("shop").digest == done.digest
    assert [entry.at.year for entry in at.registry.log.entries()][-1] == 2001
    assert not [one for one in verify(Registry.open(at.registry.uri)) if one.severity.value == "error"]
