"""docker-compose.yaml as it stands, without an engine: the demo's story comes true while each service is killed."""

from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from demo.customers import Simulated, write_biopsies
from demo.screen import Screen
from demo.service import Decisions
from demo.story import Story
from demo.surroundings import alone
from lockstep.registry import Registry
from lockstep.upkeep import Severity, verify
from loopback.compose import ROOT, ValueMissing
from loopback.containers import Containers
from tests.cluster.conftest import Blow, PatientRest, Striker, until, values

WAIT: Final = 1800  # seconds, on a machine that has other things to do
RUNNING: Final = frozenset({"running"})
ANY: Final = frozenset({"scheduled", "queued", "running", "success"})
BLOWS: Final = (
    Blow(dag="churn_retrain", task="churn.train", states=RUNNING),
    Blow(dag="churn_promote", task="promote", states=ANY, service="airflow-scheduler"),
    Blow(dag="churn_release", task="gate", states=frozenset({"deferred"}), service="airflow-triggerer"),
    Blow(dag="churn_retrain", task="churn.train", states=RUNNING, service="airflow-apiserver"),
    Blow(dag="churn_retrain", task="churn.train", states=RUNNING, service="postgres"),
    Blow(dag="churn_promote", task="promote", states=ANY, service="redis"),
    Blow(dag="churn_retrain", task="churn_reason.train", states=ANY, service="airflow-dag-processor"),
    Blow(dag="churn_release", task="release", states=RUNNING),
    Blow(dag="churn_rollback", task="rollback", states=ANY, service="decisions"),
)


def test_without_a_secret_nothing_starts() -> None:
    """A value that .env leaves out is named, and no service starts."""
    said = values()
    del said["REDIS_PASSWORD"]
    with pytest.raises(ValueMissing, match=r"REDIS_PASSWORD is missing a value: set it in \.env"):
        Containers(said)


@pytest.mark.standalone
@pytest.mark.slow
@pytest.mark.timeout(WAIT)
def test_the_story_comes_true_while_everything_is_killed(tmp_path: Path) -> None:
    """With each service killed in turn at its worst moment, all is trained, released and rolled back once and whole."""
    said = values()
    screen = Screen()
    with Containers(said) as containers:
        place = containers.place
        data = place.volume("data")
        (data / "customers").mkdir()
        write_biopsies(data / "biopsies")
        url = f"http://127.0.0.1:{place.ports[8080]}"
        rest = PatientRest(url, "admin", said["AIRFLOW_ADMIN_PASSWORD"])
        decisions = Decisions(f"http://127.0.0.1:{place.ports[8000]}", token=said["LOCKSTEP_TOKEN"])
        registry = Registry.open(place.volume("registry").as_uri())
        variables = {"LOCKSTEP_REGISTRY": registry.uri, "LOCKSTEP_DATA": str(data), "PYTHONPATH": str(ROOT / "include")}
        until(lambda: {"churn_retrain", "churn_rollback"} <= {dag.dag_id for dag in rest.dags()}, "the DAGs are parsed")
        screen.say("all services run, and the DAGs are parsed")
        with (
            rest,
            alone(tmp_path) as surroundings,
            PatientRest(url, "admin", said["AIRFLOW_ADMIN_PASSWORD"]) as other,
            Striker(containers, other, BLOWS) as striker,
        ):
            Story(
                rest=rest,
                registry=registry,
                service=decisions,
                screen=screen,
                customers=Simulated(),
                folder=data / "customers",
                environment=containers.all["decisions"].environment | variables,
                surroundings=surroundings,
            ).play()
            until(lambda: len(striker.struck) == len(BLOWS), f"all are killed, and not only {striker.struck}")
        for name, when, seconds in striker.struck:
            screen.show(f"{name} was killed at {when}, and ran again after {seconds:.1f} s")
        screen.show(f"started again: {dict(+containers.restarts())}")
        _check_log(registry)
        for container in containers.all.values():
            # the decision API is ready when every group has a release; `biopsy` has none
            if container.service.stays and container.name != "decisions":
                until(container.is_healthy, f"{container.name} is healthy: {container.last_words()}")
        for worker in containers.of("airflow-worker"):  # what it forks tasks from has scikit-learn already
            assert any("/sklearn/" in one.path for found in worker.processes() for one in found.memory_maps())
        decisions.close()
    assert [process for container in containers.all.values() for process in container.processes()] == []
    assert not place.folder.exists()


def _check_log(registry: Registry) -> None:
    """Nothing was done twice or by halves: the log's facts, and every file that they promise."""
    kinds = Counter(entry.fact.kind for entry in registry.log.entries())
    expected = Counter(snapshot_taken=3, model_trained=7, threshold_tuned=8, promoted=4, released=2, rolled_back=1)
    assert kinds == expected
    releases = registry.state().releases["churn"]  # the rollback is the third
    assert [len(release.members) for release in releases] == [4, 4, 4]
    assert releases[2].members == releases[0].members
    # what a killed task has left half-done is a note, and goes by `lockstep retain`
    assert [found.as_text() for found in verify(registry) if found.severity is Severity.ERROR] == []
