"""Thin operators: each calls one function of the core.

Rules:
- An operator holds declarations; what a run decides (which models, parameters, versions) comes in by templates.
- What it returns (and XCom keeps) is small: names, numbers and digests, never data.
- Killed and tried again, it ends in the same state: the core finds what the first attempt has recorded.
"""

import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from lockstep.graph import Graph
from lockstep.group import Group
from lockstep.registry import Origin, Registry
from lockstep_airflow.links import VersionLink
from lockstep_airflow.tasks import open_registry, origin_of, reported

if TYPE_CHECKING:
    from lockstep.data import Runner


class LockstepOperator(BaseOperator):
    """Base: opens the registry, tells who it is, links to the version that it `made`."""

    ui_color = "#e0f2fe"
    operator_extra_links = (VersionLink(),)

    def __init__(self, *, registry: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.registry = registry
        self.made = ""

    def execute(self, context: Context) -> dict[str, Any]:
        """Do the work, and log what it gave."""
        with reported():
            found = self.work(open_registry(self.registry), origin_of(context), context)
        self.log.info("%s", json.dumps(found, ensure_ascii=False))
        return found

    @abstractmethod
    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:
        """The one call into the core; returns JSON values."""


class _ChosenModels(LockstepOperator):
    """Runs only if the run's `models` (a JSON list; blank: all) holds one of those that it works for."""

    template_fields: Sequence[str] = ("models",)

    def __init__(self, *, works_for: Sequence[str], models: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.works_for = tuple(works_for)
        self.models = models

    def execute(self, context: Context) -> dict[str, Any]:
        """As the base, if it was asked for."""
        chosen = json.loads(self.models) if self.models else list(self.works_for)
        if not set(chosen) & set(self.works_for):
            raise AirflowSkipException(
                f"This run trains {', '.join(chosen) or 'nothing'}, not {', '.join(self.works_for)}."
            )
        return super().execute(context)


class SnapshotOperator(_ChosenModels):
    """Takes a snapshot of a dataset, on Beam (`runner`: by default the direct one)."""

    def __init__(self, *, graph: Graph, dataset: str, runner: "Runner | None" = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.graph, self.dataset, self.runner = graph, dataset, runner

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.data.take_snapshot`."""
        from lockstep.data import DIRECT, take_snapshot

        version = take_snapshot(registry, self.graph.dataset(self.dataset), origin, runner=self.runner or DIRECT)
        self.made = version.ref
        return {
            "version": version.ref,
            "digest": version.digest,
            "rows": version.fact.rows,
            "quarantined": version.fact.quarantined,
        }


class TrainOperator(_ChosenModels):
    """Trains a model: a candidate.

    Args:
        snapshot: template; the version of the dataset, as `customers@3`.
        upstream: template; JSON object, upstream model → digest of the version that this run made, or blank.
        parameters: template; JSON object, model → name → value for the estimator's `set_params`.
        force: template; "true" to train a recipe again.
    """

    template_fields: Sequence[str] = ("models", "snapshot", "upstream", "parameters", "force")

    def __init__(
        self,
        *,
        graph: Graph,
        model: str,
        snapshot: str,
        upstream: str = "{}",
        parameters: str = "{}",
        force: str = "false",
        **kwargs: Any,
    ) -> None:
        super().__init__(works_for=[model], **kwargs)
        self.graph, self.model = graph, model
        self.snapshot, self.upstream, self.parameters, self.force = snapshot, upstream, parameters, force

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.training.train_model`."""
        from lockstep.training import resolve_upstream, train_model

        state = registry.state()
        training = train_model(
            registry,
            self.graph,
            self.model,
            origin,
            snapshot=state.snapshot(self.snapshot),
            upstream=resolve_upstream(self.graph, self.model, state, json.loads(self.upstream)),
            parameters=json.loads(self.parameters).get(self.model, {}),
            force=self.force.lower() == "true",
        )
        version = training.version
        self.made = version.ref
        return {
            "version": version.ref,
            "digest": version.digest,
            "new": training.is_new,
            "metrics": version.fact.metrics,
            "missed": list(version.fact.missed),
        }


class TuneOperator(LockstepOperator):
    """Tunes a threshold for one model version (`model_digest`: template)."""

    template_fields: Sequence[str] = ("model_digest",)

    def __init__(self, *, graph: Graph, threshold: str, model_digest: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.graph, self.threshold, self.model_digest = graph, threshold, model_digest

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.decisions.tune_threshold`."""
        from lockstep.decisions import tune_threshold

        model = registry.state().model_by_digest(self.graph.model_of(self.threshold).name, self.model_digest)
        tuning = tune_threshold(registry, self.graph, self.threshold, origin, model=model)
        version = tuning.version
        self.made = version.ref
        return {"version": version.ref, "digest": version.digest, "new": tuning.is_new, "value": version.fact.value}


class PromoteOperator(LockstepOperator):
    """Moves a version with its thresholds to staging, and tells so by the event of the group's staging asset.

    Args:
        version: template; as `churn@3`, or several with blanks between, which move together.
        wanted: template; "true", or the task is skipped.
    """

    template_fields: Sequence[str] = ("version", "wanted")

    def __init__(self, *, group: Group, staging: Asset, version: str, wanted: str = "true", **kwargs: Any) -> None:
        super().__init__(outlets=[staging], **kwargs)
        self.group, self.staging, self.version, self.wanted = group, staging, version, wanted

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:
        """`lockstep.release.promote`."""
        from lockstep.release import promote

        if self.wanted.lower() != "true":
            raise AirflowSkipException("This run was not asked to promote; the versions stay candidates.")
        done = promote(registry, self.group, self.version.replace(",", " ").split(), origin)
        refs = [version.ref for version in done.versions]
        self.made = refs[0]
        context["outlet_events"][self.staging].extra = {"group": self.group.name, "versions": [*refs]}
        return {"group": self.group.name, "staging": refs, "entry": done.entry.number if done.entry else None}


class ReleaseOperator(LockstepOperator):
    """Releases what stands in staging: one entry, or nothing."""

    def __init__(self, *, group: Group, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group = group

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.release.release`."""
        from lockstep.release import release

        done = release(registry, self.group, origin)
        return {
            "group": done.group,
            "release": done.digest,
            "entry": done.recorded.number,
            "members": dict(done.members),
        }


class RollbackOperator(LockstepOperator):
    """Puts an earlier release back (`to`: template; the first characters of a release, blank: the one before)."""

    template_fields: Sequence[str] = ("to",)

    def __init__(self, *, group: Group, to: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group, self.to = group, to

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.release.rollback`."""
        from lockstep.release import rollback

        done = rollback(registry, self.group, origin, to=self.to.strip() or None)
        return {
            "group": done.group,
            "release": done.digest,
            "left": done.left,
            "entry": done.recorded.number,
            "members": dict(done.members),
        }
