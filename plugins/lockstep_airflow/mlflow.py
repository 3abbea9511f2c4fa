"""The DAG `<group>_mlflow`: MLflow is told what became of a group, beside all that the group does.

Rules:
- It is a DAG of its own, woken up by what is trained, promoted, released and rolled back, and each hour: nothing of the
  group waits for it, and nothing fails with it.
- Which MLflow is settled when it runs, in the order of `lockstep.switch`; where nobody names one, it is skipped.
- One run at a time. A run tells all that MLflow does not know yet, so that none is missed where many come together.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, AssetAny, AssetOrTimeSchedule, Context, CronTriggerTimetable, Variable
from airflow.sdk.exceptions import AirflowSkipException

from lockstep.graph import Graph
from lockstep.group import Group
from lockstep.registry import Origin, Registry
from lockstep.switch import AIRFLOW_MLFLOW, MLFLOW_VARIABLE, mlflow_of
from lockstep_airflow.assets import asset_of, staging_of
from lockstep_airflow.forms import registry_field
from lockstep_airflow.operators import LockstepOperator
from lockstep_airflow.pausing import group_dag


class MlflowOperator(LockstepOperator):
    """Tells MLflow what it has missed of a group; `mlflow` is what `release_dags` was given."""

    operator_extra_links = ()

    def __init__(self, *, group: Group, mlflow: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group, self.mlflow = group, mlflow

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.bridges.sync`."""
        from lockstep.bridges import sync

        named = mlflow_of(dags=self.mlflow, variable=Variable.get(AIRFLOW_MLFLOW, default=None) or "")
        if named is None:
            raise AirflowSkipException(
                f"MLflow is switched off: neither release_dags(mlflow=…), Airflow's variable {AIRFLOW_MLFLOW} nor"
                f" {MLFLOW_VARIABLE} names one."
            )
        self.log.info("MLflow at %s, as said by %s.", named.address, named.source)
        done = sync(registry, self.group, named.address, say=self.log.info)
        return done.as_json()


def mlflow_dag(graph: Graph, group: Group, dag_id: str, *, registry: str | None, mlflow: str) -> DAG:
    """The DAG of one group."""
    with group_dag(
        group,
        dag_id,
        f"Keep MLflow in step with {group.name}",
        "Nothing waits for it. What MLflow has missed while it was away is told by the next run.",
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable("@hourly", timezone="UTC"), assets=AssetAny(*_told_of(graph, group))
        ),
        params=registry_field(),
        max_active_runs=1,
    ) as dag:
        MlflowOperator(
            task_id="sync",
            group=group,
            mlflow=mlflow,
            registry=registry,
            execution_timeout=timedelta(minutes=30),
            retry_delay=timedelta(minutes=1),
        )
    return dag


def _told_of(graph: Graph, group: Group) -> list[Asset]:
    """What has news for MLflow: models and thresholds, staging, and what a release or a rollback changes."""
    models = [asset_of(graph.model(model.name)) for model in group.models]
    thresholds = [asset_of(graph.threshold(name)) for name in group.model_of_threshold]
    return [*models, *thresholds, staging_of(group.name), *(asset_of(graph.node(api.name)) for api in group.apis)]
