"""`lockstep train`: which models, with which parameters, and what is in the registry afterwards."""

import pytest

from lockstep.cli.train import parse_parameters
from lockstep.errors import UsageError
from tests.cli.conftest import Command, Declare, Desk

STRICT = """\
from dataclasses import replace

from groups.biopsy import refer, surgery
from lockstep import Api, Graph, Threshold, at_least, recall_at_least

surgery = replace(surgery, expects={"roc_auc": at_least(1.0)})
refer = Threshold("refer", model=surgery, choose=recall_at_least(0.95))
graph = Graph([Api("referrals", decides=[refer])], name="biopsy")
"""


def test_candidates_with_their_thresholds(desk: Desk, run: Command) -> None:
    """Training with a new parameter adds a candidate and its thresholds, and stages nothing."""
    done = run("--why", "less forest", "train", "second_look", "--param", "second_look.n_estimators=3", "--json")
    found, state = done.document, desk.state
    assert (done.status, done.err) == (0, "snapshot of biopsies …\ntraining second_look …\n")
    model, threshold = state.model("second_look"), state.threshold("review")
    assert (model.ref, model.fact.parameters) == ("second_look@3", {"n_estimators": 3})
    assert (threshold.ref, threshold.fact.model_digest) == ("review@3", model.digest)
    assert [(item["version"], item["digest"], item["stage"]) for item in found["models"] + found["thresholds"]] == [
        ("second_look@3", model.digest, "candidate"),
        ("review@3", threshold.digest, "candidate"),
    ]
    assert found["models"][0]["metrics"] == model.fact.metrics
    assert [item["version"] for item in found["snapshots"]] == ["biopsies@1"]
    assert (found["promoted"], state.staging) == ([], {})
    origin = model.recorded.origin
    assert (origin.why, origin.job.system, origin.job.task) == ("less forest", "cli", "lockstep train")
    assert (origin.job.commit, origin.job.run.split("@")[0]) == ("c0ffee", origin.by)


def test_a_known_recipe(desk: Desk, run: Command) -> None:
    """A recipe that has been trained is named and not trained again, unless it is forced."""
    head = desk.state.head
    done = run("train", "surgery")
    assert (done.status, desk.state.head) == (0, head)
    assert done.out.splitlines()[0] == "biopsies@1: 569 rows, 0 quarantined"
    assert done.out.splitlines()[1].endswith(" (this recipe was trained before; --force trains it again)")
    forced = run("train", "surgery", "--force")
    assert forced.out.splitlines()[1].startswith("surgery@2: accuracy ")
    assert "trained before" not in forced.out
    assert (desk.state.model("surgery").ref, desk.state.threshold("refer").ref) == ("surgery@2", "refer@2")


def test_a_whole_group_to_staging(desk: Desk, run: Command) -> None:
    """`--group … --promote` trains each model of the group and moves it with its thresholds to staging."""
    done = run("train", "--group", "biopsy", "--promote", "--json")
    state = desk.state
    assert done.document["promoted"] == ["surgery@1", "refer@1", "second_look@1", "review@1"]
    assert [model["new"] for model in done.document["models"]] == [False, False]
    assert state.staging == {
        "model:surgery": state.model("surgery@1").digest,
        "threshold:refer": state.threshold("refer@1").digest,
        "model:second_look": state.model("second_look@1").digest,
        "threshold:review": state.threshold("review@1").digest,
    }


def test_a_missed_expectation(desk: Desk, run: Command, declare: Declare) -> None:
    """A version that misses an expectation is a candidate that says so; promoting it ends with status 1."""
    name = declare("strict_biopsy", STRICT)
    done = run("--graph", name, "train")
    assert done.status == 0
    assert "\n  can't be promoted: roc_auc" in done.out
    refused = run("--graph", name, "train", "--promote", "--json")
    assert (refused.status, refused.out) == (1, "")
    assert "\nlockstep: Model version surgery@2 missed what is expected of it: roc_auc" in refused.err
    assert (desk.state.model("surgery").ref, desk.state.staging) == ("surgery@2", {})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["surgeon"], '"surgeon" is not declared; declared are biopsies, surgery, second_look,'),
        (["refer"], 'There is no model "refer" in the graph; it has surgery, second_look.'),
        (["--group", "biopsies"], 'There is no release group "biopsies"; there are biopsy.'),
        (["--group", ""], 'There is no release group ""; there are biopsy.'),
        (["surgery", "--group", "biopsy"], "Both models (surgery) and --group biopsy are given; name one or the"),
        (["--param", "C=1"], "--param C=1: the form is model.name=value; for example churn.model__C=0.5."),
        (["--param", "surgery.C"], "--param surgery.C: the form is model.name=value;"),
        (["surgery", "--param", "second_look.a=1"], '--param: model "second_look" is not trained now; trained are'),
        (["--param", "surgery.depth=1"], 'Model "surgery":'),
    ],
)
def test_wrong_words(desk: Desk, run: Command, words: list[str], message: str) -> None:
    """An unknown name or parameter is wrong use, said before anything is read or trained."""
    before = desk.state.head
    done = run("train", *words)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"lockstep: {message}")
    assert desk.state.head == before


def test_missing_data(run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the source has no file, the command ends with 1 and names the pattern."""
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path_factory.mktemp("nothing")))
    done = run("train", "surgery")
    assert (done.status, done.out) == (1, "")
    assert "biopsies/*.csv" in done.err


def test_values_of_parameters() -> None:
    """A value is JSON where it can be read as such, and text elsewhere; a later one of the same name counts."""
    words = ["a.x=1", "a.y=true", "b.z=[1, 2]", "b.w=lbfgs", "a.u=a=b", "a.v__w.x=null", "a.x=2", "b.empty="]
    assert parse_parameters(words) == {
        "a": {"x": 2, "y": True, "u": "a=b", "v__w.x": None},
        "b": {"z": [1, 2], "w": "lbfgs", "empty": ""},
    }


@pytest.mark.parametrize("word", ["", "a", "a.b", "=1", "a=1", ".b=1", "a.=1"])
def test_half_a_parameter(word: str) -> None:
    """Half a parameter is refused with an example."""
    with pytest.raises(UsageError, match=r"the form is model\.name=value; for example churn\.model__C=0\.5\.$"):
        parse_parameters([word])
