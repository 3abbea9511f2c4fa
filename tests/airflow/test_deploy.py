"""Releases of the group `biopsy` come to endpoints on loopback, by `dag.test()`; real containers answer there."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lockstep.data import read_snapshot
from lockstep.deployment import vertex_endpoints
from lockstep.deployment.vertex import Vertex
from lockstep.registry import Registry
from lockstep.training import load_model
from loopback.cloud import Cloud, cloud
from loopback.google import PROJECT
from tests.airflow.conftest import Program
from tests.deployment.conftest import REGION, official_clients

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

PLAY = """
import json
import os
import sys
from pathlib import Path

from airflow.cli.cli_parser import get_parser

arguments = get_parser().parse_args(["db", "migrate"])
arguments.func(arguments)

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.providers.google.cloud.operators.vertex_ai.custom_job import CreateCustomJobOperator
from airflow.sdk import DAG
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from sqlalchemy import select

from demo.customers import write_biopsies
from groups.biopsy import graph
from lockstep.deployment import vertex_endpoints
from lockstep_airflow import release_dags

project, region, image, steps = json.loads(sys.argv[1])
write_biopsies(Path(os.environ["LOCKSTEP_DATA"], "biopsies"))


def declared():
    dags = release_dags(graph, deploy=vertex_endpoints(project=project, region=region, image=image))
    for dag in dags.values():
        if dag.has_task("deploy"):
            dag.get_task("deploy").poll = 0.4
    with DAG("stock") as dags["stock"]:
        container = {"image_uri": "any", "command": ["python", "-S", "-c", "print('stock')"]}
        pool = {"machine_spec": {"machine_type": "n2"}, "replica_count": 1, "container_spec": container}
        CreateCustomJobOperator(
            task_id="job",
            project_id=project,
            region=region,
            custom_job={"display_name": "stock", "job_spec": {"worker_pool_specs": [pool]}},
            poll_interval=1,
        )
    dags["stock"].fileloc = dags["biopsy_release"].fileloc  # this text has no file
    return dags


DagBundlesManager().sync_bundles_to_db()
for dag in declared().values():
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="dags-folder", session=session)


def play(dag_id, conf):
    run = declared()[dag_id].test(run_conf=conf)
    mine = {"dag_id": dag_id, "run_id": run.run_id}
    with create_session() as session:
        tasks = session.scalars(select(TaskInstance).filter_by(**mine)).all()
        found = session.scalars(
            XComModel.get_many(key="return_value", task_ids="deploy", dag_ids=dag_id, run_id=run.run_id)
        ).first()
        deployed = XComModel.deserialize_value(found) if found else None
        found = session.scalars(
            XComModel.get_many(key="_link_EndpointsLink", task_ids="deploy", dag_ids=dag_id, run_id=run.run_id)
        ).first()
        page = XComModel.deserialize_value(found) if found else None
        return {"tasks": {task.task_id: str(task.state) for task in tasks}, "deployed": deployed, "page": page}


played = {name: play(dag_id, conf) for name, dag_id, conf in steps}
print()
print(json.dumps(played))
"""

OTHERS = {"models": ["surgery"], "parameters": {"surgery": {"logisticregression__C": 0.5}}, "promote": True}
STEPS: list[tuple[str, str, dict[str, Any]]] = [
    ("trained", "biopsy_retrain", {"promote": True}),
    ("first", "biopsy_release", {}),
    ("again", "biopsy_retrain", OTHERS),
    ("second", "biopsy_release", {}),
    ("back", "biopsy_rollback", {}),
    ("stock", "stock", {}),
]
IMAGE = "europe-docker.pkg.dev/team/lockstep:1"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Run a bucket and Vertex AI, and let this process come to them as Airflow's does."""
    with cloud(tmp_path_factory.mktemp("cloud")) as found, pytest.MonkeyPatch.context() as patch:
        for name, value in found.variables.items():
            patch.setenv(name, value)
        yield found


@pytest.fixture(scope="module")
def played(there: Cloud, run_program: Program, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All steps, in order."""
    variables = {
        **there.variables,
        "LOCKSTEP_REGISTRY": f"{there.bucket}/registry",
        "LOCKSTEP_DATA": tmp_path_factory.mktemp("data"),
    }
    found: dict[str, Any] = run_program(PLAY, json.dumps([PROJECT, REGION, IMAGE, STEPS]), variables=variables)
    return found


def test_each_release_and_rollback_is_deployed(played: dict[str, Any], there: Cloud) -> None:
    """The step after a release brings its members; the one after a rollback shifts back what was changed."""
    assert [played[name]["tasks"]["deploy"] for name in ("first", "second", "back")] == ["success"] * 3
    assert [played[name]["deployed"]["shifted"] for name in ("first", "second", "back")] == [
        ["second_look", "surgery"],
        ["surgery"],
        ["surgery"],
    ]
    releases = Registry.open(f"{there.bucket}/registry").state().releases["biopsy"]
    assert [played[name]["deployed"]["release"] for name in ("first", "second", "back")] == [
        release.digest for release in releases
    ]
    assert there.vertex.called("DeployModel") == 3
    assert played["back"]["page"].endswith(f"/endpoints?region={REGION}&project={PROJECT}")


def test_endpoints_answer_as_the_version_does(played: dict[str, Any], there: Cloud) -> None:
    """What a client of Vertex AI is told of a row is what the released version says of it."""
    registry = Registry.open(f"{there.bucket}/registry")
    state, clients = registry.state(), official_clients()
    target = vertex_endpoints(project=PROJECT, region=REGION, image=IMAGE)
    place = Vertex(clients=clients, target=target, registry=registry.uri, group="biopsy")
    rows = read_snapshot(registry, state.snapshot("biopsies"), split="test").head(5)
    for name in ("surgery", "second_look"):
        version = state.model(f"{name}@1")
        assert place.endpoint_of(name) == played["back"]["deployed"]["endpoints"][name]
        answer = clients.predictions.predict(endpoint=place.endpoint_of(name), instances=rows.to_dicts())
        said = [dict(one) for one in answer.predictions]
        assert {(one["model"], one["digest"]) for one in said} == {(version.ref, version.digest)}
        predictor = load_model(registry, version)
        scores = np.array([[one["probabilities"][str(label)] for label in predictor.classes] for one in said])
        assert scores == pytest.approx(predictor.scores(rows))


def test_the_stock_operator_reaches_loopback(played: dict[str, Any], there: Cloud) -> None:
    """The google provider's own operator, hook and connection run a job by the environment alone."""
    assert played["stock"]["tasks"] == {"job": "success"}
    (one,) = there.vertex.jobs.all
    assert one.container.lines[-1].text == "stock"
