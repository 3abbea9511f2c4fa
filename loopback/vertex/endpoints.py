"""The EndpointService and the PredictionService: containers that serve a model version, and how requests are split.

Rules:
- Deploying starts the container of the model version, and is done when its health route answers 200; if the container
  ends before, or does not answer in time, the operation fails and nothing is deployed.
- A split names deployed models and adds up to 100, or is empty; a model with traffic can't be undeployed.
- A prediction goes to a deployed model by the split alone. Every split that ever held is in `history`.
"""

import json
import random
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import RLock
from typing import Any, Final

import grpc
from google.cloud.aiplatform_v1 import types
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, json_format, struct_pb2

from loopback.servers import DIRECTLY, free_port
from loopback.vertex.containers import Container, Image
from loopback.vertex.models import Models, check_labels
from loopback.vertex.operations import Operations
from loopback.vertex.wire import Method, Refused, canonical, missing, page, parent_of, parse_filter

SERVICE: Final = "google.cloud.aiplatform.v1.EndpointService"
PREDICTION: Final = "google.cloud.aiplatform.v1.PredictionService"
_ID: Final = re.compile(r"[0-9]{1,9}|[a-z][a-z0-9-]{0,61}[a-z0-9]")
_DEPLOYED: Final = re.compile(r"[0-9]{1,10}")
_FIRST: Final = 7_000_000_000
_PATIENCE: Final = 180  # seconds until a container has to be healthy


@dataclass(slots=True)
class Endpoint:
    """An endpoint with the containers behind it, by the id of the deployed model."""

    told: types.Endpoint
    containers: dict[str, tuple[Container, int, types.Model]] = field(default_factory=dict)
    starting: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Split:
    """Which split an endpoint had from when on."""

    at: float  # of the monotonic clock
    endpoint: str
    split: Mapping[str, int]


class Endpoints:
    """All endpoints of one service."""

    def __init__(
        self,
        folder: Path,
        variables: Mapping[str, str],
        image: Callable[[str], Image],
        models: Models,
        operations: Operations,
    ) -> None:
        self.all: dict[str, Endpoint] = {}
        self.history: list[Split] = []
        self._folder, self._variables, self._image = folder, variables, image
        self._models, self._operations = models, operations
        self._lock = RLock()
        self._started = 0
        models.deployed = self._serves

    def methods(self) -> dict[str, Method]:
        """The methods of the EndpointService."""
        operation = operations_pb2.Operation
        return {
            "CreateEndpoint": Method(self._create, types.CreateEndpointRequest, operation),
            "GetEndpoint": Method(self._get, types.GetEndpointRequest, types.Endpoint),
            "ListEndpoints": Method(self._list, types.ListEndpointsRequest, types.ListEndpointsResponse),
            "UpdateEndpoint": Method(self._update, types.UpdateEndpointRequest, types.Endpoint),
            "DeployModel": Method(self._deploy, types.DeployModelRequest, operation),
            "UndeployModel": Method(self._undeploy, types.UndeployModelRequest, operation),
            "DeleteEndpoint": Method(self._delete, types.DeleteEndpointRequest, operation),
        }

    def prediction_methods(self) -> dict[str, Method]:
        """The methods of the PredictionService."""
        return {"Predict": Method(self._predict, types.PredictRequest, types.PredictResponse)}

    def close(self) -> None:
        """End all containers."""
        for endpoint in list(self.all.values()):
            for container, _, _ in list(endpoint.containers.values()):
                container.end()

    def _serves(self, name: str, number: str) -> bool:
        found = [served for endpoint in self.all.values() for _, _, served in endpoint.containers.values()]
        return any(served.name == name and served.version_id == number for served in found)

    def _find(self, name: str) -> Endpoint:
        found = self.all.get(canonical(name))
        if found is None:
            raise missing(name)
        return found

    def _create(self, request: types.CreateEndpointRequest) -> operations_pb2.Operation:
        told = types.Endpoint(request.endpoint)
        if not told.display_name or (request.endpoint_id and not _ID.fullmatch(request.endpoint_id)):
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT, "A display_name, and a valid endpoint_id if any, are needed."
            )
        check_labels(told.labels)
        name = f"{canonical(request.parent)}/endpoints/{request.endpoint_id or _FIRST + len(self.all)}"

        def work() -> types.Endpoint:
            with self._lock:
                if name in self.all:
                    raise Refused(grpc.StatusCode.ALREADY_EXISTS, f"Endpoint {name} already exists.")
                told.name, told.create_time = name, datetime.now(UTC)
                self.all[name] = Endpoint(told)
                return self._marked(self.all[name])

        if name in self.all:
            raise Refused(grpc.StatusCode.ALREADY_EXISTS, f"Endpoint {name} already exists.")
        return self._operations.start("CreateEndpoint", name, work)

    def _get(self, request: types.GetEndpointRequest) -> types.Endpoint:
        with self._lock:
            return types.Endpoint(self._find(request.name).told)

    def _list(self, request: types.ListEndpointsRequest) -> types.ListEndpointsResponse:
        parent, wanted = parent_of(request.parent), parse_filter(request.filter)
        with self._lock:
            found = [one.told for name, one in self.all.items() if name.startswith(parent + "/")]
            found = [one for one in found if wanted(_fields(one))]
            some, token = page(found, request.page_size, request.page_token)
            return types.ListEndpointsResponse(endpoints=[types.Endpoint(one) for one in some], next_page_token=token)

    def _update(self, request: types.UpdateEndpointRequest) -> types.Endpoint:
        with self._lock:
            endpoint = self._find(request.endpoint.name)
            if request.endpoint.etag and request.endpoint.etag != endpoint.told.etag:
                raise Refused(grpc.StatusCode.ABORTED, f"{endpoint.told.name} has changed: its etag is another.")
            for path in request.update_mask.paths:
                if path == "traffic_split":
                    self._split(endpoint, request.endpoint.traffic_split)
                elif path in ("labels", "display_name", "description"):
                    setattr(endpoint.told, path, getattr(request.endpoint, path))
                else:
                    raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"update_mask: {path} can't be updated.")
            return self._marked(endpoint)

    def _deploy(self, request: types.DeployModelRequest) -> operations_pb2.Operation:
        told = types.DeployedModel(request.deployed_model)
        with self._lock:
            endpoint = self._find(request.endpoint)
            served = types.Model(self._models.find(told.model))
            if not told.dedicated_resources.machine_spec.machine_type or not told.dedicated_resources.min_replica_count:
                raise Refused(
                    grpc.StatusCode.INVALID_ARGUMENT, "dedicated_resources with a machine and replicas are needed."
                )
            if told.id and not _DEPLOYED.fullmatch(told.id):
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid id of a deployed model: {told.id}")
            told.id = told.id or str(_FIRST + self._started)
            if told.id in endpoint.containers or told.id in endpoint.starting:
                raise Refused(grpc.StatusCode.ALREADY_EXISTS, f"Deployed model {told.id} exists already.")
            self._started += 1
            endpoint.starting.add(told.id)
            folder = self._folder / str(self._started)
        told.model, told.model_version_id, told.create_time = served.name, served.version_id, datetime.now(UTC)
        split = {told.id if key == "0" else key: share for key, share in request.traffic_split.items()}
        return self._operations.start(
            "DeployModel",
            endpoint.told.name,
            lambda: self._start(endpoint, told, served, split, folder),
            lambda: endpoint.starting.discard(told.id),
        )

    def _start(
        self,
        endpoint: Endpoint,
        told: types.DeployedModel,
        served: types.Model,
        split: Mapping[str, int],
        folder: Path,
    ) -> types.DeployModelResponse:
        spec, port = served.container_spec, free_port()
        variables = {
            **self._variables,
            "AIP_HTTP_PORT": str(port),  # as if the port of the specification were this one
            "AIP_HEALTH_ROUTE": spec.health_route or f"/v1/endpoints/{endpoint.told.name}",
            "AIP_PREDICT_ROUTE": spec.predict_route or f"/v1/endpoints/{endpoint.told.name}:predict",
            "AIP_STORAGE_URI": served.artifact_uri,
            "AIP_DEPLOYED_MODEL_ID": told.id,
            "LOCKSTEP_HOST": "127.0.0.1",
            **{one.name: one.value for one in spec.env},
        }
        container = Container(self._image(spec.image_uri), [*spec.command, *spec.args], variables, folder)
        try:
            container.start()
            _await_health(container, f"http://127.0.0.1:{port}{variables['AIP_HEALTH_ROUTE']}")
            with self._lock:
                endpoint.containers[told.id] = container, port, served
                endpoint.told.deployed_models = [*endpoint.told.deployed_models, told]
                try:
                    if split:
                        self._split(endpoint, split)
                except Refused:
                    self._drop(endpoint, told.id)
                    raise
                self._marked(endpoint)
        except BaseException:
            container.end()
            raise
        return types.DeployModelResponse(deployed_model=told)

    def _undeploy(self, request: types.UndeployModelRequest) -> operations_pb2.Operation:
        with self._lock:
            endpoint = self._find(request.endpoint)
            if request.deployed_model_id not in endpoint.containers:
                raise missing(f"{request.endpoint}: deployed model {request.deployed_model_id}")

        def work() -> types.UndeployModelResponse:
            with self._lock:
                if request.traffic_split:
                    self._split(endpoint, request.traffic_split)
                if len(endpoint.containers) == 1:
                    self._split(endpoint, {})
                if endpoint.told.traffic_split.get(request.deployed_model_id, 0):
                    raise Refused(
                        grpc.StatusCode.FAILED_PRECONDITION, f"Deployed model {request.deployed_model_id} has traffic."
                    )
                container = self._drop(endpoint, request.deployed_model_id)
            if container is not None:
                container.end()
            return types.UndeployModelResponse()

        return self._operations.start("UndeployModel", endpoint.told.name, work)

    def _drop(self, endpoint: Endpoint, number: str) -> Container | None:
        container, _, _ = endpoint.containers.pop(number, (None, 0, None))
        endpoint.told.deployed_models = [one for one in endpoint.told.deployed_models if one.id != number]
        split = {key: share for key, share in endpoint.told.traffic_split.items() if key != number}
        endpoint.told.traffic_split = split
        self._marked(endpoint)
        return container

    def _delete(self, request: types.DeleteEndpointRequest) -> operations_pb2.Operation:
        with self._lock:
            endpoint = self._find(request.name)
            if endpoint.containers or endpoint.starting:
                raise Refused(grpc.StatusCode.FAILED_PRECONDITION, f"{request.name} has deployed models.")

        def work() -> empty_pb2.Empty:
            self.all.pop(endpoint.told.name, None)
            return empty_pb2.Empty()

        return self._operations.start("DeleteEndpoint", endpoint.told.name, work)

    def _split(self, endpoint: Endpoint, split: Mapping[str, int]) -> None:
        unknown = sorted(set(split) - set(endpoint.containers))
        if unknown or (split and sum(split.values()) != 100) or any(share < 0 for share in split.values()):
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT, f"traffic_split {dict(split)} does not add up, or names others."
            )
        endpoint.told.traffic_split = dict(split)
        self.history.append(Split(time.monotonic(), endpoint.told.name, dict(split)))

    def _marked(self, endpoint: Endpoint) -> types.Endpoint:
        endpoint.told.update_time, endpoint.told.etag = datetime.now(UTC), ""
        endpoint.told.etag = sha256(types.Endpoint.serialize(endpoint.told)).hexdigest()[:16]
        return types.Endpoint(endpoint.told)

    def _predict(self, request: types.PredictRequest) -> types.PredictResponse:
        with self._lock:
            endpoint = self._find(request.endpoint)
            split = {key: share for key, share in endpoint.told.traffic_split.items() if share}
            if not split:
                raise Refused(grpc.StatusCode.FAILED_PRECONDITION, f"{request.endpoint} has no model with traffic.")
            number = random.choices([*split], weights=[*split.values()])[0]  # noqa: S311  not for secrets
            container, port, served = endpoint.containers[number]
        body = {"instances": [json_format.MessageToDict(one) for one in types.PredictRequest.pb(request).instances]}
        if "parameters" in request:
            body["parameters"] = json_format.MessageToDict(types.PredictRequest.pb(request).parameters)
        answer = _ask(container, f"http://127.0.0.1:{port}{container.variables['AIP_PREDICT_ROUTE']}", body)
        said = types.PredictResponse(
            deployed_model_id=number,
            model=served.name,
            model_version_id=served.version_id,
            model_display_name=served.display_name,
        )
        values = [json_format.ParseDict(one, struct_pb2.Value()) for one in answer["predictions"]]
        types.PredictResponse.pb(said).predictions.extend(values)
        return said


def _fields(told: types.Endpoint) -> Mapping[str, Any]:
    own = {"display_name": told.display_name, "endpoint": told.name.rpartition("/")[2], "name": told.name}
    return own | {f"labels.{key}": value for key, value in told.labels.items()}


def _await_health(container: Container, url: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with DIRECTLY.open(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:  # not yet
            pass
        if container.exited() or time.monotonic() > deadline:
            message = f"Model server exited unexpectedly, or never became healthy.\n{container.tail()}"
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, message)
        time.sleep(0.05)


def _ask(container: Container, url: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401  JSON
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    try:
        with DIRECTLY.open(asked, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        code = grpc.StatusCode.INVALID_ARGUMENT if error.code < 500 else grpc.StatusCode.INTERNAL
        raise Refused(code, error.read().decode(errors="replace")) from None
    except OSError as error:
        raise Refused(grpc.StatusCode.UNAVAILABLE, f"{error}: {container.tail()}") from None
