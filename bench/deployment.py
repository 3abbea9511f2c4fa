"""Benchmark h: how long the endpoints of five models serve members of two releases, on Vertex AI on loopback.

Rules:
- The time is the service's own: from the first endpoint's change to the last one's, within one deployment.
- The peer is what one writes with the operators of Google's provider: model after model is uploaded, deployed with all
  traffic (`traffic_split={"0": 100}`), and the one before it is undeployed.
- A container of loopback starts in a tenth of a second, one of Vertex AI in minutes: the peer's time grows by that, for
  every model but the first; ours does not. The network between us and the service is missing, for both.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from bench.registry import own
from bench.report import Aim, Report, Row, percentile
from lockstep.deployment import VertexEndpoints, deploy
from lockstep.deployment.goal import goal_of
from lockstep.deployment.plan import Upload
from lockstep.deployment.vertex import Clients, Vertex
from lockstep.registry import Registry

if TYPE_CHECKING:
    from loopback.vertex import Vertex as Service

PROJECT, REGION = "lockstep-loopback", "europe-west1"
ROUNDS, SMALL_ROUNDS = 20, 2
MS = 1000.0


def run(*, small: bool) -> Report:
    """Measure ours and the peer's, in turn."""
    from loopback.google import google  # with these come Google's libraries, which no other benchmark needs
    from loopback.vertex import vertex
    from loopback.vertex.small import small_image

    rounds = SMALL_ROUNDS if small else ROUNDS
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        place = Path(folder)
        image = small_image(place / "image")
        with (
            google(place / "google") as way,
            vertex(place / "vertex", way.proxy, image=lambda _: image) as service,
            _environment(way.variables),
        ):
            ours = [*_ours(service, rounds)]
            peer = [*_peer(service, rounds)]
    rows = [
        Row(what=f"two releases side by side, {name}", ours=_of(ours, share, "mixed"), peer=_of(peer, share, "mixed"))
        for name, share in (("p50", 0.5), ("longest", 1.0))
    ]
    rows.append(Row(what="a whole deployment, p50", ours=_of(ours, 0.5, "whole"), peer=_of(peer, 0.5, "whole")))
    ratio = rows[0].ratio
    aim = Aim(what="two releases side by side, p50, of the peer's time", value=ratio, at_most=0.25)
    title = f"Deployment of five models on Vertex AI on loopback ({rounds} rounds)"
    return Report(title=title, peer="one model after the other", rows=rows, aims=[aim])


Times = dict[str, float]


def _of(found: list[Times], share: float, name: str) -> float:
    return percentile([one[name] for one in found], share) * MS


def _ours(service: "Service", rounds: int) -> Iterator[Times]:
    registry, place = _team()
    _release(registry, 0)
    deploy(registry, own.GROUP.name, place)
    for number in range(1, rounds + 1):
        _release(registry, number)
        before, began = len(service.endpoints.history), time.perf_counter()
        deploy(registry, own.GROUP.name, place)
        yield {"whole": time.perf_counter() - began, "mixed": _mixed(service, before)}


def _peer(service: "Service", rounds: int) -> Iterator[Times]:
    registry, place = _team()
    _release(registry, 0)
    deploy(registry, own.GROUP.name, place)
    for number in range(1, rounds + 1):
        _release(registry, number)
        before, began = len(service.endpoints.history), time.perf_counter()
        for name in own.NAMES:
            _one(registry, place, name)
        yield {"whole": time.perf_counter() - began, "mixed": _mixed(service, before)}


def _one(registry: Registry, place: Vertex, name: str) -> None:
    """Upload one model, give it all traffic, and take the one before it away."""
    goal = goal_of(registry.state(), own.GROUP.name, keep=0)
    assert goal is not None  # noqa: S101  it was released just now
    place.take(Upload(model=name, member=goal.members[name], is_first=False))
    view = place.look(name)
    machine = {"machine_spec": {"machine_type": place.target.machine}, "min_replica_count": 1}
    model = f"{place.endpoint_of(name).replace('/endpoints/', '/models/')}@{view.version_of(goal.members[name].digest)}"
    asked: dict[str, Any] = {"endpoint": place.endpoint_of(name), "traffic_split": {"0": 100}}
    asked["deployed_model"] = {"model": model, "dedicated_resources": machine}
    place._done(place.clients.endpoints.deploy_model(request=asked))  # noqa: SLF001  it waits as ours does
    for deployed in view.deployed:
        gone = {"endpoint": place.endpoint_of(name), "deployed_model_id": deployed}
        place._done(place.clients.endpoints.undeploy_model(request=gone))  # noqa: SLF001  as above


def _team() -> tuple[Registry, Vertex]:
    name = uuid4().hex
    registry = Registry.open(f"memory://{name}")
    own.take_snapshot(registry)
    target = VertexEndpoints(project=PROJECT, region=REGION, image="any", keep=0)
    return registry, Vertex(clients=_clients(), target=target, registry=f"gs://{name}", group=own.GROUP.name, poll=0.05)


def _release(registry: Registry, number: int) -> None:
    own.register(registry, str(number))
    own.promote_all(registry)
    own.release_all(registry)


def _mixed(service: "Service", before: int) -> float:
    """Seconds from the first endpoint's change to the last one's."""
    changes = [one.at for one in service.endpoints.history[before:] if one.split]
    return changes[-1] - changes[0]


def _clients() -> Clients:
    from google.cloud import aiplatform_v1

    options: dict[str, Any] = {"client_options": {"api_endpoint": f"{REGION}-aiplatform.googleapis.com:443"}}
    return Clients(
        models=aiplatform_v1.ModelServiceClient(**options),
        endpoints=aiplatform_v1.EndpointServiceClient(**options),
        predictions=aiplatform_v1.PredictionServiceClient(**options),
    )


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
