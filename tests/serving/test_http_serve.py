"""`lockstep serve` as processes: one or several workers, how they end, and what they tell together."""

import json
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lockstep.cli.serve import is_open
from lockstep.serving import Decider
from tests.serving.service import PATIENCE, Service, serving, wait_for
from tests.training import shop
from tests.training.conftest import Shop

Row = dict[str, Any]
TOKEN = "a-token-0123456789"


def workers_of(service: Service) -> list[psutil.Process]:
    """The processes that answer: those that the supervisor started, but Python's own tracker of resources."""
    return [child for child in psutil.Process(service.process.pid).children() if _is_worker(child)]


def _is_worker(child: psutil.Process) -> bool:
    try:
        return "resource_tracker" not in " ".join(child.cmdline())
    except psutil.Error:  # it has just died
        return False


def told(service: Service) -> httpx.Client:
    """A client that shows the token."""
    return service.client(headers={"Authorization": f"Bearer {TOKEN}"})


def value_of(client: httpx.Client, name: str, **labels: str) -> float:
    """Sum what the metrics say of a name, by the labels that matter."""
    found = [
        sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found)


def test_one_process_answers_once_there_is_a_release(desk: Shop, a_row: Row, tmp_path: Path) -> None:
    """It is alive and not ready, then ready; then decisions, errors and the documentation are there."""
    with serving(desk, tmp_path) as service, service.client() as client:
        assert client.get("/readyz").status_code == 503
        made = desk.release()
        wait_for(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/readyz").json()["groups"] == {"shop": {"release": made.digest}}
        decider = Decider(desk.registry, [shop.graph])
        decider.refresh()
        response = client.post("/apis/offers/decisions", json={"rows": [a_row]})
        assert response.json()["answers"] == decider.decide("offers", [a_row])
        assert client.post("/apis/nothing/decisions", json=a_row).status_code == 404
        assert client.get("/docs").status_code == 200
        assert "server" not in response.headers
    assert service.said() == f"decisions at {service.url}/docs\n"


def test_workers_count_together_and_survive_each_other(released: Shop, a_row: Row, tmp_path: Path) -> None:
    """Any worker tells the counts of all; those of one that was killed stay, and another takes its place."""
    # All of them ask for the token, which stands neither in the log nor on a command line.
    guarded = {"LOCKSTEP_TOKEN": TOKEN}
    with serving(released, tmp_path, "--workers", "2", variables=guarded) as service, told(service) as client:
        wait_for(lambda: value_of(client, "lockstep_workers") == 2)
        asked = 12
        for _ in range(asked):  # on a connection each, so that both workers take some
            with told(service) as another:
                another.post("/apis/calls/decisions", json=a_row)
        wanted = {"api": "calls", "status": "200"}
        counts = set()
        for _ in range(4):
            with told(service) as another:
                counts.add(value_of(another, "lockstep_requests_total", **wanted))
        assert counts == {asked}
        first, second = workers_of(service)
        lines = [" ".join(process.cmdline()) for process in (psutil.Process(service.process.pid), first, second)]
        assert not any(TOKEN in line for line in lines)
        first.kill()
        wait_for(lambda: len(workers_of(service)) == 2 and first not in workers_of(service))
        assert second in workers_of(service)
        wait_for(lambda: _steady(service, "lockstep_workers") == 2)
        assert _steady(service, "lockstep_requests_total", **wanted) == asked
        assert _steady(service, "lockstep_rows_total", api="calls") == asked
        assert _steady(service, "lockstep_decisions_total", threshold="call") == asked
        for _ in range(4):
            with service.client() as stranger:
                assert stranger.post("/apis/calls/decisions", json=a_row).status_code == 401
        assert service.end() == 0
    assert TOKEN not in service.said()


def test_a_worker_that_starts_does_not_break_the_metrics(released: Shop, tmp_path: Path) -> None:
    """Its file has no bytes for a moment; whoever asks then is answered once it has."""
    with serving(released, tmp_path, "--workers", "2") as service, service.client() as client:
        folder = Path(workers_of(service)[0].environ()["PROMETHEUS_MULTIPROC_DIR"])
        file = folder / "counter_1.db"
        file.touch()
        write = threading.Timer(0.3, lambda: file.write_bytes((8).to_bytes(4, sys.byteorder) + bytes(4092)))
        write.start()
        assert client.get("/metrics").status_code == 200
        assert file.stat().st_size == 4096
        write.join()


def _steady(service: Service, name: str, **labels: str) -> float:
    """Ask on a connection of its own, again where its worker was just killed."""
    with told(service) as client:
        try:
            return value_of(client, name, **labels)
        except httpx.TransportError:
            return -1


def test_requests_under_way_are_answered(released: Shop, a_row: Row, tmp_path: Path) -> None:
    """Told to end, every worker answers what it had begun to read, under load, and only then is gone."""
    # A client that was told to go on (100 Continue) has a request under way; its body is sent only after the service
    # has stopped listening.
    body = json.dumps(a_row).encode()
    with serving(released, tmp_path, "--workers", "2") as service:
        address = (httpx.URL(service.url).host, httpx.URL(service.url).port)
        stop = threading.Event()
        answers: list[int] = []

        def hammer() -> None:
            with service.client() as client:
                while not stop.is_set():
                    try:
                        answers.append(client.post("/apis/calls/decisions", json=a_row).status_code)
                    except httpx.TransportError:
                        if not _listens(address):
                            return

        with ThreadPoolExecutor(4) as pool:
            hammering = [pool.submit(hammer) for _ in range(4)]
            waiting = [_begin(address, len(body)) for _ in range(20)]
            service.process.send_signal(signal.SIGTERM)
            wait_for(lambda: not _listens(address))
            assert service.process.poll() is None
            for client in waiting:
                client.sendall(body)
            heads = [_read(client) for client in waiting]
            stop.set()
            for one in hammering:
                one.result(PATIENCE)
        assert service.process.wait(PATIENCE) == 0
    assert [head.partition(b"\r\n")[0] for head in heads] == [b"HTTP/1.1 200 OK"] * len(waiting)
    assert all(b'"decisions"' in head for head in heads)
    assert set(answers) == {200}


def _begin(address: tuple[str, int], size: int) -> socket.socket:
    """Ask, and hold the body back until the service has said that it reads it."""
    client = socket.create_connection(address, PATIENCE)
    lines = [
        "POST /apis/calls/decisions HTTP/1.1",
        "Host: service",
        "Content-Type: application/json",
        f"Content-Length: {size}",
        "Expect: 100-continue",
    ]
    client.sendall("\r\n".join([*lines, "", ""]).encode())
    assert client.recv(4096).startswith(b"HTTP/1.1 100")
    return client


def _read(client: socket.socket) -> bytes:
    """All that is answered, until the connection is closed."""
    with client:
        found = b""
        while part := client.recv(65536):
            found += part
        return found


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, PATIENCE).close()
    except OSError:
        return False
    return True


def test_workers_end_with_their_supervisor(released: Shop, tmp_path: Path) -> None:
    """A supervisor that is killed leaves no worker behind that would hold the port."""
    with serving(released, tmp_path, "--workers", "2") as service, service.client() as client:
        wait_for(lambda: value_of(client, "lockstep_workers") == 2)
        workers = workers_of(service)
        service.process.kill()
        psutil.wait_procs(workers, timeout=PATIENCE)
        assert not any(worker.is_running() for worker in workers)


def test_a_port_that_is_taken(released: Shop, tmp_path: Path) -> None:
    """The command ends with 2 and a sentence before any worker starts."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        with pytest.raises(AssertionError) as caught, serving(released, tmp_path, "--port", port, "--workers", "2"):
            pass
    assert f"lockstep: --host 127.0.0.1 --port {port}: nobody can listen there: Address already in use." in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", False), ("127.0.0.9", False), ("::1", False), ("0.0.0.0", True), ("::", True), ("10.0.0.7", True)],  # noqa: S104
)
def test_who_can_reach_an_address(address: str, expected: bool) -> None:  # noqa: FBT001  what is expected
    """Who opens the service to others than this machine, without a token, is warned."""
    assert is_open(address) is expected
