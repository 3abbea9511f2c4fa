"""`lockstep drift` says whether newer data is still what production was trained on."""

import json
from pathlib import Path

import polars as pl
import pytest

from lockstep.monitoring import measure
from tests.cli.conftest import Command, Desk, graph


def test_drift(released: Desk, run: Command, tmp_path: Path) -> None:
    """The command prints what the core finds, writes a page, records nothing, and ends with 0 where nothing drifted."""
    expected = measure(released.registry, graph, "biopsies")
    before = released.state.head
    page = tmp_path / "drift.html"
    done = run("drift", "biopsies", "--json", "--html", str(page))
    assert (done.status, done.err) == (0, "")
    assert done.document == json.loads(json.dumps(expected.as_json()))
    assert done.document["verdict"] == "quiet"
    assert run("drift", "biopsies", "--against", "biopsies@1").out == expected.as_text() + "\n"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert released.state.head == before


def test_drift_ends_with_1(released: Desk, run: Command, biopsies: Path, tmp_path: Path) -> None:
    """Rows of a file whose cells are twice as large are found, and the exit status says so."""
    assert released.state.production("biopsy") is not None
    rows = pl.read_csv(biopsies / "biopsies" / "biopsies.csv")
    numbers = [name for name, dtype in rows.schema.items() if dtype == pl.Float64]
    rows.with_columns(pl.col(numbers) * 2).write_csv(tmp_path / "twice.csv")
    done = run("drift", "biopsies", "--requests", str(tmp_path / "twice.csv"))
    assert done.status == 1
    assert done.out.startswith("drift biopsies: drift. twice.csv (569 rows) is not what biopsies@1 was: columns ")
    assert run("drift", "biopsies", "--requests", "log:2d").status == 1
    words = [word for name in ("psi=99", "rate=0.99", "auc=0.9999") for word in ("--limit", name)]
    lenient = run("drift", "biopsies", "--requests", str(tmp_path / "twice.csv"), *words, "--json")
    assert (lenient.status, lenient.document["limits"]["psi"]) == (0, 99.0)
    assert "there are none" in run("drift", "biopsies", "--requests", "log").err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("biopsy",), 2, '"biopsy" is not declared; declared are'),
        (("biopsies", "--against", "biopsies@7"), 2, 'There is no snapshot "biopsies@7"'),
        (("biopsies", "--requests", "log:all"), 2, '--requests log:all: after "log:" stands a time span'),
        (("biopsies", "--requests", "nothing.csv"), 1, "no file matches"),
        (("biopsies", "--limit", "psy=1"), 2, "--limit psy=1: there is no limit 'psy'; there are alpha, psi, moved, "),
        (("biopsies", "--limit", "rows=few"), 2, "--limit rows=few: 'few' is no number; write rows=200."),
        (("biopsies", "--limit", "auc=2"), 2, "Limits: auc=2.0 is no limit; it is above 0.5, and below 1."),
        (("biopsies", "--html", "nowhere/x.html"), 2, 'can\'t be written: there is no folder "nowhere".'),
    ],
)
def test_wrong_use(released: Desk, run: Command, words: tuple[str, ...], status: int, message: str) -> None:  # noqa: ARG001  its registry is there
    """What can't be compared or written is said before anything is computed."""
    done = run("drift", *words)
    assert (done.status, done.out) == (status, "")
    assert message in done.err


def test_nothing_in_production(desk: Desk, run: Command) -> None:
    """The message says how to name a reference, and with one the command works."""
    assert desk.state.production("biopsy") is None
    done = run("drift", "biopsies")
    assert (done.status, done.out) == (2, "")
    assert "Say which snapshot: --against biopsies@1." in done.err
    assert run("drift", "biopsies", "--against", "biopsies@1").status == 0
