"""The DAGs that a graph becomes, and what Airflow sees when it parses a file. No metadata database is needed."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.conftest import PROJECT, Program

DESCRIBE = """
import copy
import json
import warnings
from datetime import timedelta

from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from groups import biopsy, churn
from lockstep.errors import DeclarationError
from lockstep_airflow import by_hand, every, release_dags
from lockstep_airflow.gate import GateTrigger

WHATS = ("retrain", "promote", "release", "rollback", "resume")


def asked(dag, conf):
    params = copy.deepcopy(dag.params)
    try:
        params.update(conf)
        params.validate()
    except ParamValidationError as error:
        return str(error)
    return params.dump()


def shown(schedule):
    return [asset.uri for asset in schedule] if isinstance(schedule, list) else schedule


def described(dag):
    return {
        "paused": dag.is_paused_upon_creation,
        "active": dag.max_active_runs,
        "catchup": dag.catchup,
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
        "tasks": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
        "retries": sorted({task.retries for task in dag.tasks}),
        "inlets": {task.task_id: [asset.uri for asset in task.inlets] for task in dag.tasks},
        "outlets": {task.task_id: [asset.uri for asset in task.outlets] for task in dag.tasks},
        "links": {task.task_id: [link.name for link in task.operator_extra_links] for task in dag.tasks},
        "schedule": shown(dag.schedule),
    }


def again(dag):
    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


def key(uri, group, poll=0.25):
    return repr(GateTrigger(registry=uri, group=group, poll=poll).shared_stream_key())


graphs = {"churn": churn.graph, "biopsy": biopsy.graph}
dags = release_dags(churn.graph, watch=every("@hourly")) | release_dags(biopsy.graph)
light = "lockstep_airflow.approval" not in __import__("sys").modules
approved = release_dags(biopsy.graph, approval=by_hand(assigned_users=["ada"], timeout=timedelta(days=3)))
timed = release_dags(biopsy.graph, schedule="@daily")


def wrong(**arguments):
    try:
        return str(by_hand(**arguments))
    except DeclarationError as error:
        return str(error)


after = release_dags(biopsy.graph, schedule=[next(iter(dags["churn_retrain"].tasks)).outlets[0]])
one, other = (graph.groups[name].as_json() for name, graph in graphs.items())
with open(__import__("sys").argv[1]) as file:
    questions = json.load(file)
print()
print(json.dumps({
    "dags": {dag_id: described(dag) for dag_id, dag in dags.items()},
    "answers": [asked(dags[dag_id], conf) for dag_id, conf in questions],
    "schedules": {dag_id: [shown(dag.schedule), dag.is_paused_upon_creation] for dag_id, dag in timed.items()},
    "light": light,
    "approved": described(approved["biopsy_release"]) | {"again": sorted(again(approved["biopsy_release"]).task_ids)},
    "wrong": [wrong(assigned_users="ada"), wrong(assigned_users=[""]), wrong(timeout=timedelta(0))],
    "after": shown(after["biopsy_retrain"].schedule),
    "again": {dag_id: again(dag).task_ids for dag_id, dag in dags.items()},
    "edges": {node.name: graph.parents(node.name) for graph in graphs.values() for node in graph.nodes},
    "keys": [key("file:///a", one), key("file:///a", other), key("file:///b", one), key("file:///a", one, poll=5)],
}))
"""

PARSE = """
import json
import sys

seen = []


def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo"}:
        seen.append(f"{event} {arguments}")
        raise OSError("no network while a DAG file is parsed")


sys.addaudithook(watch)

from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
print()
print(json.dumps({
    "dags": sorted(bag.dags),
    "errors": bag.import_errors,
    "warnings": [text for texts in bag.captured_warnings.values() for text in texts],
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "network": seen,
}))
"""

PLUGINS = """
import json
import sys

from airflow import plugins_manager
from airflow.api_fastapi.core_api.security import get_user
from airflow.plugins_manager import ensure_plugins_loaded, get_import_errors, get_plugin_info

ensure_plugins_loaded()
before = sorted(sys.modules)
found = get_plugin_info()
apps, _ = plugins_manager.get_fastapi_plugins()


def asks_who(dependant):
    return dependant.call is get_user or any(map(asks_who, dependant.dependencies))


routes = [(route.path, asks_who(route.dependant)) for app in apps for route in app["app"].routes]
print()
print(json.dumps({
    "plugins": [plugin["name"] for plugin in found],
    "errors": get_import_errors(),
    "top": [name for name in before if "." not in name],
    "modules": [name for name in before if name.startswith("lockstep_airflow")],
    "apps": [[app["name"], app["url_prefix"]] for app in apps],
    "routes": routes,
}, default=str))
"""

ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("churn_retrain", {}),
    ("churn_retrain", {"models": ["churn"], "promote": True, "force": True}),
    ("churn_retrain", {"models": ["churn_reason", "churn"], "parameters": {"churn": {"model__C": 0.3}}}),
    ("churn_promote", {"version": "churn"}),
    ("churn_promote", {"version": "churn_reason@12"}),
    ("churn_promote", {"version": " retention_offer@1 "}),
    ("biopsy_promote", {"version": "second_look@3"}),
    ("churn_rollback", {}),
    ("churn_rollback", {"to": ""}),
    ("churn_rollback", {"to": "0a1b2c3d4e5f"}),
    ("churn_rollback", {"why": "complaints"}),
    ("churn_resume", {"why": "it was the network"}),
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("churn_retrain", {"models": ["surgery"]}),
    ("churn_retrain", {"models": "churn"}),
    ("churn_retrain", {"parameters": {"surgery": {"C": 1}}}),
    ("churn_retrain", {"parameters": {"churn": 0.3}}),
    ("churn_retrain", {"promote": "perhaps"}),
    ("churn_retrain", {"force": 1}),
    ("churn_promote", {}),
    ("churn_promote", {"version": ""}),
    ("churn_promote", {"version": "churn@0"}),
    ("churn_promote", {"version": "churn@latest"}),
    ("churn_promote", {"version": "customers@1"}),
    ("churn_promote", {"version": "offers"}),
    ("churn_promote", {"version": "surgery@1"}),
    ("churn_promote", {"version": "churn@1; churn@2"}),
    ("churn_promote", {"version": None}),
    ("churn_rollback", {"to": "latest"}),
    ("churn_rollback", {"to": 3}),
    ("churn_resume", {}),
    ("churn_resume", {"why": " "}),
]

NOT_ALLOWED = """
from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed
from lockstep_airflow import release_dags

rows = Dataset("rows", source=csv("rows.csv"), key="id", columns={"yes": bool})
secret = Model("secret", data=rows, target="yes", estimator=object, only_for=["bank"])
bank = Api("bank", decides=[Threshold("lend", model=secret, choose=fixed(0.5))])
shop = Api("shop", decides=[Threshold("sell", model=secret, choose=fixed(0.5))])
globals().update(release_dags(Graph([bank, shop])))
"""
OUTDATED = """
from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed
from lockstep_airflow import release_dags

rows = Dataset("rows", source=csv("rows.csv"), key="id", columns={"yes": bool}, deprecated="use rows_v2")
old = Model("old", data=rows, target="yes", estimator=object)
globals().update(release_dags(Graph([Api("shop", decides=[Threshold("sell", model=old, choose=fixed(0.5))])])))
"""


@pytest.fixture(scope="module")
def described(run_program: Program, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The DAGs of both groups, and what their params say to the questions above."""
    questions = tmp_path_factory.mktemp("questions") / "questions.json"
    questions.write_text(json.dumps([*ACCEPTED, *REFUSED]))
    found: dict[str, Any] = run_program(DESCRIBE, questions)
    return found


@pytest.fixture(scope="module")
def dags(described: dict[str, Any]) -> dict[str, Any]:
    """The DAGs of both groups."""
    found: dict[str, Any] = described["dags"]
    return found


# ------------------------------------------------------------------------------------------------- what a graph becomes


def test_each_group_has_six_dags(dags: dict[str, Any]) -> None:
    """A release group has DAGs to retrain, promote, release and roll back, to stop and go on; asked, one to watch."""
    assert set(dags) == {
        f"{group}_{what}"
        for group in ("churn", "biopsy")
        for what in ("retrain", "promote", "release", "rollback", "hold", "resume")
    } | {"churn_watch"}
    assert all(dag["tags"] == sorted(["lockstep", name.partition("_")[0]]) for name, dag in dags.items())
    assert not any(dag["catchup"] for dag in dags.values())


def test_tasks_of_churn(dags: dict[str, Any]) -> None:
    """Churn's tasks run from snapshot through training and tuning to promotion; a model waits for those it needs."""
    assert dags["churn_retrain"]["tasks"] == {
        "snapshot_customers": ["churn.train", "churn_reason.train"],
        "churn.train": [
            "churn.promote",
            "churn.tune_priority_call",
            "churn.tune_retention_offer",
            "churn_reason.train",
        ],
        "churn.tune_retention_offer": ["churn.promote"],
        "churn.tune_priority_call": ["churn.promote"],
        "churn.promote": [],
        "churn_reason.train": ["churn_reason.promote"],
        "churn_reason.promote": [],
    }
    assert dags["churn_promote"]["tasks"] == {"promote": []}
    assert dags["churn_release"]["tasks"] == {"gate": ["diff"], "diff": ["release"], "release": []}
    assert dags["churn_rollback"]["tasks"] == {"rollback": []}
    assert dags["churn_resume"]["tasks"] == {"resume": []}
    assert dags["churn_watch"]["tasks"] == {"look_customers": ["due"], "due": []}


def test_a_release_that_a_person_approves(described: dict[str, Any]) -> None:
    """The question stands between diff and release; where the set changes meanwhile, another run is woken."""
    dag = described["approved"]
    assert dag["tasks"] == {
        "gate": ["diff"],
        "diff": ["approve"],
        "approve": ["ask_again", "release"],
        "ask_again": [],
        "release": [],
    }
    assert dag["again"] == sorted(dag["tasks"])
    assert dag["outlets"]["ask_again"] == ["x-lockstep://staging/biopsy"]


def test_approval_costs_nothing_where_nobody_asks_for_it(described: dict[str, Any]) -> None:
    """What asks a person is imported by the DAGs that do."""
    assert described["light"] is True


def test_who_may_approve_is_checked_when_it_is_declared(described: dict[str, Any]) -> None:
    """A text in place of a list of users, a user without an id, and no time to answer are refused."""
    users, user, time = described["wrong"]
    assert users == "by_hand(assigned_users='ada'): give a list of user ids, for example ['ada']."
    assert user == "by_hand(assigned_users=['']): give a list of user ids, for example ['ada']."
    assert time == "by_hand(timeout=0:00:00): the time must be positive, for example timedelta(days=3)."


def test_tasks_of_biopsy(dags: dict[str, Any]) -> None:
    """Two models that don't build on each other share a snapshot, and nothing else."""
    assert dags["biopsy_retrain"]["tasks"] == {
        "snapshot_biopsies": ["second_look.train", "surgery.train"],
        "surgery.train": ["surgery.promote", "surgery.tune_refer"],
        "surgery.tune_refer": ["surgery.promote"],
        "surgery.promote": [],
        "second_look.train": ["second_look.promote", "second_look.tune_review"],
        "second_look.tune_review": ["second_look.promote"],
        "second_look.promote": [],
    }


def test_what_moves_stages_runs_once_at_a_time(dags: dict[str, Any]) -> None:
    """At most one run of a group promotes, releases or rolls back at a time, or retrains where it is said to be due."""
    single = {name for name, dag in dags.items() if dag["active"] == 1}
    assert single == set(dags) - {"biopsy_retrain"}
    assert all(dag["retries"] == [2] for dag in dags.values())


def test_a_promotion_wakes_only_the_release(dags: dict[str, Any]) -> None:
    """The release DAG is woken by its group's staging asset, which promotions alone write; retraining by `due`."""
    assert {name: dag["schedule"] for name, dag in dags.items() if dag["schedule"]} == {
        "churn_release": ["x-lockstep://staging/churn"],
        "biopsy_release": ["x-lockstep://staging/biopsy"],
        "churn_retrain": ["x-lockstep://due/churn"],
        "churn_watch": "@hourly",
    }
    writers = {
        f"{name}.{task}"
        for name, dag in dags.items()
        for task, uris in dag["outlets"].items()
        if "x-lockstep://staging/biopsy" in uris
    }
    assert writers == {
        "biopsy_retrain.surgery.promote",
        "biopsy_retrain.second_look.promote",
        "biopsy_promote.promote",
    }


def test_assets_carry_the_graph(described: dict[str, Any]) -> None:
    """Each arrow of the graph is an inlet of the task that makes the node; no URI makes Airflow load a provider."""
    made: dict[str, set[str]] = {}
    uris = set()
    for dag in described["dags"].values():
        for task, outlets in dag["outlets"].items():
            uris |= {*outlets, *dag["inlets"][task]}
            for uri in outlets:
                made.setdefault(uri.rpartition("/")[2], set()).update(dag["inlets"][task])
    assert all(uri.startswith("x-lockstep://") for uri in uris)
    by_name = {uri.rpartition("/")[2]: uri for uri in uris if "/staging/" not in uri and "/due/" not in uri}
    for node, parents in described["edges"].items():
        assert {by_name[parent] for parent in parents} <= made[node], node


def test_tasks_link_to_what_they_made(dags: dict[str, Any]) -> None:
    """Every task that makes a version links to its page, and one that may wait for a cloud, to its job."""
    clouds = {"snapshot": "Dataflow job", "look": "Dataflow job", "train": "Vertex AI job"}
    for dag in dags.values():
        for task, links in dag["links"].items():
            cloud = clouds.get(task.rpartition(".")[2].partition("_")[0])
            assert links == (
                []
                if task in ("gate", "diff", "hold", "resume", "due")
                else ["Lockstep version", *filter(None, [cloud])]
            ), task


def test_the_graph_is_drawn_in_the_documentation(dags: dict[str, Any]) -> None:
    """The documentation of a retraining DAG shows what hangs on what."""
    assert "dataset biopsies" in dags["biopsy_retrain"]["doc"]
    assert "API reviews" in dags["biopsy_retrain"]["doc"]


def test_dags_survive_serialization(described: dict[str, Any]) -> None:
    """Airflow can write each DAG down and read it again with the same tasks."""
    assert {name: set(tasks) for name, tasks in described["again"].items()} == {
        name: set(dag["tasks"]) for name, dag in described["dags"].items()
    }


def test_a_schedule_starts_the_retraining_alone(described: dict[str, Any]) -> None:
    """With `schedule=` the retraining runs by it once somebody lets it; all else runs by hand or is woken."""
    schedules = described["schedules"]
    assert schedules["biopsy_retrain"] == ["@daily", None]
    assert schedules["biopsy_promote"] == schedules["biopsy_rollback"] == [None, False]
    assert schedules["biopsy_release"] == [["x-lockstep://staging/biopsy"], False]
    assert described["after"] == ["x-lockstep://dataset/customers"]
    assert described["dags"]["biopsy_retrain"]["paused"] is False


@pytest.mark.parametrize("number", range(len(ACCEPTED)), ids=lambda number: str(ACCEPTED[number]))
def test_what_a_run_may_be_asked(described: dict[str, Any], number: int) -> None:
    """What makes sense is accepted, and defaults fill in the rest."""
    dag_id, conf = ACCEPTED[number]
    answer = described["answers"][number]
    assert isinstance(answer, dict), answer
    if dag_id == "churn_retrain":
        said = {"models": ["churn", "churn_reason"], "parameters": {}, "force": False, "promote": False}
        assert answer == {**said, "where": None, "engine": None, "registry": None, **conf}
    else:
        blank = {"to": None, "why": None} if dag_id.endswith("rollback") else {}
        assert answer == {"registry": None} | blank | conf


@pytest.mark.parametrize("number", range(len(REFUSED)), ids=lambda number: str(REFUSED[number]))
def test_what_a_run_may_not_be_asked(described: dict[str, Any], number: int) -> None:
    """What makes no sense is refused before a task starts."""
    answer = described["answers"][len(ACCEPTED) + number]
    assert isinstance(answer, str), answer
    assert answer.startswith("Invalid input for param")


def test_gates_of_one_registry_share_a_reader(described: dict[str, Any]) -> None:
    """Gates of all groups of a registry share a stream; those of another registry, or at another pace, do not."""
    first, sibling, elsewhere, slower = described["keys"]
    assert first == sibling
    assert len({first, elsewhere, slower}) == 3


# ---------------------------------------------------------------------------------------------------- parsing DAG files


@pytest.fixture(scope="module")
def parsed(run_program: Program, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What Airflow sees in the project's DAG files, and where a registry would be."""
    registry = tmp_path_factory.mktemp("parsed") / "registry"
    found = run_program(PARSE, PROJECT / "dags", variables={"LOCKSTEP_REGISTRY": registry.as_uri()})
    return found, registry


def test_the_projects_dag_files_are_fine(parsed: tuple[dict[str, Any], Path]) -> None:
    """Airflow finds the DAGs of both groups, one that watches, and two of upkeep: no error, no warning."""
    found, _ = parsed
    assert len(found["dags"]) == 12 + 1 + 2
    assert found["errors"] == {}
    assert found["warnings"] == []


def test_parsing_is_light(parsed: tuple[dict[str, Any], Path]) -> None:
    """Parsing opens no registry and no connection, and imports neither Beam nor scikit-learn."""
    found, registry = parsed
    assert not registry.exists()
    assert found["network"] == []
    assert not {"apache_beam", "sklearn", "skops", "pyarrow"} & set(found["modules"])


@pytest.mark.parametrize(
    ("asked", "built"),
    [
        ("churn_promote", ["churn_promote"]),
        ("biopsy_retrain", ["biopsy_retrain"]),
        ("lockstep_retain", ["lockstep_retain"]),
        ("somebody_elses", []),
    ],
)
def test_a_task_builds_its_own_dag_only(run_program: Program, asked: str, built: list[str]) -> None:
    """In a task's process, only the DAG that it belongs to is built, whatever else the files declare."""
    found = run_program(PARSE, PROJECT / "dags", variables={"_AIRFLOW_PARSING_CONTEXT_DAG_ID": asked})
    assert found["dags"] == built
    assert found["errors"] == {}


@pytest.fixture(scope="module")
def wrong(run_program: Program, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What Airflow sees in a file that may not be, and in one that should not be."""
    folder = tmp_path_factory.mktemp("dags")
    (folder / "not_allowed.py").write_text(NOT_ALLOWED)
    (folder / "outdated.py").write_text(OUTDATED)
    found: Mapping[str, Any] = run_program(PARSE, folder)
    return found


def test_a_use_that_is_not_allowed_is_an_import_error(wrong: Mapping[str, Any]) -> None:
    """A DAG file in which the wrong API uses an exclusive model can't be imported; the error says who may."""
    (file,) = wrong["errors"]
    assert Path(file).name == "not_allowed.py"
    assert 'Model "secret" is only for bank, but threshold "sell" (for shop) uses it.' in wrong["errors"][file]
    assert not any(dag.startswith("secret") for dag in wrong["dags"])


def test_a_deprecated_dataset_is_a_warning(wrong: Mapping[str, Any]) -> None:
    """A DAG file with a deprecated dataset is imported with a warning that says what to use instead."""
    assert wrong["dags"] == ["old_hold", "old_promote", "old_release", "old_resume", "old_retrain", "old_rollback"]
    assert any('Dataset "rows" is deprecated: use rows_v2. Model "old" uses it.' in text for text in wrong["warnings"])


def test_a_release_group_is_short_to_declare() -> None:
    """Two models, two thresholds and two APIs with their DAGs take less than 40 lines."""
    lines = [
        line
        for name in ("include/groups/biopsy.py", "dags/biopsy.py")
        for line in (PROJECT / name).read_text().splitlines()
        if line.strip()
    ]
    assert len(lines) < 40


# --------------------------------------------------------------------------------------------------------------- plugin


@pytest.fixture(scope="module")
def plugins(run_program: Program) -> dict[str, Any]:
    """What Airflow loads from the plugins folder."""
    found: dict[str, Any] = run_program(PLUGINS)
    return found


def test_the_plugin_is_loaded(plugins: dict[str, Any]) -> None:
    """Airflow loads the plugin once, without an error, and mounts one app."""
    assert plugins["plugins"].count("lockstep") == 1
    assert plugins["errors"] == {}
    assert plugins["apps"] == [["Lockstep", "/lockstep"]]


def test_no_module_of_ours_takes_a_foreign_name(plugins: dict[str, Any]) -> None:
    """`.airflowignore` is honoured: what lies in the package is not loaded under its bare name."""
    inner = {path.stem for path in (PROJECT / "plugins" / "lockstep_airflow").glob("*.py")} - {"__init__", "__main__"}
    assert "gate" in inner
    assert not inner & set(plugins["top"])
    assert (PROJECT / "plugins" / ".airflowignore").read_text().splitlines()[-1] == "lockstep_airflow/**"


def test_every_process_pays_little_for_the_plugin(plugins: dict[str, Any]) -> None:
    """Loading the plugin imports neither the operators nor the page; these come with a DAG, and with the API server."""
    assert not {"lockstep_airflow.operators", "lockstep_airflow.gate", "lockstep_airflow.ui"} & set(plugins["modules"])


def test_every_route_is_guarded(plugins: dict[str, Any]) -> None:
    """No route of the app can be reached without a check of who asks."""
    assert plugins["routes"]
    for path, asks_who in plugins["routes"]:
        assert re.match(r"/\w+", path)
        assert asks_who, path
