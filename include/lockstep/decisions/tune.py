"""Tune a threshold for exactly one model version.

Rules:
- The value is chosen on the validation split of the snapshot that the model was trained on, and reported on its test
  split.
- The same threshold of the same model version under the same policy is not recorded twice.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.data import SPLIT, read_snapshot
from lockstep.decisions.choose import choose
from lockstep.decisions.curve import curve_of, report
from lockstep.declare import Task, Threshold
from lockstep.errors import PolicyUnmet
from lockstep.graph import Graph
from lockstep.registry import (
    ModelTrained,
    Origin,
    Registry,
    State,
    ThresholdTuned,
    Version,
    canonical_json,
    digest_of,
    put_folder,
)
from lockstep.training import Predictor, load_model

CURVE = "curve.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What tuning gave: the version, and whether it is new or had been tuned before."""

    version: Version[ThresholdTuned]
    is_new: bool


def tune_threshold(
    registry: Registry, graph: Graph, name: str, origin: Origin, *, model: Version[ModelTrained]
) -> Tuning:
    """Choose a threshold of the graph for a model version, and record it as a candidate.

    Raises:
        PolicyUnmet: no threshold on the validation split does what the policy asks; says what is the best that can be
            had.
        UsageError: the class that counts as yes is unknown to the model.
        ObjectMissing, ObjectDamaged: a file is not what the log promises.
    """
    threshold = graph.threshold(name)
    policy = threshold.choose.describe()
    recipe = digest_of({"threshold": name, "model": model.digest, "policy": policy, "positive": threshold.positive})
    known = _known(registry.state(), name, recipe)
    if known is not None:
        return Tuning(version=known, is_new=False)
    predictor = load_model(registry, model)
    rows = read_snapshot(registry, registry.state().snapshot_by_digest(model.fact.dataset, model.fact.snapshot))
    target = graph.model_of(name).target
    validation = _scored(predictor, threshold, target, rows.filter(pl.col(SPLIT) == "validation"))
    test = _scored(predictor, threshold, target, rows.filter(pl.col(SPLIT) == "test"))
    value, curve = _choose(threshold, model, *validation)
    manifest = {
        "kind": "threshold",
        "threshold": name,
        "model": model.name,
        "model_digest": model.digest,
        "model_version": model.ref,
        "policy": policy,
        "positive": threshold.positive,
        "score": "probability" if predictor.task is Task.CLASSIFICATION else "value",
        "value": value,
        "validation": report(value, *validation),
        "test": report(value, *test),
        "recipe": recipe,
        "origin": asdict(origin),
    }
    curves = {"validation": curve, "test": curve_of(*test).as_json() if len(test[0]) else {}}
    ref = put_folder(registry.objects, f"thresholds/{name}", manifest, {CURVE: canonical_json(curves)})
    tuned = ThresholdTuned(
        threshold=name,
        digest=ref.sha256,
        manifest=ref,
        recipe=recipe,
        model=model.name,
        model_digest=model.digest,
        value=value,
    )
    entry = registry.record(lambda state: None if _known(state, name, recipe) else tuned, origin)
    version = next(v for v in registry.state().thresholds[name] if v.fact.recipe == recipe)  # there by now, and once
    return Tuning(version=version, is_new=entry is not None)


def _known(state: State, name: str, recipe: str) -> Version[ThresholdTuned] | None:
    return next((v for v in reversed(state.thresholds.get(name, ())) if v.fact.recipe == recipe), None)


def _scored(
    predictor: Predictor, threshold: Threshold, target: str, rows: pl.DataFrame
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Scores (shape n) of the rows whose target is known, and which of them are positive."""
    known = rows.filter(pl.col(target).is_not_null())
    if known.is_empty():
        return np.empty(0), None
    scores = predictor.score(known, threshold.positive)
    if predictor.task is Task.REGRESSION:
        return scores, None
    positive = predictor.classes[predictor.column_of(threshold.positive)]  # 1 means True, where the target is a bool
    return scores, (known[target] == positive).to_numpy()


def _choose(
    threshold: Threshold, model: Version[Any], scores: NDArray[np.float64], positive: NDArray[np.bool_] | None
) -> tuple[float, dict[str, list[float]]]:
    about = f'Threshold "{threshold.name}" for {model.ref}'
    if not len(scores):
        raise PolicyUnmet(f"{about}: the validation split has no row with a known target. Bring more data.")
    curve = curve_of(scores, positive)
    try:
        return choose(threshold.choose, curve), curve.as_json()
    except PolicyUnmet as unmet:
        raise PolicyUnmet(
            f"{about}, on {curve.rows} rows of the validation split, {curve.positives} of them positive: {unmet}"
        ) from None
