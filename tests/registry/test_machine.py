"""The registry against plain dicts: whatever is trained, promoted, judged, released and removed, both say the same.

Several handles work on one registry, some of them long behind; calls of the store fail, are lost or late; checkpoints
are written often, deleted and damaged.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lockstep.errors import (
    FactRefused,
    HoldRefused,
    JudgementRefused,
    PromotionRefused,
    ReleaseRefused,
    RollbackRefused,
    SetChanged,
    StoreUnusable,
)
from lockstep.group import Group, GroupApi, GroupModel
from lockstep.registry import (
    Job,
    Log,
    ModelTrained,
    Objects,
    Origin,
    Registry,
    SnapshotTaken,
    Stage,
    State,
    ThresholdTuned,
    Word,
)
from lockstep.registry.checkpoint import FOLDER as CHECKPOINTS
from lockstep.release import (
    Needs,
    approve,
    compose,
    digest_of_release,
    hold,
    promote,
    reject,
    release,
    resume,
    rollback,
)
from lockstep.upkeep.keep import Rule
from lockstep.upkeep.retention import retain
from tests.crash.weather import Fault, Stormy, Weather
from tests.crash.whole import check_whole, said
from tests.registry.conftest import Facts

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
START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
PICK = st.integers(0, 30)
HANDLES = 4  # open at once
F = TypeVar("F", SnapshotTaken, ModelTrained, ThresholdTuned)
T = TypeVar("T")


@dataclass
class Plain:
    """What the registry should say, kept in dicts and lists."""

    staging: Members = field(default_factory=dict)
    staged_once: set[tuple[str, str]] = field(default_factory=set)
    past: list[Members] = field(default_factory=list)
    undo: list[Members] = field(default_factory=list)
    abandoned: list[Members] = field(default_factory=list)
    words: list[tuple[Members, Word]] = field(default_factory=list)  # the last word on each set, oldest first
    approved: list[Members] = field(default_factory=list)  # those that may be released by their approval now
    is_held: bool = False

    def stage(self, members: Members) -> None:
        """Move members to staging."""
        self.staging |= members
        self.staged_once |= set(members.items())

    def release(self) -> None:
        """Move staging to production."""
        self.past.append(dict(self.staging))
        self.undo.append(dict(self.staging))
        self.abandoned = [members for members in self.abandoned if members != self.staging]
        self.approved = []

    def say(self, word: Word) -> None:
        """Say a word on what stands in staging."""
        others = [(members, said) for members, said in self.words if members != self.staging]
        self.words = [*others, (dict(self.staging), word)]
        self.approved = [members for members in self.approved if members != self.staging]
        self.approved += [dict(self.staging)] if word is Word.APPROVED else []

    def word(self) -> Word | None:
        """Tell the last word on what stands in staging."""
        return next((word for members, word in self.words if members == self.staging), None)

    def roll_back(self, to: Members) -> None:
        """Move an earlier release to production."""
        self.abandoned = [members for members in self.abandoned if members != to] + [self.past[-1]]
        self.past.append(to)
        places = [place for place, members in enumerate(self.undo) if members == to]
        self.undo = [*self.undo[: places[-1]], to] if places else [*self.undo, to]
        self.approved, self.is_held = [], True

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
        self.uri = f"memory://{uuid4().hex}"
        self.objects = Objects.open(self.uri)  # under no weather
        self.weather = Weather()
        self.storm: dict[int, Fault] = {}
        self.handles: list[Registry] = []
        self.plain = Plain()
        self.bytes: dict[str, bytes] = {}
        self.made = 0
        self.staged: dict[int, str] = {}  # sets that were shown to somebody
        self.gone: set[str] = set()  # digests of versions whose files were removed
        self.snapshots: list[SnapshotTaken] = []
        self.churns: list[ModelTrained] = []
        self.reasons: list[ModelTrained] = []
        self.offers: list[ThresholdTuned] = []
        self.open_another(3)
        self.take_snapshot()
        self.train_churn(0, (), tune=True)

    def teardown(self) -> None:
        """Every handle, however far behind, says the same; the registry is whole, with and without checkpoints."""
        if not hasattr(self, "uri"):
            return
        self.weather.clear()
        now = said(check_whole(self.uri, GROUP))
        assert all(said(handle.state()) == now for handle in self.handles)
        self.delete_checkpoints()
        assert said(check_whole(self.uri, GROUP)) == now

    # ------------------------------------------------------------------------------ who works, and what disturbs them

    @rule(every=st.sampled_from([2, 3, 7, 1000]))
    def open_another(self, every: int) -> None:
        """A process starts, and does what comes next; it writes checkpoints that often."""
        objects = Stormy.under(self.weather, self.uri)
        clock = lambda: START + timedelta(minutes=self.made)  # noqa: E731  each step has a time of its own
        self.handles = [
            *self.handles[1 - HANDLES :],
            Registry(objects, Log(objects, clock=clock, checkpoint_every=every)),
        ]
        self.worker = self.handles[-1]

    @rule(which=PICK)
    def let_another_go_on(self, which: int) -> None:
        """Another process does what comes next, however long it has not looked."""
        self.worker = self.handles[which % len(self.handles)]

    @rule(which=PICK)
    def look(self, which: int) -> None:
        """One process looks, and goes no further."""
        assert said(self.handles[which % len(self.handles)].state()) == said(Registry.open(self.uri).state())

    @rule(storm=st.dictionaries(st.integers(1, 40), st.sampled_from(Fault), min_size=1, max_size=3))
    def bring_a_storm(self, storm: dict[int, Fault]) -> None:
        """Some calls of what comes next fail."""
        self.storm = storm

    @rule()
    def write_checkpoint(self) -> None:
        """A checkpoint is written now."""
        self.do(lambda registry, _: registry.log.write_checkpoint())

    @rule()
    def delete_checkpoints(self) -> None:
        """All checkpoints are deleted, which anybody may do at any time."""
        for name in self.objects.names(CHECKPOINTS):
            self.objects.delete(name)

    @rule(which=PICK, keep=st.booleans())
    def damage_a_checkpoint(self, which: int, keep: bool) -> None:  # noqa: FBT001  drawn by Hypothesis
        """A file of a checkpoint is lost, or has other bytes."""
        names = self.objects.names(CHECKPOINTS)
        if names:
            name = names[which % len(names)]
            data = self.objects.get_unverified(name)
            self.objects.delete(name)
            if keep:
                self.objects.put_new(name, data.replace(b"churn", b"chorn"))

    def do(self, act: Callable[[Registry, Origin], T]) -> T:
        """Do something as a job of its own; where the store fails it, as the next attempt, until the store is well."""
        self.made += 1
        made, self.storm, storm = len(self.weather.calls), {}, self.storm
        self.weather.faults = {made + place: fault for place, fault in storm.items()}
        attempt, run = 0, str(self.made)
        try:
            while True:
                attempt += 1
                try:
                    return act(
                        self.worker, Origin(by="ada", why="a step", job=Job(system="test", run=run, attempt=attempt))
                    )
                except StoreUnusable:
                    assert attempt <= len(storm)
        finally:
            self.weather.clear()

    def record(self, make: Callable[[Facts], F]) -> F:
        """Write the files of a version and record it, unless it is recorded."""

        def act(registry: Registry, origin: Origin) -> F:
            fact = make(Facts(registry.objects))
            registry.record(lambda state: None if fact.digest in digests(state) else fact, origin)
            return fact

        return self.do(act)

    # ---------------------------------------------------------------------------------------------- train and promote

    def next_name(self) -> str:
        """Make a name that no step had before."""
        return f"step {self.made}"

    @rule()
    def take_snapshot(self) -> None:
        """New rows come in."""
        self.snapshots.append(self.record(lambda facts: facts.snapshot("customers", self.next_name())))

    @rule(on=PICK, missed=st.sampled_from([(), (), (), ("roc_auc is 0.5, expected at least 0.8",)]), tune=st.booleans())
    def train_churn(self, on: int, missed: tuple[str, ...], tune: bool) -> None:  # noqa: FBT001  drawn by Hypothesis
        """Churn is trained, as a rule on the newest rows, and tuned or not."""
        snapshot = self.snapshots[-1 - on % min(2, len(self.snapshots))]
        make: Callable[[Facts], ModelTrained] = lambda facts: facts.model(  # noqa: E731  used in both cases
            "churn", snapshot, recipe=self.next_name(), missed=missed
        )
        if snapshot.digest in self.gone:
            with pytest.raises(FactRefused):
                self.record(make)
            return
        self.churns.append(self.record(make))
        if tune:
            self.tune(len(self.churns) - 1)

    @rule(of=PICK)
    def tune(self, of: int) -> None:
        """A threshold is tuned for a version of churn."""
        model = self.churns[of % len(self.churns)]
        make: Callable[[Facts], ThresholdTuned] = lambda facts: facts.threshold(  # noqa: E731  used in both cases
            "offer", model, value=self.made / 1000
        )
        if model.digest in self.gone:
            with pytest.raises(FactRefused):
                self.record(make)
            return
        self.offers.append(self.record(make))

    @rule(on=PICK, of=PICK)
    def train_reason(self, on: int, of: int) -> None:
        """The reasons are trained on a version of churn, as a rule on the same rows."""
        churn = self.churns[of % len(self.churns)]
        same = next(one for one in self.snapshots if one.digest == churn.snapshot)
        snapshot = same if on % 4 else self.snapshots[on % len(self.snapshots)]
        make: Callable[[Facts], ModelTrained] = lambda facts: facts.model(  # noqa: E731  used in both cases
            "reason", snapshot, upstream={"churn": churn.digest}, recipe=self.next_name()
        )
        if self.gone & {churn.digest, snapshot.digest}:
            with pytest.raises(FactRefused):
                self.record(make)
            return
        self.reasons.append(self.record(make))

    def promote(self, members: Members | None, *refs: str) -> None:
        """Move members to staging by one entry, or hear that a rule keeps them out."""
        if members is None:
            with pytest.raises(PromotionRefused):
                self.do(lambda registry, origin: promote(registry, GROUP, refs, origin))
            return
        self.do(lambda registry, origin: promote(registry, GROUP, refs, origin))
        self.plain.stage(members)

    def churn_at(self, place: int) -> Members | None:
        """A version of churn and its newest threshold; None: it may not be promoted."""
        model = self.churns[place]
        own = [tuned for tuned in self.offers if tuned.model_digest == model.digest and tuned.digest not in self.gone]
        return {CHURN: model.digest, OFFER: own[-1].digest} if self.may_stage(model) and own else None

    def may_stage(self, fact: ModelTrained | ThresholdTuned) -> bool:
        """Whether a version's files are there, and it missed nothing."""
        return fact.digest not in self.gone and not getattr(fact, "missed", ())

    @rule(which=PICK)
    def promote_churn(self, which: int) -> None:
        """A version of churn goes to staging with its newest threshold, if it may."""
        place = which % len(self.churns)
        self.promote(self.churn_at(place), f"churn@{place + 1}")

    @precondition(lambda self: self.reasons)
    @rule(which=PICK)
    def promote_reason(self, which: int) -> None:
        """A version of the reasons goes to staging, if it may."""
        place = which % len(self.reasons)
        reason = self.reasons[place]
        self.promote({REASON: reason.digest} if self.may_stage(reason) else None, f"reason@{place + 1}")

    @rule(which=PICK)
    def promote_offer(self, which: int) -> None:
        """A threshold goes to staging alone, if its model version is there."""
        place = which % len(self.offers)
        tuned = self.offers[place]
        fits = self.plain.staging.get(CHURN) == tuned.model_digest and self.may_stage(tuned)
        self.promote({OFFER: tuned.digest} if fits else None, f"offer@{place + 1}")

    @precondition(lambda self: self.reasons)
    @rule(which=PICK, of=PICK)
    def promote_both(self, which: int, of: int) -> None:
        """A version of churn and one of the reasons go to staging together, or none of them."""
        place, other = which % len(self.churns), of % len(self.reasons)
        members, reason = self.churn_at(place), self.reasons[other]
        both = {**members, REASON: reason.digest} if members and self.may_stage(reason) else None
        self.promote(both, f"reason@{other + 1}", f"churn@{place + 1}")

    @rule(which=PICK, of=PICK)
    def promote_churn_with(self, which: int, of: int) -> None:
        """A version of churn goes to staging with a threshold that is named, if that was tuned for it."""
        place, other = which % len(self.churns), of % len(self.offers)
        churn, tuned = self.churns[place], self.offers[other]
        fits = tuned.model_digest == churn.digest and self.may_stage(tuned) and self.may_stage(churn)
        members = {CHURN: churn.digest, OFFER: tuned.digest} if fits else None
        self.promote(members, f"offer@{other + 1}", f"churn@{place + 1}")

    # --------------------------------------------------------------------------------- release, go back, and clear away

    @rule(anew=st.booleans())
    def bring_all_in_step(self, anew: bool) -> None:  # noqa: FBT001  drawn by Hypothesis
        """Somebody does it right: reasons on the newest tuned churn, both promoted, and released."""
        if anew:
            self.take_snapshot()
            self.train_churn(0, (), tune=True)
        place = next(place for place, one in enumerate(self.churns) if one.digest == self.offers[-1].model_digest)
        self.promote_churn(place)
        self.train_reason(1, place)
        self.promote_reason(len(self.reasons) - 1)
        if self.plain.is_held:
            self.resume()
        self.release()

    def fits(self) -> bool:
        """Tell by the plain side whether the members in staging fit together."""
        staging = self.plain.staging
        if staging.keys() != {CHURN, REASON, OFFER}:
            return False
        churn = next(one for one in self.churns if one.digest == staging[CHURN])
        reason = next(one for one in self.reasons if one.digest == staging[REASON])
        offer = next(one for one in self.offers if one.digest == staging[OFFER])
        return reason.upstream["churn"] == offer.model_digest == churn.digest and reason.snapshot == churn.snapshot

    def is_new(self) -> bool:
        """Tell by the plain side whether the members in staging fit together, and are not in production."""
        return self.fits() and self.plain.past[-1:] != [self.plain.staging]

    def is_open(self) -> bool:
        """Tell by the plain side whether the gate should be open."""
        plain = self.plain
        shut = plain.is_held or plain.staging in plain.abandoned or plain.word() is Word.REJECTED
        return self.is_new() and not shut

    @rule(needs=st.sampled_from([Needs.GATE, Needs.GATE, Needs.APPROVAL]))
    def release(self, needs: Needs = Needs.GATE) -> None:
        """The group is released, if all fits, and is approved where it has to be."""
        if not self.is_open() or (needs is Needs.APPROVAL and self.plain.staging not in self.plain.approved):
            with pytest.raises(ReleaseRefused):
                self.do(lambda registry, origin: release(registry, GROUP, origin, needs=needs))
            return
        self.do(lambda registry, origin: release(registry, GROUP, origin, needs=needs))
        self.plain.release()

    @precondition(lambda self: self.fits())
    @rule(word=st.sampled_from(Word))
    def judge(self, word: Word) -> None:
        """Somebody approves or rejects what stands in staging, unless it is in production already."""
        digest = digest_of_release(compose(GROUP, Registry.open(self.uri).state()))
        say = approve if word is Word.APPROVED else reject
        if not self.is_new():
            with pytest.raises(JudgementRefused):
                self.do(lambda registry, origin: say(registry, GROUP, origin, digest=digest))
            return
        self.do(lambda registry, origin: say(registry, GROUP, origin, digest=digest))
        self.plain.say(word)

    @precondition(lambda self: self.fits())
    @rule(word=st.sampled_from(Word), which=PICK)
    def judge_what_was_shown_before(self, word: Word, which: int) -> None:
        """Somebody says a word on a set that was shown, when another has taken its place: nothing is recorded."""
        say = approve if word is Word.APPROVED else reject
        shown = self.staged.setdefault(which % 3, digest_of_release(compose(GROUP, Registry.open(self.uri).state())))
        if shown != digest_of_release(compose(GROUP, Registry.open(self.uri).state())):
            with pytest.raises(SetChanged):
                self.do(lambda registry, origin: say(registry, GROUP, origin, digest=shown))

    @rule()
    def hold(self) -> None:
        """The group is put on hold, unless it is."""
        if self.plain.is_held:
            with pytest.raises(HoldRefused):
                self.do(lambda registry, origin: hold(registry, GROUP, origin))
            return
        self.do(lambda registry, origin: hold(registry, GROUP, origin))
        self.plain.is_held = True

    @rule()
    def resume(self) -> None:
        """The hold is lifted, if there is one."""
        if not self.plain.is_held:
            with pytest.raises(HoldRefused):
                self.do(lambda registry, origin: resume(registry, GROUP, origin))
            return
        self.do(lambda registry, origin: resume(registry, GROUP, origin))
        self.plain.is_held = False

    @rule()
    def roll_back(self) -> None:
        """The group goes back to the release that production replaced, if there is one."""
        target = self.plain.undo[-2] if len(self.plain.undo) > 1 else None
        if target is None or self.gone & set(target.values()):
            with pytest.raises(RollbackRefused):
                self.do(lambda registry, origin: rollback(registry, GROUP, origin))
            return
        self.do(lambda registry, origin: rollback(registry, GROUP, origin))
        self.plain.roll_back(target)

    @precondition(lambda self: self.plain.past)
    @rule(which=PICK)
    def roll_back_to(self, which: int) -> None:
        """The group goes to any release that it had and whose files are there."""
        place = which % len(self.plain.past)
        target = self.plain.past[place]
        to = Registry.open(self.uri).state().releases["churn"][place].digest[:20]
        if target == self.plain.past[-1] or self.gone & set(target.values()):
            with pytest.raises(RollbackRefused):
                self.do(lambda registry, origin: rollback(registry, GROUP, origin, to=to))
            return
        self.do(lambda registry, origin: rollback(registry, GROUP, origin, to=to))
        self.plain.roll_back(target)

    @rule(keep=st.integers(1, 3), rollbacks=st.integers(0, 2))
    def clear_away(self, keep: int, rollbacks: int) -> None:
        """Old versions are removed; staging, production, the rollback window and all that these are made from stay."""
        kept = self.needed(keep, rollbacks)
        rule = Rule(keep=keep, older_than=timedelta(0), rollbacks=rollbacks)
        self.do(lambda registry, origin: retain(registry, rule, origin))
        self.gone |= {fact.digest for _, facts in self.versions() for fact in facts} - kept

    @rule(times=st.integers(1, 3), rollbacks=st.integers(0, 2), of=PICK)
    def go_on_and_clear_away(self, times: int, rollbacks: int, of: int) -> None:
        """Months go by: whole sets are released, what is old goes, and somebody tunes a threshold of an old model."""
        for _ in range(times):
            self.bring_all_in_step(anew=True)
        self.clear_away(keep=1, rollbacks=rollbacks)
        self.tune(of)

    def needed(self, keep: int, rollbacks: int) -> set[str]:
        """The digests that retention must keep."""
        kept = {digest for members in self.plain.undo[-1 - rollbacks :] for digest in members.values()}
        kept |= set(self.plain.staging.values())
        for members in self.plain.past[-1:]:
            kept |= set(members.values())
        for _, facts in self.versions():
            kept |= {fact.digest for fact in [one for one in facts if one.digest not in self.gone][-keep:]}
        kept -= self.gone  # of a release that can't be put back any more
        kept |= {one.model_digest for one in self.offers if one.digest in kept}
        kept |= {one.upstream["churn"] for one in self.reasons if one.digest in kept}
        kept |= {one.snapshot for one in (*self.reasons, *self.churns) if one.digest in kept}
        return kept

    def versions(self) -> Iterable[tuple[str, list[SnapshotTaken] | list[ModelTrained] | list[ThresholdTuned]]]:
        """All versions that were recorded, by the key that a member of that name has."""
        return [("", self.snapshots), (CHURN, self.churns), (REASON, self.reasons), (OFFER, self.offers)]

    # ------------------------------------------------------------------------------------------------ what always holds

    @invariant()
    def both_say_the_same(self) -> None:
        """Staging, production, every earlier release and every stage are the same on both sides."""
        state = Registry.open(self.uri).state()
        assert dict(state.staging) == self.plain.staging
        assert [dict(one.members) for one in state.releases.get("churn", ())] == self.plain.past
        assert [dict(one.members) for one in state.undo.get("churn", ())] == self.plain.undo
        assert (state.hold("churn") is not None) is self.plain.is_held
        last = {one.digest: one.word for one in state.judgements.get("churn", ())}
        assert Counter(last.values()) == Counter(word for _, word in self.plain.words)
        for key, facts in self.versions():
            for fact in facts:
                assert not key or state.stage_of(key, fact.digest) is self.plain.stage_of(key, fact.digest)
        recorded = (state.snapshots["customers"], *(state.models.get(name, ()) for name in ("churn", "reason")))
        expected = (self.snapshots, self.churns, self.reasons, self.offers)
        assert [[one.fact for one in past] for past in (*recorded, state.thresholds["offer"])] == list(expected)
        assert {folder.rpartition("/")[2] for folder in state.removed} == self.gone

    @invariant()
    def nothing_is_overwritten(self) -> None:
        """Every object that was ever there has the same bytes, and is gone only where the log says so."""
        names = [name for name in self.objects.names("") if not name.startswith(f"{CHECKPOINTS}/")]
        now = {name: self.objects.get_unverified(name) for name in names}
        there = {name: data for name, data in self.bytes.items() if not self.gone & set(name.split("/"))}
        assert there.items() <= now.items()
        assert not any(self.gone & set(name.split("/")) for name in now)
        self.bytes = now


def digests(state: State) -> set[str]:
    """The digests of all versions that are recorded."""
    pasts = (*state.snapshots.values(), *state.models.values(), *state.thresholds.values())
    return {version.digest for past in pasts for version in past}


TestBoth = Both.TestCase
TestBoth.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
