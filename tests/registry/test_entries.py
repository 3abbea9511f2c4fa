"""Entries: written and read without loss, and refused when they are not exactly of their form."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from lockstep.errors import LogDamaged, ProtocolTooNew
from lockstep.registry import (
    Approved,
    Entry,
    Fact,
    Held,
    Job,
    ModelTrained,
    ObjectRef,
    Origin,
    Promoted,
    Rejected,
    Released,
    Removed,
    Resumed,
    RolledBack,
    SnapshotTaken,
    ThresholdTuned,
    canonical_json,
)
from lockstep.registry.entries import GENESIS, MOST_BYTES, _sealed, decode, encode

REF = ObjectRef(path="models/churn/abc/manifest.json", sha256="a" * 64, size=12)
JOB = Job(system="airflow", run="churn_retrain/manual__1", task="train", attempt=2, log="http://x/log", commit="c0ffee")
FACTS: dict[str, Fact] = {
    "snapshot_taken": SnapshotTaken(dataset="customers", digest="d1", manifest=REF, rows=7, quarantined=1),
    "model_trained": ModelTrained(
        model="churn",
        digest="d2",
        manifest=REF,
        recipe="r",
        dataset="customers",
        snapshot="d1",
        upstream={"value": "d0"},
        parameters={"depth": 3, "rate": 0.1, "names": ["a"], "deep": {"x": None}},
        source="s",
        metrics={"roc_auc": 0.84, "brier": None},
        missed=("roc_auc is 0.5, expected at least 0.8",),
    ),
    "threshold_tuned": ThresholdTuned(
        threshold="offer", digest="d3", manifest=REF, recipe="r", model="churn", model_digest="d2", value=0.125
    ),
    "promoted": Promoted(group="churn", members={"model:churn": "d2", "threshold:offer": "d3"}),
    "released": Released(group="churn", digest="d4", manifest=REF, members={"model:churn": "d2"}),
    "rolled_back": RolledBack(group="churn", digest="d4", manifest=REF, members={"model:churn": "d2"}, left="d5"),
    "approved": Approved(group="churn", digest="d4", members={"model:churn": "d2"}),
    "rejected": Rejected(group="churn", digest="d4", members={"model:churn": "d2"}),
    "held": Held(group="churn"),
    "resumed": Resumed(group="churn"),
    "removed": Removed(folders=("models/churn/d2",), size=7),
}


def entry(fact: Fact = FACTS["promoted"], **changes: Any) -> Entry:
    """Make the first entry of a log."""
    given: dict[str, Any] = {
        "number": 1,
        "previous": GENESIS,
        "nonce": "n1",
        "at": datetime(2026, 1, 5, 8, 30, 15, 123456, tzinfo=UTC),
        "origin": Origin(by="ada", why="größer, “better”", job=JOB),
        "fact": fact,
    }
    return Entry(**(given | changes))


def written(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Write an entry whose JSON was changed."""
    plain = json.loads(encode(entry()))
    del plain["seal"]
    change(plain)
    return _sealed(canonical_json(plain))


@pytest.mark.parametrize("kind", FACTS)
def test_every_fact_is_read_as_it_was_written(kind: str) -> None:
    """Decoding an encoded entry gives the same entry, and encoding that the same bytes."""
    original = entry(FACTS[kind])
    data = encode(original)
    read = decode(data, number=1, previous=GENESIS)
    assert read == original
    assert encode(read) == data
    assert json.loads(data)["fact"]["kind"] == kind


def test_time_is_the_same_moment_in_any_zone() -> None:
    """An entry stamped in another time zone is read as the same moment."""
    at = datetime(2026, 1, 5, 8, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert decode(encode(entry(at=at)), number=1, previous=GENESIS).at == at


def test_an_entry_without_a_job_is_read_so() -> None:
    """What a person did by hand carries no job."""
    assert decode(encode(entry(origin=Origin(by="ada"))), number=1, previous=GENESIS).origin == Origin(by="ada")


@pytest.mark.parametrize("extra", [{}, {"colour": "red"}, {"fact": {"kind": "model_forgotten"}}])
def test_newer_protocol_says_so(extra: dict[str, Any]) -> None:
    """An entry of a newer protocol is refused as such, whether or not it could be read."""
    data = written(lambda plain: plain.update(extra, protocol=4, needs="7.1.0"))
    with pytest.raises(ProtocolTooNew) as refused:
        decode(data, number=1, previous=GENESIS)
    assert str(refused.value) == (
        "Log entry 1 has protocol 4; this Lockstep reads up to 3. Install airflow-provider-lockstep>=7.1.0."
    )


@pytest.mark.parametrize("needs", [None, "", 7, ["x"], "rm -rf /", "9" * 100])
def test_newer_protocol_that_names_no_version_says_so(needs: object) -> None:
    """Only what looks like a version is passed on to whoever reads the message."""
    data = canonical_json({"protocol": 4, "needs": needs})
    with pytest.raises(ProtocolTooNew) as refused:
        decode(data, number=1, previous=GENESIS)
    assert str(refused.value) == (
        "Log entry 1 has protocol 4; this Lockstep reads up to 3. Install a newer airflow-provider-lockstep."
    )


def test_entry_that_was_changed_breaks_its_own_seal() -> None:
    """Any byte that is changed, and any part that is cut off, is noticed without the entry that follows."""
    data = encode(entry())
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises((LogDamaged, ProtocolTooNew)):
            decode(changed, number=1, previous=GENESIS)
        with pytest.raises(LogDamaged):
            decode(data[:place], number=1, previous=GENESIS)


def test_entry_without_its_seal_is_refused() -> None:
    """An entry of protocol 2 can't pass without a seal, nor one of protocol 1 with one."""
    plain = json.loads(encode(entry()))
    del plain["seal"]
    for data in (canonical_json(plain), _sealed(canonical_json(plain | {"protocol": 1}))):
        with pytest.raises(LogDamaged, match="its bytes are not those that it was sealed with"):
            decode(data, number=1, previous=GENESIS)


def test_entry_that_is_too_large_is_neither_written_nor_read() -> None:
    """An entry has a limit, which holds on both ways, before any of it is parsed."""
    huge = entry(origin=Origin(by="ada", why="x" * MOST_BYTES))
    with pytest.raises(ValueError, match=r"it has \d+ bytes; allowed are 4194304\. Shorten"):
        encode(huge)
    with pytest.raises(LogDamaged, match=r"it has \d+ bytes; an entry has at most 4194304"):
        decode(b" " * (MOST_BYTES + 1), number=1, previous=GENESIS)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda plain: plain.update(colour="red"), "colour: Unexpected keyword argument"),
        (lambda plain: plain["origin"].update(colour="red"), "origin.colour: Unexpected keyword argument"),
        (lambda plain: plain["origin"]["job"].update(colour=1), "origin.job.colour: Unexpected keyword argument"),
        (lambda plain: plain["fact"].update(colour="red"), "fact.promoted.colour: Unexpected keyword argument"),
        (lambda plain: plain.pop("nonce"), "nonce: Field required"),
        (lambda plain: plain["fact"].pop("members"), "fact.promoted.members: Field required"),
        (lambda plain: plain["fact"].update(members=[]), "fact.promoted.members: Input should be an object"),
    ],
)
def test_entry_of_another_form_is_refused(change: Callable[[dict[str, Any]], object], place: str) -> None:
    """A field too many, too few or of another type is refused, with its place."""
    with pytest.raises(LogDamaged) as refused:
        decode(written(change), number=1, previous=GENESIS)
    assert str(refused.value) == (
        f"Log entry 1 can't be read: {place}. Nothing is written until it is restored from a copy."
    )


@pytest.mark.parametrize("data", [b"", b"{", b"null", b"[]", b"\xff\xfe", b"{}", b"garbage"])
def test_garbage_is_refused(data: bytes) -> None:
    """Bytes that are no entry are refused as damage."""
    with pytest.raises(LogDamaged, match=r"^Log entry 9 can't be read: .*\. Nothing is written until it is restored"):
        decode(data, number=9, previous=GENESIS)


@pytest.mark.parametrize(("number", "previous"), [(2, GENESIS), (1, "b" * 64)])
def test_entry_at_a_wrong_place_is_refused(number: int, previous: str) -> None:
    """An entry whose number or predecessor is another is refused, with both."""
    with pytest.raises(LogDamaged) as refused:
        decode(encode(entry()), number=number, previous=previous)
    assert str(refused.value) == (
        f"Log entry {number} does not follow entry {number - 1}: it says number 1 behind 000000000000…, expected"
        f" {number} behind {previous[:12]}…. Nothing is written until the log is restored from a copy."
    )


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (entry(origin=Origin(by=None)), "origin.by: Input should be a valid string"),
        (
            entry(origin=Origin(by="ada", job=replace(JOB, attempt="second"))),
            "origin.job.attempt: Input should be a valid integer, unable to parse string as an integer",
        ),
        (entry(nonce=None), "nonce: Input should be a valid string"),
    ],
)
def test_entry_that_could_not_be_read_is_not_written(wrong: Entry, place: str) -> None:
    """An entry with a value of another type is refused before it is written, because it would lock the log."""
    with pytest.raises(ValueError, match=r"was not written") as refused:
        encode(wrong)
    assert str(refused.value) == f"Log entry 1 was not written: {place}."


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_number_that_json_cannot_say_is_not_written(value: float) -> None:
    """NaN and infinity are refused before they are written."""
    tuned = ThresholdTuned(
        threshold="offer", digest="d3", manifest=REF, recipe="r", model="churn", model_digest="d2", value=value
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(entry(tuned))


def test_job_is_the_same_in_another_attempt() -> None:
    """A job is the same in another attempt, and another in another run, task or system."""
    assert JOB.is_same_as(replace(JOB, attempt=3, log="", commit=""))
    assert not JOB.is_same_as(None)
    for other in (replace(JOB, run="x"), replace(JOB, task="x"), replace(JOB, system="cli")):
        assert not JOB.is_same_as(other)


def test_canonical_json_depends_on_the_value_alone() -> None:
    """Equal values are written as equal bytes, keys sorted and text as it is."""
    assert canonical_json({"b": 1, "a": "ü"}) == canonical_json({"a": "ü", "b": 1}) == '{"a":"ü","b":1}'.encode()
