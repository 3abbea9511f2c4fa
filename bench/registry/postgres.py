"""A PostgreSQL of its own for the length of a block, as Debian ships it.

Rules:
- It listens on loopback alone, on a free port, and ends with the block; its settings are the shipped ones.
- Where the benchmark runs as root it runs as `postgres` or `nobody`, since it refuses to run as root.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.registry.peer import PeerMissing

PLACES = "/usr/lib/postgresql"
INSTALL = "apt-get install postgresql"
PATIENCE = 30.0  # seconds until it answers


@contextmanager
def running() -> Iterator[str]:
    """Run one; gives the address of its database.

    Raises:
        PeerMissing: it is not installed.
    """
    programs = _programs()
    as_user = _user()
    with tempfile.TemporaryDirectory(prefix="lockstep-postgres-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), _free_port()
        if as_user:
            os.chown(folder, as_user["user"], as_user["group"])
        command = [programs / "initdb", "-D", folder / "data", "-U", "bench", "-A", "trust", "--no-instructions"]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **as_user)
        command = [programs / "postgres", "-D", folder / "data", "-p", str(port), "-h", "127.0.0.1", "-k", ""]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **as_user)
        try:
            _wait(programs, port)
            yield f"postgresql+psycopg2://bench@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(PATIENCE)


def _programs() -> Path:
    """The folder of its newest version."""
    found = sorted(Path(PLACES).glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        raise PeerMissing(f"PostgreSQL is not there; by hand: {INSTALL}")
    return found[-1].parent if found else Path(str(on_path)).resolve().parent


def _user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait(programs: Path, port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    asks = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(asks, check=False).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError("PostgreSQL does not answer.")
        time.sleep(0.05)
