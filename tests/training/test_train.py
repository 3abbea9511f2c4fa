"""Training records candidates: which recipe is trained when, what stands in the log, and what is refused."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression

import lockstep
from lockstep import Graph, at_least
from lockstep.data import take_snapshot
from lockstep.data.sources import DATA_VARIABLE
from lockstep.errors import TrainingError, UsageError
from lockstep.registry import Stage, model_key, read_manifest
from lockstep.release import promote
from lockstep.training import check_parameters, load_model, resolve_upstream, training_order
from lockstep.training.features import lesson_of
from lockstep.training.fit import fit
from tests.training import shop
from tests.training.conftest import ADA, Declare, Shop, WriteModule, job, write_shoppers


def failing() -> NoReturn:
    """Build nothing."""
    raise ZeroDivisionError("no data today")


def text() -> str:
    """Give something that is no estimator."""
    return "logistic"


def a_line() -> LinearRegression:
    """Give a regression where a classification is needed."""
    return LinearRegression()


def a_class() -> type:
    """Give a class instead of an object."""
    return LogisticRegression


def naked() -> LogisticRegression:
    """Give an estimator that can't take texts."""
    return LogisticRegression()


def test_training_adds_a_candidate_and_moves_nothing(desk: Shop) -> None:
    """The new version is a candidate; the log has one more entry, and staging is as it was."""
    before = desk.registry.state()
    done = desk.train("leaving")
    after = desk.registry.state()
    assert done.is_new
    assert done.version.ref == "leaving@1"
    assert (after.head, after.staging) == (before.head + 1, before.staging)
    assert after.stage_of(model_key("leaving"), done.version.digest) is Stage.CANDIDATE
    assert done.version.recorded.origin == ADA


def test_the_same_recipe_is_not_trained_twice(desk: Shop) -> None:
    """A second training finds the version, and writes neither files nor an entry."""
    first = desk.train("leaving")
    names = desk.registry.objects.names("models")
    second = desk.train("leaving", job("later"))
    assert (second.version.digest, second.is_new) == (first.version.digest, False)
    assert desk.registry.objects.names("models") == names
    assert desk.registry.state().head == first.version.recorded.number


def test_forced_training_trains_again(desk: Shop) -> None:
    """A forced training of a known recipe is a version of its own, with the same recipe."""
    first = desk.train("leaving", job("monday"))
    second = desk.train("leaving", job("tuesday"), force=True)
    assert second.is_new
    assert [first.version.ref, second.version.ref] == ["leaving@1", "leaving@2"]
    assert second.version.fact.recipe == first.version.fact.recipe
    assert second.version.digest != first.version.digest


@pytest.mark.parametrize("force", [False, True])
def test_a_retried_job_finds_its_own_version(desk: Shop, *, force: bool) -> None:
    """A second attempt of a job gives what the first has recorded, even where training is forced."""
    desk.train("leaving", job("monday"))
    first = desk.train("leaving", job("tuesday"), force=True)
    again = desk.train("leaving", job("tuesday", attempt=2), force=force)
    assert (again.version.ref, again.is_new) == (first.version.ref, False)


def test_a_parameter_makes_another_version(desk: Shop) -> None:
    """Parameters reach the estimator, stand in the manifest, and belong to the recipe."""
    plain = desk.train("leaving")
    strong = desk.train("leaving", parameters={"logisticregression__C": 0.001})
    assert strong.is_new
    assert strong.version.fact.recipe != plain.version.fact.recipe
    assert strong.version.fact.parameters == {"logisticregression__C": 0.001}
    manifest = read_manifest(desk.registry.objects, strong.version.fact.manifest)
    assert manifest["estimator"]["params"]["logisticregression__C"] == "0.001"
    assert load_model(desk.registry, strong.version).estimator[-1].C == 0.001


def test_another_snapshot_makes_another_version(desk: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same recipe on newer data is another recipe."""
    first = desk.train("leaving")
    write_shoppers(tmp_path / "newer", seed=2, rows=150)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "newer"))
    newer = replace(desk, snapshot=take_snapshot(desk.registry, shop.shoppers, ADA))
    second = newer.train("leaving")
    assert second.is_new
    assert (first.version.fact.snapshot, second.version.fact.snapshot) == (desk.snapshot.digest, newer.snapshot.digest)


def test_another_upstream_version_makes_another_version(trained: Shop) -> None:
    """A model that builds on a new version of another is another version itself, and says on which it was built."""
    state = trained.registry.state()
    upstream = {name: state.model(name) for name in ("leaving", "planning", "filling")}
    same = trained.train("buying", upstream=upstream)
    upstream["leaving"] = trained.train("leaving", job("again"), force=True).version
    other = trained.train("buying", upstream=upstream)
    assert (same.is_new, other.is_new) == (False, True)
    assert other.version.fact.upstream == {name: version.digest for name, version in upstream.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {"expects": {"roc_auc": at_least(0.6)}},
        {"without": ["secret", "age"]},
        {"target": "buys"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_declared_of_a_model_belongs_to_its_recipe(
    desk: Shop, declare: Declare, changes: dict[str, Any]
) -> None:
    """Another expectation, hidden column or target makes another version."""
    first = desk.train("leaving", graph=declare())
    second = desk.train("leaving", graph=declare(**changes))
    assert second.is_new
    assert second.version.fact.recipe != first.version.fact.recipe


def test_arguments_of_a_partial_belong_to_the_recipe(desk: Shop, declare: Declare) -> None:
    """Two partials of one function with other arguments are two recipes; equal ones are one."""
    numbers = replace(shop.leaving, without=["region", "rating", "plan", "basket", "secret"])
    weak, same, strong = (
        desk.train("leaving", graph=declare(numbers, estimator=partial(LogisticRegression, C=value, max_iter=500)))
        for value in (1.0, 1.0, 0.01)
    )
    assert [weak.is_new, same.is_new, strong.is_new] == [True, False, True]


def test_changed_code_makes_another_version(desk: Shop, declare: Declare, write_module: WriteModule) -> None:
    """A change in the module of the estimator, even of a comment, is another recipe with another source."""
    text = "from tests.training.shop import classifier\ndef build():\n    return classifier()\n"
    first, same, second = (
        desk.train("leaving", graph=declare(estimator=write_module("shop_code", code).build))
        for code in (text, text, text + "# changed\n")
    )
    assert [first.is_new, same.is_new, second.is_new] == [True, False, True]
    assert first.version.fact.source != second.version.fact.source


def test_a_missed_expectation_is_recorded(desk: Shop, declare: Declare) -> None:
    """A version that misses a bound stands in the log with the sentence that says so."""
    done = desk.train("leaving", graph=declare(expects={"roc_auc": at_least(0.9999)}))
    value = done.version.fact.metrics["roc_auc"]
    assert done.is_new
    assert done.version.fact.missed == (f"roc_auc is {value:.4f}, expected is at least 0.9999",)
    manifest = read_manifest(desk.registry.objects, done.version.fact.manifest)
    assert manifest["missed"] == list(done.version.fact.missed)
    assert manifest["expects"] == {"roc_auc": "at least 0.9999"}


def test_the_manifest_says_what_made_the_version(desk: Shop) -> None:
    """Libraries, parameters, source, snapshot, rows and the job with its log stand in the manifest."""
    origin = job("churn_retrain/manual")
    done = desk.train("leaving", origin)
    manifest = read_manifest(desk.registry.objects, done.version.fact.manifest)
    assert manifest["libraries"] == {
        "lockstep": lockstep.__version__,
        **{name: metadata.version(name) for name in ("numpy", "polars", "scikit-learn", "skops")},
    }
    assert manifest["origin"] == asdict(origin)
    assert manifest["origin"]["job"]["log"] == "logs/churn_retrain/manual.log"
    assert manifest["source"]["sha256"] == done.version.fact.source
    assert manifest["source"]["path"] == f"sources/{done.version.fact.source}.tar.gz"
    assert manifest["snapshot"] == {
        "dataset": "shoppers",
        "digest": desk.snapshot.digest,
        "version": desk.snapshot.ref,
    }
    assert (manifest["task"], manifest["target"], manifest["classes"]) == ("classification", "leaves", [False, True])
    assert manifest["estimator"]["function"] == "tests.training.shop.classifier"
    assert done.version.fact.manifest.path == f"models/leaving/{done.version.digest}/manifest.json"


def test_an_unknown_parameter_is_refused_before_training(desk: Shop) -> None:
    """The message names the parameters that the estimator has."""
    with pytest.raises(UsageError) as caught:
        desk.train("leaving", parameters={"C": 2})
    message = str(caught.value)
    assert message.startswith('Model "leaving": there is no parameter "C"; it has ')
    assert "logisticregression__C" in message
    assert desk.registry.state().models == {}
    with pytest.raises(UsageError, match='there is no parameter "C"'):
        check_parameters(shop.graph, "leaving", {"C": 2})


NEEDS = "a classification needs them. Return a scikit-learn estimator or Pipeline."


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (failing, "tests.training.test_train.failing() failed: ZeroDivisionError: no data today."),
        (
            text,
            (
                "tests.training.test_train.text() returned str, which has no fit, get_params or predict_proba to call;"
                f" {NEEDS}"
            ),
        ),
        (
            a_line,
            (
                "tests.training.test_train.a_line() returned LinearRegression, which has no fit, get_params or"
                f" predict_proba to call; {NEEDS}"
            ),
        ),
        (
            a_class,
            (
                "tests.training.test_train.a_class() returned the class LogisticRegression, which has no fit,"
                f" get_params or predict_proba to call; {NEEDS}"
            ),
        ),
    ],
    ids=["fails", "no estimator", "no classifier", "a class"],
)
def test_an_estimator_that_can_not_be_used_is_one_sentence(
    desk: Shop, declare: Declare, estimator: Callable[[], Any], message: str
) -> None:
    """Whatever is wrong with the estimator, the error names the model and the function, and nothing is recorded."""
    with pytest.raises(TrainingError) as caught:
        desk.train("leaving", graph=declare(estimator=estimator))
    assert str(caught.value) == f'Model "leaving": {message}'
    assert desk.registry.state().models == {}


def test_an_estimator_that_fails_on_the_rows_says_what_it_was_given(desk: Shop, declare: Declare) -> None:
    """The error of the estimator comes with the number of rows and the columns."""
    with pytest.raises(TrainingError) as caught:
        desk.train("leaving", graph=declare(estimator=naked))
    message = str(caught.value)
    assert message.startswith('Model "leaving": fitting LogisticRegression on ')
    assert "rows failed: ValueError: " in message
    assert message.endswith(
        "It was given the columns age, visits, spend, region, rating, plan, basket, buys, spend_per_visit."
    )
    assert desk.registry.state().models == {}


@pytest.mark.parametrize(
    ("target", "what"),
    [(np.array([True, True]), "only the class True"), (np.array(["a"], dtype=object), "only the class 'a'")],
    ids=["bool", "text"],
)
def test_one_class_only_is_nothing_to_learn(target: NDArray[Any], what: str) -> None:
    """A training split of one class is refused, with the class as it is written in Python."""
    features = pl.DataFrame({"age": list(range(len(target)))})
    with pytest.raises(TrainingError) as caught:
        fit(lesson_of(shop.graph, shop.leaving), shop.classifier(), features, target)
    assert str(caught.value) == (
        f'Model "leaving": the training split has {what} in "leaves", so there is nothing to learn. Bring more data.'
    )


def test_no_row_is_nothing_to_learn() -> None:
    """A training split without a known target is refused."""
    with pytest.raises(TrainingError, match='the training split has no row in "basket", so there is nothing to learn'):
        fit(lesson_of(shop.graph, shop.filling), shop.line(), pl.DataFrame({"age": []}), np.empty(0))


def test_a_name_that_is_no_model_is_refused(desk: Shop) -> None:
    """Only models of the graph can be trained."""
    with pytest.raises(UsageError, match='There is no model "offer" in the graph; it has '):
        desk.train("offer", upstream={})


def test_upstream_versions_of_the_same_run_come_before_staging(trained: Shop) -> None:
    """A version that the run made itself is taken, otherwise the one in staging."""
    registry = trained.registry
    graph = Graph([replace(shop.buying, builds_on=[shop.leaving])])
    first = registry.state().model("leaving@1")
    promote(registry, graph.group_of("leaving"), "leaving@1", ADA)
    newer = trained.train("leaving", job("newer"), force=True).version
    state = registry.state()
    assert resolve_upstream(graph, "buying", state, {}) == {"leaving": first}
    assert resolve_upstream(graph, "buying", state, {"leaving": newer.digest}) == {"leaving": newer}
    assert resolve_upstream(graph, "leaving", state, {}) == {}


def test_an_upstream_model_that_is_nowhere_is_an_error_with_both_ways_out(trained: Shop) -> None:
    """Candidates of other runs are not built on."""
    with pytest.raises(UsageError) as caught:
        resolve_upstream(shop.graph, "buying", trained.registry.state(), {})
    assert str(caught.value) == (
        'Model "buying" builds on "leaving", of which no version is in staging. Train both in one run, or promote a'
        " version of leaving first."
    )


def test_models_are_ordered_after_those_they_build_on() -> None:
    """Whatever order names come in, upstream models come first, and each comes once."""
    order = training_order(shop.graph, ["advising", "buying", "leaving", "buying"])
    assert order == ("leaving", "buying", "advising")
    with pytest.raises(UsageError, match='There is no model "offers"'):
        training_order(shop.graph, ["offers"])


TWIN = """
import sys
from lockstep.registry import Job, Origin, Registry
from lockstep.training import train_model
from tests.training import shop
import sklearn.pipeline, skops.io

registry = Registry.open(sys.argv[1])
snapshot = registry.state().snapshot("shoppers")
print("ready", flush=True)
sys.stdin.readline()
origin = Origin(by="twin", job=Job(system="cli", run=sys.argv[2]))
done = train_model(registry, shop.graph, "leaving", origin, snapshot=snapshot, upstream={})
print(done.version.ref, done.version.digest, done.is_new)
"""


def test_two_processes_with_one_recipe_make_one_version(desk: Shop) -> None:
    """Whoever is slower finds the version of the other, and both give the same."""
    root = Path(__file__).parents[2]
    environment = {"PYTHONPATH": os.pathsep.join([str(root / "include"), str(root)]), "PATH": os.environ["PATH"]}
    twins = [
        subprocess.Popen(
            [sys.executable, "-c", TWIN, desk.registry.uri, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name in ("one", "two")
    ]
    try:
        for twin in twins:
            assert twin.stdout is not None
            assert twin.stdout.readline() == "ready\n"
        for twin in twins:
            assert twin.stdin is not None
            twin.stdin.write("go\n")
            twin.stdin.flush()
        said = [twin.communicate(timeout=60)[0].split() for twin in twins]
    finally:
        for twin in twins:
            twin.kill()
            twin.wait()
    assert {(ref, digest) for ref, digest, _ in said} == {("leaving@1", desk.registry.state().model("leaving").digest)}
    assert sorted(is_new for _, _, is_new in said) == ["False", "True"]
    assert len(desk.registry.state().models["leaving"]) == 1
