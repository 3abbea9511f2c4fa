"""Checkpoints: they open a log fast, may be lost or wrong in every way, and never change what it says."""

import logging
from collections import Counter
from collections.abc import Iterator
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.errors import LogDamaged, ObjectMissing, StoreUnusable
from lockstep.registry import (
    Approved,
    Fact,
    Held,
    Listed,
    Log,
    ModelTrained,
    ObjectRef,
    Objects,
    Origin,
    Promoted,
    Rejected,
    Released,
    Removed,
    Resumed,
    RolledBack,
    SnapshotTaken,
    State,
    ThresholdTuned,
    sha256_of,
)
from lockstep.registry.checkpoint import FOLDER, why_not
from lockstep.registry.entries import path_of

ADA = Origin(by="ada")
EVERY = 10


def ref(digest: str) -> ObjectRef:
    """Refer to a manifest that nobody reads here."""
    return ObjectRef(path=f"models/churn/{digest}/manifest.json", sha256="a" * 64, size=1)


def trained(digest: str) -> ModelTrained:
    """Make the fact of a training."""
    return ModelTrained(
        model="churn",
        digest=digest,
        manifest=ref(digest),
        recipe=f"recipe {digest}",
        dataset="customers",
        snapshot="s",
        upstream={},
        parameters={},
        source="s",
        metrics={"roc_auc": 0.8},
        missed=(),
    )


def story(length: int) -> Iterator[Fact]:
    """Tell what a team does: data, models, thresholds, promotions, releases, a removal, a rollback, words, and on."""
    yield SnapshotTaken(dataset="customers", digest="s", manifest=ref("s"), rows=1, quarantined=0)
    for turn in range(length):
        model, offer = f"m{turn}", f"t{turn}"
        members = {"model:churn": model, "threshold:offer": offer}
        yield trained(model)
        yield ThresholdTuned(
            threshold="offer", digest=offer, manifest=ref(offer), recipe="r", model="churn", model_digest=model, value=0
        )
        yield Promoted(group="churn", members=members)
        if turn % 3 == 0:
            yield Released(group="churn", digest=f"r{turn}", manifest=ref(f"r{turn}"), members=members)
        if turn % 5 == 4:
            yield Removed(folders=(f"models/churn/m{turn - 1}",), size=1)
        if turn % 7 == 6:
            back = {"model:churn": "m0", "threshold:offer": "t0"}
            left = f"r{turn - turn % 3}"
            yield (Approved if turn % 2 else Rejected)(group="churn", digest=f"set{turn}", members=members)
            yield RolledBack(group="churn", digest="r0", manifest=ref("r0"), members=back, left=left)
            yield Resumed(group="churn")
        if turn % 11 == 10:
            yield Held(group="churn")


def tell(objects: Objects, length: int, *, every: int = EVERY) -> Log:
    """Write the story into a log."""
    log = Log(objects, checkpoint_every=every)
    for fact in story(length):
        log.append(lambda _, fact=fact: fact, ADA)
    return log


def without(objects: Objects) -> State:
    """Read the log as if there were no checkpoint."""
    return Log(Blind(objects)).read()


def indexes(objects: Objects) -> list[str]:
    """List the checkpoints, oldest first."""
    return [name for name in objects.names(FOLDER) if name.endswith(".json")]


def packs(objects: Objects) -> list[str]:
    """List the packs, oldest first."""
    return [name for name in objects.names(FOLDER) if name.endswith(".jsonl")]


class Through(Objects):
    """The same store through another handle."""

    def __init__(self, objects: Objects) -> None:
        super().__init__(objects._store)


class Blind(Through):
    """A handle that shows no checkpoints."""

    def names(self, prefix: str, *, after: str | None = None) -> list[str]:
        """List all names but those of checkpoints."""
        return [name for name in super().names(prefix, after=after) if not name.startswith(FOLDER)]


class Counts(Through):
    """A handle that counts what is asked of the store."""

    def __init__(self, objects: Objects) -> None:
        super().__init__(objects)
        self.asked: Counter[str] = Counter()

    def names(self, prefix: str, *, after: str | None = None) -> list[str]:
        """Count a listing."""
        self.asked["names"] += 1
        return super().names(prefix, after=after)

    def get_unverified(self, path: str) -> bytes:
        """Count a read."""
        self.asked["read"] += 1
        return super().get_unverified(path)

    def exists(self, path: str) -> bool:
        """Count a look."""
        self.asked["look"] += 1
        return super().exists(path)


def replace(objects: Objects, path: str, data: bytes) -> None:
    """Put other bytes where something stands, as a failing disk would."""
    objects._delete(path)
    objects.put_new(path, data)


def test_a_log_says_the_same_through_a_checkpoint(objects: Objects) -> None:
    """Versions, stages, releases and the way back are those of the whole log, and so is each look-up."""
    log = tell(objects, 23)
    opened = Log(objects).read()
    assert indexes(objects)
    assert opened == log.read() == without(objects)
    assert opened.model("churn@4") == without(objects).model("churn@4")
    assert [tuned.ref for tuned in opened.thresholds_for("offer", "m5")] == ["offer@6"]
    assert opened.models_by_recipe("churn", "recipe m7")[0].digest == "m7"
    assert opened.models["churn"][-3:] == without(objects).models["churn"][-3:]
    assert opened.abandoned == without(objects).abandoned
    assert opened.judgement("churn", "set13") == without(objects).judgement("churn", "set13") is not None
    assert opened.hold("churn") == without(objects).hold("churn") is not None
    assert opened.is_removed(opened.model_by_digest("churn", "m3"))


def test_opening_costs_a_few_requests_and_going_on_one(objects: Objects) -> None:
    """However long the log is, opening reads the checkpoint, its last entry and what is behind it."""
    log = tell(objects, 40, every=10)
    counts = Counts(objects)
    reader = Log(counts)
    behind = log.read().head % 10
    assert reader.read().head == log.read().head
    assert counts.asked == {"names": 2, "read": 2 + behind}
    counts.asked.clear()
    reader.read()
    assert counts.asked == {"read": 1}
    counts.asked.clear()
    log.append(lambda _: trained("new"), ADA)
    assert reader.read().model("churn").digest == "new"
    assert counts.asked == {"read": 2}
    counts.asked.clear()
    for number in range(20):
        log.append(lambda _, digest=f"many {number}": trained(digest), ADA)
    assert reader.read().head == log.read().head
    assert counts.asked == {"names": 1, "read": 20}


def test_a_version_of_the_past_costs_one_read(objects: Objects) -> None:
    """What a pack holds is read with the first that is asked for, and then at hand."""
    tell(objects, 40, every=10)
    counts = Counts(objects)
    state = Log(counts).read()
    counts.asked.clear()
    assert state.model("churn@1").ref == state.model_by_digest("churn", "m0").ref == "churn@1"
    assert counts.asked == {"read": 1}


def test_whoever_writes_every_so_many_entries_writes_one(objects: Objects) -> None:
    """A checkpoint stands behind every tenth entry; the three newest stay, and each pack is written once."""
    log = tell(objects, 30)
    head = log.read().head
    expected = list(range(10, head + 1, 10))[-3:]
    assert [int(name.split("/")[-1].split("-")[0]) for name in indexes(objects)] == expected
    assert [name.split("/")[-1][:41] for name in packs(objects)] == [
        f"{first:020d}-{first + 9:020d}" for first in range(1, expected[-1], 10)
    ]


def test_a_log_without_checkpoints_gets_one_from_the_next_writer(objects: Objects) -> None:
    """Where checkpoints are gone, the next whose turn it is, or who finds that nobody wrote one for long, writes it."""
    tell(objects, 30, every=1000)
    assert indexes(objects) == []
    log = Log(objects, checkpoint_every=EVERY)
    log.append(lambda _: trained("late"), ADA)
    assert len(indexes(objects)) == 1
    assert why_not(objects, indexes(objects)[0]) == ""
    assert Log(objects).read() == without(objects)


@pytest.mark.parametrize("harm", ["gone", "cut", "changed", "empty", "newer", "no state", "of another log"])
def test_a_checkpoint_that_is_wrong_is_not_believed(objects: Objects, harm: str) -> None:
    """The one before it is opened instead, or the whole log, and the next writer makes a good one."""
    log = tell(objects, 12)
    newest = indexes(objects)[-1]
    data = objects.get_unverified(newest)
    objects._delete(newest)
    match harm:
        case "cut":
            objects.put_new(newest, data[:-30])
        case "changed":
            objects.put_new(newest, data.replace(b'"m1"', b'"m2"'))
        case "empty":
            objects.put_new(newest, b"")
        case "newer":
            other = data.replace(b'"protocol":2', b'"protocol":9')
            newest = f"{newest[: newest.index('-')]}-{sha256_of(other)}.json"
            objects.put_new(newest, other)
        case "no state":
            other = data.replace(b'"staging":', b'"stagong":')
            newest = f"{newest[: newest.index('-')]}-{sha256_of(other)}.json"
            objects.put_new(newest, other)
        case "of another log":
            other = data.replace(b'"head_hash":"', b'"head_hash":"f')
            newest = f"{newest[: newest.index('-')]}-{sha256_of(other)}.json"
            objects.put_new(newest, other)
    reason = {
        "gone": "is gone",
        "cut": "does not hold the bytes that its name promises",
        "changed": "does not hold the bytes that its name promises",
        "empty": "does not hold the bytes that its name promises",
        "newer": "has protocol 9, and this Lockstep reads 2",
        "no state": "does not have the form of a checkpoint (KeyError: 'staging')",
        "of another log": "does not end with entry 40 of the log",
    }
    assert why_not(objects, newest) == reason[harm]
    assert Log(objects).read() == log.read() == without(objects)
    for name in indexes(objects)[:-1]:
        objects._delete(name)
    assert Log(objects).read() == without(objects)
    Log(objects).write_checkpoint()
    assert why_not(objects, indexes(objects)[-1]) == ""
    assert Log(objects).read() == without(objects)


def test_a_checkpoint_ahead_of_its_log_is_not_believed(objects: Objects) -> None:
    """A log that was restored from an older copy is read as it is, not as a checkpoint remembers it."""
    tell(objects, 12)
    newest = indexes(objects)[-1]
    last = int(newest.split("/")[-1].split("-")[0])
    for name in [name for name in objects.names("log") if name >= path_of(last) and not name.startswith(FOLDER)]:
        objects._delete(name)
    assert why_not(objects, newest) == f"ends with entry {last}, which is not in the log"
    assert Log(objects).read() == without(objects)
    assert Log(objects).read().head == last - 1


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_a_pack_that_is_wrong_is_read_from_the_log(objects: Objects, harm: str) -> None:
    """The entries themselves give the same answer, and a pack that is gone is written with the next checkpoint."""
    tell(objects, 12)
    pack = packs(objects)[0]
    data = objects.get_unverified(pack)
    objects._delete(pack)
    if harm == "changed":
        objects.put_new(pack, data.replace(b'"m1"', b'"m2"'))
    state = Log(objects).read()
    assert state.model("churn@1").digest == "m0"
    assert state == without(objects)
    log = Log(objects, checkpoint_every=1)
    log.append(lambda _: trained("next"), ADA)
    assert (objects.get_unverified(pack) == data) == (harm == "gone")


def test_a_pack_and_its_log_that_are_both_wrong_are_damage(objects: Objects) -> None:
    """Where neither the pack nor the log's own entries are whole, the entry is named, and nothing is guessed."""
    tell(objects, 12)
    objects._delete(packs(objects)[0])
    replace(objects, path_of(3), objects.get_unverified(path_of(3)).replace(b'"ada"', b'"eve"'))
    state = Log(objects).read()
    with pytest.raises(LogDamaged, match=r"^Log entry 3 can't be read: its bytes are not those"):
        state.model("churn@1")
    objects._delete(path_of(3))
    with pytest.raises(ObjectMissing, match=path_of(3)):
        state.model("churn@1")
    assert state.model("churn").ref == "churn@12"


class Full(Through):
    """A store on which checkpoints can't be written."""

    def put_new(self, path: str, data: bytes) -> bool:
        """Write entries only."""
        if path.startswith(FOLDER):
            raise StoreUnusable("no space left on device")
        return super().put_new(path, data)


def test_an_entry_stands_though_no_checkpoint_can_be_written(
    objects: Objects, caplog: pytest.LogCaptureFixture
) -> None:
    """Who appends is told of its entry, and the log output of the checkpoint's failure."""
    log = tell(Full(objects), 12)
    assert (Log(objects).read(), indexes(objects)) == (log.read(), [])
    warned = [record for record in caplog.records if record.name == "lockstep.registry.log"]
    assert warned
    assert all(record.levelno == logging.WARNING for record in warned)
    assert warned[0].getMessage() == (
        "Log entry 10 stands, but a checkpoint could not be written, or not deleted: no space left on device"
    )


def test_damage_that_a_checkpoint_meets_is_an_error_of_the_log_output(
    objects: Objects, caplog: pytest.LogCaptureFixture
) -> None:
    """A writer that packs the past and finds it damaged says which entry it is."""
    log = tell(objects, 2, every=1000)
    replace(objects, path_of(2), b"{}")
    log._every = 1
    log.append(lambda _: trained("next"), ADA)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "Log entry 2 can't be read" in caplog.text
    assert indexes(objects) == []


@given(
    turns=st.integers(0, 12),
    cuts=st.sets(st.integers(1, 45), max_size=4),
    lost=st.sets(st.integers(0, 5), max_size=3),
)
@settings(max_examples=40, deadline=None)
def test_any_checkpoints_anywhere_change_nothing(turns: int, cuts: set[int], lost: set[int]) -> None:
    """Whenever checkpoints are written, and whichever of their files are lost, the log says the same."""
    objects = Objects.open(f"memory://{uuid4().hex}")
    log = Log(objects, checkpoint_every=1000)
    for number, fact in enumerate(story(turns), start=1):
        log.append(lambda _, fact=fact: fact, ADA)
        if number in cuts:
            Log(objects).write_checkpoint()
    for place in lost:
        names = objects.names(FOLDER)
        if names:
            objects.delete(names[place % len(names)])
    assert Log(objects).read() == log.read() == without(objects)


def test_checkpoints_are_as_large_as_their_names_and_digests(objects: Objects) -> None:
    """An index holds no fact: it grows by digests and numbers, and the entries stand in packs."""
    tell(objects, 40)
    newest = indexes(objects)[-1]
    sizes: dict[str, Listed] = {one.path: one for one in objects.listing(FOLDER)}
    assert b"roc_auc" not in objects.get_unverified(newest)
    assert sizes[newest].size < sum(sizes[pack].size for pack in packs(objects)) / 2
