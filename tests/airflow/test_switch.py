"""The switch in Airflow: what a form, a DAG file, Airflow's variables and its connection say. No database needed."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.conftest import PROJECT, Program

CLOUD = """
from groups.biopsy import graph
from lockstep import dataflow, vertex
from lockstep_airflow import release_dags

globals().update(
    release_dags(
        graph,
        registry="gs://shop-ml/lockstep",
        where=vertex(region="europe-west1", service_account="trainer@shop-ml.iam.gserviceaccount.com"),
        engine=dataflow(region="europe-west1", temp="gs://shop-ml/temp"),
    )
)
"""
WRONG = """
from groups.biopsy import graph
from lockstep import direct
from lockstep_airflow import release_dags

globals().update(release_dags(graph, where=direct()))
"""
LOOK = """
import copy
import json
import subprocess
import sys
from pathlib import Path

seen = []


def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo"}:
        seen.append(event)


sys.addaudithook(watch)
before = set(sys.modules)

from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
modules = sorted(set(sys.modules) - before)

from airflow.sdk.exceptions import ParamValidationError

from groups.biopsy import graph
from lockstep.errors import UsageError
from lockstep_airflow.switch import engine_of, where_of
from lockstep_airflow.tasks import registry_of_run, registry_uri


def answer(dag_id, conf):
    params = copy.deepcopy(bag.dags[dag_id].params)
    try:
        params.update(conf)
        params.validate()
    except ParamValidationError as error:
        return str(error)
    return None


def settled(settle, node, **said):
    try:
        found = settle(node, registry="gs://shop-ml/lockstep", **said)
    except UsageError as error:
        return str(error)
    return [str(found.place), dict(found.sources)]


def command(*words):
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
    return [done.returncode, done.stdout, done.stderr]


def broken(*words):
    file = Path(sys.argv[1], "broken.py")
    file.write_text("from airflow.sdk import DAG\\nimport nothing_such")
    return command(*words)


with open(sys.argv[2]) as file:
    questions = json.load(file)
retrain = bag.dags["biopsy_retrain"]
train, snapshot = (retrain.get_task(name) for name in ("surgery.train", "snapshot_biopsies"))
model, dataset = graph.model("surgery"), graph.dataset("biopsies")
print()
print(json.dumps({
    "errors": bag.import_errors,
    "modules": modules,
    "network": seen,
    "fields": {dag_id: sorted({"where", "engine", "registry"} & set(dag.params)) for dag_id, dag in bag.dags.items()},
    "demanded": [
        f"{dag_id}.{name}" for dag_id, dag in bag.dags.items() for name in dag.params
        if (param := dag.params.get_param(name)).schema["type"] == "string" and not (param.has_value and param.value)
    ],
    "answers": [answer(*question) for question in questions],
    "templates": {
        "where": [train.where, "where" in train.template_fields, str(train.where_of_dags)],
        "engine": [snapshot.engine, "engine" in snapshot.template_fields, str(snapshot.engine_of_dags)],
    },
    "where": settled(where_of, model, dags=train.where_of_dags),
    "run": settled(where_of, model, run="local", dags=train.where_of_dags),
    "engine": settled(engine_of, dataset, dags=snapshot.engine_of_dags),
    "unknown": settled(where_of, model, run="vertex(connection=nobody)"),
    "foreign": settled(where_of, model, run="vertex(connection=shop)"),
    "registry": [
        registry_uri(None), registry_uri("gs://dags"), registry_uri("gs://dags", "gs://run"),
        registry_of_run({"params": {"registry": " gs://run "}}), registry_of_run({}),
    ],
    "config": command("lockstep_airflow", "config"),
    "document": command("lockstep_airflow", "config", "biopsy", "--json"),
    "nobody": command("lockstep_airflow", "config", "nobody"),
    "broken": broken("lockstep_airflow", "config", "--json"),
}))
"""
VARIABLES = {
    "AIRFLOW_VAR_LOCKSTEP_WHERE": "vertex(machine=n2-highmem-4, region=us-central1)",
    "AIRFLOW_VAR_LOCKSTEP_REGISTRY": "gs://of-the-variable/lockstep",
    "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(
        {"conn_type": "google_cloud_platform", "extra": {"project": "shop-ml", "region": "asia-east1"}}
    ),
    "AIRFLOW_CONN_SHOP": "http://shop.example",
    "LOCKSTEP_ENGINE": "dataflow(workers=4)",
    "LOCKSTEP_REGISTRY": "gs://of-the-environment",
}

ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("biopsy_retrain", {"where": "", "engine": "", "registry": ""}),
    ("biopsy_retrain", {"where": None, "engine": None, "registry": None}),
    ("biopsy_retrain", {"where": "vertex(region=us-central1)", "engine": "flink(master=host:8081, parallelism=2)"}),
    ("biopsy_retrain", {"where": "local", "engine": "direct(workers=1)", "registry": "gs://shop-ml/experiments"}),
    ("biopsy_promote", {"version": "surgery", "registry": "gs://my_google@shop-ml/a/b"}),
    ("biopsy_release", {"registry": "file:///srv/lockstep"}),
    ("biopsy_rollback", {"registry": "abfss://models@shop.dfs.core.windows.net/lockstep"}),
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("biopsy_retrain", {"where": "vertx"}),
    ("biopsy_retrain", {"where": "vertex(zone=a)"}),
    ("biopsy_retrain", {"where": "direct"}),
    ("biopsy_retrain", {"where": 3}),
    ("biopsy_retrain", {"engine": "dask"}),
    ("biopsy_retrain", {"engine": "flink(master)"}),
    ("biopsy_retrain", {"engine": ["direct"]}),
    ("biopsy_retrain", {"registry": "shop-ml"}),
    ("biopsy_retrain", {"registry": "ftp://shop-ml"}),
    ("biopsy_promote", {"version": "surgery", "registry": "gs://me:secret@shop-ml/a"}),
    ("biopsy_release", {"registry": "s3://shop-ml/a?token=secret"}),
    ("biopsy_rollback", {"registry": "gs://"}),
]


@pytest.fixture(scope="module")
def looked(run_program: Program, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow sees in a DAG file for the cloud, and what the switch makes of all sources."""
    folder = tmp_path_factory.mktemp("cloud")
    (folder / "dags").mkdir()
    (folder / "dags" / "cloud.py").write_text(CLOUD)
    (folder / "questions.json").write_text(json.dumps([*ACCEPTED, *REFUSED]))
    variables = {**VARIABLES, "AIRFLOW__CORE__DAGS_FOLDER": folder / "dags"}
    found: dict[str, Any] = run_program(LOOK, folder / "dags", folder / "questions.json", variables=variables)
    return found


def test_a_dag_file_for_the_cloud_is_light(looked: dict[str, Any]) -> None:
    """Places in a cloud are parsed without a network, and import nothing of Google, Beam, polars or scikit-learn."""
    assert looked["errors"] == {}
    assert looked["network"] == []
    heavy = ("google.cloud", "google.auth", "googleapiclient", "grpc", "apache_beam", "polars", "sklearn", "pyarrow")
    of_provider = ("airflow.providers.google.cloud", "airflow.providers.google.common")
    assert not [name for name in looked["modules"] if name.startswith((*heavy, *of_provider))]


def test_something_else_than_a_place_is_an_import_error(run_program: Program, tmp_path: Path) -> None:
    """A DAG file with an engine where a place for training should be can't be imported, and the error says why."""
    (tmp_path / "wrong.py").write_text(WRONG)
    text = (
        "import json, sys\nfrom airflow.dag_processing.dagbag import DagBag\n"
        "print()\nprint(json.dumps(DagBag(sys.argv[1]).import_errors))"
    )
    (error,) = run_program(text, tmp_path).values()
    assert "release_dags: where=Direct(workers=None) is not one of local() or vertex(…), of `lockstep.places`." in error


def test_no_field_of_a_form_has_to_be_filled_in(looked: dict[str, Any]) -> None:
    """Only a version to promote and a reason to hold or resume are demanded: for Airflow a text that can't be null."""
    assert sorted(looked["demanded"]) == ["biopsy_hold.why", "biopsy_promote.version", "biopsy_resume.why"]


def test_forms_have_the_fields(looked: dict[str, Any]) -> None:
    """Each form may name another registry; that of a retraining also where to train, and the engine."""
    assert looked["fields"] == {
        "biopsy_retrain": ["engine", "registry", "where"],
        "biopsy_promote": ["registry"],
        "biopsy_release": ["registry"],
        "biopsy_rollback": ["registry"],
        "biopsy_resume": ["registry"],
        "biopsy_hold": ["registry"],
    }


@pytest.mark.parametrize("number", range(len(ACCEPTED)), ids=lambda number: str(ACCEPTED[number]))
def test_what_a_form_takes(looked: dict[str, Any], number: int) -> None:
    """Places in their text form, addresses without secrets, and blanks are taken."""
    assert looked["answers"][number] is None


@pytest.mark.parametrize("number", range(len(REFUSED)), ids=lambda number: str(REFUSED[number]))
def test_what_a_form_refuses(looked: dict[str, Any], number: int) -> None:
    """What can't be read is refused before a task starts, with the name of the field."""
    answer = looked["answers"][len(ACCEPTED) + number]
    (field,) = set(REFUSED[number][1]) - {"version"}
    assert answer.startswith(f"Invalid input for param {field}")


def test_the_form_reaches_the_tasks(looked: dict[str, Any]) -> None:
    """What the form says comes in by templates, beside what `release_dags` was given."""
    account = "trainer@shop-ml.iam.gserviceaccount.com"
    assert looked["templates"] == {
        "where": ["{{ params.where or '' }}", True, f"vertex(region=europe-west1, service_account={account})"],
        "engine": ["{{ params.engine or '' }}", True, "dataflow(region=europe-west1, temp=gs://shop-ml/temp)"],
    }


def test_all_sources_fill_in_what_is_open(looked: dict[str, Any]) -> None:
    """A place is put together from DAG file, Airflow's variable, environment, connection and default, in this order."""
    account = "trainer@shop-ml.iam.gserviceaccount.com"
    place, sources = looked["where"]
    assert place == (
        "vertex(project=shop-ml, region=europe-west1, machine=n2-highmem-4,"
        f" service_account={account}, connection=google_cloud_default)"
    )
    assert sources == {
        "kind": "release_dags",
        "region": "release_dags",
        "service_account": "release_dags",
        "machine": "Airflow variable lockstep_where",
        "project": "connection google_cloud_default",
        "connection": "default",
    }
    place, sources = looked["engine"]
    assert place.startswith("dataflow(project=shop-ml, region=europe-west1, temp=gs://shop-ml/temp, workers=4")
    assert sources["workers"] == "environment LOCKSTEP_ENGINE"
    assert looked["run"] == ["local()", {"kind": "the run"}]


def test_a_connection_has_to_fit(looked: dict[str, Any]) -> None:
    """A connection that Airflow does not have, or one of another type, is told before anything is submitted."""
    assert looked["unknown"].startswith(
        'Airflow has no connection "nobody", by which jobs on Google Cloud are submitted.'
    )
    assert looked["foreign"] == 'Connection "shop" is of type "http"; it has to be "google_cloud_platform".'


def test_the_registry_has_one_order_too(looked: dict[str, Any]) -> None:
    """A registry is named by the run's form, else by `release_dags`, else by Airflow's variable."""
    assert looked["registry"] == ["gs://of-the-variable/lockstep", "gs://dags", "gs://run", "gs://run", ""]


def test_config_shows_what_airflow_knows(looked: dict[str, Any]) -> None:
    """`config` of Airflow's side shows DAG file, variable and connection as sources, as `lockstep config` would."""
    status, out, err = looked["config"]
    assert status == 0, err
    lines = [line.split() for line in out.splitlines()]
    assert lines[:2] == [["group", "biopsy"], ["registry", "gs://shop-ml/lockstep", "(release_dags)"]]
    assert ["machine", "n2-highmem-4", "Airflow", "variable", "lockstep_where"] in lines
    assert ["project", "shop-ml", "connection", "google_cloud_default"] in lines
    assert ["workers", "4", "environment", "LOCKSTEP_ENGINE"] in lines


def test_config_as_json(looked: dict[str, Any]) -> None:
    """With `--json` stdout holds one document and nothing else."""
    status, out, err = looked["document"]
    assert status == 0, err
    (group,) = json.loads(out)["groups"]
    assert [model["settings"]["kind"]["source"] for model in group["models"]] == ["release_dags", "release_dags"]
    assert group["registry"]["source"] == "release_dags"


def test_config_beside_a_broken_file(looked: dict[str, Any]) -> None:
    """A DAG file that can't be imported is told, and the exit status is 1; stdout still holds the document alone."""
    status, out, err = looked["broken"]
    assert status == 1
    assert json.loads(out)["complete"] is True
    assert "broken.py can't be imported: ModuleNotFoundError: No module named 'nothing_such'" in err


def test_config_of_an_unknown_group(looked: dict[str, Any]) -> None:
    """A group that no DAG file builds is wrong use, and those that are built are named."""
    status, out, err = looked["nobody"]
    assert (status, out) == (2, "")
    assert 'lockstep: no DAG file builds release group "nobody"; there are biopsy.' in err


def test_providers_commands_are_named() -> None:
    """Airflow is told where to find the command `airflow lockstep config`."""
    text = (PROJECT / "plugins" / "lockstep_airflow" / "provider.py").read_text()
    assert '"cli": ["lockstep_airflow.commands.get_commands"]' in text
