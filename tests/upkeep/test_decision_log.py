"""Files of the decision log: known to verify by their names, and removed by the day."""

from datetime import timedelta

import pytest

from lockstep.errors import UsageError
from lockstep.upkeep.keep import Rule
from lockstep.upkeep.retention import preview
from lockstep.upkeep.verify import verify
from tests.upkeep.years import Years

WORKER = "0123456789abcdef"


@pytest.fixture
def years(uri: str) -> Years:
    """Sit down before an empty registry, ten years ago."""
    return Years(uri)


def day(years: Years, ago: int) -> str:
    """The folder of a day that lies so many days back."""
    return f"decisions/telecom/{(years.time - timedelta(days=ago)).date().isoformat()}"


def test_the_decision_log_goes_by_the_day(years: Years) -> None:
    """Days within the span stay whole, older ones go, and the log of entries says nothing of it."""
    years.trained("a")
    days = {ago: f"{day(years, ago)}/{WORKER}-000001.parquet" for ago in (0, 9, 10, 11, 400)}
    for path in days.values():
        years.registry.objects.put(path, b"rows")
    assert years.is_sound()
    head, rule = years.registry.state().head, Rule(decisions=timedelta(days=10))
    assert preview(years.registry, rule).decisions["telecom"].files == 2
    done = years.retain(rule)
    assert done.as_json()["decisions"] == [{"group": "telecom", "files": 2, "size": 8}]
    assert (done.files, done.size, done.entries) == (2, 8, ())
    assert years.registry.objects.names("decisions/") == sorted(days[ago] for ago in (0, 9, 10))
    assert years.registry.state().head == head
    assert years.retain(rule).decisions == {}
    assert years.is_sound()


def test_what_only_looks_like_the_decision_log_is_named_and_stays(years: Years) -> None:
    """A file without its form is no file of the log: verify says so, and retention leaves it to people."""
    years.trained("a")
    old = day(years, 500)
    foreign = [
        f"{old}/{WORKER}.parquet",
        f"{old}/{WORKER}-1.parquet",
        f"{old}/{WORKER}-000001.csv",
        f"decisions/telecom/{WORKER}-000001.parquet",
        f"decisions/Telecom/2026-01-01/{WORKER}-000001.parquet",
    ]
    for path in foreign:
        years.registry.objects.put(path, b"rows")
    assert sorted(finding.path for finding in verify(years.registry)) == sorted(foreign)
    assert years.retain().decisions == {}
    assert years.registry.objects.names("decisions/") == sorted(foreign)


def test_no_day_is_not_a_span() -> None:
    """What was answered today always stays."""
    with pytest.raises(UsageError, match="decisions: 23:00:00 is not allowed; it is a time span of 1 day or more"):
        Rule(decisions=timedelta(hours=23))
