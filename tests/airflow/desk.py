"""A desk before a real Airflow and its registry: runs are started, waited for, held up and killed."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import psutil

from demo.answers import Run
from demo.standalone import Standalone
from lockstep.registry import Objects, Registry, State, files_of
from lockstep.registry.lineage import versions

WAIT = 240  # seconds for one step, on a machine that has other things to do


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

    def month(self, dataset: str = "rows") -> None:
        """New rows arrive in place of those before."""
        chance = random.Random(month := next(self.months))  # noqa: S311  nothing secret
        lines = ["id,x,y,yes"]
        for number in range(300):
            x, y = chance.gauss(0, 1), chance.gauss(0, 1)
            lines.append(f"r{number},{x:.3f},{y:.3f},{'yes' if x + chance.gauss(0, 0.5) > 0 else 'no'}")
        folder = self.data / dataset
        for file in folder.glob("*.csv"):
            file.unlink()
        (folder / f"month-{month}.csv").write_text("\n".join(lines))

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
