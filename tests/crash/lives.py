"""What processes do until they are killed: train, promote, release, roll back and go on, each step as a job of its own.

Rules:
- The mark says at any moment which job is at which step of which call.
- A job that is told that it is done writes its name to a file before anything else is done.
"""

import os
import random
from collections.abc import Callable
from functools import partial, wraps
from inspect import isfunction
from itertools import count
from typing import Any, Self, TypeVar

from lockstep.errors import HoldRefused, ReleaseRefused
from lockstep.registry import (
    Entry,
    Hold,
    Job,
    Judgement,
    Log,
    ModelTrained,
    Objects,
    Origin,
    Registry,
    Release,
    SnapshotTaken,
    ThresholdTuned,
    Version,
)
from lockstep.release import Promotion, promote, release, resume, rollback
from tests.crash.nursery import Mark
from tests.registry.conftest import Facts
from tests.release.conftest import telecom

GROUP = telecom()
F = TypeVar("F", SnapshotTaken, ModelTrained, ThresholdTuned)
Done = Entry | Hold | Judgement | Promotion | Release | Version[Any] | None
CHECKPOINT_EVERY = 16  # so that kills fall into the writing of checkpoints too


class Marked(Objects):
    """Objects that say which of their calls is going on."""

    mark: Mark
    job = ""

    @classmethod
    def under(cls, mark: Mark, uri: str) -> Self:
        """Open the objects of a registry, with the mark to say it on."""
        objects = cls.open(uri)
        objects.mark = mark
        return objects

    def say(self, what: str) -> None:
        """Say what is being done for the job."""
        self.mark.say(f"{self.job}|{what}")


def _kind(what: object) -> str:
    """The top folder of what a call is about: a path, a reference, or several paths."""
    path = str(getattr(what, "path", what if isinstance(what, str) else "several"))
    return "checkpoint" if path.startswith("log/checkpoint") else path.partition("/")[0]


def _marked(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def method(objects: Marked, what: Any, *rest: Any, **options: Any) -> Any:  # noqa: ANN401  as the call
        objects.say(f"{name} {_kind(what)}")
        try:
            return call(objects, what, *rest, **options)
        finally:
            objects.say("between calls")

    return method


for _name, _call in vars(Objects).items():
    if isfunction(_call) and not _name.startswith("_"):
        setattr(Marked, _name, _marked(_name, _call))


def job(name: str, attempt: int = 1) -> Origin:
    """Say that a job does it."""
    return Origin(by="victim", job=Job(system="test", run=name, attempt=attempt))


class Worker:
    """Does one step after the other in one registry, and notes each that it was told is done."""

    def __init__(self, mark: Mark, uri: str, told: str, name: str) -> None:
        self._objects = Marked.under(mark, uri)
        self.registry = Registry(self._objects, Log(self._objects, checkpoint_every=CHECKPOINT_EVERY))
        self.facts = Facts(self._objects)
        self._told = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._name = name
        self._numbers = count(1)

    def step(self, what: str, act: Callable[[Origin], Done], refs: tuple[str, ...] = ()) -> None:
        """Do one step as a job, `<what>/<worker>.<number>/<refs>`, and note it."""
        run = f"{what}/{self._name}.{next(self._numbers)}/{'+'.join(refs)}"
        self._objects.job = run
        self._objects.say("between calls")
        done = act(job(run))
        os.write(self._told, f"{run} {number_of(done)}\n".encode())

    def record(self, what: str, make: Callable[[], F]) -> F:
        """Make a fact with its files, and record it, as one step."""
        made: list[F] = []

        def act(origin: Origin) -> Entry | None:
            made.append(make())
            return self.registry.record(lambda _: made[0], origin)

        self.step(what, act)
        return made[0]


def number_of(done: Done) -> int:
    """The number of the entry by which something was done; 0: there was nothing to do."""
    match done:
        case Entry():
            return done.number
        case Promotion():
            return done.entry.number if done.entry else 0
        case Hold() | Judgement() | Release() | Version():
            return done.recorded.number
    return 0


def train_and_release(mark: Mark, uri: str, told: str, name: str) -> None:
    """Train a set, or take an earlier one; promote it, release it, roll back now and then, and go on; for ever."""
    draw = random.Random(name)  # noqa: S311  nothing secret
    worker = Worker(mark, uri, told, name)
    for turn in count(1):
        reasons = worker.registry.state().models.get("churn_reason", ())
        if not reasons or draw.random() < 0.4:
            train_set(worker, f"{name}.{turn}")
            reasons = worker.registry.state().models["churn_reason"]
        promote_set(worker, draw.choice(reasons[-3:]), together=draw.random() < 0.5)
        worker.step("release", partial(release_if_open, worker.registry))
        if len(worker.registry.state().undo.get(GROUP.name, ())) > 1 and draw.random() < 0.7:
            worker.step("rollback", partial(rollback, worker.registry, GROUP))
        if worker.registry.state().hold(GROUP.name):
            worker.step("resume", partial(resume_if_held, worker.registry))


def train_set(worker: Worker, recipe: str) -> None:
    """Train a churn model with its thresholds, and reasons that build on it, on a new snapshot."""
    facts = worker.facts
    rows = worker.record("snapshot", lambda: facts.snapshot("customers", recipe))
    churn = worker.record("train", lambda: facts.model("churn", rows, recipe=recipe))
    for threshold in ("retention_offer", "priority_call"):
        worker.record("tune", partial(facts.threshold, threshold, churn))
    upstream = {"churn": churn.digest}
    worker.record("train", lambda: facts.model("churn_reason", rows, upstream=upstream, recipe=recipe))


def promote_set(worker: Worker, reason: Version[ModelTrained], *, together: bool) -> None:
    """Promote reasons and the churn model that they build on, by one entry or by two."""
    churn = worker.registry.state().model_by_digest("churn", reason.fact.upstream["churn"])
    for refs in [(churn.ref, reason.ref)] if together else [(churn.ref,), (reason.ref,)]:
        worker.step("promote", partial(promote, worker.registry, GROUP, refs), refs)


def release_if_open(registry: Registry, origin: Origin) -> Release | None:
    """Release what stands in staging; None where the gate says no, as it may where an earlier set was promoted."""
    try:
        return release(registry, GROUP, origin)
    except ReleaseRefused:
        return None


def resume_if_held(registry: Registry, origin: Origin) -> Hold | None:
    """Lift the hold that a rollback has left; None where another process was faster."""
    try:
        return resume(registry, GROUP, origin)
    except HoldRefused:
        return None
