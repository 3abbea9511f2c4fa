"""One release, loaded: everything that its APIs answer from.

Rules:
- It is complete before anybody sees it, verified file by file, and never changes.
- A row is parsed, cleaned and turned into features by the code that did so before training.
- A threshold decides only on the score of the model version that it was tuned for.
- A row that a model or `clean` can't use is answered with the reason, and harms no other.
- What is said of a row names columns and types; a value only where its own column does not take it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.decisions.rule import Rule, rule_of
from lockstep.decisions.segments import segments_of
from lockstep.declare import Column, Task
from lockstep.errors import DataError, ObjectDamaged, UsageError
from lockstep.graph import Graph
from lockstep.registry import ObjectRef, Registry, Release, read_manifest
from lockstep.serving.intake import Intake
from lockstep.training import Predictor, Scorer, load_model, load_scorer, own_packages

Answer = dict[str, Any]
MOST_FAILURES: Final = 100  # rows of one request that are tried alone
_SHOWN: Final = 200
_GIVEN_UP: Final = "too many rows of the request can't be used; send it in smaller ones to see which"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A threshold version, and the model whose scores it decides on."""

    name: str
    ref: str
    model: str
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """What answers for a model: "onnx" or "scikit-learn"; the reason is blank where it is the first."""

    through: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one API needs: its thresholds, the models that explain, and datasets with the models that read them."""

    cuts: Mapping[str, Cut]
    explains: Sequence[str]
    intakes: Mapping[str, Intake]
    models: Mapping[str, Sequence[str]]
    is_quick: bool


class _Unusable(Exception):
    """A model can't use the rows, or a `clean` can't; the message says which, as of one row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A release of a group; `models`, `scorers`, `refs` and `cuts` are by name, `plans` by API."""

    group: str
    release: str
    graph: Graph
    manifest: Mapping[str, Any]
    models: Mapping[str, Predictor]
    scorers: Mapping[str, Scorer]
    refs: Mapping[str, str]
    cuts: Mapping[str, Cut]
    plans: Mapping[str, Plan]

    @property
    def apis(self) -> Mapping[str, Mapping[str, Sequence[str]]]:
        """API → the thresholds by which it decides, and the models by which it explains."""
        found: Mapping[str, Mapping[str, Sequence[str]]] = self.manifest["apis"]
        return found

    @property
    def answering(self) -> Mapping[str, Answering]:
        """Model → how it answers."""
        return {
            name: Answering(through="scikit-learn" if scorer.reason else "onnx", reason=scorer.reason)
            for name, scorer in self.scorers.items()
        }

    def columns(self, api: str) -> Mapping[str, Mapping[str, Column]]:
        """Dataset → the columns of a row that the API is asked about (`UsageError` if there is no such API)."""
        return {name: intake.columns for name, intake in self._plan(api).intakes.items()}

    def is_quick(self, api: str) -> bool:
        """Whether a few rows are decided in a millisecond or so; an unknown API is refused quickly, too."""
        return api not in self.plans or self.plans[api].is_quick

    def decide(self, api: str, rows: Sequence[Mapping[str, Any]], numbers: Sequence[int] | None = None) -> list[Answer]:
        """An answer for each row, in order; one that can't be used is answered with `error` and its reason.

        Args:
            api: of the release.
            rows: of one request, or of several.
            numbers: the place of each row in its request; by default they are one request.

        Raises:
            UsageError: the release has no such API.
        """
        plan, answers = self._plan(api), [{"api": api, "release": self.release} for _ in rows]
        every = numbers if numbers is not None else range(len(rows))
        waiting, failures = [range(len(rows))], 0
        while waiting:
            places = waiting.pop()
            try:
                found = self._decide(plan, [rows[i] for i in places], [every[i] for i in places])
            except _Unusable as error:
                failures += 1
                middle = len(places) // 2
                if middle == 0:
                    found = [{"error": str(error)}]
                elif failures > MOST_FAILURES:
                    found = [{"error": _GIVEN_UP} for _ in places]
                else:
                    waiting += [places[middle:], places[:middle]]
                    continue
            for place, part in zip(places, found, strict=True):
                answers[place].update(part)
        return answers

    def _plan(self, api: str) -> Plan:
        if api not in self.plans:
            raise UsageError(
                f'API "{api}" is not in release {self.release[:12]} of group "{self.group}", which has'
                f" {', '.join(self.plans)}."
            )
        return self.plans[api]

    def _decide(self, plan: Plan, rows: Sequence[Mapping[str, Any]], numbers: Sequence[int]) -> list[Answer]:
        """What is added to each answer."""
        found: list[Answer] = [{} for _ in rows]
        for name, intake in plan.intakes.items():
            try:
                taken = intake.take(rows, numbers)
            except DataError as error:
                kind = type(error.__cause__ or error).__name__
                raise _Unusable(f'the clean of dataset "{name}" can\'t use this row ({kind})') from error
            for place, reason in taken.errors.items():
                found[place]["error"] = reason
            if taken.frame is None:
                continue
            scores = self._scores(plan.models[name], taken.frame)
            self._compose(plan, taken.frame, taken.places, scores, found)
            for place, key in zip(taken.places, taken.keys, strict=True):
                found[place].setdefault("key", key)
        return [{"error": part["error"]} if "error" in part else part for part in found]

    def _scores(self, models: Sequence[str], frame: pl.DataFrame) -> dict[str, NDArray[np.float64]]:
        known: dict[tuple[str, bool], NDArray[np.float64]] = {}
        found = {}
        for name in models:
            try:
                found[name] = self.scorers[name].scores(frame, known)
            except DataError:
                raise
            except Exception as error:
                said = f"{type(error).__name__}: {error}"[:_SHOWN]
                raise _Unusable(f'model "{name}" can\'t use this row: {said}') from error
        return found

    def _compose(
        self,
        plan: Plan,
        frame: pl.DataFrame,
        places: Sequence[int],
        scores: Mapping[str, NDArray[np.float64]],
        found: Sequence[Answer],
    ) -> None:
        """Add the decisions and explanations that the scores of one dataset's models give."""
        for place in places:
            found[place].setdefault("decisions", {})
            found[place].setdefault("explanations", {})
        for name, cut in plan.cuts.items():
            if cut.model in scores:
                for place, decision in zip(places, self._decisions(cut, frame, scores[cut.model]), strict=True):
                    found[place]["decisions"][name] = decision
        for name in plan.explains:
            if name in scores:
                for place, one in zip(places, scores[name], strict=True):
                    found[place]["explanations"][name] = self._explain(name, one)

    def _decisions(self, cut: Cut, frame: pl.DataFrame, scores: NDArray[np.float64]) -> list[Answer]:
        rule, model = cut.rule, self.models[cut.model]
        segments = segments_of(frame, rule.per, cut.name)
        codes, own = rule.decide(scores, segments).tolist(), rule.scores_of(scores).tolist()
        word, names = _score_word(model), {"version": cut.ref, "model": self.refs[cut.model]}
        asked = zip(codes, segments or [None] * len(codes), own, strict=True)
        return [{**rule.answer(code, segment), word: score, **names} for code, segment, score in asked]

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
    """Load and verify everything that a release names; it raises what `load_set` raises."""
    manifest = read_manifest(registry.objects, release.manifest)
    return load_set(registry, graph, release.group, release.digest, manifest)


def load_set(registry: Registry, graph: Graph, group: str, digest: str, manifest: Mapping[str, Any]) -> Loaded:
    """Load and verify a set of versions: a release, or what may become one.

    Raises:
        ObjectMissing, ObjectDamaged: a file is not what the log promises, or a threshold belongs to another model
            version.
        UsageError: the set has a model that the declarations don't know.
    """
    state = registry.state()
    members, own = manifest["members"], own_packages(graph)
    models = {
        member["name"]: load_model(registry, state.model_by_digest(member["name"], member["digest"]), own=own)
        for key, member in members.items()
        if key.startswith("model:")
    }
    for name in models:
        graph.model(name)
    cuts = {
        member["name"]: _cut(registry, group, digest, member, models[member["model"]])
        for key, member in members.items()
        if key.startswith("threshold:")
    }
    scorers = {name: load_scorer(registry, model) for name, model in models.items()}
    plans = {api: _plan_of(graph, models, scorers, cuts, described) for api, described in manifest["apis"].items()}
    return Loaded(
        group=group,
        release=digest,
        graph=graph,
        manifest=manifest,
        models=models,
        scorers=scorers,
        refs={name: f"{name}@{members[f'model:{name}']['number']}" for name in models},
        cuts=cuts,
        plans=plans,
    )


def _cut(registry: Registry, group: str, digest: str, member: Mapping[str, Any], model: Predictor) -> Cut:
    described = read_manifest(registry.objects, ObjectRef(**member["manifest"]))
    if described["model_digest"] != model.digest:
        raise ObjectDamaged(
            f"Release {digest[:12]}: threshold {member['name']}@{member['number']} was tuned for"
            f" {described['model_version']}, which is not the version of {member['model']} in it. Roll back:"
            f" `lockstep rollback {group}`."
        )
    rule = rule_of(described, model.column_of)
    return Cut(name=member["name"], ref=f"{member['name']}@{member['number']}", model=member["model"], rule=rule)


def _plan_of(
    graph: Graph,
    models: Mapping[str, Predictor],
    scorers: Mapping[str, Scorer],
    cuts: Mapping[str, Cut],
    api: Mapping[str, Sequence[str]],
) -> Plan:
    own = {name: cuts[name] for name in api["decides"]}
    needed = list(dict.fromkeys([*(cut.model for cut in own.values()), *api["explains"]]))
    datasets = {graph.model(name).data.name: graph.model(name).data for name in needed}
    asked = {dataset: [name for name in needed if graph.model(name).data.name == dataset] for dataset in datasets}
    intakes = {}
    for name, dataset in datasets.items():
        labels = {node.target for node in map(graph.model, models) if node.data.name == name}
        used = {feature for model in asked[name] for feature in _features(models[model])}
        used |= {cut.rule.per for cut in own.values() if cut.model in asked[name] and cut.rule.per is not None}
        columns = {
            column: replace(declared, nullable=True) if column in labels - used else declared
            for column, declared in dataset.schema.items()
        }
        intakes[name] = Intake(dataset, columns)
    return Plan(
        cuts=own,
        explains=api["explains"],
        intakes=intakes,
        models=asked,
        is_quick=all(scorers[name].is_quick for name in needed),
    )


def _features(model: Predictor) -> set[str]:
    return set(model.features).union(*(_features(above) for above in model.upstream))


def _score_word(model: Predictor) -> str:
    return "value" if model.task is Task.REGRESSION else "probability"
