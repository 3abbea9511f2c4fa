"""The ModelService: models, their versions, and aliases.

Rules:
- Versions of a model are numbered from 1 and never numbered again; the first bears the alias `default`.
- An alias stands at one version of a model: given to another, it moves.
- What an endpoint has deployed can't be deleted, nor the last version by itself.
- The specification of a container goes in and never comes out, as the reference has it: clients read labels.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock
from typing import Any, Final

import grpc
from google.cloud.aiplatform_v1 import types
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from loopback.vertex.operations import Operations
from loopback.vertex.wire import Method, Refused, canonical, missing, page, parent_of, parse_filter

SERVICE: Final = "google.cloud.aiplatform.v1.ModelService"
_ID: Final = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_ALIAS: Final = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_LABEL: Final = re.compile(r"[a-z0-9_-]{0,63}")
_FIRST: Final = 5_000_000_000  # number of the first model that has no name of its own


@dataclass(slots=True)
class Model:
    """A model: its versions by number."""

    name: str
    versions: dict[int, types.Model] = field(default_factory=dict)
    count: int = 0


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that the cloud does not take."""
    for key, value in labels.items():
        if not key or not _LABEL.fullmatch(key) or not _LABEL.fullmatch(value):
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid label {key}={value}.")


class Models:
    """All models of one service; `deployed` says whether an endpoint has a version (name, number) deployed."""

    def __init__(self, operations: Operations) -> None:
        self.all: dict[str, Model] = {}
        self.deployed: Callable[[str, str], bool] = lambda _, __: False
        self._operations = operations
        self._lock = RLock()

    def methods(self) -> dict[str, Method]:
        """The methods of the ModelService."""
        versions, operation = types.ListModelVersionsResponse, operations_pb2.Operation
        return {
            "UploadModel": Method(self._upload, types.UploadModelRequest, operation),
            "GetModel": Method(lambda request: _shown(self.find(request.name)), types.GetModelRequest, types.Model),
            "ListModels": Method(self._list, types.ListModelsRequest, types.ListModelsResponse),
            "ListModelVersions": Method(self._list_versions, types.ListModelVersionsRequest, versions),
            "MergeVersionAliases": Method(self._merge, types.MergeVersionAliasesRequest, types.Model),
            "DeleteModelVersion": Method(self._delete_version, types.DeleteModelVersionRequest, operation),
            "DeleteModel": Method(self._delete, types.DeleteModelRequest, operation),
        }

    def find(self, name: str) -> types.Model:
        """A version by number or alias (`name@2`, `name@production`); by default, the one with the alias `default`."""
        plain, _, version = canonical(name).partition("@")
        with self._lock:
            if plain in self.all:
                for number, model in self.all[plain].versions.items():
                    if version == str(number) or (version or "default") in model.version_aliases:
                        return model
        raise missing(name)

    def _upload(self, request: types.UploadModelRequest) -> operations_pb2.Operation:
        parent, told = canonical(request.parent), types.Model(request.model)
        if not told.display_name or not told.container_spec.image_uri:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "display_name and container_spec.image_uri are needed.")
        check_labels(told.labels)
        with self._lock:
            if request.parent_model:
                name = canonical(request.parent_model).partition("@")[0]
                if name not in self.all:
                    raise missing(request.parent_model)
            else:
                number = request.model_id or str(_FIRST + len(self.all))
                if request.model_id and not _ID.fullmatch(request.model_id):
                    raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid model_id: {request.model_id}")
                name = f"{parent}/models/{number}"
                if name in self.all:
                    raise Refused(grpc.StatusCode.ALREADY_EXISTS, f"Model {name} already exists.")

        def work() -> types.UploadModelResponse:
            with self._lock:
                if not request.parent_model and name in self.all:
                    raise Refused(grpc.StatusCode.ALREADY_EXISTS, f"Model {name} already exists.")
                model = self.all.setdefault(name, Model(name))
                model.count += 1
                aliases = {*told.version_aliases} | ({"default"} if model.count == 1 else set())
                told.name, told.version_id, told.version_aliases = name, str(model.count), []
                told.create_time = told.update_time = told.version_create_time = datetime.now(UTC)
                model.versions[model.count] = told
                self._give(model, told, aliases)
                return types.UploadModelResponse(model=name, model_version_id=told.version_id)

        return self._operations.start("UploadModel", name, work)

    def _merge(self, request: types.MergeVersionAliasesRequest) -> types.Model:
        with self._lock:
            version = self.find(request.name)
            given = {alias for alias in request.version_aliases if not alias.startswith("-")}
            taken = {alias[1:] for alias in request.version_aliases if alias.startswith("-")}
            if any(not _ALIAS.fullmatch(alias) for alias in given) or "default" in taken:
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid aliases: {[*request.version_aliases]}")
            version.version_aliases = [alias for alias in version.version_aliases if alias not in taken]
            self._give(self.all[version.name], version, given - taken)
            return _shown(version)

    def _give(self, model: Model, version: types.Model, aliases: set[str]) -> None:
        for other in model.versions.values():
            other.version_aliases = [alias for alias in other.version_aliases if alias not in aliases]
        version.version_aliases = sorted({*version.version_aliases} | aliases)

    def _list(self, request: types.ListModelsRequest) -> types.ListModelsResponse:
        parent, wanted = parent_of(request.parent), parse_filter(request.filter)
        with self._lock:
            found = [self.find(name) for name in self.all if name.startswith(parent + "/")]
            some, token = page([one for one in found if wanted(_fields(one))], request.page_size, request.page_token)
            return types.ListModelsResponse(models=[_shown(one) for one in some], next_page_token=token)

    def _list_versions(self, request: types.ListModelVersionsRequest) -> types.ListModelVersionsResponse:
        wanted = parse_filter(request.filter)
        with self._lock:
            versions = self.all[self.find(request.name).name].versions
            found = [one for _, one in sorted(versions.items(), reverse=True) if wanted(_fields(one))]
            some, token = page(found, request.page_size, request.page_token)
            return types.ListModelVersionsResponse(models=[_shown(one) for one in some], next_page_token=token)

    def _delete_version(self, request: types.DeleteModelVersionRequest) -> operations_pb2.Operation:
        with self._lock:
            version = self.find(request.name)
            if len(self.all[version.name].versions) == 1:
                raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "The only version goes with its model: DeleteModel.")
            self._check_free([version])

        def work() -> empty_pb2.Empty:
            with self._lock:
                self.all[version.name].versions.pop(int(version.version_id))
            return empty_pb2.Empty()

        return self._operations.start("DeleteModelVersion", version.name, work)

    def _delete(self, request: types.DeleteModelRequest) -> operations_pb2.Operation:
        with self._lock:
            name = self.find(request.name).name
            self._check_free(self.all[name].versions.values())

        def work() -> empty_pb2.Empty:
            with self._lock:
                self.all.pop(name, None)
            return empty_pb2.Empty()

        return self._operations.start("DeleteModel", name, work)

    def _check_free(self, versions: Iterable[types.Model]) -> None:
        for version in versions:
            if self.deployed(version.name, version.version_id):
                what = f"{version.name}@{version.version_id}"
                raise Refused(grpc.StatusCode.FAILED_PRECONDITION, f"Model {what} is deployed; undeploy it first.")


def _shown(told: types.Model) -> types.Model:
    shown = types.Model(told)
    del shown.container_spec
    return shown


def _fields(told: types.Model) -> Mapping[str, Any]:
    own = {"display_name": told.display_name, "model": told.name.rpartition("/")[2], "name": told.name}
    return own | {f"labels.{key}": value for key, value in told.labels.items()}
