"""Lockstep on a real Airflow: the whole way to a release, the page of a version, and kills at the worst moments.

One Airflow serves all tests of this module. Each test takes new data or moves between versions that are there, and
looks only at the log entries that were added meanwhile, so that it holds in any order.
"""

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import psutil
import pytest

from demo.answers import Run
from demo.standalone import Standalone
from lockstep.registry import Registry
from lockstep.release import approve, gate
from tests.airflow.desk import WAIT, Desk, check_folders, kill, until
from tests.airflow.panel import PERSON, QUIZ, TRAINING, VERSIONS, Browser, Panel

pytestmark = [pytest.mark.standalone, pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = Path(__file__).parents[2]
TRAINED = Counter(snapshot_taken=1, model_trained=2, threshold_tuned=2)
WAITS_FOR_SECOND = "second is not in staging"

DAG_FILE = """
from datetime import timedelta

from lockstep_airflow import by_hand, release_dags
from tiny import asked, graph, paced

dags = release_dags(graph) | release_dags(asked, approval=by_hand(assigned_users=["bob"]))
dags |= release_dags(paced, watch="0 0 29 2 *")
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

from lockstep import Api, Dataset, Graph, Model, Threshold, age, csv, fixed, recall_at_least


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
quiz = Model("quiz", data=others, target="yes", estimator=patient)
guess = Threshold("guess", model=quiz, choose=fixed(0.5))
asked = Graph([Api("quizzes", decides=[guess])], name="asked")
walker = Model("walker", data=others, target="yes", estimator=patient)
pace = Threshold("pace", model=walker, choose=fixed(0.5))
paced = Graph([Api("paces", decides=[pace])], name="paced", retrain_when=age(days=30))
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
    data, flags, registry = folder / "data", folder / "flags", (folder / "registry").as_uri()
    for name in ("rows", "others"):
        (data / name).mkdir(parents=True)
    flags.mkdir()
    parts = ("retrain", "promote", "release", "rollback", "hold", "resume")
    names = [f"{group}_{what}" for group in ("first", "lonely", "asked", "paced") for what in parts]
    airflow = Standalone(
        home=folder / "airflow",
        dags=folder / "dags",
        plugins=PROJECT / "plugins",
        include=[folder / "include", PROJECT / "include", PROJECT / "plugins"],
        expected=names,
        timeout=WAIT,
        variables={
            "LOCKSTEP_REGISTRY": registry,
            "LOCKSTEP_DATA": str(data),
            "TINY_FLAGS": str(flags),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,vic:viewer,bob:user,eve:user",
            # a part that was killed is missed after so many seconds; one that a busy machine keeps waiting is not
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "30",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "30",
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


@pytest.fixture(params=["admin", "vic"])
def browser(desk: Desk, request: pytest.FixtureRequest) -> Iterator[Browser]:
    """The administrator, and a user who may only look."""
    user = Browser(desk, request.param)
    yield user
    user.close()


def test_a_task_links_to_the_page_of_what_it_made(desk: Desk, way: Way, browser: Browser) -> None:
    """The link of a task leads to the page of its version, whose answer names job, log, source, parameters and data."""
    run = way.retrained
    links = browser.get(f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/second.train/links")
    address = links.json()["extra_links"]["Lockstep version"]
    assert address == f"{desk.airflow.url}/plugin/lockstep/versions/second%401"
    (place,) = browser.get("/lockstep/api/find/second@1").json().values()
    page = browser.get(f"/lockstep/api/groups/{place}/versions/second@1").json()
    version = desk.state.model("second@1")
    job = version.recorded.origin.job
    assert job is not None
    told = page["said"]["job"]
    assert (told["dag_id"], told["run_id"], told["task_id"]) == ("first_retrain", run.run_id, "second.train")
    assert (told["log"], told["attempt"]) == (job.log, 1)
    assert page["source"]["path"] == f"sources/{version.fact.source}.tar.gz"
    assert page["manifest"]["estimator"]["function"] == "tiny.patient"
    assert {other["ref"] for other in page["made_from"]} == {"rows@1", "first@1"}
    assert {other["ref"] for other in page["made_into"]} == {"halt@1"}
    assert page["parameters"]["C"] == 0.5  # that the run was given
    assert page["digest"] == version.digest
    assert job.log.startswith(desk.airflow.url)
    assert browser.get(urlsplit(job.log).path).status_code == 200


def test_a_task_instance_tells_what_it_made(browser: Browser, way: Way) -> None:
    """By the names that Airflow has for a task instance, what it made is found."""
    query = f"dag_id=first_retrain&run_id={quote(way.retrained.run_id)}&task_id=second.train&map_index=-1"
    made = browser.get(f"/lockstep/api/made?{query}").json()
    assert made["group"] == "first"
    assert [version["ref"] for version in made["versions"]] == ["second@1"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/lockstep/api/groups/first/versions/first@99", 404),
        ("/lockstep/api/groups/first/versions/first@zero", 404),
        ("/lockstep/api/groups/nobody", 404),
        ("/lockstep/api/find/<b>", 404),
        ("/lockstep/api/groups/first/versions?limit=many", 422),
    ],
)
def test_what_there_is_not_is_an_answer_that_says_so(browser: Browser, way: Way, path: str, status: int) -> None:
    """What does not exist, or can't be asked for, is answered with a sentence."""
    assert way.heads[-1]
    answer = browser.get(path)
    assert answer.status_code == status
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize("path", ["/lockstep/versions/first@1", "/lockstep/api/groups", "/lockstep/ui/main.js"])
def test_nobody_reads_anything_without_logging_in(desk: Desk, path: str) -> None:
    """Without a login all is answered with 401, whether it exists or not."""
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
    if desk.state.hold("first"):
        desk.run("resume", {"why": "the next test"})
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


def test_events_that_come_during_a_retraining_make_one_run(desk: Desk) -> None:
    """The first says that it is due, and starts a run; 24 more while that goes on start one together."""
    rest = desk.airflow.rest
    desk.month("others")
    desk.hold("fit")
    rest.send_event("paced_due", {"about": "the first"})
    first = rest.wait_for_new_run("paced_retrain", (), timeout=WAIT)
    desk.wait_until_held("fit")
    for number in range(24):
        rest.send_event("paced_due", {"about": f"number {number}"})
    assert [run.run_id for run in rest.runs("paced_retrain")] == [first.run_id]
    desk.let_go("fit")
    desk.finish(first)
    second = desk.finish(rest.wait_for_new_run("paced_retrain", {first.run_id}, timeout=WAIT))
    time.sleep(3)  # whoever would start a third has long seen that the second has ended
    assert {run.run_id for run in rest.runs("paced_retrain")} == {first.run_id, second.run_id}


# ------------------------------------------------------------------------------------------ a person approves a release


@pytest.fixture(scope="module")
def panel(desk: Desk) -> Iterator[Panel]:
    """Versions of quiz that were trained beforehand, and two users, of whom bob may answer."""
    desk.month("others")
    trained = desk.airflow.run("-c", TRAINING, str(VERSIONS))
    assert trained.returncode == 0, trained.stderr
    bob, eve = Browser(desk, "bob"), Browser(desk, "eve")
    yield Panel(desk=desk, bob=bob, eve=eve)
    bob.close()
    eve.close()


def test_a_person_approves_what_was_shown(panel: Panel) -> None:
    """The diff stands in the question; only who is assigned may answer; the release says who approved, and why."""
    head = panel.desk.state.head
    run = panel.promote(1)
    asked = panel.asked(run)
    assert "## What releasing asked changes" in asked["body"]
    assert asked["options"] == ["Approve", "Reject"]
    assert panel.answer(run, "Approve", "no", by=panel.eve).status_code == 403
    assert panel.answer(run, "Approve", "looks good").status_code == 200
    assert panel.answer(run, "Reject", "too late").status_code == 409
    panel.decide(run, "Approve", "looks good")
    assert panel.said(head) == [
        ("promoted", "admin", ""),
        ("approved", "bob", "looks good"),
        ("released", "airflow", ""),
    ]
    job = list(panel.desk.registry.log.entries())[-2].origin.job
    assert job is not None
    assert (job.run, job.task) == (f"asked_release/{run.run_id}", "approve")
    assert panel.states(run)["ask_again"] == "skipped"


def test_a_rejection_is_recorded_with_its_reason(panel: Panel) -> None:
    """Without a reason it is asked again; with one the release is skipped, and the gate is closed by that reason."""
    head = panel.desk.state.head
    run = panel.promote(2)
    panel.asked(run)
    assert panel.answer(run, "Reject").status_code == 200
    panel.asked(run)
    panel.decide(run, "Reject", "too many quizzes")
    assert panel.said(head) == [("promoted", "admin", ""), ("rejected", "bob", "too many quizzes")]
    assert panel.states(run) == {
        "gate": "success", "diff": "success", "approve": "skipped", "release": "skipped", "ask_again": "skipped",
    }  # fmt: skip
    assert "was rejected by bob" in gate(QUIZ, panel.desk.state).reasons[0]


def test_no_event_on_another_question_counts(panel: Panel) -> None:
    """What Airflow brings from another question's trigger, on SQLite, changes nothing: this question stands."""
    desk, head = panel.desk, panel.desk.state.head
    desk.airflow.kill("triggerer")
    run = panel.promote(8)
    asked = panel.asked(run)
    answered = {"chosen_options": ["Approve"], "params_input": {"why": "another set"}}
    for said in (
        None,
        {**answered, "responded_by_user": {"id": "eve", "name": "eve"}},
        {"timeout": "2026-01-01T00:00:00+00:00"},
        {"changed": 1},
    ):
        panel.hand_anothers(run, said)
        assert panel.said(head) == [("promoted", "admin", "")]
        assert panel.asked(run)["body"] == asked["body"]
    log = desk.airflow.rest.log(run.dag_id, run.run_id, "approve")
    assert log.count("What came is about another question; this one waits on.") == 4
    panel.decide(run, "Reject", "seen")
    assert panel.said(head)[1:] == [("rejected", "bob", "seen")]
    assert desk.tries(run, "approve") == 1


def test_who_promotes_meanwhile_is_noticed_and_no_old_answer_counts(panel: Panel) -> None:
    """Another run asks about the new set: at once, or, where the triggerer is dead, when the old answer comes."""
    desk, head = panel.desk, panel.desk.state.head
    run = panel.promote(3)
    panel.asked(run)
    known = panel.known()
    panel.promote_elsewhere(4)
    desk.finish(run)
    assert (panel.states(run)["release"], panel.states(run)["ask_again"]) == ("skipped", "success")
    second = panel.next_run(known)
    panel.asked(second)
    desk.airflow.kill("triggerer")
    known = panel.known()
    panel.promote_elsewhere(5)
    assert panel.answer(second, "Approve", "the fourth").status_code == 200
    desk.finish(second)
    third = panel.next_run(known)
    panel.asked(third)
    panel.decide(third, "Approve", "the fifth")
    desk.airflow.restart("triggerer")
    assert [one for one in panel.said(head) if one[0] != "promoted"] == [
        ("approved", "bob", "the fifth"),
        ("released", "airflow", ""),
    ]
    production = desk.state.production("asked")
    assert production is not None
    assert production.members["model:quiz"] == desk.state.model("quiz@5").digest


def test_a_word_from_elsewhere_needs_no_answer(panel: Panel) -> None:
    """Where somebody approves by the command line while Airflow asks, the run goes on."""
    head = panel.desk.state.head
    run = panel.promote(6)
    panel.asked(run)
    approve(panel.desk.registry, QUIZ, PERSON, digest=panel.staged())
    panel.desk.finish(run)
    assert [kind for kind, _, _ in panel.said(head)] == ["promoted", "approved", "released"]


def test_an_approval_survives_kills(panel: Panel) -> None:
    """A task killed before it records the answer asks again; killed after, it finds its word; one approval stands."""
    desk, rest, head = panel.desk, panel.desk.airflow.rest, panel.desk.state.head
    run = panel.promote(7)
    panel.asked(run)

    def resumed(before: int | None) -> psutil.Process | None:
        """The process that takes the answer in."""
        pid = until(lambda: (now := rest.task(run.dag_id, run.run_id, "approve").pid) != before and now, "it resumes")
        return psutil.Process(pid) if psutil.pid_exists(pid) else None

    before = rest.task(run.dag_id, run.run_id, "approve").pid
    assert panel.answer(run, "Approve", "once").status_code == 200
    kill(resumed(before))
    until(
        lambda: desk.tries(run, "approve") > 1 or "approved" in desk.added(head), "it is tried again, or was too fast"
    )
    if "approved" not in desk.added(head):
        panel.asked(run)
        before = rest.task(run.dag_id, run.run_id, "approve").pid
        assert panel.answer(run, "Approve", "once").status_code == 200
        process = resumed(before)
        until(lambda: "approved" in desk.added(head), "the approval is recorded", poll=0.001)
        kill(process)
    panel.decide(run, "Approve", "once")
    assert panel.said(head) == [("promoted", "admin", ""), ("approved", "bob", "once"), ("released", "airflow", "")]


def test_a_rollback_holds_until_somebody_resumes(panel: Panel) -> None:
    """The rollback says that the group is on hold; the release waits at its gate until `_resume` has lifted it."""
    desk, rest, head = panel.desk, panel.desk.airflow.rest, panel.desk.state.head
    back = desk.finish(rest.trigger("asked_rollback", {"why": "complaints"}))
    assert rest.xcom(back.dag_id, back.run_id, "rollback")["on_hold"] is True
    assert "is on hold now" in rest.log(back.dag_id, back.run_id, "rollback")
    run = panel.promote(4)
    until(lambda: rest.task(run.dag_id, run.run_id, "gate").state == "deferred", "the gate waits")
    assert "is on hold since" in rest.log(run.dag_id, run.run_id, "gate")
    desk.finish(rest.trigger("asked_resume", {"why": "it was the network"}))
    panel.asked(run)
    panel.decide(run, "Approve")
    assert panel.said(head) == [
        ("rolled_back", "admin", "complaints"),
        ("promoted", "admin", ""),
        ("resumed", "admin", "it was the network"),
        ("approved", "bob", ""),
        ("released", "airflow", ""),
    ]
