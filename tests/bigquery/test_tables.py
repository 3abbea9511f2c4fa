"""Tables of BigQuery as sources, over the wire: Google's own clients, unchanged, against the service of loopback."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import grpc
import polars as pl
import pytest

from lockstep.checks import between, fresh, unique
from lockstep.data import read_snapshot, refresh_snapshot, take_snapshot
from lockstep.data.taking import Found, find_inputs
from lockstep.declare import Dataset
from lockstep.errors import CheckFailed, DataError
from lockstep.registry import Origin, Registry, SnapshotTaken, Version, read_manifest
from lockstep.source import Source, bigquery
from loopback.bigquery import BigQuery

ADA = Origin(by="ada")
TABLE = "acme.crm.visits"
LONG_AGO = datetime.now(UTC) - timedelta(days=300)


def visits(source: Source | None = None, **more: object) -> Dataset:
    """A dataset with a column of each type."""
    columns = {"guests": int, "bill": float, "day": date, "regular": bool, "rating": int | None}
    return Dataset("visits", source=source or bigquery(TABLE), key="visit", columns=columns, **more)  # type: ignore[arg-type]


def rows(count: int, first: int = 0) -> pl.DataFrame:
    """As many visits; `note` is a column that nobody declares."""
    numbers = range(first, first + count)
    return pl.DataFrame(
        {
            "note": ["x" * 20] * count,
            "visit": [f"v{n}" for n in numbers],
            "guests": [n % 7 for n in numbers],
            "bill": [Decimal(n) / 4 for n in numbers],
            "day": [date(2026, 1, 1 + n % 28) for n in numbers],
            "regular": [n % 2 == 0 for n in numbers],
            "rating": [None if n % 3 else n % 5 for n in numbers],
        }
    )


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A new one."""
    return Registry.open((tmp_path / "registry").as_uri())


def inputs(registry: Registry, version: Version[SnapshotTaken]) -> list[dict[str, object]]:
    """What a manifest says of the tables."""
    found: list[dict[str, object]] = read_manifest(registry.objects, version.fact.manifest)["source"]["files"]
    return found


def test_a_snapshot_of_a_table(warehouse: BigQuery, registry: Registry) -> None:
    """Typed rows come by several streams and messages; the manifest names the state that was read; same as a file."""
    warehouse.put(TABLE, rows(600_000), at=LONG_AGO)
    version = take_snapshot(registry, visits(), ADA)
    assert (version.fact.rows, version.fact.quarantined) == (600_000, 0)
    found = read_snapshot(registry, version)
    assert found.schema["bill"] == pl.Float64
    assert found["bill"].sum() == sum(range(600_000)) / 4
    assert found["rating"].null_count() == 400_000
    (session,) = warehouse.sessions
    assert len(session.streams) == 3
    assert "note" not in session.read_options.selected_fields
    (told,) = inputs(registry, version)
    assert told["path"] == f"bigquery://{TABLE}"
    assert told["rows"] == 600_000
    assert told["version"] == LONG_AGO.isoformat(timespec="milliseconds")
    assert str(told["version"]) < str(told["as_of"]) < datetime.now(UTC).isoformat()
    assert told["etag"]
    assert session.table_modifiers.snapshot_time == datetime.fromisoformat(str(told["as_of"]))


def test_a_look_at_an_unchanged_table_reads_nothing(warehouse: BigQuery, registry: Registry) -> None:
    """The description tells that nothing is new; where it alone changed, rows are read once, and are the same."""
    warehouse.put(TABLE, rows(50), at=LONG_AGO)
    first = refresh_snapshot(registry, visits(), ADA, code=None)
    warehouse.asked.clear()
    again = refresh_snapshot(registry, visits(), ADA, code=None)
    assert (again.how, again.version) == ("unchanged", first.version)
    assert warehouse.asked == ["GET tables/visits"]
    warehouse.describe(TABLE)
    read = refresh_snapshot(registry, visits(), ADA, code=None)
    assert (read.is_new, read.version) == (False, first.version)
    warehouse.asked.clear()
    assert refresh_snapshot(registry, visits(), ADA, code=None).says[-1] == (
        "These files were seen before: they hold visits@1."
    )
    assert warehouse.asked == ["GET tables/visits"]


def test_a_new_version_of_a_table(warehouse: BigQuery, registry: Registry) -> None:
    """A table with further rows makes a new snapshot, one with fewer is named; each says both versions."""
    warehouse.put(TABLE, rows(50), at=LONG_AGO)
    refresh_snapshot(registry, visits(), ADA, code=None)
    later = LONG_AGO + timedelta(days=1)
    warehouse.put(TABLE, rows(60), at=later)
    grown = refresh_snapshot(registry, visits(), ADA, code=None)
    assert (grown.version.ref, grown.version.fact.rows, grown.how) == ("visits@2", 60, "full")
    was, now = (moment.isoformat(timespec="milliseconds") for moment in (LONG_AGO, later))
    assert grown.says[0] == (
        f"bigquery://{TABLE} was changed: it had 50 rows (version {was}), and has 60 rows (version {now})."
    )
    warehouse.put(TABLE, rows(40))
    shrunk = refresh_snapshot(registry, visits(), ADA, code=None)
    assert shrunk.says[0].startswith(f"bigquery://{TABLE} has shrunk: it had 60 rows (version {now}), and has 40 rows")


def test_what_is_written_meanwhile_is_not_seen(warehouse: BigQuery, registry: Registry) -> None:
    """The state that was found is the one that is read, and can be read again later, to the digest."""
    warehouse.put(TABLE, rows(50), at=LONG_AGO)
    found = find_inputs(visits().source)
    warehouse.put(TABLE, rows(80))
    first = take_snapshot(registry, visits(), ADA, found=Found(files=found))
    assert first.fact.rows == 50
    assert take_snapshot(registry, visits(), ADA).fact.rows == 80
    assert take_snapshot(registry, visits(), ADA, found=Found(files=found)) == first


def test_a_table_that_was_changed_a_moment_ago(warehouse: BigQuery, registry: Registry) -> None:
    """The moment that is read lies behind the change, and not ahead of BigQuery's clock."""
    warehouse.put(TABLE, rows(10), at=LONG_AGO)
    for count in range(20, 26):
        warehouse.put(TABLE, rows(count))
        assert take_snapshot(registry, visits(), ADA).fact.rows == count


def test_tables_by_a_pattern_are_added_to(warehouse: BigQuery, registry: Registry) -> None:
    """Of tables whose names match, only a new one is read: the others' rows come from the last snapshot."""
    source = bigquery("acme.crm.visits_*")
    for number in range(3):
        warehouse.put(f"acme.crm.visits_{number}", rows(30, 30 * number), at=LONG_AGO)
    warehouse.put("acme.crm.other", rows(5), at=LONG_AGO)
    assert refresh_snapshot(registry, visits(source), ADA, code=None).version.fact.rows == 90
    warehouse.put("acme.crm.visits_3", rows(30, 90))
    warehouse.asked.clear()
    grown = refresh_snapshot(registry, visits(source), ADA, code=None)
    assert (grown.how, grown.version.fact.rows) == ("incremental", 120)
    assert grown.says[0] == "bigquery://acme.crm.visits_3 (30 rows) is new."
    assert warehouse.asked.count("CreateReadSession") == 1
    whole = take_snapshot(Registry.open(f"{registry.uri}-full"), visits(source), ADA)
    assert grown.version.digest == whole.digest


def test_where_is_evaluated_there(warehouse: BigQuery, registry: Registry) -> None:
    """Only the rows that the filter keeps come; streams without a row are none the worse; no row is an error."""
    warehouse.put(TABLE, rows(300_000), at=LONG_AGO)
    version = take_snapshot(registry, visits(bigquery(TABLE, where="guests = 3 AND rating IS NOT NULL")), ADA)
    found = read_snapshot(registry, version)
    assert set(found["guests"]) == {3}
    assert found.height == sum(n % 7 == 3 and n % 3 == 0 for n in range(300_000))
    manifest = read_manifest(registry.objects, version.fact.manifest)
    assert manifest["source"]["where"] == "guests = 3 AND rating IS NOT NULL"
    with pytest.raises(DataError, match="its 1 files hold no rows"):
        take_snapshot(registry, visits(bigquery(TABLE, where="guests = 99")), ADA)
    with pytest.raises(DataError, match=r'BigQuery does not take what was asked: Query error: .*Correct where="guests'):
        take_snapshot(registry, visits(bigquery(TABLE, where="guests = (")), ADA)


def test_rows_are_checked_as_those_of_files(warehouse: BigQuery, registry: Registry) -> None:
    """Blanks, texts that are no numbers and broken checks go to the quarantine; a hard check stops the snapshot."""
    table = rows(20).with_columns(
        pl.when(pl.int_range(pl.len()) == 4).then(None).otherwise("bill").alias("bill"),
        pl.when(pl.int_range(pl.len()) == 5).then(pl.lit("many")).otherwise(pl.col("guests").cast(str)).alias("guests"),
    )
    warehouse.put(TABLE, table, at=LONG_AGO)
    version = take_snapshot(registry, visits(checks=[between("guests", 0, 5)]), ADA)
    reasons = read_manifest(registry.objects, version.fact.manifest)["reasons"]
    assert reasons == {
        "bill: blank, a float is needed": 1,
        'guests: "many" is not an int': 1,
        "guests: 6 is not between 0 and 5": 2,
    }
    with pytest.raises(CheckFailed, match=r"fresh\(.*the newest date is 2026-01-20, .*unique\(.*line"):
        take_snapshot(registry, visits(checks=[fresh("day", within=timedelta(days=2)), unique("guests")]), ADA)


def test_a_line_that_is_cut_is_taken_up_again(warehouse: BigQuery, registry: Registry) -> None:
    """A stream that breaks off goes on at the row where it was: none is lost, none comes twice."""
    warehouse.put(TABLE, rows(5_000), at=LONG_AGO)
    warehouse.faults.refuse("ReadRows", grpc.StatusCode.UNAVAILABLE, times=3)
    version = take_snapshot(registry, visits(), ADA)
    assert (version.fact.rows, version.fact.quarantined) == (5_000, 0)
    assert warehouse.asked.count("ReadRows") > 3


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("acme.crm.nobody", r'bigquery\("acme.crm.nobody"\): there is no such table, or this account may not know of'),
        ("acme.crm.hidden", r"this account may not read it: .*Permission bigquery.tables.get denied.*Data Viewer"),
        ("acme.crm.a_view", r"it is a VIEW, whose rows BigQuery does not hold.*Name a table"),
        ("acme.crm.none_*", r"none of the 6 tables of acme.crm has such a name"),
        ("acme.crm.renamed", r'columns guests are declared, but the table has only .*Is it "guest" for "guests"\?'),
        ("acme.crm.nested", r'column "guests" is nested \(a RECORD\) in the table, .*Let a query flatten'),
        ("acme.crm.repeated", r'column "guests" is repeated \(INTEGER\) in the table'),
        ("acme.crm.moments", r'column "day" is a TIMESTAMP in the table, and is declared date, which can be made of D'),
    ],
)
def test_what_can_not_be_read(warehouse: BigQuery, registry: Registry, pattern: str, said: str) -> None:
    """A table that is not there, may not be read or does not fit is told before a row is read, with the way out."""
    table = rows(3)
    warehouse.put("acme.crm.hidden", table)
    warehouse.put("acme.crm.a_view", table, kind="VIEW")
    warehouse.put("acme.crm.renamed", table.rename({"guests": "guest"}))
    warehouse.put("acme.crm.nested", table.with_columns(guests=pl.struct(one="guests")))
    warehouse.put("acme.crm.repeated", table.with_columns(guests=pl.concat_list("guests")))
    warehouse.put("acme.crm.moments", table.with_columns(pl.col("day").cast(pl.Datetime("us", "UTC"))))
    warehouse.hidden.add("acme.crm.hidden")
    with pytest.raises(DataError, match=said):
        take_snapshot(registry, visits(bigquery(pattern)), ADA)
    assert "ReadRows" not in warehouse.asked
    assert registry.state().snapshots.get("visits") is None


def test_without_credentials(warehouse: BigQuery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nobody says who asks, the message says how to."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(DataError, match=r"there are no credentials for Google Cloud: .*GOOGLE_APPLICATION_CREDENTIALS"):
        find_inputs(bigquery(TABLE))
    assert warehouse.asked == []


def test_google_is_imported_only_where_it_is_asked() -> None:
    """Declaring a table, and importing the pipeline, import nothing of Google's."""
    program = "import sys, lockstep.data.pipeline; from lockstep import bigquery; bigquery('a-b.c.d');"
    program += "print([name for name in sys.modules if name.startswith('google.cloud.')])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
