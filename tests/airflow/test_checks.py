"""A source that breaks a hard check, met by the DAG that retrains a group in production; by `dag.test()`."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.registry import Registry, read_manifest
from tests.airflow.conftest import Program

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

PLAY = """
import json
import os
from dataclasses import replace
from pathlib import Path

from airflow.cli.cli_parser import get_parser

parser = get_parser()
arguments = parser.parse_args(["db", "migrate"])
arguments.func(arguments)

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from sqlalchemy import select

from demo.customers import write_biopsies
from groups import biopsy
from lockstep import Api, Graph, Model, Threshold, between, hard, quarantined, precision_at_least
from lockstep_airflow import release_dags

checks = [hard(between("mean radius", 5, 30)), between("mean texture", 5, 35), quarantined(at_most=0.5)]
biopsies = replace(biopsy.biopsies, checks=checks)
surgery = Model("surgery", data=biopsies, target="malignant", estimator=biopsy.linear)
refer = Threshold("refer", model=surgery, choose=precision_at_least(0.9))
graph = Graph([Api("referrals", decides=[refer])], name="biopsy")

path = write_biopsies(Path(os.environ["LOCKSTEP_DATA"], "biopsies"))
DagBundlesManager().sync_bundles_to_db()
for dag in release_dags(graph).values():
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="dags-folder", session=session)


def play(dag_id, conf):
    run = release_dags(graph)[dag_id].test(run_conf=conf)
    with create_session() as session:
        tasks = session.scalars(select(TaskInstance).filter_by(dag_id=dag_id, run_id=run.run_id)).all()
        return {"state": str(run.state), "tasks": {task.task_id: str(task.state) for task in tasks}}


played = {"good": play("biopsy_retrain", {"promote": True}), "released": play("biopsy_release", {})}
header, first, *rest = path.read_text().splitlines()
sample, radius, *others = first.split(",")
path.write_text("\\n".join([header, ",".join([sample, "-999", *others]), *rest]))
print("THE SOURCE IS BAD NOW")
played["bad"] = play("biopsy_retrain", {"promote": True})
print()
print(json.dumps(played))
"""


def test_a_hard_check_fails_the_snapshot_and_nothing_else_moves(run_program: Program, tmp_path: Path) -> None:
    """The task fails with its sentence and a line for each check; nothing is trained, and what stands stays."""
    uri = (tmp_path / "registry").as_uri()
    variables = {
        "LOCKSTEP_REGISTRY": uri,
        "LOCKSTEP_DATA": tmp_path / "data",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    }
    played: dict[str, Any] = run_program(PLAY, variables=variables, log=tmp_path / "log")
    assert (played["good"]["state"], played["released"]["state"], played["bad"]["state"]) == (
        "success",
        "success",
        "failed",
    )
    assert played["bad"]["tasks"]["snapshot_biopsies"] == "failed"
    assert "success" not in played["bad"]["tasks"].values()
    registry = Registry.open(uri)
    state = registry.state()
    kinds = [entry.fact.kind for entry in registry.log.entries()]
    assert kinds == ["snapshot_taken", "model_trained", "threshold_tuned", "promoted", "released"]
    release = state.production("biopsy")
    assert release is not None
    assert release.members["model:surgery"] == state.model("surgery@1").digest
    checks = read_manifest(registry.objects, state.snapshot("biopsies@1").fact.manifest)["checks"]
    assert [(found["kept"], found["weight"]) for found in checks] == [(True, "hard"), (False, "soft"), (True, "hard")]

    good, _, bad = (tmp_path / "log").read_text().partition("THE SOURCE IS BAD NOW")
    path = tmp_path / "data" / "biopsies" / "biopsies.csv"
    said = f"1 of 569 rows break it, first {path}, line 2: mean radius: -999.0 is not between 5 and 30"
    assert 'biopsies: between("mean radius", 5, 30) (hard): no row breaks it' in good
    assert 'biopsies: between("mean texture", 5, 35) (soft): ' in good
    assert f'biopsies: between("mean radius", 5, 30) (hard): {said}' in bad
    assert (
        'Dataset "biopsies": no snapshot was taken, and staging and production stay as they are, because 1 of its 3'
        f' checks stops it. between("mean radius", 5, 30) (hard): {said}. Correct the source, or the checks of the'
        " declaration."
    ) in bad
