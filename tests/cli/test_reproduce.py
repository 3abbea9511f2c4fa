"""`reproduce` trains a version again, and says whether it is the same."""

import importlib
from pathlib import Path

from lockstep.registry import files_of, read_manifest
from lockstep.training import train_model
from tests.cli.conftest import Command, Declare, Desk, job

CHANCE = """
from dataclasses import replace

from lockstep import Graph
from groups.biopsy import second_look


def forest():
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=4)


graph = Graph([replace(second_look, estimator=forest)])
"""


def test_an_equal_version(desk: Desk, run: Command, tmp_path: Path) -> None:
    """Exit status 0, the figures in one line, and where it was kept; the registry has no entry more."""
    before = desk.state.head
    done = run("reproduce", "second_look@2", "--keep", str(tmp_path / "again"))
    assert (done.status, done.err) == (0, "training second_look@2 again …\n")
    first, second = done.out.splitlines()
    assert first.startswith("second_look@2: equal. The same bytes (SHA-256 ")
    assert first.endswith("…), 12 equal metrics, equal predictions on 111 rows of the test split.")
    assert second == f"  all of it is in {tmp_path / 'again'}"
    assert desk.state.head == before


def test_a_version_that_comes_out_otherwise(desk: Desk, run: Command, declare: Declare) -> None:
    """Exit status 1, and each difference is named with both values; `--json` holds the same."""
    declare("chance", CHANCE)
    graph = importlib.import_module("chance").graph
    snapshot = desk.state.snapshot("biopsies")
    train_model(desk.registry, graph, "second_look", job("chance/1"), snapshot=snapshot, upstream={})
    done = run("reproduce", "second_look@3", "--json")
    assert done.status == 1
    found = done.document
    assert (found["version"], found["equal"], found["libraries"], found["folder"]) == ("second_look@3", False, {}, None)
    assert found["model_file"][0] != found["model_file"][1]
    before, now = found["metrics"]["test.roc_auc"]
    assert f"test.roc_auc is {now}, recorded is {before}" in found["differences"]
    assert found["predictions"]["differing"] > 0
    lines = run("reproduce", "second_look@3").out.splitlines()
    assert lines[0] == "second_look@3: differs"
    assert lines[1].startswith("  model.skops has SHA-256 ")


def test_what_can_not_be_trained_again(desk: Desk, run: Command, tmp_path: Path) -> None:
    """An unknown version is wrong use; a snapshot whose file is gone is an error that names it."""
    done = run("reproduce", "surgeon")
    assert (done.status, done.out) == (2, "")
    assert 'lockstep: There is no model version of "surgeon" in the registry;' in done.err
    snapshot = desk.state.snapshot("biopsies").fact.manifest
    part = next(
        ref.path
        for name, ref in files_of(snapshot, read_manifest(desk.registry.objects, snapshot)).items()
        if name.startswith("part-")
    )
    (tmp_path / "registry" / part).unlink()
    done = run("reproduce", "surgery@1", "--json")
    assert (done.status, done.out) == (1, "")
    assert f'lockstep: Object "{part}" is not in registry' in done.err
