"""A release group as pure data: what must be released together, and how its members hang together.

Rules:
- A group holds names only, no functions, so that it can be written to JSON: a trigger carries it into another process,
  a release manifest keeps it.
- Gate, promotion, release and rollback look at a group and the registry's state, at nothing else.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Self

from lockstep.conditions import Condition, as_json, from_json


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupModel:
    """A member model. `shared`: siblings on the same dataset must have the same snapshot."""

    name: str
    dataset: str
    shared: bool
    deprecated_after: date | None
    builds_on: tuple[str, ...]
    thresholds: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupApi:
    """An API, the members that answer it, and the APIs that must not contradict it on a key of the column `on`."""

    name: str
    decides: tuple[str, ...]
    explains: tuple[str, ...]
    agrees_with: tuple[str, ...] = ()
    on: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A release group; models stand after those they build on."""

    name: str
    models: tuple[GroupModel, ...]
    apis: tuple[GroupApi, ...]
    release_if: tuple[Condition, ...] = ()

    @property
    def nodes(self) -> frozenset[str]:
        """Names of all models, thresholds and APIs."""
        models = {model.name for model in self.models}
        return frozenset(models | {api.name for api in self.apis} | set(self.model_of_threshold))

    @property
    def model_of_threshold(self) -> dict[str, str]:
        """Threshold name → name of the model whose score it cuts."""
        return {threshold: model.name for model in self.models for threshold in model.thresholds}

    def as_json(self) -> dict[str, Any]:
        """The group as JSON values; `from_json` reads it."""
        plain = asdict(self)
        for model in plain["models"]:
            model["deprecated_after"] = model["deprecated_after"] and model["deprecated_after"].isoformat()
        return plain | {"release_if": [as_json(condition) for condition in self.release_if]}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """The group that `as_json` wrote; an older Lockstep knew no agreements and no conditions."""
        return cls(
            name=plain["name"],
            models=tuple(
                GroupModel(
                    name=model["name"],
                    dataset=model["dataset"],
                    shared=model["shared"],
                    deprecated_after=date.fromisoformat(model["deprecated_after"])
                    if model["deprecated_after"]
                    else None,
                    builds_on=tuple(model["builds_on"]),
                    thresholds=tuple(model["thresholds"]),
                )
                for model in plain["models"]
            ),
            apis=tuple(
                GroupApi(
                    name=api["name"],
                    decides=tuple(api["decides"]),
                    explains=tuple(api["explains"]),
                    agrees_with=tuple(api.get("agrees_with", ())),
                    on=api.get("on", ""),
                )
                for api in plain["apis"]
            ),
            release_if=tuple(map(from_json, plain.get("release_if", ()))),
        )
