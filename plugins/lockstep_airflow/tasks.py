"""What all of Lockstep's tasks share: opening the registry, saying who they are, and how an error ends a task.

Rules:
- The registry is opened when a task runs, never when a DAG file is parsed.
- A rule that says no, or wrong input, fails the task at once: trying again would not help. A store that can't be
  reached is tried again.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from lockstep.errors import LockstepError, StoreUnusable, UsageError
from lockstep.registry import REGISTRY_VARIABLE, Job, Origin, Registry, commit_of


def registry_uri(given: str | None) -> str:
    """The address of the registry: as given to `release_dags`, else from the variable.

    Raises:
        UsageError: neither says it.
    """
    uri = given or os.environ.get(REGISTRY_VARIABLE)
    if not uri:
        raise UsageError(
            f"No registry is named. Set {REGISTRY_VARIABLE} for Airflow's scheduler, workers and triggerer, or give"
            " registry= to release_dags; for example file:///srv/lockstep."
        )
    return uri


def open_registry(given: str | None) -> Registry:
    """Open the registry (`UsageError` if none is named)."""
    return Registry.open(registry_uri(given))


def origin_of(context: Context) -> Origin:
    """Who started the run, and the task as a job; a retried or cleared task is the same job in another attempt."""
    ti, run = context["ti"], context["dag_run"]
    task = ti.task_id if ti.map_index is None or ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"
    job = Job(
        system="airflow",
        run=f"{ti.dag_id}/{ti.run_id}",
        task=task,
        attempt=ti.try_number,
        log=str(getattr(ti, "log_url", "")),
        commit=commit_of(Path(context["dag"].fileloc).parent),
    )
    by = getattr(run, "triggering_user_name", None) or "airflow"
    return Origin(by=by, why=str(getattr(run, "note", None) or ""), job=job)


@contextmanager
def reported() -> Iterator[None]:
    """Turn an error of ours into the way in which the task should end."""
    try:
        yield
    except StoreUnusable:
        raise
    except LockstepError as error:
        raise AirflowFailException(str(error)) from error
