"""Airflow that takes one step after the other: each line of its input is a run of one DAG, played by `dag.test()`.

What it answers is a line that begins with `@`; all else that it prints is Airflow's log.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.cli.cli_parser import get_parser
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.sdk import DAG, Context
from airflow.sdk.exceptions import TaskDeferred
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from sqlalchemy import select

from lockstep_airflow.train import TrainOperator
from tests.training import shop

START = datetime(2026, 1, 1, tzinfo=UTC)


class WokenByAnother(TrainOperator):
    """Woken first by the end of a job that another task waited for, as SQLite can have it.

    It keeps what it waits for by itself: `dag.test()` forgets what a task hands to its own resumption.
    """

    waits_for: ClassVar[dict[str, Any] | None] = None

    def execute(self, context: Context) -> dict[str, Any]:
        """As ever."""
        try:
            return super().execute(context)
        except TaskDeferred as waiting:
            WokenByAnother.waits_for = waiting.kwargs
            raise

    def resume(self, context: Context, event: dict[str, Any], number: str | None = None) -> dict[str, Any]:
        """Take in the other's event before its own."""
        known, WokenByAnother.waits_for = WokenByAnother.waits_for, None
        if known is not None:
            other = {**event, "job": {**event["job"], "number": "1"}, "recipe": "0" * 64}
            return super().resume(context, other, **known)
        return super().resume(context, event, number)


def play(run: int, *, woken_by_another: bool = False, **given: Any) -> dict[str, Any]:
    """Train `leaving` by a run of that number; a run that was played before is played anew from its beginning."""
    operator = WokenByAnother if woken_by_another else TrainOperator
    with DAG(dag_id="shop_retrain", schedule=None, start_date=START) as dag:
        operator(
            task_id="train", graph=shop.graph, model="leaving", snapshot="shoppers@1", retry_delay=timedelta(0), **given
        )
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="dags-folder", session=session)
    when = START + timedelta(days=run)
    found = dag.test(run_after=when, logical_date=when)
    mine = {"dag_id": dag.dag_id, "run_id": found.run_id}
    with create_session() as session:
        task = session.scalars(select(TaskInstance).filter_by(**mine)).one()
        xcoms = session.scalars(select(XComModel).filter_by(**mine)).all()
        return {
            "run": f"{dag.dag_id}/{found.run_id}",
            "state": str(task.state),
            "tries": task.try_number,
            "xcoms": {one.key: XComModel.deserialize_value(one) for one in xcoms},
        }


if __name__ == "__main__":
    arguments = get_parser().parse_args(["db", "migrate"])
    arguments.func(arguments)
    DagBundlesManager().sync_bundles_to_db()
    sys.stdout.write("@ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(f"@{json.dumps(play(**json.loads(line)))}\n")
        sys.stdout.flush()
