"""The OpenAPI document says what an API takes and gives: its schemas hold, and its examples are answered."""

from dataclasses import replace
from datetime import date
from typing import Any

import jsonschema
import pytest
from fastapi.testclient import TestClient

from groups import biopsy, churn
from lockstep import Dataset, Graph, Model, Threshold, csv, fixed
from lockstep.declare import Api
from lockstep.serving import Decider, create_app
from lockstep.serving.example import row_of
from tests.serving.service import POLL, wait_for
from tests.training import shop
from tests.training.conftest import Shop

Row = dict[str, Any]
Json = dict[str, Any]


def document_of(client: TestClient) -> Json:
    """Read the document; every reference in it leads somewhere."""
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    return document


def follow(document: Json, schema: Json) -> Json:
    """Give a schema the components that it refers to."""
    return {**schema, "components": document["components"]}


def body_of(document: Json, api: str) -> Json:
    """Find what an API takes."""
    return document["paths"][f"/apis/{api}/decisions"]["post"]["requestBody"]["content"]["application/json"]


def answer_of(document: Json, api: str) -> Json:
    """Find what an API gives."""
    responses = document["paths"][f"/apis/{api}/decisions"]["post"]["responses"]
    return responses["200"]["content"]["application/json"]["schema"]


@pytest.mark.parametrize("api", ["offers", "calls", "baskets"])
def test_examples_work(released: Shop, api: str) -> None:
    """An example fits the schema, is answered with a decision of each threshold, and so is the answer's schema kept."""
    with TestClient(create_app(Decider(released.registry, [shop.graph]))) as client:
        document = document_of(client)
        body = body_of(document, api)
        assert set(body["examples"]) == {"one", "several"}
        for name, example in body["examples"].items():
            jsonschema.validate(example["value"], follow(document, body["schema"]))
            response = client.post(f"/apis/{api}/decisions", json=example["value"])
            assert response.status_code == 200, response.text
            jsonschema.validate(response.json(), follow(document, answer_of(document, api)))
            answers = [response.json()] if name == "one" else response.json()["answers"]
            assert all(set(answer["decisions"]) == {t.name for t in shop.graph.api(api).decides} for answer in answers)


def test_columns_are_those_of_the_release(released: Shop) -> None:
    """Types, what may be null, and which labels no model of an API learns from, so that they may be missing."""
    with TestClient(create_app(Decider(released.registry, [shop.graph]))) as client:
        schemas = document_of(client)["components"]["schemas"]
    row = schemas["calls_row"]
    types = {name: column["type"] for name, column in row["properties"].items()}
    assert types == {
        "shopper": ["string", "null"],
        "age": "integer",
        "visits": "integer",
        "spend": "number",
        "region": "string",
        "rating": ["integer", "null"],
        "secret": "number",
        "leaves": ["boolean", "null"],
        "plan": "string",
        "basket": ["number", "null"],
        "buys": "boolean",
    }
    assert row["required"] == ["age", "visits", "spend", "region", "secret", "plan", "buys"]
    assert "only a label" in row["properties"]["leaves"]["description"]
    assert "only a label" not in row["properties"]["rating"]["description"]


def test_what_it_says_of_columns_is_what_is_done(released: Shop, decider: Decider) -> None:
    """Each column that is needed is missed when it is left out, and no other one is."""
    with TestClient(create_app(decider)) as client:
        document = document_of(client)
        for api in ("offers", "calls", "baskets"):
            example = body_of(document, api)["examples"]["one"]["value"]
            row = document["components"]["schemas"][f"{api}_row"]
            for name in row["properties"]:
                given = {column: value for column, value in example.items() if column != name}
                (answer,) = decider.decide(api, [given])
                missing = answer.get("error", "").startswith(f"columns {name} are missing")
                assert missing == (name in row["required"]), (api, name, answer)
    assert released


def test_before_a_release_the_declarations_tell(desk: Shop) -> None:
    """Without a release there is the same document but for the examples; once there is one, it has them."""
    with TestClient(create_app(Decider(desk.registry, [shop.graph]), poll=POLL)) as client:
        before = document_of(client)
        assert "examples" not in body_of(before, "offers")
        desk.release()
        wait_for(lambda: "examples" in body_of(document_of(client), "offers"))
        after = document_of(client)
    assert after["components"] == before["components"]


def test_every_path_is_documented(desk: Shop) -> None:
    """There is one path for each API, and those for whoever runs the service; the page to read it on is there."""
    with TestClient(create_app(Decider(desk.registry, [shop.graph]))) as client:
        paths = document_of(client)["paths"]
        apis = [f"/apis/{name}/decisions" for name in ("offers", "calls", "baskets")]
        assert list(paths) == [*apis, "/healthz", "/readyz", "/release", "/metrics"]
        assert set(paths[apis[0]]["post"]["responses"]) == {"200", "400", "404", "413", "415", "422", "503"}
        assert "openapi.json" in client.get("/docs").text


def test_every_kind_of_column_has_its_type(desk: Shop) -> None:
    """Dates and keys that are numbers are described too, for groups that were never released."""
    rows = Dataset(
        "orders",
        source=csv("orders.csv"),
        key="number",
        columns={"number": int, "day": date, "late": bool},
    )
    late = Model("late_orders", data=rows, target="late", estimator=shop.classifier)
    graph = Graph([Api("warnings", decides=[Threshold("warn", model=late, choose=fixed(0.5))])])
    with TestClient(create_app(Decider(desk.registry, [graph, biopsy.graph, churn.graph]))) as client:
        schemas = document_of(client)["components"]["schemas"]
    row = schemas["warnings_row"]
    assert row["properties"]["day"] == {"type": "string", "format": "date"}
    assert row["properties"]["number"]["type"] == ["integer", "null"]
    assert row["required"] == ["day"]
    assert "malignant" not in schemas["referrals_row"]["required"]


def test_nothing_private_is_an_example() -> None:
    """A text that few rows share, and every value of a private column, stay out of the document."""
    hidden = replace(shop.shoppers, private=["region", "age"])
    profile = {
        "region": {"values": {"north": 500}},
        "age": {"quantiles": {"0.5": 44.0}},
        "plan": {"values": {"basic": 9, "silver": 8}},
        "spend": {"quantiles": {"0.5": 51.237}},
        "buys": {"values": {"false": 300, "true": 20}},
    }
    row = row_of(hidden, hidden.schema, profile)
    assert (row["region"], row["age"], row["plan"], row["spend"], row["buys"]) == ("text", 1, "text", 51.24, False)
    assert row["shopper"] == "text"
