"""`lockstep serve` as a process of its own, on the registry of the shop."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.training.conftest import Shop

ROOT = Path(__file__).parents[2]
POLL = 0.05
PATIENCE = 120.0
_ADDRESS = re.compile(r"decisions at (http://[^/]+)/docs")


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until something holds, and fail where it does not come to that."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(POLL)


@dataclass(frozen=True)
class Service:
    """A running process, and where it answers."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str

    def said(self) -> str:
        """What it wrote."""
        return self.log.read_text(encoding="utf-8")

    def client(self, **options: object) -> httpx.Client:
        """A client that waits as long as a test does."""
        return httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False, **options)

    def end(self) -> int:
        """Tell it to end, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def serving(
    desk: Shop,
    folder: Path,
    *options: str,
    variables: Mapping[str, str] | None = None,
    graph: str = "tests.training.shop",
) -> Iterator[Service]:
    """Serve until the block is left; the process has chosen its port, and listens."""
    log = folder / "serve.log"
    command = [sys.executable, "-m", "lockstep", "--registry", desk.registry.uri, "--graph", graph]
    path = os.pathsep.join([str(ROOT / "include"), str(ROOT)])
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "serve", "--port", "0", "--poll", str(POLL), *options],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: process.poll() is not None or _ADDRESS.search(log.read_text()) is not None)
        found = _ADDRESS.search(log.read_text())
        assert found, log.read_text()
        service = Service(process, log, found[1])
        with service.client() as client:
            wait_for(lambda: process.poll() is not None or _listens(client))
        assert process.poll() is None, service.said()
        yield service
        if process.poll() is None:
            service.end()
        assert "Traceback" not in service.said()
    finally:
        process.kill()
        process.wait()


def _listens(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
