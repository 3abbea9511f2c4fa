"""Tune a threshold for exactly one model version.

Rules:
- The value is chosen on the validation split of the snapshot that the model was trained on, and reported on its test
  split, as is how far the scores are probabilities. The manifest says how sure the value is.
- Where several values decide, they are one rule, and the manifest says the same of each of them and of each segment.
- The same threshold of the same model version under the same policy is not recorded twice.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from lockstep.data import SPLIT, read_snapshot
from lockstep.decisions.certainty import calibration_of, interval_of
from lockstep.decisions.choose import choose
from lockstep.decisions.curve import curve_of, report
from lockstep.decisions.rule import Form, Rule
from lockstep.decisions.segments import segments_of
from lockstep.decisions.several import Rows, choose_rule, curves_on, report_of, shape_of, takes_several
from lockstep.declare import Task, Threshold
from lockstep.errors import PolicyUnmet, UsageError
from lockstep.graph import Graph
from lockstep.policy import fixed
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
from lockstep.registry.removal import check_kept
from lockstep.training import Predictor, load_model, own_packages

CURVE = "curve.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What tuning gave: the version, and whether it is new or had been tuned before."""

    version: Version[ThresholdTuned]
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """What was chosen: one value or a rule, and what the manifest says of it."""

    value: float | None
    rule: Rule | None
    told: dict[str, Any]
    curves: dict[str, Any]


def tune_threshold(
    registry: Registry, graph: Graph, name: str, origin: Origin, *, model: Version[ModelTrained]
) -> Tuning:
    """Choose a threshold of the graph for a model version, and record it as a candidate.

    Raises:
        PolicyUnmet: no threshold on the validation split does what the policy asks; says what is the best that can be
            had.
        UsageError: the class that counts as yes is unknown to the model, or there are too many classes or segments.
        DataError: the column of the segments is not among the cleaned ones, or holds neither texts, ints nor bools.
        ObjectMissing, ObjectDamaged: a file is not what the log promises.
        VersionRemoved: the model version's files, or those of its snapshot, were removed.
    """
    return _tuned(registry, graph, graph.threshold(name), origin, model, {})


def adopt_threshold(
    registry: Registry,
    graph: Graph,
    name: str,
    value: float,
    origin: Origin,
    *,
    model: Version[ModelTrained],
    told: Mapping[str, Any],
) -> Tuning:
    """Record a value that is in use as a threshold of the graph for a model version, a candidate, with its reports.

    `told` says where it comes from, in the manifest, as `adopted`.

    Raises:
        UsageError: it takes more than one value to say what the threshold decides.
    """
    threshold = graph.threshold(name)
    if takes_several(threshold):
        raise UsageError(
            f'Threshold "{name}" decides by several values, of which one was given. Tune it instead: `lockstep train'
            f" {model.name}` does."
        )
    given = replace(threshold, choose=fixed(value))
    return _tuned(registry, graph, given, origin, model, {"adopted": dict(told)})


def _tuned(
    registry: Registry,
    graph: Graph,
    threshold: Threshold,
    origin: Origin,
    model: Version[ModelTrained],
    told: dict[str, Any],
) -> Tuning:
    name, recipe = threshold.name, _recipe(threshold, model)
    known = _known(registry.state(), name, recipe)
    if known is not None:
        registry.record(lambda _: None, origin)  # nothing to write; but what was found lasts from here on
        return Tuning(version=known, is_new=False)
    predictor = load_model(registry, model, own=own_packages(graph))
    rows = read_snapshot(registry, registry.state().snapshot_by_digest(model.fact.dataset, model.fact.snapshot))
    target, shape = graph.model_of(name).target, shape_of(threshold, predictor)
    validation, test = (
        _scored(predictor, threshold, shape, target, rows.filter(pl.col(SPLIT) == split))
        for split in ("validation", "test")
    )
    decided = _decide(threshold, model, shape, (validation, test), int(recipe[:16], 16))
    is_probability = predictor.task is Task.CLASSIFICATION
    manifest = {
        "kind": "threshold",
        "threshold": name,
        "model": model.name,
        "model_digest": model.digest,
        "model_version": model.ref,
        "policy": threshold.choose.describe(),
        "positive": threshold.positive,
        "score": "probability" if is_probability else "value",
        "value": decided.value,
        "calibration": calibration_of(test.own, test.positive) if is_probability else None,
        "recipe": recipe,
        "origin": asdict(origin),
        **decided.told,
        **told,
    }
    return _record(registry, model, origin, manifest, decided)


def _recipe(threshold: Threshold, model: Version[ModelTrained]) -> str:
    """What the choice depends on; what came later is in it only where it is used, so that older recipes stay known."""
    found = {
        "threshold": threshold.name,
        "model": model.digest,
        "policy": threshold.choose.describe(),
        "positive": threshold.positive,
    }
    if threshold.when == "below":
        found |= {"when": threshold.when}
    if threshold.per is not None:
        found |= {"per": threshold.per, "at_least_rows": threshold.fewest}
    return digest_of(found)


def _decide(
    threshold: Threshold, model: Version[ModelTrained], shape: Rule, rows: tuple[Rows, Rows], seed: int
) -> _Decided:
    """Choose on the first rows, those of the validation split, and report on both.

    Raises:
        PolicyUnmet: it says for which threshold, and on how many rows.
    """
    about, validation = f'Threshold "{threshold.name}" for {model.ref}', rows[0]
    if not len(validation.own):
        raise PolicyUnmet(f"{about}: the validation split has no row with a known target. Bring more data.")
    choose_on = _several if takes_several(threshold) else _one
    try:
        return choose_on(threshold, shape, *rows, seed)
    except PolicyUnmet as unmet:
        positives = 0 if validation.positive is None else int(validation.positive.sum())
        kind = "with the likeliest class right" if shape.form is Form.CLASS else "positive"
        raise PolicyUnmet(
            f"{about}, on {len(validation.own)} rows of the validation split, {positives} of them {kind}: {unmet}"
        ) from None


def _one(threshold: Threshold, _: Rule, validation: Rows, test: Rows, seed: int) -> _Decided:
    curve = curve_of(validation.own, validation.positive)
    value = choose(threshold.choose, curve)
    told = {
        "interval": interval_of(threshold.choose, curve, seed),
        "validation": report(value, validation.own, validation.positive),
        "test": report(value, test.own, test.positive),
    }
    curves = {
        "validation": curve.as_json(),
        "test": curve_of(test.own, test.positive).as_json() if len(test.own) else {},
    }
    return _Decided(value=value, rule=None, told=told, curves=curves)


def _several(threshold: Threshold, shape: Rule, validation: Rows, test: Rows, seed: int) -> _Decided:
    chosen = choose_rule(threshold, shape, validation, seed)
    told: dict[str, Any] = {
        "rule": chosen.rule.as_json(),
        "interval": chosen.interval,
        "validation": report_of(chosen.rule, validation),
        "test": report_of(chosen.rule, test),
    }
    if chosen.segments is not None:
        chosen_on, tested_on, nothing = validation.by_segment(), test.by_segment(), test.at(np.empty(0, dtype=np.intp))
        told["segments"] = [
            item
            | {
                "validation": report_of(chosen.rule, chosen_on[item["segment"]]),
                "test": report_of(chosen.rule, tested_on.get(item["segment"], nothing)),
            }
            for item in chosen.segments
        ]
    tested = curves_on(shape, threshold, test) if len(test.own) else {}
    curves = {
        "validation": {name: curve.as_json() for name, curve in chosen.curves.items()},
        "test": {name: curve.as_json() for name, curve in tested.items()},
    }
    return _Decided(value=None, rule=chosen.rule, told=told, curves=curves)


def _record(
    registry: Registry, model: Version[ModelTrained], origin: Origin, manifest: dict[str, Any], decided: _Decided
) -> Tuning:
    """Write the files of a version, and its entry."""
    name, recipe = manifest["threshold"], manifest["recipe"]
    files, removed = {CURVE: canonical_json(decided.curves)}, registry.state().removed
    ref = put_folder(registry.objects, f"thresholds/{name}", manifest, files, removed=removed)
    tuned = ThresholdTuned(
        threshold=name,
        digest=ref.sha256,
        manifest=ref,
        recipe=recipe,
        model=model.name,
        model_digest=model.digest,
        value=decided.value,
        rule=decided.rule.as_json() if decided.rule is not None else None,
    )

    def propose(state: State) -> ThresholdTuned | None:
        check_kept(state, model)
        return None if _known(state, name, recipe) else tuned

    entry = registry.record(propose, origin)
    version = registry.state().thresholds_by_recipe(name, recipe)[0]  # there by now, and once
    return Tuning(version=version, is_new=entry is not None)


def _known(state: State, name: str, recipe: str) -> Version[ThresholdTuned] | None:
    return next(reversed(state.thresholds_by_recipe(name, recipe)), None)


def _scored(predictor: Predictor, threshold: Threshold, shape: Rule, target: str, rows: pl.DataFrame) -> Rows:
    """The rows whose target is known, and which of them are positive: of the class, or answered right."""
    known = rows.filter(pl.col(target).is_not_null())
    segments = segments_of(known, threshold.per, threshold.name)
    if known.is_empty():
        width = max(len(predictor.classes), 1)
        return Rows(scores=np.empty((0, width)), own=np.empty(0), positive=None, segments=segments)
    scores = predictor.scores(known)
    own = shape.scores_of(scores)
    if predictor.task is Task.REGRESSION:
        return Rows(scores=scores, own=own, positive=None, segments=segments)
    if shape.form is Form.CLASS:
        likeliest = [predictor.classes[column] for column in scores.argmax(axis=1).tolist()]
        right = [label == true for label, true in zip(likeliest, known[target].to_list(), strict=True)]
        return Rows(scores=scores, own=own, positive=np.asarray(right, dtype=np.bool_), segments=segments)
    positive = predictor.classes[predictor.column_of(threshold.positive)]  # 1 means True, where the target is a bool
    return Rows(scores=scores, own=own, positive=(known[target] == positive).to_numpy(), segments=segments)
