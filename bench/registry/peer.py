"""MLflow's registry as a peer, in a virtual environment of its own that is made when it is first needed.

Rules:
- The versions are pinned. (`mlflow==3.18.0` can't be installed: the index has no `mlflow-skinny` of that number.)
- The process stays alive for all rounds, so that its import time (seconds) counts for nothing.
- Nothing of it is imported here.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from loopback.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
PINNED = "mlflow==3.17.2"
DRIVER = "psycopg2-binary==2.9.13"  # for PostgreSQL
FOLDER = Path(".cache/bench-mlflow")
INSTALL = f"uv venv {FOLDER} && uv pip install --python {FOLDER}/bin/python {PINNED} {DRIVER}"
PATIENCE = 180.0  # seconds for making the environment


class PeerMissing(Exception):
    """The peer is not there and can't be made; the message is the line that would."""


def python() -> Path:
    """The Python of MLflow's environment, which is made if need be.

    Raises:
        PeerMissing: it can't be made.
    """
    folder = ROOT / FOLDER
    found = folder / "bin" / "python"
    if all(_has(found, pinned) for pinned in (PINNED, DRIVER)):
        return found
    uv = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    make: list[list[str]] = [
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
        if uv
        else [sys.executable, "-m", "venv", str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(found), PINNED, DRIVER]
        if uv
        else [str(found), "-m", "pip", "install", "--quiet", PINNED, DRIVER],
    ]
    try:
        for command in make:
            subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerMissing(
            f"MLflow is not there and can't be installed ({type(error).__name__}); by hand: {INSTALL}"
        ) from None
    return found


def sqlite(folder: Path) -> str:
    """The address of a registry in a SQLite file of a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}"


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """MLflow's server before a SQLite file of a folder, on loopback; gives its address.

    Raises:
        PeerMissing: it can't be installed.
    """
    port, interpreter = free_port(), python()
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri", sqlite(folder)]
    command = [interpreter, "-m", "mlflow", "server", *options, "--artifacts-destination", folder / "artifacts"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW"))}
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)
        try:
            while not _is_well(address):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"MLflow's server does not come up:\n{(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.2)
            yield address
        finally:
            for blow in (signal.SIGTERM, signal.SIGKILL):  # it has started others, which it leaves behind
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, blow)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(5)


def _is_well(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=2).is_success
    except httpx.TransportError:
        return False


def _has(interpreter: Path, pinned: str) -> bool:
    name, _, version = pinned.partition("==")
    code = f"from importlib.metadata import version; print(version({name!r}))"
    try:
        said = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return said.strip() == version


class Mlflow:
    """A client in a process of its own that does one thing per line; see `peer_child`."""

    def __init__(self, interpreter: Path, uri: str, folder: Path, models: int) -> None:
        command = [interpreter, Path(__file__).with_name("peer_child.py"), uri, folder, str(models)]
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def __enter__(self) -> Self:
        self.answer()  # it has made its tables and models
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def ask(self, what: str) -> Any:  # noqa: ANN401  any JSON value
        """Have it do something, and wait for its answer."""
        self.tell(what)
        return self.answer()

    def tell(self, what: str) -> None:
        """Have it do something."""
        if self._process.stdin is None:
            raise AssertionError("unreachable")
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()

    def answer(self) -> Any:  # noqa: ANN401  any JSON value
        """Wait for its answer."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            said = self._log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"The MLflow process ended with {self._process.wait()}: {said}")
        return json.loads(line)

    def kill(self) -> None:
        """End it as the operating system would (-9)."""
        self._process.kill()
        self._process.communicate()
