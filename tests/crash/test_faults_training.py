"""Whichever call of the store fails while something is trained, all stays whole, and the retry ends as it should."""

import shutil
from itertools import count, cycle
from pathlib import Path
from typing import Any

import pytest

from lockstep.data import take_snapshot
from lockstep.data.sources import DATA_VARIABLE
from lockstep.decisions import tune_threshold
from lockstep.places import Direct
from lockstep.registry import Log, Objects, Origin, Registry
from lockstep.registry.entries import path_of
from lockstep.training import resolve_upstream, train_model
from tests.crash.conftest import Report
from tests.crash.trial import Act, Copy, Trial, everything, recipes
from tests.crash.weather import WRITES, Fault
from tests.training import shop
from tests.training.conftest import ADA, write_shoppers

GROUP = shop.graph.group("shop")
IN_ONE_THREAD = Direct(workers=1)


def train(name: str, *, force: bool = False) -> Act:
    """Make the operation that trains a model on the newest snapshot and the newest versions that it builds on."""

    def act(registry: Registry, origin: Origin) -> object:
        state = registry.state()
        made = {above.name: state.model(above.name).digest for above in shop.graph.upstream(name)}
        return train_model(
            registry,
            shop.graph,
            name,
            origin,
            snapshot=state.snapshot("shoppers"),
            upstream=resolve_upstream(shop.graph, name, state, made),
            force=force,
        )

    return act


def tune(registry: Registry, origin: Origin) -> object:
    """Tune a threshold for the newest version of its model."""
    return tune_threshold(registry, shop.graph, "offer", origin, model=registry.state().model("leaving"))


ACTS: dict[str, Act] = {"train": train("planning"), "train again": train("leaving", force=True), "tune": tune}


@pytest.fixture(scope="module")
def trained(shop_template: Path) -> str:
    """Train one model, so that another run of it is forced, and a threshold can be tuned."""
    registry = Registry.open(str(shop_template / "registry"))
    train("leaving")(registry, ADA)
    return registry.uri


@pytest.mark.parametrize(
    ("act", "copy"),
    [("train", "file"), ("train again", "memory"), ("tune", "file"), ("tune", "memory")],
    indirect=["copy"],
)
def test_any_fault_while_training(trained: str, act: str, copy: Copy, report: Report) -> None:
    """After any fault of a training or tuning all is whole; the retry ends as if there had been none."""
    trial, turn = Trial(ACTS[act], trained, copy, GROUP, everything if act == "tune" else recipes), count()
    injected = sum(trial.run({place: fault}, in_one_process=next(turn) % 2 == 0) for place, fault in trial.faults())
    report(calls=len(trial.calls), faults=injected, violations=0)


@pytest.mark.parametrize("copy", ["file"], indirect=True)
def test_any_fault_while_a_snapshot_is_taken(
    tmp_path: Path, copy: Copy, monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    """A fault at any call that is made beside the pipeline leaves all whole, and the retry takes the same snapshot."""
    write_shoppers(tmp_path / "data", seed=1, rows=2)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "data"))
    empty = Registry.open(str(tmp_path / "empty"))

    def act(registry: Registry, origin: Origin) -> object:
        return take_snapshot(registry, shop.shoppers, origin, engine=IN_ONE_THREAD)

    trial, kinds = Trial(act, empty.uri, copy, GROUP), cycle(Fault)
    faults = [(place, next(kinds) if name in WRITES else Fault.REFUSED) for place, name in enumerate(trial.calls, 1)]
    injected = sum(trial.run({place: fault}, in_one_process=False) for place, fault in faults)
    report(calls=len(trial.calls), faults=injected, violations=0)


class Synced(Objects):
    """Objects that remember what this handle has brought onto the disk."""

    def __init__(self, *opened: Any) -> None:
        super().__init__(*opened)
        self.lasting: set[str] = set()

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object, and note it."""
        is_new = super().put_new(path, data)
        self.lasting |= {path} if is_new else set()
        return is_new

    def sync(self, path: str) -> None:
        """Sync an object, and note it."""
        super().sync(path)
        self.lasting.add(path)


def test_what_a_killed_attempt_left_is_synced(tmp_path: Path, shop_template: Path) -> None:
    """A snapshot whose manifest stands there already, but perhaps not on the disk, is recorded once it lasts."""
    shutil.copytree(shop_template / "registry" / "datasets", tmp_path / "registry" / "datasets")  # but not the log
    objects = Synced.open((tmp_path / "registry").as_uri())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DATA_VARIABLE, str(shop_template / "data"))
        taken = take_snapshot(Registry(objects, Log(objects)), shop.shoppers, ADA)
    assert taken.number == 1
    assert taken.fact.manifest.path in objects.lasting


@pytest.mark.parametrize("act", ["train", "tune"])
def test_what_a_killed_attempt_recorded_is_synced(tmp_path: Path, shop_template: Path, act: str) -> None:
    """A version that is found recorded, but perhaps not on the disk, is told once its entry lasts."""
    shutil.copytree(shop_template / "registry", tmp_path / "registry")
    registry = Registry.open((tmp_path / "registry").as_uri())
    train("leaving")(registry, ADA)
    if act == "tune":
        tune(registry, ADA)
    retried = Synced.open(registry.uri)
    (train("leaving") if act == "train" else tune)(Registry(retried, Log(retried)), ADA)
    assert path_of(registry.state().head) in retried.lasting
