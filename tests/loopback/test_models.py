"""The registry of models and endpoints on loopback, by the official clients: the rules that a deployment relies on."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from google.api_core import exceptions
from google.api_core.future.polling import DEFAULT_POLLING
from google.cloud.aiplatform_v1 import EndpointServiceClient, ModelServiceClient, PredictionServiceClient

from loopback.google import Google
from loopback.vertex import Vertex, vertex
from loopback.vertex.small import small_image
from tests.loopback.conftest import ENDPOINT, PARENT

QUICK = DEFAULT_POLLING.with_delay(initial=0.02, maximum=0.05)


@pytest.fixture(scope="module")
def small(way: Google, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vertex]:
    """Run Vertex AI with an image that starts in a moment."""
    image = small_image(tmp_path_factory.mktemp("image"))
    with vertex(tmp_path_factory.mktemp("vertex"), way.proxy, image=lambda _: image) as found:
        yield found


@pytest.fixture
def models(small: Vertex) -> ModelServiceClient:
    """Make the official client."""
    assert small.port
    return ModelServiceClient(**ENDPOINT)


@pytest.fixture
def endpoints(small: Vertex) -> EndpointServiceClient:
    """Make the official client."""
    assert small.port
    return EndpointServiceClient(**ENDPOINT)


def upload(client: ModelServiceClient, name: str, *, first: bool = False, aliases: tuple[str, ...] = ()) -> str:
    """Upload a version; gives its resource name."""
    spec = {"image_uri": "any", "command": ["python"], "args": ["--digest", name]}
    asked: dict[str, Any] = {"parent": PARENT, "model": {"display_name": name, "container_spec": spec}}
    asked["model"]["version_aliases"] = [*aliases]
    asked |= {"model_id": name} if first else {"parent_model": f"{PARENT}/models/{name}"}
    done = client.upload_model(request=asked).result(polling=QUICK)
    return f"{done.model}@{done.model_version_id}"


def some() -> str:
    """Think of a name."""
    return f"m{uuid4().hex}"


def test_an_alias_stands_at_one_version(models: ModelServiceClient) -> None:
    """Given to another version it moves; the first version is the default one until another is."""
    name = some()
    first = upload(models, name, first=True, aliases=("production",))
    second = upload(models, name, aliases=("staging",))
    assert [*models.get_model(name=first).version_aliases] == ["default", "production"]
    models.merge_version_aliases(name=second, version_aliases=["production", "default", "-staging"])
    assert [*models.get_model(name=first).version_aliases] == []
    assert models.get_model(name=f"{PARENT}/models/{name}").version_id == "2"
    assert [one.version_id for one in models.list_model_versions(name=f"{PARENT}/models/{name}")] == ["2", "1"]


def test_a_name_is_taken_once(models: ModelServiceClient, endpoints: EndpointServiceClient) -> None:
    """Whoever chooses the name of a model or an endpoint can't make it twice."""
    name = some()
    upload(models, name, first=True)
    with pytest.raises(exceptions.AlreadyExists):
        upload(models, name, first=True)
    asked = {"parent": PARENT, "endpoint": {"display_name": name}, "endpoint_id": name}
    endpoints.create_endpoint(request=asked).result(polling=QUICK)
    with pytest.raises(exceptions.AlreadyExists):
        endpoints.create_endpoint(request=asked).result(polling=QUICK)


def test_traffic_goes_to_what_is_deployed(models: ModelServiceClient, endpoints: EndpointServiceClient) -> None:
    """A split names deployed models and adds up; what has traffic, or is deployed, can't be taken away."""
    name = some()
    version = upload(models, name, first=True)
    endpoint = endpoints.create_endpoint(
        parent=PARENT, endpoint={"display_name": name}, endpoint_id=name
    ).result(polling=QUICK).name  # fmt: skip
    machine = {"machine_spec": {"machine_type": "n2"}, "min_replica_count": 1}
    for number in ("1", "2"):
        deployed = {"id": number, "model": version, "dedicated_resources": machine}
        endpoints.deploy_model(endpoint=endpoint, deployed_model=deployed).result(polling=QUICK)
    asker = PredictionServiceClient(**ENDPOINT)
    with pytest.raises(exceptions.FailedPrecondition, match="no model with traffic"):
        asker.predict(endpoint=endpoint, instances=[{}])

    def split(**shares: int) -> None:
        told = {"name": endpoint, "traffic_split": {key.strip("_"): share for key, share in shares.items()}}
        endpoints.update_endpoint(endpoint=told, update_mask={"paths": ["traffic_split"]})

    for wrong in ({"_1": 50}, {"_1": 50, "_3": 50}):
        with pytest.raises(exceptions.InvalidArgument, match="traffic_split"):
            split(**wrong)
    split(_1=100)
    answer = asker.predict(endpoint=endpoint, instances=[{}])
    assert dict(answer.predictions[0]) == {"digest": name}
    assert (answer.deployed_model_id, answer.model_version_id) == ("1", "1")
    with pytest.raises(exceptions.FailedPrecondition, match="has traffic"):
        endpoints.undeploy_model(endpoint=endpoint, deployed_model_id="1").result(polling=QUICK)
    with pytest.raises(exceptions.FailedPrecondition, match="is deployed"):
        models.delete_model(name=version.partition("@")[0])
    with pytest.raises(exceptions.FailedPrecondition, match="has deployed models"):
        endpoints.delete_endpoint(name=endpoint)


def test_a_change_says_what_it_saw(endpoints: EndpointServiceClient) -> None:
    """An update with the etag of an earlier look is refused once the endpoint has changed."""
    name = some()
    made = endpoints.create_endpoint(
        parent=PARENT, endpoint={"display_name": name}, endpoint_id=name
    ).result(polling=QUICK)  # fmt: skip
    told = {"name": made.name, "labels": {"a": "b"}, "etag": made.etag}
    endpoints.update_endpoint(endpoint=told, update_mask={"paths": ["labels"]})
    with pytest.raises(exceptions.Aborted, match="etag"):
        endpoints.update_endpoint(endpoint=told, update_mask={"paths": ["labels"]})
