"""The DAGs that look after a registry: what they may be asked, and what they do to one."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.registry import Registry, Removed
from lockstep.release import promote
from tests.airflow.conftest import Program
from tests.upkeep.years import ADA, GROUP, Years

DESCRIBE = """
import copy
import json

from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from lockstep_airflow import upkeep_dags


def asked(dag, conf):
    params = copy.deepcopy(dag.params)
    try:
        params.update(conf)
        params.validate()
    except ParamValidationError as error:
        return str(error)
    return params.dump()


def described(dag):
    return {
        "schedule": dag.schedule,
        "paused": dag.is_paused_upon_creation,
        "active": dag.max_active_runs,
        "catchup": dag.catchup,
        "tags": sorted(dag.tags),
        "tasks": [task.task_id for task in dag.tasks],
        "links": [link.name for task in dag.tasks for link in task.operator_extra_links],
        "again": DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_ids,
    }


dags = upkeep_dags()
print()
print(json.dumps({
    "dags": {dag_id: described(dag) for dag_id, dag in dags.items()},
    "answers": [asked(dags[dag_id], conf) for dag_id, conf in json.loads(__import__("sys").argv[1])],
    "others": {dag_id: dag.schedule for dag_id, dag in upkeep_dags(verify="@hourly", retain=None).items()},
}))
"""

PLAY = """
import json
import sys

from airflow.cli.cli_parser import get_parser

parser = get_parser()
arguments = parser.parse_args(["db", "migrate"])
arguments.func(arguments)

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from sqlalchemy import select

from lockstep_airflow import upkeep_dags

DagBundlesManager().sync_bundles_to_db()
for dag in upkeep_dags().values():
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="dags-folder", session=session)


def play(dag_id, conf):
    run = upkeep_dags()[dag_id].test(run_conf=conf)
    mine = {"dag_id": dag_id, "run_id": run.run_id}
    with create_session() as session:
        (task,) = session.scalars(select(TaskInstance).filter_by(**mine)).all()
        xcom = session.scalars(
            XComModel.get_many(key="return_value", task_ids=task.task_id, dag_ids=dag_id, run_id=run.run_id)
        ).first()
        return [f"{dag_id}/{run.run_id}", str(task.state), xcom and XComModel.deserialize_value(xcom)]


played = [play(dag_id, conf) for dag_id, conf in json.loads(sys.argv[1])]
print()
print(json.dumps(played))
"""

DEFAULTS = {"keep": 10, "older_than": 30, "rollbacks": 5, "decisions": 90, "dry_run": False}
ACCEPTED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("lockstep_verify", {}, {"quick": False}),
    ("lockstep_verify", {"quick": True}, {"quick": True}),
    ("lockstep_retain", {}, DEFAULTS),
    (
        "lockstep_retain",
        {"keep": 1, "older_than": 0, "rollbacks": 0, "decisions": 7, "dry_run": True},
        {
            "keep": 1,
            "older_than": 0,
            "rollbacks": 0,
            "decisions": 7,
            "dry_run": True,
        },
    ),
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("lockstep_verify", {"quick": "perhaps"}),
    ("lockstep_retain", {"keep": 0}),
    ("lockstep_retain", {"keep": 1.5}),
    ("lockstep_retain", {"older_than": -1}),
    ("lockstep_retain", {"older_than": "30d"}),
    ("lockstep_retain", {"rollbacks": -1}),
    ("lockstep_retain", {"decisions": 0}),
    ("lockstep_retain", {"dry_run": 1}),
]


@pytest.fixture(scope="module")
def described(run_program: Program) -> dict[str, Any]:
    """The DAGs, and what their params say to the questions above."""
    questions = [*((dag_id, conf) for dag_id, conf, _ in ACCEPTED), *REFUSED]
    found: dict[str, Any] = run_program(DESCRIBE, json.dumps(questions))
    return found


def test_one_dag_verifies_and_one_retains(described: dict[str, Any]) -> None:
    """Each is scheduled, one run at a time, and starts when somebody lets it; other schedules can be given."""
    same = {"paused": None, "active": 1, "catchup": False, "tags": ["lockstep"], "links": []}
    assert described["dags"] == {
        "lockstep_verify": {**same, "schedule": "@daily", "tasks": ["verify"], "again": ["verify"]},
        "lockstep_retain": {**same, "schedule": "@weekly", "tasks": ["retain"], "again": ["retain"]},
    }
    assert described["others"] == {"lockstep_verify": "@hourly", "lockstep_retain": None}


def test_what_a_run_may_be_asked(described: dict[str, Any]) -> None:
    """What makes sense is accepted, with defaults for the rest; what makes no sense is refused before a task starts."""
    answers = described["answers"]
    assert answers[: len(ACCEPTED)] == [{"registry": None, **wanted} for _, _, wanted in ACCEPTED]
    assert all(answer.startswith("Invalid input for param") for answer in answers[len(ACCEPTED) :])


@pytest.mark.airflow
@pytest.mark.slow
def test_a_registry_is_verified_and_cleared(run_program: Program, tmp_path: Path) -> None:
    """Retention asks first, then removes what nobody needs; verify succeeds before and after, and fails on damage."""
    years = Years((tmp_path / "registry").as_uri())
    for recipe in "abc":
        years.trained(recipe)
    promote(years.registry, GROUP, ["churn@1", "churn_reason@1"], ADA)
    one = {"keep": 1}
    steps = [("lockstep_verify", {}), ("lockstep_retain", {**one, "dry_run": True}), ("lockstep_retain", one)]
    variables = {"LOCKSTEP_REGISTRY": years.registry.uri, "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False"}
    log = tmp_path / "log"
    played = run_program(PLAY, json.dumps([*steps, ("lockstep_verify", {"quick": True})]), variables=variables, log=log)
    assert [state for _, state, _ in played] == ["success"] * 4
    verified, asked, done, quick = (found for _, _, found in played)
    assert (verified["depth"], verified["errors"], verified["versions"]) == ("whole", 0, 15)
    assert (asked["folders"], asked["entries"], asked["deleted"]["files"]) == (5, [], 0)
    (entry,) = [entry for entry in Registry.open(years.registry.uri).log.entries() if isinstance(entry.fact, Removed)]
    assert done == {
        "dry_run": False,
        "folders": 5,
        "size": asked["size"],
        "entries": [entry.number],
        "deleted": {"files": 12, "size": asked["size"]},
    }
    assert entry.origin.job is not None
    assert (entry.origin.job.run, entry.origin.job.task) == (played[2][0], "retain")
    assert (quick["depth"], quick["errors"], quick["notes"]) == ("quick", 0, 0)
    assert "would go: thresholds/priority_call/" in log.read_text()
    assert "removed: thresholds/priority_call/" in log.read_text()
    (tmp_path / "registry" / "notes.txt").write_text("mine")
    ((_, state, found),) = run_program(PLAY, json.dumps([("lockstep_verify", {})]), variables=variables, log=log)
    assert (state, found) == ("failed", None)
    assert "error: name breaks the rule: notes.txt: " in log.read_text()
    assert f"Registry {years.registry.uri} is broken in 1 places" in log.read_text()
