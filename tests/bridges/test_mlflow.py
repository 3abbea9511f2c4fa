"""MLflow is kept in step with the log: told once, caught up after it was away, and never waited for."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import pytest

from lockstep.bridges import sync
from lockstep.bridges.told import made_since
from lockstep.errors import NeighbourAway, UsageError
from lockstep.registry import Origin
from lockstep.release import rollback
from lockstep.switch import Named, mlflow_of
from tests.bridges.conftest import Server, free_port
from tests.cli.conftest import GROUP, Desk, Done

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),
]  # mlflow warns when it is imported

ALL = {"surgery@1", "second_look@1", "second_look@2"}


def test_each_version_is_a_run_and_a_registered_version(staged: Desk, mlflow: Server) -> None:
    """A run has parameters, metrics, manifest, curves and plots; the registered version has the same number."""
    done = sync(staged.registry, GROUP, mlflow.address)
    assert set(done.versions) == {*ALL, "refer@1", "review@1", "review@2"}
    runs, state = mlflow.runs(), staged.state
    assert set(runs) == ALL
    run, fact = runs["second_look@2"], state.model("second_look@2").fact
    assert run.data.params["max_depth"] == "2"
    assert run.data.metrics["roc_auc"] == pytest.approx(fact.metrics["roc_auc"])
    assert run.data.metrics["review.test.recall"] > 0
    assert run.data.tags["lockstep.snapshot"] == "biopsies@1"
    assert run.info.status == "FINISHED"
    assert mlflow.files(run) == [
        "manifest.json",
        "thresholds/review@2/curve.json",
        "thresholds/review@2/curve.png",
        "thresholds/review@2/manifest.json",
    ]
    assert mlflow.versions("second_look") == {"second_look@1": "1", "second_look@2": "2"}


def test_aliases_follow_promotion_release_and_rollback(staged: Desk, mlflow: Server) -> None:
    """`staging` and `production` stand where the log says, also after a rollback."""
    sync(staged.registry, GROUP, mlflow.address)
    assert mlflow.standing("second_look") == {"staging": "second_look@1"}
    staged.release("first")
    staged.stage("second_look@2")
    done = sync(staged.registry, GROUP, mlflow.address)
    assert mlflow.standing("second_look") == {"staging": "second_look@2", "production": "second_look@1"}
    assert "production is surgery@1" in done.aliases
    staged.release("second")
    sync(staged.registry, GROUP, mlflow.address)
    assert mlflow.standing("second_look")["production"] == "second_look@2"
    rollback(staged.registry, GROUP, Origin(by="ada"))
    assert sync(staged.registry, GROUP, mlflow.address).aliases == ("production is second_look@1",)
    assert mlflow.standing("second_look")["production"] == "second_look@1"


def test_told_twice_is_told_once(staged: Desk, mlflow: Server) -> None:
    """A second call tells nothing; nor does one make anything twice where MLflow has forgotten how far it was told."""
    first = sync(staged.registry, GROUP, mlflow.address)
    assert sync(staged.registry, GROUP, mlflow.address).versions == ()
    experiment = mlflow.client.get_experiment_by_name("lockstep/biopsy")
    assert int(experiment.tags["lockstep.entry"]) > 1
    mlflow.client.set_experiment_tag(experiment.experiment_id, "lockstep.entry", "0")
    assert sync(staged.registry, GROUP, mlflow.address).versions == first.versions
    assert set(mlflow.runs()) == ALL
    assert len(mlflow.versions("second_look")) == 2


def test_what_was_missed_is_caught_up(staged: Desk, mlflow: Server) -> None:
    """A call that ends half-way leaves what it told; the next one goes on from there."""
    told = []

    def until_second(text: str) -> None:
        told.append(text)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(staged.registry, GROUP, mlflow.address, say=until_second)
    assert len(mlflow.runs()) == 1
    done = sync(staged.registry, GROUP, mlflow.address)
    assert len(done.versions) == 5
    assert set(mlflow.runs()) == ALL


def test_two_calls_at_once_make_nothing_twice(staged: Desk, mlflow: Server) -> None:
    """Of two runs, or registered versions, that two calls make of one version, one is deleted again."""
    problems: list[Exception] = []

    def one() -> None:
        try:
            sync(staged.registry, GROUP, mlflow.address)
        except NeighbourAway as error:
            problems.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sync(staged.registry, GROUP, mlflow.address)  # what one of them could not tell, since SQLite was busy
    assert set(mlflow.runs()) == ALL
    assert set(mlflow.versions("second_look")) == {"second_look@1", "second_look@2"}
    assert mlflow.standing("surgery") == {"staging": "surgery@1"}


def test_a_call_between_looking_and_making_is_seen(
    staged: Desk, mlflow: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call finds no run; before it makes one, another has told all: what the first makes then goes again."""
    from mlflow.tracking import MlflowClient

    make = MlflowClient.create_run
    others = 0

    def late(client: MlflowClient, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  MLflow's type
        nonlocal others
        if others == 0:
            others += 1
            sync(staged.registry, GROUP, mlflow.address)
        return make(client, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "create_run", late)
    sync(staged.registry, GROUP, mlflow.address)
    assert others == 1
    assert set(mlflow.runs()) == ALL
    assert set(mlflow.versions("second_look")) == {"second_look@1", "second_look@2"}
    sync(staged.registry, GROUP, mlflow.address)
    assert all(mlflow.client.get_run(run.info.run_id).info.status == "FINISHED" for run in mlflow.runs().values())


def test_a_run_that_somebody_deleted_is_made_again(staged: Desk, mlflow: Server) -> None:
    """What is told once more, or later, has a run to stand in; the registered version is there still."""
    sync(staged.registry, GROUP, mlflow.address)
    mlflow.client.delete_run(mlflow.runs()["surgery@1"].info.run_id)
    experiment = mlflow.client.get_experiment_by_name("lockstep/biopsy")
    mlflow.client.set_experiment_tag(experiment.experiment_id, "lockstep.entry", "0")
    sync(staged.registry, GROUP, mlflow.address)
    assert set(mlflow.runs()) == ALL
    assert set(mlflow.versions("surgery")) == {"surgery@1"}


@contextmanager
def silent() -> Iterator[int]:
    """A server that takes calls and answers none."""
    over = threading.Event()

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            over.wait()

    class Taking(ThreadingTCPServer):
        daemon_threads = True

    with Taking(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1])
        over.set()
        server.shutdown()


@pytest.mark.parametrize("kind", ["away", "silent"])
def test_an_mlflow_that_does_not_answer_keeps_nobody(
    kind: str, staged: Desk, mlflow: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up soon, with the address and what to do; a release goes on meanwhile, and is told later."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    began = time.monotonic()
    with silent() as port:
        address = f"http://127.0.0.1:{port if kind == 'silent' else free_port()}"
        with pytest.raises(NeighbourAway, match=r"could not be told: .*lockstep mlflow sync"):
            sync(staged.registry, GROUP, address)
    assert time.monotonic() - began < 30
    staged.release("meanwhile")
    sync(staged.registry, GROUP, mlflow.address)
    assert mlflow.standing("surgery")["production"] == "surgery@1"


def test_what_others_have_made_is_left_alone(staged: Desk, mlflow: Server) -> None:
    """A registered model of the same name, made by somebody else, is named, and nothing is added to it."""
    mlflow.client.create_registered_model("surgery")
    with pytest.raises(UsageError, match='registered model "surgery" that Lockstep did not make'):
        sync(staged.registry, GROUP, mlflow.address)
    assert mlflow.client.search_model_versions("name='surgery'") == []


def test_an_address_with_a_password_is_refused(staged: Desk) -> None:
    """It would stand in logs."""
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_PASSWORD"):
        sync(staged.registry, GROUP, "http://ada:secret@127.0.0.1:1")


def test_the_command_tells_all_groups(staged: Desk, mlflow: Server, run: Callable[..., Done]) -> None:
    """`lockstep mlflow sync` says what it told; without an address it says how to name one."""
    nobody = run("mlflow", "sync")
    assert (nobody.status, "LOCKSTEP_MLFLOW_TRACKING_URI" in nobody.err) == (2, True)
    done = run("mlflow", "sync", "--to", mlflow.address, "--json")
    assert done.status == 0, done.err
    (group,) = json.loads(done.out)
    assert (group["group"], group["experiment"], len(group["versions"])) == ("biopsy", "lockstep/biopsy", 6)
    assert group["entry"] == staged.state.head
    again = run("mlflow", "sync", "biopsy", "--to", mlflow.address)
    assert again.out.startswith("biopsy: nothing was new")


def test_the_strongest_source_names_the_mlflow() -> None:
    """The run, release_dags, Airflow's variable, the environment; and "off" is nobody."""
    environ = {"LOCKSTEP_MLFLOW_TRACKING_URI": "http://d"}
    told = {"run": "http://a", "dags": "http://b", "variable": "http://c"}
    assert mlflow_of(**told, environ=environ) == Named("http://a", "the run")
    assert mlflow_of(dags="http://b", variable="http://c", environ=environ) == Named("http://b", "release_dags")
    assert mlflow_of(variable="http://c", environ=environ) == Named("http://c", "Airflow variable lockstep_mlflow")
    assert mlflow_of(environ=environ) == Named("http://d", "environment LOCKSTEP_MLFLOW_TRACKING_URI")
    assert mlflow_of(dags="off", environ=environ) is None
    assert mlflow_of(environ={}) is None


def test_versions_are_told_in_the_order_of_the_log(staged: Desk) -> None:
    """What is told begins behind the entry that is named, and a threshold comes behind its model."""
    made = list(made_since(staged.registry, GROUP, staged.state, 0))
    assert [one.entry for one in made] == sorted(one.entry for one in made)
    assert [one.ref for one in made][:2] == ["surgery@1", "refer@1"]
    assert next(made_since(staged.registry, GROUP, staged.state, made[1].entry)).ref == "second_look@1"
