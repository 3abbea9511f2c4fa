"""What happens in Airflow besides, done in the server's own process: questions, runs, pauses, events, other DAGs."""

from datetime import UTC, datetime
from typing import Any

from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def start(dag_id: str, run_id: str, state: str = "running") -> None:
    """A run of a DAG begins."""
    with create_session() as session:
        dag = SerializedDagModel.get_dag(dag_id, session=session)
        run = dag.create_dagrun(
            run_id=run_id,
            logical_date=None,
            run_after=NOW,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=state,
            start_date=NOW,
            session=session,
        )
        run.start_date = NOW


def end(dag_id: str, run_id: str) -> None:
    """A run has ended well."""
    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        run.state = "success"


def ask(dag_id: str, run_id: str, task_id: str, subject: str, body: str, assigned: list[str]) -> None:
    """A task of a run waits for somebody's word."""
    with create_session() as session:
        instance = session.scalar(
            select(TaskInstance).where(
                TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id == task_id
            )
        )
        instance.state = "deferred"
        session.add(
            HITLDetail(
                ti_id=instance.id,
                options=["Approve", "Reject"],
                subject=subject,
                body=body,
                multiple=False,
                params={},
                assignees=[{"id": user, "name": user} for user in assigned] or None,
                created_at=NOW,
            )
        )


def pause(dag_id: str, *, paused: bool) -> None:
    """Somebody pauses a DAG, or lets it go on."""
    with create_session() as session:
        session.get(DagModel, dag_id).is_paused = paused


def vanish(dag_id: str, *, gone: bool) -> None:
    """The file of a DAG is gone, or there again."""
    with create_session() as session:
        session.get(DagModel, dag_id).is_stale = gone


def due(group: str, says: str, at: str) -> None:
    """A watch says that a group is to be retrained."""
    with create_session() as session:
        asset = session.scalar(select(AssetModel).where(AssetModel.name == f"{group}_due"))
        session.add(AssetEvent(asset_id=asset.id, extra={"says": says}, timestamp=datetime.fromisoformat(at)))


def routes() -> list[list[Any]]:
    """Each route of the app that Airflow has mounted at /lockstep: its path, and whether it asks who asks."""
    from airflow import plugins_manager
    from airflow.api_fastapi.core_api.security import get_user

    def asks(dependant: Any) -> bool:  # noqa: ANN401  of FastAPI
        return dependant.call is get_user or any(map(asks, dependant.dependencies))

    apps, _ = plugins_manager.get_fastapi_plugins()
    ours = next(app["app"] for app in apps if app["url_prefix"] == "/lockstep")
    return [[route.path, sorted(route.methods), asks(route.dependant)] for route in ours.routes]


def modules() -> list[str]:
    """What the server has imported."""
    import sys

    return sorted(name for name in sys.modules if "." not in name)
