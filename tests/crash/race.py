"""What the processes of a race do: all change one registry at once, and some only look, until the time is up.

Rules:
- Each thing that is done is a job of its own, and noted with what came of it.
- Who looks sees whole releases only, whatever handle they look with, and a log that only grows.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed
from lockstep.errors import Refused
from lockstep.group import Group
from lockstep.registry import Fact, Job, Log, ModelTrained, Objects, Origin, Registry, State, Version
from lockstep.registry.entries import GENESIS
from lockstep.release import (
    approve,
    digest_of_release,
    promote,
    reject,
    release,
    resume,
    rollback,
    verify_members,
    weigh,
)
from tests.crash.lives import Done, number_of
from tests.crash.nursery import Mark
from tests.registry.conftest import Facts

SETS = 3  # of each group that the race goes round, the newest; so many are trained before it
WORK = ("retune", "retrain", "promote one", "promote both", "release", "roll back", "roll back to", "judge")
WEIGHTS = (10, 1, 1, 3, 4, 3, 1, 2)
CHECKPOINT_EVERY = 100


def group_of(name: str) -> Group:
    """Declare a group: a model with two thresholds, and one that builds on it."""
    rows = Dataset(f"{name}_rows", source=csv("rows.csv"), key="id", columns={"yes": bool, "why": str})
    first = Model(f"{name}_first", data=rows, target="yes", estimator=object)
    second = Model(f"{name}_second", data=rows, target="why", estimator=object, builds_on=[first])
    offer = Threshold(f"{name}_offer", model=first, choose=fixed(0.5))
    call = Threshold(f"{name}_call", model=first, choose=fixed(0.9))
    apis = [Api(f"{name}_offers", decides=[offer], explains=[second]), Api(f"{name}_calls", decides=[call])]
    return Graph(apis, name=name).group(name)


GROUPS = {name: group_of(name) for name in ("churn", "fraud", "basket")}


def set_of(registry: Registry, name: str, recipe: str) -> tuple[Fact, ...]:
    """Write the files of a whole set of a group, all of whose members fit; gives the facts to record."""
    facts = Facts(registry.objects)
    rows = facts.snapshot(f"{name}_rows", recipe)
    first = facts.model(f"{name}_first", rows, recipe=recipe)
    tuned = [facts.threshold(f"{name}_{which}", first) for which in ("offer", "call")]
    second = facts.model(f"{name}_second", rows, upstream={first.model: first.digest}, recipe=recipe)
    return (rows, first, *tuned, second)


def open_log(uri: str) -> Registry:
    """Open the registry as a writer does that keeps checkpoints often."""
    objects = Objects.open(uri)
    return Registry(objects, Log(objects, checkpoint_every=CHECKPOINT_EVERY))


class Racer:
    """One process that changes the groups it is given."""

    def __init__(self, uri: str, name: str, groups: list[str]) -> None:
        self.registry = open_log(uri)
        self.name = name
        self.groups = groups
        self.draw = random.Random(name)  # noqa: S311  nothing secret

    def acts(self, group: Group) -> Iterator[tuple[str, Callable[[Origin], Done]]]:
        """What is done to a group next, each with a word for it: one thing, or what leads to a release."""
        name, registry = group.name, self.registry
        state = registry.state()
        reason = self.draw.choice(state.models[f"{name}_second"][-SETS:])
        churn = state.model_by_digest(f"{name}_first", reason.fact.upstream[f"{name}_first"])
        match self.draw.choices(WORK, WEIGHTS)[0]:
            case "retune":
                yield "tune", lambda origin: self.tune(f"{name}_offer", churn, origin)
                yield "promote", lambda origin: promote(registry, group, (churn.ref, reason.ref), origin)
                yield "release", lambda origin: release(registry, group, origin)
            case "retrain":
                yield from self.train_set(name)
            case "promote one":
                yield "promote", lambda origin: promote(registry, group, self.draw.choice((churn, reason)).ref, origin)
            case "promote both":
                yield "promote", lambda origin: promote(registry, group, (reason.ref, churn.ref), origin)
            case "release":
                yield "release", lambda origin: release(registry, group, origin)
            case "judge":
                yield self.draw.choice(("approve", "reject")), lambda origin: self.judge(group, origin)
            case "roll back":
                yield "rollback", lambda origin: rollback(registry, group, origin)
                yield "resume", lambda origin: resume(registry, group, origin)
            case _:
                yield "rollback", lambda origin: rollback(registry, group, origin, to=self.any_release(group))
                yield "resume", lambda origin: resume(registry, group, origin)

    def tune(self, threshold: str, model: Version[ModelTrained], origin: Origin) -> Done:
        """Tune a threshold to a value that none had before."""
        fact = Facts(self.registry.objects).threshold(threshold, model.fact, value=self.draw.random())
        return self.registry.record(lambda _: fact, origin)

    def judge(self, group: Group, origin: Origin) -> Done:
        """Approve or reject what stands in staging, of which another process may have made something else by then."""
        assert origin.job is not None
        say = approve if origin.job.run.startswith("approve") else reject
        state = self.registry.state()
        _, manifest = weigh(group, state)
        digest = digest_of_release(manifest) if manifest is not None else GENESIS  # of no set: refused
        return say(self.registry, group, origin, digest=digest, seen=state.head)

    def train_set(self, name: str) -> Iterator[tuple[str, Callable[[Origin], Done]]]:
        """Record a set of a group, one fact after the other."""
        for fact in set_of(self.registry, name, f"{self.name} {self.draw.random()}"):
            yield "train", lambda origin, fact=fact: self.registry.record(lambda _: fact, origin)

    def any_release(self, group: Group) -> str | None:
        """The digest of some release that the group has had."""
        past = self.registry.state().releases.get(group.name, ())
        return self.draw.choice(past).digest if past else None

    def run(self, until: float) -> Iterator[str]:
        """Do one thing after the other; for each a line: the job, and the number of its entry, or "refused"."""
        numbers = count(1)
        while time.time() < until:
            for what, act in self.acts(GROUPS[self.draw.choice(self.groups)]):
                job = f"{what}/{self.name}.{next(numbers)}"
                try:
                    done: object = number_of(act(Origin(by=self.name, why="a race", job=Job(system="race", run=job))))
                except Refused:
                    done = "refused"
                yield f"{job} {done}"


def change(_: Mark, uri: str, name: str, groups: list[str], until: float, notes: str) -> None:
    """Change the groups until the time is up; write down what came of it."""
    lines = list(Racer(uri, name, groups).run(until))
    Path(notes).write_text("\n".join(lines), encoding="utf-8")


def watch(_: Mark, uri: str, until: float, notes: str) -> None:
    """Look at production until the time is up, by a handle that stays open and by new ones; write down how often."""
    kept, verified, head = Registry.open(uri), set[str](), 0
    seen: Counter[str] = Counter()
    while time.time() < until:
        for kind, registry in (("kept", kept), ("new", Registry.open(uri))):
            state = registry.state()
            assert state.head >= head, f"{kind} handle: the log went back from {head} to {state.head}"
            head = state.head
            seen[kind] += 1
            check_production(registry, state, verified)
    Path(notes).write_text(json.dumps({**seen, "releases": len(verified)}), encoding="utf-8")


def check_production(registry: Registry, state: State, verified: set[str]) -> None:
    """What each group answers from is one release, whose members are all there."""
    for name in state.releases:
        production = state.production(name)
        assert production is not None
        manifest = json.loads(registry.objects.get(production.manifest))
        assert {key: member["digest"] for key, member in manifest["members"].items()} == dict(production.members)
        if production.digest not in verified:
            verify_members(registry, manifest)
            verified.add(production.digest)
