"""Files of the decision log in a registry, lines of it on stdout, and reading it again."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from lockstep.errors import ObjectDamaged, UsageError
from lockstep.journal import DecisionLog, InRegistry, Limits, layout_of, read_decisions
from lockstep.journal.layout import OWN
from lockstep.journal.reading import dropped_before, files_of_log
from lockstep.registry import Registry
from lockstep.registry.names import Place, place_of
from lockstep.upkeep import verify
from tests.journal.conftest import NOON, asked
from tests.registry.conftest import uri
from tests.training import shop

__all__ = ["uri"]

LAYOUTS = [layout_of(shop.graph, "shop")]
MANY = Limits(rows=100, every=3600.0)


@pytest.fixture
def registry(uri: str) -> Registry:
    """Open an empty registry."""
    return Registry.open(uri)


def write(registry: Registry, days: Sequence[int], limits: Limits = MANY) -> None:
    """Log a request of a shopper at noon of each day, counted from the first, as one worker."""
    log = DecisionLog(InRegistry(registry.objects), LAYOUTS, limits)
    for day in days:
        log.add(asked([{"shopper": f"s{day}", "age": day}], at=NOON + timedelta(days=day)))
    log.start()
    log.stop()
    assert log.counts()["rows"] == len(days)


def shoppers(registry: Registry, since: datetime | None = None, until: datetime | None = None) -> list[str]:
    """Who is in the log."""
    return [name for frame in read_decisions(registry, "shop", since=since, until=until) for name in frame["shopper"]]


def test_what_is_written_is_read_again(registry: Registry) -> None:
    """Two workers write files of their own, a day each, which verify knows and a reader finds in order of days."""
    write(registry, [3, 1, 1])
    write(registry, [2, 1])
    paths = files_of_log(registry, "shop")
    assert all(place_of(path) is Place.DECISIONS for path in paths)
    assert [path.split("/")[2] for path in paths] == ["2026-11-26"] * 2 + ["2026-11-27", "2026-11-28"]
    assert shoppers(registry) == ["s1", "s1", "s1", "s2", "s3"]
    (frame,) = read_decisions(registry, "shop", since=NOON + timedelta(days=3))
    assert frame.schema == pl.Schema({**OWN, **LAYOUTS[0].columns})
    assert frame["_at"].to_list() == [NOON + timedelta(days=3)]
    assert list(verify(registry)) == []


def test_a_time_has_a_first_and_a_last_moment(registry: Registry) -> None:
    """From `since` up to, and without, `until`; of files of these days, the rows of that time alone."""
    write(registry, [0, 1, 2, 3])
    moments = [NOON + timedelta(days=day) for day in range(4)]
    assert shoppers(registry, since=moments[1]) == ["s1", "s2", "s3"]
    assert shoppers(registry, until=moments[1]) == ["s0"]
    assert shoppers(registry, since=moments[1], until=moments[3]) == ["s1", "s2"]
    assert shoppers(registry, since=moments[1] + timedelta(microseconds=1)) == ["s2", "s3"]
    assert shoppers(registry, until=moments[0]) == []
    with pytest.raises(UsageError, match="since=2026-11-25T12:00:00: a time needs its time zone"):
        shoppers(registry, since=NOON.replace(tzinfo=None))


def test_what_was_dropped_stands_in_the_next_file(registry: Registry) -> None:
    """Whoever reads the log learns that it has a gap, and how many rows are missing."""
    write_with_gap = DecisionLog(InRegistry(registry.objects), LAYOUTS, Limits(rows=1, most_rows=2, every=3600.0))
    for number in range(5):
        write_with_gap.add(asked([{"shopper": f"s{number}"}]))
    write_with_gap.start()
    write_with_gap.stop()
    files = [registry.objects.get_unverified(path) for path in files_of_log(registry, "shop")]
    assert [dropped_before(data) for data in files] == [3, 0]
    assert shoppers(registry) == ["s3", "s4"]


def test_a_group_without_a_log_has_no_rows(registry: Registry) -> None:
    """Nothing is an empty log."""
    assert list(read_decisions(registry, "shop")) == []


def test_files_that_go_meanwhile_are_left_out(tmp_path: Path) -> None:
    """Retention may run while somebody reads."""
    registry = Registry.open(str(tmp_path))  # of which no file is read ahead
    write(registry, [0, 1])
    frames = read_decisions(registry, "shop")
    first = next(frames)
    for path in files_of_log(registry, "shop"):
        registry.objects.delete(path)
    assert (first["shopper"].to_list(), list(frames)) == (["s0"], [])


def test_a_file_that_is_no_parquet_is_named(registry: Registry) -> None:
    """The rest can be read once it is moved away."""
    write(registry, [0])
    bad = "decisions/shop/2026-11-25/ffffffffffffffff-000001.parquet"
    registry.objects.put(bad, b"no")
    with pytest.raises(ObjectDamaged, match=f'Object "{bad}": a file of the decision log that is no Parquet'):
        shoppers(registry)


PROGRAM = """
from lockstep.journal import DecisionLog, Limits, OnStdout, layout_of
from tests.journal.conftest import asked
from tests.training import shop

log = DecisionLog(OnStdout(), [layout_of(shop.graph, "shop")], Limits(rows=1, most_rows=2, every=0.01))
for number in range(4):
    log.add(asked([{"shopper": f"s{number}", "region": "x" * 5000}]))
log.start()
log.stop()
"""


def test_stdout_is_json_lines() -> None:
    """One object a row, with the names of the Parquet files; where rows were dropped, a line says how many."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    gap, *rows = map(json.loads, done.stdout.splitlines())
    assert gap == {"_group": "shop", "_dropped": 2}
    assert [row["shopper"] for row in rows] == ["s2", "s3"]
    assert list(rows[0]) == [*OWN, *shop.shoppers.schema]
    assert datetime.fromisoformat(rows[0]["_at"]) == NOON
    assert len(rows[0]["region"]) == 5000
