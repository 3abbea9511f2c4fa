"""A run of one snapshot task by `dag.test()`, in a process of its own; its last line of output is JSON."""

import json
import sys
from datetime import UTC, datetime


def main() -> None:
    """Play it on the engine that the first argument says."""
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(["db", "migrate"])
    arguments.func(arguments)

    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.xcom import XComModel
    from airflow.sdk import DAG
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from lockstep_airflow.snapshot import SnapshotOperator
    from tests.dataflow.guests import dataset, graph_of

    DagBundlesManager().sync_bundles_to_db()
    with DAG(dag_id="door_retrain", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        graph = graph_of(dataset())
        SnapshotOperator(
            task_id="snapshot_guests", graph=graph, dataset="guests", engine=sys.argv[1], works_for=["stays"]
        )
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="dags-folder", session=session)
    run = dag.test()
    with create_session() as session:
        xcoms = session.scalars(select(XComModel).filter_by(dag_id=dag.dag_id, run_id=run.run_id)).all()
        found = {one.key: XComModel.deserialize_value(one) for one in xcoms}
    sys.stdout.write(f"\n{json.dumps({'run': run.run_id, 'state': str(run.state), 'xcoms': found})}\n")
