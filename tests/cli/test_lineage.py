"""`lineage` looks up where something comes from, and what became of it."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from groups.biopsy import graph
from lockstep import between, quarantined
from lockstep.data import take_snapshot
from lockstep.registry import Origin
from lockstep.registry.lineage import describe, find, lineage
from lockstep.registry.trace import by_job
from tests.cli.conftest import Command, Desk


def as_json(value: Any) -> Any:  # noqa: ANN401  any JSON
    """Give a value as it comes back from JSON."""
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("ref", ["second_look@1", "second_look", "review@2", "biopsies@1"])
def test_from_a_version_to_its_job(released: Desk, run: Command, ref: str) -> None:
    """`lineage VERSION` is the core's look-up: the job, its log and commit, what it read, and what was made of it."""
    state = released.state
    done = run("lineage", ref, "--json")
    assert (done.status, done.err) == (0, "")
    assert done.document == as_json(lineage(state, find(state, ref)))


def test_the_text_of_a_lineage(released: Desk, run: Command) -> None:
    """For people, each fact is a line: who made it and moved it, when, why, in which job, with which log to read."""
    state = released.state
    production, model = state.production("biopsy"), state.model("second_look@1")
    lines = run("lineage", "second_look@1").out.splitlines()
    assert lines[0] == "second_look@1 (model, production)"
    made = model.recorded
    assert lines[1] == f"  made {made.at.isoformat(timespec='seconds')} by ada: the monthly run, entry {made.number}"
    assert lines[2:5] == [
        "  job airflow biopsy_retrain/january train",
        "  log logs/biopsy_retrain/january.log",
        "  commit c0ffee",
    ]
    assert lines[5:8] == [
        f"  manifest {model.fact.manifest.path}",
        f"  source {model.fact.source}",
        "  parameters {}",
    ]
    (promotion,) = (staging for staging in state.promotions["biopsy"] if "model:second_look" in staging.members)
    at = promotion.recorded.at.isoformat(timespec="seconds")
    out = production.recorded.at.isoformat(timespec="seconds")
    assert lines[-4:] == [
        "  made from biopsies@1 (snapshot)",
        "  made into review@1 (threshold, production)",
        (
            f"  promoted {at} by ada: the monthly run, entry {promotion.recorded.number}, job promote/1,"
            " log logs/promote/1.log"
        ),
        (
            f"  in release {production.short} of biopsy, released {out} by ada: the monthly run, entry"
            f" {production.recorded.number}, job biopsy_release/january, log logs/biopsy_release/january.log"
        ),
    ]


def test_from_a_job_to_what_it_did(released: Desk, run: Command) -> None:
    """`--job` gives what a run made, promoted and released, by its whole name or by the end of it."""
    entries = list(released.registry.log.entries())
    for job in ("biopsy_retrain/february", "january", "promote/1/train"):
        whole = run("lineage", "--job", job, "--json").document
        assert whole == as_json([asdict(deed) for deed in by_job(entries, job)])
    lines = run("lineage", "--job", "february").out.splitlines()
    assert lines[0] == "entry 6: model trained: second_look@2"
    assert lines[1].endswith(" by ada: the monthly run")
    assert lines[2:5] == [
        "  job airflow biopsy_retrain/february train",
        "  log logs/biopsy_retrain/february.log",
        "  commit c0ffee",
    ]
    assert lines[5] == "entry 7: threshold tuned: review@2"
    production = released.state.production("biopsy")
    assert run("lineage", "--job", "biopsy_release/january").out.startswith(
        f"entry 10: released release {production.short} of biopsy: second_look@1, surgery@1, refer@1, review@1\n"
    )


def test_from_a_source_to_its_versions(desk: Desk, run: Command) -> None:
    """`--source` takes the archive's hash or the git commit, or the beginning of either."""
    state = desk.state
    source = state.model("surgery").fact.source
    found = run("lineage", "--source", source[:10], "--json").document
    models = [find(state, ref) for ref in ("surgery@1", "second_look@1", "second_look@2")]
    same = [version for version in models if version.fact.source == source]
    assert found == as_json([describe(state, version) for version in same])
    assert len(run("lineage", "--source", "c0ffee", "--json").document) == 7
    lines = run("lineage", "--source", source).out.splitlines()
    assert lines[0].startswith("surgery@1 (model, candidate), made ")
    assert lines[1] == f"  source sources/{source}.tar.gz"


def test_from_a_snapshot(released: Desk, run: Command) -> None:
    """`--snapshot` is the snapshot's lineage, with the releases of the models that were trained on it."""
    state = released.state
    found = run("lineage", "--snapshot", "biopsies@1", "--json").document
    assert found == as_json(lineage(state, state.snapshot("biopsies@1")))
    assert [item["version"] for item in found["made_into"]] == ["surgery@1", "second_look@1", "second_look@2"]
    assert [item["release"] for item in found["releases"]] == [state.production("biopsy").digest]
    refused = run("lineage", "--snapshot", "surgery@1")
    assert (refused.status, refused.err) == (
        2,
        'lockstep: There is no snapshot of "surgery" in the registry; it has biopsies.\n',
    )


def test_from_a_file(released: Desk, run: Command) -> None:
    """`--file` takes a file of a version, a source, a release or an entry, by name, address or path."""
    state = released.state
    manifest = state.model("surgery@1").fact.manifest.path
    found = run("lineage", "--file", f"{released.registry.uri}/{manifest}", "--json").document
    assert found == {"file": manifest, "is": "version", "version": as_json(lineage(state, state.model("surgery@1")))}
    assert run("lineage", "--file", manifest).out.splitlines()[:2] == [
        f"{manifest} (version)",
        "surgery@1 (model, production)",
    ]
    release = state.production("biopsy").manifest.path
    (deed,) = run("lineage", "--file", release, "--json").document["deeds"]
    assert (deed["did"], deed["by"], deed["job"]["run"]) == ("released", "ada", "biopsy_release/january")
    source = f"sources/{state.model('surgery@1').fact.source}.tar.gz"
    assert run("lineage", "--file", source, "--json").document["made"][0]["version"] == "surgery@1"
    assert run("lineage", "--file", f"log/{1:020d}.json").out.splitlines()[1] == "entry 1: snapshot taken: biopsies@1"


ONE = "lineage: give one of a version (churn@3), --job RUN, --source HASH, --snapshot NAME@NUMBER or --file PATH."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], ONE),
        (["surgery", "--job", "january"], ONE),
        (["--source", "c0ffee", "--file", "log/1"], ONE),
        (
            ["surgeon@1"],
            'There is no version of "surgeon" in the registry; it has biopsies, refer, review,',
        ),
        (["surgery@2"], 'There is no model version "surgery@2"; "surgery" has versions surgery@1 to surgery@1.'),
        ([""], 'There is no version of "" in the registry; it has biopsies,'),
        (["--job", "march"], 'No job "march" made or moved anything; the last that did: biopsy_retrain/february, '),
        (["--job", ""], 'No job "" made or moved anything; the last that did: biopsy_retrain/february, '),
        (["--source", "abc"], '--source "abc": give at least the first 6 characters of a hash or a commit.'),
        (["--source", "abcabc"], 'No version was made from source or commit "abcabc"; some that were: c0ffee, '),
        (["--snapshot", "biopsies@2"], 'There is no snapshot "biopsies@2"; "biopsies" has versions biopsies@1 to'),
        (["--file", "model.skops"], '--file "model.skops": no file of a registry is called so.'),
    ],
)
def test_lineage_of_what_is_not_there(desk: Desk, run: Command, words: list[str], message: str) -> None:
    """What is unknown is wrong use, and the message says what there is."""
    assert desk.state.head
    done = run("lineage", *words, "--json")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"lockstep: {message}")


def test_a_snapshot_tells_what_its_checks_said(desk: Desk, run: Command) -> None:
    """Each check of a snapshot's dataset has a line, and stands in the document; without checks there is none."""
    checks = [between("mean radius", 7, 25), quarantined(at_most=0.1)]
    version = take_snapshot(desk.registry, replace(graph.dataset("biopsies"), checks=checks), Origin(by="ada"))
    assert version.ref == "biopsies@2"
    lines = run("lineage", "biopsies@2").out.splitlines()
    said = [line for line in lines if line.startswith("  check ")]
    assert len(said) == 2
    assert said[0].startswith('  check between("mean radius", 7, 25) (soft): 6 of 569 rows break it, first ')
    assert said[1] == "  check quarantined(at_most=0.1) (hard): 6 of 569 rows are set aside"
    document = run("lineage", "--snapshot", "biopsies@2", "--json").document
    assert [found["check"] for found in document["checks"]] == [str(check) for check in checks]
    assert "checks" not in run("lineage", "biopsies@1", "--json").document


def test_a_snapshot_whose_manifest_is_lost(desk: Desk, run: Command) -> None:
    """The lineage of a snapshot is told though its manifest is not there, with a line that says so."""
    manifest = desk.state.snapshot("biopsies@1").fact.manifest
    Path(desk.registry.uri.removeprefix("file://"), manifest.path).unlink()
    done = run("lineage", "biopsies@1")
    assert done.status == 0
    (line,) = (line for line in done.out.splitlines() if "can't be read" in line)
    assert manifest.path in line
