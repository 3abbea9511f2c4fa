"""A real Airflow on this machine (`airflow standalone`) for as long as a `with` block lasts.

Rules:

* It listens on 127.0.0.1 only, on ports that were free, keeps all in its home folder, and asks for a random password.
* Inside the block it is ready: API, scheduler, triggerer and DAG processor have answered, the expected DAGs are parsed,
  and the first task won't wait for lazy parts. A DAG file that can't be imported, and an Airflow that dies at start,
  are reported at once.
* After the block none of its processes is left, whether it ended well, by an error, by Ctrl-C, or by SIGTERM or SIGHUP.
* Nothing is taken over from the caller's own Airflow settings.
"""

import contextlib
import json
import os
import secrets
import shlex
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, NoReturn, Self

import psutil  # type: ignore[import-untyped]

from demo import sessions, signals
from demo.rest import Rest, RestError

__all__ = ["COMPONENTS", "Component", "Standalone", "StandaloneFailed"]

Component = Literal["api-server", "scheduler", "dag-processor", "triggerer"]
COMPONENTS: tuple[Component, ...] = ("api-server", "scheduler", "dag-processor", "triggerer")
LAST_LINES = 30
POLL = 0.1  # seconds
AIRFLOW = """\
#!/bin/sh
# Airflow's log servers listen on every address of the machine; all logs are files here, so nobody needs them.
case "$1" in scheduler | triggerer) set -- "$@" --skip-serve-logs ;; esac
exec {python} -m airflow "$@"
"""


class StandaloneFailed(Exception):
    """Airflow died at start, was not ready in time, or can't import a DAG file; the message shows why."""


class Standalone:
    """`with Standalone(home=…, dags=…) as airflow:` starts Airflow; `airflow.rest` is a client that is logged in.

    Attributes:
        url, user, password: where the UI is, and how to log in.
        started_in: seconds from start to ready.
        log_file: what all parts of Airflow print.
    """

    def __init__(
        self,
        *,
        home: Path,
        dags: Path,
        plugins: Path | None = None,
        include: Sequence[Path] = (),
        expected: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        timeout: float = 120.0,
    ) -> None:
        """`expected` DAG ids have to be parsed before the block begins; `variables` win over all that is set here."""
        self.home, self.timeout, self.expected = home.absolute(), timeout, frozenset(expected)
        self.user, self.password = "admin", secrets.token_urlsafe(12)
        self.log_file = self.home / "standalone.log"
        self.started_in = 0.0
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.rest = Rest(self.url, self.user, self.password)
        self._mark = secrets.token_hex(8)
        self._started: list[subprocess.Popen[bytes]] = []  # `airflow standalone`, then what was started again
        self._log: IO[bytes] | None = None
        self._handlers = contextlib.ExitStack()
        self._environment = (
            self._base_environment(include)
            | {
                "AIRFLOW__CORE__DAGS_FOLDER": str(dags.absolute()),
                "AIRFLOW__CORE__PLUGINS_FOLDER": str((plugins or self.home / "no_plugins").absolute()),
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
                "AIRFLOW__API__BASE_URL": self.url,
                "AIRFLOW__API__PORT": str(port),
            }
            | dict(variables or {})
        )

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop(grace=2.0)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -------------------------------------------------------------------------------------------------- start and stop

    def start(self) -> None:
        """Start Airflow, and return when it is ready.

        Raises:
            StandaloneFailed: with the last lines of its log, or the import errors.
        """
        began, began_at = time.monotonic(), datetime.now(UTC)
        deadline = began + self.timeout
        self._prepare_home()
        self._handlers.enter_context(signals.ending())
        airflow = self._spawn("standalone")
        self._wait_for("API", self._answers, airflow, deadline)
        self._wait_for("scheduler, triggerer and DAG processor", lambda: self._beats_since(began_at), airflow, deadline)
        self._wait_for("DAGs", lambda: self._parsed_since(began_at), airflow, deadline)
        self.started_in = time.monotonic() - began

    def stop(self, *, grace: float = 6.0) -> None:
        """End every process of this Airflow: gently, and after `grace` seconds by kill. May be called again."""
        with signals.deaf():
            self.rest.close()
            parts = [*self._candidates(), *(psutil.Process(pid) for pid in self._sessions() if psutil.pid_exists(pid))]
            sessions.end(parts, self._sessions(), self._mark, grace=grace)
            for process in self._started:
                process.wait()
            if self._log:
                self._log.close()
        self._handlers.close()

    def processes(self) -> list[psutil.Process]:
        """Every living process of this Airflow: parts, executor workers, tasks and what these have started."""
        return sessions.members(self._sessions(), self._mark)

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run Python with these words where Airflow's parts run: with their settings, database and folders."""
        command = [sys.executable, *words]
        return subprocess.run(
            command,
            env=self._environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def pids(self) -> dict[Component, int]:
        """The process of each part that is alive; one that is missing here is dead.

        The pid of a running task's process is `airflow.rest.task(…).pid`.
        """
        return {part: process.pid for part, process in self._parts().items()}

    def kill(self, part: Component) -> None:
        """Kill a part as the operating system would (-9). `airflow standalone` doesn't start it again: `restart` does.

        An executor's workers outlive a killed scheduler, and finish the tasks that they run.
        """
        process = psutil.Process(self.pids()[part])
        process.kill()
        while sessions.is_alive(process):
            time.sleep(0.01)

    def restart(self, part: Component) -> None:
        """Start a part again that was killed; returns once Airflow has heard from it."""
        began_at = datetime.now(UTC)
        process = self._spawn(part)
        self._wait_for(
            part, lambda: self._answers() and self._beats_since(began_at), process, time.monotonic() + self.timeout
        )

    # ------------------------------------------------------------------------------------------------------ the set-up

    def _base_environment(self, include: Sequence[Path]) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            # without .pyc files every part compiles all of Airflow again: 34 s instead of 15 s until ready
            if not name.startswith("AIRFLOW") and name != "PYTHONDONTWRITEBYTECODE"
        }
        paths = [*map(str, include), *filter(None, [inherited.get("PYTHONPATH")])]
        return inherited | {
            sessions.MARK: self._mark,
            # `airflow standalone` starts its parts as "airflow": as that of `_prepare_home`
            "PATH": os.pathsep.join([str(self.home / "bin"), inherited.get("PATH", os.defpath)]),
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__CORE__EXECUTOR": "lockstep_airflow.local.PreloadedLocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{self.user}:admin",
            # SQLite's own five seconds end in "Database error" when everything starts at once
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}?timeout=30",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }

    def _prepare_home(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        airflow = self.home / "bin" / "airflow"
        airflow.parent.mkdir(exist_ok=True)
        airflow.write_text(AIRFLOW.format(python=shlex.quote(sys.executable)))
        airflow.chmod(0o755)
        passwords = self.home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({self.user: self.password}))
        with contextlib.closing(sqlite3.connect(self.home / "airflow.db")) as database:
            database.execute("PRAGMA journal_mode=WAL")  # readers don't wait for writers; the file remembers it
        self._log = self.log_file.open("ab")

    def _spawn(self, command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [self.home / "bin" / "airflow", command],
            env=self._environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only this process, which then ends the others in order
        )
        self._started.append(process)
        return process

    # ----------------------------------------------------------------------------------------------- looking at Airflow

    def _sessions(self) -> list[int]:
        return [process.pid for process in self._started]

    def _candidates(self) -> Iterator[psutil.Process]:
        """The processes that are or were a part, in the order in which they started."""
        for number, started in enumerate(self._started):
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(started.pid)
                yield from [process] if number else process.children()

    def _parts(self) -> dict[Component, psutil.Process]:
        found: dict[Component, psutil.Process] = {}
        for process in self._candidates():
            with contextlib.suppress(psutil.Error):
                words = " ".join(process.cmdline()).replace("_", "-").split()
                found |= {part: process for part in COMPONENTS if sessions.is_alive(process) and part in words}
        return found

    def _wait_for(
        self, what: str, ready: Callable[[], bool], watched: subprocess.Popen[bytes], deadline: float
    ) -> None:
        seen: dict[Component, psutil.Process] = {}  # not every child: Airflow also runs short programs, which end
        while not ready():
            seen |= self._parts()
            if watched.poll() is not None or not all(map(sessions.is_alive, seen.values())):
                self._fail("Airflow, or a part of it, died at start")
            if time.monotonic() > deadline:
                self._fail(f"Airflow was not ready within {self.timeout:g} s, and still had to wait for: {what}")
            time.sleep(POLL)

    def _fail(self, reason: str) -> NoReturn:
        lines = self.log_file.read_text(errors="replace").splitlines()[-LAST_LINES:]
        raise StandaloneFailed("\n".join([f"{reason}. The end of {self.log_file}:", *lines]))

    def _answers(self) -> bool:
        try:
            self.rest.warm()  # builds the part that tasks talk to; the first task would wait five seconds
            self.rest.version()
        except RestError:
            return False
        return True

    def _beats_since(self, moment: datetime) -> bool:
        alive = self.rest.heartbeats()
        return {"scheduler", "triggerer", "dag_processor"} <= {part for part, beat in alive.items() if beat > moment}

    def _parsed_since(self, moment: datetime) -> bool:
        if broken := [error for error in self.rest.import_errors() if error.at > moment]:
            raise StandaloneFailed("\n".join(f"{error.file} can't be imported:\n{error.trace}" for error in broken))
        return self.expected <= {dag.dag_id for dag in self.rest.dags() if dag.parsed_at and dag.parsed_at > moment}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
