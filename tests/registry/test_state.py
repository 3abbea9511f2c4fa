"""The state: version numbers, stages, the way back through releases, and one fold or many."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.errors import LogDamaged, UsageError
from lockstep.registry import (
    Approved,
    Fact,
    Held,
    ModelTrained,
    ObjectRef,
    Promoted,
    Rejected,
    Released,
    Removed,
    Resumed,
    RolledBack,
    SnapshotTaken,
    Stage,
    State,
    ThresholdTuned,
    Word,
    fold,
)
from lockstep.registry.fold import Contradiction, behind
from tests.registry.conftest import Facts, chained

REF = ObjectRef(path="a/b", sha256="a" * 64, size=1)
JANUARY = SnapshotTaken(dataset="customers", digest="jan", manifest=REF, rows=1, quarantined=0)


def trained(digest: str, model: str = "churn") -> ModelTrained:
    """Make a training's fact."""
    return ModelTrained(
        model=model,
        digest=digest,
        manifest=REF,
        recipe=f"recipe of {digest}",
        dataset="customers",
        snapshot="jan",
        upstream={},
        parameters={},
        source="s",
        metrics={},
        missed=(),
    )


def tuned(digest: str, of: str) -> ThresholdTuned:
    """Make a tuning's fact."""
    return ThresholdTuned(
        threshold="offer", digest=digest, manifest=REF, recipe="r", model="churn", model_digest=of, value=0.5
    )


def staged(digest: str) -> Promoted:
    """Make a promotion's fact."""
    return Promoted(group="churn", members={"model:churn": digest})


def released(name: str, churn: str) -> Released:
    """Make a release's fact."""
    return Released(group="churn", digest=name, manifest=REF, members={"model:churn": churn})


def rolled_back(name: str, churn: str, left: str) -> RolledBack:
    """Make a rollback's fact."""
    return RolledBack(group="churn", digest=name, manifest=REF, members={"model:churn": churn}, left=left)


def state_of(*facts: Fact) -> State:
    """Fold the log that holds these facts."""
    return fold(State(), chained(facts))


def stages(state: State, *digests: str) -> list[Stage]:
    """List the stages of versions of churn."""
    return [state.stage_of("model:churn", digest) for digest in digests]


def undo(state: State) -> list[str]:
    """List what a rollback can go back through, production last."""
    return [release.digest for release in state.undo["churn"]]


def test_version_number_is_its_place_among_its_name() -> None:
    """Versions are numbered by name, in the order of the log, and found by number and by digest."""
    state = state_of(JANUARY, trained("c1"), trained("v1", "value"), trained("c2"), tuned("t1", "c2"))
    assert [version.ref for version in state.models["churn"]] == ["churn@1", "churn@2"]
    assert state.model("churn").ref == state.model("churn@2").ref == "churn@2"
    assert state.model("value").ref == "value@1"
    assert (state.model_by_digest("churn", "c1").number, state.model("churn@1").recorded.number) == (1, 2)
    assert (state.snapshot("customers").ref, state.threshold("offer@1").digest) == ("customers@1", "t1")
    assert state.model("churn@2").recorded.origin.why == "step 4"


def test_thresholds_are_found_by_the_version_they_belong_to() -> None:
    """A threshold's versions are those of exactly one model version, oldest first."""
    state = state_of(JANUARY, trained("c1"), trained("c2"), tuned("t1", "c1"), tuned("t2", "c2"), tuned("t3", "c1"))
    assert [version.digest for version in state.thresholds_for("offer", "c1")] == ["t1", "t3"]
    assert state.thresholds_for("offer", "c9") == state.thresholds_for("other", "c1") == ()


def test_stages_follow_the_log() -> None:
    """A version is candidate, staging, production and archived in turn; a rollback brings it back to production."""
    facts: list[Fact] = [JANUARY, trained("c1"), trained("c2"), trained("c3")]
    seen: list[list[Stage]] = []
    for fact in (
        staged("c1"),
        staged("c2"),
        released("r2", "c2"),
        staged("c1"),
        released("r1", "c1"),
        staged("c3"),
        rolled_back("r2", "c2", "r1"),
    ):
        facts.append(fact)
        seen.append(stages(state_of(*facts), "c1", "c2", "c3"))
    candidate, staging, production, archived = Stage
    assert seen == [
        [staging, candidate, candidate],
        [archived, staging, candidate],
        [archived, production, candidate],
        [staging, production, candidate],
        [production, archived, candidate],
        [production, archived, staging],
        [archived, production, staging],
    ]


def test_staging_holds_the_last_promotion_of_each_member() -> None:
    """Staging is what was promoted last, member by member, and nothing where nothing was."""
    both = Promoted(group="churn", members={"model:churn": "c1", "threshold:offer": "t1"})
    state = state_of(JANUARY, trained("c1"), trained("c2"), tuned("t1", "c1"), both, staged("c2"))
    assert dict(state.staging) == {"model:churn": "c2", "threshold:offer": "t1"}
    model, threshold = state.staged_model("churn"), state.staged_threshold("offer")
    assert model is not None
    assert threshold is not None
    assert (model.ref, threshold.ref) == ("churn@2", "offer@1")
    assert state.staged_model("value") is None
    assert state.staged_threshold("other") is None


THREE = (JANUARY, trained("c1"), trained("c2"), trained("c3"), released("r1", "c1"), released("r2", "c2"))


@pytest.mark.parametrize(
    ("then", "left_to_undo"),
    [
        ([], ["r1", "r2"]),
        ([released("r3", "c3")], ["r1", "r2", "r3"]),
        ([rolled_back("r1", "c1", "r2")], ["r1"]),
        ([released("r3", "c3"), rolled_back("r2", "c2", "r3")], ["r1", "r2"]),
        ([released("r3", "c3"), rolled_back("r2", "c2", "r3"), rolled_back("r1", "c1", "r2")], ["r1"]),
        ([released("r3", "c3"), rolled_back("r1", "c1", "r3")], ["r1"]),
        ([rolled_back("r1", "c1", "r2"), released("r3", "c3")], ["r1", "r3"]),
        ([rolled_back("r1", "c1", "r2"), rolled_back("r2", "c2", "r1")], ["r1", "r2"]),
        ([released("r1", "c1"), rolled_back("r2", "c2", "r1")], ["r1", "r2"]),
        ([released("r1", "c1"), released("r3", "c3"), rolled_back("r1", "c1", "r3")], ["r1", "r2", "r1"]),
    ],
)
def test_way_back_leads_through_what_was_replaced(then: Sequence[Fact], left_to_undo: list[str]) -> None:
    """A release puts itself on the way back; a rollback takes off what it leaves, and the next goes further."""
    state = state_of(*THREE, *then)
    production = state.production("churn")
    assert undo(state) == left_to_undo
    assert production is not None
    assert production.digest == left_to_undo[-1]
    assert len(state.releases["churn"]) == 2 + len(then)


def test_group_without_a_release_has_no_production() -> None:
    """Before the first release a group has no production."""
    assert state_of(JANUARY, trained("c1"), staged("c1")).production("churn") is None


@pytest.mark.parametrize(
    ("look_up", "message"),
    [
        (lambda s: s.model("chrun"), 'There is no model version of "chrun" in the registry; it has churn, value.'),
        (lambda s: s.model("churn@3"), 'There is no model version "churn@3"; "churn" has versions churn@1 to churn@2.'),
        (lambda s: s.model("churn@0"), 'There is no model version "churn@0"; "churn" has versions churn@1 to churn@2.'),
        (lambda s: s.model("churn@x"), 'There is no model version "churn@x"; "churn" has versions churn@1 to churn@2.'),
        (lambda s: s.model("churn@"), 'There is no model version "churn@"; "churn" has versions churn@1 to churn@2.'),
        (
            lambda s: s.model("churn@-1"),
            'There is no model version "churn@-1"; "churn" has versions churn@1 to churn@2.',
        ),
        (lambda s: s.threshold("offer"), 'There is no threshold version of "offer" in the registry; it has none.'),
        (lambda s: s.snapshot("x@1"), 'There is no snapshot of "x" in the registry; it has customers.'),
        (
            lambda s: s.model_by_digest("churn", "0123456789abcdef"),
            'There is no version of "churn" with digest 0123456789ab… in the registry.',
        ),
    ],
)
def test_look_up_that_fails_says_what_there_is(look_up: Callable[[State], object], message: str) -> None:
    """A version that does not exist is refused, with those that do."""
    state = state_of(JANUARY, trained("c1"), trained("c2"), trained("v1", "value"))
    with pytest.raises(UsageError) as refused:
        look_up(state)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "fact",
    [
        Promoted(group="churn", members={"threshold:churn": "c1"}),
        staged("c9"),
        released("r1", "c9"),
        rolled_back("r1", "c9", "r0"),
    ],
)
def test_entry_about_a_version_that_nobody_made_is_damage(fact: Promoted | Released | RolledBack) -> None:
    """An entry that moves a version which no earlier entry made is refused."""
    ((key, digest),) = fact.members.items()
    kind, name = key.split(":")
    with pytest.raises(LogDamaged) as refused:
        state_of(JANUARY, trained("c1"), fact)
    assert str(refused.value) == (
        f'Log entry 3 names {kind} "{name}" with digest {digest}…, which no earlier entry made. Nothing is written'
        " until the log is restored from a copy."
    )


def contradiction(state: State, fact: Fact) -> str:
    """Tell why a fact can't be true behind a state; empty if it can."""
    entry = replace(chained([fact])[0][0], number=state.head + 1, previous=state.head_hash)
    try:
        behind(state, entry, "hash")
    except Contradiction as wrong:
        return str(wrong)
    return ""


GONE = Removed(folders=("models/churn/c1", "datasets/customers/jan"), size=1)


@pytest.mark.parametrize(
    ("fact", "needs"),
    [
        (staged("c1"), 'model "churn" with digest c1…'),
        (released("r1", "c1"), 'model "churn" with digest c1…'),
        (rolled_back("r1", "c1", "r2"), 'model "churn" with digest c1…'),
        (tuned("t9", "c1"), 'model "churn" with digest c1…'),
        (replace(trained("c9"), snapshot="feb", upstream={"churn": "c1"}), 'model "churn" with digest c1…'),
        (trained("c9"), 'dataset "customers" with digest jan…'),
    ],
)
def test_nothing_is_made_of_what_was_removed(fact: Fact, needs: str) -> None:
    """A fact that needs a version whose files are gone is no fact, whoever wanted it at the same moment."""
    state = state_of(JANUARY, trained("c1"), trained("c2"), tuned("t1", "c1"), GONE)
    assert contradiction(state, fact) == f"needs {needs}, whose files an earlier entry has removed"
    with pytest.raises(LogDamaged, match="whose files an earlier entry has removed"):
        state_of(JANUARY, trained("c1"), trained("c2"), tuned("t1", "c1"), GONE, fact)
    assert contradiction(state, staged("c2")) == ""


def test_a_removed_snapshot_that_was_taken_again_is_there() -> None:
    """The same content in another folder is the same digest, a new version, and can be trained on."""
    again = replace(JANUARY, manifest=replace(REF, path="datasets/customers/jan.1/manifest.json"))
    first = replace(JANUARY, manifest=replace(REF, path="datasets/customers/jan/manifest.json"))
    state = state_of(first, GONE, again)
    assert contradiction(state, trained("c1")) == ""
    assert state.snapshot_by_digest("customers", "jan").ref == "customers@2"
    assert [state.is_removed(version) for version in state.snapshots["customers"]] == [True, False]
    assert contradiction(state, first) == (
        'names a file in "datasets/customers/jan", a folder that an earlier entry has removed'
    )
    gone_again = state_of(first, GONE, again, Removed(folders=("datasets/customers/jan.1",), size=1))
    assert contradiction(gone_again, trained("c1"))
    assert dict(gone_again.removed) == {
        "models/churn/c1": 2,
        "datasets/customers/jan": 2,
        "datasets/customers/jan.1": 4,
    }


def test_folding_leaves_the_older_state_as_it_was(facts: Facts) -> None:
    """Folding further entries gives a new state; the older one is not touched, and neither can be changed by hand."""
    snapshot = facts.snapshot()
    entries = chained([snapshot, facts.model("churn", snapshot), facts.model("churn", snapshot, recipe="second")])
    older = fold(State(), entries[:2])
    newer = fold(older, entries[2:])
    assert (older.head, len(older.models["churn"])) == (2, 1)
    assert (newer.head, len(newer.models["churn"])) == (3, 2)
    with pytest.raises(TypeError):
        newer.staging["model:churn"] = "x"


def test_the_last_word_on_a_set_counts() -> None:
    """A set is approved or rejected by itself; who said the opposite later is heard, and other sets are not meant."""
    yes, no = (kind(group="churn", digest="set1", members={"model:churn": "c1"}) for kind in (Approved, Rejected))
    state = state_of(JANUARY, trained("c1"), yes)
    said = state.judgement("churn", "set1")
    assert said is not None
    assert (said.word, said.recorded.number, said.recorded.origin.why) == (Word.APPROVED, 3, "step 3")
    assert state.judgement("churn", "set2") is state.judgement("other", "set1") is None
    rejected = state_of(JANUARY, trained("c1"), yes, no).judgement("churn", "set1")
    assert rejected is not None
    assert rejected.word is Word.REJECTED


def test_a_rollback_puts_its_group_on_hold() -> None:
    """So does somebody who wants it; both last until the hold is lifted."""
    facts: list[Fact] = [JANUARY, trained("c1"), trained("c2"), released("r1", "c1"), released("r2", "c2")]
    assert state_of(*facts).hold("churn") is None
    facts.append(rolled_back("r1", "c1", left="r2"))
    hold = state_of(*facts).hold("churn")
    assert hold is not None
    assert (hold.left, hold.recorded.number) == ("r2", 6)
    assert state_of(*facts, Resumed(group="churn")).hold("churn") is None
    again = state_of(*facts, Resumed(group="churn"), Held(group="churn")).hold("churn")
    assert again is not None
    assert (again.left, state_of(*facts).hold("other")) == (None, None)


def test_a_rollback_of_an_older_protocol_holds_nothing() -> None:
    """What older entries said, they still say."""
    facts = [JANUARY, trained("c1"), trained("c2"), released("r1", "c1"), released("r2", "c2")]
    entries = chained([*facts, rolled_back("r1", "c1", left="r2")])
    older = [(replace(entry, protocol=2), sha256) for entry, sha256 in entries]
    assert fold(State(), older).hold("churn") is None


def test_holds_have_the_same_columns_in_one_fold_and_in_pieces() -> None:
    """A rollback names a release, a hold by hand does not: neither shifts what the others are looked up by."""
    facts: list[Fact] = [JANUARY, trained("c1"), trained("c2"), released("r1", "c1"), released("r2", "c2")]
    entries = chained([*facts, rolled_back("r1", "c1", left="r2"), Resumed(group="churn"), Held(group="churn")])
    whole = fold(State(), entries)
    for cut in range(len(entries)):
        pieces = fold(fold(State(), entries[:cut]), entries[cut:])
        assert pieces.holds["churn"].columns == whole.holds["churn"].columns
    assert {len(column) for column in whole.holds["churn"].columns.values()} == {3}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["train", "tune", "promote", "judge", "release", "roll back", "hold", "go on"]),
        st.integers(0, 50),
    ),
    max_size=25,
)


def story(steps: list[tuple[str, int]]) -> list[Fact]:
    """Make a log out of steps; a number picks among what is there to step on."""
    facts: list[Fact] = [JANUARY, trained("c0")]
    models, releases = ["c0"], [released("r0", "c0")]
    for place, (step, pick) in enumerate(steps, start=1):
        model, release = models[pick % len(models)], releases[pick % len(releases)]
        match step:
            case "train":
                models.append(f"c{place}")
                facts.append(trained(models[-1]))
            case "tune":
                facts.append(tuned(f"t{place}", model))
            case "promote":
                facts.append(staged(model))
            case "release":
                releases.append(released(f"r{place}", model))
                facts.append(releases[-1])
            case "judge":
                judged = Approved if pick % 2 else Rejected
                facts.append(judged(group="churn", digest=f"set {model}", members={"model:churn": model}))
            case "hold" | "go on":
                facts.append((Held if step == "hold" else Resumed)(group="churn"))
            case "roll back":
                facts.append(rolled_back(release.digest, release.members["model:churn"], releases[-1].digest))
    return facts


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, cuts=st.lists(st.integers(0, 27), max_size=4))
def test_fold_in_pieces_is_the_fold_in_one(steps: list[tuple[str, int]], cuts: list[int]) -> None:
    """Wherever a log is cut, folding its pieces one after the other gives the state of folding it whole."""
    entries = chained(story(steps))
    in_pieces = State()
    places = [0, *sorted(cuts), len(entries)]
    for start, end in itertools.pairwise(places):
        in_pieces = fold(in_pieces, entries[start:end])
    assert in_pieces == fold(State(), entries)
