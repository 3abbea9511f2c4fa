"""Thin operators: each calls one function of the core.

Rules:
- An operator holds declarations; what a run decides (which models, parameters, versions) comes in by templates.
- What it returns (and XCom keeps) is small: names, numbers and digests, never data.
- Killed and tried again, it ends in the same state: the core finds what the first attempt has recorded.
"""

import json
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, BaseOperator, BaseOperatorLink, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from lockstep.graph import Graph
from lockstep.group import Group
from lockstep.registry import Origin, Registry
from lockstep_airflow import metrics, openlineage, tracing
from lockstep_airflow.links import VersionLink
from lockstep_airflow.tasks import open_registry, origin_of, registry_of_run, reported


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a task has done, for those who are told of it afterwards."""

    registry: Registry
    origin: Origin
    found: dict[str, Any]


class LockstepOperator(BaseOperator):
    """Base: opens the registry, tells who it is, links to the version that it `made`.

    `counts` names the figure that it adds to, if it moves versions between stages.
    """

    ui_color = "#e0f2fe"
    counts = ""
    operator_extra_links: tuple[BaseOperatorLink, ...] = (VersionLink(),)

    def __init__(self, *, registry: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.registry = registry
        self.made = ""
        self.done: Done | None = None
        self.flow: openlineage.Flow | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Do the work, and log what it gave."""
        return self.carried_out(context, self.work)

    def carried_out(
        self, context: Context, work: Callable[[Registry, Origin, Context], dict[str, Any]]
    ) -> dict[str, Any]:
        """Do what is given, and log what it gave; a task that was resumed has something else to do than at first."""
        with reported(), tracing.part(self) as span:
            other = registry_of_run(context)
            registry, origin = open_registry(self.registry, other), origin_of(context)
            found = work(registry, origin, context)
            tracing.say(span, found)
        self.done = Done(registry=registry, origin=origin, found=found)
        metrics.of_task(self, self.done)
        self.flow = openlineage.kept(self, self.done)
        if other:
            self.made = ""  # Airflow's page of a version reads the usual registry
        self.log.info("%s", json.dumps(found, ensure_ascii=False))
        return found

    def get_openlineage_facets_on_start(self) -> None:
        """Nothing is known before the work is done."""

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ANN401, ARG002  OpenLineage's types, which need not be installed
        """What Airflow's OpenLineage provider asks for, in a process of its own, when the task has ended."""
        return None if self.flow is None else openlineage.as_provider_reads(self.flow)

    @abstractmethod
    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:
        """The one call into the core; returns JSON values."""


class ChosenModels(LockstepOperator):
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
        found = {"version": version.ref, "digest": version.digest, "new": tuning.is_new, "value": version.fact.value}
        return found | ({} if version.fact.rule is None else {"rule": version.fact.rule})


class PromoteOperator(LockstepOperator):
    """Moves a version with its thresholds to staging, and tells so by the event of the group's staging asset.

    Args:
        version: template; as `churn@3`, or several with blanks between, which move together.
        wanted: template; "true", or the task is skipped.
    """

    counts = "promotions"
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
    """Releases what stands in staging: one entry, or nothing. `needs` as for `lockstep.release.release`."""

    counts = "releases"

    def __init__(self, *, group: Group, needs: str = "gate", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group, self.needs = group, needs

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.release.release`."""
        from lockstep.release import Needs, release

        done = release(registry, self.group, origin, needs=Needs(self.needs))
        return {
            "group": done.group,
            "release": done.digest,
            "entry": done.recorded.number,
            "members": dict(done.members),
        }


class RollbackOperator(LockstepOperator):
    """Puts an earlier release back, and the group on hold.

    Args:
        to: template; the first characters of a release, blank: the one before.
    """

    counts = "rollbacks"
    template_fields: Sequence[str] = ("to",)

    def __init__(self, *, group: Group, to: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group, self.to = group, to

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.release.rollback`."""
        from lockstep.release import rollback

        done = rollback(registry, self.group, origin, to=self.to.strip() or None)
        self.log.info("%s is on hold now: nothing of it is released until %s_resume lifts that.", *[done.group] * 2)
        return {
            "group": done.group,
            "release": done.digest,
            "left": done.left,
            "entry": done.recorded.number,
            "members": dict(done.members),
            "on_hold": True,
        }


class HoldOperator(LockstepOperator):
    """Puts a group on hold."""

    operator_extra_links = ()

    def __init__(self, *, group: Group, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group = group

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.release.hold`."""
        from lockstep.release import hold

        done = hold(registry, self.group, origin)
        return {"group": done.group, "on_hold": done.is_on, "entry": done.recorded.number}


class ResumeOperator(LockstepOperator):
    """Lifts the hold on a group."""

    operator_extra_links = ()

    def __init__(self, *, group: Group, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group = group

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.release.resume`."""
        from lockstep.release import resume

        done = resume(registry, self.group, origin)
        return {"group": done.group, "on_hold": done.is_on, "entry": done.recorded.number}


class VerifyOperator(LockstepOperator):
    """Compares all that stands in the registry with its log, and fails if something is broken.

    Args:
        quick: template; "true" to compare names and sizes only.
    """

    operator_extra_links = ()
    template_fields: Sequence[str] = ("quick",)

    def __init__(self, *, quick: str = "false", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quick = quick

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.upkeep.verify.verify`; each finding is a line of the task's log."""
        from lockstep.upkeep.verify import Depth, verify

        verification = verify(registry, depth=Depth.QUICK if self.quick.lower() == "true" else Depth.WHOLE)
        for finding in verification:
            self.log.warning("%s", finding.as_text())
        if not verification.is_sound:
            raise AirflowFailException(
                f"Registry {registry.uri} is broken in {verification.counts.errors} places. This task's log names each,"
                " and what to do. `lockstep verify` looks again."
            )
        return verification.as_json()


class RetainOperator(LockstepOperator):
    """Deletes the files of old versions that nobody needs.

    Args:
        keep: template; how many of the newest versions of each name stay.
        older_than: template; in days; what is younger stays.
        rollbacks: template; how many releases before production stay whole.
        decisions: template; in days; what the decision log says of older ones goes.
        is_dry_run: template; "true" to say what would go, and change nothing.
    """

    operator_extra_links = ()
    template_fields: Sequence[str] = ("keep", "older_than", "rollbacks", "decisions", "is_dry_run")

    def __init__(
        self,
        *,
        keep: str = "10",
        older_than: str = "30",
        rollbacks: str = "5",
        decisions: str = "90",
        is_dry_run: str = "false",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep, self.older_than, self.rollbacks = keep, older_than, rollbacks
        self.decisions, self.is_dry_run = decisions, is_dry_run

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.upkeep.retention.retain`; each folder is a line of the task's log."""
        from lockstep.upkeep.keep import Rule
        from lockstep.upkeep.retention import preview, retain

        rule = Rule(
            keep=int(self.keep),
            older_than=timedelta(days=float(self.older_than)),
            rollbacks=int(self.rollbacks),
            decisions=timedelta(days=float(self.decisions)),
        )
        is_dry = self.is_dry_run.lower() == "true"
        done = preview(registry, rule) if is_dry else retain(registry, rule, origin)
        for removal in done.plan.removals:
            gone, what = "would go" if is_dry else "removed", f"{removal.what} {removal.why}".strip()
            self.log.info("%s: %s (%s), %s files, %s bytes", gone, removal.folder, what, removal.files, removal.size)
        for group, heap in done.decisions.items():
            self.log.info("of the decision log of %s: %s files, %s bytes", group, heap.files, heap.size)
        return {
            "dry_run": is_dry,
            "folders": len(done.plan.removals),
            "size": done.plan.size,
            "entries": list(done.entries),
            "deleted": {"files": done.files, "size": done.size},
        }
