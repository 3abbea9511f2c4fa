"""The values for Airflow's Helm chart and the decision API's manifest: in step with docker-compose.yaml, no secrets."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep.cli.serve import GRACE
from lockstep.serving.guard import OPEN

ROOT = Path(__file__).parents[2]
SECRET = re.compile(r"password|secret|token|fernet|connection", re.IGNORECASE)


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    """What deploy/helm/values.yaml says."""
    return yaml.safe_load((ROOT / "deploy/helm/values.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def deployment() -> dict[str, Any]:
    """The decision API's Deployment."""
    documents = yaml.safe_load_all((ROOT / "deploy/helm/decisions.yaml").read_text(encoding="utf-8"))
    return next(document for document in documents if document["kind"] == "Deployment")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The services of docker-compose.yaml."""
    return yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))["services"]


def test_it_is_the_airflow_of_the_image(values: dict[str, Any]) -> None:
    """The chart is told the Airflow that the Dockerfile builds on, and the tag of the image names it."""
    base = re.search(r"^FROM apache/airflow:([\d.]+)-python", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert base
    assert values["airflowVersion"] == base[1]
    assert values["defaultAirflowTag"].startswith(f"{base[1]}-")


def test_airflow_is_set_up_as_in_compose(values: dict[str, Any], compose: dict[str, Any]) -> None:
    """Executor, heartbeats, pauses and the broker's patience are those of docker-compose.yaml."""
    there = compose["airflow-scheduler"]["environment"]
    assert values["executor"] == there["AIRFLOW__CORE__EXECUTOR"]
    for section in ("scheduler", "celery_broker_transport_options"):
        for name, value in values["config"][section].items():
            assert str(value) == there[f"AIRFLOW__{section}__{name}".upper()], name
    assert values["workers"]["celery"]["replicas"] == compose["airflow-worker"]["deploy"]["replicas"]


def test_secrets_are_named_and_not_told(values: dict[str, Any]) -> None:
    """Whatever is secret is the name of a Secret; the page says how each is made."""
    page = (ROOT / "docs/guides/kubernetes.md").read_text(encoding="utf-8")
    told = {**values["data"], **{name: value for name, value in values.items() if isinstance(value, str)}}
    named = {name: value for name, value in told.items() if SECRET.search(name)} | values["redis"]
    named.pop("enabled")
    assert len(named) == 7
    for name, value in named.items():
        assert name.endswith("SecretName") or name == "jwtSecretName", name
        assert f"create secret generic {value} " in page, value
    for path in ("values.yaml", "decisions.yaml"):
        assert "stringData" not in (ROOT / "deploy/helm" / path).read_text(encoding="utf-8")


def test_every_pod_is_limited(values: dict[str, Any], deployment: dict[str, Any]) -> None:
    """Each part asks for memory and processors, and has a limit for both."""
    parts = [values[name] for name in ("scheduler", "apiServer", "triggerer", "dagProcessor")]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    for part in (*parts, values["workers"]["celery"], container):
        assert set(part["resources"]) == {"requests", "limits"}
        assert all(set(said) == {"cpu", "memory"} for said in part["resources"].values())


def test_decisions_run_as_in_compose(
    deployment: dict[str, Any], compose: dict[str, Any], values: dict[str, Any]
) -> None:
    """The same command and image; ready where no token is needed; time to answer what is under way; no more rights."""
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert [*container["command"], *container["args"]] == [
        *compose["decisions"]["entrypoint"],
        *compose["decisions"]["command"],
    ]
    assert container["image"] == f"{values['defaultAirflowRepository']}:{values['defaultAirflowTag']}"
    probes = [container[f"{name}Probe"]["httpGet"]["path"] for name in ("readiness", "liveness", "startup")]
    assert set(probes) == set(OPEN)
    assert probes[0] == "/readyz"
    assert pod["terminationGracePeriodSeconds"] > GRACE
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
