"""The step after a release or a rollback: the endpoints of a group serve what is in production.

Rules:
- It deploys what the log says is in production when it runs, so that of several runs the last word counts.
- Killed and tried again, it finds what stands in the cloud and goes on; a refused deployment is undone, and fails at
  once.
- Google's libraries are imported when the task runs.
"""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperatorLink, Context

from lockstep.deployment import VertexEndpoints, deploy
from lockstep.deployment.target import registry_for
from lockstep.deployment.vertex import Clients, Vertex
from lockstep.group import Group
from lockstep.registry import Origin, Registry
from lockstep_airflow.links import EndpointsLink
from lockstep_airflow.operators import LockstepOperator


class DeployOperator(LockstepOperator):
    """Brings the release in production to its endpoints; `poll` is the seconds between two looks."""

    template_fields: Sequence[str] = ()
    operator_extra_links: tuple[BaseOperatorLink, ...] = (EndpointsLink(),)

    def __init__(self, *, group: Group, target: VertexEndpoints, poll: float = 5.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group = group
        self.target = target
        self.poll = poll

    @property
    def endpoints_page(self) -> str:
        """Google's page of the region's endpoints."""
        where = f"region={self.target.region}&project={self.target.project}"
        return f"https://console.cloud.google.com/vertex-ai/online-prediction/endpoints?{where}"

    def work(self, registry: Registry, origin: Origin, context: Context) -> dict[str, Any]:  # noqa: ARG002
        """`lockstep.deployment.deploy`."""
        address = registry_for(registry.uri)
        place = Vertex(
            clients=clients_of(self.target), target=self.target, registry=address, group=self.group.name, poll=self.poll
        )
        done = deploy(registry, self.group.name, place, say=self.log.info)
        return {
            "group": done.group,
            "release": done.release,
            "endpoints": done.endpoints,
            "shifted": list(done.shifted),
            "seconds": done.seconds,
        }


def clients_of(target: VertexEndpoints) -> Clients:
    """Google's clients, with the credentials of the Airflow connection."""
    from airflow.providers.google.cloud.hooks.vertex_ai.endpoint_service import EndpointServiceHook
    from airflow.providers.google.cloud.hooks.vertex_ai.model_service import ModelServiceHook
    from airflow.providers.google.cloud.hooks.vertex_ai.prediction_service import PredictionServiceHook

    connection, region = target.connection, target.region
    return Clients(
        models=ModelServiceHook(gcp_conn_id=connection).get_model_service_client(region),
        endpoints=EndpointServiceHook(gcp_conn_id=connection).get_endpoint_service_client(region),
        predictions=PredictionServiceHook(gcp_conn_id=connection).get_prediction_service_client(region),
    )
