"""What a training needs to know, as one value that JSON can say: made where the graph is known, carried out anywhere.

Rules:
- A plan and the registry are enough to carry it out; no declaration is looked at again.
- A recipe is the snapshot, the upstream versions, the parameters, the code and what is declared of features and target.
- A plan written as JSON and read again is the same plan, down to the order of names.
- Planning writes nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

from pydantic import ConfigDict

from lockstep.declare import Expectation, Model
from lockstep.errors import TrainingError
from lockstep.graph import Graph
from lockstep.registry import ModelTrained, ObjectRef, Registry, SnapshotTaken, Version, digest_of, sha256_of
from lockstep.training.audit import own_packages
from lockstep.training.call import call_of, is_json, name_of, recorded_call
from lockstep.training.evaluate import check_expectations
from lockstep.training.features import Lesson, all_upstream, lesson_of
from lockstep.training.fit import build_estimator
from lockstep.training.source import Source, source_of

UNREPEATABLE: Final = "unrepeatable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One training of one model.

    Attributes:
        recipe: hash of all that decides what the training gives.
        lesson: what is to be learned, by which model.
        function: the name of the function that makes the estimator.
        call: how to call it (`recalled`); or why it can't be found by name (`unrepeatable`).
        parameters: for the estimator's `set_params`.
        expects: metric and bound, in the order of the declaration.
        snapshot: the version of the dataset, as `customers@3`.
        builds_on: name and digest of each model version that this one builds on, in the order of the declaration.
        own: the team's packages, whose types a model file may hold.
        source: where the source archive stands, or is to stand.
        code: SHA-256 of the model's own code.
        commit, dirty: what git says of the code.
        force: train even if the recipe has been trained.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    recipe: str
    lesson: Lesson
    function: str
    call: dict[str, Any]
    parameters: dict[str, Any]
    expects: tuple[tuple[str, Expectation], ...]
    snapshot: str
    builds_on: tuple[tuple[str, str], ...]
    own: tuple[str, ...]
    source: ObjectRef
    code: str
    commit: str
    dirty: bool
    force: bool

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.lesson.model

    @property
    def upstream(self) -> dict[str, str]:
        """Name → digest of the versions that it builds on."""
        return dict(self.builds_on)

    def check_portable(self) -> None:
        """Refuse a plan that only this process can carry out.

        Raises:
            TrainingError: the estimator can't be made by name, or a parameter is more than JSON can say.
        """
        if why := self.call.get(UNREPEATABLE):
            raise TrainingError(
                f'Model "{self.model}" can\'t be trained elsewhere: {why}. Nothing was submitted. Use an importable'
                " function, and give it numbers, texts, lists and dicts; or train it here, where=local()."
            )
        for name, value in self.parameters.items():
            if not is_json(value):
                raise TrainingError(
                    f'Model "{self.model}" can\'t be trained elsewhere: its parameter {name} is {value!r}, which JSON'
                    " can't say exactly. Nothing was submitted. Use numbers, texts, lists and dicts."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan with what only this process has: the archive of the source, and an unfitted estimator."""

    plan: Plan
    archive: bytes
    estimator: Any

    def keep_source(self, registry: Registry) -> None:
        """Write the source archive, or find it there."""
        registry.objects.put(self.plan.source.path, self.archive)


def plan_training(
    graph: Graph,
    name: str,
    *,
    snapshot: Version[SnapshotTaken],
    upstream: Mapping[str, Version[ModelTrained]],
    parameters: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Planned:
    """Plan to train a model of the graph; the arguments are those of `train_model`.

    Raises:
        UsageError: an unknown model, parameter or metric.
        TrainingError: the estimator can't be built, or its code has no file.
    """
    model, chosen = graph.model(name), dict(parameters or {})
    check_expectations(model)
    estimator = build_estimator(name, model.task, model.estimator, chosen)
    lesson, source = lesson_of(graph, model), source_of(model, all_upstream(graph, model))
    sha256 = sha256_of(source.archive)
    plan = Plan(
        recipe=_recipe_of(model, lesson, source, snapshot, upstream, chosen),
        lesson=lesson,
        function=name_of(model.estimator),
        call=recorded_call(model.estimator),
        parameters=chosen,
        expects=tuple(model.expects.items()),
        snapshot=snapshot.ref,
        builds_on=tuple((above, version.digest) for above, version in upstream.items()),
        own=tuple(sorted(own_packages(graph))),
        source=ObjectRef(path=f"sources/{sha256}.tar.gz", sha256=sha256, size=len(source.archive)),
        code=source.code,
        commit=source.commit,
        dirty=source.dirty,
        force=force,
    )
    return Planned(plan=plan, archive=source.archive, estimator=estimator)


def _recipe_of(
    model: Model,
    lesson: Lesson,
    source: Source,
    snapshot: Version[SnapshotTaken],
    upstream: Mapping[str, Version[ModelTrained]],
    parameters: Mapping[str, Any],
) -> str:
    return digest_of(
        {
            "model": model.name,
            "snapshot": snapshot.digest,
            "upstream": {above: version.digest for above, version in upstream.items()},
            "parameters": parameters,
            "source": source.code,
            "estimator": call_of(model.estimator),
            "target": model.target,
            "hidden": lesson.hidden,
            "expects": {metric: asdict(bound) for metric, bound in model.expects.items()},
        }
    )
