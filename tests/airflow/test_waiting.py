"""A gate that waits too long in a real triggerer: who wanted to know is told, and its spans reach a collector."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from demo.answers import Run
from demo.customers import write_biopsies
from demo.standalone import Standalone
from lockstep.registry import Registry
from tests.airflow import listeners
from tests.airflow.desk import WAIT, until

pytestmark = [pytest.mark.standalone, pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = Path(__file__).parents[2]
HOURS = 0.005  # 18 seconds: the gate has long been in the triggerer by then
DAG_FILE = f"""
import json
import os
from urllib.request import Request, urlopen

from airflow.sdk import BaseNotifier
from groups.biopsy import graph
from lockstep_airflow import blocked, on, release_dags


class Post(BaseNotifier):
    template_fields = ("subject",)

    def __init__(self, subject):
        super().__init__()
        self.subject = subject

    def notify(self, context):
        told = json.dumps({{"subject": self.subject, "news": context["lockstep"]}}).encode()
        urlopen(Request(os.environ["HOOK"], told), timeout=5).read()


post = Post("{{{{ lockstep.subject }}}}")
globals().update(release_dags(graph, notify=[on("gate_opened", "released", blocked(hours={HOURS}), to=post)]))
"""


@dataclass(frozen=True, kw_only=True)
class Waited:
    """What was heard while a gate waited, opened and let a release through."""

    gate: Run
    log: str
    news: list[dict[str, Any]]
    spans: list[Any]
    registry: Registry

    def of(self, scope: str) -> list[Any]:
        """The spans that one library has made."""
        return [
            span
            for request in self.spans
            for resource in request.resource_spans
            for part in resource.scope_spans
            if part.scope.name.startswith(scope)
            for span in part.spans
        ]


@pytest.fixture(scope="module")
def waited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waited]:
    """One model is promoted, the gate waits until somebody is told, then the other is promoted."""
    folder = tmp_path_factory.mktemp("waiting")
    (folder / "dags").mkdir()
    (folder / "dags/biopsy_dags.py").write_text(DAG_FILE)
    write_biopsies(folder / "data/biopsies")
    uri = (folder / "registry").as_uri()
    include = [PROJECT / "include", PROJECT / "plugins"]
    places = {"LOCKSTEP_REGISTRY": uri, "LOCKSTEP_DATA": str(folder / "data")}
    command = [sys.executable, "-m", "lockstep", "--graph", "groups.biopsy:graph", "train", "--group", "biopsy"]
    run(command, env={**os.environ, **places, "PYTHONPATH": os.pathsep.join(map(str, include))}, check=True)
    with ExitStack() as stack:
        hook, collector = stack.enter_context(listeners.posts()), stack.enter_context(listeners.spans())
        airflow = stack.enter_context(
            Standalone(
                home=folder / "airflow",
                dags=folder / "dags",
                include=include,
                expected=["biopsy_promote", "biopsy_release"],
                timeout=WAIT,
                variables={
                    **places,
                    "HOOK": f"http://127.0.0.1:{hook.port}/",
                    "AIRFLOW__TRACES__OTEL_ON": "True",
                    "OTEL_TRACES_EXPORTER": "otlp_proto_http",
                    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{collector.port}/v1/traces",
                },
            )
        )
        rest = airflow.rest

        def promote(version: str) -> None:
            rest.wait("biopsy_promote", rest.trigger("biopsy_promote", {"version": version}).run_id, timeout=WAIT)

        promote("surgery@1")
        gate = rest.wait_for_new_run("biopsy_release", set(), timeout=WAIT)
        until(lambda: hook.items, "somebody is told that the gate is blocked")
        until(lambda: rest.task(gate.dag_id, gate.run_id, "gate").state == "deferred", "the gate waits on")
        promote("second_look@1")
        gate = rest.wait(gate.dag_id, gate.run_id, timeout=WAIT)
        until(lambda: len(hook.items) == 3, "the release is told")
        log = rest.log(gate.dag_id, gate.run_id, "gate")
        found = Waited(
            gate=gate,
            log=log,
            news=[one["news"] for one in hook.items],
            spans=collector.items,
            registry=Registry.open(uri),
        )
        until(lambda: [span for span in found.of("lockstep") if span.name == "lockstep.release"], "its span has come")
        yield found


def test_whoever_wants_to_know_is_told_by_the_triggerer(waited: Waited) -> None:
    """The trigger wakes the closed gate for its notifier, the gate waits on, and its end is told as well."""
    assert waited.gate.state == "success"
    assert [news["moment"] for news in waited.news] == ["blocked", "gate_opened", "released"]
    assert waited.news[0]["subject"] == f"biopsy: the gate has been closed for {HOURS:g} hours"
    assert "second_look is not in staging" in waited.news[0]["lines"]
    assert "The gate was seen closed at entry" in waited.log  # it had waited in the triggerer by then


def test_spans_of_several_processes_hang_together(waited: Waited) -> None:
    """Each part of Lockstep is a span below that of its task in Airflow, also where the gate ran three times."""
    ours, theirs = waited.of("lockstep"), {span.span_id: span for span in waited.of("airflow")}
    assert Counter(span.name for span in ours) == {
        "lockstep.promote": 2,
        "lockstep.gate": 3,
        "lockstep.diff": 1,
        "lockstep.release": 1,
    }
    assert all(span.parent_span_id in theirs for span in ours)
    (release,) = (span for span in ours if span.name == "lockstep.release")
    said = {item.key: item.value.string_value for item in release.attributes}
    assert said["lockstep.release"] == waited.registry.state().production("biopsy").digest
