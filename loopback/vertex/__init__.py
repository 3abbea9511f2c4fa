"""Vertex AI on loopback: jobs, models, endpoints and predictions over gRPC and TLS, for official clients as they are.

Rules:
- It keeps its state in memory, for as long as it runs; what containers write stays in its folder.
- A project is named by its number in every answer, as the real service does it.
- Jobs run on this machine, with no more of its environment than a container of that image would have.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import grpc

from loopback.google import Proxy, authority
from loopback.install import CONTAINER
from loopback.servers import ProgramMissing
from loopback.vertex import endpoints, jobs, models, operations
from loopback.vertex.containers import Image
from loopback.vertex.endpoints import Endpoints
from loopback.vertex.jobs import Job, Jobs, State
from loopback.vertex.models import Models
from loopback.vertex.operations import Operations
from loopback.vertex.wire import Faults, Wire

__all__ = ["Faults", "Image", "Job", "State", "Vertex", "vertex"]

HOSTS: Final = ("*-aiplatform.googleapis.com", "aiplatform.googleapis.com", "logging.googleapis.com")
THREADS: Final = 64  # calls that wait, as those that are held back do


class Vertex:
    """The services, and what a test may say to them.

    Attributes:
        calls: every call that came in, in order.
        faults: faults of calls that are still to come.
        jobs, models, endpoints, operations: what there is of each.
    """

    def __init__(
        self, folder: Path, cut: Callable[[int], None], variables: Mapping[str, str], image: Callable[[str], Image]
    ) -> None:
        wire = Wire(cut)
        self.calls, self.faults = wire.calls, wire.faults
        self.operations = Operations()
        self.jobs = Jobs(folder / "jobs", variables, image, self.operations)
        self.models = Models(self.operations)
        self.endpoints = Endpoints(folder / "endpoints", variables, image, self.models, self.operations)
        self._server = grpc.server(ThreadPoolExecutor(THREADS))
        self._server.add_generic_rpc_handlers(
            (
                wire.handler(operations.SERVICE, self.operations.methods()),
                wire.handler(jobs.SERVICE, self.jobs.methods()),
                wire.handler(jobs.LOGGING, self.jobs.logging_methods()),
                wire.handler(models.SERVICE, self.models.methods()),
                wire.handler(endpoints.SERVICE, self.endpoints.methods()),
                wire.handler(endpoints.PREDICTION, self.endpoints.prediction_methods()),
            )
        )
        known = authority()
        credentials = grpc.ssl_server_credentials([(known.key.read_bytes(), known.certificate.read_bytes())])
        self.port: int = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()

    def called(self, method: str) -> int:
        """How often a method was called."""
        return sum(call.method == method for call in self.calls)

    def close(self) -> None:
        """End everything that runs in it."""
        self.jobs.close()
        self.endpoints.close()
        self._server.stop(grace=None).wait()


@contextmanager
def vertex(
    folder: Path,
    proxy: Proxy,
    *,
    variables: Mapping[str, str] | None = None,
    image: Callable[[str], Image] | None = None,
) -> Iterator[Vertex]:
    """Run the services behind a proxy, until the block ends.

    Args:
        folder: where containers live.
        proxy: of `loopback.google`; it leads the hosts of Vertex AI and Cloud Logging here.
        variables: what containers need to come to buckets of loopback, as `STORAGE_EMULATOR_HOST`.
        image: what lies in an image, by its URI; by default, in all of them, the Python of training containers.

    Raises:
        ProgramMissing: the Python of containers is not installed.
    """
    if image is None and not (CONTAINER / "bin/python").exists():
        raise ProgramMissing("the Python of containers")
    service = Vertex(folder, proxy.cut, variables or {}, image or (lambda _: Image()))
    try:
        with proxy.leading(HOSTS, service.port):
            yield service
    finally:
        service.close()
