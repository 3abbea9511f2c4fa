"""A model sees its features and nothing else."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from lockstep import Graph, Model
from lockstep.data import SPLIT, read_snapshot
from lockstep.errors import DataError, TrainingError, UsageError
from lockstep.registry import read_manifest
from lockstep.training import load_model
from lockstep.training.features import forbidden_columns, lesson_of, make_features
from tests.training import shop
from tests.training.conftest import Shop

NUMBERS = ["age", "visits", "spend"]


def features_of(desk: Shop, name: str) -> list[str]:
    """Read from the manifest what a model was given."""
    features: list[str] = read_manifest(desk.registry.objects, desk.registry.state().model(name).fact.manifest)[
        "features"
    ]
    return features


def test_key_own_target_split_and_without_are_no_features(trained: Shop) -> None:
    """A model that builds on no other sees what clean returns, but not its key, target, split and `without`."""
    assert features_of(trained, "leaving") == [
        *NUMBERS,
        "region",
        "rating",
        "plan",
        "basket",
        "buys",
        "spend_per_visit",
    ]


def test_targets_of_upstream_models_are_no_features(trained: Shop) -> None:
    """What an upstream model predicts is known as its prediction only, never as the truth."""
    assert features_of(trained, "buying") == [
        *NUMBERS,
        "region",
        "rating",
        "secret",
        "spend_per_visit",
        "leaving",
        "planning__basic",
        "planning__gold",
        "planning__silver",
        "filling",
    ]


def test_targets_further_up_are_no_features_either(trained: Shop) -> None:
    """The target of a model that an upstream model builds on is as hidden as a direct one."""
    assert forbidden_columns(shop.graph, shop.advising) == tuple(
        sorted([SPLIT, "shopper", "region", "leaves", "buys", "plan", "basket"])
    )
    assert not {"leaves", "buys", "plan", "basket", "region", "shopper"} & set(features_of(trained, "advising"))


def test_upstream_predictions_are_columns_named_after_the_models(trained: Shop) -> None:
    """The columns hold the positive probability, each class's probability, and the predicted value."""
    state = trained.registry.state()
    rows = read_snapshot(trained.registry, trained.snapshot, "test")
    frame = load_model(trained.registry, state.model("buying")).frame(rows)
    leaving, planning, filling = (
        load_model(trained.registry, state.model(name)) for name in ("leaving", "planning", "filling")
    )
    np.testing.assert_array_equal(frame["leaving"].to_numpy(), leaving.score(rows, positive=True))
    for label in ("basic", "gold", "silver"):
        np.testing.assert_array_equal(frame[f"planning__{label}"].to_numpy(), planning.score(rows, label))
    np.testing.assert_array_equal(frame["filling"].to_numpy(), filling.scores(rows)[:, 0])


def test_a_model_may_build_on_a_model_and_on_what_that_one_builds_on(trained: Shop) -> None:
    """Where two ways lead to one upstream model, its prediction is one column, made of the rows alone."""
    predictor = load_model(trained.registry, trained.registry.state().model("advising"))
    rows = read_snapshot(trained.registry, trained.snapshot, "test")
    assert {above.name for above in predictor.upstream} == {"leaving", "buying"}
    assert predictor.frame(rows).columns == list(predictor.features)
    assert predictor.features.count("leaving") == 1


def test_splits_never_mix(desk: Shop) -> None:
    """Each row is in one split, training is given the rows of "train" alone, and the manifest counts them."""
    desk.train("leaving")
    rows = read_snapshot(desk.registry, desk.snapshot)
    counts = dict(rows[SPLIT].value_counts().rows())
    assert sum(counts.values()) == rows["shopper"].n_unique()
    version = desk.registry.state().model("leaving")
    assert read_manifest(desk.registry.objects, version.fact.manifest)["rows"] == counts
    train = rows.filter(pl.col(SPLIT) == "train")
    features, target = make_features(lesson_of(shop.graph, shop.leaving), train, ())
    again = shop.classifier().fit(features, target.to_numpy())
    predictor = load_model(desk.registry, version)
    np.testing.assert_array_equal(predictor.scores(rows), again.predict_proba(predictor.frame(rows)))


def test_rows_without_a_target_are_not_trained_on(trained: Shop) -> None:
    """The manifest counts the rows whose target is known."""
    rows = read_snapshot(trained.registry, trained.snapshot, "train")
    manifest = read_manifest(trained.registry.objects, trained.registry.state().model("filling").fact.manifest)
    assert manifest["rows"]["train"] == rows["basket"].drop_nulls().len() < rows.height


def test_a_target_that_clean_drops_is_an_error_with_the_columns_there_are() -> None:
    """Training says which columns are left."""
    rows = pl.DataFrame({"shopper": ["s"], "age": [30]})
    with pytest.raises(TrainingError) as caught:
        make_features(lesson_of(shop.graph, shop.leaving), rows, ())
    assert str(caught.value) == (
        'Model "leaving": target "leaves" is not among the columns that clean returns (shopper, age). Keep it there.'
    )


@pytest.mark.parametrize(
    ("above", "column"), [("leaving", "leaving"), ("planning", "planning__gold"), ("filling", "filling")]
)
def test_a_column_with_the_name_of_a_prediction_is_refused(trained: Shop, above: str, column: str) -> None:
    """Two columns of one name can't both be features."""
    predictor = load_model(trained.registry, trained.registry.state().model(above))
    rows = read_snapshot(trained.registry, trained.snapshot, "test").with_columns(pl.lit(1.0).alias(column))
    with pytest.raises(TrainingError) as caught:
        make_features(lesson_of(shop.graph, shop.buying), rows, (predictor,))
    assert str(caught.value) == (
        f'Model "buying": the predictions of "{above}" would be a column "{column}", but the dataset has one already.'
        " Rename the column in clean."
    )


def test_rows_that_lack_a_feature_are_refused_by_name(trained: Shop) -> None:
    """A model that was trained before clean was changed says what it misses."""
    predictor = load_model(trained.registry, trained.registry.state().model("filling"))
    rows = read_snapshot(trained.registry, trained.snapshot, "test").select("shopper", "age", "visits", "spend")
    with pytest.raises(DataError) as caught:
        predictor.scores(rows)
    assert str(caught.value) == (
        'Model "filling": its features region, rating, plan, spend_per_visit are not among the columns of the cleaned'
        " rows (shopper, age, visits, spend). Retrain it on the data as it is now, or restore the clean that it was"
        " trained with."
    )


def test_an_unknown_class_is_refused_with_those_there_are(trained: Shop) -> None:
    """A score of a class that the model never saw does not exist."""
    predictor = load_model(trained.registry, trained.registry.state().model("planning"))
    with pytest.raises(UsageError) as caught:
        predictor.column_of("platinum")
    assert str(caught.value) == (
        "Model \"planning\": class 'platinum' is unknown; its classes are 'basic', 'gold', 'silver'."
        " Correct positive= of the threshold."
    )


def test_the_graph_decides_what_is_upstream_not_the_order_of_training() -> None:
    """A model declared on a name builds on the model of that name, and hides its target."""
    by_name = replace(shop.buying, builds_on=["leaving"])
    graph = Graph([shop.leaving, by_name])
    assert "leaves" in forbidden_columns(graph, by_name)
    alone = Model("alone", data=shop.shoppers, target="buys", estimator=shop.classifier)
    assert "leaves" not in forbidden_columns(Graph([alone]), alone)
