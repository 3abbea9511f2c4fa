"""The shop of the training tests, with a snapshot and trained models; and one whose next release changes decisions."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep import Api, Graph, flip_rate, split_rate
from lockstep.decisions import tune_threshold
from lockstep.release import promote, release
from tests.training import shop
from tests.training.conftest import ADA, Shop, declare, desk, open_shop, shop_template, trained, trained_template

__all__ = ["changing", "changing_template", "declare", "desk", "shop_template", "trained", "trained_template"]

calls = Api("calls", decides=[shop.call], agrees_with=["offers"], on="region")
graph = Graph(
    [
        Api("offers", decides=[shop.offer, shop.cheap], explains=[shop.planning], agrees_with=[calls]),
        calls,
        Api("baskets", decides=[shop.large, shop.huge, shop.gold]),
    ],
    name="shop",
    release_if=[flip_rate("offer", at_most=0.5), split_rate("offers", "calls", at_most=0.2)],
)
GROUP = graph.group("shop")


def stage(at: Shop, **parameters: dict[str, float]) -> None:
    """Train all models of the graph, some with parameters, tune their thresholds, and promote all."""
    for model in GROUP.models:
        made = at.train(model.name, graph=graph, upstream={}, parameters=parameters.get(model.name)).version
        for threshold in graph.thresholds_of(model.name):
            tune_threshold(at.registry, graph, threshold.name, ADA, model=made)
        promote(at.registry, GROUP, made.ref, ADA)


@pytest.fixture(scope="session")
def changing_template(shop_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Release a set, and stage another, whose classifiers are more cautious, once; tests copy the registry."""
    folder = tmp_path_factory.mktemp("changing") / "registry"
    shutil.copytree(shop_template / "registry", folder)
    at = open_shop(folder)
    stage(at)
    release(at.registry, replace(GROUP, release_if=()), ADA)
    stage(at, leaving={"logisticregression__C": 0.001}, planning={"logisticregression__C": 0.001})
    return folder


@pytest.fixture
def changing(changing_template: Path, tmp_path: Path) -> Shop:
    """Sit down where a set is in production and another in staging."""
    shutil.copytree(changing_template, tmp_path / "registry")
    return open_shop(tmp_path / "registry")
