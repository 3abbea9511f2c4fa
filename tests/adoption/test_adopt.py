"""Models and thresholds that were made without Lockstep: adopted, staged, released, and never run unseen."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import polars as pl
import pytest
import skl2onnx
import skops.io
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

from groups.biopsy import COLUMNS, graph
from lockstep.adoption import pickles
from lockstep.data import read_snapshot
from lockstep.errors import UsageError
from lockstep.registry import read_manifest, sha256_of
from lockstep.release import gate
from lockstep.training import load_model, own_packages
from lockstep.upkeep.verify import verify
from tests.cli.conftest import GROUP, Desk, Done

Run = Callable[..., Done]
SURGERY = ("adopt", "surgery")
TRUST = ("--trust", "scikit-learn")


def saved(model: Any, path: Path, **options: Any) -> Path:  # noqa: ANN401  scikit-learn estimators share no type
    """Save as joblib does."""
    joblib.dump(model, path, **options)
    return path


def scores(desk: Desk, ref: str) -> tuple[np.ndarray, pl.DataFrame]:
    """What a version answers, and the rows that it was asked about."""
    state = desk.state
    rows = read_snapshot(desk.registry, state.snapshot("biopsies"))
    return load_model(desk.registry, state.model(ref), own=own_packages(graph)).scores(rows), rows


@pytest.mark.parametrize("options", [{}, {"compress": 3}, {"compress": ("xz", 3)}, {"protocol": 2}], ids=str)
def test_a_joblib_file_is_adopted(desk: Desk, run: Run, theirs: Any, tmp_path: Path, options: Any) -> None:  # noqa: ANN401  as above
    """However it is compressed, it becomes a candidate that predicts what it predicted, with metrics and its origin."""
    file = saved(theirs, tmp_path / "model.joblib", **options)
    done = run(*SURGERY, str(file), *TRUST, "--from", "the notebook of 2025", "--json")
    assert done.status == 0, done.err
    version = done.document["model"]
    assert (version["version"], version["stage"], version["new"]) == ("surgery@2", "candidate", True)
    assert version["metrics"]["roc_auc"] > 0.95
    found, rows = scores(desk, "surgery@2")
    assert np.array_equal(found, theirs.predict_proba(rows.select(COLUMNS)))
    manifest = read_manifest(desk.registry.objects, desk.state.model("surgery@2").fact.manifest)
    told = manifest["adopted"]
    assert (told["file"], told["kind"], told["note"]) == ("model.joblib", "pickle", "the notebook of 2025")
    assert told["sha256"] == sha256_of(file.read_bytes()) == manifest["files"]["original"]["sha256"]
    assert verify(desk.registry).is_sound


def test_a_pickle_is_listed_and_not_loaded(desk: Desk, run: Run, theirs: Any, tmp_path: Path) -> None:  # noqa: ANN401  as above
    """Without a word of trust the command says what the file holds, and how to trust it; nothing is recorded."""
    before = desk.state.head
    done = run(*SURGERY, str(saved(theirs, tmp_path / "model.joblib")), "--snapshot", "biopsies@1")
    assert done.status == 2
    assert "to load it is to run it. Nothing was loaded." in done.err
    assert "sklearn.linear_model._logistic.LogisticRegression" in done.err
    assert "--trust scikit-learn" in done.err
    assert desk.state.head == before


class Runs:
    """A pickle that would run a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("depth", ["plain", "in an array of objects", "as joblib"])
def test_what_a_pickle_would_run_is_not_run(run: Run, desk: Desk, tmp_path: Path, depth: str) -> None:
    """A file that calls what scikit-learn does not hold is refused by its name, and was not run to find that out."""
    flag, file = tmp_path / "ran", tmp_path / "model.pkl"
    evil: Any = Runs(f"touch {flag}")
    if depth == "plain":
        file.write_bytes(pickle.dumps(evil))
    else:
        array = np.empty(1, dtype=object)
        array[0] = evil
        saved({"categories": array} if depth == "as joblib" else array, file)
    done = run(*SURGERY, str(file), "--snapshot", "biopsies@1", *TRUST)
    assert (done.status, flag.exists()) == (2, False)
    assert f"{os.system.__module__}.system" in done.err
    assert desk.state.models["surgery"][-1].ref == "surgery@1"


def test_only_what_was_listed_is_loaded() -> None:
    """Loading refuses a name that was not allowed, also one that is reached through a module that was."""
    data = pickle.dumps(Runs("true"))
    with pytest.raises(UsageError, match="was not trusted"):
        pickles.load(data, ())
    path = b"\x80\x04\x8c\x10sklearn.pipeline\x8c\tnp.memmap\x93."  # STACK_GLOBAL of a path of names
    assert pickles.names_in(path) == ("sklearn.pipeline.np.memmap",)
    with pytest.raises(UsageError, match="was not trusted"):
        pickles.load(path, pickles.names_in(path))


@pytest.mark.parametrize("form", ["columns", "matrix", "dicts"])
def test_an_onnx_file_is_adopted(desk: Desk, run: Run, theirs: Any, tmp_path: Path, form: str) -> None:  # noqa: ANN401  as above
    """With an input for each column, or one for all, and with either form of scores, it answers as it did."""
    inputs = [(name, DoubleTensorType([None, 1])) for name in COLUMNS]
    if form != "columns":
        inputs = [("input", FloatTensorType([None, len(COLUMNS)]))]
    options = {} if form == "dicts" else {id(theirs): {"zipmap": False}}
    model = skl2onnx.convert_sklearn(theirs, "m", inputs, options=options)
    file = tmp_path / "model.onnx"
    file.write_bytes(model.SerializeToString())
    words = () if form == "columns" else ("--features", ",".join(COLUMNS))
    done = run(*SURGERY, str(file), *words, "--json")
    assert done.status == 0, done.err
    found, rows = scores(desk, "surgery@2")
    assert found == pytest.approx(theirs.predict_proba(rows.select(COLUMNS)), abs=1e-4)


def test_a_matrix_needs_the_names_of_its_columns(run: Run, desk: Desk, theirs: Any, tmp_path: Path) -> None:  # noqa: ANN401, ARG001  as above
    """An ONNX file that takes one matrix is not adopted until somebody says which columns it means."""
    model = skl2onnx.convert_sklearn(theirs, "m", [("input", FloatTensorType([None, len(COLUMNS)]))])
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    done = run(*SURGERY, str(tmp_path / "model.onnx"), "--snapshot", "biopsies@1")
    assert (done.status, "Give --features" in done.err) == (2, True)


def test_a_skops_file_needs_no_trust(run: Run, desk: Desk, theirs: Any, tmp_path: Path) -> None:  # noqa: ANN401  as above
    """It is audited as every model file is, and can hold no program."""
    skops.io.dump(theirs, tmp_path / "model.skops")
    assert run(*SURGERY, str(tmp_path / "model.skops")).status == 0
    assert desk.state.model("surgery").ref == "surgery@2"


def test_a_model_that_mlflow_has_saved_is_adopted(run: Run, desk: Desk, theirs: Any, tmp_path: Path) -> None:  # noqa: ANN401  as above
    """The file of its flavor counts, and its run is in the manifest."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(theirs))
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  sklearn:\n    pickled_model: model.pkl\n    serialization_format: cloudpickle\n"
        "run_id: 0123abcd\nmlflow_version: 3.17.2\n"
    )
    done = run(*SURGERY, str(tmp_path), *TRUST)
    assert done.status == 0, done.err
    manifest = read_manifest(desk.registry.objects, desk.state.model("surgery").fact.manifest)
    assert manifest["adopted"]["mlflow"]["run_id"] == "0123abcd"


def test_a_team_starts_with_its_current_production(run: Run, desk: Desk, theirs: Any, tmp_path: Path) -> None:  # noqa: ANN401  as above
    """Models with the values of their thresholds are adopted, staged and released; then all is as with trained ones."""
    file = saved(theirs, tmp_path / "model.joblib")
    words = ("--threshold", "refer=0.42", "--promote")
    done = run(*SURGERY, str(file), *TRUST, *words)
    assert done.status == 0, done.err
    assert "refer@2: 0.42, as given" in done.out
    assert "in staging: surgery@2, refer@2" in done.out
    threshold = desk.state.threshold("refer@2")
    manifest = read_manifest(desk.registry.objects, threshold.fact.manifest)
    assert (threshold.fact.value, manifest["adopted"]["file"]) == (0.42, "model.joblib")
    assert manifest["test"]["rows"] > 0
    desk.stage("second_look@1")
    assert gate(GROUP, desk.state).is_open
    assert run("release", "biopsy").status == 0
    assert desk.state.production("biopsy").members["threshold:refer"] == threshold.digest
    again = run("reproduce", "surgery@2")
    assert (again.status, "it was adopted from model.joblib" in again.err) == (1, True)
    told = run("lineage", "surgery@2", "--json")
    assert told.status == 0, told.err


def test_the_same_file_is_adopted_once(run: Run, desk: Desk, theirs: Any, tmp_path: Path) -> None:  # noqa: ANN401  as above
    """A second call finds the version, and its threshold."""
    file = saved(theirs, tmp_path / "model.joblib")
    words = (*SURGERY, str(file), *TRUST, "--threshold", "refer=0.42", "--json")
    first, head = run(*words).document, desk.state.head
    second = run(*words).document
    assert (first["model"]["new"], second["model"]["new"]) == (True, False)
    assert second["model"]["version"] == first["model"]["version"]
    assert (second["thresholds"][0]["new"], desk.state.head) == (False, head)


def test_a_model_that_misses_what_is_expected_is_not_promoted(
    run: Run,
    desk: Desk,  # noqa: ARG001  its registry
    rows: pl.DataFrame,
    tmp_path: Path,
) -> None:
    """The expectations of the declaration count for it, too."""
    from groups.biopsy import linear

    wrong = linear().fit(rows.select(COLUMNS).head(300), ~rows["malignant"].head(300).to_numpy())
    done = run(*SURGERY, str(saved(wrong, tmp_path / "model.joblib")), *TRUST, "--threshold", "refer=0.5", "--promote")
    assert (done.status, "missed what is expected of it" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--threshold", "refer"], "the form is name=value"),
        (["--threshold", "refer=high"], "must be a finite number"),
        (["--threshold", "review=0.5"], 'it belongs to model "second_look"'),
        (["--features", "nothing"], "wants nothing, which the dataset does not have"),
        (["--features", "malignant"], "which a model of this target must not see"),
        (["--class", "maybe"], "--class maybe"),
    ],
)
def test_wrong_words_are_refused(
    run: Run,
    desk: Desk,
    theirs: Any,  # noqa: ANN401  as above
    tmp_path: Path,
    words: list[str],
    said: str,
) -> None:
    """The message names what is wrong, and nothing is recorded."""
    file, head = saved(theirs, tmp_path / "model.joblib"), desk.state.head
    done = run(*SURGERY, str(file), "--snapshot", "biopsies@1", *TRUST, *words)
    assert (done.status, said in done.err) == (2, True), done.err
    assert desk.state.head == head


def test_what_is_no_model_is_refused(run: Run, desk: Desk, tmp_path: Path) -> None:  # noqa: ARG001  its registry
    """A text, a folder without MLmodel and a file that is not there are named, with the forms that are known."""
    (tmp_path / "text").write_text("hello")
    for path, said in (("text", "is neither ONNX"), (".", "without MLmodel"), ("gone", "can't be read")):
        done = run(*SURGERY, str(tmp_path / path), "--snapshot", "biopsies@1")
        assert (done.status, said in done.err) == (2, True), done.err


def test_the_listing_needs_no_imports() -> None:
    """Names are found in a file whose packages are not installed here."""
    data = pickle.dumps(np.arange(3)) + b""
    assert pickles.names_in(data) == ()
    foreign = b"\x80\x04\x8c\x07xgboost\x8c\rXGBClassifier\x93)\x81."
    assert pickles.names_in(foreign) == ("xgboost.XGBClassifier",)
    assert json.dumps(pickles.untrusted(["xgboost.XGBClassifier"], ["scikit-learn"], [])) == '["xgboost.XGBClassifier"]'
