"""IBM's Telco customers: served alone, served together and trained on, a row has the same features and scores."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from groups.churn import customers, graph
from lockstep import Graph, csv
from lockstep.data import parse_rows, read_snapshot, take_snapshot
from lockstep.data.few import Few, as_frame
from lockstep.decisions import tune_threshold
from lockstep.registry import Origin, Registry
from lockstep.release import promote, release
from lockstep.serving import Decider
from lockstep.training import load_model, resolve_upstream, train_model
from tests.data.conftest import telco_csv

__all__ = ["telco_csv"]
ADA = Origin(by="ada")
EACH = 7  # one row in so many is also served alone


def released(telco: Path, folder: Path) -> tuple[Registry, Graph, pl.DataFrame]:
    """Train, tune and release the churn group on the file; give all rows of the snapshot."""
    registry = Registry.open(str(folder / "registry"))
    snapshot = take_snapshot(registry, replace(customers, source=csv(str(telco))), ADA)
    made: dict[str, str] = {}
    for name in ("churn", "churn_reason"):
        upstream = resolve_upstream(graph, name, registry.state(), made)
        version = train_model(registry, graph, name, ADA, snapshot=snapshot, upstream=upstream).version
        made[name] = version.digest
        for threshold in graph.thresholds_of(name):
            tune_threshold(registry, graph, threshold.name, ADA, model=version)
        promote(registry, graph.group("churn"), version.ref, ADA)
    release(registry, graph.group("churn"), ADA)
    return registry, graph, pl.concat([read_snapshot(registry, snapshot, name) for name in _SPLITS])


_SPLITS = ("train", "validation", "test")


@pytest.mark.slow
def test_a_row_is_the_same_alone_among_others_and_in_training(telco_csv: Path, tmp_path: Path) -> None:
    """As text and as typed JSON: equal features, ONNX within 1e-6 of scikit-learn, and scikit-learn equal to itself."""
    pytest.importorskip("skl2onnx", reason='needs the extra "onnx": pip install -e ".[onnx]"')
    registry, declared, trained = released(telco_csv, tmp_path)
    decider = Decider(registry, [declared])
    decider.refresh()
    loaded = decider.releases["churn"]
    assert loaded.answering["churn"].through == "onnx"
    assert loaded.answering["churn_reason"].through == "scikit-learn"
    raw = {row["customerID"]: row for row in pl.read_csv(telco_csv, infer_schema=False).to_dicts()}
    keys = trained["customerID"].to_list()
    intake = loaded.plans["offers"].intakes["customers"]
    texts = [raw[key] for key in keys]
    together = intake.take(texts, range(len(texts)))
    assert together.key_list == keys
    features = trained.drop("_split")
    assert together.rows is not None
    assert as_frame(together.rows).equals(features)
    typed = [json.loads(json.dumps(row)) for row in _parsed(texts).to_dicts()]
    for place in range(0, len(keys), EACH):
        one = intake.take([typed[place]], [0])
        assert isinstance(one.rows, Few)  # without polars, and as by polars
        assert {name: values[0] for name, values in one.rows.values.items()} == features.row(place, named=True)
        assert one.rows.frame.equals(features[place])
    state = registry.state()
    churn, reason = (load_model(registry, state.model(name)) for name in ("churn", "churn_reason"))
    expected, why = churn.scores(features)[:, 1], reason.scores(features)
    many = decider.decide("offers", texts)
    np.testing.assert_allclose([_score(answer) for answer in many], expected, rtol=0, atol=1e-6)
    said = [list(answer["explanations"]["churn_reason"]["probabilities"].values()) for answer in many]
    np.testing.assert_array_equal(said, why)
    for place in range(0, len(keys), EACH * 10):
        (alone,) = decider.decide("offers", [typed[place]])
        assert (
            alone["decisions"]["retention_offer"]["decision"] == many[place]["decisions"]["retention_offer"]["decision"]
        )
        assert _score(alone) == pytest.approx(expected[place], abs=1e-6)
        np.testing.assert_array_equal(list(alone["explanations"]["churn_reason"]["probabilities"].values()), why[place])


def _score(answer: dict[str, Any]) -> float:
    return answer["decisions"]["retention_offer"]["probability"]


def _parsed(rows: list[dict[str, str]]) -> pl.DataFrame:
    return parse_rows(pl.DataFrame(rows), customers.schema).good
