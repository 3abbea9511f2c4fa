"""The log of a process: batches, what it holds while its place is away, what it drops, and how it ends."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from lockstep.journal import DecisionLog, Limits, layout_of
from tests.journal.conftest import NOON, Shelf, asked, wait_for
from tests.training import shop

HOUR = 3600.0
LAYOUTS = [layout_of(shop.graph, "shop")]
ROW = {"age": 1}


@pytest.fixture
def shelf() -> Shelf:
    """Make a place that is there."""
    return Shelf()


@pytest.fixture
def opened(shelf: Shelf) -> Iterator[list[DecisionLog]]:
    """End each log that a test starts."""
    logs: list[DecisionLog] = []
    yield logs
    shelf.is_away.clear()
    for log in logs:
        log.stop()


def start(shelf: Shelf, logs: list[DecisionLog], limits: Limits) -> DecisionLog:
    """Start a log."""
    log = DecisionLog(shelf, LAYOUTS, limits)
    log.start()
    logs.append(log)
    return log


def test_many_rows_are_written_at_once(shelf: Shelf, opened: list[DecisionLog]) -> None:
    """As soon as there are enough for a file, in the order in which they came; one request is never divided."""
    log = start(shelf, opened, Limits(rows=10, every=HOUR))
    for number in range(5):
        log.add(asked([ROW] * 3, request=f"r{number}"))
    wait_for(lambda: len(shelf.parcels) == 1)
    assert shelf.requests == ["r0"] * 3 + ["r1"] * 3 + ["r2"] * 3
    log.stop()
    assert [parcel.rows for parcel in shelf.parcels] == [9, 6]
    assert log.counts() == {"rows": 15, "dropped_rows": 0, "failed_writes": 0, "waiting_rows": 0}


def test_few_rows_are_written_after_a_while(shelf: Shelf, opened: list[DecisionLog]) -> None:
    """A service that is hardly asked has its rows in the log soon."""
    log = start(shelf, opened, Limits(rows=10, every=0.05))
    log.add(asked([ROW]))
    wait_for(lambda: log.counts()["rows"] == 1)
    log.add(asked([ROW], request="r2"))
    wait_for(lambda: shelf.requests == ["r1", "r2"])


def test_stopping_writes_what_is_there(shelf: Shelf, opened: list[DecisionLog]) -> None:
    """Nothing that was answered is lost where the process ends in an orderly way."""
    log = start(shelf, opened, Limits(every=HOUR))
    log.add(asked([ROW]))
    log.stop()
    assert shelf.requests == ["r1"]


def test_days_and_groups_are_apart(shelf: Shelf, opened: list[DecisionLog]) -> None:
    """Each file holds the rows of one day, by UTC."""
    log = start(shelf, opened, Limits(every=HOUR))
    for request, at in (("a", NOON), ("b", NOON + timedelta(hours=13)), ("c", NOON)):
        log.add(asked([ROW], request=request, at=at))
    log.stop()
    assert [(parcel.path, parcel.data) for parcel in shelf.parcels] == [("2026-11-25", b"a,c"), ("2026-11-26", b"b")]


def test_rows_wait_while_the_place_is_away(shelf: Shelf, opened: list[DecisionLog]) -> None:
    """The reason is told until a write succeeds; then all is there, in order, once."""
    shelf.is_away.set()
    log = start(shelf, opened, Limits(rows=1, again=0.01))
    for number in range(3):
        log.add(asked([ROW], request=f"r{number}"))
    wait_for(lambda: shelf.tries > 3)
    assert log.problem == "the place is away"
    assert log.counts()["waiting_rows"] == 3
    shelf.is_away.clear()
    wait_for(lambda: log.counts()["rows"] == 3)
    assert shelf.requests == ["r0", "r1", "r2"]
    assert (log.problem, log.counts()["dropped_rows"]) == ("", 0)
    assert log.counts()["failed_writes"] > 2


@pytest.mark.parametrize("limits", [Limits(rows=1, most_rows=4), Limits(rows=1, most_bytes=450, most_rows=99)])
def test_the_oldest_are_dropped_and_counted(shelf: Shelf, limits: Limits) -> None:
    """While the place is away, memory is bounded by rows and by bytes; the file behind the gap says how long it is."""
    log = DecisionLog(shelf, LAYOUTS, replace(limits, again=0.01))  # before it starts, nothing is packed
    for number in range(10):
        log.add(asked([ROW], request=f"r{number}"))
    kept = log.counts()["waiting_rows"]
    assert kept == 4
    log.start()
    log.stop()
    assert shelf.requests == ["r6", "r7", "r8", "r9"]
    assert [parcel.dropped for parcel in shelf.parcels] == [6, 0, 0, 0]
    assert log.counts() == {"rows": 4, "dropped_rows": 6, "failed_writes": 0, "waiting_rows": 0}


def test_packed_rows_are_dropped_too(shelf: Shelf, opened: list[DecisionLog]) -> None:
    """What was packed while the place is away makes room for what is newer, and its own gap is told on."""
    shelf.is_away.set()
    log = start(shelf, opened, Limits(rows=1, most_rows=3, again=0.01))
    for number in range(9):
        log.add(asked([ROW], request=f"r{number}"))
        wait_for(lambda: shelf.tries > 0)
    wait_for(lambda: log.counts()["dropped_rows"] >= 5)
    shelf.is_away.clear()
    log.stop()
    counts = log.counts()
    assert counts["rows"] + counts["dropped_rows"] == 9
    assert counts["rows"] == len(shelf.requests) >= 3
    assert shelf.requests[-1] == "r8"
    assert sum(parcel.dropped for parcel in shelf.parcels) == counts["dropped_rows"]


def test_a_request_larger_than_all_room_is_kept_alone(shelf: Shelf) -> None:
    """Room is made by dropping what is older, never by losing each large request."""
    log = DecisionLog(shelf, LAYOUTS, Limits(most_rows=3))
    log.add(asked([ROW], request="small"))
    log.add(asked([ROW] * 5, request="large"))
    log.start()
    log.stop()
    assert shelf.requests == ["large"] * 5


def test_what_can_not_be_packed_is_lost_alone(
    shelf: Shelf, opened: list[DecisionLog], caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, its values are told nobody, and those beside it are there."""
    log = start(shelf, opened, Limits(rows=3, every=HOUR))
    log.add(asked([ROW], request="r1"))
    log.add(asked([ROW], [{"api": "calls", "decisions": "Hilde", "explanations": {}}]))
    log.add(asked([ROW], request="r3"))
    wait_for(lambda: shelf.requests == ["r1", "r3"])
    assert [parcel.dropped for parcel in shelf.parcels] == [1]
    assert log.counts()["dropped_rows"] == 1
    assert "1 rows of shop could not be logged: " in caplog.text
    assert "Hilde" not in caplog.text


def test_what_could_not_be_written_by_the_end_is_counted(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    """A process does not wait for ever for a place that is away; the last word says how many rows are missing."""
    shelf.is_away.set()
    log = DecisionLog(shelf, LAYOUTS, Limits(every=HOUR))
    log.start()
    log.add(asked([ROW] * 7))
    with caplog.at_level(logging.ERROR):
        log.stop()
    assert log.counts() == {"rows": 0, "dropped_rows": 7, "failed_writes": 1, "waiting_rows": 0}
    assert "7 rows of the decision log could not be written before the process ended" in caplog.text
