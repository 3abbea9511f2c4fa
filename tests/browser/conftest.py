"""A team's Airflow with the churn group, whose releases a person approves, and people in browsers before it."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from demo import simulate
from demo.standalone import Standalone
from groups.churn import graph
from lockstep.group import Group
from lockstep.registry import Registry
from tests.browser.visitor import Visitor, chromium

PROJECT = Path(__file__).parents[2]
CUSTOMERS = 1500  # fewer train fast, and decide well enough for the group's own expectations
GROUP = "churn"
USERS = {"admin": "admin", "olga": "op", "vic": "viewer"}
DAG_FILE = """
from datetime import timedelta

from groups.churn import graph
from lockstep_airflow import by_hand, every, release_dags

dags = release_dags(graph, approval=by_hand(), watch=every("@yearly"))
for dag in dags.values():
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
globals().update(dags)
"""


@dataclass(frozen=True, kw_only=True)
class Office:
    """A running Airflow, its registry, and where the data arrives."""

    airflow: Standalone
    registry: Registry
    data: Path

    def month(self, number: int) -> None:
        """New customers arrive in place of those before."""
        folder = self.data / "customers"
        shutil.rmtree(folder, ignore_errors=True)
        simulate.write(folder, number, CUSTOMERS)

    def group(self) -> Group:
        """The group as it was declared."""
        return graph.group(GROUP)

    def password(self, name: str) -> str:
        """How a user signs in."""
        found: str = json.loads((self.airflow.home / "passwords.json").read_text())[name]
        return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module, and no longer: while it is there, this process has an event loop that runs."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Airflow with the churn group and an empty registry."""
    folder = tmp_path_factory.mktemp("office")
    (folder / "dags").mkdir()
    (folder / "dags" / "churn.py").write_text(DAG_FILE)
    registry = (folder / "registry").as_uri()
    airflow = Standalone(
        home=folder / "airflow",
        dags=folder / "dags",
        plugins=PROJECT / "plugins",
        include=[PROJECT / "include", PROJECT / "plugins"],
        expected=["churn_retrain", "churn_promote", "churn_release", "churn_rollback", "churn_resume", "churn_hold"],
        timeout=240,
        variables={
            "LOCKSTEP_REGISTRY": registry,
            "LOCKSTEP_DATA": str(folder / "data"),
            "OMP_NUM_THREADS": "1",  # two threads wait for each other, on a machine that has other things to do
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        },
    )
    with airflow:
        found = Office(airflow=airflow, registry=Registry.open(registry), data=folder / "data")
        found.month(1)
        yield found


@pytest.fixture
def visit(office: Office, browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Somebody signs in: `visit("vic", language="ja")`."""
    visitors: list[Visitor] = []

    def sign_in(name: str = "admin", **looks: str | bool) -> Visitor:
        visitor = Visitor.signed_in(browser, office.airflow.url, name, office.password(name), **looks)  # type: ignore[arg-type]
        visitors.append(visitor)
        return visitor

    yield sign_in
    for visitor in visitors:
        visitor.leave()
