"""`verify` and `retain` on the command line: what they print, what they end with, and wrong use."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from lockstep.cli.upkeep import span
from lockstep.registry import Removed, folder_of
from lockstep.upkeep.keep import Rule
from lockstep.upkeep.retention import preview
from lockstep.upkeep.verify import Depth, verify
from tests.cli.conftest import Command, Desk, job


@pytest.mark.parametrize("words", [(), ("--quick",)])
def test_verify_a_sound_registry(released: Desk, run: Command, words: tuple[str, ...]) -> None:
    """A sound registry ends with 0, and says how much was looked at."""
    verification = verify(released.registry, depth=Depth.QUICK if words else Depth.WHOLE)
    assert list(verification) == []
    counts = verification.counts
    done = run("verify", *words)
    assert (done.status, done.out) == (
        0,
        (
            f"{counts.entries} entries, {counts.versions} versions, {counts.objects} objects, {counts.size:,} bytes:"
            " 0 errors, 0 notes\n"
        ),
    )
    document = run("verify", "--json", *words).document
    assert document == {**verification.as_json(), "findings": []}


def test_verify_a_damaged_registry(released: Desk, run: Command) -> None:
    """Each finding is a line, and damage ends with 1; notes alone end with 0."""
    root = Path(released.registry.uri.removeprefix("file://"))
    old = time.time() - 3 * 86400
    leftover = root / "scratch" / "run" / "part"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"123")
    os.utime(leftover, (old, old))
    done = run("verify")
    note = (
        "note: leftover: scratch/run: 1 file, 3 bytes of a pipeline that was killed 3 days ago. `lockstep retain`"
        " deletes them."
    )
    assert (done.status, done.out.splitlines()[0]) == (0, note)
    assert done.out.endswith(": 0 errors, 1 note\n")
    (root / "notes.txt").write_text("mine")
    damaged = run("verify")
    assert damaged.status == 1
    assert damaged.out.splitlines()[0].startswith("error: name breaks the rule: notes.txt: ")
    assert damaged.out.endswith(": 1 error, 1 note\n")
    document = run("verify", "--json")
    assert document.status == 1
    assert [finding["severity"] for finding in document.document["findings"]] == ["error", "note"]


def test_verify_goes_on_where_the_log_is_damaged(released: Desk, run: Command) -> None:
    """What no other command can read is still verified."""
    (Path(released.registry.uri.removeprefix("file://")) / "log" / f"{2:020d}.json").unlink()
    assert run("log").status == 1
    done = run("verify")
    assert done.status == 1
    assert done.out.startswith(
        f"error: missing entry: log/{2:020d}.json: log entry 2 is missing, but entry 3 is there."
    )


FORGET = ("--keep", "1", "--older-than", "0h", "--rollbacks", "0")
RULE = Rule(keep=1, older_than=timedelta(0), rollbacks=0)


def test_retain(desk: Desk, run: Command) -> None:
    """First it is said what would go, and nothing changes; then it goes, and the log says by whom."""
    names = desk.registry.objects.names("")
    model, threshold = desk.state.model("second_look@1"), desk.state.threshold("review@1")
    sizes = {
        version.ref: sum(item.size for item in desk.registry.objects.listing(folder_of(version.fact.manifest.path)))
        for version in (model, threshold)
    }
    dry = run("retain", *FORGET, "--dry-run")
    assert desk.registry.objects.names("") == names
    goes = [
        f"{folder_of(threshold.fact.manifest.path)}: review@1 (candidate), 2 files, {sizes['review@1']:,} bytes",
        f"{folder_of(model.fact.manifest.path)}: second_look@1 (candidate), 2 files, {sizes['second_look@1']:,} bytes",
    ]
    stays = [
        "kept: biopsies: 1 version (1 among the newest)",
        "kept: refer: 1 version (1 among the newest)",
        "kept: review: 1 version (1 among the newest)",
        "kept: second_look: 1 version (1 among the newest)",
        "kept: surgery: 1 version (1 among the newest)",
    ]
    size = sum(sizes.values())
    last = f"would go: 2 folders, {size:,} bytes; nothing was changed"
    assert (dry.status, dry.out.splitlines()) == (0, [*(f"would go: {line}" for line in goes), *stays, last])
    head = desk.state.head
    done = run("--why", "the disk is full", "retain", *FORGET)
    last = f"removed: 2 folders (log entries {head + 1}); deleted: 4 files, {size:,} bytes"
    assert (done.status, done.out.splitlines()) == (0, [*(f"removed: {line}" for line in goes), *stays, last])
    entry = list(desk.registry.log.entries())[-1]
    assert isinstance(entry.fact, Removed)
    assert entry.origin.why == "the disk is full"
    assert entry.origin.job is not None
    assert entry.origin.job.task == "lockstep retain"
    assert set(names) - set(desk.registry.objects.names("")) == {
        name for name in names if name.startswith(entry.fact.folders)
    }
    assert run("verify").status == 0
    assert run("lineage", "second_look@1").status == 0
    refused = run("promote", "second_look@1")
    assert (refused.status, refused.err) == (
        1,
        (
            f"lockstep: Model version second_look@1: its files were removed by log entry {head + 1}; what the log says"
            " stays. Train it again.\n"
        ),
    )


def test_retain_as_json(desk: Desk, run: Command) -> None:
    """The document holds what goes and what stays, whether it is only asked or done."""
    asked = preview(desk.registry, RULE)
    dry = run("retain", *FORGET, "--dry-run", "--json").document
    assert dry == {**asked.as_json(), "dry_run": True}
    assert [item["what"] for item in dry["removed"]] == ["review@1", "second_look@1"]
    done = run("retain", *FORGET, "--json").document
    assert done["removed"] == dry["removed"]
    assert done["deleted"] == {"files": 4, "size": dry["size"]}
    assert (done["entries"], done["dry_run"]) == ([desk.state.head], False)
    assert run("retain", *FORGET, "--json").document["removed"] == []


def test_retain_deletes_what_killed_jobs_left(desk: Desk, run: Command) -> None:
    """Leftovers are told by their folder, before and after; so is the decision log of days long past."""
    root = Path(desk.registry.uri.removeprefix("file://"))
    folder = folder_of(desk.state.model("second_look@1").fact.manifest.path)
    desk.registry.record(lambda _: Removed(folders=(folder,), size=0), job("retain/killed"))
    logged = "decisions/telecom/2020-01-01/0123456789abcdef-000001.parquet"
    desk.registry.objects.put(logged, b"rows")
    part = root / "scratch" / "run" / "part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"123")
    old = time.time() - 3 * 86400
    os.utime(part, (old, old))
    size = sum(item.size for item in desk.registry.objects.listing(folder))
    left = [
        f"{folder}: left by a run that was stopped, 2 files, {size:,} bytes",
        "scratch/run: left by a killed pipeline, 1 file, 3 bytes",
        "decisions/telecom: of the decision log, long past, 1 file, 4 bytes",
    ]
    assert run("retain", "--dry-run").out.splitlines()[:3] == [f"would be deleted: {line}" for line in left]
    done = run("retain").out.splitlines()
    assert done[:3] == [f"deleted: {line}" for line in left]
    assert done[-1] == f"removed: 0 folders; deleted: 4 files, {size + 7:,} bytes"


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "30 d", "1y", "1000000d"])
def test_retain_with_something_that_is_no_time(run: Command, text: str) -> None:
    """Another form of a time span is wrong use, and says the form."""
    done = run("retain", "--older-than", text)
    assert (done.status, done.err) == (
        2,
        f'lockstep: --older-than {text}: this is no time span; write "12h", "30d" or "8w".\n',
    )


@pytest.mark.parametrize("words", [("--keep", "0"), ("--rollbacks", "-1"), ("--decisions", "1h")])
def test_retain_that_would_keep_nothing(run: Command, words: tuple[str, str]) -> None:
    """A rule out of range is wrong use."""
    done = run("retain", *words)
    assert done.status == 2
    assert "is not allowed" in done.err


def test_time_spans() -> None:
    """Hours, days and weeks."""
    assert [span(text) for text in ("12h", "30d", "8w", "0d")] == [
        timedelta(hours=12),
        timedelta(days=30),
        timedelta(weeks=8),
        timedelta(0),
    ]
