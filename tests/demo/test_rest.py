"""The demo's client: what Airflow answers when SQLite is busy is asked again, and what is done twice is done once."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

import demo.rest
from demo.rest import TRIES, Rest, RestError

RUN = {
    "dag_id": "a",
    "state": "queued",
    "run_type": "manual",
    "conf": {},
    "queued_at": None,
    "start_date": None,
    "end_date": None,
}


class Busy(ThreadingHTTPServer):
    """A server that does what it is asked, and answers the first few requests with 500 all the same."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.failures: list[bytes] = []
        self.asked: list[str] = []
        self.runs: set[str] = set()


class Answer(BaseHTTPRequestHandler):
    """One request."""

    server: Busy

    def do_GET(self) -> None:
        """A run, or the version."""
        self.server.asked.append(f"GET {self.path}")
        if "dagRuns" in self.path:
            self._answer(RUN | {"dag_run_id": self.path.rpartition("/")[2]})
        else:
            self._answer({"version": "3.3.0"})

    def do_POST(self) -> None:
        """A token, or a run: 409 where it is there."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/auth/token":
            self._send(200, b'{"access_token": "t"}')
            return
        self.server.asked.append(f"POST {self.path}")
        if "dagRuns" not in self.path:
            self._answer({})
        elif body["dag_run_id"] in self.server.runs:
            self._send(409, b"it is there")
        else:
            self.server.runs.add(body["dag_run_id"])
            self._answer(RUN | {"dag_run_id": body["dag_run_id"]})

    def log_message(self, format: str, *values: Any) -> None:  # noqa: A002  the base's name
        """Say nothing."""

    def _answer(self, found: dict[str, Any]) -> None:
        if self.server.failures:
            self._send(500, self.server.failures.pop())
        else:
            self._send(200, json.dumps(found).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Busy]:
    """A server that runs while a test does, and is asked again without a pause."""
    monkeypatch.setattr(demo.rest, "PAUSE", 0.0)
    with Busy() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def rest(busy: Busy) -> Iterator[Rest]:
    """A client of that server."""
    with Rest(f"http://127.0.0.1:{busy.server_port}", "u", "p") as client:
        yield client


@pytest.mark.parametrize("said", [b"Internal Server Error", b'{"detail": {"reason": "Database error"}}'])
def test_reading_is_tried_again(busy: Busy, rest: Rest, said: bytes) -> None:
    """Every kind of 500 to a GET is asked again, and the last of them is told."""
    busy.failures = [said] * (TRIES - 1)
    assert rest.version() == "3.3.0"
    busy.failures = [said] * TRIES
    with pytest.raises(RestError, match="GET /api/v2/version: 500 "):
        rest.version()


def test_a_trigger_whose_answer_was_lost_starts_one_run(busy: Busy, rest: Rest) -> None:
    """The second try meets the run that the first has started, and gives it."""
    busy.failures = [b"Internal Server Error"]
    run = rest.trigger("a")
    assert {run.run_id} == busy.runs
    assert [ask.partition(" ")[0] for ask in busy.asked] == ["POST", "POST", "GET"]


def test_what_can_not_be_repeated_is_not(busy: Busy, rest: Rest) -> None:
    """A variable is sent once, whatever the server says."""
    busy.failures = [b"Internal Server Error"]
    with pytest.raises(RestError, match="POST /api/v2/variables: 500 "):
        rest.set_variable("a", "b")
    assert len(busy.asked) == 1
