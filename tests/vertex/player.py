"""Airflow that takes one step after the other: each line of its input is a run of one DAG, played by `dag.test()`.

What it answers is a line that begins with `@`; all else that it prints is Airflow's log.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.cli.cli_parser import get_parser
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.sdk import DAG
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from sqlalchemy import select

from lockstep_airflow.train import TrainOperator
from tests.training import shop

START = datetime(2026, 1, 1, tzinfo=UTC)


def play(run: int, **given: Any) -> dict[str, Any]:
    """Train `leaving` by a run of that number; a run that was played before is played anew from its beginning."""
    with DAG(dag_id="shop_retrain", schedule=None, start_date=START) as dag:
        TrainOperator(
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
