"""A real Airflow for as long as a block lasts, and its REST client."""

import os
import socket
import time
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from demo.answers import Run
from demo.rest import NO_ANSWER, Rest, RestError, RunNotFinished
from demo.standalone import COMPONENTS, Standalone, StandaloneFailed

TINY = """
import subprocess

from airflow.sdk import Asset, dag, task


@dag(schedule=None, params={"name": "nobody"})
def tiny():
    @task(outlets=[Asset("tiny_done", uri="x-test://tiny/done")])
    def say(params):
        print("hello", params["name"])
        return {"said": params["name"]}

    say()


@dag(schedule=None)
def sleepy():
    @task
    def sleep():
        subprocess.run(["sleep", "600"], start_new_session=True)

    sleep()


tiny()
sleepy()
"""


def left_of(home: Path) -> list[str]:
    """Every living process that was started for that Airflow home, by its command."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("AIRFLOW_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return found


def listening(airflow: Standalone) -> set[str]:
    """Every address that a process of that Airflow listens on."""
    sockets = [socket for process in airflow.processes() for socket in process.net_connections("inet")]
    return {found.laddr.ip for found in sockets if found.status == psutil.CONN_LISTEN}


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    """A folder with two tiny DAGs."""
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "tiny.py").write_text(TINY)
    return folder


@pytest.mark.standalone
@pytest.mark.slow
def test_it_runs_a_dag_and_leaves_no_process(tmp_path: Path, dags: Path) -> None:
    """Inside the block a DAG can be run and asked about at once, on 127.0.0.1 only; after it, no process is left."""
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    # Short programs that Airflow starts, and that have ended before it looks after them, are no part that died.
    (home / "config" / "airflow_local_settings.py").write_text(
        'import subprocess\nended = subprocess.Popen(["true"])\n'
    )
    with Standalone(home=home, dags=dags, expected=["tiny", "sleepy"]) as airflow:
        rest = airflow.rest
        assert set(airflow.pids()) == set(COMPONENTS)
        assert set(rest.health().values()) == {"healthy"}
        assert rest.import_errors() == []
        assert sorted(rest.unpause_all()) == ["sleepy", "tiny"]
        rest.pause("sleepy")
        assert {dag.dag_id: dag.is_paused for dag in rest.dags()} == {"sleepy": True, "tiny": False}

        started = rest.trigger("tiny", {"name": "Ada"})
        seen: list[Run] = []
        run = rest.wait("tiny", started.run_id, timeout=60, progress=lambda now, _tasks: seen.append(now))
        assert (run.state, run.conf) == ("success", {"name": "Ada"})
        assert seen[-1] == run
        assert "hello Ada" in rest.log("tiny", run.run_id, "say")
        assert rest.xcom("tiny", run.run_id, "say") == {"said": "Ada"}
        assert [task.state for task in rest.task_instances("tiny", run.run_id)] == ["success"]
        assert [(asset.name, asset.uri) for asset in rest.assets()] == [("tiny_done", "x-test://tiny/done")]
        assert [event.source_run_id for event in rest.asset_events(source_dag_id="tiny")] == [run.run_id]
        assert left_of(home)
        assert listening(airflow) == {"127.0.0.1"}

        with pytest.raises(RestError, match=r"^POST /api/v2/dags/nothing/dagRuns: 404 ") as caught:
            rest.trigger("nothing")
        assert caught.value.status == 404
        with pytest.raises(RunNotFinished, match="no new run within 0 s"):
            rest.wait_for_new_run("tiny", {run.run_id}, timeout=0)
    assert left_of(home) == []
    assert 0 < airflow.started_in < 120


def fail_while_a_task_sleeps(airflow: Standalone) -> NoReturn:
    """Raise once a task runs that has started a process of its own."""
    airflow.rest.unpause("sleepy")
    airflow.rest.trigger("sleepy")
    deadline = time.monotonic() + 60
    while "sleep 600" not in left_of(airflow.home):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    raise ZeroDivisionError


@pytest.mark.standalone
@pytest.mark.slow
def test_an_error_in_the_block_leaves_no_process(tmp_path: Path, dags: Path) -> None:
    """An error in the block comes out as it is, and ends Airflow, its running task, and what that has started."""
    home = tmp_path / "home"
    with pytest.raises(ZeroDivisionError), Standalone(home=home, dags=dags, expected=["sleepy"]) as airflow:
        fail_while_a_task_sleeps(airflow)
    assert left_of(home) == []


@pytest.mark.standalone
def test_an_airflow_that_dies_at_start_is_reported(tmp_path: Path, dags: Path) -> None:
    """An Airflow that dies at start ends the wait at once, with the end of its log, and no process is left."""
    home = tmp_path / "home"
    wrong = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "no-such-database://"}
    with (
        pytest.raises(
            StandaloneFailed, match=r"(?s)^Airflow, or a part of it, died at start\. The end of .*Could not parse SQL"
        ),
        Standalone(home=home, dags=dags, variables=wrong),
    ):
        pytest.fail("the block began")
    assert left_of(home) == []


def test_no_server_is_a_rest_error() -> None:
    """Where no server listens, the client says so in its own error."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        rest = Rest(url, "admin", os.urandom(4).hex())
        with pytest.raises(RestError, match=r"^POST /auth/token: 0 ConnectError: ") as caught:
            rest.version()
        rest.close()
    assert caught.value.status == NO_ANSWER
