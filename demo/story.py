"""The story: from a month's customers to a released decision, a second release, and back, through Airflow's REST API.

Rules:

* Airflow is told what to do by its REST API only; what happened is read back from Airflow, from the command line
  (`lockstep gate`), from the registry and from the decision API.
* Whatever the story says is checked. What is not so ends the demo with a sentence.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo.answers import Run
from demo.customers import Customers, one_of
from demo.rest import Rest
from demo.screen import Screen
from demo.service import Decisions
from demo.simulate import COMPETITOR_OPENS
from demo.surroundings import StoryFailed, Surroundings
from lockstep.registry import Registry, Stage, model_key

__all__ = ["Story", "StoryFailed"]

GROUP = "churn"
RETRAIN, PROMOTE, RELEASE, ROLLBACK, RESUME, WATCH = (
    f"{GROUP}_{what}" for what in ("retrain", "promote", "release", "rollback", "resume", "watch")
)
TASK_TIMEOUT = 600.0  # seconds


class Story:
    """Plays the parts in order; each builds on what the one before has left."""

    def __init__(
        self,
        *,
        rest: Rest,
        registry: Registry,
        service: Decisions,
        screen: Screen,
        customers: Customers,
        folder: Path,
        environment: Mapping[str, str],
        surroundings: Surroundings,
    ) -> None:
        """`folder` is where the source of the dataset looks for files."""
        self._surroundings = surroundings
        self._rest, self._registry, self._service, self._screen = rest, registry, service, screen
        self._customers, self._folder, self._environment = customers, folder, dict(environment)

    def play(self) -> None:
        """All parts.

        Raises:
            StoryFailed: something was not as the story says.
        """
        self.first_candidates()
        self.one_sibling_is_not_enough()
        first = self.first_release()
        self.experiments_change_nothing()
        second = self.second_release(first)
        self.and_back(first, second)
        self.a_month_that_differs()
        for sentence in self._surroundings.at_the_end(self._registry.state()):
            self._screen.say(sentence)

    # -------------------------------------------------------------------------------------------------------- the parts

    def first_candidates(self) -> None:
        """Month 1: snapshot, two models, two thresholds; all are candidates."""
        self._screen.title("1. The first month: everything is trained, nothing is promoted")
        self._screen.say(f"{self._customers.arrive(self._folder, 1)} arrived")
        run = self._run(RETRAIN, {}, "retraining")
        snapshot = self._xcom(run, "snapshot_customers")
        self._screen.say(f"{RETRAIN} took {snapshot['version']} on Beam and trained two models")
        self._screen.show(f"{snapshot['rows']} rows kept, {snapshot['quarantined']} in quarantine with their reasons")
        self._show_candidates(run)
        state = self._registry.state()
        for name in ("churn", "churn_reason"):
            version = state.model(f"{name}@1")
            self._check(
                state.stage_of(model_key(name), version.digest) is Stage.CANDIDATE, f"{version.ref} is a candidate"
            )

    def one_sibling_is_not_enough(self) -> None:
        """Churn alone is promoted; the release DAG waits and says for what."""
        self._screen.title("2. One model is promoted: the release waits for its sibling")
        self._promote("churn@1")
        self._gate_waits("churn_reason is not in staging")

    def first_release(self) -> str:
        """The sibling is promoted; the gate opens by itself; both APIs answer."""
        self._screen.title("3. The sibling is promoted: the gate opens, and all are released at once")
        waiting = self._waiting_release()
        self._promote("churn_reason@1")
        release = self._released(waiting)
        self._answers(release)
        return release

    def experiments_change_nothing(self) -> None:
        """Two more trainings; staging, production and every other DAG stay as they were."""
        self._screen.title("4. Two experiments: two more candidates, and nothing else moves")
        if arrived := self._customers.arrive(self._folder, 2):
            self._screen.say(f"{arrived} arrived in place of the month before")
        self._settle()
        before = self._picture()
        for number, strength in enumerate((0.3, 0.03), start=2):
            conf = {"models": ["churn"], "parameters": {"churn": {"model__C": strength}}}
            run = self._run(RETRAIN, conf, f"experiment with C = {strength}")
            self._screen.say(f"{RETRAIN} trained churn@{number} with C = {strength}")
            self._show_candidates(run)
        after = self._picture()
        self._check(
            after == before, f"production, staging and the runs of the other DAGs are the same; {before} became {after}"
        )
        counted = sum(map(len, before["runs of other DAGs"].values()))
        self._screen.say("nothing else has moved")
        self._screen.show(f"production {before['production'][:12]}, staging {', '.join(before['staging'])}: the same")
        self._screen.show(f"{counted} runs of {len(before['runs of other DAGs'])} other DAGs before, {counted} after")

    def second_release(self, first: str) -> str:
        """A newer churn alone closes the gate; its sibling, retrained on it, opens it."""
        self._screen.title("5. A newer churn goes to staging: its sibling no longer fits, until it is retrained on it")
        self._promote("churn@3")
        self._gate_waits("churn_reason@1 was built on churn@1, but churn@3 is in staging")
        waiting = self._waiting_release()
        run = self._run(RETRAIN, {"models": ["churn_reason"], "promote": True}, "retraining churn_reason")
        self._screen.say(f"{RETRAIN} trained churn_reason on churn@3, and promoted it")
        self._show_candidates(run)
        second = self._released(waiting)
        past = self._registry.state().releases[GROUP]
        changed = [key for key, digest in past[-1].members.items() if past[-2].members.get(key) != digest]
        self._check(
            second != first and len(changed) == len(past[-1].members), "the second release replaces all members"
        )
        self._screen.show(f"all {len(changed)} members were replaced by one log entry ({past[-1].recorded.number})")
        self._answers(second)
        return second

    def and_back(self, first: str, second: str) -> None:
        """A rollback brings the first release back, whole, and nothing is released until somebody lifts the hold."""
        self._screen.title("6. Back: one rollback, and all is as it was")
        self._run(ROLLBACK, {"why": "the first calls were better"}, "rolling back")
        production = self._registry.state().production(GROUP)
        self._check(production is not None and production.digest == first, f"production is {first[:12]} again")
        self._screen.say(f"{ROLLBACK} left {second[:12]}; release {first[:12]} is in production again")
        self._answers(first)
        told = self._lockstep("gate", GROUP).stdout
        on_hold = [line.strip() for line in told.splitlines() if f"{GROUP} is on hold since" in line]
        self._check(len(on_hold) == 1, f"`lockstep gate {GROUP}` says that the group is on hold; it says:\n{told}")
        self._screen.say(f"{GROUP} is on hold: nothing of it is released until {RESUME} lifts that")
        self._screen.show(on_hold[0])

    def a_month_that_differs(self) -> None:
        """The month of the competitor arrives; the watching DAG says that it is time, and retraining starts at that."""
        arrived = self._customers.arrive(self._folder, COMPETITOR_OPENS)
        if arrived is None:
            return  # one file is all the data there is
        self._screen.title("7. A competitor opens: the new month is not what the group was trained on")
        self._screen.say(f"{arrived} arrived in place of the month before")
        known = {run.run_id for run in self._rest.runs(RETRAIN)}
        self._rest.unpause(WATCH)  # a schedule starts when somebody lets it
        self._run(WATCH, {}, f"{WATCH} looks at the data")
        with self._screen.waiting(f"{RETRAIN} starts by itself"):
            started = self._rest.wait_for_new_run(RETRAIN, known)
        event = next(one for one in self._rest.asset_events() if one.name == f"{GROUP}_due")
        self._check(started.run_id in event.created_runs, f"{RETRAIN} was started by an event of {GROUP}_due")
        self._screen.say(f"{WATCH} took a snapshot, and said that {GROUP} is to be retrained:")
        for answer in event.extra["answers"]:
            self._screen.show(f"{'yes' if answer['met'] else 'no '} {answer['condition']}: {answer['says']}")
        self._finished(started, "retraining on the new month")
        self._screen.say(f"that started {RETRAIN}, which trained both models on {event.extra['snapshots'][0]}")
        self._show_candidates(started)

    # ------------------------------------------------------------------------------------------------------ its means

    def _run(self, dag_id: str, conf: dict[str, Any], what: str) -> Run:
        run = self._rest.trigger(dag_id, conf)
        return self._finished(run, what)

    def _finished(self, run: Run, what: str) -> Run:
        with self._screen.waiting(what) as progress:
            done = self._rest.wait(run.dag_id, run.run_id, timeout=TASK_TIMEOUT, progress=progress)
        if done.state != "success":
            failed = [t for t in self._rest.task_instances(run.dag_id, run.run_id) if t.state == "failed"]
            logs = "\n".join(self._rest.log(run.dag_id, run.run_id, task.task_id)[-3000:] for task in failed)
            raise StoryFailed(f"{run.dag_id} {run.run_id} ended as {done.state}.\n{logs}")
        return done

    def _promote(self, ref: str) -> None:
        run = self._run(PROMOTE, {"version": ref}, f"promoting {ref}")
        self._screen.say(f"{PROMOTE} moved {', '.join(self._xcom(run, 'promote')['staging'])} to staging")

    def _waiting_release(self) -> Run:
        """The release run whose gate waits in the triggerer."""
        deadline = time.monotonic() + TASK_TIMEOUT
        with self._screen.waiting(f"{RELEASE} wakes up"):
            while time.monotonic() < deadline:
                for run in self._rest.runs(RELEASE):
                    if run.state == "running" and self._rest.task(RELEASE, run.run_id, "gate").state == "deferred":
                        return run
                time.sleep(0.25)
        raise StoryFailed(f"{RELEASE} does not wait at its gate; its runs are {self._rest.runs(RELEASE)}.")

    def _gate_waits(self, reason: str) -> None:
        """The sensor's log and the command line both say why the gate is closed."""
        run = self._waiting_release()
        deadline = time.monotonic() + TASK_TIMEOUT
        while reason not in (log := self._rest.log(RELEASE, run.run_id, "gate")):
            self._check(time.monotonic() < deadline, f'the log of the gate says "{reason}"; it says:\n{log}')
            time.sleep(0.25)
        self._screen.say(f"{RELEASE} woke up; its gate waits, and its log says why")
        said = next(line for line in log.splitlines() if reason in line)
        self._screen.show(said.strip())
        told = self._lockstep("gate", GROUP)
        self._check(
            told.returncode == 1 and reason in told.stdout, f"`lockstep gate {GROUP}` says so; it says:\n{told}"
        )
        self._screen.say(f"`lockstep gate {GROUP}` says the same, with exit status 1")
        self._screen.show(told.stdout)

    def _lockstep(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "lockstep", "--registry", self._registry.uri, *words]
        with self._screen.waiting(f"lockstep {' '.join(words)}"):
            return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)

    def _released(self, waiting: Run) -> str:
        """The digest of the release that the waiting run makes."""
        done = self._finished(waiting, "the gate opens")
        found = self._xcom(done, "release")
        production = self._registry.state().production(GROUP)
        self._check(
            production is not None and production.digest == found["release"], f"{found['release']} is in production"
        )
        self._screen.say(f"the gate opened by itself; {RELEASE} made release {found['release'][:12]}")
        return str(found["release"])

    def _answers(self, release: str) -> None:
        """Both APIs answer for one customer, from that release."""
        with self._screen.waiting("the decision API switches"):
            self._service.wait_for(GROUP, release)
        row = one_of(self._folder)
        answers = {api: self._service.decide(api, row) for api in ("offers", "calls")}
        self._check(all(a["release"] == release for a in answers.values()), f"both answers come from {release[:12]}")
        self._screen.say(f"both APIs answer for customer {row['customerID']} from release {release[:12]}")
        for api, answer in answers.items():
            for name, found in answer["decisions"].items():
                self._screen.show(
                    f"{api}: {name} {'yes' if found['decision'] else 'no'}, probability {found['probability']:.3f},"
                    f" threshold {found['threshold']:.3f} ({found['version']}, {found['model']})"
                )
            for name, found in answer["explanations"].items():
                self._screen.show(f"{api}: {name} says {found['prediction']} ({found['model']})")

    def _settle(self) -> None:
        """Wait until each promotion has woken the release DAG, and no DAG run is going on any more."""
        with self._screen.waiting("the last runs end"):
            deadline = time.monotonic() + TASK_TIMEOUT
            while not self._is_settled():
                self._check(time.monotonic() < deadline, "the last DAG runs end")
                time.sleep(0.25)

    def _is_settled(self) -> bool:
        promotions = [event for event in self._rest.asset_events() if event.name == f"{GROUP}_staging"]
        runs = [run for dag in self._rest.dags() for run in self._rest.runs(dag.dag_id)]
        return all(event.created_runs for event in promotions) and all(run.is_finished for run in runs)

    def _picture(self) -> dict[str, Any]:
        """All that an experiment must leave alone."""
        state = self._registry.state()
        production = state.production(GROUP)
        others = [dag.dag_id for dag in self._rest.dags() if dag.dag_id != RETRAIN]
        return {
            "production": production.digest if production else "",
            "staging": sorted(f"{key.partition(':')[2]} {digest[:8]}" for key, digest in state.staging.items()),
            "runs of other DAGs": {name: sorted(run.run_id for run in self._rest.runs(name)) for name in others},
        }

    def _show_candidates(self, run: Run) -> None:
        """What each task has made, and who trained it."""
        state = self._registry.state()
        for task in self._rest.task_instances(run.dag_id, run.run_id):
            if task.state != "success" or task.task_id.endswith("promote"):
                continue
            found = self._xcom(run, task.task_id)
            if "metrics" in found:
                version = state.model(found["version"])
                who = self._surroundings.trained_by(version.recorded.origin.job, run, task.task_id)
                self._screen.show(f"{version.ref}: ROC AUC {found['metrics']['roc_auc']:.3f}, trained by {who}")
            elif "value" in found:
                self._screen.show(f"{found['version']}: {found['value']:.3f}")

    def _xcom(self, run: Run, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._rest.xcom(run.dag_id, run.run_id, task_id)
        return found

    def _check(self, holds: bool, what: str) -> None:  # noqa: FBT001  a condition reads best in first place
        if not holds:
            raise StoryFailed(f"The story says: {what}. It is not so.")
