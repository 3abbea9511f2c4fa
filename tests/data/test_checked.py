"""Snapshots of datasets with checks, on a real Beam runner and a real registry."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groups.churn import customers
from lockstep import (
    between,
    blanks,
    csv,
    fresh,
    hard,
    matches,
    one_of,
    quarantined,
    rows_change,
    satisfies,
    soft,
    unique,
)
from lockstep.data import read_snapshot, take_snapshot
from lockstep.data.taking import Taking, read_taking
from lockstep.declare import Dataset
from lockstep.errors import CheckFailed, DataError, UsageError
from lockstep.places import Direct, Portable
from lockstep.registry import Origin, Registry, files_of, read_manifest

ADA = Origin(by="ada")
NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
HEADER = "visit,guests,bill,table,regular,day,rating"
GOOD = [
    f"v{n:03},{n % 7 + 1},{n / 4},t{n % 5},{'yes' if n % 3 else 'no'},2026-01-{n % 28 + 1:02},{n % 5 or ''}"
    for n in range(100)
]
CHECKS = (
    between("guests", 1, 12),
    one_of("table", [f"t{n}" for n in range(5)]),
    matches("visit", r"v\d+"),
    blanks("rating", at_most=0.3),
    fresh("day", within=timedelta(days=5)),
    rows_change(at_most=0.5),
    quarantined(at_most=0.1),
)
FileWriter = Callable[[str, Sequence[str]], Path]
DatasetMaker = Callable[..., Dataset]


def regular_guests_pay() -> Any:  # noqa: ANN401  pandera's
    """Say that whoever is regular has a bill above zero."""
    import pandera.polars as pa

    def pays(data: Any) -> pl.LazyFrame:  # noqa: ANN401  pandera's
        return data.lazyframe.select(~pl.col("regular") | (pl.col("bill") > 0))

    return pa.DataFrameSchema(checks=pa.Check(pays, name="pays"))


class Visits:
    """A registry whose clock stands still, and the file that its dataset is read from."""

    def __init__(self, folder: Path, dataset: Dataset, write_lines: FileWriter) -> None:
        self.registry = Registry.open(str(folder / "registry"), clock=lambda: NOW)
        self.dataset, self.write_lines = dataset, write_lines

    def take(self, lines: Sequence[str], *checks: Any, engine: Direct = Direct()) -> dict[str, Any]:  # noqa: B008  checks; frozen
        """Take a snapshot of lines; its manifest."""
        self.path = self.write_lines("in/visits.csv", [HEADER, *lines])
        version = take_snapshot(self.registry, replace(self.dataset, checks=checks), ADA, engine=engine)
        return read_manifest(self.registry.objects, version.fact.manifest) | {"ref": version.ref}

    def refused(self, lines: Sequence[str], *checks: Any) -> str:
        """What is said when a snapshot is refused; nothing is recorded or left."""
        before = self.registry.state().snapshots
        with pytest.raises(CheckFailed) as caught:
            self.take(lines, *checks)
        assert self.registry.state().snapshots == before
        assert self.registry.objects.names("scratch") == []
        return str(caught.value)


@pytest.fixture
def at(tmp_path: Path, visits: DatasetMaker, write_lines: FileWriter) -> Iterator[Visits]:
    """Sit down before an empty registry; nothing is left in its scratch at the end."""
    made = Visits(tmp_path, visits(str(tmp_path / "in" / "*.csv")), write_lines)
    yield made
    assert made.registry.objects.names("scratch") == []


def test_kept_checks_change_nothing_but_the_manifest(at: Visits) -> None:
    """Rows that keep all checks make the very snapshot that they make without checks, which is not written again."""
    plain = at.take(GOOD)
    assert "checks" not in plain
    again = at.take(GOOD, *CHECKS, unique("bill", "guests"))
    assert (again["ref"], again["digest"]) == ("visits@1", plain["digest"])


@pytest.mark.parametrize("workers", [1, 2])
def test_soft_checks_set_rows_aside(at: Visits, as_json: Callable[..., str], workers: int) -> None:
    """Rows that break soft checks stand in the quarantine with every reason, and the manifest counts them by check."""
    bad = ["v100,99,1.5,t1,yes,2026-01-01,1", "w1,13,1.5,t9,no,2027-01-01,"]
    manifest = at.take([*GOOD, *bad], *CHECKS, satisfies(regular_guests_pay), engine=Direct(workers=workers))
    assert (manifest["rows"], manifest["quarantined"]) == (100, 2)
    assert manifest["reasons"] == {
        "guests: 99 is not between 1 and 12": 1,
        'guests: 13 is not between 1 and 12; table: "t9" is not one of "t0", "t1", "t2", "t3", "t4"; visit: "w1" does'
        " not match v\\d+": 1,
    }
    said = {found["check"]: (found["weight"], found["kept"], found["rows"]) for found in manifest["checks"]}
    assert said == {
        'between("guests", 1, 12)': ("soft", False, 2),
        'one_of("table", ["t0", "t1", "t2", "t3", "t4"])': ("soft", False, 1),
        'matches("visit", r"v\\d+")': ("soft", False, 1),
        'blanks("rating", at_most=0.3)': ("hard", True, 21),
        'fresh("day", within=5 days)': ("hard", True, None),
        "rows_change(at_most=0.5)": ("hard", True, None),
        "quarantined(at_most=0.1)": ("hard", True, 2),
        "satisfies(regular_guests_pay)": ("soft", True, 0),
    }
    assert manifest["checks"][0]["says"] == (
        f"2 of 102 rows break it, first {at.path}, line 102: guests: 99 is not between 1 and 12"
    )
    assert manifest["checks"][4]["says"] == "the newest date is 2026-01-28, 4 days before 2026-02-01"  # not that of w1
    files = files_of(at.registry.state().snapshot("visits").fact.manifest, manifest)
    (ref,) = (ref for name, ref in files.items() if name.endswith("quarantine.parquet"))
    rows = pl.read_parquet(io.BytesIO(at.registry.objects.get(ref))).sort("_line")
    assert rows["_line"].to_list() == [102, 103]
    assert rows["_raw"][0] == as_json(
        visit="v100", guests=99, bill=1.5, table="t1", regular=True, day="2026-01-01", rating=1
    )


def test_a_hard_check_stops_the_snapshot(at: Visits) -> None:
    """One row that breaks a hard check, and nothing is recorded; the last snapshot stays as it is."""
    first = at.take(GOOD, *CHECKS)
    said = at.refused([*GOOD, "v100,99,1.5,t1,yes,2026-01-01,1"], hard(CHECKS[0]))
    assert said == (
        'Dataset "visits": no snapshot was taken, and staging and production stay as they are, because 1 of its 1'
        f' checks stops it. between("guests", 1, 12) (hard): 1 of 101 rows break it, first {at.path}, line 102: guests:'
        " 99 is not between 1 and 12. Correct the source, or the checks of the declaration."
    )
    assert [version.digest for version in at.registry.state().snapshots["visits"]] == [first["digest"]]


def test_a_hard_check_that_no_row_keeps(at: Visits) -> None:
    """Where no row keeps a hard check, that is what is told; where no row keeps a soft one, that no row can be used."""
    assert "100 of 100 rows break it" in at.refused(GOOD, hard(between("guests", 50, 60)))
    with pytest.raises(DataError, match=r"none of 100 rows can be used\. The commonest reasons: guests: 1 is not betw"):
        at.take(GOOD, between("guests", 50, 60))


def test_a_share_above_which_soft_becomes_hard(at: Visits) -> None:
    """Up to the share rows are set aside; beyond it the snapshot is stopped."""
    check = soft(one_of("table", ["t0", "t1", "t2", "t3"]), stop_above=0.2)
    assert at.take(GOOD, check)["quarantined"] == 20
    assert "21 of 101 rows break it" in at.refused([*GOOD, "v100,1,1.5,t7,yes,2026-01-01,1"], check)


def test_the_number_of_rows_against_the_last_snapshot(at: Visits) -> None:
    """A source that lost too many rows is refused, whoever took the last snapshot, with checks or without."""
    at.take(GOOD)
    assert "49 rows where the last snapshot has 100 (-51.0%)" in at.refused(GOOD[:49], *CHECKS)
    assert at.take(GOOD[:50], rows_change(at_most=0.5))["ref"] == "visits@2"


def test_old_rows_are_refused(at: Visits) -> None:
    """A source whose newest date is too old is refused, by the clock of the registry."""
    lines = [line for line in GOOD if ",2026-01-2" not in line]
    assert "the newest date is 2026-01-19, 13 days before 2026-02-01" in at.refused(lines, CHECKS[4])


def test_values_that_are_to_be_unique(at: Visits, write_lines: FileWriter) -> None:
    """Two keys with one value are found across files and buckets; a row that stands there twice is one."""
    write_lines("in/more.csv", [HEADER, "w1,1,7.25,t1,no,2026-01-01,", GOOD[3], "w2,1,1000,t1,no,2026-01-01,"])
    said = at.refused(GOOD, unique("bill"))
    assert f"2 of 103 rows break it, first {at.path.with_name('more.csv')}, line 2: bill: " in said
    write_lines("in/more.csv", [HEADER])
    assert at.take(GOOD, unique("bill"))["checks"][0]["says"] == "no row breaks it"


@pytest.mark.parametrize("workers", [1, 2])
def test_soft_unique_sets_rows_aside(at: Visits, write_lines: FileWriter, workers: int) -> None:
    """Every row that shares a value with another key goes to the quarantine, whatever file and bucket it is in."""
    write_lines("in/more.csv", [HEADER, "w1,1,7.25,t1,no,2026-01-01,", GOOD[3], "w2,1,1000,t1,no,2026-01-01,"])
    manifest = at.take(GOOD, soft(unique("bill")), engine=Direct(workers=workers))
    assert (manifest["rows"], manifest["quarantined"]) == (100, 3)
    assert manifest["reasons"] == {
        'bill: "7.25" stands with other keys, too': 2,
        'visit: key "v003" stands here again, with the same content': 1,
    }
    assert manifest["checks"] == [
        {
            "check": 'unique("bill")',
            "weight": "soft",
            "kept": False,
            "rows": 2,
            "says": f"2 of 103 rows break it, first {at.path.with_name('more.csv')}, line 2: bill:"
            ' "7.25" stands with other keys, too',
        }
    ]
    kept = read_snapshot(at.registry, at.registry.state().snapshot(manifest["ref"]))
    assert set(kept["visit"]) == ({line[:4] for line in GOOD} - {"v029"} | {"w2"})
    write_lines("in/a-first.csv", [HEADER, *reversed(GOOD)])
    (at.path.parent / "more.csv").rename(at.path.parent / "z-last.csv")
    again = at.take(GOOD[:1], soft(unique("bill")), engine=Direct(workers=workers))
    assert again["contents"] == manifest["contents"]


def test_soft_unique_of_many_rows(at: Visits) -> None:
    """Over several buckets all that share are found, beside other checks, hard and soft; and a share stops it."""
    lines = [f"v{n},{n % 7 + 1},{n % 150_000},t1,yes,2026-01-30,{n % 5 or ''}" for n in range(300_000)]
    unlike = [f"w{n},{n % 7 + 1},{n + 0.5},t1,yes,2026-01-30," for n in range(1000)]
    checks = [soft(unique("bill")), unique("table", "bill", "guests"), between("guests", 1, 6), *CHECKS[3:5]]
    manifest = at.take([*lines, *unlike], *checks)
    left = {n for n in range(300_000) if n % 7 != 6}
    sharing = sum(n + 150_000 in left or n - 150_000 in left for n in left)
    assert manifest["checks"][0]["rows"] == sharing
    assert manifest["rows"] == len(left) - sharing + sum(n % 7 != 6 for n in range(1000))
    assert manifest["rows"] + manifest["quarantined"] == 301_000
    assert len(manifest["contents"]) > 1
    assert "rows break it" in at.refused(lines, soft(unique("bill"), stop_above=0.5))


def test_soft_unique_of_several_columns(at: Visits) -> None:
    """Values count together, blanks don't, and where nobody is left there is no snapshot."""
    lines = ["v1,1,1,t1,yes,2026-01-01,", "v2,1,1,t2,yes,2026-01-01,", "v3,1,1,t1,no,2026-01-01,3"]
    manifest = at.take(lines, soft(unique("bill", "table")), soft(unique("rating")))
    assert manifest["reasons"] == {'bill, table: "1.0", "t1" stands with other keys, too': 2}
    with pytest.raises(DataError, match=r'none of 3 rows can be used. The commonest reasons: bill: "1.0" stands with'):
        at.take(lines, soft(unique("bill")))


def test_the_spec_keeps_checks(at: Visits, tmp_path: Path) -> None:
    """A dataset with checks comes back from the spec as it was; the spec of one without has no word of them."""
    for checks in ((*CHECKS, satisfies(regular_guests_pay)), ()):
        dataset = replace(at.dataset, checks=checks)
        taking = Taking(dataset=dataset, files=(), scratch="scratch/one")
        assert (b'"checks"' in taking.as_json()) == bool(checks)
        (tmp_path / "registry" / "scratch" / "one").mkdir(parents=True, exist_ok=True)
        (tmp_path / "registry" / "scratch" / "one" / "spec.json").write_bytes(taking.as_json())
        assert tuple(read_taking(at.registry.objects, "scratch/one").dataset.checks) == checks
    (tmp_path / "registry" / "scratch" / "one" / "spec.json").unlink()


def test_a_schema_without_a_name_is_not_sent_elsewhere(at: Visits) -> None:
    """Workers elsewhere find a schema by its name; one that has none is refused before anything is submitted."""

    def nameless() -> None: ...

    at.write_lines("in/visits.csv", [HEADER, *GOOD])
    engine = Portable(endpoint="localhost:1", environment="EXTERNAL:localhost:2")
    with pytest.raises(UsageError, match=r"satisfies\(.*nameless\)=.* can't be imported by a name"):
        take_snapshot(at.registry, replace(at.dataset, checks=[satisfies(nameless)]), ADA, engine=engine)


LINES = st.lists(
    st.builds(
        "{},{},{},t{},yes,2026-01-0{},{}".format,
        st.sampled_from(["v1", "v2", "v3", "w4", ""]),
        st.sampled_from([1, 5, 13, "many"]),
        st.sampled_from([1.5, "1,5", "nan"]),
        st.integers(0, 9),
        st.integers(1, 9),
        st.sampled_from(["", 3]),
    ),
    min_size=1,
    max_size=15,
)


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES)
def test_rows_in_are_rows_kept_and_rows_set_aside(at: Visits, lines: list[str]) -> None:
    """Whatever stands in the lines, each is kept or set aside with a reason, and kept ones keep every check."""
    manifest = at.take([GOOD[9], *lines], *CHECKS[:3])
    assert manifest["rows"] + manifest["quarantined"] == len(lines) + 1
    assert sum(manifest["reasons"].values()) == manifest["quarantined"]
    rows = read_snapshot(at.registry, at.registry.state().snapshot(manifest["ref"]))
    assert rows.filter(~pl.col("guests").is_between(1, 12) | ~pl.col("visit").str.starts_with("v")).is_empty()


def test_the_real_customers(telco_csv: Path, tmp_path: Path) -> None:
    """IBM's customers keep what is known of them; a tighter bound sets just the rows aside that are beyond it."""
    registry = Registry.open(str(tmp_path / "registry"))
    checks = [
        between("tenure", 0, 72),
        one_of("Contract", ["Month-to-month", "One year", "Two year"]),
        hard(matches("customerID", r"\d{4}-[A-Z]{5}")),
        soft(between("MonthlyCharges", 18, 118), stop_above=0.01),
        quarantined(at_most=0.01),
    ]
    dataset = replace(customers, source=csv(str(telco_csv)), checks=checks)
    version = take_snapshot(registry, dataset, ADA)
    manifest = read_manifest(registry.objects, version.fact.manifest)
    lines = pl.read_csv(telco_csv, null_values=[" ", ""])
    dear = lines.filter(~pl.col("MonthlyCharges").is_between(18, 118), pl.col("TotalCharges").is_not_null())
    assert dear.height > 0
    assert [found["rows"] for found in manifest["checks"]] == [0, 0, 0, dear.height, 11 + dear.height]
    assert (version.fact.rows, version.fact.quarantined) == (7032 - dear.height, 11 + dear.height)
