"""The OpenAPI document: a path for each API, with the columns that it asks for and an example that works.

Rules:
- Columns come from the release that answers, since it says which labels its models learn from; before there is one,
  from the declarations.
- What may be missing or null is said of each column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lockstep.declare import Api, Column, Dataset, Model, Threshold
from lockstep.graph import Graph
from lockstep.serving.body import ARROW, MOST_BYTES, MOST_ROWS
from lockstep.serving.decider import Decider
from lockstep.serving.example import example_of
from lockstep.training.features import all_upstream, forbidden_columns

_TYPES: Final[dict[str, dict[str, str]]] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
}
_STATUSES: Final = {
    "400": "The body is no JSON, or no Arrow stream.",
    "404": "There is no such API.",
    "413": f"The body has more than {MOST_BYTES:,} bytes.",
    "415": "The body is said to be neither JSON in UTF-8 nor an Arrow stream, or is compressed.",
    "422": "The body has another shape, or its only row can't be used.",
    "503": "The group of the API has no release yet.",
}
_ASKED: Final = (
    "An Arrow IPC stream of up to as many rows, with the columns of a row in their types; not compressed, and without"
    " dictionaries. It is answered by a stream, unless Accept asks for application/json."
)
_TOLD: Final = (
    "An Arrow IPC stream, a row for each: key, release, error, and for each threshold its decision and, under the name"
    " with _score, its score. lockstep.versions in the metadata of the schema names the versions. No explanations."
)
_UNAUTHORISED: Final = {"401": "No good token was shown."}
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What an API asks for: `columns` by name, of them `labels` that no model of it learns from, and `keys`."""

    columns: Mapping[str, Column]
    labels: frozenset[str]
    keys: frozenset[str]


def paths_of(decider: Decider, *, guarded: bool) -> tuple[Json, Json]:
    """The paths of all APIs, and the schemas that they refer to."""
    paths: Json = {}
    schemas: Json = {"Refused": _refused()}
    for group, graph in decider.graphs.items():
        for name in (api.name for api in graph.groups[group].apis):
            api, loaded = graph.api(name), decider.releases.get(group)
            if loaded is not None and name in loaded.apis:
                asking, example = _asking(graph, loaded.columns(name)), example_of(decider.registry, loaded, name)
            else:
                asking, example = _asking(graph, _declared(graph, api)), None
            schemas[f"{name}_row"] = _row(asking)
            schemas[f"{name}_answer"] = _answer(api)
            paths[f"/apis/{name}/decisions"] = {"post": _operation(api, example, guarded=guarded)}
    return paths, schemas


def _models_of(graph: Graph, api: Api) -> list[Model]:
    found = {graph.model_of(threshold.name).name: graph.model_of(threshold.name) for threshold in api.decides}
    return list((found | {model.name: graph.model(model.name) for model in api.explains}).values())


def _declared(graph: Graph, api: Api) -> dict[str, dict[str, Column]]:
    """Dataset → the columns that the API will ask for, as far as declarations can tell."""
    found: dict[str, dict[str, Column]] = {}
    models = _models_of(graph, api)
    for dataset in {model.data.name: model.data for model in models}.values():
        own = [model for model in models if model.data.name == dataset.name]
        asked = {one.name: one for model in own for one in (model, *all_upstream(graph, model))}.values()
        learnt = {name for model in asked for name in set(dataset.schema) - set(forbidden_columns(graph, model))}
        segments = {threshold.per for threshold in api.decides if graph.model_of(threshold.name) in own}
        only_labels = _targets(graph, dataset) - learnt - segments
        found[dataset.name] = {
            name: replace(column, nullable=True) if name in only_labels else column
            for name, column in dataset.schema.items()
        }
    return found


def _targets(graph: Graph, dataset: Dataset) -> set[str]:
    return {node.target for node in graph.nodes if isinstance(node, Model) and node.data.name == dataset.name}


def _asking(graph: Graph, by_dataset: Mapping[str, Mapping[str, Column]]) -> Asking:
    columns: dict[str, Column] = {}
    labels: set[str] = set()
    for dataset, own in by_dataset.items():
        schema = graph.dataset(dataset).schema
        labels |= {name for name, column in own.items() if column.nullable and not schema[name].nullable}
        for name, column in own.items():
            known = columns.get(name, column)
            columns[name] = replace(column, nullable=column.nullable and known.nullable)
    keys = frozenset(graph.dataset(name).key for name in by_dataset)
    labels = {name for name in labels if columns[name].nullable}
    return Asking(columns=columns, labels=frozenset(labels), keys=keys)


def _row(asking: Asking) -> Json:
    properties: Json = {}
    for name, column in asking.columns.items():
        may_miss = column.nullable or name in asking.keys
        plain = _TYPES[column.kind]
        properties[name] = {**plain, "type": [plain["type"], "null"]} if may_miss else dict(plain)
        if name in asking.labels:
            properties[name]["description"] = "May be missing: it is only a label, which no model here learns from."
        elif name in asking.keys:
            properties[name]["description"] = "Names the row in the answer; may be missing."
        elif column.nullable:
            properties[name]["description"] = "May be missing: null is a value that the models know."
    needed = [name for name, column in asking.columns.items() if not column.nullable and name not in asking.keys]
    return {
        "type": "object",
        "title": "A row",
        "description": "Other columns are left aside. A number, bool or date may also come as text.",
        "properties": properties,
        "required": needed,
    }


def _answer(api: Api) -> Json:
    return {
        "type": "object",
        "title": "An answer",
        "required": ["api", "release"],
        "properties": {
            "api": {"const": api.name},
            "release": {"type": "string", "description": "The digest of the release that answered."},
            "key": {"description": "The row's key, or one made of its place."},
            "decisions": {
                "type": "object",
                "properties": {threshold.name: _decision(threshold) for threshold in api.decides},
            },
            "explanations": {
                "type": "object",
                "properties": {model.name: _explanation() for model in api.explains},
            },
            "error": {"type": "string", "description": "Why this row of several can't be used."},
        },
    }


def _decision(threshold: Threshold) -> Json:
    number = {"type": "number"}
    two = {"type": "object", "required": ["yes", "no"], "properties": {"yes": number, "no": number}}
    properties: Json = {
        "decision": {
            "type": ["boolean", "string", "integer", "null"],
            "description": "Yes or no, or a class; null: a person is to decide.",
        },
        "refer": {"type": "boolean", "description": "Whether a person is to decide, where that may be."},
        "probability": number,
        "value": {**number, "description": "What a regression predicts."},
        "threshold": {"anyOf": [number, two], "description": "What the score was held against."},
        "version": {"type": "string", "examples": [f"{threshold.name}@2"]},
        "model": {"type": "string", "examples": ["churn@7"]},
    }
    if threshold.per is not None:
        properties["segment"] = {
            "type": ["string", "integer", "boolean", "null"],
            "description": f"The row's {threshold.per}, whose values were held against.",
        }
        properties["fallback"] = {"type": "boolean", "description": "Whether the values of all rows decided instead."}
    return {"type": "object", "required": ["decision", "threshold", "version", "model"], "properties": properties}


def _explanation() -> Json:
    return {
        "type": "object",
        "required": ["prediction", "model"],
        "properties": {
            "prediction": {},
            "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
            "model": {"type": "string", "examples": ["churn_reason@4"]},
        },
    }


def _operation(api: Api, example: Json | None, *, guarded: bool) -> Json:
    row, answer = _ref(f"{api.name}_row"), _ref(f"{api.name}_answer")
    content: Json = {"schema": {"anyOf": [_several("rows", row), row]}}
    if example is not None:
        content["examples"] = {
            "one": {"summary": "One row", "value": example},
            "several": {"summary": "Several rows", "value": {"rows": [example, example]}},
        }
    answers = _several("answers", answer)
    answers["properties"] |= {"api": {"const": api.name}, "release": {"type": "string"}}
    decided = {"schema": {"anyOf": [answers, answer]}}
    statuses = _STATUSES | (_UNAUTHORISED if guarded else {})
    operation: Json = {
        "operationId": f"decide_{api.name}",
        "summary": f"Decide: {', '.join(threshold.name for threshold in api.decides)}",
        "description": f"One row as an object, or up to {MOST_ROWS:,} as rows; one row is answered by one answer.",
        "tags": ["decisions"],
        "requestBody": {"required": True, "content": {"application/json": content, ARROW: _stream(_ASKED)}},
        "responses": {
            "200": {"description": "Decided.", "content": {"application/json": decided, ARROW: _stream(_TOLD)}}
        }
        | {status: _problem(text) for status, text in sorted(statuses.items())},
    }
    if guarded:
        operation["security"] = [{"token": []}]
    return operation


def _stream(what: str) -> Json:
    return {"schema": {"type": "string", "format": "binary", "description": what}}


def _several(name: str, item: Json) -> Json:
    return {
        "type": "object",
        "required": [name],
        "properties": {name: {"type": "array", "items": item, "minItems": 1, "maxItems": MOST_ROWS}},
    }


def _refused() -> Json:
    return {"type": "object", "required": ["detail"], "properties": {"detail": {"type": "string"}}}


def _problem(text: str) -> Json:
    return {"description": text, "content": {"application/json": {"schema": _ref("Refused")}}}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def names_of(decider: Decider) -> Sequence[str]:
    """The paths of the APIs, for whoever asked for another."""
    return [
        f"/apis/{api.name}/decisions" for group, graph in decider.graphs.items() for api in graph.groups[group].apis
    ]
