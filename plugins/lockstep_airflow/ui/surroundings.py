"""What Airflow knows about the groups: their DAGs, what runs, who is asked, what is due.

Rules:
- Some queries for all groups together, never one for each.
- It is read when somebody asks, and at most once in `PAUSE` seconds.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import func, select

from lockstep_airflow.assets import GROUP
from lockstep_airflow.ui.declarations import TAG

PAUSE: Final = 0.5
_DUE: Final = "_due"  # of an asset's name
_ASKED: Final = (TaskInstanceState.AWAITING_INPUT, TaskInstanceState.DEFERRED)
_SET: Final = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that has not ended."""

    run_id: str
    state: str
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question of a task that nobody has answered; `assigned` are the only ones who may, if there are any."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    subject: str
    body: str
    since: datetime
    assigned: frozenset[str]

    @property
    def set(self) -> str | None:
        """The digest of the set that is asked about, which the question names first."""
        found = _SET.search(self.body[max(self.body.rfind("Set `"), 0) :])
        return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """That a group is to be retrained, as its last event says."""

    at: datetime
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """All of it, at one time. `paused`: DAG → whether it is; of DAGs that are there alone."""

    paused: Mapping[str, bool] = field(default_factory=dict)
    running: Mapping[str, Run] = field(default_factory=dict)
    questions: Mapping[str, Question] = field(default_factory=dict)
    due: Mapping[str, Due] = field(default_factory=dict)
    teams: Mapping[str, str | None] = field(default_factory=dict)

    def of(self, group: str, dag_ids: tuple[str, ...]) -> tuple[Any, ...]:
        """What of it is about one group: it changes whenever that does."""
        tables = (self.paused, self.running, self.questions)
        return (self.due.get(group), *(table.get(dag_id) for table in tables for dag_id in dag_ids))


def look(*, with_teams: bool) -> Surroundings:
    """Read it from Airflow's database."""
    ours = select(DagTag.dag_id).where(DagTag.name == TAG)
    with create_session() as session:
        paused = session.execute(
            select(DagModel.dag_id, DagModel.is_paused).where(DagModel.dag_id.in_(ours), DagModel.is_stale.is_(False))
        )
        found = dict(paused.tuples().all())
        return Surroundings(
            paused=found,
            running=_running(session, ours),
            questions=_questions(session, ours),
            due=_due(session),
            teams=DagModel.get_dag_id_to_team_name_mapping(list(found), session=session) if with_teams else {},
        )


def _running(session: Any, ours: Any) -> dict[str, Run]:  # noqa: ANN401  Airflow's session and a query
    wanted = (
        select(DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.queued_at)
        .where(DagRun.state.in_((DagRunState.QUEUED, DagRunState.RUNNING)), DagRun.dag_id.in_(ours))
        .order_by(DagRun.id)
    )
    return {
        dag_id: Run(run_id=run_id, state=str(state), since=started or queued)
        for dag_id, run_id, state, started, queued in session.execute(wanted)
    }


def _questions(session: Any, ours: Any) -> dict[str, Question]:  # noqa: ANN401  as above
    wanted = (
        select(
            TaskInstance.dag_id,
            TaskInstance.run_id,
            TaskInstance.task_id,
            TaskInstance.map_index,
            HITLDetail.subject,
            HITLDetail.body,
            HITLDetail.created_at,
            HITLDetail.assignees,
        )
        .join(TaskInstance, TaskInstance.id == HITLDetail.ti_id)
        .where(HITLDetail.responded_at.is_(None), TaskInstance.state.in_(_ASKED), TaskInstance.dag_id.in_(ours))
        .order_by(HITLDetail.created_at)
    )
    return {
        row[0]: Question(
            dag_id=row[0],
            run_id=row[1],
            task_id=row[2],
            map_index=row[3],
            subject=row[4],
            body=row[5] or "",
            since=row[6],
            assigned=frozenset(one["id"] for one in row[7] or ()),
        )
        for row in session.execute(wanted)
    }


def _due(session: Any) -> dict[str, Due]:  # noqa: ANN401  as above
    newest = (
        select(AssetEvent.asset_id, func.max(AssetEvent.id).label("event"))
        .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        .where(AssetModel.group == GROUP, AssetModel.name.endswith(_DUE))
        .group_by(AssetEvent.asset_id)
        .subquery()
    )
    wanted = (
        select(AssetModel.name, AssetEvent.timestamp, AssetEvent.extra)
        .join(newest, newest.c.event == AssetEvent.id)
        .join(AssetModel, AssetModel.id == newest.c.asset_id)
    )
    return {
        name.removesuffix(_DUE): Due(at=at, says=str((extra or {}).get("says") or "Retraining is due."))
        for name, at, extra in session.execute(wanted)
    }
