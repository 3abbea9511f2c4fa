"""A desk to work at: a release group, its registry, and the steps of a team that trains, tunes and promotes."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from lockstep import Api, Dataset, Graph, Model, Threshold, csv, precision_at_least, recall_at_least
from lockstep.group import Group
from lockstep.registry import Fact, ModelTrained, Origin, Registry, SnapshotTaken, ThresholdTuned
from lockstep.release import Verdict, gate, promote
from tests.registry.conftest import Facts

ADA = Origin(by="ada", why="a test")
TODAY = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


def telecom() -> Group:
    """Declare the group of the design's story: churn, its two thresholds, and the reasons that build on it."""
    customers = Dataset("customers", source=csv("customers.csv"), key="id", columns={"churned": bool, "plan": str})
    churn = Model("churn", data=customers, target="churned", estimator=object)
    reason = Model("churn_reason", data=customers, target="plan", estimator=object, builds_on=[churn])
    offer = Threshold("retention_offer", model=churn, choose=precision_at_least(0.65))
    call = Threshold("priority_call", model=churn, choose=recall_at_least(0.9))
    return Graph([Api("offers", decides=[offer], explains=[reason]), Api("calls", decides=[call])]).group("churn")


class Desk:
    """One registry and its group. Each step writes real files and records one fact."""

    def __init__(self, uri: str) -> None:
        self.registry = Registry.open(uri, clock=lambda: TODAY)
        self.group = telecom()
        self.facts = Facts(self.registry.objects)

    def record(self, fact: Fact) -> None:
        """Record a fact as it is."""
        self.registry.record(lambda _: fact, ADA)

    def snapshot(self, content: str = "january") -> SnapshotTaken:
        """Take a snapshot of the customers."""
        fact = self.facts.snapshot("customers", content)
        self.record(fact)
        return fact

    def churn(self, on: SnapshotTaken, recipe: str = "first", *, missed: tuple[str, ...] = ()) -> ModelTrained:
        """Train churn, and tune nothing."""
        fact = self.facts.model("churn", on, recipe=recipe, missed=missed)
        self.record(fact)
        return fact

    def reason(self, on: SnapshotTaken, churn: ModelTrained | None, recipe: str = "first") -> ModelTrained:
        """Train the reasons on a version of churn."""
        upstream = {"churn": churn.digest} if churn else {}
        fact = self.facts.model("churn_reason", on, upstream=upstream, recipe=recipe)
        self.record(fact)
        return fact

    def tune(self, threshold: str, of: ModelTrained, value: float = 0.5) -> ThresholdTuned:
        """Tune one threshold for a version of churn."""
        fact = self.facts.threshold(threshold, of, value=value)
        self.record(fact)
        return fact

    def tuned_churn(self, on: SnapshotTaken, recipe: str = "first") -> ModelTrained:
        """Train churn and tune both its thresholds."""
        fact = self.churn(on, recipe)
        self.tune("retention_offer", fact)
        self.tune("priority_call", fact)
        return fact

    def promote(self, *refs: str) -> None:
        """Move versions to staging, one after the other."""
        for ref in refs:
            promote(self.registry, self.group, ref, ADA)

    def in_step(self, recipe: str = "first", content: str = "january") -> None:
        """Train, tune and promote a whole set on one snapshot."""
        snapshot = self.snapshot(content)
        churn = self.tuned_churn(snapshot, recipe)
        self.reason(snapshot, churn, recipe)
        self.promote("churn", "churn_reason")

    def gate(self) -> Verdict:
        """Ask the gate."""
        return gate(self.group, self.registry.state())

    def meanwhile(self, act: Callable[[], object]) -> Registry:
        """Open a second handle, before whose next entry somebody else acts: after it looked, before it writes."""
        waiting = [act]

        def clock() -> datetime:
            while waiting:
                waiting.pop()()
            return TODAY

        return Registry.open(self.registry.uri, clock=clock)

    def kinds(self) -> list[str]:
        """List the kinds of all facts in the log."""
        return [entry.fact.kind for entry in self.registry.log.entries()]


@pytest.fixture(params=["file", "memory"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    """Sit down before an empty registry in each kind of store."""
    return Desk(tmp_path.as_uri() if request.param == "file" else f"memory://{uuid4().hex}")


@pytest.fixture
def file_desk(tmp_path: Path) -> Desk:
    """Sit down before an empty registry on local disk."""
    return Desk(tmp_path.as_uri())


@pytest.fixture
def memory_desk() -> Desk:
    """Sit down before an empty registry in memory, where many sets are made."""
    return Desk(f"memory://{uuid4().hex}")
