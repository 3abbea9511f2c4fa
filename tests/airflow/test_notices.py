"""Notifiers, metrics and traces of Airflow's, fed by real runs of a group's DAGs and received by loopback servers."""

import email
import email.policy
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from lockstep.registry import Registry
from tests.airflow import listeners
from tests.airflow.conftest import Program

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

PLAY = """
import json
import os
import sys
import threading
import time
from pathlib import Path
from urllib.request import Request, urlopen

from airflow.cli.cli_parser import get_parser

parser = get_parser()
arguments = parser.parse_args(["db", "migrate"])
arguments.func(arguments)

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import BaseNotifier
from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from sqlalchemy import select

from demo.customers import write_biopsies
from groups.biopsy import graph
from lockstep.registry import Origin, Registry
from lockstep.release import promote
from lockstep_airflow import blocked, notices, on, release_dags

notices.PATIENCE = 1.0
# as the process of a task begins, which dag.test() has not got
stats.initialize(
    factory=stats_utils.get_stats_factory(), export_legacy_names=conf.getboolean("metrics", "legacy_names_on")
)


class Post(BaseNotifier):
    template_fields = ("body",)

    def __init__(self, body):
        super().__init__()
        self.body = body

    def notify(self, context):
        told = json.dumps({"body": self.body, "news": context["lockstep"]}).encode()
        urlopen(Request(os.environ["HOOK"], told), timeout=5).read()


class Broken(BaseNotifier):
    def notify(self, context):
        raise RuntimeError("nobody is there")


class Hangs(BaseNotifier):
    def notify(self, context):
        time.sleep(60)


post = Post("{{ lockstep.subject }} ({{ ti.task_id }})")
mail = SmtpNotifier(
    to="ml@example.com", from_email="lockstep@example.com", subject="{{ lockstep.subject }}",
    html_content="<pre>{{ lockstep.text }}</pre>",
)
told = [
    on("gate_opened", "released", "rolled_back", blocked(hours=0.0005), blocked(hours=0.001), to=[Broken(), post]),
    on("released", to=mail),
    on("rolled_back", to=Hangs()),
]
build = lambda: release_dags(graph, notify=told)
registry = Registry.open(os.environ["LOCKSTEP_REGISTRY"])

write_biopsies(Path(os.environ["LOCKSTEP_DATA"], "biopsies"))
DagBundlesManager().sync_bundles_to_db()
for dag in build().values():
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="dags-folder", session=session)


def complete():
    time.sleep(6)
    promote(registry, graph.groups["biopsy"], "second_look", Origin(by="ada"))


def play(what, conf):
    if what == "later":
        threading.Thread(target=complete).start()
        return {}
    run = build()[f"biopsy_{what}"].test(run_conf=conf)
    with create_session() as session:
        tasks = session.scalars(select(TaskInstance).filter_by(dag_id=run.dag_id, run_id=run.run_id)).all()
        return {task.task_id: str(task.state) for task in tasks}


played = [play(what, conf) for what, conf in json.loads(sys.argv[1])]
from opentelemetry import trace
trace.get_tracer_provider().force_flush()
print()
print(json.dumps(played))
"""

STEPS: list[tuple[str, dict[str, Any]]] = [
    ("retrain", {}),
    ("promote", {"version": "surgery@1"}),
    ("later", {}),
    ("release", {}),  # 3: waits for the other model
    ("retrain", {"models": ["surgery"], "force": True, "promote": True}),
    ("release", {}),
    ("rollback", {"why": "complaints"}),  # 6
]


@dataclass
class Played:
    """What became of the tasks, and what the servers have heard."""

    steps: list[dict[str, str]]
    posts: list[dict[str, Any]]
    mails: list[bytes]
    figures: list[str]
    traces: list[Any]
    registry: Registry
    log: str

    @property
    def news(self) -> list[dict[str, Any]]:
        """All that the webhook was told."""
        return [post["news"] for post in self.posts]


@pytest.fixture(scope="module")
def played(run_program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """All steps."""
    folder = tmp_path_factory.mktemp("told")
    uri = (folder / "registry").as_uri()
    with ExitStack() as stack:
        hook, mail = stack.enter_context(listeners.posts()), stack.enter_context(listeners.mails())
        statsd, collector = stack.enter_context(listeners.datagrams()), stack.enter_context(listeners.spans())
        smtp = {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": mail.port,
            "extra": {"disable_ssl": True, "disable_tls": True},
        }
        steps = run_program(
            PLAY,
            json.dumps(STEPS),
            log=folder / "log",
            variables={
                "LOCKSTEP_REGISTRY": uri,
                "LOCKSTEP_DATA": folder / "data",
                "HOOK": f"http://127.0.0.1:{hook.port}/",
                "AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(smtp),
                "AIRFLOW__API__BASE_URL": "http://airflow.example:8080",
                "AIRFLOW__METRICS__STATSD_ON": "True",
                "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
                "AIRFLOW__METRICS__STATSD_PORT": str(statsd.port),
                "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
                "AIRFLOW__TRACES__OTEL_ON": "True",
                "OTEL_TRACES_EXPORTER": "otlp_proto_http",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{collector.port}/v1/traces",
            },
        )
        yield Played(
            steps=steps,
            posts=hook.items,
            mails=mail.items,
            figures=statsd.items,
            traces=collector.items,
            registry=Registry.open(uri),
            log=(folder / "log").read_text(),
        )


def test_each_moment_is_told_once_and_in_order(played: Played) -> None:
    """The closed gate tells at each span, then that it opened; then come the releases and the rollback."""
    assert [news["moment"] for news in played.news] == [
        "blocked",
        "blocked",
        "gate_opened",
        "released",
        "gate_opened",
        "released",
        "rolled_back",
    ]


def test_a_template_of_the_notifier_sees_the_news(played: Played) -> None:
    """Its own fields are rendered, anew for each call, with Airflow's names and with Lockstep's."""
    bodies = [post["body"] for post in played.posts]
    assert bodies[0] == "biopsy: the gate has been closed for 0.0005 hours (gate)"
    assert bodies[2] == "biopsy: the gate is open (gate)"
    assert len(set(bodies)) == 6


def test_what_stands_in_the_way_is_told(played: Played) -> None:
    """The news of a blocked gate holds the gate's reasons."""
    assert "second_look is not in staging" in played.news[0]["lines"]


def test_news_name_who_what_why_and_where(played: Played) -> None:
    """A rollback says its versions, release, reason and person, and links to its task and to the group."""
    news, state = played.news[-1], played.registry.state()
    assert news["release"] == state.production("biopsy").digest
    assert sorted(news["lines"]) == [
        "model second_look@1",
        "model surgery@1",
        "threshold refer@1",
        "threshold review@1",
    ]
    assert news["why"] == "complaints"
    assert news["run_url"].startswith("http://airflow.example:8080/dags/biopsy_rollback/runs/")
    assert news["group_url"] == "http://airflow.example:8080/plugin/lockstep/groups/biopsy"
    assert all(part in news["text"] for part in ("Why: complaints", news["run_url"], news["group_url"]))


def test_a_notifier_of_a_provider_sends_a_mail(played: Played) -> None:
    """Airflow's own notifier for e-mail has sent one for each release, with subject and text."""
    found = [email.message_from_bytes(mail, policy=email.policy.default) for mail in played.mails]
    releases = played.registry.state().releases["biopsy"]
    assert [mail["Subject"] for mail in found] == [
        f"biopsy: release {release.short} is in production" for release in releases[:2]
    ]
    assert "model surgery@2" in found[1].get_body().get_content()


def test_notifiers_that_fail_or_hang_change_nothing(played: Played) -> None:
    """Each task has succeeded, others were told all the same, and the log says who was not."""
    assert played.steps[3] == {"gate": "success", "diff": "success", "release": "success"}
    assert played.steps[6] == {"rollback": "success"}
    assert played.log.count("Not told: Broken, of") == len(played.posts)
    assert "Not waited for any longer: Hangs, of 'biopsy: rolled back" in played.log


def test_figures_go_where_airflows_go(played: Played) -> None:
    """Gates, promotions, releases, rollbacks and stages reach StatsD, with tags and, for old names, without."""
    figures = played.figures
    assert figures.count("airflow.lockstep.releases,group=biopsy:1|c") == 2
    assert figures.count("airflow.lockstep.releases.biopsy:1|c") == 2
    assert figures.count("airflow.lockstep.rollbacks,group=biopsy:1|c") == 1
    assert figures.count("airflow.lockstep.gate.opened,group=biopsy:1|c") == 2
    assert figures.count("airflow.lockstep.made,kind=model,name=surgery:1|c") == 2
    assert any(line.startswith("airflow.lockstep.gate.wait,group=biopsy:") and line.endswith("|ms") for line in figures)
    gauges = [line for line in figures if line.startswith("airflow.lockstep.versions,group=biopsy,stage=")]
    last = {line.partition("stage=")[2].partition(":")[0]: line.partition(":")[2] for line in gauges}
    assert last == {"candidate": "0|g", "staging": "2|g", "production": "4|g", "archived": "0|g"}


def test_parts_are_spans(played: Played) -> None:
    """Snapshot, training, tuning, gate and release are spans below those of Airflow's tasks, and say what came out."""
    found = [
        span
        for request in played.traces
        for resource in request.resource_spans
        for scope in resource.scope_spans
        if scope.scope.name == "lockstep"
        for span in scope.spans
    ]
    assert {"lockstep.snapshot", "lockstep.train", "lockstep.tune", "lockstep.gate", "lockstep.release"} <= {
        span.name for span in found
    }
    (first, _) = (span for span in found if span.name == "lockstep.release")
    said = {item.key: item.value.string_value for item in first.attributes}
    assert said["lockstep.group"] == "biopsy"
    assert said["lockstep.release"] == played.registry.state().releases["biopsy"][0].digest
    assert not [span for span in found if span.status.code == 2]
