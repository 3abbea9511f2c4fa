"""One release, loaded: everything that its APIs answer from.

Rules:
- It is complete before anybody sees it, verified file by file, and never changes.
- A row is parsed, cleaned and turned into features by the code that did so before training.
- A threshold decides only on the score of the model version that it was tuned for.
- A row that a model or `clean` can't use is answered with the reason, and harms no other.
- What is said of a row names columns and types; a value only where its own column does not take it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.data.few import Rows as CleanRows
from lockstep.data.few import as_frame
from lockstep.decisions.rule import Form, Rule, rule_of
from lockstep.decisions.segments import segments_of
from lockstep.declare import Column, Task
from lockstep.errors import DataError, ObjectDamaged, UsageError
from lockstep.graph import Graph
from lockstep.registry import ObjectRef, Registry, Release, read_manifest
from lockstep.serving.intake import Intake, Keys, Taken
from lockstep.serving.wide import Row
from lockstep.training import Predictor, Scorer, load_model, load_scorer, own_packages

Answer = dict[str, Any]
Rows = Sequence[Row]
Scores = NDArray[np.float64]
MOST_FAILURES: Final = 100  # rows of one request that are tried alone
_SHOWN: Final = 200
_GIVEN_UP: Final = "too many rows of the request can't be used; send it in smaller ones to see which"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A threshold version, and the model whose scores it decides on.

    Attributes:
        names: what each of its answers says of the versions.
        word: what its answers call the score.
    """

    name: str
    model: str
    rule: Rule
    names: Mapping[str, str]
    word: str
    _plain: Sequence[Answer] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        codes = range(len(self.rule.outcomes)) if self.rule.per is None else ()
        plain = [{**self.rule.answer(code), self.word: 0.0, **self.names} for code in codes]
        object.__setattr__(self, "_plain", plain)  # once: there are as many answers as outcomes, but for the score

    def answers(self, rows: CleanRows, scores: Scores) -> list[Answer]:
        """What it decides on each row."""
        rule, word = self.rule, self.word
        segments = None if rule.per is None else segments_of(as_frame(rows), rule.per, self.name)
        codes, own = rule.decide(scores, segments).tolist(), rule.scores_of(scores).tolist()
        if segments is None and rule.form is not Form.BAND:  # an answer of a band has a dict of its own
            plain = self._plain
            return [{**plain[code], word: score} for code, score in zip(codes, own, strict=True)]
        asked = zip(codes, segments or [None] * len(codes), own, strict=True)
        return [{**rule.answer(code, segment), word: score, **self.names} for code, segment, score in asked]


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

    def decide(self, api: str, rows: Rows, numbers: Sequence[int] | None = None) -> list[Answer]:
        """An answer for each row, in order; one that can't be used is answered with `error` and its reason.

        Args:
            api: of the release.
            rows: of one request, or of several.
            numbers: the place of each row in its request; by default they are one request.

        Raises:
            UsageError: the release has no such API.
        """
        plan, every = self._plan(api), numbers if numbers is not None else range(len(rows))
        try:
            return self._decide(api, plan, rows, every)
        except _Unusable as error:
            if len(rows) == 1:
                return [self._refused(api, str(error))]
        return self._divide(api, plan, rows, every)

    def _divide(self, api: str, plan: Plan, rows: Rows, numbers: Sequence[int]) -> list[Answer]:
        """As `decide`, where some rows spoil it for the others: by halves, until these stand alone."""
        answers: list[Answer] = []
        middle, failures = len(rows) // 2, 1
        waiting = [range(middle, len(rows)), range(middle)]
        while waiting:
            places = waiting.pop()
            try:
                answers += self._decide(api, plan, [rows[i] for i in places], [numbers[i] for i in places])
            except _Unusable as error:
                failures += 1
                middle = len(places) // 2
                if middle == 0:
                    answers.append(self._refused(api, str(error)))
                elif failures > MOST_FAILURES:
                    answers += [self._refused(api, _GIVEN_UP) for _ in places]
                else:
                    waiting += [places[middle:], places[:middle]]
        return answers

    def _refused(self, api: str, reason: str) -> Answer:
        return {"api": api, "release": self.release, "error": reason}

    def score(self, api: str, rows: Rows) -> tuple[pl.DataFrame, Keys, dict[str, Scores]] | None:
        """The cleaned rows, their keys, and their scores by model, of models that a threshold of the API decides on.

        None where one can't be used, where `clean` gives another order, or where `decide` would answer them out of
        several datasets.

        Raises:
            UsageError: the release has no such API.
        """
        plan = self._plan(api)
        if len(plan.intakes) != 1:
            return None
        ((name, intake),) = plan.intakes.items()
        models = [model for model in plan.models[name] if any(cut.model == model for cut in plan.cuts.values())]
        try:
            taken = self._taken(name, intake, rows, range(len(rows)))
            if taken.rows is None or taken.places != range(len(rows)):
                return None
            scores = self._scores(models, taken.rows)
        except _Unusable:
            return None
        return as_frame(taken.rows), taken.keys, scores

    def _plan(self, api: str) -> Plan:
        if api not in self.plans:
            raise UsageError(
                f'API "{api}" is not in release {self.release[:12]} of group "{self.group}", which has'
                f" {', '.join(self.plans)}."
            )
        return self.plans[api]

    def _decide(self, api: str, plan: Plan, rows: Rows, numbers: Sequence[int]) -> list[Answer]:
        """An answer for each row."""
        decisions: list[Answer] = [{} for _ in rows]
        explanations: list[Answer] = [{} for _ in rows]
        keys: dict[int, Any] = {}
        errors: dict[int, str] = {}
        for name, intake in plan.intakes.items():
            taken = self._taken(name, intake, rows, numbers)
            errors |= taken.errors
            if taken.rows is None:
                continue
            scores = self._scores(plan.models[name], taken.rows)
            for threshold, cut in plan.cuts.items():
                if cut.model in scores:
                    for place, one in zip(taken.places, cut.answers(taken.rows, scores[cut.model]), strict=True):
                        decisions[place][threshold] = one
            for model in plan.explains:
                if model in scores:
                    for place, of_one in zip(taken.places, scores[model], strict=True):
                        explanations[place][model] = self._explain(model, of_one)
            keys = dict(zip(taken.places, taken.key_list, strict=True)) | keys
        release = self.release
        return [
            self._refused(api, errors[place])
            if place in errors
            else {"api": api, "release": release, "key": keys[place], "decisions": decided, "explanations": explained}
            for place, (decided, explained) in enumerate(zip(decisions, explanations, strict=True))
        ]

    def _taken(self, name: str, intake: Intake, rows: Rows, numbers: Sequence[int]) -> Taken:
        try:
            return intake.take(rows, numbers)
        except DataError as error:
            kind = type(error.__cause__ or error).__name__
            raise _Unusable(f'the clean of dataset "{name}" can\'t use this row ({kind})') from error

    def _scores(self, models: Sequence[str], rows: CleanRows) -> dict[str, Scores]:
        known: dict[tuple[str, bool], Scores] = {}
        found = {}
        for name in models:
            try:
                found[name] = self.scorers[name].scores(rows, known)
            except DataError:
                raise
            except Exception as error:
                said = f"{type(error).__name__}: {error}"[:_SHOWN]
                raise _Unusable(f'model "{name}" can\'t use this row: {said}') from error
        return found

    def _explain(self, name: str, scores: Scores) -> Answer:
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
    refs = {name: f"{name}@{members[f'model:{name}']['number']}" for name in models}
    cuts = {
        member["name"]: _cut(registry, group, digest, member, models[member["model"]], refs[member["model"]])
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
        refs=refs,
        cuts=cuts,
        plans=plans,
    )


def _cut(registry: Registry, group: str, digest: str, member: Mapping[str, Any], model: Predictor, ref: str) -> Cut:
    described = read_manifest(registry.objects, ObjectRef(**member["manifest"]))
    if described["model_digest"] != model.digest:
        raise ObjectDamaged(
            f"Release {digest[:12]}: threshold {member['name']}@{member['number']} was tuned for"
            f" {described['model_version']}, which is not the version of {member['model']} in it. Roll back:"
            f" `lockstep rollback {group}`."
        )
    return Cut(
        name=member["name"],
        model=member["model"],
        rule=rule_of(described, model.column_of),
        names={"version": f"{member['name']}@{member['number']}", "model": ref},
        word="value" if model.task is Task.REGRESSION else "probability",
    )


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
