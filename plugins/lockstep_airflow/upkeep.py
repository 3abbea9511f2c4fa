"""`upkeep_dags`: the DAGs that look after a registry, whatever groups release from it.

Rules:
- Building them reads nothing: no network, no registry, no declaration.
- Both start as any scheduled DAG of Airflow does: when somebody lets them.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airflow.sdk import DAG, Param, get_parsing_context

from lockstep_airflow.forms import registry_field
from lockstep_airflow.operators import RetainOperator, VerifyOperator

_DEFAULTS: Final = {"owner": "lockstep", "retries": 2, "retry_delay": timedelta(seconds=5)}
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
Schedule = Any  # whatever Airflow takes as a schedule


def upkeep_dags(
    *, registry: str | None = None, verify: Schedule = "@daily", retain: Schedule = "@weekly"
) -> dict[str, DAG]:
    """Two DAGs: `lockstep_verify` and `lockstep_retain`.

    Args:
        registry: address of the registry; by default each task asks Airflow's variable `lockstep_registry`, then
            LOCKSTEP_REGISTRY, when it runs.
        verify: when the registry is verified.
        retain: when old versions that nobody needs are removed.

    Returns:
        DAG id → DAG, for `globals().update(…)` of a DAG file.
    """
    only = get_parsing_context().dag_id
    builders: dict[str, Callable[[str], DAG]] = {
        "lockstep_verify": lambda dag_id: _verify(dag_id, registry, verify),
        "lockstep_retain": lambda dag_id: _retain(dag_id, registry, retain),
    }
    return {dag_id: build(dag_id) for dag_id, build in builders.items() if only in (None, dag_id)}


def _dag(dag_id: str, what: str, doc: str, schedule: Schedule, params: dict[str, Param]) -> DAG:
    return DAG(
        dag_id=dag_id,
        description=what,
        doc_md=f"{what}\n\n{doc}",
        tags=["lockstep"],
        default_args=_DEFAULTS,
        start_date=_START,
        catchup=False,
        max_active_runs=1,
        schedule=schedule,
        params=params,
    )


def _verify(dag_id: str, registry: str | None, schedule: Schedule) -> DAG:
    params = {
        "quick": Param(
            default=False, type="boolean", title="Quick", description="Compare names and sizes; read no large file."
        ),
        **registry_field(),
    }
    doc = (
        "Fails if an object is missing, changed or foreign, or the log is damaged. Its log names each, and what to do."
    )
    with _dag(dag_id, "Verify that the registry is whole", doc, schedule, params) as dag:
        VerifyOperator(task_id="verify", quick="{{ params.quick }}", registry=registry)
    return dag


def _retain(dag_id: str, registry: str | None, schedule: Schedule) -> DAG:
    params = {
        "keep": Param(10, type="integer", minimum=1, title="Keep", description="The newest versions of each name."),
        "older_than": Param(
            30, type="integer", minimum=0, title="Older than", description="Days; what is younger stays."
        ),
        "rollbacks": Param(
            5, type="integer", minimum=0, title="Rollbacks", description="Releases before production that stay whole."
        ),
        "decisions": Param(
            90, type="integer", minimum=1, title="Decision log", description="Days; what was answered before goes."
        ),
        "dry_run": Param(
            default=False, type="boolean", title="Dry run", description="Say what would go; change nothing."
        ),
        **registry_field(),
    }
    doc = (
        "Deletes archived versions and forgotten candidates. What stands in staging, in production or in the rollback"
        " window stays, with all that it was made from; the log keeps what it says of every version. Of the decision"
        " log, old days go."
    )
    with _dag(dag_id, "Remove old versions that nobody needs", doc, schedule, params) as dag:
        RetainOperator(
            task_id="retain",
            keep="{{ params.keep }}",
            older_than="{{ params.older_than }}",
            rollbacks="{{ params.rollbacks }}",
            decisions="{{ params.decisions }}",
            is_dry_run="{{ params.dry_run }}",
            registry=registry,
        )
    return dag
