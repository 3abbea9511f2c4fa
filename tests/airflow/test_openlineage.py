"""Events of OpenLineage from real runs of a group's DAGs, by Airflow's own provider, against the official schema."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry as Schemas
from referencing import Resource

from lockstep.registry import Registry
from tests.airflow import openlineage
from tests.airflow.conftest import PROJECT, Program

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
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session

from demo.customers import write_biopsies
from groups.biopsy import graph
from lockstep_airflow import release_dags

write_biopsies(Path(os.environ["LOCKSTEP_DATA"], "biopsies"))
DagBundlesManager().sync_bundles_to_db()
for dag in release_dags(graph).values():
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="dags-folder", session=session)
from airflow.providers.openlineage.plugins.listener import get_openlineage_listener

states = [str(release_dags(graph)[dag_id].test(run_conf=conf).state) for dag_id, conf in json.loads(sys.argv[1])]
get_openlineage_listener().before_stopping(None)  # it waits for the processes that send
print()
print(json.dumps(states))
"""

STEPS: list[tuple[str, dict[str, Any]]] = [
    ("biopsy_retrain", {"promote": True}),
    ("biopsy_release", {}),
    ("biopsy_retrain", {"models": ["surgery"], "force": True, "promote": True}),
    ("biopsy_release", {}),
    ("biopsy_rollback", {"why": "complaints"}),
]


@dataclass
class Told:
    """The events, in order, and the registry that they speak of."""

    events: list[dict[str, Any]]
    registry: Registry
    folder: Path

    def done(self, job: str) -> dict[str, Any]:
        """The first event that says that a job is done."""
        return next(event for event in self.events if event["job"]["name"] == job and event["eventType"] == "COMPLETE")

    def names(self, nodes: list[dict[str, Any]]) -> list[str]:
        """What nodes are called, below the registry, with their versions."""
        root = f"{self.folder}/registry/"
        return [f"{node['name'].removeprefix(root)} {node['facets']['version']['datasetVersion']}" for node in nodes]


@pytest.fixture(scope="module")
def told(run_program: Program, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """All steps, with the provider installed, and a file to send to."""
    folder = tmp_path_factory.mktemp("lineage")
    transport = {"type": "file", "log_file_path": str(folder / "events"), "append": True}
    places = [*(str(PROJECT / name) for name in ("include", "plugins", ".")), str(openlineage.folder())]
    states = run_program(
        PLAY,
        json.dumps(STEPS),
        variables={
            "LOCKSTEP_REGISTRY": (folder / "registry").as_uri(),
            "LOCKSTEP_DATA": folder / "data",
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
            "AIRFLOW__OPENLINEAGE__NAMESPACE": "tests",
            "PYTHONPATH": ":".join(places),
        },
    )
    assert states == ["success"] * len(STEPS)
    events = [json.loads(line) for line in (folder / "events").read_text().splitlines()]
    return Told(events, Registry.open((folder / "registry").as_uri()), folder)


def test_a_snapshot_comes_from_its_files(told: Told) -> None:
    """The files that were read are inputs, with their hashes; the snapshot is the output, with columns and rows."""
    event = told.done("biopsy_retrain.snapshot_biopsies")
    assert [Path(node["name"]).parent for node in event["inputs"]] == [told.folder / "data/biopsies"] * len(
        event["inputs"]
    )
    (snapshot,) = event["outputs"]
    assert told.names([snapshot]) == ["datasets/biopsies biopsies@1"]
    assert snapshot["outputFacets"]["outputStatistics"]["rowCount"] == 569
    columns = {column["name"] for column in snapshot["facets"]["schema"]["fields"]}
    assert {"malignant", "radius"} <= columns or len(columns) > 5
    assert snapshot["facets"]["lockstep_version"]["digest"] == told.registry.state().snapshot("biopsies@1").digest


def test_a_model_comes_from_its_snapshot(told: Told) -> None:
    """The version is the output, with its metrics and parameters."""
    event = told.done("biopsy_retrain.surgery.train")
    assert told.names(event["inputs"]) == ["datasets/biopsies biopsies@1"]
    (model,) = event["outputs"]
    assert told.names([model]) == ["models/surgery surgery@1"]
    said, fact = model["facets"]["lockstep_model"], told.registry.state().model("surgery@1").fact
    assert said["metrics"] == fact.metrics
    assert (said["recipe"], said["parameters"], said["missed"]) == (fact.recipe, fact.parameters, [])


def test_a_threshold_comes_from_exactly_its_model_version(told: Told) -> None:
    """The version of the model that it fits is an input; its value and what it decides stand in a facet."""
    event = told.done("biopsy_retrain.surgery.tune_refer")
    assert told.names(event["inputs"]) == ["models/surgery surgery@1", "datasets/biopsies biopsies@1"]
    (threshold,) = event["outputs"]
    said = threshold["facets"]["lockstep_threshold"]
    assert said["value"] == told.registry.state().threshold("refer@1").fact.value
    assert said["model"] == "surgery@1"
    assert said["test"]["rows"] > 0


def test_a_release_comes_from_its_members(told: Told) -> None:
    """Every member is an input by its version; the release is the output, and a rollback says what it left."""
    event, production = told.done("biopsy_release.release"), told.registry.state().releases["biopsy"]
    members = ["models/second_look second_look@1", "models/surgery surgery@1"]
    members += ["thresholds/refer refer@1", "thresholds/review review@1"]
    assert sorted(told.names(event["inputs"])) == members
    assert told.names(event["outputs"]) == [f"releases/biopsy {production[0].digest}"]
    (back,) = told.done("biopsy_rollback.rollback")["outputs"]
    assert back["facets"]["lockstep_release"]["left"] == production[1].digest
    assert back["facets"]["lockstep_release"]["why"] == "complaints"


def test_each_run_says_who_and_which_entry(told: Told) -> None:
    """The run of a release names the entry of the log that it wrote, and the registry."""
    said = told.done("biopsy_release.release")["run"]["facets"]["lockstep_run"]
    assert said["entry"] == told.registry.state().releases["biopsy"][0].recorded.number
    assert said["registry"] == told.registry.uri


def test_facets_of_our_own_are_as_they_are_described(told: Told) -> None:
    """Each has a schema in the package, by the address that it names, and holds to it."""
    own = json.loads(openlineage.OWN.read_text())
    jsonschema.Draft202012Validator.check_schema(own)
    schemas: Schemas[Any] = Schemas().with_resource(own["$id"], Resource.from_contents(own))
    seen = set()
    for event in told.events:
        nodes = [*event.get("inputs", []), *event.get("outputs", [])]
        for facets in (event["run"]["facets"], *(node["facets"] for node in nodes)):
            for name in filter(lambda name: name.startswith("lockstep_"), facets):
                schema = {"$ref": facets[name]["_schemaURL"]}
                jsonschema.Draft202012Validator(schema, registry=schemas).validate(facets[name])
                seen.add(facets[name]["_schemaURL"].rpartition("/")[2])
    assert seen == set(own["$defs"]) - {"Facet"}


def test_events_are_as_openlineage_describes_them(told: Told) -> None:
    """Each event is valid by the official schema of its kind, and each standard facet by that of the facet."""
    official = openlineage.spec()
    if official is None:
        pytest.skip(f"The official schema can't be had; {openlineage.SPEC} may name a folder that holds it.")
    facets = openlineage.facet_schemas()
    schemas: Schemas[Any] = Schemas().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in (official, *facets)
    )
    validator = jsonschema.Draft202012Validator(
        {"$ref": f"{official['$id']}#/$defs/RunEvent"}, registry=schemas, format_checker=jsonschema.FormatChecker()
    )
    assert len(told.events) > 20
    for event in told.events:
        validator.validate(event)
    known = {schema["$id"].rpartition("/")[2] for schema in facets}
    checked = 0
    for event in told.events:
        for node in [*event.get("inputs", []), *event.get("outputs", [])]:
            for facet in [*node["facets"].values(), *node.get("outputFacets", {}).values()]:
                file, _, pointer = facet["_schemaURL"].rpartition("/spec/facets/")[2].partition("/")[2].partition("#")
                whole = next((schema["$id"] for schema in facets if schema["$id"].endswith(f"/{file}")), None)
                if file in known and whole:
                    jsonschema.Draft202012Validator({"$ref": f"{whole}#{pointer}"}, registry=schemas).validate(facet)
                    checked += 1
    assert checked or not facets
