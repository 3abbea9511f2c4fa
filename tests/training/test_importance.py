"""What a manifest keeps of a model for later looks: the columns that it looks at, and how its scores are spread."""

import pytest

from lockstep.data import read_snapshot
from lockstep.registry import read_manifest
from lockstep.training import load_model
from lockstep.training.importance import importance_of
from lockstep.training.spread import spread_of
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
