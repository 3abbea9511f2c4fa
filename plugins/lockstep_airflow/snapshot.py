"""The task that takes a snapshot, on the engine that is settled when it runs.

Rules:
- Direct, portable and Flink run the pipeline from the task's own process, which waits for it.
- On Dataflow it submits a job, or finds the one that it submitted before it was killed or tried again, and waits in the
  triggerer. A cleared task asks anew. Killing the task cancels the job.
- What a job of a killed attempt has made is used; what nobody will use any more is deleted.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException

from lockstep.declare import Dataset
from lockstep.errors import CloudError, CloudUnusable, LockstepError, UsageError
from lockstep.graph import Graph
from lockstep.places import Dataflow, Engine
from lockstep.registry import Job, Origin, Registry, SnapshotTaken, Version
from lockstep.switch import address_for_job
from lockstep_airflow.links import DataflowJobLink, VersionLink
from lockstep_airflow.operators import ChosenModels
from lockstep_airflow.switch import engine_of
from lockstep_airflow.train import generation_of

if TYPE_CHECKING:
    from lockstep.data.taking import Taking
    from lockstep_airflow.dataflow import JobName, Jobs, Seen


class SnapshotOperator(ChosenModels):
    """Takes a snapshot of a dataset.

    Args:
        engine: template; what the run's form says of the engine, as `flink(master=host:8081)`; blank: nothing.
        engine_of_dags: what `release_dags` was given.
    """

    operator_extra_links = (VersionLink(), DataflowJobLink())
    template_fields: Sequence[str] = (*ChosenModels.template_fields, "engine")

    def __init__(
        self, *, graph: Graph, dataset: str, engine: str = "", engine_of_dags: Engine | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.graph, self.dataset, self.engine, self.engine_of_dags = graph, dataset, engine, engine_of_dags
        self.job_page = ""
        self._asking: tuple[Jobs, str, str] | None = None
        self._opened: tuple[Registry, str] | None = None  # a scratch for which no job is known yet
        self._is_killed = False

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:
        """`lockstep.data.take_snapshot`, or a job of Dataflow that does its middle part."""
        from lockstep.data import take_snapshot
        from lockstep.training.source import hash_of_clean

        dataset = self.graph.dataset(self.dataset)
        settled = engine_of(dataset, run=self.engine, dags=self.engine_of_dags, registry=registry.uri)
        self.log.info("%s", settled)
        if isinstance(settled.place, Dataflow):
            return self._on_dataflow(registry, origin, context, settled.place)
        code = hash_of_clean(dataset)
        return self._made(take_snapshot(registry, dataset, origin, engine=settled.place, code=code))

    def resume(self, context: Context, event: dict[str, Any], number: str | None = None) -> dict[str, Any]:
        """Make a snapshot of what the job, which has ended, has left.

        `number` is the job that was waited for. An event on another one, which SQLite can bring (approval.py says how),
        is not ours: the task finds its job again, and waits on.
        """
        if number is not None and event["number"] != number:
            self.log.info("What came is about job %s; this task waits for %s.", event["number"], number)
            return self.execute(context)
        from lockstep_airflow.dataflow import Jobs, Phase, Seen, place_of

        place = place_of(event["engine"])
        jobs, phase = Jobs(place), Phase[event.get("phase", Phase.RUNNING.name)]
        job = Seen(name=jobs.named(event["number"]), phase=phase, scratch=event["scratch"])
        self.job_page = job.name.console

        def read(registry: Registry, origin: Origin, _: Context) -> dict[str, Any]:
            if "error" in event:
                raise UsageError(event["error"])
            return self._finished(registry, origin, place, jobs, job)

        return self.carried_out(context, read)

    def on_kill(self) -> None:
        """Cancel the job, if one was asked for in this process; once the task waits, its trigger does.

        A launcher that outlives the task finds its scratch closed, and so does whatever it submits.
        """
        from lockstep.data.snapshot import give_up

        self._is_killed = True
        if self._opened is not None:
            give_up(*self._opened)
        if self._asking is None:
            return
        jobs, name, key = self._asking
        with suppress(CloudError):  # whoever asks for this task next meets the job
            for job in jobs.find(name, key):
                if job.phase.is_live:
                    self.log.info("The task was killed: cancelling Dataflow's job %s", job.name.number)
                    jobs.cancel(job.name.number)

    def _on_dataflow(self, registry: Registry, origin: Origin, context: Context, place: Dataflow) -> dict[str, Any]:
        """Have a job run the pipeline, and wait for it in the triggerer; or use what one has made."""
        from lockstep.data.engines import job_name
        from lockstep.training.vertex import keys_of
        from lockstep_airflow.dataflow import DataflowJobTrigger, Jobs, Phase

        if origin.job is None:
            raise UsageError(f"{place}: a job is submitted for the run of a task; this one has none.")
        key, _ = keys_of(address_for_job(registry.uri), origin.job, generation_of(context))
        dataset, jobs = self.graph.dataset(self.dataset), Jobs(place)
        self._asking = jobs, job_name(dataset.name, key), key
        job = self._usable(registry, jobs.find(*self._asking[1:]))
        if job is not None:
            self.log.info("Found again. %s", job.news)
        else:
            job = self._submitted(registry, dataset, place)
            self.log.info("Submitted. %s", job.news)
        self.job_page = job.name.console
        if self._is_killed:
            self.on_kill()
            raise AirflowException("The task was killed while it asked for a job, which was cancelled.")
        if job.phase is not Phase.DONE:
            trigger = DataflowJobTrigger(engine=str(place), number=job.name.number, scratch=job.scratch)
            self.defer(trigger=trigger, method_name="resume", kwargs={"number": job.name.number})
        return self._finished(registry, origin, place, jobs, job)

    def _usable(self, registry: Registry, found: list["Seen"]) -> "Seen | None":
        """The job whose result will be, or is, in a scratch that nobody has given up."""
        from lockstep.data.pipeline import is_open
        from lockstep_airflow.dataflow import Phase

        usable = [job for job in found if job.phase.is_live or job.phase is Phase.DONE]
        return next((job for job in usable if job.scratch and is_open(registry.objects, job.scratch)), None)

    def _submitted(self, registry: Registry, dataset: Dataset, place: Dataflow) -> "Seen":
        """Submit a job; where its answer was lost, or another attempt was faster, the job that there is.

        Raises:
            CloudUnusable: there is none.
            LockstepError: the launcher can't build the pipeline, and says why.
        """
        from lockstep.data.engines import Submission, runner_of
        from lockstep.data.pipeline import left_behind
        from lockstep.data.snapshot import give_up, start_snapshot
        from lockstep.data.taking import SPEC
        from lockstep.training.source import hash_of_clean
        from lockstep_airflow.dataflow import KEY, SCRATCH, written
        from lockstep_airflow.workers import distribution

        if self._asking is None:
            raise RuntimeError("asked by nobody")
        jobs, name, key = self._asking
        run = uuid4().hex
        taking = start_snapshot(registry, dataset, place, run, code=hash_of_clean(dataset))
        self._opened = registry, taking.scratch
        labels = {KEY: key, SCRATCH: run, "lockstep-dataset": dataset.name[:63]}
        problem: LockstepError | None = None
        with written(*distribution(dataset)) as package:
            submission = Submission(name=name, labels=labels, packages=(package,))
            try:
                jobs.submit(
                    runner_of(place, submission), f"{address_for_job(registry.uri)}/{taking.scratch}/{SPEC}", labels
                )
            except CloudUnusable as error:
                problem = left_behind(registry.objects, taking.scratch) or error
        job = self._usable(registry, jobs.find(name, key))
        if job is None or job.scratch != taking.scratch:
            give_up(registry, taking.scratch)
        self._opened = None
        if job is None:
            raise problem or CloudUnusable(f"Dataflow: the launcher ended well, but there is no job {name}. Try again.")
        return job

    def _finished(
        self, registry: Registry, origin: Origin, place: Dataflow, jobs: "Jobs", job: "Seen"
    ) -> dict[str, Any]:
        """Record what a job has made, or raise why it made nothing."""
        from lockstep.data.pipeline import left_behind
        from lockstep.data.snapshot import finish_snapshot, give_up
        from lockstep.data.taking import read_taking
        from lockstep_airflow.dataflow import Phase, problem_of

        if job.phase is not Phase.DONE:
            problem = left_behind(registry.objects, job.scratch)
            if problem is None:
                said = jobs.errors(job.name.number) if job.phase is Phase.FAILED else []
                problem = problem_of(job, said)
            else:
                self.log.error("%s", job.news)
            give_up(registry, job.scratch)
            raise problem
        taking = read_taking(registry.objects, job.scratch)
        by = _by_job(origin, job.name)
        version = finish_snapshot(registry, taking, by, place)
        if version is None:
            give_up(registry, job.scratch)
            raise AirflowException("The files of this snapshot were removed meanwhile; the next try takes it again.")
        made = self._taken(registry, taking, version, by)
        give_up(registry, job.scratch)
        return {**made, "job": job.name.number}

    def _taken(
        self,
        registry: Registry,  # noqa: ARG002  whoever watches has more to do
        taking: "Taking",  # noqa: ARG002  as registry
        version: Version[SnapshotTaken],
        by: Origin,  # noqa: ARG002  as registry
    ) -> dict[str, Any]:
        """What a job of Dataflow has made."""
        return self._made(version)

    def _made(self, version: Version[SnapshotTaken]) -> dict[str, Any]:
        self.made = version.ref
        return {
            "version": version.ref,
            "digest": version.digest,
            "rows": version.fact.rows,
            "quarantined": version.fact.quarantined,
        }


def _by_job(origin: Origin, name: "JobName") -> Origin:
    """Whoever asked, with the job of Dataflow in the place of Airflow's, which it names as its task."""
    asked = origin.job
    job = Job(
        system="dataflow",
        run=name.number,
        task=f"{asked.run}/{asked.task}" if asked else "",
        attempt=asked.attempt if asked else 1,
        log=name.console,
        commit=asked.commit if asked else "",
    )
    return replace(origin, job=job)
