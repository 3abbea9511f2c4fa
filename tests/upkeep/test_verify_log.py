"""`verify` on a log that someone has damaged by hand, and on checkpoints that tell something else."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lockstep.registry import Entry, Origin, Promoted, canonical_json, checkpoint, sha256_of
from lockstep.registry.entries import encode, path_of
from lockstep.upkeep.findings import Kind
from tests.upkeep.house import House, short


@pytest.fixture
def house(uri: str) -> House:
    """A sound registry in each kind of store."""
    return House(uri)


# -------------------------------------------------------------------------------------------------------------- the log


def test_gap(house: House) -> None:
    """An entry that is gone is named by its number, and what only it named is missed behind it."""
    house.lose(path_of(house.state.head - 1))
    assert house.texts() == [
        (
            f"error: missing entry: {path_of(house.state.head - 1)}: log entry {house.state.head - 1} is missing, but"
            f" entry {house.state.head} is there. Nothing is written until restored from a copy."
        )
    ]


def test_wide_gap(house: House) -> None:
    """However far away the next entry is, a gap is one finding."""
    house.overwrite(path_of(10**19), house.objects.get_unverified(path_of(1)))
    first, second = house.texts()
    assert first == (
        f"error: missing entry: {path_of(house.state.head + 1)}: log entries {house.state.head + 1} to {10**19 - 1} are"
        f" missing, but entry {10**19} is there. Nothing is written until restored from a copy."
    )
    assert second.startswith(f"error: misplaced entry: {path_of(10**19)}: Log entry {10**19} does not follow")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b"{}", b"[" * 100_000])
def test_damaged_entry(house: House, data: bytes) -> None:
    """An entry that can't be read is named with its number; those behind it are read, and miss what it made."""
    house.overwrite(path_of(house.state.head), data)
    (found,) = house.found()
    assert (found.kind, found.entry, found.path) == (Kind.DAMAGED, house.state.head, path_of(house.state.head))
    assert found.says.startswith(f"Log entry {house.state.head} can't be read: ")
    assert found.says.endswith("Nothing is written until it is restored from a copy.")


def test_entry_that_is_too_large(house: House) -> None:
    """A file that is larger than any entry is told by its size, and not read."""
    house.overwrite(path_of(house.state.head), b" " * ((4 << 20) + 1))
    (found,) = house.found()
    assert (
        found.says == f"Log entry {house.state.head} can't be read: it has 4194305 bytes; an entry has at most 4194304."
    )


def test_changed_entry(house: House) -> None:
    """A changed byte in an entry breaks its seal; nothing behind it is accused."""
    number = house.state.head - 1
    whole = house.objects.get_unverified(path_of(number))
    house.overwrite(path_of(number), whole.replace(b'"ada"', b'"eve"'))
    assert house.texts() == [
        (
            f"error: damaged entry: {path_of(number)}: Log entry {number} can't be read: its bytes are not those"
            " that it was sealed with. Nothing is written until it is restored from a copy."
        )
    ]


def test_entry_changed_by_somebody_who_can_seal(house: House) -> None:
    """An entry that was changed and sealed again does not lead to the one behind it."""
    number = house.state.head - 1
    before = sha256_of(house.objects.get_unverified(path_of(number)))
    house.change(number, lambda found: found["origin"].update(by="eve"))  # type: ignore[attr-defined]
    after = sha256_of(house.objects.get_unverified(path_of(number)))
    assert house.texts() == [
        (
            f"error: misplaced entry: {path_of(number + 1)}: log entry {number + 1} does not follow entry {number}"
            f" as it is: it was written behind {short(before)}, and there is {short(after)}. One of them was"
            " changed: restore it."
        )
    ]


def test_misplaced_entry(house: House) -> None:
    """A whole entry under another's number is told as that."""
    house.overwrite(path_of(2), house.objects.get_unverified(path_of(3)))
    found = next(finding for finding in house.found() if finding.path == path_of(2))
    assert (found.kind, found.entry) == (Kind.MISPLACED, 2)
    assert found.says.startswith("Log entry 2 does not follow entry 1: it says number 3 behind ")


def test_newer_entry(house: House) -> None:
    """An entry of a newer protocol is told with the version to install, and the others are verified."""
    house.change(house.state.head, lambda found: found.update(protocol=99, needs="9.9.0"))
    assert house.texts()[0] == (
        f"error: entry of a newer protocol: {path_of(house.state.head)}: Log entry {house.state.head} has protocol 99;"
        " this Lockstep reads up to 3. Install airflow-provider-lockstep>=9.9.0."
    )


def test_entry_zero(house: House) -> None:
    """Number 0 is no entry's."""
    house.overwrite(path_of(0), b"{}")
    assert house.texts() == [
        f"error: name breaks the rule: {path_of(0)}: entries are numbered from 1 on. Move it away."
    ]


def test_entry_that_speaks_of_what_was_never_made(house: House) -> None:
    """A promotion of a version that no entry made points to nothing."""
    entry = Entry(
        number=house.state.head + 1,
        previous=house.state.head_hash,
        nonce="n",
        at=datetime(2026, 1, 5, tzinfo=UTC),
        origin=Origin(by="eve"),
        fact=Promoted(group="churn", members={"model:churn": "d" * 64}),
    )
    house.overwrite(path_of(entry.number), encode(entry))
    assert house.texts() == [
        (
            f'error: entry points to nothing: {path_of(entry.number)}: log entry {entry.number} names model "churn"'
            " with digest dddddddddddd…, which no earlier entry made. Restore the log from a copy."
        )
    ]


def test_entry_that_places_a_version_elsewhere(house: House) -> None:
    """A version whose manifest does not stand where its digest says is told."""
    fact = house.desk.facts.model("churn", house.desk.facts.snapshot(), recipe="second")
    other = house.objects.put("models/elsewhere/manifest.json", house.objects.get(fact.manifest))
    entry = Entry(
        number=house.state.head + 1,
        previous=house.state.head_hash,
        nonce="n",
        at=datetime(2026, 1, 5, tzinfo=UTC),
        origin=Origin(by="eve"),
        fact=replace(fact, manifest=other),
    )
    house.overwrite(path_of(entry.number), encode(entry))
    assert house.texts()[0] == (
        f"error: name breaks the rule: {other.path}: log entry {entry.number} places churn@2 here, and the rule is"
        f' "models/churn/{fact.digest}/manifest.json". Restore the log from a copy.'
    )


# ---------------------------------------------------------------------------------------------------------- checkpoints


@pytest.fixture
def checkpointed(house: House) -> House:
    """A registry with a checkpoint of all its entries."""
    checkpoint.write(house.objects, house.desk.registry.state())
    assert house.found() == []
    return house


def test_checkpoint_with_other_bytes(checkpointed: House) -> None:
    """A checkpoint that is not what its name says does no harm: a note for each file."""
    names = checkpointed.objects.names("log/checkpoint")
    assert len(names) == 2
    for name in names:
        checkpointed.overwrite(name, b"{}")
    assert checkpointed.texts() == [
        f"note: wrong checkpoint: {name}: it does not hold the bytes that its name promises. It is not used, and"
        " made again by itself."
        for name in names
    ]


def test_pack_that_lies(checkpointed: House) -> None:
    """A pack of entries that are not the log's, under a name that fits, would be believed: an error."""
    data = b"\n".join(checkpointed.objects.get_unverified(path_of(number)) for number in (2, 1, 3))
    path = f"log/checkpoint/{1:020d}-{3:020d}-{sha256_of(data)}.jsonl"
    checkpointed.overwrite(path, data)
    assert checkpointed.texts() == [
        (
            f"error: wrong checkpoint: {path}: it does not say what the log says, but would be"
            " believed. Delete all below log/checkpoint/."
        )
    ]


def test_index_that_lies(checkpointed: House) -> None:
    """An index that would be believed, and says something else than the log, is an error."""
    (path,) = [name for name in checkpointed.objects.names("log/checkpoint") if name.endswith(".json")]
    found = json.loads(checkpointed.objects.get_unverified(path))
    found["staging"]["model:churn"] = checkpointed.state.model("churn_reason").digest
    data = canonical_json(found)
    lying = f"log/checkpoint/{found['head']:020d}-{sha256_of(data)}.json"
    checkpointed.overwrite(lying, data)
    assert not checkpoint.why_not(checkpointed.objects, lying)
    assert checkpointed.texts() == [
        (
            f"error: wrong checkpoint: {lying}: it does not say what the log says, but would be believed. Delete all"
            " below log/checkpoint/."
        )
    ]


def test_checkpoint_of_a_damaged_log(checkpointed: House) -> None:
    """Where entries can't be read, nobody knows what a checkpoint should say: it is not accused."""
    checkpointed.overwrite(path_of(3), b"{")
    assert Kind.CHECKPOINT not in {finding.kind for finding in checkpointed.found()}


def test_log_that_lost_its_end(checkpointed: House) -> None:
    """Where the last entries are gone, a checkpoint knows of them."""
    last = checkpointed.state.head
    checkpointed.lose(path_of(last))
    found = checkpointed.found()
    assert [(finding.kind, finding.entry, finding.says) for finding in found if finding.kind is Kind.GAP] == [
        (
            Kind.GAP,
            last,
            (
                f"the log ends with entry {last - 1}, but a checkpoint with entry {last}. Restore what is missing from"
                " a copy."
            ),
        )
    ]
