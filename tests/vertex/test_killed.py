"""A whole Airflow and Vertex AI: who kills a task that waits ends its job; a triggerer that dies does not."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from demo.answers import Run
from demo.standalone import Standalone
from loopback.cloud import Cloud
from loopback.vertex import Job, State
from tests.training.conftest import Shop
from tests.vertex.conftest import PLACE, PROJECT

pytestmark = [pytest.mark.standalone, pytest.mark.slow, pytest.mark.timeout(900)]
WAIT = 240  # seconds for one step, on a machine that has other things to do
DAG_FILE = """
import os
from datetime import timedelta

from airflow.sdk import DAG

from lockstep_airflow.train import TrainOperator
from tests.training import shop

with DAG(dag_id="shop_retrain", schedule=None) as dag:
    TrainOperator(
        task_id="train", graph=shop.graph, model="leaving", snapshot="shoppers@1", force="true",
        where=os.environ["SHOP_WHERE"], registry=os.environ["SHOP_REGISTRY"], retries=1, retry_delay=timedelta(0),
    )
"""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A person before Airflow, who also sees Vertex AI."""

    airflow: Standalone
    cloud: Cloud
    shop: Shop
    before: int
    numbers: Iterator[int]

    @property
    def jobs(self) -> list[Job]:
        """The jobs that were created since Airflow started."""
        return self.cloud.vertex.jobs.all[self.before :]

    def waiting(self, run: Run | None = None, *, jobs: int) -> Run:
        """A run (a new one, if none is given) whose task waits for the newest of so many jobs."""
        rest = self.airflow.rest
        found = run or rest.trigger("shop_retrain", run_id=f"run-{next(self.numbers)}")
        until(
            lambda: len(self.jobs) == jobs and rest.task("shop_retrain", found.run_id, "train").state == "deferred",
            "a task waits",
        )
        looks = self.cloud.vertex.called("GetCustomJob")
        until(lambda: self.cloud.vertex.called("GetCustomJob") > looks, "a trigger looks at the job")
        return found

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Ask Airflow's API for something."""
        answer = self.airflow.rest._request(method, f"/api/v2/dags/shop_retrain{path}", body, None)
        assert answer.is_success, answer.text

    def clear(self, run: Run) -> None:
        """Clear the run's task."""
        body = {"dry_run": False, "dag_run_id": run.run_id, "task_ids": ["train"], "only_failed": False}
        self.ask("POST", "/clearTaskInstances", body)


def until(find: Callable[[], Any], what: str) -> Any:  # noqa: ANN401  whatever is looked for
    """What `find` finds, once it finds something."""
    deadline = time.monotonic() + WAIT
    while not (found := find()):
        assert time.monotonic() < deadline, f"not within {WAIT} s: {what}"
        time.sleep(0.1)
    return found


@pytest.fixture
def airflow_desk(cloud: Cloud, desk: Shop, tmp_path: Path) -> Iterator[Desk]:
    """Start an Airflow whose only DAG trains on Vertex AI; no job leaves the queue."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "shop.py").write_text(DAG_FILE)
    variables = {**cloud.variables, "SHOP_WHERE": PLACE, "SHOP_REGISTRY": desk.registry.uri}
    before = len(cloud.vertex.jobs.all)
    with (
        cloud.vertex.jobs.holding(State.JOB_STATE_QUEUED),
        Standalone(
            home=tmp_path / "airflow",
            dags=dags,
            plugins=PROJECT / "plugins",
            include=[PROJECT / "include", PROJECT / "plugins", PROJECT],
            expected=["shop_retrain"],
            variables=variables,
            timeout=300,
        ) as airflow,
    ):
        airflow.rest._http.timeout = WAIT
        airflow.rest.unpause_all()
        yield Desk(airflow=airflow, cloud=cloud, shop=desk, before=before, numbers=count())


def test_a_task_that_is_killed_while_it_waits_cancels_its_job(airflow_desk: Desk) -> None:
    """Cleared, it gets another job; a new triggerer leaves that alone; a task or a run marked failed ends it."""
    desk, service = airflow_desk, airflow_desk.cloud.vertex.jobs
    run = desk.waiting(jobs=1)
    desk.clear(run)
    assert service.wait(desk.jobs[0], seconds=WAIT) is State.JOB_STATE_CANCELLED
    desk.waiting(run, jobs=2)
    assert desk.jobs[1].told.labels["lockstep-key"] != desk.jobs[0].told.labels["lockstep-key"]
    assert desk.jobs[1].told.labels["lockstep-task"] == desk.jobs[0].told.labels["lockstep-task"]
    looks = desk.cloud.vertex.called("GetCustomJob")
    desk.airflow.restart("triggerer")
    until(lambda: desk.cloud.vertex.called("GetCustomJob") > looks + 1, "the new triggerer looks at the job")
    assert desk.jobs[1].state is State.JOB_STATE_QUEUED
    desk.ask("PATCH", f"/dagRuns/{run.run_id}/taskInstances/train", {"new_state": "failed"})
    assert service.wait(desk.jobs[1], seconds=WAIT) is State.JOB_STATE_CANCELLED
    other = desk.waiting(jobs=3)
    desk.ask("PATCH", f"/dagRuns/{other.run_id}", {"state": "failed"})
    assert service.wait(desk.jobs[2], seconds=WAIT) is State.JOB_STATE_CANCELLED
    assert [job.state.name for job in desk.jobs] == ["JOB_STATE_CANCELLED"] * 3
    assert desk.shop.registry.state().models == {}
