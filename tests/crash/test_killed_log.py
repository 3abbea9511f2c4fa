"""Workers of `lockstep serve` that are killed while they write the decision log: what is there is whole, and in order.

Rules:
- The load is several clients, each of which asks again as soon as it is answered. All that is asked over one connection
  is answered by one worker, in a known order.
"""

import io
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import polars as pl
import psutil
import pytest

from lockstep.journal import Limits, read_decisions
from lockstep.registry.names import Place, place_of
from lockstep.upkeep import verify
from tests.crash.conftest import Report
from tests.serving.conftest import a_row, decider, desk, released, released_template, shop_rows
from tests.serving.service import PATIENCE, Service, serving, wait_for
from tests.serving.test_http_serve import value_of, workers_of
from tests.training.conftest import Shop

__all__ = ["a_row", "decider", "desk", "released", "released_template", "shop_rows"]

Row = dict[str, Any]
CLIENTS, WORKERS = 4, 2
ROWS = 250  # of a request
FILE = 5_000  # rows; a request is never divided
KILLS = 4
LONGEST = 1.0  # seconds until a kill
EACH = 8  # requests over one connection, so that a new worker gets some
PAUSE = 0.1  # seconds between two requests of a client: faster than it can write, the log drops rows, and counts them


@dataclass
class Connection:
    """What was asked over one connection, in order: how many of its requests were answered, and what with."""

    name: str
    answers: list[list[Row]] = field(default_factory=list)


class Load:
    """Clients that ask until they are told to stop, over a new connection after a while, or when the old one breaks."""

    def __init__(self, service: Service, row: Row) -> None:
        self._service, self._row = service, row
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(place,)) for place in range(CLIENTS)]
        self.connections: list[Connection] = []
        self.odd: list[int] = []  # a status that is not 200

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _ask(self, place: int) -> None:
        host = urlsplit(self._service.url).netloc
        while not self._stop.is_set():
            connection = Connection(f"{place}-{len(self.connections)}")
            self.connections.append(connection)
            client = HTTPConnection(host, timeout=PATIENCE)
            try:
                client.connect()
                client.auto_open = 0  # another connection, perhaps to another worker, would be another `Connection`
                self._ask_over(client, connection)
            except (OSError, HTTPException):
                continue  # its worker was killed
            finally:
                client.close()

    def _ask_over(self, client: HTTPConnection, connection: Connection) -> None:
        while not self._stop.is_set() and len(connection.answers) < EACH:
            name = f"{connection.name}-{len(connection.answers)}"
            rows = [self._row | {"shopper": f"{name}-{i}", "spend": i % 100.0} for i in range(ROWS)]
            headers = {"X-Request-ID": name, "Content-Type": "application/json"}
            client.request("POST", "/apis/calls/decisions", json.dumps({"rows": rows}), headers)
            said = client.getresponse()
            body = said.read()
            if said.status != httpx.codes.OK:
                self.odd.append(said.status)
                return
            connection.answers.append(json.loads(body)["answers"])
            self._stop.wait(PAUSE)


@pytest.fixture
def service(released: Shop, tmp_path: Path) -> Iterator[Service]:
    """Serve from several workers, with a decision log."""
    with serving(released, tmp_path, "--workers", str(WORKERS), "--log", "registry") as started:
        with started.client() as client:
            wait_for(lambda: value_of(client, "lockstep_workers") == WORKERS)
        yield started


def _kill_one(service: Service, draw: random.Random) -> None:
    """Kill a worker at a random moment, rather one that is asked, and wait until another has taken its place."""
    time.sleep(draw.uniform(0, LONGEST))
    workers = workers_of(service)
    victim = draw.choice([worker for worker in workers if _is_asked(worker)] or workers)
    victim.kill()
    wait_for(lambda: victim not in workers_of(service))
    with service.client() as client:
        wait_for(lambda: value_of(client, "lockstep_workers") == WORKERS)


def _is_asked(worker: psutil.Process) -> bool:
    try:
        return any(one.status == psutil.CONN_ESTABLISHED for one in worker.net_connections("tcp"))
    except psutil.Error:
        return False


@pytest.mark.slow
@pytest.mark.timeout(900)  # a worker takes seconds to start, on a busy machine a minute
def test_a_killed_worker_leaves_whole_files_and_loses_what_came_after_its_last(
    released: Shop, service: Service, a_row: Row, report: Report
) -> None:
    """Each file is Parquet, no request stands there in part or twice, only the end of a worker's answers is missing."""
    draw = random.Random(20261128)  # noqa: S311  no secret
    with Load(service, a_row) as load:
        for _ in range(KILLS):
            _kill_one(service, draw)
        time.sleep(LONGEST)
    with service.client() as client:
        counted = value_of(client, "lockstep_decision_log_rows_total")
    assert service.end() == 0
    assert load.odd == []

    paths = list(released.registry.objects.names("decisions/"))
    assert all(place_of(path) is Place.DECISIONS for path in paths)
    folder = Path(urlsplit(released.registry.uri).path) / "decisions"
    on_disk = {str(path.relative_to(folder.parent)) for path in folder.rglob("*") if path.is_file()}
    assert on_disk == set(paths)  # nothing half-written beside them
    numbers: dict[str, list[int]] = {}
    for path in paths:
        frame = pl.read_parquet(io.BytesIO(released.registry.objects.get_unverified(path)))
        assert 0 < frame.height <= FILE + ROWS
        worker, _, number = Path(path).stem.partition("-")
        numbers.setdefault(worker, []).append(int(number))
    assert all(sorted(found) == list(range(1, len(found) + 1)) for found in numbers.values())
    assert verify(released.registry).is_sound

    logged = pl.concat(list(read_decisions(released.registry, "shop")))
    rows: Counter[str] = Counter(logged["_request"].to_list())
    assert set(rows.values()) == {ROWS}
    said = {
        (row["_request"], row["_row"]): (row["_release"], row["_decisions"][0]["decision"])
        for row in logged.select("_request", "_row", "_release", "_decisions").iter_rows(named=True)
    }
    lost = 0
    for connection in load.connections:
        names = [f"{connection.name}-{place}" for place in range(len(connection.answers))]
        there = [name in rows for name in names]
        missing = there.count(False)
        assert there == [True] * (len(there) - missing) + [False] * missing  # the last ones alone
        lost += missing * ROWS
        for name, answers, is_there in zip(names, connection.answers, there, strict=True):
            for place, answer in enumerate(answers if is_there else []):
                decided = "yes" if answer["decisions"]["call"]["decision"] else "no"
                assert said[name, place] == (answer["release"], decided)
    answered = sum(len(connection.answers) for connection in load.connections) * ROWS
    assert 0 <= counted <= len(said)
    assert 0 < lost <= KILLS * Limits().most_rows  # of each, less than a file, but for what a busy machine leaves
    report(answered=answered, logged=len(said), lost=lost, kills=KILLS, workers=len(numbers), files=len(paths))
