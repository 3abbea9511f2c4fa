"""The decision API: a client, and `lockstep serve` in a process of its own, on a free port of this machine."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

__all__ = ["Decisions", "Service", "ServiceFailed"]

POLL = 0.1  # seconds


class ServiceFailed(Exception):
    """It died, did not answer in time, or answered with an error; the message says what it said."""


class Decisions:
    """A client of a decision API that somebody else runs."""

    def __init__(self, url: str, *, token: str = "") -> None:
        self.url = url
        shown = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, timeout=10, headers=shown)

    def wait_for(self, group: str, release: str, *, timeout: float = 60.0) -> None:
        """Return once a group is answered from a release (its digest).

        Raises:
            ServiceFailed: it died, or takes longer.
        """
        deadline = time.monotonic() + timeout
        said = "nothing"
        while time.monotonic() < deadline:
            self.check()
            try:
                said = self._http.get("/readyz").text
                answering = json.loads(said)["groups"].get(group, {})
                if answering.get("release") == release:
                    return
            except httpx.TransportError as error:
                said = str(error)
            time.sleep(POLL)
        raise ServiceFailed(f"After {timeout:g} s `lockstep serve` does not answer from {release[:12]}: {said}")

    def decide(self, api: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of an API for one row.

        Raises:
            ServiceFailed: it answered with an error.
        """
        answer = self._http.post(f"/apis/{api}/decisions", json=dict(row))
        if answer.is_error:
            raise ServiceFailed(f"{api} answered {answer.status_code}: {answer.text}")
        found: dict[str, Any] = answer.json()
        return found

    def check(self) -> None:
        """Whoever runs it can say that it died, by a `ServiceFailed`."""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class Service(Decisions):
    """`with Service(…) as service:` serves the current releases until the block is left."""

    def __init__(self, *, registry: str, environment: Mapping[str, str], log_file: Path) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        super().__init__(f"http://127.0.0.1:{port}")
        self._command = [sys.executable, "-m", "lockstep", "--registry", registry, "serve", "--port", str(port)]
        self._environment, self._log_file = dict(environment), log_file

    def __enter__(self) -> Self:
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "--poll", "0.2"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only the demo, which ends this in order
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def check(self) -> None:
        """Say if it died."""
        if self._process.poll() is not None:
            raise ServiceFailed(f"`lockstep serve` died:\n{self._log_file.read_text(errors='replace')[-2000:]}")
