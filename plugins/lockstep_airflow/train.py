"""The task that trains a model, in the place that is settled when it runs: this process, or a job of Vertex AI.

Rules:
- What it returns is the same wherever the model was trained, but for the name of the job.
- Trained elsewhere, it submits the job, or finds the one that it submitted before it was killed or tried again, and
  waits in the triggerer. A cleared task asks anew.
- Killing the task cancels the job; so does clearing it while it waits.
- The job's error and its stack trace stand in the task's log.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, TaskDeferred

from lockstep.errors import CloudError
from lockstep.graph import Graph
from lockstep.places import Vertex, Where
from lockstep.registry import Origin, Registry
from lockstep.switch import address_for_job
from lockstep_airflow.links import VersionLink, VertexJobLink
from lockstep_airflow.operators import ChosenModels
from lockstep_airflow.switch import where_of

if TYPE_CHECKING:
    from lockstep.training import Training
    from lockstep.training.custom_jobs import CustomJobs


class TrainOperator(ChosenModels):
    """Trains a model: a candidate.

    Args:
        snapshot: template; the version of the dataset, as `customers@3`.
        upstream: template; JSON object, upstream model → digest of the version that this run made, or blank.
        parameters: template; JSON object, model → name → value for the estimator's `set_params`.
        force: template; "true" to train a recipe again.
        where: template; what the run's form says of the place, as `vertex(region=us-central1)`; blank: nothing.
        where_of_dags: what `release_dags` was given.
    """

    operator_extra_links = (VersionLink(), VertexJobLink())
    template_fields: Sequence[str] = ("models", "snapshot", "upstream", "parameters", "force", "where")

    def __init__(
        self,
        *,
        graph: Graph,
        model: str,
        snapshot: str,
        upstream: str = "{}",
        parameters: str = "{}",
        force: str = "false",
        where: str = "",
        where_of_dags: Where | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(works_for=[model], **kwargs)
        self.graph, self.model = graph, model
        self.snapshot, self.upstream, self.parameters, self.force = snapshot, upstream, parameters, force
        self.where, self.where_of_dags = where, where_of_dags
        self.job_page = ""
        self._asking: tuple[CustomJobs, str] | None = None
        self._is_killed = False

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:
        """`lockstep.training.train_model`, or a job that carries its plan out."""
        from lockstep.training import resolve_upstream, train_model

        model = self.graph.model(self.model)
        settled = where_of(model, run=self.where, dags=self.where_of_dags, registry=registry.uri)
        self.log.info("%s", settled)
        state = registry.state()
        given = {
            "snapshot": state.snapshot(self.snapshot),
            "upstream": resolve_upstream(self.graph, self.model, state, json.loads(self.upstream)),
            "parameters": json.loads(self.parameters).get(self.model, {}),
            "force": self.force.lower() == "true",
        }
        if isinstance(settled.place, Vertex):
            return self._elsewhere(registry, origin, context, settled.place, given)
        return self._given(train_model(registry, self.graph, self.model, origin, **given))

    def resume(self, context: Context, event: dict[str, Any], number: str | None = None) -> dict[str, Any]:
        """Read the version that the job, which has ended, gave.

        `number` is the job that was waited for. An event on another one, which SQLite can bring (approval.py says how),
        is not ours: the task finds its job again, and waits on.
        """
        if number is not None and event["job"]["number"] != number:
            self.log.info("What came is about job %s; this task waits for %s.", event["job"]["number"], number)
            return self.execute(context)

        def read(registry: Registry, _origin: Origin, _context: Context) -> dict[str, Any]:
            from lockstep.training.elsewhere import result_of
            from lockstep.training.vertex import JobName
            from lockstep_airflow.vertex import from_event

            self.job_page = JobName(**event["job"]).console
            try:
                return self._given(result_of(registry, self.model, event["recipe"], from_event(event)))
            except Exception as problem:
                for trace in getattr(problem, "__notes__", ()):
                    self.log.error("What the job raised:\n%s", trace)  # noqa: TRY400  the job's trace, not this one's
                raise

        return self.carried_out(context, read)

    def on_kill(self) -> None:
        """Cancel the job, if one was asked for in this process; once the task waits, its trigger does."""
        self._is_killed = True
        if self._asking is None:
            return
        jobs, task = self._asking
        with suppress(CloudError):  # it is told below, or by the next that asks for this task
            for job in jobs.of_task(task):
                if job.phase.is_live:
                    self.log.info("The task was killed: cancelling %s", job.name)
                    jobs.cancel(job.name)

    def _elsewhere(
        self, registry: Registry, origin: Origin, context: Context, place: Vertex, given: dict[str, Any]
    ) -> dict[str, Any]:
        """Have a job train; wait for it in the triggerer, or return what it would find."""
        from lockstep.training import Training
        from lockstep.training.elsewhere import ask
        from lockstep.training.plan import plan_training
        from lockstep.training.vertex import keys_of
        from lockstep_airflow.vertex import VertexJobTrigger, connection_of, open_jobs

        planned, generation = plan_training(self.graph, self.model, **given), generation_of(context)

        def opened() -> "CustomJobs":
            jobs = open_jobs(place)
            if origin.job is not None:
                self._asking = jobs, keys_of(address_for_job(registry.uri), origin.job, generation)[1]
            return jobs

        asked = ask(registry, planned, origin, place, opened, generation=generation)
        if isinstance(asked, Training):
            return self._given(asked)
        if self._is_killed:
            self.on_kill()
            raise AirflowException("The task was killed while it asked for a job, which was cancelled.")
        name = asked.job.name
        self.job_page = name.console
        self.log.info("%s %s", "Submitted." if asked.is_new else "Found again.", asked.job.news)
        trigger = VertexJobTrigger(
            connection=connection_of(place),
            project=name.project,
            region=name.region,
            number=name.number,
            recipe=planned.plan.recipe,
        )
        raise TaskDeferred(trigger=trigger, method_name="resume", kwargs={"number": name.number})

    def _given(self, training: "Training") -> dict[str, Any]:
        version = training.version
        self.made = version.ref
        found = {
            "version": version.ref,
            "digest": version.digest,
            "new": training.is_new,
            "metrics": version.fact.metrics,
            "missed": list(version.fact.missed),
        }
        job = version.recorded.origin.job
        return {**found, "job": job.run} if job is not None and job.system == "vertex" else found


def generation_of(context: Context) -> int:
    """How often the task was cleared: its retries are granted anew each time, and a retry takes none away."""
    ti = context["ti"]
    return max(0, int(ti.max_tries) - int(ti.task.retries or 0))
