"""What docker-compose.yaml says, turned into what this machine can run without an engine.

Rules:
- Commands, environment, health checks, order of start and restarts are those of the file.
- What images and the network would add stands here and nowhere else: `_program` (what an image runs), `_image` (what it
  sets) and `Place.local` (its paths, host names and ports, as they are called on this machine).
- A variable that the file wants and nobody set is refused, as Docker Compose does.
"""

import os
import re
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml

from loopback.servers import ProgramMissing, free_port

__all__ = ["Place", "Service", "ValueMissing", "read"]

ROOT: Final = Path(__file__).resolve().parents[1]
FILE: Final = ROOT / "docker-compose.yaml"
PORTS: Final = (5432, 6379, 8000, 8080, 8974, 9000)  # all that the file names
INSTALL: Final = "apt-get install postgresql redis-server curl"
_VARIABLE: Final = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?::(?P<how>[-?])(?P<text>[^}]*))?\})")


class ValueMissing(ValueError):
    """The file asks for a variable that is not set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as processes: words are in this machine's terms already."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    links: Mapping[str, Path]  # below AIRFLOW_HOME: what is mounted there
    after: Mapping[str, str]  # other services, and what each has to be
    health: Sequence[str]  # empty: it has no check
    stays: bool  # it is started again when it ends
    replicas: int


class Place:
    """Where the containers live on this machine: a folder for their volumes, and a free port for each of theirs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.ports = {port: free_port() for port in PORTS}

    def local(self, text: str) -> str:
        """A word of the file in this machine's terms."""
        text = self._targets.sub(lambda found: str(self._mounted[found[0]]), text)
        text = re.sub(rf"(?<=[@/])(?:{'|'.join(self.services)})(?=:\d)", "127.0.0.1", text)
        text = text.replace("0.0.0.0", "127.0.0.1")  # noqa: S104  it is what is replaced
        return re.sub(rf"\b(?:{'|'.join(map(str, PORTS))})\b", lambda found: str(self.ports[int(found[0])]), text)

    def home(self, container: str) -> Path:
        """The folder of a container's own, where the image has /opt/airflow."""
        return self.folder / "homes" / container

    def volume(self, name: str) -> Path:
        """The folder that stands for a volume."""
        return self.folder / "volumes" / name

    @cached_property
    def services(self) -> dict[str, Any]:
        """The services as they stand in the file."""
        found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
        return found

    @cached_property
    def _mounted(self) -> dict[str, Path]:
        """Where in a container → where here; the same for all, as in the file."""
        found: dict[str, Path] = {}
        for service in self.services.values():
            for mount in service.get("volumes", []):
                source, target, *_ = mount.split(":")
                here = (ROOT / source).resolve() if source.startswith(".") else self.volume(source)
                if found.setdefault(target, here) != here:
                    raise ValueError(f"{target} is mounted from {found[target]} and from {here}.")
        return found

    @cached_property
    def _targets(self) -> re.Pattern[str]:
        longest_first = sorted(self._mounted, key=len, reverse=True)
        return re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])")


def read(
    place: Place, values: Mapping[str, str], *, profile: str = "", store: Mapping[str, str] | None = None
) -> dict[str, Service]:
    """The services of the file, with these values for its variables, and what `store.env` says.

    Raises:
        ValueMissing: a value is not there.
        ProgramMissing: PostgreSQL, Redis or another program that a service runs is not installed.
    """
    wanted = {name: found for name, found in place.services.items() if profile in found.get("profiles", [profile])}
    return {name: _service(name, found, place, values, store or {}) for name, found in wanted.items()}


def _service(
    name: str, found: Mapping[str, Any], place: Place, values: Mapping[str, str], store: Mapping[str, str]
) -> Service:
    def local(text: object) -> str:
        return place.local(filled(str(text), values))

    said = {key: local(value) for key, value in found.get("environment", {}).items()}
    targets = (mount.split(":")[1] for mount in found.get("volumes", []))
    check = [local(word) for word in found.get("healthcheck", {}).get("test", [])]
    health = ["/bin/sh", "-c", *check[1:]] if check[:1] == ["CMD-SHELL"] else check[1:]
    return Service(
        name=name,
        command=[local(word) for word in _program(found)],
        environment=_image(found["image"], place) | (dict(store) if "env_file" in found else {}) | said,
        links={
            target.removeprefix("/opt/airflow/"): Path(place.local(target))
            for target in targets
            if target.startswith("/opt/airflow/")
        },
        after={other: how["condition"] for other, how in found.get("depends_on", {}).items()},
        health=health,
        stays=found["restart"] != "no",
        replicas=found.get("deploy", {}).get("replicas", 1),
    )


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text of the file with its variables filled in.

    Raises:
        ValueMissing: one of them is not set, and the file has no default for it.
    """

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        if said := values.get(found["name"], ""):
            return said
        if found["how"] == "-":
            return str(found["text"])
        raise ValueMissing(f"required variable {found['name']} is missing a value: {found['text']}")

    return _VARIABLE.sub(value, text)


def _program(found: Mapping[str, Any]) -> list[str]:
    """What a container runs: as the file says, or as the entry point of the image does."""
    command = found.get("command", [])
    words = [command] if isinstance(command, str) else [str(word) for word in command]
    if "entrypoint" in found:
        first, *rest = found["entrypoint"]
        return [_installed(Path(first).name), *rest, *words]
    if found["image"].startswith("postgres:"):
        return [_postgres("postgres"), "-D", "/var/lib/postgresql/data", "-h", "0.0.0.0", "-p", "5432", "-k", ""]  # noqa: S104  see Place.local
    return [_installed(words[0]), *words[1:]] if words[0] == "bash" else [_installed("airflow"), *words]


def _image(image: str, place: Place) -> dict[str, str]:
    """What an image sets, and what makes its programs listen where they are to on this machine."""
    if image.startswith("postgres:"):
        return {"PGHOST": "127.0.0.1", "PGPORT": str(place.ports[5432])}
    if not image.startswith("lockstep-airflow:"):
        return {}
    return {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(place.ports[8080]),
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(place.ports[8974]),
        "PYTHONUNBUFFERED": "1",
    }


def hostname(service: Service, container: str) -> str:
    """The HOSTNAME of a container: as Airflow finds it on this machine, but where replicas have to differ."""
    name = socket.getfqdn()
    return container if service.replicas > 1 else socket.gethostname() if name == "localhost" else name


def surroundings() -> dict[str, str]:
    """The variables of this process that containers take over: neither its Airflow's, nor what slows Python down."""
    unwanted = ("AIRFLOW", "LOCKSTEP", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    path = [str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]
    return inherited | {"PATH": os.pathsep.join(path)}


def _postgres(name: str) -> str:
    """A program of the newest PostgreSQL that Debian has put aside, or that is on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else _installed(name)


def _installed(name: str) -> str:
    beside = Path(sys.executable).parent / name  # of the environment that runs this
    path = str(beside) if beside.exists() else shutil.which(name)
    if path is None:
        raise ProgramMissing(name, INSTALL)
    return path


def initdb() -> str:
    """The program that makes PostgreSQL's folder, as the image does at its first start."""
    return _postgres("initdb")
