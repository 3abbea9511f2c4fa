"""Where a release is deployed to: endpoints of Vertex AI, as a value that a DAG file can hold.

Rules:
- It is cheap to make and imports nothing of Google.
- What is missing is said when the DAG file is parsed; that the registry can't be reached from there, before anything is
  submitted.
"""

from dataclasses import dataclass, fields
from typing import Final

from lockstep.errors import DeclarationError, UsageError
from lockstep.registry.address import Address, Kind
from lockstep.switch import address_for_job

MACHINE: Final = "n2-standard-2"


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexEndpoints:
    """One endpoint for each model of a group.

    Attributes:
        project, region: of Google Cloud.
        image: the container that answers: Lockstep's core and the team's libraries (`Dockerfile`, target `train`).
        service_account: who the container is; it has to read the registry's bucket. By default Vertex AI's own agent.
        machine: a machine type, for each member of a release.
        keep: how many earlier releases stay deployed without traffic, so that a rollback takes seconds; each costs its
            machines.
        connection: the Airflow connection that deploys.
    """

    project: str
    region: str
    image: str
    service_account: str | None = None
    machine: str = MACHINE
    keep: int = 1
    connection: str = "google_cloud_default"

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, str) and (not value or value != value.strip() or not value.isprintable()):
                raise DeclarationError(f"vertex_endpoints({item.name}={value!r}): that is blank, or holds blanks.")
        if self.keep < 0:
            raise DeclarationError(f"vertex_endpoints(keep={self.keep}): it counts releases; 0 keeps none.")


vertex_endpoints = VertexEndpoints


def registry_for(uri: str) -> str:
    """The address by which a container opens the registry: in a Google bucket, without the name of a connection.

    Raises:
        UsageError: it is not in a Google bucket.
    """
    address = Address.parse(uri)
    if address.kind is not Kind.GCS:
        raise UsageError(
            f'Registry "{uri}": endpoints of Vertex AI read models from a Google bucket, and this one is in'
            f" {address.kind.value}. Nothing was deployed. Use gs://bucket/prefix, or leave deploy= away."
        )
    return address_for_job(uri)
