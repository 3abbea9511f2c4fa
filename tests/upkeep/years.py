"""A registry whose clock is set by hand: what years of training leave."""

from datetime import UTC, datetime, timedelta

from lockstep.registry import Fact, ModelTrained, Origin, Registry, SnapshotTaken
from lockstep.registry.lineage import versions
from lockstep.release import promote, release
from lockstep.upkeep.keep import Rule
from lockstep.upkeep.retention import Retention, retain
from lockstep.upkeep.verify import verify
from tests.registry.conftest import Facts
from tests.release.conftest import telecom

ADA = Origin(by="ada", why="a test")
BOT = Origin(by="bot", why="upkeep")
GROUP = telecom()
NOW = datetime.now(UTC)
TIGHT = Rule(keep=1, older_than=timedelta(days=30), rollbacks=1)


class Years:
    """A registry whose clock is set by hand, and the steps of a team over the years."""

    def __init__(self, uri: str) -> None:
        self.time = NOW - timedelta(days=3650)
        self.registry = Registry.open(uri, clock=lambda: self.time)
        self.facts = Facts(self.registry.objects)

    def pass_by(self, days: float = 100) -> None:
        """Let time go by."""
        self.time += timedelta(days=days)

    def record(self, fact: Fact) -> None:
        """Record a fact as it is."""
        self.registry.record(lambda _: fact, ADA)

    def snapshot(self, content: str) -> SnapshotTaken:
        """Take a snapshot."""
        fact = self.facts.snapshot("customers", content)
        self.record(fact)
        return fact

    def churn(self, on: SnapshotTaken, recipe: str) -> ModelTrained:
        """Train churn and tune its thresholds."""
        fact = self.facts.model("churn", on, recipe=recipe)
        self.record(fact)
        for threshold in ("retention_offer", "priority_call"):
            self.record(self.facts.threshold(threshold, fact))
        return fact

    def trained(self, recipe: str, content: str | None = None) -> tuple[SnapshotTaken, ModelTrained, ModelTrained]:
        """Train both models on a snapshot of their own, and let a hundred days go by."""
        snapshot = self.snapshot(content or recipe)
        churn = self.churn(snapshot, recipe)
        reason = self.facts.model("churn_reason", snapshot, upstream={"churn": churn.digest}, recipe=recipe)
        self.record(reason)
        self.pass_by()
        return snapshot, churn, reason

    def release(self, *refs: str) -> None:
        """Promote versions and release them."""
        promote(self.registry, GROUP, refs, ADA)
        release(self.registry, GROUP, ADA)

    def retain(self, rule: Rule = TIGHT) -> Retention:
        """Remove what the rule lets go."""
        return retain(self.registry, rule, BOT)

    def there(self) -> set[str]:
        """Name the versions whose files are there."""
        state = self.registry.state()
        names = self.registry.objects.names("")
        found = {v.ref for v in versions(state) if v.fact.manifest.path in names}
        assert found == {v.ref for v in versions(state) if not state.is_removed(v)}
        return found

    def is_sound(self) -> bool:
        """Whether verify finds neither errors nor leftovers."""
        return list(verify(self.registry)) == []
