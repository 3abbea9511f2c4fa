"""Data that grow old while nothing new arrives: what a look says of `fresh`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lockstep import fresh, hard, soft
from lockstep.data import refresh_snapshot, take_snapshot
from lockstep.declare import Dataset
from lockstep.errors import CheckFailed
from lockstep.registry import Origin, Registry, read_manifest

ADA = Origin(by="ada")
LINES = ["visit,guests,bill,table,regular,day,rating", "a,1,1.5,t1,yes,2026-01-03,", "b,2,1.5,t1,yes,2026-01-05,3"]
CHECK = fresh("day", within=timedelta(days=4))
SAID = 'fresh("day", within=4 days) ({}): the newest date is 2026-01-05, 7 days before 2026-01-12'


class Clock:
    """A registry whose date is said, and a dataset of two visits."""

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        self.day = 6
        self.dataset = dataset
        self.registry = Registry.open(
            str(folder / "registry"), clock=lambda: datetime(2026, 1, self.day, 12, tzinfo=UTC)
        )

    def look(self, *checks: Any, **more: Any) -> tuple[str, tuple[str, ...]]:
        """How a look ended, and what it said."""
        done = refresh_snapshot(self.registry, replace(self.dataset, checks=checks, **more), ADA, code="same")
        return done.how, done.says


@pytest.fixture
def clock(tmp_path: Path, visits: Callable[..., Dataset], write_lines: Callable[[str, Sequence[str]], Path]) -> Clock:
    """Begin on the sixth."""
    write_lines("in/visits.csv", LINES)
    return Clock(tmp_path, visits(str(tmp_path / "in" / "*.csv")))


def test_hard_and_unchanged(clock: Clock) -> None:
    """While the newest date is young enough nothing happens; from the day on when it is not, each look fails."""
    assert clock.look(CHECK)[0] == "full"
    clock.day = 9
    assert clock.look(CHECK) == ("unchanged", ("Nothing changed: 1 file as before.",))
    clock.day = 12
    head = clock.registry.state().head
    for _ in range(2):
        with pytest.raises(CheckFailed) as caught:
            clock.look(CHECK)
        assert str(caught.value) == (
            f'Dataset "visits": nothing new has arrived, and what is there, visits@1, has grown too old:'
            f" {SAID.format('hard')}. Staging and production stay as they are. See why nothing arrives, or correct the"
            " checks of the declaration."
        )
    assert clock.registry.state().head == head


def test_soft_and_unchanged(clock: Clock) -> None:
    """A soft one is said, and the look ends well."""
    clock.look(soft(CHECK))
    clock.day = 12
    assert clock.look(soft(CHECK)) == ("unchanged", ("Nothing changed: 1 file as before.", SAID.format("soft")))


def test_a_check_that_was_declared_later(clock: Clock) -> None:
    """Of content that was recorded before somebody asked, the newest date is read from the rows, once."""
    clock.look()
    assert clock.look(soft(CHECK))[0] == "full"  # the declaration is another: the files are read, and are the same
    clock.day = 12
    assert clock.look(soft(CHECK))[1][-1] == SAID.format("soft")
    with pytest.raises(CheckFailed, match="the newest date is 2026-01-05"):
        clock.look(hard(CHECK))  # it is asked as the rows are read again


def without_day(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave the date out."""
    return rows.drop("day")


def test_a_date_that_the_snapshot_does_not_keep(clock: Clock) -> None:
    """The manifest tells the newest date of the rows that were read; where it can't, the look says so."""
    clock.look(CHECK, clean=without_day)
    version = clock.registry.state().snapshot("visits")
    assert read_manifest(clock.registry.objects, version.fact.manifest)["newest"] == {"day": "2026-01-05"}
    clock.day = 12
    with pytest.raises(CheckFailed, match="the newest date is 2026-01-05"):
        clock.look(CHECK, clean=without_day)
    other = Clock(Path(clock.registry.uri.removeprefix("file://")).parent / "other", clock.dataset)
    take_snapshot(other.registry, replace(other.dataset, clean=without_day), ADA, code="same")
    other.look(soft(CHECK), clean=without_day)
    assert other.look(soft(CHECK), clean=without_day)[1][-1] == (
        'fresh("day", within=4 days) is asked when rows are read: visits@1 does not tell the newest date.'
    )
