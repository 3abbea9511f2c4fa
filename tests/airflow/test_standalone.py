"""Lockstep on a real Airflow: the whole way to a release, the page of a version, and kills at the worst moments.

One Airflow serves all tests of this module. Each test takes new data or moves between versions that are there, and
looks only at the log entries that were added meanwhile, so that it holds in any order.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from demo.answers import Run
from demo.standalone import Standalone
from lockstep.registry import Objects, Registry, State, files_of
from lockstep.registry.lineage import versions

pytestmark = [pytest.mark.standalone, pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = Path(__file__).parents[2]
WAIT = 240  # seconds for one step, on a machine that has other things to do
TRAINED = Counter(snapshot_taken=1, model_trained=2, threshold_tuned=2)
WAITS_FOR_SECOND = "second is not in staging"

DAG_FILE = """
from datetime import timedelta

from lockstep_airflow import release_dags
from tiny import graph

dags = release_dags(graph)
for dag in dags.values():
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
globals().update(dags)
"""

DECLARATIONS = '''
"""Two models in one release group, and one alone in another; each can be held up by a file."""

import os
import time
from pathlib import Path

from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed, recall_at_least


def hold(where):
    """Wait as long as the file is there, and say so."""
    flag = Path(os.environ["TINY_FLAGS"], where)
    while flag.exists():
        flag.with_suffix(".reached").touch()
        time.sleep(0.05)


def clean(rows):
    hold("clean")
    return rows


def patient():
    from tiny.patient import Patient

    return Patient()


columns = {"x": float, "y": float, "yes": bool}
rows = Dataset("rows", source=csv("rows/*.csv"), key="id", columns=columns, clean=clean)
first = Model("first", data=rows, target="yes", estimator=patient)
second = Model("second", data=rows, target="yes", estimator=patient, builds_on=[first])
go = Threshold("go", model=first, choose=recall_at_least(0.8))
halt = Threshold("halt", model=second, choose=fixed(0.5))
others = Dataset("others", source=csv("others/*.csv"), key="id", columns=columns)
lonely = Model("lonely", data=others, target="yes", estimator=patient)
alone = Threshold("alone", model=lonely, choose=fixed(0.5))
graph = Graph([Api("both", decides=[go, halt]), Api("solo", decides=[alone])])
'''

ESTIMATOR = '''
"""A logistic regression that can be held up while it fits, and while a threshold is tuned on it."""

import sys

from sklearn.linear_model import LogisticRegression

from tiny import hold


def callers():
    frame = sys._getframe()
    while frame is not None:
        yield frame.f_globals.get("__name__")
        frame = frame.f_back


class Patient(LogisticRegression):
    def fit(self, features, target):
        hold("fit")
        return super().fit(features, target)

    def predict_proba(self, features):
        if "lockstep.decisions.tune" in callers():
            hold("tune")
        return super().predict_proba(features)
'''


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A team before its Airflow and its registry."""

    airflow: Standalone
    registry: Registry
    data: Path
    flags: Path
    months: Iterator[int]

    @property
    def state(self) -> State:
        """What the log says now."""
        return self.registry.state()

    def month(self) -> None:
        """New rows arrive in place of those before."""
        chance = random.Random(month := next(self.months))  # noqa: S311  nothing secret
        lines = ["id,x,y,yes"]
        for number in range(300):
            x, y = chance.gauss(0, 1), chance.gauss(0, 1)
            lines.append(f"r{number},{x:.3f},{y:.3f},{'yes' if x + chance.gauss(0, 0.5) > 0 else 'no'}")
        for file in self.data.glob("*.csv"):
            file.unlink()
        (self.data / f"month-{month}.csv").write_text("\n".join(lines))

    def added(self, head: int) -> Counter[str]:
        """The kinds of the facts that were recorded behind an entry."""
        return Counter(entry.fact.kind for entry in self.registry.log.entries() if entry.number > head)

    # ---------------------------------------------------------------------------------------------------------- runs

    def trigger(self, what: str, conf: dict[str, Any] | None = None) -> Run:
        """Start one of the group's DAGs by hand."""
        return self.airflow.rest.trigger(f"first_{what}", conf)

    def finish(self, run: Run) -> Run:
        """The run, once it has ended well."""
        done = self.airflow.rest.wait(run.dag_id, run.run_id, timeout=WAIT)
        tasks = self.airflow.rest.task_instances(run.dag_id, run.run_id)
        logs = [self.airflow.rest.log(run.dag_id, run.run_id, task.task_id) for task in tasks if task.state == "failed"]
        assert done.state == "success", "\n".join(logs)
        return done

    def run(self, what: str, conf: dict[str, Any] | None = None) -> Run:
        """Start one of the group's DAGs, and see it end well."""
        return self.finish(self.trigger(what, conf))

    def tries(self, run: Run, task_id: str) -> int:
        """At which try a task is."""
        return self.airflow.rest.task(run.dag_id, run.run_id, task_id).try_number

    def waiting_release(self) -> Run:
        """The release run that waits at its gate in the triggerer."""
        rest = self.airflow.rest

        def find() -> Run | None:
            for run in rest.runs("first_release"):
                if run.state == "running" and rest.task(run.dag_id, run.run_id, "gate").state == "deferred":
                    return run
            return None

        return until(find, "a release waits at its gate")

    def settle(self) -> None:
        """Wait until each promotion has started its release run, and none of the group's runs goes on."""
        rest = self.airflow.rest

        def is_settled() -> bool:
            events = [event for event in rest.asset_events() if event.name == "first_staging"]
            runs = [run for dag in rest.dags() if dag.dag_id.startswith("first") for run in rest.runs(dag.dag_id)]
            return all(event.created_runs for event in events) and all(run.is_finished for run in runs)

        until(is_settled, "all runs have ended")

    # --------------------------------------------------------------------------------------------------------- kills

    def process(self, run: Run, task_id: str) -> psutil.Process | None:
        """The process of a task's first try, once there is one; None if it has ended by then."""
        rest = self.airflow.rest
        pid = until(lambda: rest.task(run.dag_id, run.run_id, task_id).pid, f"{task_id} runs", poll=0.02)
        try:
            return psutil.Process(pid)
        except psutil.NoSuchProcess:
            return None

    def hold(self, where: str) -> None:
        """Let the next task that comes to that place stop there."""
        (self.flags / where).touch()

    def wait_until_held(self, where: str) -> None:
        """Return once a task stands at that place."""
        until((self.flags / f"{where}.reached").exists, f"a task comes to {where}")

    def let_go(self, where: str) -> None:
        """Let tasks pass that place again."""
        (self.flags / where).unlink()
        time.sleep(0.2)  # who stands there touches the other file once more
        (self.flags / f"{where}.reached").unlink()

    def kill_held(self, run: Run, task_id: str, where: str) -> None:
        """Kill a task's process while it stands at a place, and let its next try pass."""
        self.wait_until_held(where)
        assert kill(self.process(run, task_id))
        self.let_go(where)

    def kill_recording(self, run: Run, task_id: str, number: int) -> bool:
        """Kill a task's process right after its entry is in the log; False if it was too fast for that."""
        process = self.process(run, task_id)
        until(lambda: self.state.head >= number, f"{task_id} has recorded entry {number}", poll=0.001)
        return kill(process)

    def kill_early(self, run: Run, task_id: str, delay: float) -> bool:
        """Kill a task's process so many seconds after it was seen; False if it had ended by then."""
        process = self.process(run, task_id)
        time.sleep(delay)
        return kill(process)


def until(find: Callable[[], Any], what: str, *, poll: float = 0.1) -> Any:  # noqa: ANN401  whatever is looked for
    """What `find` finds, once it finds something."""
    deadline = time.monotonic() + WAIT
    while not (found := find()):
        assert time.monotonic() < deadline, f"not within {WAIT} s: {what}"
        time.sleep(poll)
    return found


def kill(process: psutil.Process | None) -> bool:
    """Kill a process as the operating system would (-9); False if it had ended."""
    try:
        if process is not None:
            process.kill()
    except psutil.NoSuchProcess:
        return False
    return process is not None


def check_folders(registry: Registry) -> None:
    """Each folder that the log names holds what its manifest says, with the promised bytes, and nothing else."""
    state, objects = registry.state(), registry.objects
    for version in versions(state):
        ref = version.fact.manifest
        manifest = json_of(objects, ref)
        files = files_of(ref, manifest)
        for file in files.values():
            objects.get(file)
        folder = str(PurePosixPath(ref.path).parent)
        assert sorted(objects.names(folder)) == sorted([ref.path, *(file.path for file in files.values())])
        if "source" in manifest and "sha256" in manifest["source"]:
            assert objects.describe(manifest["source"]["path"]).sha256 == manifest["source"]["sha256"]
    for past in state.releases.values():
        for release in past:
            assert json_of(objects, release.manifest)["group"] == release.group


def json_of(objects: Objects, ref: Any) -> dict[str, Any]:  # noqa: ANN401  an ObjectRef
    """An object as JSON, verified."""
    found: dict[str, Any] = json.loads(objects.get(ref))
    return found


# ------------------------------------------------------------------------------------------------------------ fixtures


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A running Airflow with the tiny groups, and an empty registry."""
    folder = tmp_path_factory.mktemp("standalone")
    for name, text in {
        "dags/tiny_dags.py": DAG_FILE,
        "include/tiny/__init__.py": DECLARATIONS,
        "include/tiny/patient.py": ESTIMATOR,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    data, flags, registry = folder / "data" / "rows", folder / "flags", (folder / "registry").as_uri()
    data.mkdir(parents=True)
    flags.mkdir()
    names = [
        f"{group}_{what}" for group in ("first", "lonely") for what in ("retrain", "promote", "release", "rollback")
    ]
    airflow = Standalone(
        home=folder / "airflow",
        dags=folder / "dags",
        plugins=PROJECT / "plugins",
        include=[folder / "include", PROJECT / "include", PROJECT / "plugins"],
        expected=names,
        timeout=WAIT,
        variables={
            "LOCKSTEP_REGISTRY": registry,
            "LOCKSTEP_DATA": str(folder / "data"),
            "TINY_FLAGS": str(flags),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,vic:viewer",
            # a part that was killed is missed after so many seconds, not after 30
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
        },
    )
    with airflow:
        yield Desk(airflow=airflow, registry=Registry.open(registry), data=data, flags=flags, months=count(1))


@dataclass(frozen=True, kw_only=True)
class Way:
    """What was seen on the way to the first release."""

    retrained: Run
    gate: Run
    gate_log: str
    heads: tuple[int, int, int]  # at the start, with the gate waiting, at the end


@pytest.fixture(scope="module")
def way(desk: Desk) -> Way:
    """The first month: trained, promoted one after the other, released."""
    start = desk.state.head
    desk.month()
    retrained = desk.run("retrain", {"parameters": {"second": {"C": 0.5}}})
    desk.run("promote", {"version": "first@1"})
    gate = desk.waiting_release()
    rest = desk.airflow.rest
    until(lambda: WAITS_FOR_SECOND in rest.log(gate.dag_id, gate.run_id, "gate"), "the log of the gate says why")
    log, waiting = rest.log(gate.dag_id, gate.run_id, "gate"), desk.state.head
    desk.run("promote", {"version": "second@1"})
    desk.finish(gate)
    desk.settle()
    return Way(retrained=retrained, gate=gate, gate_log=log, heads=(start, waiting, desk.state.head))


@pytest.fixture(scope="module")
def two_sets(desk: Desk, way: Way) -> tuple[tuple[str, str], tuple[str, str]]:
    """Two sets of versions that fit together, to move between; the first was released."""
    assert way.heads[-1]
    desk.month()
    made = desk.run("retrain")
    return ("first@1", "second@1"), (made_by(desk, made, "first"), made_by(desk, made, "second"))


def made_by(desk: Desk, run: Run, model: str) -> str:
    """The version of a model that a retraining run made."""
    return str(desk.airflow.rest.xcom(run.dag_id, run.run_id, f"{model}.train")["version"])


def other_set(desk: Desk, sets: tuple[tuple[str, str], tuple[str, str]]) -> tuple[str, str]:
    """The one of two sets that is not in production."""
    production = desk.state.production("first")
    assert production is not None
    return next(two for two in sets if desk.state.model(two[0]).digest != production.members["model:first"])


# --------------------------------------------------------------------------------------------------------------- tests


def test_the_whole_way_to_a_release(desk: Desk, way: Way) -> None:
    """Retraining adds candidates only, one promotion leaves the gate waiting, and the second lets all be released."""
    start, waiting, end = way.heads
    kinds = [entry.fact.kind for entry in desk.registry.log.entries()]
    assert Counter(kinds[start:waiting]) == TRAINED + Counter(promoted=1)
    assert kinds[waiting:end] == ["promoted", "released"]
    release = desk.state.releases["first"][0]
    assert set(release.members) == {"model:first", "model:second", "threshold:go", "threshold:halt"}
    assert all(release.members[key] == version.digest for key, version in {
        "model:first": desk.state.model("first@1"),
        "model:second": desk.state.model("second@1"),
        "threshold:go": desk.state.threshold("go@1"),
        "threshold:halt": desk.state.threshold("halt@1"),
    }.items())  # fmt: skip
    job = release.recorded.origin.job
    assert job is not None
    assert (job.system, job.run, job.task) == ("airflow", f"first_release/{way.gate.run_id}", "release")
    check_folders(desk.registry)


def test_a_waiting_gate_says_why(way: Way) -> None:
    """The log of a waiting gate names each member, with the reason of the one that keeps it shut."""
    assert f"WAIT model second: {WAITS_FOR_SECOND}" in way.gate_log
    assert "ok   model first: first@1 is in staging" in way.gate_log
    assert "waiting in the triggerer" in way.gate_log


class Browser:
    """A user of Airflow's pages."""

    def __init__(self, desk: Desk, user: str) -> None:
        passwords = json.loads((desk.airflow.home / "passwords.json").read_text())
        self._http = httpx.Client(base_url=desk.airflow.url, timeout=60)
        answer = self._http.post("/auth/token", json={"username": user, "password": passwords[user]})
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def get(self, path: str) -> httpx.Response:
        """The answer to a request."""
        return self._http.get(path)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


@pytest.fixture(params=["admin", "vic"])
def browser(desk: Desk, request: pytest.FixtureRequest) -> Iterator[Browser]:
    """The administrator, and a user who may only look."""
    user = Browser(desk, request.param)
    yield user
    user.close()


def test_a_task_links_to_the_page_of_what_it_made(desk: Desk, way: Way, browser: Browser) -> None:
    """The link of a task leads to the page of its version, which names job, log, source, parameters and data."""
    run = way.retrained
    links = browser.get(f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/second.train/links")
    address = links.json()["extra_links"]["Lockstep version"]
    assert address == f"{desk.airflow.url}/lockstep/versions/second%401"
    answer = browser.get(urlsplit(address).path)
    version = desk.state.model("second@1")
    job = version.recorded.origin.job
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert job is not None
    for said in (
        f"airflow · first_retrain/{run.run_id} · second.train · try 1",
        f'href="{job.log}"',
        f"sources/{version.fact.source}.tar.gz",
        "tiny.patient",  # the estimator, in the manifest
        '<a href="rows@1">rows@1</a>',
        '<a href="first@1">first@1</a>',
        '<a href="halt@1">halt@1</a>',
        "<tr><th>C</th><td>0.5",  # the parameter that the run was given
        "<h2>Metrics on the test split</h2>",
        version.digest,
    ):
        assert said in answer.text, said
    assert job.log.startswith(desk.airflow.url)
    assert browser.get(urlsplit(job.log).path).status_code == 200


def test_each_kind_of_version_has_a_page(browser: Browser, way: Way) -> None:
    """Snapshots, models and thresholds have pages; one of a name alone is that of the newest version."""
    assert way.heads[-1]
    assert "300 kept, 0 in quarantine" in browser.get("/lockstep/versions/rows@1").text
    assert "<h2>Value</h2>" in browser.get("/lockstep/versions/go@1").text
    assert browser.get("/lockstep/versions/first").status_code == 200


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("first@99", "There is no model version"),
        ("first@zero", "There is no model version"),
        ("nobody", "There is no version of"),
        ("<b>", "There is no version of"),
    ],
)
def test_an_unknown_version_has_a_page_that_says_so(browser: Browser, way: Way, ref: str, says: str) -> None:
    """A version that does not exist is answered with 404 and a sentence."""
    assert way.heads[-1]
    answer = browser.get(f"/lockstep/versions/{ref}")
    assert answer.status_code == 404
    assert says in answer.text
    assert "<b>" not in answer.text


@pytest.mark.parametrize("path", ["/lockstep/versions/first@1", "/lockstep/versions/nobody"])
def test_nobody_reads_a_page_without_logging_in(desk: Desk, path: str) -> None:
    """Without a login a page is answered with 401, whether the version exists or not."""
    with httpx.Client(base_url=desk.airflow.url, timeout=60) as http:
        answer = http.get(path)
    assert answer.status_code == 401
    assert "first" not in answer.text


def test_a_retraining_killed_in_the_middle_of_its_tasks_ends_as_if_nothing_had_happened(desk: Desk, way: Way) -> None:
    """Killed while it cleans, fits or tunes, a task is tried again, and leaves one version and whole folders."""
    desk.month()
    for where in ("clean", "fit", "tune"):
        desk.hold(where)
    head = desk.state.head
    run = desk.trigger("retrain")
    for task_id, where in (("snapshot_rows", "clean"), ("first.train", "fit"), ("first.tune_go", "tune")):
        desk.kill_held(run, task_id, where)
    desk.finish(run)
    assert desk.added(head) == TRAINED
    assert [desk.tries(run, task) for task in ("snapshot_rows", "first.train", "first.tune_go")] == [2, 2, 2]
    check_origins(desk, head, run, {"snapshot_rows": 2, "first.train": 2, "first.tune_go": 2})
    assert way.heads[-1] <= head
    check_folders(desk.registry)


def check_origins(desk: Desk, head: int, run: Run, attempts: dict[str, int]) -> None:
    """Each new entry says by which task of the run it was recorded, and at which try."""
    for entry in desk.registry.log.entries():
        if entry.number > head:
            job = entry.origin.job
            assert job is not None
            assert job.run == f"{run.dag_id}/{run.run_id}"
            assert job.attempt == attempts.get(job.task, 1), job.task


def test_a_task_killed_after_it_has_recorded_records_nothing_twice(desk: Desk, way: Way) -> None:
    """Killed right after its entry is in the log, a task's next try finds that entry and gives it on."""
    desk.month()
    head = desk.state.head
    run = desk.trigger("retrain", {"force": True})
    desk.kill_recording(run, "snapshot_rows", head + 1)
    desk.kill_recording(run, "first.train", head + 2)
    desk.finish(run)
    assert desk.added(head) == TRAINED
    check_origins(desk, head, run, {})
    assert made_by(desk, run, "second") == desk.state.models["second"][-1].ref
    assert way.heads[-1] <= head
    assert any(desk.tries(run, task_id) == 2 for task_id in ("snapshot_rows", "first.train"))
    check_folders(desk.registry)


def test_promotions_releases_and_rollbacks_survive_kills(
    desk: Desk, two_sets: tuple[tuple[str, str], tuple[str, str]], subtests: pytest.Subtests
) -> None:
    """Killed at whatever moment, promotion, release and rollback are each one entry when the run has ended."""
    chance = random.Random(20260105)  # noqa: S311  nothing secret
    hits: Counter[str] = Counter()
    desk.settle()

    def hit(run: Run, task_id: str, number: int, delay: float | None) -> None:
        """Kill a task so long after it was seen (None: when its entry is there), and see its run end well."""
        if delay is None:
            is_hit = desk.kill_recording(run, task_id, head + number)
        else:
            is_hit = desk.kill_early(run, task_id, delay)
        desk.finish(run)
        tries = desk.tries(run, task_id)
        assert tries in ((2,) if is_hit and delay == 0 else (1, 2))
        hits[task_id] += tries - 1

    for number, delay in enumerate((0.0, chance.uniform(0.1, 1), None)):
        with subtests.test("promoted and released", round=number):
            first, second = other_set(desk, two_sets)
            head = desk.state.head
            hit(desk.trigger("promote", {"version": first}), "promote", 1, delay)
            assert desk.added(head) == Counter(promoted=1)
            gate = desk.waiting_release()
            promotion = desk.trigger("promote", {"version": second})
            hit(gate, "release", 3, delay)
            desk.finish(promotion)
            desk.settle()
            assert desk.added(head) == Counter(promoted=2, released=1)
            production = desk.state.production("first")
            assert production is not None
            assert dict(production.members) == dict(desk.state.staging)
            assert production.members["model:first"] == desk.state.model(first).digest
    for number, delay in enumerate((chance.uniform(0, 1), None)):
        with subtests.test("rolled back", round=number):
            head, undo = desk.state.head, desk.state.undo["first"]
            hit(desk.trigger("rollback"), "rollback", 1, delay)
            assert desk.added(head) == Counter(rolled_back=1)
            assert [release.digest for release in desk.state.undo["first"]] == [release.digest for release in undo[:-1]]
    assert hits["promote"], hits
    assert hits["release"], hits
    check_folders(desk.registry)


def test_a_retraining_survives_the_death_of_the_scheduler(desk: Desk, way: Way) -> None:
    """A scheduler killed while a model is fitted, and started again, brings the run to the same end."""
    desk.month()
    desk.hold("fit")
    head = desk.state.head
    run = desk.trigger("retrain")
    desk.wait_until_held("fit")
    desk.airflow.kill("scheduler")
    assert "scheduler" not in desk.airflow.pids()
    desk.airflow.restart("scheduler")
    desk.let_go("fit")
    desk.finish(run)
    assert desk.added(head) == TRAINED
    assert way.heads[-1] <= head
    check_folders(desk.registry)


def test_waiting_gates_share_one_reader_and_survive_the_death_of_the_triggerer(desk: Desk, way: Way) -> None:
    """Waiting gates have one reader of the log, also after the triggerer was killed and started again, and open."""
    rest, log = desk.airflow.rest, desk.airflow.log_file
    assert way.heads[-1]
    desk.month()
    made = desk.run("retrain")  # what was released and rolled back is not released again
    first, second = made_by(desk, made, "first"), made_by(desk, made, "second")
    desk.settle()

    def readers(since: int) -> int:
        return log.read_bytes()[since:].count(b"lockstep: one reader starts")

    def now() -> int:
        return log.stat().st_size

    began, head = now(), desk.state.head
    lonely = rest.trigger("lonely_release")
    until(lambda: rest.task("lonely_release", lonely.run_id, "gate").state == "deferred", "the lonely gate waits")
    desk.run("promote", {"version": first})
    gate = desk.waiting_release()
    until(lambda: readers(began), "a reader was started")
    desk.airflow.kill("triggerer")
    assert "triggerer" not in desk.airflow.pids()
    assert readers(began) == 1
    desk.run("promote", {"version": second})
    assert rest.task(gate.dag_id, gate.run_id, "gate").state == "deferred"
    began = now()
    desk.airflow.restart("triggerer")
    desk.finish(gate)
    desk.settle()
    assert desk.added(head) == Counter(promoted=2, released=1)
    assert rest.task("lonely_release", lonely.run_id, "gate").state == "deferred"
    assert readers(began) == 1
