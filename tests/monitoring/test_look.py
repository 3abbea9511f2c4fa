"""Whether a released shop is to be retrained: now, and at each point of its past."""

from pathlib import Path

import pytest

from lockstep import Graph, age, any_of, drift, rows_added
from lockstep.data import take_snapshot
from lockstep.data.sources import DATA_VARIABLE
from lockstep.errors import UsageError
from lockstep.monitoring import look, look_back
from tests.training import shop
from tests.training.conftest import ADA, Shop, write_shoppers

RULE = any_of(drift(psi=0.2, columns=["spend"]), rows_added(0.5), age(days=1))
GRAPH = Graph(
    [node for node in shop.graph.nodes if type(node).__name__ in ("Api", "Model")], name="shop", retrain_when=RULE
)


def add_snapshot(released: Shop, folder: Path, monkeypatch: pytest.MonkeyPatch, *, rows: int) -> str:
    """Take a snapshot of other shoppers."""
    write_shoppers(folder, seed=2, rows=rows)
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    return take_snapshot(released.registry, shop.shoppers, ADA).ref


def test_it_is_due_once_there_are_rows_enough(released: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before there is newer data it is not, by the same rule; what it is about changes with the data."""
    before = look(released.registry, GRAPH, "shop")
    assert not before.is_due
    assert before.says == (
        "shop is not to be retrained: there is no newer data than shoppers@1, on which it was trained."
    )
    ref = add_snapshot(released, tmp_path / "data", monkeypatch, rows=700)
    after = look(released.registry, GRAPH, "shop")
    assert (after.is_due, after.says, after.snapshots) == (True, "shop is to be retrained.", (ref,))
    assert [one.is_met for one in after.answers] == [False, True, False]
    assert after.answers[1].says == "shoppers@2 has 666 rows, shoppers@1 has 384 (+73.4%)"
    assert after.about != before.about
    assert look(released.registry, GRAPH, "shop").about == after.about


def test_what_was_trained_on_it_already_is_not_trained_again(
    released: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is due until each model has a version on the newest snapshot, and after that when there is newer data."""
    add_snapshot(released, tmp_path / "data", monkeypatch, rows=700)
    newer = Shop(registry=released.registry, snapshot=released.registry.state().snapshot("shoppers"))
    newer.train_all("leaving", "planning", "filling", "buying")
    assert look(released.registry, GRAPH, "shop").is_due
    above = {model.name: newer.registry.state().model(model.name) for model in shop.graph.upstream("advising")}
    newer.train("advising", upstream=above)
    assert "no newer data than shoppers@2" in look(released.registry, GRAPH, "shop").says
    add_snapshot(released, tmp_path / "data", monkeypatch, rows=720)
    found = look(released.registry, GRAPH, "shop")
    assert (found.is_due, found.snapshots) == (False, ("shoppers@3",))
    assert found.answers[1].says.startswith("shoppers@3 has 6")


def test_the_past_is_looked_at_as_it_was(released: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was in production at the first snapshot; it fires at the second, and not at the release on it."""
    add_snapshot(released, tmp_path / "data", monkeypatch, rows=700)
    Shop(registry=released.registry, snapshot=released.registry.state().snapshot("shoppers")).release("second")
    moments = list(look_back(released.registry, GRAPH, "shop"))
    assert [(one.what, one.due.is_due) for one in moments if one.due is not None] == [
        ("shoppers@1 was taken", False),
        ("released", False),
        ("shoppers@2 was taken", True),
        ("released", False),
    ]
    assert moments[0].due is not None
    assert "nothing of it is in production" in moments[0].due.says
    assert not look(released.registry, GRAPH, "shop").is_due


def test_a_graph_without_a_rule_is_told_how_to_declare_one(released: Shop) -> None:
    """The message names the group, and shows a rule."""
    with pytest.raises(UsageError, match="does not say when to retrain"):
        look(released.registry, shop.graph, "shop")
