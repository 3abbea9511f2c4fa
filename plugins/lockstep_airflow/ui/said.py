"""What the log says, in the shapes of the answers: who did what, versions, events.

Rules:
- Nothing is read but the book.
"""

from datetime import UTC, datetime
from typing import Any, Final

from lockstep.registry import Job, Recorded
from lockstep.registry.entries import ModelTrained, SnapshotTaken, ThresholdTuned
from lockstep.registry.lineage import AnyVersion
from lockstep_airflow.ui import shapes
from lockstep_airflow.ui.book import KINDS, Book, run_and_task

_CLOUDS: Final = ("dataflow", "vertex")


def at(time: datetime) -> str:
    """A time as the pages read it."""
    return time.astimezone(UTC).isoformat(timespec="seconds")


def said(recorded: Recorded) -> shapes.Said:
    """Which entry says it, when, by whom, why, and in which job."""
    origin = recorded.origin
    return {
        "entry": recorded.number,
        "at": at(recorded.at),
        "by": origin.by,
        "why": origin.why,
        "job": job_of(origin.job) if origin.job else None,
    }


def job_of(job: Job) -> shapes.Job:
    """A job, and the task of Airflow that it is, or that asked for it."""
    run, task = run_and_task(job)
    dag_id, slash, run_id = run.partition("/")
    is_airflow = bool(slash) and (job.system == "airflow" or (job.system in _CLOUDS and bool(job.task)))
    return {
        "system": job.system,
        "run": job.run,
        "task": job.task,
        "attempt": job.attempt,
        "log": job.log,
        "commit": job.commit,
        "dag_id": dag_id if is_airflow else None,
        "run_id": run_id if is_airflow else None,
        "task_id": task.partition("[")[0] if is_airflow else None,
        "console": job.log if job.system in _CLOUDS and job.log.startswith("https://") else None,
    }


def node_version(book: Book, version: AnyVersion) -> shapes.NodeVersion:
    """A version where it stands in the graph."""
    stage = book.stage(version)
    return {
        "ref": version.ref,
        "digest": version.digest,
        "stage": stage.value if stage else None,
        "at": at(version.recorded.at),
        "by": version.recorded.origin.by,
        "figures": figures(version),
        "missed": list(version.fact.missed) if isinstance(version.fact, ModelTrained) else [],
    }


def version_row(book: Book, version: AnyVersion) -> shapes.VersionRow:
    """A version in a list."""
    kind: Any = KINDS[version.fact.kind]
    return {
        **node_version(book, version),
        "name": version.name,
        "kind": kind,
        "said": said(version.recorded),
        "removed": book.state.is_removed(version),
    }


def figures(version: AnyVersion) -> dict[str, float | None]:
    """The metrics of a model, the value of a threshold (None where it has several), the rows of a snapshot."""
    match version.fact:
        case ModelTrained() as trained:
            return dict(trained.metrics)
        case ThresholdTuned() as tuned:
            return {"value": tuned.value}
        case SnapshotTaken() as taken:
            return {"rows": taken.rows, "quarantined": taken.quarantined}
