"""Dataflow on loopback, a bucket with a source and a registry in it, and a task as Airflow runs it."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote
from urllib.request import Request
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import TaskDeferred

from lockstep.data.engines import job_name
from lockstep.data.snapshot import start_snapshot
from lockstep.data.sources import DATA_VARIABLE
from lockstep.data.taking import Taking
from lockstep.graph import Graph
from lockstep.places import Dataflow
from lockstep.registry import Registry
from lockstep.training.vertex import keys_of
from lockstep_airflow.snapshot import SnapshotOperator
from lockstep_airflow.tasks import origin_of
from loopback import dataflow as service
from loopback.google import PROJECT, google
from loopback.relay import Message
from loopback.servers import DIRECTLY, gcs
from tests.airflow.conftest import run_program
from tests.dataflow.guests import dataset, graph_of

__all__ = ["run_program"]

REGION = "europe-west1"
ROWS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Dataflow, and the bucket."""

    dataflow: service.Dataflow
    bucket: str
    variables: Mapping[str, str]

    def put(self, name: str, data: bytes) -> None:
        """Put an object into the bucket."""
        address = f"{self.variables['STORAGE_EMULATOR_HOST']}/{self.bucket.removeprefix('gs://')}/{quote(name)}"
        with DIRECTLY.open(Request(address, data=data, method="PUT")):  # noqa: S310  on loopback
            pass


@pytest.fixture(scope="session")
def cloud_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Run what stands for Google."""
    folder = tmp_path_factory.mktemp("google")
    with (
        gcs(folder / "gcs") as storage,
        google(folder / "way") as way,
        service.dataflow(folder / "dataflow", way, variables=storage.environment()) as (dataflow, leads),
    ):
        cloud = Cloud(
            dataflow=dataflow, bucket=storage.root, variables={**way.variables, **storage.environment(), **leads}
        )
        lines = [f"g{number},{number % 90},{'yes' if number % 3 else 'no'}" for number in range(ROWS)]
        for half in (0, 1):
            cloud.put(f"guests/{half}.csv", "\n".join(["name,age,stays", *lines[half::2]]).encode())
        yield cloud


@pytest.fixture
def cloud(cloud_of_session: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """What leads clients there."""
    for name, value in cloud_of_session.variables.items():
        monkeypatch.setenv(name, value)
    cloud_of_session.dataflow.calls.clear()
    return cloud_of_session


@dataclass(slots=True, kw_only=True)
class Task:
    """One task of one run: tried, waiting, resumed, tried again, cleared."""

    graph: Graph
    engine: Dataflow
    registry: str
    run: str = field(default_factory=lambda: f"manual__{uuid4().hex[:8]}")
    attempt: int = 1
    max_tries: int = 2

    def operator(self) -> SnapshotOperator:
        """As each process makes it anew."""
        return SnapshotOperator(
            task_id="snapshot_guests",
            graph=self.graph,
            dataset="guests",
            engine_of_dags=self.engine,
            works_for=["stays"],
            registry=self.registry,
            retries=2,
        )

    def context(self, operator: SnapshotOperator) -> Any:  # noqa: ANN401  Airflow's is a dict with any values
        """What Airflow tells a task."""
        ti = SimpleNamespace(
            dag_id="door_retrain",
            run_id=self.run,
            task_id="snapshot_guests",
            map_index=-1,
            try_number=self.attempt,
            max_tries=self.max_tries,
            task=operator,
            log_url="",
        )
        return {"ti": ti, "dag_run": SimpleNamespace(), "dag": SimpleNamespace(fileloc=__file__), "params": {}}

    def start(self) -> TaskDeferred:
        """Let it ask for a job; it waits then."""
        operator = self.operator()
        with pytest.raises(TaskDeferred) as deferred:
            operator.execute(self.context(operator))
        return deferred.value

    def finish(self, waiting: TaskDeferred, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Wait as the triggerer does, unless there is an event, and resume in a new process' operator."""

        async def first() -> Any:  # noqa: ANN401  an event's payload
            async for one in waiting.trigger.run():
                return one.payload
            return None

        operator = self.operator()
        resume = getattr(operator, waiting.method_name)
        said = event or asyncio.run(first())
        found: dict[str, Any] = resume(self.context(operator), event=said, **(waiting.kwargs or {}))
        return found

    def retried(self) -> "Task":
        """The next try of the same task."""
        return replace(self, attempt=self.attempt + 1)

    def cleared(self) -> "Task":
        """After somebody cleared it: Airflow grants its retries anew."""
        return replace(self, attempt=self.attempt + 1, max_tries=self.attempt + 2)

    def left_job(self, cloud: Cloud) -> tuple[service.Job, Taking]:
        """The job that an attempt has submitted before it was killed; it runs until the test ends it."""
        dataset, registry = self.graph.dataset("guests"), self.opened()
        taking = start_snapshot(registry, dataset, self.engine, uuid4().hex)
        origin = origin_of(self.context(self.operator()))
        assert origin.job is not None
        key, _ = keys_of(self.registry, origin.job, 0)
        labels = {"lockstep-key": key, "lockstep-scratch": taking.scratch.removeprefix("scratch/")}
        told = {"name": job_name("guests", key), "labels": labels, "clientRequestId": uuid4().hex}
        path = f"/v1b3/projects/{PROJECT}/locations/{REGION}/jobs"
        with cloud.dataflow.holding():
            cloud.dataflow.answer(Message(method="POST", path=path, body=json.dumps(told).encode()))
        cloud.dataflow.calls.clear()
        return cloud.dataflow.jobs[-1], taking

    def opened(self) -> Registry:
        """The registry, read anew."""
        return Registry.open(self.registry)


@pytest.fixture
def task(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A task on Dataflow, with a registry of its own."""
    monkeypatch.setenv(DATA_VARIABLE, cloud.bucket)
    engine = Dataflow(project=PROJECT, region=REGION, temp=f"{cloud.bucket}/temp")
    return Task(graph=graph_of(dataset()), engine=engine, registry=f"{cloud.bucket}/registry/{uuid4().hex}")
