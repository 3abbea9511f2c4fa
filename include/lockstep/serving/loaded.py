"""One release, loaded: everything that its APIs answer from.

Rules:
- It is complete before anybody sees it, verified file by file, and never changes.
- A row is parsed, cleaned and turned into features by the code that did so before training.
- A threshold decides only on the score of the model version that it was tuned for.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.data import clean_rows, parse_rows
from lockstep.declare import Column, Dataset, Task
from lockstep.errors import ObjectDamaged, UsageError
from lockstep.graph import Graph
from lockstep.registry import ObjectRef, Registry, Release, read_manifest
from lockstep.training import Predictor, load_model

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A threshold version: decides "yes" where the probability of `positive` is at least `value`."""

    ref: str
    model: str
    positive: Any
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A release of a group; `models` and `cuts` are by name, `refs` says the number of each model's version."""

    group: str
    release: str
    graph: Graph
    apis: Mapping[str, Mapping[str, Sequence[str]]]
    models: Mapping[str, Predictor]
    refs: Mapping[str, str]
    cuts: Mapping[str, Cut]

    def decide(self, api: str, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """An answer for each row, in order; one that can't be used is answered with `error` and its reason.

        Raises:
            UsageError: the release has no such API.
        """
        if api not in self.apis:
            raise UsageError(
                f'API "{api}" is not in release {self.release[:12]} of group "{self.group}", which has'
                f" {', '.join(self.apis)}."
            )
        cuts = {name: self.cuts[name] for name in self.apis[api]["decides"]}
        needed = list(dict.fromkeys([*(cut.model for cut in cuts.values()), *self.apis[api]["explains"]]))
        answers: list[Answer] = [{"api": api, "release": self.release} for _ in rows]
        parts: dict[str, dict[int, Answer]] = {}
        for dataset in {self.graph.model(name).data.name: self.graph.model(name).data for name in needed}.values():
            own = [name for name in needed if self.graph.model(name).data.name == dataset.name]
            frame, errors = self._prepare(dataset, own, rows)
            for place, reason in errors.items():
                answers[place]["error"] = reason
            for name in own:
                parts[name] = self._predict(name, dataset.key, frame)
        for place, answer in enumerate(answers):
            if "error" not in answer:
                answer.update(self._compose(place, cuts, self.apis[api]["explains"], parts))
        return answers

    def _prepare(
        self, dataset: Dataset, models: list[str], rows: Sequence[Mapping[str, Any]]
    ) -> tuple[pl.DataFrame, dict[int, str]]:
        """Cleaned rows with their `place` among those asked for, and the reasons of the others."""
        schema, given = self._schema(dataset, models), [dict(row) for row in rows]
        errors: dict[int, str] = {}
        for place, row in enumerate(given):
            if row.get(dataset.key) is None:
                row[dataset.key] = f"row {place}" if schema[dataset.key].kind == "str" else place
            missing = [name for name, column in schema.items() if name not in row and not column.nullable]
            if missing:
                errors[place] = f"columns {', '.join(missing)} are missing; needed are {', '.join(_needed(schema))}"
        usable = [place for place in range(len(given)) if place not in errors]
        if not usable:
            return pl.DataFrame(schema={dataset.key: pl.String, "place": pl.Int64}), errors
        text = pl.DataFrame(
            {name: [_as_text(given[place].get(name)) for place in usable] for name in schema},
            schema=dict.fromkeys(schema, pl.String),
        ).with_columns(_line=pl.Series(usable, dtype=pl.Int64))
        parsed = parse_rows(text, schema)
        errors |= dict(parsed.bad.select("_line", "_reason").iter_rows())
        frames = [self._clean(dataset, part, errors) for part in _with_unique_keys(parsed.good, dataset.key)]
        return pl.concat(frames) if frames else parsed.good.rename({"_line": "place"}), errors

    def _clean(self, dataset: Dataset, rows: pl.DataFrame, errors: dict[int, str]) -> pl.DataFrame:
        places = rows.select(dataset.key, place="_line")
        cleaned = clean_rows(dataset, rows.drop("_line"))
        kept = cleaned.join(places, on=dataset.key, how="left", maintain_order="left")
        for place in set(places["place"].to_list()) - set(kept["place"].to_list()):
            errors[place] = "left out by clean"
        return kept

    def _schema(self, dataset: Dataset, models: list[str]) -> dict[str, Column]:
        """The declared columns; those that only serve as labels may be missing."""
        labels = {node.target for node in map(self.graph.model, self.models) if node.data.name == dataset.name}
        features = {name for model in models for name in _features(self.models[model])}
        return {
            name: replace(column, nullable=True) if name in labels - features else column
            for name, column in dataset.schema.items()
        }

    def _predict(self, name: str, key: str, frame: pl.DataFrame) -> dict[int, Answer]:
        """Place → key and scores of one model."""
        if frame.is_empty():
            return {}
        scores = self.models[name].scores(frame)
        keys = frame[key].to_list()
        return {place: {"key": keys[i], "scores": scores[i]} for i, place in enumerate(frame["place"].to_list())}

    def _compose(
        self, place: int, cuts: Mapping[str, Cut], explains: Sequence[str], parts: Mapping[str, dict[int, Answer]]
    ) -> Answer:
        decisions = {}
        for name, cut in cuts.items():
            model = self.models[cut.model]
            score = float(parts[cut.model][place]["scores"][model.column_of(cut.positive)])
            decisions[name] = {
                "decision": bool(score >= cut.value),
                _score_word(model): score,
                "threshold": cut.value,
                "version": cut.ref,
                "model": self.refs[cut.model],
            }
        first = next(iter(parts.values()))
        explanations = {name: self._explain(name, parts[name][place]["scores"]) for name in explains}
        return {"key": first[place]["key"], "decisions": decisions, "explanations": explanations}

    def _explain(self, name: str, scores: NDArray[np.float64]) -> Answer:
        model = self.models[name]
        if model.task is Task.REGRESSION:
            return {"prediction": float(scores[0]), "model": self.refs[name]}
        return {
            "prediction": model.classes[int(scores.argmax())],
            "probabilities": {str(label): float(score) for label, score in zip(model.classes, scores, strict=True)},
            "model": self.refs[name],
        }


def load_release(registry: Registry, graph: Graph, release: Release) -> Loaded:
    """Load and verify everything that a release names.

    Raises:
        ObjectMissing, ObjectDamaged: a file is not what the log promises, or a threshold belongs to another model
            version.
        UsageError: the release has a model that the declarations don't know.
    """
    manifest = read_manifest(registry.objects, release.manifest)
    state = registry.state()
    members = manifest["members"]
    models = {
        member["name"]: load_model(registry, state.model_by_digest(member["name"], member["digest"]))
        for key, member in members.items()
        if key.startswith("model:")
    }
    cuts: dict[str, Cut] = {}
    for key, member in members.items():
        if not key.startswith("threshold:"):
            continue
        described = read_manifest(registry.objects, ObjectRef(**member["manifest"]))
        if described["model_digest"] != models[member["model"]].digest:
            raise ObjectDamaged(
                f"Release {release.short}: threshold {member['name']}@{member['number']} was tuned for"
                f" {described['model_version']}, which is not the version of {member['model']} in it. Roll back:"
                f" `lockstep rollback {release.group}`."
            )
        cuts[member["name"]] = Cut(
            ref=f"{member['name']}@{member['number']}",
            model=member["model"],
            positive=described["positive"],
            value=described["value"],
        )
    for name in models:
        graph.model(name)
    return Loaded(
        group=release.group,
        release=release.digest,
        graph=graph,
        apis=manifest["apis"],
        models=models,
        refs={name: f"{name}@{members[f'model:{name}']['number']}" for name in models},
        cuts=cuts,
    )


def _features(model: Predictor) -> set[str]:
    return set(model.features).union(*(_features(above) for above in model.upstream))


def _score_word(model: Predictor) -> str:
    return "value" if model.task is Task.REGRESSION else "probability"


def _needed(schema: Mapping[str, Column]) -> list[str]:
    return [name for name, column in schema.items() if not column.nullable]


def _as_text(value: Any) -> str | None:  # noqa: ANN401  JSON
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _with_unique_keys(rows: pl.DataFrame, key: str) -> list[pl.DataFrame]:
    """The rows in as few frames as it takes for no key to stand twice in one, since `clean` needs that."""
    if rows.is_empty():
        return []
    turn = rows.with_columns(_turn=pl.int_range(pl.len()).over(key))
    return [part.drop("_turn") for part in turn.partition_by("_turn", maintain_order=True)]
