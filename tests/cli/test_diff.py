"""`lockstep diff` says what a release would change, in words, as JSON, as a page and as rows."""

import json
from pathlib import Path

import polars as pl
import pytest

from lockstep.decisions import decision_diff
from tests.cli.conftest import Command, Declare, Desk, graph


@pytest.fixture
def changing(released: Desk) -> Desk:
    """Stage another second look than the one in production."""
    released.stage("second_look@2")
    return released


def test_diff(changing: Desk, run: Command, tmp_path: Path) -> None:
    """The command prints what the core counts, writes a page and all flipped rows, and records nothing."""
    expected = decision_diff(changing.registry, graph, "biopsy")
    before = changing.state.head
    page, rows = tmp_path / "diff.html", tmp_path / "rows.parquet"
    done = run("diff", "biopsy", "--json", "--html", str(page), "--rows", str(rows))
    assert (done.status, done.err) == (0, "")
    assert done.document == json.loads(json.dumps(expected.as_json()))
    assert run("diff", "biopsy").out == expected.as_text() + "\n"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    flips = expected.threshold("review").flips.part
    assert flips > 0
    assert pl.read_parquet(rows).height == flips
    assert changing.state.head == before


def test_diff_on_requests(changing: Desk, run: Command, biopsies: Path) -> None:
    """A file of requests is decided on as well; its dataset need not be named where there is one only."""
    path = biopsies / "biopsies" / "biopsies.csv"
    for word in (str(path), f"biopsies={path}"):
        populations = run("diff", "biopsy", "--requests", word, "--json", "--shown", "0").document["populations"]
        assert [population["rows_of"] for population in populations] == ["test", "requests"]
        assert populations[1]["rows"] == changing.state.snapshot("biopsies").fact.rows
        assert all(threshold["examples"] == [] for threshold in populations[1]["thresholds"])


def test_diff_on_the_decision_log(changing: Desk, run: Command) -> None:  # noqa: ARG001  its registry is there
    """The log stands for the requests of each dataset, or of one; pairs of the shadow come on top, if there are any."""
    for word in ("log:2d", "biopsies=log:48h"):
        _, requests, shadow = run("diff", "biopsy", "--requests", word, "--shadow", "--json").document["populations"]
        assert (requests["source"], requests["rows"]) == ({"log": "the last 2 days"}, 0)
        assert (shadow["rows_of"], shadow["rows"], shadow["source"]) == ("shadow", 0, {"first": None, "last": None})
    said = run("diff", "biopsy", "--requests", "log").out
    assert "requests of biopsies in the decision log, the last 7 days, 0 rows:" in said


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("biopsy", "--requests", "log:all"), 2, '--requests log:all: after "log:" stands a time span'),
        (("biopsies",), 2, 'There is no release group "biopsies"; there are biopsy.'),
        (
            ("biopsy", "--html", "nowhere/x.html"),
            2,
            '"nowhere/x.html" can\'t be written: there is no folder "nowhere".',
        ),
        (("biopsy", "--requests", "a.csv", "--requests", "b.csv"), 2, '--requests: two files of "biopsies" are given'),
        (("biopsy", "--requests", "nothing.csv"), 1, "no file matches"),
    ],
)
def test_wrong_use(changing: Desk, run: Command, words: tuple[str, ...], status: int, message: str) -> None:  # noqa: ARG001  its registry is there
    """What can't be compared or written is said before anything is computed."""
    done = run("diff", *words)
    assert (done.status, done.out) == (status, "")
    assert message in done.err


def test_nothing_to_compare(desk: Desk, run: Command) -> None:
    """While nothing is in staging, the command ends with status 1 and the verdict of the gate."""
    assert desk.state.staging == {}
    done = run("diff", "biopsy")
    assert (done.status, done.out) == (1, "")
    assert "nothing to compare.\ngate biopsy: closed" in done.err


LIMITED = """
from groups.biopsy import refer, review
from lockstep import Api, Graph, flip_rate, split_rate

referrals = Api("referrals", decides=[refer], agrees_with=["reviews"])
graph = Graph(
    [referrals, Api("reviews", decides=[review])],
    name="biopsy",
    release_if=[flip_rate("review", at_most=FLIPS), split_rate("referrals", "reviews", at_most=0.9)],
)
"""


def test_conditions_of_a_release(changing: Desk, run: Command, declare: Declare) -> None:
    """A release makes the diff that it needs; the gate says each figure; a change that is too large is refused."""
    strict = declare("limited_strictly", LIMITED.replace("FLIPS", "0.0"))
    before = changing.state.head
    gate = run("--graph", strict, "gate", "biopsy")
    assert (gate.status, gate.out.splitlines()[0]) == (1, "gate biopsy: closed")
    assert "none is kept. Make it with `lockstep diff biopsy --record`" in gate.out
    refused = run("--graph", strict, "release", "biopsy")
    assert (refused.status, refused.out, changing.state.head) == (1, "", before)
    assert 'flip_rate("review", at_most=0): ' in refused.err
    assert "  WAIT flip_rate" in run("--graph", strict, "gate", "biopsy").out
    lenient = declare("limited_leniently", LIMITED.replace("FLIPS", "0.9"))
    assert run("--graph", lenient, "diff", "biopsy", "--record").status == 0
    assert run("--graph", lenient, "gate", "biopsy").status == 0
    assert run("--graph", lenient, "release", "biopsy").status == 0
    assert len(changing.registry.objects.names("diffs/")) == 1
