"""Training and tuning where files were removed: trained anew, or refused with what is gone."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lockstep.decisions import tune_threshold
from lockstep.errors import VersionRemoved
from lockstep.registry import Registry, Removed, folder_of, read_manifest
from lockstep.registry.lineage import AnyVersion
from lockstep.training import load_model
from tests.training import shop
from tests.training.conftest import ADA, Shop


def remove(desk: Shop, version: AnyVersion) -> int:
    """Say in the log that the version's files are removed, and leave them there, as a killed retention does."""
    folder = folder_of(version.fact.manifest.path)
    entry = desk.registry.record(lambda _: Removed(folders=(folder,), size=0), ADA)
    assert entry is not None
    return entry.number


def meanwhile(desk: Shop, act: Callable[[], object]) -> Shop:
    """Sit down at a second handle, before whose next entry somebody else acts."""
    waiting = [act]

    def clock() -> datetime:
        while waiting:
            waiting.pop()()
        return datetime.now(UTC)

    return replace(desk, registry=Registry.open(desk.registry.uri, clock=clock))


def test_a_removed_version_is_trained_and_tuned_anew(desk: Shop) -> None:
    """The recipe of a removed version is not known any more: the same job makes both again, under other names."""
    first = desk.train("leaving").version
    tuned = tune_threshold(desk.registry, shop.graph, "call", ADA, model=first)
    assert not desk.train("leaving").is_new
    remove(desk, tuned.version)
    again = tune_threshold(desk.registry, shop.graph, "call", ADA, model=first)
    assert again.is_new
    assert read_manifest(desk.registry.objects, again.version.fact.manifest)["again"] == 1
    remove(desk, first)
    training = desk.train("leaving")
    assert training.is_new
    assert training.version.fact.recipe == first.fact.recipe
    assert folder_of(training.version.fact.manifest.path) != folder_of(first.fact.manifest.path)


def test_a_snapshot_that_is_removed_while_it_is_trained_on(desk: Shop) -> None:
    """A version is never recorded on a snapshot that was removed meanwhile, though its files could still be read."""
    number: list[int] = []
    other = meanwhile(desk, lambda: number.append(remove(desk, desk.snapshot)))
    with pytest.raises(VersionRemoved) as refused:
        other.train("leaving")
    assert str(refused.value) == (
        f"Snapshot shoppers@1: its files were removed by log entry {number[0]}; what the log says stays. Take a"
        " snapshot of the data as it is now."
    )
    assert desk.registry.state().models == {}


def test_a_model_that_is_removed_while_it_is_tuned_for(desk: Shop) -> None:
    """A threshold is never recorded for a model version that was removed meanwhile."""
    model = desk.train("leaving").version
    other = meanwhile(desk, lambda: remove(desk, model))
    with pytest.raises(VersionRemoved, match=r"^Model version leaving@1: its files were removed"):
        tune_threshold(other.registry, shop.graph, "call", ADA, model=model)
    assert desk.registry.state().thresholds == {}


def test_a_removed_model_is_told_as_that(desk: Shop) -> None:
    """Loading a model whose files are deleted says that they were removed, and not to restore them."""
    model = desk.train("leaving").version
    number = remove(desk, model)
    for path in desk.registry.objects.names(folder_of(model.fact.manifest.path)):
        desk.registry.objects.delete(path)
    with pytest.raises(VersionRemoved) as refused:
        load_model(desk.registry, model)
    assert str(refused.value) == (
        f"Model version leaving@1: its files were removed by log entry {number}; what the log says stays. Train it"
        " again."
    )
