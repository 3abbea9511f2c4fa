"""Those who are asked whether a group may be released: users of Airflow, and what they see and answer."""

import json
import re
import time
from dataclasses import dataclass
from typing import Any

import httpx

from demo.answers import Run
from lockstep.group import Group, GroupApi, GroupModel
from lockstep.registry import Origin
from lockstep.release import compose, digest_of_release, promote
from tests.airflow.desk import WAIT, Desk, until

QUIZ = Group(
    name="asked",
    models=(
        GroupModel(
            name="quiz", dataset="others", shared=True, deprecated_after=None, builds_on=(), thresholds=("guess",)
        ),
    ),
    apis=(GroupApi(name="quizzes", decides=("guess",), explains=()),),
)
PERSON = Origin(by="cleo", why="at the command line")
VERSIONS = 8
# Seconds that somebody reads: Airflow takes a task for lost that goes on before its scheduler heard that it had begun
# to wait, and it may hear of that five seconds late.
READS, READS_AT_MOST = 0.5, 8.0
TRAINING = """
import os, sys

from lockstep.data import take_snapshot
from lockstep.decisions import tune_threshold
from lockstep.registry import Origin, Registry
from lockstep.training import train_model
from tiny import asked

registry, origin = Registry.open(os.environ["LOCKSTEP_REGISTRY"]), Origin(by="cleo")
snapshot = take_snapshot(registry, asked.dataset("others"), origin)
for number in range(int(sys.argv[1])):
    made = {"snapshot": snapshot, "upstream": {}, "parameters": {"C": 0.01 * 4**number}}
    version = train_model(registry, asked, "quiz", origin, **made).version
    tune_threshold(registry, asked, "guess", origin, model=version)
"""

# What the triggerer of an Airflow on SQLite does to the task that got the number of an older trigger.
ANOTHERS = """
import json, sys
from uuid import uuid4

from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from sqlalchemy import select

run, said = sys.argv[1], json.loads(sys.argv[2])
with create_session() as session:
    number = session.scalars(select(TaskInstance.trigger_id).filter_by(run_id=run, task_id="approve")).one()
    if said is None:
        trigger = session.get(Trigger, number)
        trigger.kwargs = {**trigger.kwargs, "question": "0" * 32, "asked": str(uuid4())}
    else:
        Trigger.submit_event(number, TriggerEvent({"question": "0" * 32, **said}), session=session)
"""


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

    def patch(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """The answer to a change."""
        return self._http.patch(path, json=body)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The people who are asked about releases of `asked`."""

    desk: Desk
    bob: Browser
    eve: Browser

    def staged(self) -> str:
        """The digest of the set in staging."""
        return digest_of_release(compose(QUIZ, self.desk.state))

    def promote(self, number: int) -> Run:
        """Promote by Airflow, and give the release run that this wakes up."""
        known = self.known()
        self.desk.finish(self.desk.airflow.rest.trigger("asked_promote", {"version": f"quiz@{number}"}))
        return self.next_run(known)

    def known(self) -> set[str]:
        """The release runs that there are."""
        return {run.run_id for run in self.desk.airflow.rest.runs("asked_release")}

    def next_run(self, known: set[str]) -> Run:
        """The first release run that was not known."""
        return self.desk.airflow.rest.wait_for_new_run("asked_release", known, timeout=WAIT)

    def promote_elsewhere(self, number: int) -> None:
        """Promote as the command line does: no asset event tells Airflow."""
        promote(self.desk.registry, QUIZ, f"quiz@{number}", PERSON)

    def asked(self, run: Run) -> dict[str, Any]:
        """What is asked about exactly the set in staging, once it is."""
        digest = self.staged()

        def find() -> dict[str, Any] | None:
            answer = self.bob.get(path_of(run))
            found = answer.json() if answer.is_success else {}
            return found if digest in found.get("body", "") and not found["response_received"] else None

        found: dict[str, Any] = until(find, f"somebody is asked about {digest}")
        task = self.desk.airflow.rest.task
        until(lambda: task(run.dag_id, run.run_id, "approve").state == "deferred", "the task waits for the answer")
        self._read(run)
        return found

    def _read(self, run: Run) -> None:
        """Wait until the scheduler has heard of the end of each process that asked; of a killed one it never does."""
        end = time.monotonic() + READS_AT_MOST
        time.sleep(READS)
        while time.monotonic() < end:
            said = self.desk.airflow.log_file.read_text(errors="replace")
            begun = re.findall(rf"Trying to enqueue tasks: .*asked_release\.approve {re.escape(run.run_id)}", said)
            heard = re.findall(rf"Received executor event .*task_id='approve', run_id='{re.escape(run.run_id)}'", said)
            if len(heard) >= len(begun):
                return
            time.sleep(0.1)

    def decide(self, run: Run, word: str, why: str = "") -> Run:
        """Answer whatever is asked, until the run has ended well: a task that was killed meanwhile asks again."""
        rest = self.desk.airflow.rest

        def ended() -> Run | None:
            now = rest.run(run.dag_id, run.run_id)
            asked = self.bob.get(path_of(run))
            if not now.is_finished and asked.is_success and not asked.json()["response_received"]:
                self.answer(run, word, why)
            return now if now.is_finished else None

        until(ended, "the run has ended")
        return self.desk.finish(run)

    def answer(self, run: Run, word: str, why: str = "", by: Browser | None = None) -> httpx.Response:
        """Answer as bob, or somebody else."""
        return (by or self.bob).patch(path_of(run), {"chosen_options": [word], "params_input": {"why": why or None}})

    def hand_anothers(self, run: Run, said: dict[str, Any] | None) -> None:
        """Hand to this run's task what the trigger of another question said, and see it wait again.

        None: let it have that trigger itself, whose question is gone, while there is no triggerer.
        """
        task = self.desk.airflow.rest.task
        before = task(run.dag_id, run.run_id, "approve").pid
        done = self.desk.airflow.run("-c", ANOTHERS, run.run_id, json.dumps(said))
        assert done.returncode == 0, done.stderr
        if said is None:
            self.desk.airflow.restart("triggerer")

        def waits() -> bool:
            now = task(run.dag_id, run.run_id, "approve")
            return now.pid != before and now.state == "deferred"

        until(waits, "the task waits again")
        self._read(run)

    def said(self, head: int) -> list[tuple[str, str, str]]:
        """Kind, person and reason of the entries behind one."""
        entries = [entry for entry in self.desk.registry.log.entries() if entry.number > head]
        return [(entry.fact.kind, entry.origin.by, entry.origin.why) for entry in entries]

    def states(self, run: Run) -> dict[str, str | None]:
        """The state of each task of a run."""
        return {task.task_id: task.state for task in self.desk.airflow.rest.task_instances(run.dag_id, run.run_id)}


def path_of(run: Run) -> str:
    """Where Airflow has what a run's approval asks."""
    return f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/approve/-1/hitlDetails"
