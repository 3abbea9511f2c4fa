"""Rows as an Arrow stream get what the same rows get as JSON, and a stream that can't be used is refused."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from lockstep.registry import Registry
from lockstep.serving import Decider, create_app
from lockstep.serving.body import ARROW, MOST_ROWS
from tests.serving.test_http import Notes
from tests.training import shop
from tests.training.conftest import open_shop

Row = dict[str, Any]
HEADERS = {"Content-Type": ARROW}


@pytest.fixture(scope="module")
def client(released_template: Any) -> Iterator[TestClient]:  # noqa: ANN401  a path
    """Ask the app of the first release; nothing here changes its registry."""
    registry = Registry.open(open_shop(released_template).registry.uri)
    with TestClient(create_app(Decider(registry, [shop.graph]))) as opened:
        yield opened


@pytest.fixture
def rows(a_row: Row) -> list[Row]:
    """Twelve that can be decided on, in types that JSON and Arrow share."""
    return [a_row | {"shopper": f"s{n}", "age": 20 + n, "spend": 10.5 * n + 1} for n in range(12)]


def stream_of(table: pa.Table, **options: Any) -> bytes:
    """Write a stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def table_of(rows: list[Row]) -> pa.Table:
    """Make columns of rows."""
    return pa.Table.from_pylist(rows)


def ask(client: TestClient, table: pa.Table, api: str = "calls", **headers: str) -> Any:  # noqa: ANN401  a response
    """Send a table as a stream."""
    return client.post(f"/apis/{api}/decisions", content=stream_of(table), headers=HEADERS | headers)


def read(response: Any) -> tuple[list[Row], dict[bytes, bytes]]:  # noqa: ANN401  a response
    """Read the rows of the answer, and its metadata."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == ARROW
    table = pa.ipc.open_stream(response.content).read_all()
    return table.to_pylist(), table.schema.metadata


def plain(answers: list[Row], threshold: str) -> list[Row]:
    """Make of JSON's answers what the stream says of them."""
    found = []
    for answer in answers:
        decided = answer.get("decisions", {}).get(threshold, {})
        found.append(
            {
                "key": answer.get("key"),
                "release": answer["release"],
                "error": answer.get("error"),
                threshold: decided.get("decision"),
                f"{threshold}_score": decided.get("probability"),
            }
        )
    return found


def check_equal(found: list[Row], expected: list[Row], threshold: str) -> None:
    """Compare all but the last digits of scores, which depend on how many rows are computed at a time."""
    score = f"{threshold}_score"
    assert [row.pop(score) for row in found] == pytest.approx([row.pop(score) for row in expected], nan_ok=True)
    assert found == expected


@pytest.mark.parametrize("kind", ["sound", "doubtful", "two of a key", "no key"])
def test_a_stream_gets_the_decisions_of_json(client: TestClient, rows: list[Row], kind: str) -> None:
    """Row by row: the same keys, errors, decisions and scores, typed or not."""
    if kind == "doubtful":
        rows = [{**row, "age": str(row["age"])} for row in rows]
        rows[3]["age"], rows[5]["region"], rows[7]["region"], rows[8]["spend"] = "old", "staff", " ", None
    elif kind == "two of a key":
        rows[4]["shopper"] = rows[1]["shopper"]
    elif kind == "no key":
        rows = [{name: value for name, value in row.items() if name != "shopper"} for row in rows]
    answers = client.post("/apis/calls/decisions", json={"rows": rows}).json()["answers"]
    threshold = next(iter(answers[0]["decisions"]))
    found, told = read(ask(client, table_of(rows)))
    assert told[b"lockstep.release"].decode() == answers[0]["release"]
    assert json.loads(told[b"lockstep.versions"]) == {
        threshold: {name: answers[0]["decisions"][threshold][name] for name in ("version", "model")}
    }
    check_equal(found, plain(answers, threshold), threshold)


def test_a_stream_may_be_answered_in_json(client: TestClient, rows: list[Row]) -> None:
    """With Accept: application/json, the answer is that of the rows in JSON, explanations and all."""
    expected = client.post("/apis/offers/decisions", json={"rows": rows}).json()
    response = ask(client, table_of(rows), "offers", Accept="application/json")
    assert response.headers["content-type"] == "application/json"
    found = response.json()
    assert [answer["explanations"].keys() for answer in found["answers"]] == [
        answer["explanations"].keys() for answer in expected["answers"]
    ]
    assert [answer["key"] for answer in found["answers"]] == [row["shopper"] for row in rows]
    assert found["release"] == expected["release"]


def test_streams_are_counted_and_recorded(released_template: Any, rows: list[Row]) -> None:  # noqa: ANN401  a path
    """The counters go up as by JSON; a recorder is told of each row, and the answer is the same as without one."""
    registry = Registry.open(open_shop(released_template).registry.uri)
    rows[2]["region"] = "staff"
    notes = Notes()
    counted = []
    given = []
    for recorder in (None, notes):
        with TestClient(create_app(Decider(registry, [shop.graph]), recorder=recorder)) as client:
            given.append(read(ask(client, table_of(rows)))[0])
            counted.append(sorted(line for line in client.get("/metrics").text.splitlines() if _is_a_count(line)))
    score = next(name for name in given[0][0] if name.endswith("_score"))
    check_equal(given[0], given[1], score.removesuffix("_score"))
    assert counted[0] == counted[1]
    assert 'lockstep_rows_total{api="calls",result="decided"} 11.0' in counted[0]
    (told,) = notes.told
    assert [row["shopper"] for row in told.rows] == [row["shopper"] for row in rows]
    assert [answer.get("error") for answer in told.answers] == [row["error"] for row in given[1]]


def _is_a_count(line: str) -> bool:
    return line.startswith(("lockstep_rows_total", "lockstep_decisions_total", "lockstep_requests_total"))


NUMBERS = pa.table({"age": [1, 2, 3]})
REFUSED = {
    "compressed": (415, "Compressed Arrow batches are not taken", stream_of(NUMBERS, compression="zstd")),
    "no rows": (422, "The stream holds 0 rows", stream_of(NUMBERS.slice(0, 0))),
    "too many": (422, f"more than {MOST_ROWS:,} rows", stream_of(pa.table({"age": pa.nulls(MOST_ROWS + 1)}))),
    "dictionary": (422, "is of type dictionary", stream_of(pa.table({"a": pa.array(["x"]).dictionary_encode()}))),
    "view": (422, "is of type string_view", stream_of(pa.table({"a": pa.array(["x"], pa.string_view())}))),
    "list": (422, "is of type list", stream_of(pa.table({"a": [[1]]}))),
    "twice": (422, 'several columns "a"', stream_of(pa.Table.from_arrays([pa.array([1])] * 2, names=["a", "a"]))),
    "cut": (400, "The body is no Arrow IPC stream", stream_of(NUMBERS)[:-60]),
    "JSON": (400, "The body is no Arrow IPC stream", b'{"age": 1}'),
    "nothing": (400, "The body is no Arrow IPC stream", b""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_stream_is_refused(client: TestClient, case: str) -> None:
    """Nothing is unpacked, and the sentence says what is wrong."""
    status, sentence, body = REFUSED[case]
    response = client.post("/apis/calls/decisions", content=body, headers=HEADERS)
    assert response.status_code == status, response.text
    assert sentence in response.json()["detail"]


def test_a_text_that_is_no_utf8_is_refused(client: TestClient) -> None:
    """What a batch holds is validated before anybody reads it."""
    body = stream_of(pa.table({"region": ["north-east"]})).replace(b"north-east", b"north\xff\xfeast")
    response = client.post("/apis/calls/decisions", content=body, headers=HEADERS)
    assert response.status_code == 400, response.text


def test_unknown_apis_and_methods_are_refused_as_ever(client: TestClient) -> None:
    """With the sentences of JSON."""
    assert ask(client, NUMBERS, "nothing").status_code == 404
    assert client.put("/apis/calls/decisions", content=b"", headers=HEADERS).status_code == 405


def test_missing_columns_are_the_error_of_each_row(client: TestClient) -> None:
    """They are named as in JSON."""
    found, _ = read(ask(client, NUMBERS))
    assert len(found) == NUMBERS.num_rows
    assert all("are missing; needed are" in row["error"] for row in found)
