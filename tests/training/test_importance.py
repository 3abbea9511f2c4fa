"""What a manifest keeps of a model for later looks: the columns that it looks at, and how its scores are spread."""

import numpy as np
import pytest

from lockstep.data import read_snapshot
from lockstep.registry import read_manifest
from lockstep.training import load_model
from lockstep.training.importance import importance_of, spread_of
from tests.training.conftest import Shop


@pytest.mark.parametrize("name", ["leaving", "planning", "filling"])
def test_the_manifest_keeps_both(trained: Shop, name: str) -> None:
    """Importance is that of the validation split, of the dataset's columns alone; scores are those of two splits."""
    state = trained.registry.state()
    version = state.models[name][-1]
    manifest = read_manifest(trained.registry.objects, version.fact.manifest)
    model = load_model(trained.registry, version, own=frozenset({"tests"}))
    rows = read_snapshot(trained.registry, state.snapshot("shoppers"), "validation")
    assert manifest["importance"] == importance_of(model, manifest["target"], rows)
    assert sum(manifest["importance"].values()) == pytest.approx(1)
    assert manifest["importance"].keys() <= set(rows.columns)
    assert manifest["target"] not in manifest["importance"]
    known = rows.filter(rows[manifest["target"]].is_not_null())
    assert manifest["scores"]["validation"] == spread_of(model.classes, model.scores(known))
    for split in ("validation", "test"):
        assert {one["rows"] for one in manifest["scores"][split].values()} == {manifest["rows"][split]}


def test_the_spread_is_exact_and_small() -> None:
    """Quantiles are values that are there, from the least to the greatest, as many for a million rows as for three."""
    values = np.random.default_rng(1).random(100_000)
    (found,) = spread_of((False, True), np.stack([1 - values, values], axis=1)).values()
    assert found["mean"] == pytest.approx(values.mean())
    assert found["quantiles"] == sorted(set(found["quantiles"]))
    assert {*found["quantiles"]} <= {*values.tolist()}
    assert (found["quantiles"][0], found["quantiles"][-1]) == (values.min(), values.max())
    for place in (10, 50, 90):
        assert np.mean(values <= found["quantiles"][place]) == pytest.approx(place / 100, abs=1e-5)
    few = spread_of((), np.array([[1.0], [2.0], [3.0]]))
    assert len(few["value"]["quantiles"]) == len(found["quantiles"]) == 101
    assert list(spread_of(("a", "b", "c"), np.full((2, 3), 1 / 3))) == ["a", "b", "c"]
