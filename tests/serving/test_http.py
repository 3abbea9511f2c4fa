"""Decisions over HTTP, in this process: one row and many, what the service says of itself, and what it tells others."""

import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from lockstep import Api, Graph
from lockstep.journal import Answered
from lockstep.registry import Registry, read_manifest
from lockstep.release import rollback
from lockstep.serving import Decider, create_app
from tests.serving.service import POLL, wait_for
from tests.training import shop
from tests.training.conftest import ADA, Shop

Row = dict[str, Any]


class Notes:
    """A recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Answered] = []
        self.did: list[str] = []

    def start(self) -> None:
        """Note it."""
        self.did.append("start")

    def record(self, asked: Answered) -> None:
        """Keep it."""
        self.told.append(asked)

    def stop(self) -> None:
        """Note it."""
        self.did.append("stop")

    def problems(self) -> Mapping[str, str]:
        """Always one."""
        return {"notes": "the pencil is short"}

    def counts(self) -> Mapping[str, int]:
        """How much was told."""
        return {"log_rows": len(self.told), "log_waiting_rows": 2}


def folder_of(desk: Shop) -> Path:
    """Find the registry on disk."""
    return Path(urlsplit(desk.registry.uri).path)


@pytest.fixture
def client(released: Shop) -> Iterator[TestClient]:
    """Ask the app of the first release."""
    with TestClient(create_app(Decider(Registry.open(released.registry.uri), [shop.graph]), poll=POLL)) as opened:
        yield opened


def release_in(client: TestClient) -> str | None:
    """Ask which release answers."""
    return client.get("/readyz").json()["groups"]["shop"]["release"]


def test_one_row_is_answered_by_one_answer(client: TestClient, decider: Decider, a_row: Row) -> None:
    """A row as an object gets the decider's answer, and nothing around it."""
    response = client.post("/apis/offers/decisions", json=a_row)
    assert response.status_code == 200
    assert [response.json()] == decider.decide("offers", [a_row])


def test_many_rows_are_answered_each(client: TestClient, decider: Decider, a_row: Row) -> None:
    """The body holds the API, the one release, and an answer for each row; a bad one has its reason."""
    rows = [a_row, a_row | {"age": "old"}, a_row | {"shopper": "other"}]
    response = client.post("/apis/offers/decisions", json={"rows": rows})
    assert response.status_code == 200
    answers = decider.decide("offers", rows)
    assert response.json() == {"api": "offers", "release": answers[0]["release"], "answers": answers}
    assert response.json()["answers"][1]["error"].startswith('age: "old"')


def test_ten_thousand_rows_are_answered_at_once(client: TestClient, a_row: Row) -> None:
    """The largest request that is allowed gets an answer for each of its rows."""
    rows = [a_row | {"shopper": f"s{place}"} for place in range(10_000)]
    answers = client.post("/apis/calls/decisions", json={"rows": rows}).json()["answers"]
    assert [answer["key"] for answer in answers] == [row["shopper"] for row in rows]


def test_a_request_is_known_by_its_id(client: TestClient, a_row: Row) -> None:
    """The client's own id comes back, and one is made where there is none or it is no name."""
    ids = [
        client.post("/apis/calls/decisions", json=a_row, headers=headers).headers["x-request-id"]
        for headers in ({"X-Request-ID": "order-7"}, {"X-Request-ID": "<script>"}, {})
    ]
    assert ids[0] == "order-7"
    assert all(re.fullmatch("[0-9a-f]{32}", made) for made in ids[1:])


def test_the_release_is_told_with_its_members(client: TestClient, released: Shop) -> None:
    """/release names who released it, when and why, and each member with its version and what it answers through."""
    production = released.registry.state().production("shop")
    manifest = read_manifest(released.registry.objects, production.manifest)
    said = client.get("/release").json()["groups"]["shop"]
    assert (said["release"], said["by"], said["why"]) == (production.digest, "ada", "a test")
    assert said["since"] == production.recorded.at.isoformat(timespec="seconds")
    assert said["entry"] == production.recorded.number
    assert set(said["models"]) == {"leaving", "planning", "filling", "buying", "advising"}
    assert set(said["thresholds"]) == {"offer", "call", "cheap", "gold", "large", "huge"}
    assert said["thresholds"]["gold"] == {"version": "gold@1", "model": "planning@1"}
    for name, model in said["models"].items():
        assert model["version"] == f"{name}@1"
        assert model["digest"] == manifest["members"][f"model:{name}"]["digest"]
        assert model["snapshot"] == "shoppers@1"
        assert model["answers_through"] in ("onnx", "scikit-learn")
        assert model["because"] or model["answers_through"] == "onnx"
    assert said["datasets"] == {"shoppers": {"cleans_through": "python", "because": ""}}
    assert said["apis"]["offers"] == {"decides": ["offer", "cheap"], "explains": ["planning", "filling"]}


def test_it_follows_production(client: TestClient, released: Shop) -> None:
    """After a release and after a rollback, /readyz soon names the release in production, and /release who did it."""
    first = released.registry.state().production("shop").digest
    assert client.get("/readyz").json() == {
        "ready": True,
        "groups": {"shop": {"release": first}},
        "registry": {"read": client.get("/readyz").json()["registry"]["read"], "away_since": None},
        "warnings": [],
    }
    second = released.release("second").digest
    wait_for(lambda: release_in(client) == second)
    back = rollback(released.registry, shop.graph.group("shop"), ADA)
    wait_for(lambda: release_in(client) == first)
    assert client.get("/release").json()["groups"]["shop"]["entry"] == back.recorded.number
    assert client.get("/readyz").status_code == 200


def test_a_damaged_release_is_a_warning_and_the_old_one_answers(
    released: Shop, decider: Decider, a_row: Row, caplog: pytest.LogCaptureFixture
) -> None:
    """The service stays ready, says why it does not switch, logs it once, and is well again after a rollback."""
    (first,) = (loaded.release for loaded in decider.releases.values())
    released.release("second")
    newest = released.registry.state().model("filling")
    (folder_of(released) / f"models/filling/{newest.digest}/model.skops").write_bytes(b"?")
    with TestClient(create_app(decider, poll=POLL)) as client:
        ready = client.get("/readyz")
        (warning,) = ready.json()["warnings"]
        assert (ready.status_code, ready.json()["groups"]) == (200, {"shop": {"release": first}})
        assert "but the log promises" in warning
        assert 'lockstep_release_load_failures{group="shop"} 1.0' in client.get("/metrics").text
        answered = client.post("/apis/calls/decisions", json=a_row)
        assert (answered.status_code, answered.json()["release"]) == (200, first)
        assert client.get("/release").json()["groups"]["shop"]["by"] is None
        rollback(released.registry, shop.graph.group("shop"), ADA)
        wait_for(lambda: client.get("/readyz").json()["warnings"] == [])
        wait_for(lambda: any("Well again" in message for message in caplog.messages))
    told = [message for message in caplog.messages if warning.endswith(message)]
    assert len(told) == 1


def test_a_registry_that_is_away_is_a_warning(released: Shop, decider: Decider, a_row: Row) -> None:
    """The last release goes on answering, /readyz says since when the registry is away, and then that it is back."""
    state = released.registry.state()
    broken = folder_of(released) / "log" / f"{state.head + 1:020d}.json"
    with TestClient(create_app(decider, poll=POLL)) as client:
        broken.write_text("{")
        wait_for(lambda: client.get("/readyz").json()["registry"]["away_since"] is not None)
        ready = client.get("/readyz")
        (warning,) = ready.json()["warnings"]
        assert ready.status_code == 200
        assert warning.startswith(f"The registry is away since {ready.json()['registry']['away_since']}: ")
        assert "can't be read" in warning
        assert client.post("/apis/calls/decisions", json=a_row).status_code == 200
        broken.unlink()
        wait_for(lambda: client.get("/readyz").json()["registry"]["away_since"] is None)
        assert client.get("/readyz").json()["warnings"] == []


def test_a_registry_that_is_gone_keeps_the_release_answering(released: Shop, decider: Decider, a_row: Row) -> None:
    """Decisions need no file of the registry once the release is loaded."""
    with TestClient(create_app(decider, poll=POLL)) as client:
        shutil.rmtree(folder_of(released))
        for api in ("offers", "calls", "baskets"):
            assert client.post(f"/apis/{api}/decisions", json=a_row).status_code == 200
        assert client.get("/release").json()["groups"]["shop"]["by"] == "ada"
        assert client.get("/openapi.json").status_code == 200


def test_before_a_release_it_is_alive_and_not_ready(desk: Shop, a_row: Row) -> None:
    """There is nothing to answer from, and the sentence says what to do; once there is a release, it answers."""
    with TestClient(create_app(Decider(desk.registry, [shop.graph]), poll=POLL)) as client:
        assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (200, {"alive": True})
        assert (client.get("/readyz").status_code, release_in(client)) == (503, None)
        assert client.get("/release").json() == {"groups": {"shop": None}}
        response = client.post("/apis/offers/decisions", json=a_row)
        assert response.status_code == 503
        assert response.json()["detail"].startswith('API "offers": group "shop" has no release yet.')
        desk.release()
        wait_for(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/apis/offers/decisions", json=a_row).status_code == 200


def test_it_is_ready_only_with_every_group(released: Shop) -> None:
    """One group without a release is a reason not to be ready; the others answer all the same."""
    other = Graph([Api("others", decides=[shop.call])], name="other")
    with TestClient(create_app(Decider(released.registry, [shop.graph, other]), poll=POLL)) as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["groups"]["other"]) == (503, {"release": None})
        assert ready.json()["groups"]["shop"]["release"]


def test_a_recorder_is_told_of_every_answer(released: Shop, decider: Decider, a_row: Row) -> None:
    """It hears of what was decided, bad rows among it, and of nothing that was refused; it is started and stopped."""
    notes = Notes()
    with TestClient(create_app(decider, poll=POLL, recorder=notes)) as client:
        assert notes.did == ["start"]
        one = client.post("/apis/calls/decisions", json=a_row, headers={"X-Request-ID": "first"})
        many = client.post("/apis/offers/decisions", json={"rows": [a_row, {}]})
        client.post("/apis/nothing/decisions", json=a_row)
        client.post("/apis/calls/decisions", content="{")
        assert client.get("/readyz").json()["warnings"] == ["notes: the pencil is short"]
        page = client.get("/metrics").text
    assert notes.did == ["start", "stop"]
    first, second = notes.told
    assert first == Answered(
        request="first",
        at=first.at,
        group="shop",
        api="calls",
        release=released.registry.state().production("shop").digest,
        rows=[a_row],
        answers=[one.json()],
        size=len(one.request.content),
    )
    assert (second.api, second.rows, second.answers) == ("offers", [a_row, {}], many.json()["answers"])
    assert first.at <= second.at
    assert "lockstep_decision_log_waiting_rows 2.0" in page


Ask = Callable[[Sequence[Row]], object]


def test_what_breaks_is_said_without_what_was_asked(
    released: Shop, decider: Decider, a_row: Row, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure that nobody foresaw is a 500 with one sentence; the log has its place, and no value of the row."""
    assert released

    async def broken(api: str, rows: Sequence[Row]) -> object:
        raise KeyError(f"{api} {rows}")

    monkeypatch.setattr(decider, "answer", broken)
    with (
        TestClient(create_app(decider, poll=POLL), raise_server_exceptions=False) as client,
        caplog.at_level(logging.DEBUG),
    ):
        response = client.post("/apis/calls/decisions", json=a_row | {"region": "sesame"})
    assert response.status_code == 500
    assert response.json()["detail"].startswith("This could not be decided;")
    (said,) = [record.getMessage() for record in caplog.records if "broke" in record.getMessage()]
    assert "KeyError" in said
    assert response.headers["x-request-id"] in said
    assert "sesame" not in caplog.text
    assert "sesame" not in json.dumps(response.json())
