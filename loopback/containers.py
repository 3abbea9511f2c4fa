"""The services of docker-compose.yaml, run as processes of this machine for as long as a `with` block lasts.

Rules:
- A service starts once those that it waits for are healthy, or have ended well, by the checks of the file.
- Whatever ends and is to stay is started again, as the file's `restart` says; how often is counted.
- A container that is killed loses all of its processes at once (-9), as one does whose first process is killed.
- After the block none of their processes is left.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, Final, Self

import psutil  # type: ignore[import-untyped]

from demo import sessions
from loopback.compose import INSTALL, Place, Service, hostname, initdb, read, surroundings
from loopback.servers import ProgramMissing

__all__ = ["Container", "Containers", "NotStarted"]

POLL: Final = 0.1  # seconds
AGAIN: Final = 0.3  # seconds between an end and a new start
LAST_CHARACTERS: Final = 3000


class NotStarted(Exception):
    """A service ended badly, or did not become healthy in time; the message shows the end of its log."""


class Container:
    """One container: its processes, its own folder, and its log."""

    def __init__(self, service: Service, number: int, place: Place) -> None:
        self.service, self.name = service, f"{service.name}-{number}" if service.replicas > 1 else service.name
        self.home = place.home(self.name)
        self.log_file = self.home.with_suffix(".log")
        self.starts = 0
        self.environment = surroundings() | {"HOSTNAME": hostname(service, self.name), "AIRFLOW_HOME": str(self.home)}
        self.environment |= service.environment
        self._as_user: dict[str, Any] = {}
        self._mark = token_hex(8)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def make(self) -> None:
        """Lay out what the image and its first start do."""
        self.home.mkdir(parents=True)
        for name, target in self.service.links.items():
            target.mkdir(parents=True, exist_ok=True)
            (self.home / name).symlink_to(target)
        if self.service.name == "postgres":
            self._make_database()

    def start(self) -> None:
        """Start its program."""
        with self._lock, self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.service.command,
                env=self.environment | {sessions.MARK: self._mark},
                cwd="/" if self._as_user else self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_user,
            )
            self.starts += 1

    def processes(self) -> list[psutil.Process]:
        """All of its living processes."""
        return sessions.members([self._process.pid] if self._process else [], self._mark)

    def kill(self) -> None:
        """Kill it whole (-9)."""
        while left := self.processes():
            for process in left:
                if sessions.is_alive(process):
                    process.kill()
            time.sleep(0.01)

    def end(self, *, grace: float) -> None:
        """Tell it to end, and kill what is left after `grace` seconds."""
        if self._process:
            first = [psutil.Process(self._process.pid)] if self._process.poll() is None else []
            sessions.end(first, [self._process.pid], self._mark, grace=grace)
            self._process.wait()

    def status(self) -> int | None:
        """How its first process ended; None while it runs, or was never started."""
        return self._process.poll() if self._process else None

    def is_healthy(self) -> bool:
        """Whether its health check says so now."""
        if not self.starts or self.status() is not None:
            return False
        try:
            done = subprocess.run(self.service.health, env=self.environment, capture_output=True, check=False, cwd="/")
        except FileNotFoundError as error:
            raise ProgramMissing(self.service.health[0], INSTALL) from error
        return done.returncode == 0

    def last_words(self) -> str:
        """The end of its log."""
        return self.log_file.read_text(errors="replace")[-LAST_CHARACTERS:]

    def _make_database(self) -> None:
        """As the entry point of PostgreSQL's image: the folder, its user with the password, and the database."""
        words, said = list(self.service.command), self.service.environment
        folder = Path(words[words.index("-D") + 1])
        if os.geteuid() == 0:
            known = {entry.pw_name: entry for entry in pwd.getpwall()}
            user = known.get("postgres") or known["nobody"]
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(folder, user.pw_uid, user.pw_gid)
        with tempfile.NamedTemporaryFile("w", suffix=".password") as file:
            file.write(said["POSTGRES_PASSWORD"])
            file.flush()
            Path(file.name).chmod(0o644)
            command = [initdb(), "-D", folder, "-U", said["POSTGRES_USER"], "-A", "scram-sha-256"]
            command += [f"--pwfile={file.name}", "--no-instructions"]
            subprocess.run(command, check=True, capture_output=True, cwd="/", **self._as_user)
        alone = [words[0], "--single", "-D", folder, "postgres"]
        order = f"CREATE DATABASE {said['POSTGRES_DB']};\n".encode()
        subprocess.run(alone, input=order, check=True, capture_output=True, cwd="/", **self._as_user)


class Containers:
    """`with Containers(values) as containers:` starts all, and begins the block once each that others wait for is up.

    Attributes:
        place: where they live on this machine.
        services: those that run, by name; `without` leaves some out, as `docker compose up SERVICE …` does.
        all: by name; a service with several replicas has `name-1`, `name-2` and so on.
    """

    def __init__(
        self,
        values: Mapping[str, str],
        *,
        store: Mapping[str, str] | None = None,
        changes: Mapping[str, str] | None = None,
        without: Collection[str] = (),
        timeout: float = 240.0,
    ) -> None:
        """`store` is what store.env says; `changes` win over the file's environment, for all of Airflow's services."""
        # PostgreSQL's user has to reach its folder, which it can't in pytest's
        self._folder = Path(tempfile.mkdtemp(prefix="lockstep-compose-"))
        self._folder.chmod(0o755)
        self.place = Place(self._folder)
        try:
            said = read(self.place, values, store=store)
        except BaseException:
            self._folder.rmdir()
            raise
        self.services = {name: service for name, service in said.items() if name not in without}
        self.all: dict[str, Container] = {}
        for service in self.services.values():
            for number in range(1, service.replicas + 1):
                container = Container(service, number, self.place)
                if "AIRFLOW__CORE__EXECUTOR" in service.environment:
                    container.environment |= dict(changes or {})
                self.all[container.name] = container
        self._timeout = timeout
        self._fit: set[str] = set()  # services that have been healthy, or have ended well
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all of them, the later ones first."""
        self._ended.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for container in reversed(self.all.values()):
            container.end(grace=3.0)
        shutil.rmtree(self._folder, ignore_errors=True)

    def of(self, service: str) -> Sequence[Container]:
        """The containers of a service."""
        return [container for container in self.all.values() if container.service.name == service]

    def kill(self, name: str) -> None:
        """Kill a container, and return once it has been started again."""
        container = self.all[name]
        before = container.starts
        container.kill()
        while container.starts == before:
            time.sleep(POLL)

    def restarts(self) -> Counter[str]:
        """How often each was started again."""
        return Counter({name: container.starts - 1 for name, container in self.all.items()})

    def _start(self) -> None:
        (self._folder / "volumes").mkdir()
        for mount in (mount for found in self.place.services.values() for mount in found.get("volumes", [])):
            if not mount.startswith("."):
                self.place.volume(mount.split(":")[0]).mkdir(exist_ok=True)
        for container in self.all.values():
            container.make()
        deadline = time.monotonic() + self._timeout
        waiting = list(self.all.values())
        while waiting:
            for container in [one for one in waiting if self._may_start(one)]:
                container.start()
                waiting.remove(container)
            if waiting and time.monotonic() > deadline:
                self._fail(f"{', '.join(one.name for one in waiting)} could not start within {self._timeout:g} s")
            time.sleep(POLL)

    def _may_start(self, container: Container) -> bool:
        return all(self._holds(other, condition) for other, condition in container.service.after.items())

    def _holds(self, service: str, condition: str) -> bool:
        """Whether a service is what another waits for."""
        if service in self._fit:
            return True
        ends = condition == "service_completed_successfully"
        for container in self.of(service):
            status = container.status()
            if status is not None and (status or not ends):
                self._fail(f"{container.name} ended with {status}")
            if not (status == 0 if ends else container.is_healthy()):
                return False
        self._fit.add(service)
        return True

    def _fail(self, reason: str) -> None:
        said = "\n".join(f"--- {name}\n{one.last_words()}" for name, one in self.all.items() if one.starts)
        raise NotStarted(f"{reason}.\n{said}")

    def _keep(self) -> None:
        """Start again what has ended and is to stay."""
        while not self._ended.wait(POLL):
            for container in self.all.values():
                if container.service.stays and container.status() is not None:
                    container.kill()  # what outlived its first process
                    time.sleep(AGAIN)
                    container.start()
