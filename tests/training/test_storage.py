"""Model files: only known types are saved, only what was saved is loaded, and it predicts the same."""

from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LinearRegression, LogisticRegression

from lockstep.data import read_snapshot
from lockstep.errors import ObjectDamaged, ObjectMissing, TrainingError
from lockstep.registry import files_of, read_manifest
from lockstep.training import load_model
from lockstep.training.storage import dump, load
from tests.training import shop
from tests.training.conftest import Declare, Shop, WriteModule

OWN = ["tests"]
BUILDS_FOREIGN = """
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

def build():
    from elsewhere import Strange
    from tests.training.shop import Numbers
    return make_pipeline(Numbers(), Strange(), LogisticRegression())
"""
FOREIGN = """
from sklearn.base import BaseEstimator, TransformerMixin

class Strange(TransformerMixin, BaseEstimator):
    def fit(self, rows, _=None):
        self.fitted_ = True
        return self

    def transform(self, rows):
        return rows
"""


def model_file(desk: Shop, name: str) -> Path:
    """Find the file of a model on disk."""
    version = desk.registry.state().model(name)
    ref = files_of(version.fact.manifest, read_manifest(desk.registry.objects, version.fact.manifest))["model.skops"]
    return Path(urlsplit(desk.registry.uri).path) / ref.path


@pytest.mark.parametrize("name", ["leaving", "planning", "filling", "buying"])
def test_a_loaded_model_predicts_what_was_trained(trained: Shop, name: str) -> None:
    """Fitted again on the same rows, the estimator gives the very scores that the loaded one gives."""
    predictor = load_model(trained.registry, trained.registry.state().model(name))
    model = shop.graph.model(name)
    rows = read_snapshot(trained.registry, trained.snapshot, "train").drop_nulls(model.target)
    again = model.estimator().fit(predictor.frame(rows), rows[model.target].to_numpy())
    test = read_snapshot(trained.registry, trained.snapshot, "test")
    frame = predictor.frame(test)
    fresh = again.predict_proba(frame) if predictor.classes else again.predict(frame).reshape(-1, 1)
    np.testing.assert_array_equal(predictor.scores(test), fresh)


def test_the_teams_own_types_stand_in_the_manifest(trained: Shop) -> None:
    """The manifest names every type beyond skops's own list."""
    manifest = read_manifest(trained.registry.objects, trained.registry.state().model("leaving").fact.manifest)
    assert manifest["types"] == ["tests.training.shop.Numbers"]


def test_a_type_from_elsewhere_is_refused_when_it_is_saved(
    desk: Shop, declare: Declare, write_module: WriteModule
) -> None:
    """A class that neither the libraries nor the team's own modules define is not written, and nothing is recorded."""
    write_module("elsewhere", FOREIGN)
    build = write_module("strange_shop", BUILDS_FOREIGN).build
    with pytest.raises(TrainingError) as caught:
        desk.train("leaving", graph=declare(estimator=build))
    assert str(caught.value) == (
        'Model "leaving": the fitted estimator holds elsewhere.Strange; allowed are what'
        " scikit-learn's estimators are made of, and types of strange_shop, tests. Use one of these, or wrap it in a"
        " class of your own."
    )
    assert desk.registry.state().models == {}


def test_what_skops_can_not_save_is_one_sentence() -> None:
    """The error names the model, the estimator and a way out."""
    estimator = LogisticRegression()
    estimator.__dict__["hook_"] = (number for number in range(3))
    with pytest.raises(TrainingError) as caught:
        dump("leaving", estimator, OWN)
    message = str(caught.value)
    assert message.startswith('Model "leaving": LogisticRegression can\'t be saved with skops: ')
    assert message.endswith(". Use estimators and functions that can be imported by name.")


def test_a_changed_file_is_not_loaded(trained: Shop) -> None:
    """One flipped byte is found before anything of the file is read."""
    path = model_file(trained, "leaving")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ObjectDamaged, match=r'model\.skops": its SHA-256 is .*, but the log promises'):
        load_model(trained.registry, trained.registry.state().model("leaving"))


def test_a_damaged_upstream_model_keeps_its_users_from_loading(trained: Shop) -> None:
    """A model is loaded together with those it builds on, or not at all."""
    model_file(trained, "filling").unlink()
    load_model(trained.registry, trained.registry.state().model("leaving"))
    with pytest.raises(ObjectMissing):
        load_model(trained.registry, trained.registry.state().model("buying"))


def test_a_file_with_other_types_than_it_was_saved_with_is_not_loaded() -> None:
    """Only the types of the manifest are trusted."""
    data, types = dump("leaving", shop.classifier(), OWN)
    assert isinstance(load(data, types, "it", OWN)[0], shop.Numbers)
    with pytest.raises(ObjectDamaged) as caught:
        load(data, (), "Model version leaving@1", OWN)
    assert str(caught.value) == (
        "Model version leaving@1: the file holds tests.training.shop.Numbers, which it was not saved with; it is not"
        " loaded. Retrain the model."
    )


def test_a_type_that_is_gone_is_one_sentence(write_module: WriteModule) -> None:
    """Where a class can't be imported any more, the error says what to install, whatever Python raised."""
    module = write_module("elsewhere", FOREIGN)
    data = skops.io.dumps(module.Strange())
    types = tuple(skops.io.get_untrusted_types(data=data))
    write_module("elsewhere", "gone = True\n")
    with pytest.raises(TrainingError) as caught:
        load(data, types, "Model version leaving@1", ["elsewhere"])
    assert str(caught.value).startswith("Model version leaving@1: it can't be loaded: ")
    assert "Install what it was trained with" in str(caught.value)


class Forgetful(LinearRegression):
    """Predicts something else once it was saved."""

    def __getstate__(self) -> dict[str, object]:
        """Leave the intercept behind."""
        return {**super().__getstate__(), "intercept_": 1e6}


def test_a_model_that_predicts_otherwise_once_loaded_is_refused(desk: Shop, declare: Declare) -> None:
    """What was evaluated must be what answers."""
    without = ["region", "plan", "rating", "secret", "leaves", "buys"]
    graph = declare(shop.filling, estimator=Forgetful, without=without)
    with pytest.raises(TrainingError) as caught:
        desk.train("filling", graph=graph)
    assert str(caught.value) == (
        'Model "filling": after it was saved and loaded, Forgetful predicts something else, so that what was evaluated'
        " is not what would answer. Use an estimator that skops restores exactly."
    )
    assert desk.registry.state().models == {}
