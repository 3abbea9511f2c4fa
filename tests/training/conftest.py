"""A shop with a snapshot that is taken once, and a registry of its own for each test."""

import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lockstep import Graph, Model
from lockstep.data import take_snapshot
from lockstep.data.sources import DATA_VARIABLE
from lockstep.decisions import tune_threshold
from lockstep.registry import Job, ModelTrained, Origin, Registry, Release, SnapshotTaken, Version
from lockstep.release import promote, release
from lockstep.training import Training, resolve_upstream, train_model
from tests.training import shop

ADA = Origin(by="ada", why="a test")
HEADER = "shopper,age,visits,spend,region,rating,secret,leaves,plan,basket,buys"


def job(run: str, attempt: int = 1) -> Origin:
    """Say that ada's job does it."""
    return Origin(by="ada", job=Job(system="airflow", run=run, task="train", attempt=attempt, log=f"logs/{run}.log"))


def write_shoppers(folder: Path, *, seed: int, rows: int = 400) -> None:
    """Write rows whose labels hang on their numbers, with some noise."""
    draw = random.Random(seed)  # noqa: S311  made-up shoppers
    lines = [HEADER]
    for number in range(rows):
        age, visits, spend = draw.randint(18, 80), draw.randint(0, 30), round(draw.uniform(1, 100), 2)
        region = draw.choice(["north", "south", "east", "staff"] if number % 5 == 0 else ["north", "south", "east"])
        rating = draw.choice(["", "1", "5"])
        leaves = draw.gauss(spend - 3 * visits, 20) > 0
        plan = draw.choice(["basic", "gold"]) if visits > 15 else draw.choice(["basic", "silver"])
        basket = "" if number % 50 == 0 else round(spend / 2 + draw.gauss(10, 3), 2)
        buys = draw.gauss(age, 20) > 50
        values = (f"s{number:04}", age, visits, spend, region, rating, draw.random(), leaves, plan, basket, buys)
        lines.append(",".join(map(str, values)))
    (folder / "shoppers").mkdir(parents=True, exist_ok=True)
    (folder / "shoppers" / "part.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Shop:
    """One registry with a snapshot of the shoppers, and the steps of who trains there."""

    registry: Registry
    snapshot: Version[SnapshotTaken]

    def train(self, name: str, origin: Origin = ADA, *, graph: Graph = shop.graph, **options: Any) -> Training:
        """Train a model on the snapshot; what it builds on is given, or comes from staging."""
        given = options.pop("upstream", None)
        upstream = given if given is not None else resolve_upstream(graph, name, self.registry.state(), {})
        return train_model(self.registry, graph, name, origin, snapshot=self.snapshot, upstream=upstream, **options)

    def train_all(self, *names: str) -> dict[str, Version[ModelTrained]]:
        """Train models one after the other, each on those before it."""
        made: dict[str, Version[ModelTrained]] = {}
        for name in names:
            above = {model.name: made[model.name] for model in shop.graph.upstream(name)}
            made[name] = self.train(name, upstream=above).version
        return made

    def stage(self, run: str) -> None:
        """Train every model anew, tune every threshold, and promote all."""
        group = shop.graph.group("shop")
        made: dict[str, Version[ModelTrained]] = {}
        for name in ("leaving", "planning", "filling", "buying", "advising"):
            above = {model.name: made[model.name] for model in shop.graph.upstream(name)}
            made[name] = self.train(name, job(run), upstream=above, force=True).version
            for threshold in shop.graph.thresholds_of(name):
                tune_threshold(self.registry, shop.graph, threshold.name, ADA, model=made[name])
            promote(self.registry, group, made[name].ref, ADA)

    def release(self, run: str = "first") -> Release:
        """Stage a whole new set, and release it."""
        self.stage(run)
        return release(self.registry, shop.graph.group("shop"), ADA)


@pytest.fixture(scope="session")
def shop_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Take the snapshot once; tests copy the registry that holds it."""
    folder = tmp_path_factory.mktemp("shop")
    write_shoppers(folder / "data", seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DATA_VARIABLE, str(folder / "data"))
        take_snapshot(Registry.open(str(folder / "registry")), shop.shoppers, ADA)
    return folder


@pytest.fixture(scope="session")
def trained_template(shop_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train every model of the shop once; tests copy the registry that holds them."""
    folder = tmp_path_factory.mktemp("trained") / "registry"
    shutil.copytree(shop_template / "registry", folder)
    open_shop(folder).train_all("leaving", "planning", "filling", "buying", "advising")
    return folder


@pytest.fixture(scope="session")
def released_template(shop_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Release the whole shop once; tests copy the registry that holds the release."""
    folder = tmp_path_factory.mktemp("released") / "registry"
    shutil.copytree(shop_template / "registry", folder)
    open_shop(folder).release()
    return folder


def open_shop(folder: Path) -> Shop:
    """Open a copied registry."""
    registry = Registry.open(str(folder))
    return Shop(registry=registry, snapshot=registry.state().snapshot("shoppers"))


@pytest.fixture
def desk(shop_template: Path, tmp_path: Path) -> Shop:
    """Sit down before a registry that holds one snapshot."""
    shutil.copytree(shop_template / "registry", tmp_path / "registry")
    return open_shop(tmp_path / "registry")


@pytest.fixture
def trained(trained_template: Path, tmp_path: Path) -> Shop:
    """Sit down before a registry that holds a version of each model."""
    shutil.copytree(trained_template, tmp_path / "registry")
    return open_shop(tmp_path / "registry")


@pytest.fixture
def released(released_template: Path, tmp_path: Path) -> Shop:
    """Sit down before a registry whose shop is released."""
    shutil.copytree(released_template, tmp_path / "registry")
    return open_shop(tmp_path / "registry")


Declare = Callable[..., Graph]


@pytest.fixture(scope="session")
def declare() -> Declare:
    """Declare one model of the shop otherwise, alone in a graph."""

    def make(model: Model = shop.leaving, **changes: Any) -> Graph:
        return Graph([replace(model, **changes)])

    return make


WriteModule = Callable[[str, str], ModuleType]


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WriteModule]:
    """Write a module of declarations into a folder that Python imports from, and import it, again if it is there."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)

    def write(name: str, text: str) -> ModuleType:
        path = folder.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)  # bytecode of the same second would be taken
        invalidate_caches()
        sys.modules.pop(name, None)
        return import_module(name)

    yield write
    made = {name: sys.modules[name] for name in set(sys.modules) - before}
    for name in [name for name, module in made.items() if _place_of(module).startswith(str(folder))]:
        del sys.modules[name]


def _place_of(module: ModuleType) -> str:
    """Where a module comes from; a plain folder of modules has no file."""
    return getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), "")
