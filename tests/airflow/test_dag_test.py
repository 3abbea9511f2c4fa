"""The DAGs of the group `biopsy`, played from the first rows to a refused rollback by `dag.test()`, in one process."""

import json
from collections import Counter
from typing import Any

import pytest

from lockstep.registry import Registry
from tests.airflow.conftest import Program

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

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
from airflow.models.xcom import XComModel
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from sqlalchemy import select

from demo.customers import write_biopsies
from groups.biopsy import graph
from lockstep_airflow import release_dags

write_biopsies(Path(os.environ["LOCKSTEP_DATA"], "biopsies"))
dags = release_dags(graph)
DagBundlesManager().sync_bundles_to_db()
for dag in dags.values():
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="dags-folder", session=session)


def play(dag_id, conf):
    dag = release_dags(graph)[dag_id]  # a new one: dag.test() leaves the conf of a run in the params of its DAG
    run = dag.test(run_conf=conf)
    mine = {"dag_id": dag_id, "run_id": run.run_id}
    with create_session() as session:
        tasks = session.scalars(select(TaskInstance).filter_by(**mine)).all()
        events = session.scalars(select(AssetEvent).filter_by(source_dag_id=dag_id, source_run_id=run.run_id)).all()
        return {
            "run": f"{dag_id}/{run.run_id}",
            "state": str(run.state),
            "tasks": {task.task_id: str(task.state) for task in tasks},
            "tries": {task.task_id: task.try_number for task in tasks},
            "xcoms": {
                task.task_id: XComModel.deserialize_value(found)
                for task in tasks
                if (found := session.scalars(
                    XComModel.get_many(key="return_value", task_ids=task.task_id, dag_ids=dag_id, run_id=run.run_id)
                ).first())
            },
            "events": sorted([event.asset.uri, event.source_task_id, event.extra] for event in events),
        }


steps = json.loads(sys.argv[1])
played = {name: play(dag_id, conf) for name, dag_id, conf in steps}
print()
print(json.dumps(played))
"""

OTHER = "file:///OTHER"  # its place is known when the steps are played
STEPS: list[tuple[str, str, dict[str, Any]]] = [
    ("trained", "biopsy_retrain", {}),
    ("again", "biopsy_retrain", {}),
    ("one", "biopsy_retrain", {"models": ["surgery"], "parameters": {"surgery": {"logisticregression__C": 0.5}}}),
    ("wrong", "biopsy_retrain", {"models": ["surgery"], "parameters": {"surgery": {"depth": 3}}}),
    ("unknown", "biopsy_promote", {"version": "surgery@9"}),
    ("first", "biopsy_promote", {"version": "surgery@1"}),
    ("second", "biopsy_promote", {"version": "second_look"}),
    ("released", "biopsy_release", {}),
    ("nothing", "biopsy_release", {}),
    ("refused", "biopsy_rollback", {}),
    ("promoted", "biopsy_retrain", {"models": ["surgery"], "force": True, "promote": True}),
    ("elsewhere", "biopsy_retrain", {"models": ["surgery"], "registry": OTHER, "promote": True}),
    ("submitted", "biopsy_retrain", {"models": ["surgery"], "where": "vertex(project=p, region=us-central1)"}),
]


class Played:
    """What was played, and the registry that it left."""

    def __init__(self, steps: dict[str, Any], registry: Registry, other: Registry, log: str) -> None:
        self.steps, self.registry, self.other, self.log = steps, registry, other, log

    def __getitem__(self, name: str) -> dict[str, Any]:
        """One step."""
        found: dict[str, Any] = self.steps[name]
        return found


@pytest.fixture(scope="module")
def played(run_program: Program, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """All steps, in order."""
    folder = tmp_path_factory.mktemp("played")
    uri, other = ((folder / name).as_uri() for name in ("registry", "other"))
    variables = {
        "LOCKSTEP_REGISTRY": uri,
        "LOCKSTEP_DATA": folder / "data",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    }
    told = json.dumps(STEPS).replace(OTHER, other)
    steps = run_program(PLAY, told, variables=variables, log=folder / "log")
    return Played(steps, Registry.open(uri), Registry.open(other), (folder / "log").read_text())


def test_retraining_adds_candidates(played: Played) -> None:
    """A retraining takes one snapshot, trains and tunes both models, and skips the promotions that nobody asked for."""
    step = played["trained"]
    assert step["state"] == "success"
    assert {task for task, state in step["tasks"].items() if state == "skipped"} == {
        "surgery.promote",
        "second_look.promote",
    }
    assert Counter(step["tasks"].values()) == Counter(success=5, skipped=2)
    state = played.registry.state()
    xcoms = step["xcoms"]
    assert xcoms["snapshot_biopsies"] == {
        "version": "biopsies@1",
        "digest": state.snapshot("biopsies@1").digest,
        "rows": 569,
        "quarantined": 0,
    }
    assert xcoms["surgery.train"]["version"] == "surgery@1"
    assert xcoms["surgery.train"]["digest"] == state.model("surgery@1").digest
    assert xcoms["surgery.train"]["new"] is True
    assert xcoms["surgery.train"]["missed"] == []
    assert xcoms["surgery.train"]["metrics"]["roc_auc"] > 0.95
    assert xcoms["surgery.tune_refer"]["value"] == state.threshold("refer@1").fact.value


def test_each_version_knows_its_job(played: Played) -> None:
    """Each entry names the run, the task, its try and its log; the task is told what it has made."""
    trained = played["trained"]
    entries = [entry for entry in played.registry.log.entries() if entry.origin.job]
    mine = {entry.origin.job.task: entry for entry in entries if entry.origin.job.run == trained["run"]}
    assert set(mine) == {task for task, state in trained["tasks"].items() if state == "success"}
    for task, entry in mine.items():
        job, xcom = entry.origin.job, trained["xcoms"][task]
        assert (job.system, job.attempt) == ("airflow", 1)
        dag_id, _, run_id = trained["run"].partition("/")
        assert all(part in job.log for part in ("http", dag_id, task))
        assert run_id.partition("+")[0] in job.log.replace("%3A", ":")
        assert xcom["digest"] == entry.fact.digest
    assert len(entries) == len(list(played.registry.log.entries()))


def test_new_versions_are_asset_events(played: Played) -> None:
    """Each node that was made has an asset event from the task that made it; a promotion has one of staging."""
    made = {(uri, task) for uri, task, _ in played["trained"]["events"]}
    assert made == {
        ("x-lockstep://dataset/biopsies", "snapshot_biopsies"),
        ("x-lockstep://model/surgery", "surgery.train"),
        ("x-lockstep://model/second_look", "second_look.train"),
        ("x-lockstep://threshold/refer", "surgery.tune_refer"),
        ("x-lockstep://threshold/review", "second_look.tune_review"),
    }
    assert played["first"]["events"] == [
        ["x-lockstep://staging/biopsy", "promote", {"group": "biopsy", "versions": ["surgery@1", "refer@1"]}]
    ]
    assert played["unknown"]["events"] == []
    assert {uri for uri, _, _ in played["released"]["events"]} == {
        "x-lockstep://api/referrals",
        "x-lockstep://api/reviews",
    }


def test_the_same_recipe_is_not_trained_again(played: Played) -> None:
    """A second retraining of the same rows and code finds the versions that are there."""
    again = played["again"]["xcoms"]
    assert {task: found["version"] for task, found in again.items()} == {
        task: found["version"] for task, found in played["trained"]["xcoms"].items()
    }
    assert [found["new"] for found in again.values() if "new" in found] == [False] * 4


def test_only_the_models_that_were_asked_for_are_trained(played: Played) -> None:
    """A retraining of one model skips all tasks of the others, and gives its parameters to the estimator."""
    step = played["one"]
    assert step["state"] == "success"
    assert {task for task, state in step["tasks"].items() if state == "success"} == {
        "snapshot_biopsies",
        "surgery.train",
        "surgery.tune_refer",
    }
    assert step["xcoms"]["surgery.train"]["version"] == "surgery@2"
    assert played.registry.state().model("surgery@2").fact.parameters == {"logisticregression__C": 0.5}


def test_wrong_parameters_fail_without_another_try(played: Played) -> None:
    """A parameter that the estimator does not have fails the training at its first try, with what there is."""
    step = played["wrong"]
    assert (step["state"], step["tasks"]["surgery.train"], step["tries"]["surgery.train"]) == ("failed", "failed", 1)
    assert step["tasks"]["surgery.tune_refer"] == step["tasks"]["surgery.promote"] == "upstream_failed"
    assert 'Model "surgery": there is no parameter "depth"; it has' in played.log


def test_an_unknown_version_is_refused_without_another_try(played: Played) -> None:
    """A promotion of a version that does not exist fails at its first try, with the sentence of the core."""
    step = played["unknown"]
    assert (step["state"], step["tasks"], step["tries"]) == ("failed", {"promote": "failed"}, {"promote": 1})
    assert 'There is no model version "surgery@9"; "surgery" has versions surgery@1 to surgery@2.' in played.log


def test_promotions_move_thresholds_along(played: Played) -> None:
    """A promoted model brings the threshold that was tuned for it to staging; without a number, the newest is meant."""
    assert played["first"]["xcoms"]["promote"]["staging"] == ["surgery@1", "refer@1"]
    assert played["second"]["xcoms"]["promote"]["staging"] == ["second_look@1", "review@1"]


def test_an_open_gate_releases_at_once(played: Played) -> None:
    """With all members in staging, the gate does not wait, and the release is one entry with all of them."""
    step = played["released"]
    assert step["tasks"] == {"gate": "success", "diff": "success", "release": "success"}
    assert step["xcoms"]["gate"]["open"] is True
    production = played.registry.state().production("biopsy")
    assert production is not None
    counted = step["xcoms"]["diff"]
    assert (counted["compared"], counted["old"], counted["new"]) == (True, None, production.digest)
    assert counted["flips"] == {"refer": None, "review": None}  # the first release has nothing to compare with
    assert played.registry.objects.exists(counted["kept"])
    assert step["xcoms"]["release"] == {
        "group": "biopsy",
        "release": production.digest,
        "entry": production.recorded.number,
        "members": dict(production.members),
    }
    assert set(production.members) == {"model:surgery", "model:second_look", "threshold:refer", "threshold:review"}


def test_with_nothing_new_the_release_is_skipped(played: Played) -> None:
    """A release run that finds staging in production is skipped, and records nothing."""
    assert played["nothing"]["tasks"] == {"gate": "skipped", "diff": "skipped", "release": "skipped"}
    assert len(played.registry.state().releases["biopsy"]) == 1


def test_the_first_release_has_nothing_to_go_back_to(played: Played) -> None:
    """A rollback of the first release fails at its first try, with the reason."""
    step = played["refused"]
    assert (step["tasks"], step["tries"]) == ({"rollback": "failed"}, {"rollback": 1})
    assert "is the first; there is none before it to go back to." in played.log


def test_a_retraining_can_be_forced_and_promote(played: Played) -> None:
    """Forced, the same recipe gives a new version; asked to, the run promotes it, with its asset event."""
    step = played["promoted"]
    assert step["state"] == "success"
    assert step["xcoms"]["surgery.train"]["version"] == "surgery@3"
    assert step["xcoms"]["surgery.train"]["new"] is True
    assert step["xcoms"]["surgery.promote"]["staging"] == ["surgery@3", "refer@3"]
    assert step["tasks"]["second_look.promote"] == "skipped"
    assert ["x-lockstep://staging/biopsy", "surgery.promote"] in [event[:2] for event in step["events"]]


def test_a_run_can_name_another_registry(played: Played) -> None:
    """A registry in the run's form counts for each task of that run; the usual one stays as it was."""
    step = played["elsewhere"]
    assert step["state"] == "success"
    assert step["xcoms"]["surgery.promote"]["staging"] == ["surgery@1", "refer@1"]
    kinds = Counter(entry.fact.kind for entry in played.other.log.entries())
    assert kinds == Counter(snapshot_taken=1, model_trained=1, threshold_tuned=1, promoted=1)


def test_nothing_is_submitted_without_what_it_needs(played: Played) -> None:
    """Training on Vertex AI without a connection to submit by fails at the first try, and says what is missing."""
    step = played["submitted"]
    assert (step["tasks"]["snapshot_biopsies"], step["tasks"]["surgery.train"]) == ("success", "failed")
    assert step["tries"]["surgery.train"] == 1
    assert (
        'Airflow has no connection "google_cloud_default", by which jobs on Google Cloud are submitted.' in played.log
    )


def test_nothing_else_was_recorded(played: Played) -> None:
    """The log holds exactly what the steps are said to do."""
    kinds = Counter(entry.fact.kind for entry in played.registry.log.entries())
    assert kinds == Counter(snapshot_taken=1, model_trained=4, threshold_tuned=4, promoted=3, released=1)
