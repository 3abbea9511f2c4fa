"""Google Cloud on this machine as a whole: a bucket, Vertex AI, and the way in for unchanged clients.

Rules:
- One set of variables leads clients, commands and Airflow's processes to all of it.
- Containers see the variables that lead to the bucket, and of this machine nothing else.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loopback.google import Google, google
from loopback.servers import gcs
from loopback.vertex import Vertex, vertex


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """What runs; `bucket` is an address as gs://name."""

    bucket: str
    variables: Mapping[str, str]
    google: Google
    vertex: Vertex


@contextmanager
def cloud(folder: Path, *, backend: str = "memory") -> Iterator[Cloud]:
    """Run it until the block ends; `backend` says where the bucket keeps its objects (`memory`, `filesystem`).

    Raises:
        ProgramMissing: a program of it is not installed.
    """
    with gcs(folder / "gcs", backend=backend) as storage, google(folder / "google") as way:
        leads = storage.environment()
        with vertex(folder / "vertex", way.proxy, variables=leads) as service:
            yield Cloud(bucket=storage.root, variables={**way.variables, **leads}, google=way, vertex=service)
