"""A threshold is chosen on the validation split, reported on the test split, and belongs to one model version."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lockstep import Graph, Threshold, precision_at_least, top_fraction
from lockstep.data import read_snapshot, take_snapshot
from lockstep.data.sources import DATA_VARIABLE
from lockstep.data.split import hash_keys, split_of
from lockstep.decisions import Tuning, choose, curve_of, tune_threshold
from lockstep.decisions.curve import report
from lockstep.decisions.tune import CURVE
from lockstep.errors import PolicyUnmet, UsageError
from lockstep.registry import ModelTrained, Version, files_of, read_manifest
from lockstep.training import load_model
from tests.training import shop
from tests.training.conftest import ADA, Shop, job, write_shoppers


def tune(desk: Shop, name: str, *, graph: Graph = shop.graph, model: Version[ModelTrained] | None = None) -> Tuning:
    """Tune a threshold for the newest version of its model."""
    version = model or desk.registry.state().model(graph.model_of(name).name)
    return tune_threshold(desk.registry, graph, name, ADA, model=version)


def scored(desk: Shop, model: str, split: str, *, label: bool | str = True) -> tuple[np.ndarray, np.ndarray]:
    """Score the rows of a split, and say which are positive."""
    rows = read_snapshot(desk.registry, desk.snapshot, split)
    predictor = load_model(desk.registry, desk.registry.state().model(model))
    return predictor.score(rows, label), (rows[shop.graph.model(model).target] == label).to_numpy()


@pytest.mark.parametrize("name", ["offer", "call", "cheap", "gold"])
def test_it_is_chosen_on_validation_and_reported_on_test(trained: Shop, name: str) -> None:
    """The value is the policy's on the validation rows, and both reports count the decisions of their own rows."""
    fact = tune(trained, name).version.fact
    manifest = read_manifest(trained.registry.objects, trained.registry.state().threshold(name).fact.manifest)
    model, label = shop.graph.model_of(name).name, shop.graph.threshold(name).positive
    validation, test = (scored(trained, model, split, label=label) for split in ("validation", "test"))
    assert fact.value == choose(shop.graph.threshold(name).choose, curve_of(*validation))
    assert manifest["value"] == fact.value
    assert manifest["validation"] == report(fact.value, *validation)
    assert manifest["test"] == report(fact.value, *test)
    assert manifest["score"] == "probability"
    ref = files_of(fact.manifest, manifest)[CURVE]
    assert json.loads(trained.registry.objects.get(ref)) == {
        "validation": curve_of(*validation).as_json(),
        "test": curve_of(*test).as_json(),
    }


def test_promised_precision_and_recall_hold_on_validation(trained: Shop) -> None:
    """What the policy asks for is kept on the rows that it was chosen on."""
    offer = read_manifest(trained.registry.objects, tune(trained, "offer").version.fact.manifest)
    call = read_manifest(trained.registry.objects, tune(trained, "call").version.fact.manifest)
    assert offer["validation"]["precision"] >= 0.6
    assert call["validation"]["recall"] >= 0.9


@pytest.mark.parametrize("name", ["large", "huge"])
def test_a_regression_is_cut_by_its_value(trained: Shop, name: str) -> None:
    """A share and a fixed value work on predicted values, on rows with a known target; no classes are counted."""
    version = tune(trained, name).version
    manifest = read_manifest(trained.registry.objects, version.fact.manifest)
    rows = read_snapshot(trained.registry, trained.snapshot, "validation").drop_nulls("basket")
    values = load_model(trained.registry, trained.registry.state().model("filling")).scores(rows)[:, 0]
    yes = int((values >= version.fact.value).sum())
    assert manifest["score"] == "value"
    assert manifest["validation"] == {"rows": rows.height, "yes": yes, "share": yes / rows.height}
    assert version.fact.value == 60.0 if name == "huge" else yes == rows.height // 10


def test_a_version_belongs_to_one_model_version(trained: Shop) -> None:
    """The fact and the manifest name the model version, the policy and who tuned."""
    model = trained.registry.state().model("leaving")
    version = tune(trained, "offer").version
    manifest = read_manifest(trained.registry.objects, version.fact.manifest)
    assert (version.fact.model, version.fact.model_digest) == ("leaving", model.digest)
    assert (manifest["model_version"], manifest["model_digest"]) == ("leaving@1", model.digest)
    assert manifest["policy"] == {"policy": "precision_at_least", "value": 0.6}
    assert manifest["positive"] is True
    assert manifest["origin"] == asdict(ADA)
    assert trained.registry.state().thresholds_for("offer", model.digest) == (version,)


def test_the_same_tuning_is_not_recorded_twice(trained: Shop) -> None:
    """Tuned again for the same model version under the same policy, it is the same version."""
    first = tune(trained, "offer")
    again = tune(trained, "offer")
    assert (first.is_new, again.is_new) == (True, False)
    assert again.version == first.version
    assert len(trained.registry.state().thresholds["offer"]) == 1


def test_another_model_version_or_policy_is_another_tuning(trained: Shop) -> None:
    """Each model version gets its own threshold version, and so does each policy."""
    first = tune(trained, "offer").version
    other_model = tune(trained, "offer", model=trained.train("leaving", job("again"), force=True).version).version
    stricter = Graph([replace(shop.offer, choose=precision_at_least(0.65))])
    other_policy = tune(trained, "offer", graph=stricter, model=trained.registry.state().model("leaving@1")).version
    assert [version.ref for version in (first, other_model, other_policy)] == ["offer@1", "offer@2", "offer@3"]
    assert other_model.fact.model_digest != first.fact.model_digest == other_policy.fact.model_digest


def test_a_policy_that_can_not_be_met_names_threshold_version_and_rows(trained: Shop) -> None:
    """The message says for which model version and on how many rows, and nothing is recorded."""
    scores, positive = scored(trained, "planning", "validation", label="gold")
    graph = Graph([Threshold("gold", model=shop.planning, choose=top_fraction(0.001), positive="gold")])
    with pytest.raises(PolicyUnmet) as caught:
        tune(trained, "gold", graph=graph)
    assert str(caught.value).startswith(
        f'Threshold "gold" for planning@1, on {len(scores)} rows of the validation split, {positive.sum()} of them'
        " positive:"
        f" top_fraction(0.001) can't be met: 1 of {len(scores)} rows share the highest score"
    )
    assert "gold" not in trained.registry.state().thresholds


def test_an_unknown_positive_class_is_refused(trained: Shop) -> None:
    """A class that the model never saw has no probability."""
    graph = Graph([Threshold("gold", model=shop.planning, choose=top_fraction(0.1), positive="platinum")])
    with pytest.raises(UsageError, match="class 'platinum' is unknown; its classes are 'basic', 'gold', 'silver'"):
        tune(trained, "gold", graph=graph)


def test_one_counts_as_true_where_the_target_is_a_bool(trained: Shop) -> None:
    """`positive=1` finds the class True, as it does in Python."""
    graph = Graph([Threshold("offer", model=shop.leaving, choose=precision_at_least(0.6), positive=1)])
    assert tune(trained, "offer", graph=graph).version.fact.value == tune(trained, "offer").version.fact.value


def test_the_negative_class_can_be_the_one_that_counts(trained: Shop) -> None:
    """With `positive=False`, the score is the probability to stay."""
    graph = Graph([Threshold("stays", model=shop.leaving, choose=precision_at_least(0.6), positive=False)])
    version = tune(trained, "stays", graph=graph).version
    validation = scored(trained, "leaving", "validation", label=False)
    assert version.fact.value == choose(precision_at_least(0.6), curve_of(*validation))


def test_no_known_target_on_validation_is_refused(desk: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a row to choose on, there is no threshold, not even a fixed one."""
    write_shoppers(tmp_path, seed=1, rows=60)
    path = tmp_path / "shoppers" / "part.csv"
    rows = pl.read_csv(path, infer_schema=False)
    is_validation = split_of(hash_keys(rows["shopper"]), shop.shoppers.split) == "validation"
    rows.with_columns(basket=pl.when(~is_validation).then("basket")).write_csv(path)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    other = replace(desk, snapshot=take_snapshot(desk.registry, shop.shoppers, ADA))
    other.train("filling")
    with pytest.raises(PolicyUnmet) as caught:
        tune(other, "huge")
    assert str(caught.value) == (
        'Threshold "huge" for filling@1: the validation split has no row with a known target. Bring more data.'
    )


def test_an_unknown_threshold_is_refused(trained: Shop) -> None:
    """Only thresholds of the graph can be tuned."""
    model = trained.registry.state().model("leaving")
    with pytest.raises(UsageError, match='There is no threshold "leaving" in the graph'):
        tune_threshold(trained.registry, shop.graph, "leaving", ADA, model=model)
