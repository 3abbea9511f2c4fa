"""What all DAGs of a group have in common, and the two that put it on hold and lift that.

Rules:
- A DAG that changes something starts by hand unless it says otherwise, and misses no run that it should have had.
- Who puts a group on hold, or lifts that, says why.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airflow.sdk import DAG

from lockstep.group import Group
from lockstep_airflow.forms import needed_reason_field, registry_field
from lockstep_airflow.operators import HoldOperator, ResumeOperator

_DEFAULTS: Final = {"owner": "lockstep", "retries": 2, "retry_delay": timedelta(seconds=5)}
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


def group_dag(group: Group, dag_id: str, what: str, doc: str, **kwargs: Any) -> DAG:
    """A DAG of a group; `what` it does is its title, `doc` says more."""
    return DAG(  # noqa: AIR002  the schedule is among the arguments below
        dag_id=dag_id,
        description=what,
        doc_md=f"{what}\n\n{doc}",
        tags=["lockstep", group.name],
        default_args=_DEFAULTS,
        start_date=_START,
        catchup=False,
        **{"schedule": None, "is_paused_upon_creation": False, **kwargs},
    )


def hold_dag(group: Group, dag_id: str, registry: str | None) -> DAG:
    """The DAG that puts a group on hold."""
    doc = f"Promotions and rollbacks go on as ever; {group.name}_resume lifts the hold."
    params = {**needed_reason_field(), **registry_field()}
    with group_dag(
        group, dag_id, f"Let nothing of {group.name} be released", doc, params=params, max_active_runs=1
    ) as dag:
        HoldOperator(task_id="hold", group=group, registry=registry)
    return dag


def resume_dag(group: Group, dag_id: str, registry: str | None) -> DAG:
    """The DAG that lifts the hold on a group."""
    doc = "After a rollback a group is on hold: its gate stays closed until somebody has found out what went wrong."
    params = {**needed_reason_field(), **registry_field()}
    with group_dag(group, dag_id, f"Lift the hold on {group.name}", doc, params=params, max_active_runs=1) as dag:
        ResumeOperator(task_id="resume", group=group, registry=registry)
    return dag
