"""The registry against plain dicts: whatever is trained, promoted, released and rolled back, both say the same."""

from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lockstep.errors import PromotionRefused, ReleaseRefused, RollbackRefused
from lockstep.group import Group, GroupApi, GroupModel
from lockstep.registry import ModelTrained, Origin, Registry, SnapshotTaken, Stage, ThresholdTuned
from lockstep.release import promote, release, rollback
from tests.registry.conftest import Facts

ADA = Origin(by="ada")
CHURN, REASON, OFFER = "model:churn", "model:reason", "threshold:offer"
GROUP = Group(
    name="churn",
    models=(
        GroupModel(
            name="churn", dataset="customers", shared=True, deprecated_after=None, builds_on=(), thresholds=("offer",)
        ),
        GroupModel(
            name="reason", dataset="customers", shared=True, deprecated_after=None, builds_on=("churn",), thresholds=()
        ),
    ),
    apis=(GroupApi(name="offers", decides=("offer",), explains=("reason",)),),
)
Members = dict[str, str]
PICK = st.integers(0, 30)


@dataclass
class Plain:
    """What the registry should say, kept in dicts and lists."""

    staging: Members = field(default_factory=dict)
    staged_once: set[tuple[str, str]] = field(default_factory=set)
    past: list[Members] = field(default_factory=list)
    undo: list[Members] = field(default_factory=list)
    abandoned: list[Members] = field(default_factory=list)

    def stage(self, members: Members) -> None:
        """Move members to staging."""
        self.staging |= members
        self.staged_once |= set(members.items())

    def release(self) -> None:
        """Move staging to production."""
        self.past.append(dict(self.staging))
        self.undo.append(dict(self.staging))
        self.abandoned = [members for members in self.abandoned if members != self.staging]

    def roll_back(self, to: Members) -> None:
        """Move an earlier release to production."""
        self.abandoned = [members for members in self.abandoned if members != to] + [self.past[-1]]
        self.past.append(to)
        places = [place for place, members in enumerate(self.undo) if members == to]
        self.undo = [*self.undo[: places[-1]], to] if places else [*self.undo, to]

    def stage_of(self, key: str, digest: str) -> Stage:
        """Tell the stage of a version."""
        if self.past and self.past[-1][key] == digest:
            return Stage.PRODUCTION
        if self.staging.get(key) == digest:
            return Stage.STAGING
        return Stage.ARCHIVED if (key, digest) in self.staged_once else Stage.CANDIDATE


class Both(RuleBasedStateMachine):
    """Takes each step in a registry and in plain dicts."""

    @initialize()
    def open(self) -> None:
        """Start with a snapshot and a tuned churn model, so that every rule has something to work on."""
        self.registry = Registry.open(f"memory://{uuid4().hex}")
        self.facts = Facts(self.registry.objects)
        self.plain = Plain()
        self.bytes: dict[str, bytes] = {}
        self.made = 0
        self.snapshots: list[SnapshotTaken] = []
        self.churns: list[ModelTrained] = []
        self.reasons: list[ModelTrained] = []
        self.offers: list[ThresholdTuned] = []
        self.take_snapshot()
        self.train_churn(0, (), tune=True)

    def next_name(self) -> str:
        """Make a name that no step had before."""
        self.made += 1
        return f"step {self.made}"

    @rule()
    def take_snapshot(self) -> None:
        """New rows come in."""
        snapshot = self.facts.snapshot("customers", self.next_name())
        self.registry.record(lambda _: snapshot, ADA)
        self.snapshots.append(snapshot)

    @rule(on=PICK, missed=st.sampled_from([(), (), (), ("roc_auc is 0.5, expected at least 0.8",)]), tune=st.booleans())
    def train_churn(self, on: int, missed: tuple[str, ...], tune: bool) -> None:  # noqa: FBT001  drawn by Hypothesis
        """Churn is trained, as a rule on the newest rows, and tuned or not."""
        snapshot = self.snapshots[-1 - on % min(2, len(self.snapshots))]
        trained = self.facts.model("churn", snapshot, recipe=self.next_name(), missed=missed)
        self.registry.record(lambda _: trained, ADA)
        self.churns.append(trained)
        if tune:
            self.tune(len(self.churns) - 1)

    @rule(of=PICK)
    def tune(self, of: int) -> None:
        """A threshold is tuned for a version of churn."""
        model = self.churns[of % len(self.churns)]
        self.made += 1
        tuned = self.facts.threshold("offer", model, value=self.made / 1000)
        self.registry.record(lambda _: tuned, ADA)
        self.offers.append(tuned)

    @rule(on=PICK, of=PICK)
    def train_reason(self, on: int, of: int) -> None:
        """The reasons are trained on a version of churn, as a rule on the same rows."""
        churn = self.churns[of % len(self.churns)]
        same = next(one for one in self.snapshots if one.digest == churn.snapshot)
        snapshot = same if on % 4 else self.snapshots[on % len(self.snapshots)]
        upstream = {"churn": churn.digest}
        trained = self.facts.model("reason", snapshot, upstream=upstream, recipe=self.next_name())
        self.registry.record(lambda _: trained, ADA)
        self.reasons.append(trained)

    @rule(which=PICK)
    def promote_churn(self, which: int) -> None:
        """A version of churn goes to staging with its newest threshold, if it may."""
        place = which % len(self.churns)
        model = self.churns[place]
        own = [tuned for tuned in self.offers if tuned.model_digest == model.digest]
        if model.missed or not own:
            with pytest.raises(PromotionRefused):
                promote(self.registry, GROUP, f"churn@{place + 1}", ADA)
            return
        promote(self.registry, GROUP, f"churn@{place + 1}", ADA)
        self.plain.stage({CHURN: model.digest, OFFER: own[-1].digest})

    @precondition(lambda self: self.reasons)
    @rule(which=PICK)
    def promote_reason(self, which: int) -> None:
        """A version of the reasons goes to staging."""
        place = which % len(self.reasons)
        promote(self.registry, GROUP, f"reason@{place + 1}", ADA)
        self.plain.stage({REASON: self.reasons[place].digest})

    @rule(which=PICK)
    def promote_offer(self, which: int) -> None:
        """A threshold goes to staging alone, if its model version is there."""
        place = which % len(self.offers)
        tuned = self.offers[place]
        if self.plain.staging.get(CHURN) != tuned.model_digest:
            with pytest.raises(PromotionRefused):
                promote(self.registry, GROUP, f"offer@{place + 1}", ADA)
            return
        promote(self.registry, GROUP, f"offer@{place + 1}", ADA)
        self.plain.stage({OFFER: tuned.digest})

    @rule(anew=st.booleans())
    def bring_all_in_step(self, anew: bool) -> None:  # noqa: FBT001  drawn by Hypothesis
        """Somebody does it right: reasons on the newest tuned churn, both promoted, and released."""
        if anew:
            self.train_churn(0, (), tune=True)
        churn = next(one for one in self.churns if one.digest == self.offers[-1].model_digest)
        self.promote_churn(self.churns.index(churn))
        self.train_reason(1, self.churns.index(churn))
        self.promote_reason(len(self.reasons) - 1)
        self.release()

    def fits(self) -> bool:
        """Tell by the plain side whether the gate should be open."""
        staging = self.plain.staging
        if staging.keys() != {CHURN, REASON, OFFER}:
            return False
        churn = next(one for one in self.churns if one.digest == staging[CHURN])
        reason = next(one for one in self.reasons if one.digest == staging[REASON])
        offer = next(one for one in self.offers if one.digest == staging[OFFER])
        in_step = reason.upstream["churn"] == offer.model_digest == churn.digest and reason.snapshot == churn.snapshot
        return in_step and self.plain.past[-1:] != [staging] and staging not in self.plain.abandoned

    @rule()
    def release(self) -> None:
        """The group is released, if all fits."""
        if not self.fits():
            with pytest.raises(ReleaseRefused):
                release(self.registry, GROUP, ADA)
            return
        release(self.registry, GROUP, ADA)
        self.plain.release()

    @rule()
    def roll_back(self) -> None:
        """The group goes back to the release that production replaced, if there is one."""
        if len(self.plain.undo) < 2:
            with pytest.raises(RollbackRefused):
                rollback(self.registry, GROUP, ADA)
            return
        target = self.plain.undo[-2]
        rollback(self.registry, GROUP, ADA)
        self.plain.roll_back(target)

    @precondition(lambda self: self.plain.past)
    @rule(which=PICK)
    def roll_back_to(self, which: int) -> None:
        """The group goes to any release that it had."""
        place = which % len(self.plain.past)
        target = self.plain.past[place]
        digest = self.registry.state().releases["churn"][place].digest
        if target == self.plain.past[-1]:
            with pytest.raises(RollbackRefused):
                rollback(self.registry, GROUP, ADA, to=digest)
            return
        rollback(self.registry, GROUP, ADA, to=digest[:20])
        self.plain.roll_back(target)

    @invariant()
    def both_say_the_same(self) -> None:
        """Staging, production, every earlier release and every stage are the same on both sides."""
        state = self.registry.state()
        assert dict(state.staging) == self.plain.staging
        assert [dict(one.members) for one in state.releases.get("churn", ())] == self.plain.past
        assert [dict(one.members) for one in state.undo.get("churn", ())] == self.plain.undo
        versions = [(CHURN, self.churns), (REASON, self.reasons), (OFFER, self.offers)]
        for key, facts in versions:
            for fact in facts:
                assert state.stage_of(key, fact.digest) is self.plain.stage_of(key, fact.digest)

    @invariant()
    def nothing_is_overwritten(self) -> None:
        """Every object that was ever there is there, with the same bytes."""
        objects = self.registry.objects
        now = {name: objects.get_unverified(name) for name in objects.names("")}
        assert self.bytes.items() <= now.items()
        self.bytes = now

    def teardown(self) -> None:
        """Who reads the log from its beginning comes to the same state."""
        assert Registry.open(self.registry.uri).state() == self.registry.state()


TestBoth = Both.TestCase
TestBoth.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
