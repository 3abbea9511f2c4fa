"""The commands as a person types them, each in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from lockstep import __version__
from tests.cli.conftest import PROJECT, Command, Declare, Desk

WAIT = 180  # seconds, on a machine that has other things to do


def test_a_story_from_training_to_rollback(desk: Desk, start: Command, a_row: dict[str, Any]) -> None:
    """Training, promotion, release, decision and rollback work one after the other, each in a process of its own."""
    assert "second_look --> review" in start("graph", "--mermaid").out
    trained = start("--why", "fewer", "train", "--promote", "--json", "--param", "second_look.n_estimators=5")
    assert (trained.status, trained.document["promoted"]) == (0, ["surgery@1", "refer@1", "second_look@3", "review@3"])
    assert trained.err.splitlines() == ["snapshot of biopsies …", "training surgery …", "training second_look …"]
    assert [model["new"] for model in trained.document["models"]] == [False, True]
    assert start("gate", "biopsy").status == 0
    first = start("release", "biopsy", "--json").document
    decided = start("decide", "referrals", "--row", "-", "--json", stdin=json.dumps(a_row))
    assert (decided.document["release"], decided.document["key"]) == (first["release"], a_row["sample"])

    assert start("promote", "second_look@2").out == "in staging: second_look@2, review@2\n"
    second = start("release", "biopsy", "--json").document
    back = start("rollback", "biopsy", "--json").document
    assert (back["release"], back["left"]) == (first["release"], second["release"])

    assert start("status", "--json").document["groups"][0]["production"] == first["release"]
    log = start("log", "--json").document
    assert [line["what"] for line in log[-3:]] == ["promoted", "released", "rolled_back"]
    assert desk.state.head == len(log) == log[-1]["entry"]
    assert desk.state.production("biopsy").members == first["members"]
    assert desk.state.staged_model("second_look").ref == "second_look@2"

    shown = start("lineage", "second_look@3", "--json").document
    assert (shown["stage"], shown["why"], shown["parameters"]) == ("production", "fewer", {"n_estimators": 5})
    assert (shown["job"]["task"], shown["job"]["commit"]) == ("lockstep train", "c0ffee")
    done = start("lineage", "--job", shown["job"]["run"], "--json").document
    assert [(deed["did"], deed["versions"]) for deed in done] == [
        ("promoted", ["surgery@1", "refer@1"]),
        ("model_trained", ["second_look@3"]),
        ("threshold_tuned", ["review@3"]),
        ("promoted", ["second_look@3", "review@3"]),
    ]


def test_a_refusal_in_a_process(desk: Desk, start: Command) -> None:
    """What is refused ends with status 1, one explanation on stderr, nothing on stdout and an unchanged log."""
    before = desk.state.head
    done = start("release", "biopsy", "--json")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("lockstep: gate biopsy: closed\n")
    assert "Traceback" not in done.err
    assert desk.state.head == before


def test_deprecated_data_is_a_message(start: Command, declare: Declare, tmp_path: Path) -> None:
    """A dataset's deprecation is said on stderr, once for each model, and stdout is the one JSON document."""
    name = declare(
        "old_biopsies",
        "from dataclasses import replace\n"
        "from groups.biopsy import biopsies, forest, linear\n"
        "from lockstep import Graph, Model\n"
        "old = replace(biopsies, name='old_biopsies', deprecated='use biopsies')\n"
        "both = [Model('one', data=old, target='malignant', estimator=linear),\n"
        "        Model('two', data=old, target='malignant', estimator=forest)]\n"
        "graph = Graph(both)\n",
    )
    paths = os.pathsep.join(map(str, (PROJECT / "include", tmp_path / "declarations")))
    done = start("--graph", name, "graph", "--json", PYTHONPATH=paths)
    warning = 'warning: Dataset "old_biopsies" is deprecated: use biopsies. Model "{}" uses it.'
    assert (done.status, done.err.splitlines()) == (0, [warning.format("one"), warning.format("two")])
    assert done.document["nodes"][0]["deprecated"] == "use biopsies"


def test_the_working_folders_own_groups(start: Command, tmp_path: Path) -> None:
    """Without --graph, the graphs of the package `groups` in the working folder's `include` are taken."""
    package = tmp_path / "include" / "groups"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""Ours."""\n', encoding="utf-8")
    (package / "ours.py").write_text(
        "from lockstep import Dataset, Graph, Model, parquet\n"
        "rows = Dataset('rows', source=parquet('rows/*'), key='id', columns={'good': bool})\n"
        "graph = Graph([Model('ours', data=rows, target='good', estimator=object)])\n",
        encoding="utf-8",
    )
    done = start("graph", LOCKSTEP_GRAPH="")
    assert done.out == "dataset rows  (source parquet rows/*)\n└─ model ours  (target good)\n"


def test_the_version(start: Command) -> None:
    """`--version` prints the version and needs no registry and no graph."""
    done = start("--version", LOCKSTEP_GRAPH="no_such_module", LOCKSTEP_REGISTRY="")
    assert (done.status, done.out, done.err) == (0, f"lockstep {__version__}\n", "")


def test_serve_answers_from_production(released: Desk, a_row: dict[str, Any]) -> None:
    """`serve` answers over HTTP with the release in production, switches to the next, and ends when it is told to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "lockstep", "serve", "--port", str(port), "--poll", "0.05"]
    server = subprocess.Popen(command, cwd=PROJECT / "include", stderr=subprocess.PIPE, text=True)
    try:
        first = released.state.production("biopsy").digest
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            _wait_for(client, server, first)
            answer = client.post("/apis/referrals/decisions", json=a_row).json()
            assert (answer["release"], answer["key"]) == (first, a_row["sample"])
            released.stage("second_look@2")
            _wait_for(client, server, released.release("biopsy_release/february").digest)
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=WAIT)
    finally:
        if server.poll() is None:
            server.kill()
            server.communicate()
    assert said == f"decisions at http://127.0.0.1:{port}/docs\n"


def _wait_for(client: httpx.Client, server: subprocess.Popen[str], release: str) -> None:
    """Ask whether the server is ready until it answers from that release."""
    until = time.monotonic() + WAIT
    while time.monotonic() < until and server.poll() is None:
        try:
            found = client.get("/readyz")
        except httpx.ConnectError:
            found = None
        if found is not None and found.json()["groups"] == {"biopsy": {"release": release}}:
            assert found.status_code == 200
            return
        time.sleep(0.05)
    said = server.communicate()[1] if server.poll() is not None else ""
    pytest.fail(f"the server does not answer from release {release}: {said}")
