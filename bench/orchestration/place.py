"""Run where Airflow's services run: leaves every group's release waiting at its gate, as a worker would have left it.

`python place.py ROUND REGISTRY TRIGGER POLL GROUPS`. A worker needs a second or two for each; what is measured begins
behind that.
"""

import sys
from datetime import UTC, datetime

from airflow.models.dagbag import DBDagBag
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from bench_groups import declare
from sqlalchemy.orm import Session


def main() -> None:
    """Make the runs and their triggers."""
    name, registry, trigger, poll, groups = sys.argv[1:]
    with create_session() as session:
        dags = DBDagBag()
        for place in range(int(groups)):
            number = f"{place:04d}"
            group = declare(number).group(f"group_{number}")
            kwargs = {"registry": registry, "group": group.as_json(), "poll": float(poll), "said": ""}
            _wait(session, dags, f"group_{number}_release", name, Trigger(classpath=trigger, kwargs=kwargs), registry)


def _wait(session: Session, dags: DBDagBag, dag_id: str, name: str, trigger: Trigger, registry: str) -> None:
    dag = dags.get_latest_version_of_dag(dag_id, session=session)
    if dag is None:
        raise LookupError(f"{dag_id} is not in Airflow's database.")
    now = datetime.now(UTC)
    run = dag.create_dagrun(
        run_id=name,
        conf={"registry": registry},  # what follows the gate reads the same one
        run_after=now,
        start_date=now,
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.RUNNING,
        session=session,
    )
    session.add(trigger)
    session.flush()
    task = run.get_task_instance("gate", session=session)
    task.state, task.start_date, task.try_number = TaskInstanceState.DEFERRED, now, 1
    task.trigger_id, task.next_method, task.next_kwargs = trigger.id, "look_again", {}


if __name__ == "__main__":
    main()
