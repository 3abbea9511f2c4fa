"""Vertex AI as a deployment sees it: looks, takes one step, asks an endpoint who answers.

Rules:
- Names follow from the registry, the group and the model, and the id of a deployed model from what it is made of. What
  an attempt has brought is found by the next one, and a request that is sent twice is refused the second time.
- An error is one of three: the cloud says no (`DeploymentFailed`), can't be asked (`CloudUnusable`), or has something
  in hand that has to end first (`Busy`).
- Google's clients are given from outside. Nothing of Google is imported before a step is taken.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import TimeoutError as FuturesTimeout
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from lockstep.deployment.goal import Goal, Member
from lockstep.deployment.plan import ALL, CreateEndpoint, Deploy, Mark, Shift, Step, Undeploy, Upload, Uploaded, View
from lockstep.deployment.target import VertexEndpoints
from lockstep.errors import CloudUnusable, DeploymentFailed

PORT, HEALTH, PREDICT = 8080, "/health", "/predict"
_DIGEST: Final = ("lockstep-digest", "lockstep-digest-end")  # a label is one character too short for the whole of it
_IMAGE, _HALF = "lockstep-image", 32
_BUSY: Final = ("AlreadyExists", "Aborted", "FailedPrecondition")
_UNUSABLE: Final = (
    "ServiceUnavailable", "DeadlineExceeded", "TooManyRequests", "ResourceExhausted", "InternalServerError",
    "RetryError", "GatewayTimeout", "BadGateway", "Cancelled", "Unknown",
)  # fmt: skip
_OUTCOMES: Final = ("FailedPrecondition", "ResourceExhausted")  # of an operation: containers that die, no machines left
_DIGITS: Final = 10**10  # ids of deployed models have at most ten


class Busy(Exception):
    """Something else is in hand at that place, perhaps begun by an attempt that was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Google's clients of one region: ModelService, EndpointService, PredictionService."""

    models: Any
    endpoints: Any
    predictions: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Vertex:
    """The endpoints of one group of one registry.

    Attributes:
        registry: its address, as a container opens it.
        poll, patience: seconds between two looks at an operation, and until it has to be done.
    """

    clients: Clients
    target: VertexEndpoints
    registry: str
    group: str
    poll: float = 5.0
    patience: float = 3600.0

    def name_of(self, model: str) -> str:
        """The id of the endpoint and of the parent model."""
        mark = hashlib.sha256(f"{self.registry}\n{self.group}\n{model}".encode()).hexdigest()[:8]
        return f"lockstep-{_plain(f'{self.group}-{model}')[:40].strip('-')}-{mark}"

    def endpoint_of(self, model: str) -> str:
        """The resource name of a model's endpoint."""
        return f"{self._parent}/endpoints/{self.name_of(model)}"

    @property
    def image(self) -> str:
        """What tells one image from another in a label, which can't hold its address."""
        return hashlib.sha256(self.target.image.encode()).hexdigest()[:_HALF]

    def deployed_of(self, member: Member) -> str:
        """The id under which a member stands at its endpoint; another container or machine is another one."""
        target = self.target
        made_of = [member.digest, target.image, target.machine, target.service_account or "", self.registry]
        return str(int(hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16], 16) % _DIGITS)

    def serving_of(self, goal: Goal) -> dict[str, str]:
        """Model → the deployed model that is to have all traffic."""
        return {name: self.deployed_of(member) for name, member in goal.members.items()}

    def look(self, model: str) -> View:
        """What stands there for one model."""
        with self._told(f"looking at {model}"):
            endpoint = _found(lambda: self.clients.endpoints.get_endpoint(name=self.endpoint_of(model), **self._read))
            versions = _found(
                lambda: list(self.clients.models.list_model_versions(name=self._model_of(model), **self._read))
            )
        return View(
            exists=endpoint is not None,
            mark=endpoint.etag if endpoint else "",
            versions={
                one.version_id: Uploaded(
                    digest="".join(one.labels.get(name, "") for name in _DIGEST),
                    image=one.labels.get(_IMAGE, ""),
                    aliases=frozenset(one.version_aliases),
                )
                for one in versions or ()
            },
            deployed={one.id: one.model_version_id for one in endpoint.deployed_models} if endpoint else {},
            traffic=dict(endpoint.traffic_split) if endpoint else {},
        )

    def take(self, step: Step) -> None:
        """Take one step, and wait until it is done.

        Raises:
            Busy, CloudUnusable, DeploymentFailed: as the module says.
        """
        steps: Mapping[type, Callable[[Any], None]] = {
            CreateEndpoint: self._create, Upload: self._upload, Deploy: self._deploy,
            Shift: self._shift, Mark: self._mark, Undeploy: self._undeploy,
        }  # fmt: skip
        with self._told(f"{type(step).__name__} of {step.model}"):
            steps[type(step)](step)

    def ask(self, model: str) -> str:
        """The digest of the version that answers at a model's endpoint."""
        with self._told(f"asking the endpoint of {model}"):
            answer = self.clients.predictions.predict(
                endpoint=self.endpoint_of(model), instances=[{}], parameters={"only": "version"}, timeout=60.0
            )
            return str(dict(answer.predictions[0]).get("digest", ""))

    def _create(self, step: CreateEndpoint) -> None:
        endpoint = {"display_name": f"{self.group} {step.model}", "labels": self._labels(step.model)}
        asked = {"parent": self._parent, "endpoint": endpoint, "endpoint_id": self.name_of(step.model)}
        self._done(self.clients.endpoints.create_endpoint(request=asked))

    def _upload(self, step: Upload) -> None:
        member = step.member
        model = {
            "display_name": f"{self.group} {step.model}",
            "version_description": f"{member.ref} of {self.registry}",
            "labels": {
                **self._labels(step.model),
                **dict(zip(_DIGEST, (member.digest[:_HALF], member.digest[_HALF:]), strict=True)),
                "lockstep-version": str(member.number),
                _IMAGE: self.image,
            },
            "container_spec": {
                "image_uri": self.target.image,
                "command": ["python", "-m", "lockstep.serving"],
                "args": ["--registry", self.registry, "--model", member.model, "--digest", member.digest],
                "ports": [{"container_port": PORT}],
                "health_route": HEALTH,
                "predict_route": PREDICT,
            },
        }
        asked, name = {"parent": self._parent, "model": model}, self.name_of(step.model)
        asked |= {"model_id": name} if step.is_first else {"parent_model": self._model_of(step.model)}
        self._done(self.clients.models.upload_model(request=asked))

    def _deploy(self, step: Deploy) -> None:
        deployed = {
            "id": step.deployed,
            "model": f"{self._model_of(step.model)}@{step.version}",
            "display_name": step.member.ref,
            "dedicated_resources": {
                "machine_spec": {"machine_type": self.target.machine},
                "min_replica_count": 1,
                "max_replica_count": 1,
            },
        }
        if self.target.service_account:
            deployed["service_account"] = self.target.service_account
        asked = {"endpoint": self.endpoint_of(step.model), "deployed_model": deployed}
        self._done(self.clients.endpoints.deploy_model(request=asked))

    def _shift(self, step: Shift) -> None:
        endpoint = {"name": self.endpoint_of(step.model), "traffic_split": {step.deployed: ALL}, "etag": step.mark}
        asked = {"endpoint": endpoint, "update_mask": {"paths": ["traffic_split"]}}
        self.clients.endpoints.update_endpoint(request=asked, timeout=60.0)

    def _mark(self, step: Mark) -> None:
        aliases = [*step.give, *(f"-{alias}" for alias in step.take)]
        asked = {"name": f"{self._model_of(step.model)}@{step.version}", "version_aliases": aliases}
        self.clients.models.merge_version_aliases(request=asked, timeout=60.0)

    def _undeploy(self, step: Undeploy) -> None:
        asked = {"endpoint": self.endpoint_of(step.model), "deployed_model_id": step.deployed}
        self._done(self.clients.endpoints.undeploy_model(request=asked))

    @property
    def _parent(self) -> str:
        return f"projects/{self.target.project}/locations/{self.target.region}"

    def _model_of(self, model: str) -> str:
        return f"{self._parent}/models/{self.name_of(model)}"

    def _labels(self, model: str) -> dict[str, str]:
        return {"lockstep-group": _plain(self.group)[:63], "lockstep-model": _plain(model)[:63]}

    @property
    def _read(self) -> dict[str, Any]:
        """How a question is asked: again, where there is no answer."""
        from google.api_core.retry import Retry

        return {"retry": Retry(initial=self.poll / 10, maximum=self.poll, timeout=60.0), "timeout": 30.0}

    def _done(self, operation: Any) -> None:  # noqa: ANN401  google.api_core.operation.Operation
        """Wait until a long-running operation has ended."""
        from google.api_core.exceptions import GoogleAPICallError
        from google.api_core.future.polling import DEFAULT_POLLING

        polling = DEFAULT_POLLING.with_delay(initial=self.poll / 4, maximum=self.poll).with_timeout(self.patience)
        try:
            operation.result(polling=polling)
        except FuturesTimeout as error:
            raise CloudUnusable(f"{operation.operation.name} has not ended after {self.patience:.0f} s.") from error
        except GoogleAPICallError as error:
            if type(error).__name__ in _OUTCOMES:
                raise DeploymentFailed(f"{operation.operation.name} has failed: {error.message}") from error
            raise

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn what Google's clients raise into one of the three kinds."""
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        try:
            yield
        except GoogleAuthError as error:
            raise CloudUnusable(f'Group "{self.group}", {what}: Google was not asked, for {error}') from error
        except GoogleAPIError as error:
            kind, text = type(error).__name__, f'Group "{self.group}", {what}: {getattr(error, "message", error)}'
            if kind in _BUSY:
                raise Busy(text) from error
            if kind in _UNUSABLE:
                raise CloudUnusable(text) from error
            raise DeploymentFailed(text) from error


def _found(ask: Callable[[], Any]) -> Any:  # noqa: ANN401  a message of Google's
    from google.api_core.exceptions import NotFound

    try:
        return ask()
    except NotFound:
        return None


def _plain(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
