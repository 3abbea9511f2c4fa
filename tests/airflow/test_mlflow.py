"""`<group>_mlflow` by real runs against a real MLflow: away, switched off, and back."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.registry import Registry
from tests.airflow.conftest import Program
from tests.bridges.conftest import Server, free_port, mlflow, process

__all__ = ["mlflow", "process"]

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),  # mlflow's own imports warn
]

PLAY = """
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

from airflow.cli.cli_parser import get_parser

parser = get_parser()
arguments = parser.parse_args(["db", "migrate"])
arguments.func(arguments)

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models.asset import AssetEvent
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from sqlalchemy import select

from demo.customers import write_biopsies
from groups.biopsy import graph
from lockstep_airflow import release_dags


def build(where=""):
    dags = release_dags(graph, mlflow=where)
    for task in dags["biopsy_mlflow"].tasks:
        task.retries = 0
    return dags


write_biopsies(Path(os.environ["LOCKSTEP_DATA"], "biopsies"))
DagBundlesManager().sync_bundles_to_db()
for dag in build().values():
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="dags-folder", session=session)


def play(what, where, conf):
    run = build(where)[f"biopsy_{what}"].test(run_conf=conf)
    with create_session() as session:
        tasks = session.scalars(select(TaskInstance).filter_by(dag_id=run.dag_id, run_id=run.run_id)).all()
        return {task.task_id: str(task.state) for task in tasks}


played = [play(*step) for step in json.loads(sys.argv[1])]
dag = build()["biopsy_mlflow"]
wakes = sorted(asset.name for asset in dag.timetable.asset_condition.objects)
with create_session() as session:
    events = [event.asset.name for event in session.scalars(select(AssetEvent)) if "rollback" in event.source_dag_id]
print()
print(json.dumps({"played": played, "wakes": wakes, "runs": dag.max_active_runs, "rollback": events}))
"""


@pytest.fixture
def played(run_program: Program, tmp_path: Path, mlflow: Server) -> dict[str, Any]:
    """Train and release while MLflow is away, then let it be back."""
    away = f"http://127.0.0.1:{free_port()}"
    again = {"models": ["surgery"], "force": True, "promote": True}
    steps = [
        ("retrain", "", {"promote": True}),
        ("mlflow", away, {}),
        ("release", away, {}),  # 2
        ("mlflow", "off", {}),
        ("mlflow", "", {}),  # 4: as the environment says
        ("retrain", "", again),
        ("release", "", {}),
        ("rollback", "", {}),
        ("mlflow", "", {}),  # 8
    ]
    variables = {
        "LOCKSTEP_REGISTRY": (tmp_path / "registry").as_uri(),
        "LOCKSTEP_DATA": tmp_path / "data",
        "LOCKSTEP_MLFLOW_TRACKING_URI": mlflow.address,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    }
    found: dict[str, Any] = run_program(PLAY, json.dumps(steps), variables=variables)
    return found | {"registry": Registry.open((tmp_path / "registry").as_uri())}


def test_mlflow_follows_and_holds_nothing_up(played: dict[str, Any], mlflow: Server) -> None:
    """Away, its own run fails alone; switched off, it is skipped; back, it is told all, and where production went."""
    steps = played["played"]
    assert (steps[1], steps[3]) == ({"sync": "failed"}, {"sync": "skipped"})
    assert steps[2] == {"gate": "success", "diff": "success", "release": "success"}
    assert steps[4] == steps[8] == {"sync": "success"}
    assert set(mlflow.runs()) == {"surgery@1", "second_look@1", "surgery@2"}
    assert mlflow.standing("surgery") == {"staging": "surgery@2", "production": "surgery@1"}
    assert played["runs"] == 1
    assert {"surgery", "refer", "biopsy_staging", "referrals_api"} <= set(played["wakes"])
    assert set(played["rollback"]) == {"referrals_api", "reviews_api"}
