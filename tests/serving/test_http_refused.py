"""What is no request is refused with one sentence and a status that says whose fault it is; nothing breaks on it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lockstep.registry import Registry
from lockstep.serving import Decider, create_app
from lockstep.serving.body import MOST_BYTES
from tests.training import shop
from tests.training.conftest import open_shop

Row = dict[str, Any]
SHAPES = 'Send a row as an object of column names and values, or {"rows": [a row, …]}.'
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client(released_template: Any) -> Iterator[TestClient]:  # noqa: ANN401  a path
    """Ask the app of the first release; nothing here changes its registry."""
    registry = Registry.open(open_shop(released_template).registry.uri)
    with TestClient(create_app(Decider(registry, [shop.graph]))) as opened:
        yield opened


def detail_of(response: Any, status: int) -> str:  # noqa: ANN401  a response
    """Read the one sentence of an error of that status."""
    assert response.status_code == status, response.text
    assert list(response.json()) == ["detail"]
    assert response.headers["content-type"] == "application/json"
    return response.json()["detail"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"age": "old"}, 'age: "old" is not an int'),
        ({"age": 44.5}, 'age: "44.5" is not an int'),
        ({"age": None}, "age: blank, an int is needed"),
        ({"age": True}, 'age: "true" is not an int'),
        ({"age": [44]}, 'age: "[44]" is not an int'),
        ({"age": {"years": 44}}, 'age: "{"years": 44}" is not an int'),
        ({"age": 10**30}, 'age: "1e+30" is not an int'),
        ({"spend": "NaN"}, 'spend: "NaN" is not a float'),
        ({"spend": "Infinity"}, 'spend: "Infinity" is not a float'),
        ({"buys": "maybe"}, 'buys: "maybe" is not a bool (yes/no, true/false, 1/0)'),
        ({"region": " "}, "region: blank, a text is needed"),
        ({"region": "staff"}, "left out by clean"),
    ],
    ids=json.dumps,
)
def test_a_row_that_cannot_be_used_is_422(client: TestClient, a_row: Row, change: Row, sentence: str) -> None:
    """The only row of a request is refused with its reason; among others it is answered with the same reason."""
    assert detail_of(client.post("/apis/calls/decisions", json=a_row | change), 422) == sentence
    good, bad, other = client.post("/apis/calls/decisions", json={"rows": [a_row, a_row | change, a_row]}).json()[
        "answers"
    ]
    assert bad["error"] == sentence
    assert good["decisions"] == other["decisions"]


def test_missing_columns_are_422(client: TestClient, a_row: Row) -> None:
    """They are named, and so is all that is needed."""
    del a_row["age"], a_row["spend"]
    sentence = detail_of(client.post("/apis/calls/decisions", json=a_row), 422)
    assert sentence.startswith("columns age, spend are missing; needed are")
    assert detail_of(client.post("/apis/calls/decisions", json={}), 422).startswith("columns age, visits,")


def test_a_row_that_is_no_object_is_answered_so(client: TestClient, a_row: Row) -> None:
    """Of many rows, one that is a number, a list or null has its reason, and the others are answered."""
    answers = client.post("/apis/calls/decisions", json={"rows": [1, a_row, [a_row], None]}).json()["answers"]
    assert [answer.get("error") for answer in answers] == [
        "a row is an object of column names and values, this is a number",
        None,
        "a row is an object of column names and values, this is a list",
        "a row is an object of column names and values, this is null",
    ]


def test_a_category_that_was_never_seen_goes_to_the_model(client: TestClient, a_row: Row) -> None:
    """The declaration knows types only: what a model makes of a new word is what it would make of it in training."""
    response = client.post("/apis/baskets/decisions", json=a_row | {"region": "the moon", "plan": "platinum"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([], f"The body is a list. {SHAPES}"),
        ("row", f"The body is a text. {SHAPES}"),
        (None, f"The body is null. {SHAPES}"),
        ({"rows": {}}, f'"rows" is an object, not a list. {SHAPES}'),
        ({"rows": "all"}, f'"rows" is a text, not a list. {SHAPES}'),
        ({"rows": []}, '"rows" holds 0 rows; between 1 and 10,000 are decided in one request.'),
        ({"rows": [{}] * 10_001}, '"rows" holds 10,001 rows; between 1 and 10,000 are decided in one request.'),
        ({"rows": [{}], "more": 1}, f'Beside "rows" there is "more". {SHAPES}'),
    ],
    ids=lambda value: json.dumps(value)[:30],
)
def test_another_shape_is_422(client: TestClient, body: object, sentence: str) -> None:
    """What is wrong with the request as a whole is said before any row is looked at."""
    response = client.post("/apis/offers/decisions", content=json.dumps(body), headers=JSON)
    assert detail_of(response, 422) == sentence


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{rows",
        b'{"age": NaN}',
        b'{"age": Infinity}',
        b'{"age": -Infinity}',
        b'{"age": 1e999}',
        b'{"age": 1} {"age": 2}',
        b'{"region": "\xff"}',
        b'{"region": "\\ud800"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"rows": ' * 5_000 + b"[]" + b"}" * 5_000,
        b"age=44",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_is_400(client: TestClient, body: bytes) -> None:
    """JSON knows no NaN and no infinity; broken text and nesting without end are refused before they cost anything."""
    sentence = detail_of(client.post("/apis/offers/decisions", content=body, headers=JSON), 400)
    assert sentence.startswith("The body is no JSON: ")
    assert sentence.endswith(SHAPES)


def test_nesting_as_deep_as_json_allows_is_a_value_of_the_wrong_type(client: TestClient, a_row: Row) -> None:
    """A thousand lists in one cell are no int, and no more than that."""
    nested = json.dumps(a_row).replace('"age": 44', '"age": ' + "[" * 1000 + "]" * 1000)
    assert detail_of(client.post("/apis/calls/decisions", content=nested, headers=JSON), 422).startswith("age: ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/csv"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/jsonlines"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
    ids=str,
)
def test_other_kinds_of_body_are_415(client: TestClient, a_row: Row, headers: dict[str, str]) -> None:
    """Only JSON in UTF-8 is read, and it says so."""
    detail_of(client.post("/apis/offers/decisions", content=json.dumps(a_row), headers=headers), 415)


@pytest.mark.parametrize("kind", [None, "application/json", "application/json; charset=UTF-8", "Application/JSON"])
def test_json_by_any_of_its_names_is_read(client: TestClient, a_row: Row, kind: str | None) -> None:
    """A body without a type is taken for JSON."""
    headers = {"Content-Type": kind} if kind else {}
    assert client.post("/apis/calls/decisions", content=json.dumps(a_row), headers=headers).status_code == 200


def test_a_large_body_is_413_by_what_it_says(client: TestClient) -> None:
    """Who announces more than is read is refused before a byte of it is."""
    read: list[bytes] = []

    def ten_megabytes() -> Iterator[bytes]:
        for _ in range(10):
            read.append(b" " * 1_000_000)
            yield read[-1]

    said = {**JSON, "Content-Length": "10000000"}
    sentence = detail_of(client.post("/apis/offers/decisions", content=ten_megabytes(), headers=said), 413)
    assert sentence == (
        f"The body has 10,000,000 bytes; at most {MOST_BYTES:,} bytes are read. Send the rows in several requests."
    )


def test_a_body_without_a_size_is_413_once_it_is_too_large(client: TestClient, a_row: Row) -> None:
    """A body in chunks is read up to the limit, and decided on if it ends before."""
    row = json.dumps(a_row).encode()
    blanks = MOST_BYTES - len(row)
    for more, status in ((0, 200), (1, 413)):
        chunks = iter([b" " * (blanks + more), row[:10], row[10:]])
        assert client.post("/apis/calls/decisions", content=chunks, headers=JSON).status_code == status


def test_an_unknown_api_is_404(client: TestClient, a_row: Row) -> None:
    """One sentence says which there are."""
    sentence = detail_of(client.post("/apis/nothing/decisions", json=a_row), 404)
    assert sentence == 'There is no API "nothing"; there are baskets, calls, offers.'


@pytest.mark.parametrize("path", ["/", "/apis", "/apis/offers", "/apis//decisions", "/apis/a/b/decisions", "/health"])
def test_an_unknown_path_is_404(client: TestClient, a_row: Row, path: str) -> None:
    """One sentence says which there are."""
    sentence = detail_of(client.post(path, json=a_row), 404)
    assert sentence == (
        f"There is no {path}; there are /apis/offers/decisions, /apis/calls/decisions, /apis/baskets/decisions,"
        " /release, /healthz, /readyz, /metrics, /docs."
    )


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_another_method_is_405(client: TestClient, a_row: Row, method: str) -> None:
    """The answer names the method to use, in a sentence and in its header."""
    response = client.request(method, "/apis/offers/decisions", json=a_row)
    assert detail_of(response, 405) == f"Decisions are asked for by POST, not by {method}."
    assert response.headers["allow"] == "POST"
    other = client.request(method, "/release" if method != "GET" else "/apis/calls/decisions")
    assert other.status_code == 405
