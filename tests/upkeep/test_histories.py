"""Any history, with retention at any time: whatever is still there can be used, and what is gone is told as gone."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from lockstep.errors import Refused
from lockstep.registry import ModelTrained, Registry, SnapshotTaken, State, Version, read_manifest
from lockstep.registry.lineage import AnyVersion, lineage, versions
from lockstep.release import promote, release, resume, rollback, verify_members
from lockstep.upkeep.keep import Rule
from lockstep.upkeep.retention import retain
from lockstep.upkeep.verify import verify
from tests.upkeep.years import ADA, BOT, GROUP, Years

PICK = st.integers(0, 30)
DAYS = st.sampled_from([0, 1, 40])


def refusal(act: Callable[[], object]) -> str:
    """Do something; gives what it was refused with, or nothing."""
    try:
        act()
    except Refused as refused:
        return str(refused)
    return ""


class Histories(RuleBasedStateMachine):
    """Trains, tunes, promotes, releases, rolls back and retains, in any order and at any pace."""

    @initialize()
    def open(self) -> None:
        """Start with a snapshot."""
        self.years = Years(f"memory://{uuid4().hex}")
        self.registry = self.years.registry
        self.count = 0
        self.lineages: dict[str, list[str]] = {}
        self.taken()

    @property
    def state(self) -> State:
        """The state now."""
        return self.registry.state()

    @rule(days=DAYS)
    def taken(self, days: int = 0) -> None:
        """Take a snapshot of new content."""
        self.count += 1
        self.years.snapshot(f"content {self.count}")
        self.years.pass_by(days)

    def alive(self, found: list[Version[SnapshotTaken]] | list[Version[ModelTrained]], pick: int) -> AnyVersion | None:
        """One of the versions whose files are there."""
        there = [version for version in found if not self.state.is_removed(version)]
        return there[pick % len(there)] if there else None

    @rule(pick=PICK, days=DAYS)
    def trained(self, pick: int, days: int) -> None:
        """Train churn with its thresholds on some snapshot that is there."""
        on = self.alive(list(self.state.snapshots["customers"]), pick)
        assert on is not None
        self.count += 1
        self.years.churn(on.fact, f"recipe {self.count}")
        self.years.pass_by(days)

    @precondition(lambda self: self.state.models.get("churn"))
    @rule(pick=PICK, days=DAYS)
    def built_on(self, pick: int, days: int) -> None:
        """Train the reasons on some version of churn that is there, and its snapshot."""
        churn = self.alive(list(self.state.models["churn"]), pick)
        assert churn is not None
        self.count += 1
        on = self.state.snapshot_by_digest("customers", churn.fact.snapshot)
        upstream = {"churn": churn.digest}
        self.years.record(self.years.facts.model("churn_reason", on.fact, upstream=upstream, recipe=f"{self.count}"))
        self.years.pass_by(days)

    @precondition(lambda self: self.state.models.get("churn"))
    @rule(pick=PICK)
    def tuned(self, pick: int) -> None:
        """Tune a threshold once more, to a value that no other has: what was removed does not come back by its name."""
        churn = self.alive(list(self.state.models["churn"]), pick)
        assert churn is not None
        self.count += 1
        self.years.record(self.years.facts.threshold("retention_offer", churn.fact, value=0.5 + self.count / 10_000))

    @precondition(lambda self: self.state.models)
    @rule(pick=PICK)
    def promoted(self, pick: int) -> None:
        """Promote some model version; only a removed one is refused."""
        found = [version for past in self.state.models.values() for version in past]
        version = found[pick % len(found)]
        said = refusal(lambda: promote(self.registry, GROUP, version.ref, ADA))
        assert ("files were removed" in said) == self.state.is_removed(version)
        assert not said or "files were removed" in said or "has no version that was tuned for it" in said

    @rule()
    def released(self) -> None:
        """Release what is in staging, if it fits."""
        refusal(lambda: release(self.registry, GROUP, ADA))

    @precondition(lambda self: self.state.releases)
    @rule(pick=PICK)
    def rolled_back(self, pick: int) -> None:
        """Go back to some release; only one of which a member is removed is refused."""
        releases = self.state.releases["churn"]
        target = releases[pick % len(releases)]
        is_gone = any(self.state.is_removed(version) for version in self.members(target.members))
        said = refusal(lambda: rollback(self.registry, GROUP, ADA, to=target.digest))
        assert ("files were removed" in said) == is_gone
        assert not said or is_gone or "in production already" in said

    @precondition(lambda self: self.state.hold("churn"))
    @rule()
    def resumed(self) -> None:
        """Lift the hold that a rollback has left."""
        resume(self.registry, GROUP, ADA)

    @rule(keep=st.integers(1, 3), days=st.sampled_from([0, 30]), rollbacks=st.integers(0, 2))
    def retained(self, keep: int, days: int, rollbacks: int) -> None:
        """Remove what a rule lets go; what a rollback within its window needs is all there."""
        before = self.state
        newest = [
            version
            for past in (*before.models.values(), *before.snapshots.values(), *before.thresholds.values())
            for version in [version for version in past if not before.is_removed(version)][-keep:]
        ]
        retain(self.registry, Rule(keep=keep, older_than=timedelta(days=days), rollbacks=rollbacks), BOT)
        for item in self.state.undo.get("churn", ())[-1 - rollbacks :]:
            verify_members(self.registry, read_manifest(self.registry.objects, item.manifest))
        assert not any(self.state.is_removed(version) for version in newest)
        self.check_lineage()

    def members(self, members: Mapping[str, str]) -> list[AnyVersion]:
        """The versions of a release's members."""
        found: list[AnyVersion] = []
        for key, digest in members.items():
            kind, _, name = key.partition(":")
            by_digest = self.state.model_by_digest if kind == "model" else self.state.threshold_by_digest
            found.append(by_digest(name, digest))
        return found

    def check_lineage(self) -> None:
        """Whatever stands in staging or production is there, and so is all that a version that is there was made of."""
        state = self.state
        for version in versions(state):
            answer = lineage(state, version)
            made_from = [item["digest"] for item in answer["made_from"]]
            assert self.lineages.setdefault(version.ref, made_from) == made_from
            if state.is_removed(version):
                continue
            for item in answer["made_from"]:
                assert item["manifest"].removesuffix("/manifest.json") not in state.removed, (version.ref, item)
        for members in (state.staging, *state.members.values()):
            assert not any(state.is_removed(version) for version in self.members(members))

    def teardown(self) -> None:
        """Verify finds nothing at the end, and who reads the whole log sees the same folders removed."""
        self.check_lineage()
        assert list(verify(self.registry)) == []
        assert Registry.open(self.registry.uri).state().removed == self.state.removed


TestHistories = pytest.mark.slow(Histories.TestCase)
TestHistories.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
