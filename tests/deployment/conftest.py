"""Vertex AI on loopback with containers that start in a moment, and a team that releases to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from lockstep.deployment import Done, VertexEndpoints, deploy
from lockstep.deployment.vertex import Clients, Vertex
from lockstep.registry import Origin
from lockstep.release import release, rollback
from loopback.google import PROJECT, Google, google
from loopback.vertex import Image
from loopback.vertex import Vertex as Service
from loopback.vertex import vertex as running
from loopback.vertex.small import small_image
from tests.release.conftest import Desk

REGION = "europe-west1"
MODELS = ("churn", "churn_reason")


@pytest.fixture(scope="session")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    """Let this process's clients come to loopback, and nowhere else."""
    with google(tmp_path_factory.mktemp("google")) as found:
        yield found


@pytest.fixture(autouse=True)
def surroundings(way: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that a client needs."""
    for name, value in way.variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def small_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay the small image out; what a test writes beside its program decides which containers die or lie."""
    folder: Path = tmp_path_factory.mktemp("image")
    small_image(folder)
    return folder


@pytest.fixture(scope="session")
def service(way: Google, small_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run Vertex AI, all of whose images are the small one."""
    image = Image(programs=small_programs, core=False)
    with running(tmp_path_factory.mktemp("vertex"), way.proxy, image=lambda _: image) as found:
        yield found


@pytest.fixture(scope="session")
def clients(way: Google) -> Clients:
    """Make the official clients, by the environment alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in way.variables.items():
            patch.setenv(name, value)
        return official_clients()


def official_clients() -> Clients:
    """Make Google's own clients of one region."""
    from google.cloud import aiplatform_v1

    options: dict[str, Any] = {"client_options": {"api_endpoint": f"{REGION}-aiplatform.googleapis.com:443"}}
    return Clients(
        models=aiplatform_v1.ModelServiceClient(**options),
        endpoints=aiplatform_v1.EndpointServiceClient(**options),
        predictions=aiplatform_v1.PredictionServiceClient(**options),
    )


class Killed(BaseException):
    """The process is gone, before or after a call."""


@dataclass(slots=True)
class Mortal:
    """A client whose process is killed around one of its writing calls; `left` counts down to it."""

    client: Any
    life: "Life"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)
        if name.startswith(("get", "list", "predict")):
            return lambda *args, **kwargs: (self.life.check(), method(*args, **kwargs))[1]

        def call(*args: object, **kwargs: object) -> object:
            self.life.check()
            self.life.count()
            answer = method(*args, **kwargs)
            self.life.check()
            return answer

        return call


@dataclass(slots=True)
class Life:
    """How many writing calls a process still does; it dies before one, or after it, before its answer is looked at."""

    calls: int = 10**6
    after: bool = False
    done: int = 0
    dead: bool = False

    def count(self) -> None:
        """One more call."""
        self.done += 1
        if self.done > self.calls:
            self.dead = True
            if not self.after:
                raise Killed

    def check(self) -> None:
        """Nothing comes of what a dead process would do."""
        if self.dead:
            raise Killed


@dataclass(slots=True)
class Team:
    """A group, its log, and its endpoints."""

    service: Service
    clients: Clients
    programs: Path
    name: str = field(default_factory=lambda: uuid4().hex)
    keep: int = 1
    image: str = "europe-docker.pkg.dev/team/lockstep:1"
    said: list[str] = field(default_factory=list)
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        self.desk = Desk(f"memory://{self.name}")

    @property
    def place(self) -> Vertex:
        """The endpoints of the group."""
        target = VertexEndpoints(project=PROJECT, region=REGION, image=self.image, keep=self.keep)
        return Vertex(
            clients=self.clients, target=target, registry=f"gs://{self.name}", group="churn", poll=0.02, patience=20
        )

    def release(self, recipe: str) -> str:
        """Train, tune, promote and release a whole set; gives the release."""
        self.desk.in_step(recipe)
        return release(self.desk.registry, self.desk.group, Origin(by="ada", why=recipe)).digest

    def rollback(self) -> str:
        """Go back in the log."""
        return rollback(self.desk.registry, self.desk.group, Origin(by="ada", why="back")).digest

    def deploy(self, life: Life | None = None) -> Done:
        """Bring what is in production to the endpoints."""
        place = self.place
        if life is not None:
            names = ("models", "endpoints", "predictions")
            mortal = {name: Mortal(getattr(self.clients, name), life) for name in names}
            place = replace(place, clients=Clients(**mortal))
        return deploy(self.desk.registry, "churn", place, say=self.said.append)

    def digests(self, release: str) -> dict[str, str]:
        """Model → digest, of a release."""
        found = next(one for one in self.desk.registry.state().releases["churn"] if one.digest == release)
        return {name: found.members[f"model:{name}"] for name in MODELS}

    def endpoint(self, model: str) -> str:
        """The resource name of an endpoint, as answers have it."""
        number = self.place.name_of(model)
        return next((name for name in self.service.endpoints.all if name.endswith(f"/{number}")), "")

    def serving(self) -> dict[str, str | None]:
        """Model → digest of the version that gets all traffic."""
        return {name: self._serving(name) for name in MODELS}

    def _serving(self, model: str) -> str | None:
        view = self.place.look(model)
        at = [one for one, share in view.traffic.items() if share]
        assert len(at) <= 1
        return view.digest_at(view.deployed[at[0]]) if at else None

    def standing(self, model: str) -> set[str | None]:
        """The digests that are deployed, with traffic or without."""
        view = self.place.look(model)
        return {view.digest_at(number) for number in view.deployed.values()}

    def aliases(self, model: str) -> dict[str, str]:
        """Alias → digest."""
        view = self.place.look(model)
        return {alias: version.digest for version in view.versions.values() for alias in version.aliases}

    def uploads(self, model: str) -> list[str]:
        """The digest of every version in the cloud's registry of models."""
        return sorted(version.digest for version in self.place.look(model).versions.values())

    def containers(self, name: str, digests: list[str]) -> None:
        """Say which containers die or lie."""
        (self.programs / name).write_text(" ".join(digests))


@pytest.fixture
def team(service: Service, clients: Clients, small_programs: Path) -> Iterator[Team]:
    """Let a new team begin, with a registry and endpoints of its own."""
    yield Team(service, clients, small_programs)
    service.faults.clear()
    for name in ("dies", "lies"):
        (small_programs / name).unlink(missing_ok=True)
