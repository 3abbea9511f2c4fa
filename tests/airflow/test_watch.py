"""`<group>_watch`: when it looks, what it says, and what it tells others."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.registry import Registry
from tests.airflow.conftest import Program

DESCRIBE = """
import json
from datetime import timedelta

from groups.biopsy import graph
from lockstep.errors import DeclarationError
from lockstep_airflow import every, release_dags


def told(text):
    try:
        found = every(text)
    except DeclarationError as error:
        return str(error)
    return found.total_seconds() if isinstance(found, timedelta) else found


without, dags = release_dags(graph), release_dags(graph, watch=every("@hourly"))
dag = dags["biopsy_watch"]
print()
print(json.dumps({
    "without": sorted(without),
    "with": sorted(dags),
    "schedule": dag.schedule,
    "paused": dag.is_paused_upon_creation,
    "active": dag.max_active_runs,
    "params": sorted(dag.params),
    "tasks": {task.task_id: [outlet.uri for outlet in task.outlets] for task in dag.tasks},
    "times": [told(text) for text in ["@daily", "15m", "6h", " 0 6  * * 1-5", "now and then", "0m"]],
}))
"""

PLAY = """
import json
import os
import sys
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
from lockstep_airflow import every, release_dags
from lockstep_airflow.watch import WatchOperator

folder = Path(os.environ["LOCKSTEP_DATA"], "biopsies")
write_biopsies(folder)
(whole,) = folder.glob("*.csv")
header, *lines = whole.read_text().splitlines()
dags = lambda: release_dags(graph, watch=every("@hourly"))
DagBundlesManager().sync_bundles_to_db()
lazy = LazyDeserializedDAG.from_dag(dags()["biopsy_watch"])
with create_session() as session:
    SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy], session=session)
    SerializedDagModel.write_dag(lazy, bundle_name="dags-folder", session=session)


def look(lost=False):
    dag = dags()["biopsy_watch"]
    task = dag.get_task("look_biopsies")
    if lost:  # what the first attempt did is recorded, but it ends before Airflow hears of it
        task.retry_delay = __import__("datetime").timedelta(0)
        whole_work = WatchOperator._seen

        def once(self, *args, **kwargs):
            WatchOperator._seen = whole_work
            whole_work(self, *args, **kwargs)
            raise ConnectionError("lost behind the record")

        WatchOperator._seen = once
    run = dag.test()
    mine = {"dag_id": dag.dag_id, "run_id": run.run_id}
    with create_session() as session:
        (found,) = session.scalars(select(TaskInstance).filter_by(**mine)).all()
        events = session.scalars(
            select(AssetEvent).filter_by(source_dag_id=dag.dag_id, source_run_id=run.run_id)
        ).all()
        return {
            "run": str(run.state),
            "task": str(found.state),
            "tries": found.try_number,
            "events": [[event.asset.uri, event.extra] for event in events],
        }


whole.write_text("\\n".join([header, *lines[:400]]) + "\\n")
played = [look(), look()]
(folder / "z.csv").write_text("\\n".join([header, *lines[400:]]) + "\\n")
played += [look(lost=True), look()]
(folder / "z.csv").unlink()
whole.unlink()
played.append(look())
print()
print(json.dumps(played))
"""


def test_a_group_is_watched_if_it_is_asked_for(run_program: Program) -> None:
    """There is a seventh DAG only with `watch`; it has a task and an asset for each dataset, and a time to look."""
    found: dict[str, Any] = run_program(DESCRIBE)
    six = [f"biopsy_{what}" for what in ("hold", "promote", "release", "resume", "retrain", "rollback")]
    assert (found["without"], found["with"]) == (six, sorted([*six, "biopsy_watch"]))
    assert (found["schedule"], found["paused"], found["active"]) == ("@hourly", None, 1)
    assert found["params"] == ["engine", "registry"]
    assert found["tasks"] == {"look_biopsies": ["x-lockstep://dataset/biopsies"]}
    assert found["times"][:4] == ["@daily", 900, 21600, "0 6 * * 1-5"]
    assert all(said.startswith('every("') for said in found["times"][4:])


@pytest.mark.airflow
@pytest.mark.slow
def test_new_data_is_seen_once(run_program: Program, tmp_path: Path) -> None:
    """New content is a snapshot and an event, also where an attempt was lost between; else the task is skipped."""
    uri, log = (tmp_path / "registry").as_uri(), tmp_path / "log"
    variables = {
        "LOCKSTEP_REGISTRY": uri,
        "LOCKSTEP_DATA": tmp_path / "data",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    }
    first, nothing, lost, again, gone = run_program(PLAY, variables=variables, log=log)
    state, said = Registry.open(uri).state(), log.read_text()
    assert [one["run"] for one in (first, nothing, lost, again, gone)] == ["success"] * 4 + ["failed"]
    ((asset, told),) = first["events"]
    snapshot = state.snapshot("biopsies@1")
    assert asset == "x-lockstep://dataset/biopsies"
    assert {**told, "says": len(told["says"])} == {
        "dataset": "biopsies",
        "version": "biopsies@1",
        "digest": snapshot.digest,
        "rows": snapshot.fact.rows,
        "quarantined": 0,
        "how": "full",
        "says": 1,
    }
    for one in (nothing, again):
        assert (one["task"], one["events"]) == ("skipped", [])
    ((_, told),) = lost["events"]
    assert (lost["task"], lost["tries"], told["version"]) == ("success", 2, "biopsies@2")
    assert len(state.snapshots["biopsies"]) == 2
    assert "z.csv" in said
    assert " is new." in said
    assert "Nothing is new: the source holds biopsies@2." in said
    assert (gone["task"], gone["tries"], gone["events"]) == ("failed", 1, [])
    assert json.dumps(told["says"])
