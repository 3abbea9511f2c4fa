"""A group whose graph says when to retrain, played by `dag.test()`: watched, found due, retrained, and left alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.registry import Registry
from tests.airflow.conftest import Program

DECLARED = '''
"""One model that is to be retrained where there are half as many rows again."""

from lockstep import Api, Dataset, Graph, Model, Threshold, any_of, csv, fixed, rows_added


def estimator():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


columns = {"x": float, "y": float, "yes": bool}
visits = Dataset("visits", source=csv("visits/*.csv"), key="id", columns=columns)
stay = Model("stay", data=visits, target="yes", estimator=estimator)
ask = Threshold("ask", model=stay, choose=fixed(0.5))
graph = Graph([Api("asking", decides=[ask])], retrain_when=any_of(rows_added(0.5)))
'''

PLAY = """
import json
import os
import random
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

from airflow.sdk import BaseNotifier
from lockstep_airflow import every, release_dags
from visited import graph


class Tell(BaseNotifier):
    def notify(self, context):
        with Path(os.environ["LOCKSTEP_DATA"], "told").open("a") as told:
            told.write(context["task"].task_id)


def build():
    dags = release_dags(graph, watch=every("@hourly"), schedule="@weekly")
    if "stay_watch" in dags:
        dags["stay_watch"].get_task("due").on_success_callback = [Tell()]
    return dags


def rows(month, count):
    chance = random.Random(month)
    folder = Path(os.environ["LOCKSTEP_DATA"], "visits")
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["id,x,y,yes"]
    for number in range(count):
        x, y = chance.gauss(0, 1), chance.gauss(0, 1)
        lines.append(f"m{month}r{number},{x:.3f},{y:.3f},{'yes' if x + chance.gauss(0, 0.5) > 0 else 'no'}")
    (folder / f"{month}.csv").write_text("\\n".join(lines))


DagBundlesManager().sync_bundles_to_db()
for dag in build().values():
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="dags-folder", session=session)


def play(what, conf):
    if what == "rows":
        return rows(**conf)
    run = build()[f"stay_{what}"].test(run_conf=conf)
    with create_session() as session:
        tasks = session.scalars(select(TaskInstance).filter_by(dag_id=run.dag_id, run_id=run.run_id)).all()
        return {task.task_id: str(task.state) for task in tasks}


played = [play(what, conf) for what, conf in json.loads(sys.argv[1])]
with create_session() as session:
    events = [event.extra for event in session.scalars(select(AssetEvent)).all() if event.asset.name == "stay_due"]
retrain = build()["stay_retrain"]
started = {
    "runs": retrain.max_active_runs,
    "by": [asset.name for asset in retrain.timetable.asset_condition.objects],
    "paused": retrain.is_paused_upon_creation,
}
print()
told = Path(os.environ["LOCKSTEP_DATA"], "told").read_text()
print(json.dumps({"played": played, "events": events, "started": started, "told": told}))
"""

STEPS: list[tuple[str, dict[str, Any]]] = [
    ("rows", {"month": 1, "count": 300}),
    ("retrain", {"promote": True}),
    ("release", {}),
    ("watch", {}),  # 3: nothing is new, and nothing is due
    ("rows", {"month": 2, "count": 300}),
    *[("watch", {})] * 3,  # 5: it is due, and that is said once
    ("retrain", {}),
    ("rows", {"month": 3, "count": 30}),
    ("watch", {}),  # 10: some rows more than it was trained on
    ("rows", {"month": 4, "count": 600}),
    ("watch", {}),  # 12: many
]


@pytest.fixture(scope="module")
def played(run_program: Program, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All steps, and the registry that they left."""
    folder = tmp_path_factory.mktemp("due")
    (folder / "visited.py").write_text(DECLARED)
    places = [*(str(Path(__file__).parents[2] / name) for name in ("include", "plugins", ".")), str(folder)]
    found: dict[str, Any] = run_program(
        PLAY,
        json.dumps(STEPS),
        variables={
            "LOCKSTEP_REGISTRY": (folder / "registry").as_uri(),
            "LOCKSTEP_DATA": folder / "data",
            "PYTHONPATH": ":".join(places),
        },
    )
    return found | {"registry": Registry.open((folder / "registry").as_uri())}


def test_nothing_new_is_nothing_due(played: dict[str, Any]) -> None:
    """Both tasks are skipped: the look has found nothing new, and the rule is not met."""
    assert played["played"][3] == {"look_visits": "skipped", "due": "skipped"}


def test_what_is_due_is_said_once(played: dict[str, Any]) -> None:
    """The first look takes a snapshot and says it, with the reason; further ones find nothing new, and say nothing."""
    assert played["played"][5] == {"look_visits": "success", "due": "success"}
    assert played["played"][6] == played["played"][7] == {"look_visits": "skipped", "due": "skipped"}
    first, second = played["events"]
    assert first["snapshots"] == ["visits@2"]
    assert first["answers"][0]["says"].startswith("visits@2 has 6")
    assert first["about"] != second["about"]


def test_what_was_retrained_is_the_measure_from_then_on(played: dict[str, Any]) -> None:
    """Though it was not released: some rows more are not enough, many are."""
    state = played["registry"].state()
    assert state.model("stay@2").fact.snapshot == state.snapshot("visits@2").digest
    assert played["played"][10] == {"look_visits": "success", "due": "skipped"}
    assert played["played"][12] == {"look_visits": "success", "due": "success"}
    assert played["events"][1]["snapshots"] == ["visits@4"]


def test_a_notifier_of_the_task_is_told_as_often_as_the_event(played: dict[str, Any]) -> None:
    """Airflow's own hook: it runs where the task succeeds, and not where it is skipped."""
    assert played["told"] == "due" * len(played["events"])


def test_the_retraining_starts_by_its_event_and_by_its_schedule(played: dict[str, Any]) -> None:
    """One run at a time, so that events that come meanwhile make one run together."""
    assert played["started"] == {"runs": 1, "by": ["stay_due"], "paused": None}
