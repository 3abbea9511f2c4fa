"""A set of versions that decide together: a release, or what stands in staging, loaded from its manifest.

Rules:
- Each file is verified before it is used, and no model version is loaded twice, whatever sets it is in.
- A threshold decides only on the score of the model version that it was tuned for.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.decisions.rule import Codes, Rule, rule_of
from lockstep.decisions.segments import segments_of
from lockstep.errors import ObjectDamaged
from lockstep.graph import Graph
from lockstep.registry import ObjectRef, Registry, read_manifest
from lockstep.training import Predictor, load_model, own_packages

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A threshold version: decides by `rule` on the scores of a model; `positive` is the class that counts as yes."""

    name: str
    ref: str
    model: str
    positive: Any
    rule: Rule

    def decide(self, rows: pl.DataFrame, scores: Floats) -> Codes:
        """What is decided on rows by the model's scores of them: places in `rule.outcomes` (shape n).

        Raises:
            DataError: the column of the segments is not there.
        """
        return self.rule.decide(scores, self.segments(rows))

    def segments(self, rows: pl.DataFrame) -> list[Any] | None:
        """The segment of each row, where the rule has segments."""
        return segments_of(rows, self.rule.per, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """The members of one set, by name. `refs` says the version of each model, `decides` the thresholds of each API."""

    digest: str
    models: Mapping[str, Predictor]
    refs: Mapping[str, str]
    cuts: Mapping[str, Cut]
    decides: Mapping[str, tuple[str, ...]]

    def only(self, names: Container[str]) -> "Members":
        """The models of these names, and the thresholds that cut their scores."""
        models = {name: model for name, model in self.models.items() if name in names}
        cuts = {name: cut for name, cut in self.cuts.items() if cut.model in models}
        return replace(self, models=models, cuts=cuts)

    @property
    def versions(self) -> dict[str, str]:
        """Each member and its version, as people write it."""
        return {**self.refs, **{name: cut.ref for name, cut in self.cuts.items()}}


class Loader:
    """Loads sets of one group, and keeps what several of them share."""

    def __init__(self, registry: Registry, graph: Graph) -> None:
        self._registry, self._own = registry, own_packages(graph)
        self._loaded: dict[str, Predictor] = {}

    def load(self, digest: str, manifest: Mapping[str, Any]) -> Members:
        """The set of a release manifest that has that digest.

        Raises:
            ObjectMissing, ObjectDamaged: a file is not what the log promises, or a threshold was tuned for another
                model version.
        """
        members = manifest["members"].items()
        models = {member["name"]: member for key, member in members if key.startswith("model:")}
        thresholds = {member["name"]: member for key, member in members if key.startswith("threshold:")}
        return Members(
            digest=digest,
            models={name: self._model(name, member["digest"]) for name, member in models.items()},
            refs={name: f"{name}@{member['number']}" for name, member in models.items()},
            cuts={name: self._cut(member, models) for name, member in thresholds.items()},
            decides={name: tuple(api["decides"]) for name, api in manifest["apis"].items()},
        )

    def _model(self, name: str, digest: str) -> Predictor:
        if digest not in self._loaded:
            version = self._registry.state().model_by_digest(name, digest)
            self._loaded[digest] = load_model(self._registry, version, own=self._own)
        return self._loaded[digest]

    def _cut(self, member: Mapping[str, Any], models: Mapping[str, Any]) -> Cut:
        described = read_manifest(self._registry.objects, ObjectRef(**member["manifest"]))
        ref = f"{member['name']}@{member['number']}"
        if described["model_digest"] != models[member["model"]]["digest"]:
            raise ObjectDamaged(
                f"Threshold version {ref} was tuned for {described['model_version']}, which is not the version of"
                f" {member['model']} beside it. Tune and promote it again."
            )
        model = self._loaded[models[member["model"]]["digest"]]
        return Cut(
            name=member["name"],
            ref=ref,
            model=member["model"],
            positive=described["positive"],
            rule=rule_of(described, model.column_of),
        )
