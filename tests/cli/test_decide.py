"""`lockstep decide` answers as the core does, and says what is wrong with a row."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from groups.biopsy import graph
from lockstep.cli.app import app
from lockstep.errors import UsageError
from lockstep.serving import Decider
from tests.cli.conftest import Command, Desk

Row = dict[str, Any]


def decide(desk: Desk, api: str, *rows: Row) -> list[dict[str, Any]]:
    """Ask the core."""
    decider = Decider(desk.registry, [graph])
    decider.refresh()
    return decider.decide(api, rows)


def test_one_row(released: Desk, run: Command, a_row: Row) -> None:
    """An object is answered by an object, which is the core's answer."""
    done = run("decide", "referrals", "--row", json.dumps(a_row), "--json")
    assert (done.status, done.err) == (0, "")
    assert [done.document] == decide(released, "referrals", a_row)
    assert done.document["release"] == released.state.production("biopsy").digest


def test_several_rows(released: Desk, run: Command, a_row: Row) -> None:
    """A list is answered by a list in its order."""
    rows = [a_row, {**a_row, "sample": "b2", "worst radius": 9.0}]
    done = run("decide", "reviews", "--row", json.dumps(rows), "--json")
    assert (done.status, done.document) == (0, decide(released, "reviews", *rows))
    assert [answer["key"] for answer in done.document] == [a_row["sample"], "b2"]


def test_text_for_people(released: Desk, run: Command, a_row: Row) -> None:
    """Without --json, a line says the decision, its score and the versions that made it."""
    (answer,) = decide(released, "referrals", a_row)
    found = answer["decisions"]["refer"]
    assert run("decide", "referrals", "--row", json.dumps(a_row)).out == (
        f"referrals {a_row['sample']} (release {answer['release'][:12]})\n"
        f"  refer: yes (probability {found['probability']:.4f}, threshold {found['threshold']:.4f}; refer@1,"
        " surgery@1)\n"
    )


def test_the_row_on_stdin(released: Desk, a_row: Row) -> None:
    """`--row -` reads the row from stdin."""
    done = CliRunner().invoke(app, ["decide", "referrals", "--row", "-", "--json"], input=json.dumps(a_row))
    assert (done.exit_code, [json.loads(done.stdout)]) == (0, decide(released, "referrals", a_row))


def test_broken_json_on_stdin(released: Desk) -> None:
    """What stdin holds is read as strictly as an argument."""
    assert released.state.production("biopsy")
    done = CliRunner().invoke(app, ["decide", "referrals", "--row", "-"], input="")
    assert isinstance(done.exception, UsageError)
    assert str(done.exception).startswith("--row: this is not JSON (")


@pytest.mark.usefixtures("released")
def test_a_bad_row(run: Command, a_row: Row) -> None:
    """A row that can't be used is answered with its reason beside the others, and the status is 1."""
    bad = {**a_row, "worst area": "large"}
    done = run("decide", "referrals", "--row", json.dumps([a_row, bad]), "--json")
    assert (done.status, done.err) == (1, "")
    good, refused = done.document
    assert good["decisions"]["refer"]["version"] == "refer@1"
    assert set(refused) == {"api", "release", "error"}
    assert "worst area" in refused["error"]
    assert run("decide", "referrals", "--row", json.dumps(bad)).out == f"referrals: {refused['error']}\n"


@pytest.mark.usefixtures("released")
def test_a_row_that_lacks_columns(run: Command) -> None:
    """Missing columns are named, and what is needed; the label is not."""
    done = run("decide", "referrals", "--row", "{}")
    assert done.status == 1
    assert done.out.startswith("referrals: columns mean radius, mean texture, ")
    assert "malignant" not in done.out


@pytest.mark.usefixtures("released")
@pytest.mark.parametrize("row", ["", "{", "{'sample': 1}", "b000"])
def test_broken_json(run: Command, row: str) -> None:
    """What is not JSON is wrong use."""
    done = run("decide", "referrals", "--row", row)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("lockstep: --row: this is not JSON (")


@pytest.mark.usefixtures("released")
@pytest.mark.parametrize("row", ["1", "null", "[]", '["b000"]', "[{}, 1]", '"text"'])
def test_json_that_is_no_row(run: Command, row: str) -> None:
    """JSON that is neither an object nor a list of objects is wrong use."""
    done = run("decide", "referrals", "--row", row)
    assert (done.status, done.out, done.err) == (
        2,
        "",
        "lockstep: --row: a row is a JSON object of column names and values, or a list of such objects.\n",
    )


@pytest.mark.usefixtures("released")
@pytest.mark.parametrize(
    ("api", "message"),
    [
        ("referral", '"referral" is not declared; declared are biopsies,'),
        ("surgery", 'There is no API "surgery"; there are referrals, reviews.'),
    ],
)
def test_an_unknown_api(run: Command, api: str, message: str) -> None:
    """Only an API decides; another name is wrong use."""
    done = run("decide", api, "--row", "{}")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"lockstep: {message}")


def test_before_any_release(staged: Desk, run: Command, a_row: Row) -> None:
    """Staging decides nothing: before the first release, the command ends with 1 and says what to do."""
    assert staged.state.staging
    done = run("decide", "referrals", "--row", json.dumps(a_row), "--json")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        'lockstep: API "referrals": group "biopsy" has no release yet. Promote its members; `lockstep gate biopsy`'
        " says what is missing.\n"
    )
