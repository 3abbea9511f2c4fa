"""What all of Lockstep's tasks share: opening the registry, saying who they are, and how an error ends a task.

Rules:
- The registry is opened when a task runs, never when a DAG file is parsed.
- A rule that says no, or wrong input, fails the task at once: trying again would not help. A store that can't be
  reached, or a cloud that has no room, is tried again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow.sdk import Context, Variable
from airflow.sdk.exceptions import AirflowFailException

from lockstep.errors import CloudUnusable, LockstepError, NeighbourAway, StoreUnusable, UsageError
from lockstep.registry import REGISTRY_VARIABLE, Job, Origin, Registry, commit_of
from lockstep.registry.commit import public_address
from lockstep.switch import AIRFLOW_REGISTRY, registry_of
from lockstep_airflow.connection import access_to

WHY = "why"  # the field of a form that says the reason


def registry_uri(given: str | None, run: str = "") -> str:
    """The address of the registry: as the run says, as given to `release_dags`, from Airflow's variable, or from ours.

    Raises:
        UsageError: none says it.
    """
    variable = "" if run.strip() or given else Variable.get(AIRFLOW_REGISTRY, default=None) or ""
    named = registry_of(run=run, dags=given, variable=variable)
    if named is None:
        raise UsageError(
            f"No registry is named. Set {REGISTRY_VARIABLE} for Airflow's scheduler, workers and triggerer, or the"
            f" Airflow variable {AIRFLOW_REGISTRY}, or give registry= to release_dags; for example"
            " file:///srv/lockstep."
        )
    return named.address


def open_registry(given: str | None, run: str = "") -> Registry:
    """Open the registry, with the Airflow connection that its address names, if any (`UsageError` if it can't be)."""
    uri = registry_uri(given, run)
    return Registry.open(uri, access=access_to(uri))


def registry_of_run(context: Context) -> str:
    """The registry that the form of a run names, for this run alone; blank, as a rule."""
    return str(context.get("params", {}).get("registry") or "").strip()


def origin_of(context: Context) -> Origin:
    """Who started the run, why by its form or its note, and the task as a job, the same one in another attempt."""
    ti, run = context["ti"], context["dag_run"]
    task = ti.task_id if ti.map_index is None or ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"
    job = Job(
        system="airflow",
        run=f"{ti.dag_id}/{ti.run_id}",
        task=task,
        attempt=ti.try_number,
        log=public_address(str(getattr(ti, "log_url", ""))),
        commit=commit_of(Path(context["dag"].fileloc).parent),
    )
    by = getattr(run, "triggering_user_name", None) or "airflow"
    why = str(context.get("params", {}).get(WHY) or getattr(run, "note", None) or "")
    return Origin(by=by, why=why.strip(), job=job)


@contextmanager
def reported() -> Iterator[None]:
    """Turn an error of ours into the way in which the task should end."""
    try:
        yield
    except (CloudUnusable, NeighbourAway, StoreUnusable):
        raise
    except LockstepError as error:
        raise AirflowFailException(str(error)) from error
