"""The decision API over HTTP, in this process and as `lockstep serve`."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from lockstep.registry import Registry
from lockstep.release import rollback
from lockstep.serving import Decider, create_app
from tests.training import shop
from tests.training.conftest import ADA, Shop

Row = dict[str, Any]
POLL = 0.05
PATIENCE = 30.0


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until something holds, and fail where it does not come to that."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(POLL)


@pytest.fixture
def client(released: Shop) -> Iterator[TestClient]:
    """Ask the app of the first release."""
    with TestClient(create_app(Decider(Registry.open(released.registry.uri), [shop.graph]), poll=POLL)) as opened:
        yield opened


def test_decisions_are_those_of_the_decider(client: TestClient, decider: Decider, a_row: Row) -> None:
    """The body holds the API, the one release, and an answer for each row."""
    bad = a_row | {"age": "old"}
    response = client.post("/apis/offers/decisions", json={"rows": [a_row, bad]})
    assert response.status_code == 200
    answers = decider.decide("offers", [a_row, bad])
    assert response.json() == {"api": "offers", "release": answers[0]["release"], "answers": answers}
    assert response.json()["answers"][1]["error"].startswith('age: "old"')


def test_an_unknown_api_is_404(client: TestClient, a_row: Row) -> None:
    """One sentence says which there are."""
    response = client.post("/apis/nothing/decisions", json={"rows": [a_row]})
    assert response.status_code == 404
    assert response.json() == {"detail": 'There is no API "nothing"; there are baskets, calls, offers.'}


@pytest.mark.parametrize(
    "body",
    [{}, [], {"rows": []}, {"rows": {}}, {"rows": [1]}, {"rows": [{"age": [1]}]}, {"rows": [{}], "more": 1}],
    ids=json.dumps,
)
def test_a_malformed_body_is_422(client: TestClient, body: object) -> None:
    """What is wrong with the request as a whole is said before any row is looked at."""
    assert client.post("/apis/offers/decisions", json=body).status_code == 422


def test_text_that_is_no_json_is_422(client: TestClient) -> None:
    """A broken body is refused too."""
    assert client.post("/apis/offers/decisions", content=b"{rows").status_code == 422


def test_too_many_rows_are_422(client: TestClient) -> None:
    """At most ten thousand rows are decided in one request."""
    assert client.post("/apis/offers/decisions", json={"rows": [{}] * 10_001}).status_code == 422


def test_health_names_the_release_and_follows_production(client: TestClient, released: Shop) -> None:
    """After a release and after a rollback, /health soon names the release in production."""
    first = released.registry.state().production("shop")
    assert first is not None
    assert client.get("/health").json() == {"releases": {"shop": first.digest}, "errors": {}}
    second = released.release("second")
    wait_for(lambda: client.get("/health").json()["releases"] == {"shop": second.digest})
    rollback(released.registry, shop.graph.group("shop"), ADA)
    wait_for(lambda: client.get("/health").json()["releases"] == {"shop": first.digest})
    assert client.get("/health").status_code == 200


def test_a_damaged_release_shows_in_health_and_the_old_one_answers(
    released: Shop, decider: Decider, a_row: Row, caplog: pytest.LogCaptureFixture
) -> None:
    """Status 503 calls for a person, the log says why, and decisions go on as before."""
    (first,) = (loaded.release for loaded in decider.releases.values())
    released.release("second")
    newest = released.registry.state().model("filling")
    (Path(urlsplit(released.registry.uri).path) / f"models/filling/{newest.digest}/model.skops").write_bytes(b"?")
    with TestClient(create_app(decider, poll=POLL)) as client:
        response = client.get("/health")
        assert response.status_code == 503
        assert response.json()["releases"] == {"shop": first}
        assert "but the log promises" in response.json()["errors"]["shop"]
        assert response.json()["errors"]["shop"] in caplog.messages
        answered = client.post("/apis/calls/decisions", json={"rows": [a_row]})
        assert (answered.status_code, answered.json()["release"]) == (200, first)


def test_a_log_that_cannot_be_read_shows_in_health(released: Shop, decider: Decider, a_row: Row) -> None:
    """Who does not know which release is the newest says so by status 503, and goes on answering from the last one."""
    state = released.registry.state()
    log = Path(urlsplit(released.registry.uri).path) / "log"
    with TestClient(create_app(decider, poll=POLL)) as client:
        (log / f"{state.head + 1:020d}.json").write_text("{")
        wait_for(lambda: client.get("/health").status_code == 503)
        assert "can't be read" in client.get("/health").json()["errors"]["the log"]
        assert client.post("/apis/calls/decisions", json={"rows": [a_row]}).status_code == 200


def test_before_a_release_health_and_decisions_are_503(desk: Shop, a_row: Row) -> None:
    """There is nothing to answer from, and the sentence says what to do."""
    with TestClient(create_app(Decider(desk.registry, [shop.graph]), poll=POLL)) as client:
        assert client.get("/health").status_code == 503
        assert client.get("/health").json() == {"releases": {}, "errors": {}}
        response = client.post("/apis/offers/decisions", json={"rows": [a_row]})
        assert response.status_code == 503
        assert response.json()["detail"].startswith('API "offers": group "shop" has no release yet.')


@pytest.fixture
def serving(desk: Shop, tmp_path: Path) -> Iterator[httpx.Client]:
    """Run `lockstep serve` as a process, on a registry without a release."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = Path(__file__).parents[2]
    options = ["--registry", desk.registry.uri, "--graph", "tests.training.shop"]
    with (tmp_path / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lockstep", *options, "serve", "--port", str(port), "--poll", str(POLL)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "include"), str(root)])},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:

            def listens() -> bool:
                assert process.poll() is None, (tmp_path / "serve.log").read_text()
                try:
                    return client.get("/health").status_code > 0
                except httpx.ConnectError:
                    return False

            wait_for(listens)
            yield client
            process.terminate()
            process.wait(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    said = (tmp_path / "serve.log").read_text()
    assert f"decisions at http://127.0.0.1:{port}/docs" in said
    assert "Traceback" not in said


def test_a_served_process_answers_once_there_is_a_release(serving: httpx.Client, desk: Shop, a_row: Row) -> None:
    """/health is 503, then 200; then decisions, errors and the documentation are there."""
    assert serving.get("/health").status_code == 503
    made = desk.release()
    wait_for(lambda: serving.get("/health").status_code == 200)
    assert serving.get("/health").json() == {"releases": {"shop": made.digest}, "errors": {}}
    decider = Decider(desk.registry, [shop.graph])
    decider.refresh()
    response = serving.post("/apis/offers/decisions", json={"rows": [a_row]})
    assert response.status_code == 200
    assert response.json()["answers"] == decider.decide("offers", [a_row])
    assert serving.post("/apis/nothing/decisions", json={"rows": [a_row]}).status_code == 404
    assert serving.post("/apis/offers/decisions", json={"rows": "all"}).status_code == 422
    assert serving.get("/docs").status_code == 200
    assert "/apis/{api}/decisions" in serving.get("/openapi.json").json()["paths"]
