"""A long log, made fast: entries as years of training, promotion and release leave them.

Rules:
- The bytes are those that `encode` gives (the first thousand are compared with it), and they follow each other as the
  log wants it. Packs and index of the checkpoint are what `checkpoint.write` leaves.
- Of twenty entries one is a snapshot, twelve are model versions, three thresholds, three promotions and one a release.
- Nothing is synced, and no object stands behind a fact: only the log is measured.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from lockstep.registry import Objects, State, canonical_json, fold, sha256_of
from lockstep.registry.checkpoint import FOLDER, PACKED, Pack, index_of, open_newest
from lockstep.registry.entries import (
    GENESIS,
    Entry,
    Fact,
    Job,
    ModelTrained,
    Origin,
    Promoted,
    Released,
    SnapshotTaken,
    ThresholdTuned,
    encode,
    path_of,
)
from lockstep.registry.objects import ObjectRef

GROUPS: Final = 4
MODELS: Final = 5  # of each group; the first has a threshold
TRAINED, TUNED, PROMOTED = 12, 3, 3  # of each in a round of twenty entries
START: Final = datetime(2020, 1, 1, tzinfo=UTC)
CHECKED: Final = 1000
_ADAPTER: Final = TypeAdapter(Entry)
CHUNK: Final = 100_000  # entries held in memory while the log is made


def write(folder: Path, entries: int, *, sparse: bool = False) -> None:
    """Write a log of that many entries (a multiple of 1,000) and its checkpoint.

    Args:
        folder: where the registry stands.
        entries: how many.
        sparse: of the log itself only the last thousand entries before each checkpoint; packs hold all.
    """
    objects = Objects.open(str(folder))
    (folder / FOLDER).mkdir(parents=True)
    state, packs = State(), list[Pack]()
    made = entries_of(_facts())
    for _ in range(0, entries, CHUNK):
        chunk = list(islice(made, min(CHUNK, entries - state.head)))
        state = fold(state, ((entry, sha256_of(data)) for entry, data in chunk))
        for entry, data in chunk[-PACKED:] if sparse else chunk:
            (folder / path_of(entry.number)).write_bytes(data)
        packs += _packs(folder, chunk)
        index = canonical_json(index_of(state, packs))
        for older in (folder / FOLDER).glob("*.json"):
            older.unlink()
        (folder / FOLDER / f"{state.head:020d}-{sha256_of(index)}.json").write_bytes(index)
        state, _ = open_newest(objects)


def _packs(folder: Path, chunk: list[tuple[Entry, bytes]]) -> Iterator[Pack]:
    for place in range(0, len(chunk), PACKED):
        first, last = chunk[place][0].number, chunk[place + PACKED - 1]
        data = b"\n".join(line for _, line in chunk[place : place + PACKED])
        path = f"{FOLDER}/{first:020d}-{last[0].number:020d}-{sha256_of(data)}.jsonl"
        (folder / path).write_bytes(data)
        file = ObjectRef(path=path, sha256=sha256_of(data), size=len(data))
        yield Pack(first=first, last=last[0].number, last_hash=sha256_of(last[1]), file=file)


def entries_of(facts: Iterable[Fact]) -> Iterator[tuple[Entry, bytes]]:
    """The entries of a log that holds these facts, each with its bytes."""
    previous = GENESIS
    for number, fact in enumerate(facts, start=1):
        origin = Origin(
            by="airflow", why="new data", job=Job(system="airflow", run=f"retrain/{number // 20}", task="t")
        )
        entry = Entry(
            number=number,
            previous=previous,
            nonce=_digest(f"nonce {number}")[:32],
            at=START + timedelta(minutes=number),
            origin=origin,
            fact=fact,
        )
        data = _encoded(entry)
        if number <= CHECKED and data != encode(entry):
            raise AssertionError("the bytes of an entry are made in another way now: change _encoded")
        previous = sha256_of(data)
        yield entry, data


def _encoded(entry: Entry) -> bytes:
    """What `encode` gives, without checking that it can be read."""
    body = canonical_json(_ADAPTER.dump_python(entry, mode="json"))
    return b'%b,"seal":"%b"}' % (body[:-1], sha256_of(body).encode())


def _facts() -> Iterator[Fact]:
    for turn in count():
        group = turn % GROUPS
        names = [f"model_{group}_{number}" for number in range(MODELS)]
        snapshot = _digest(f"snapshot {turn}")
        at = _ref(f"datasets/rows_{group}/{snapshot}", snapshot)
        yield SnapshotTaken(dataset=f"rows_{group}", digest=snapshot, manifest=at, rows=10_000, quarantined=3)
        newest: dict[str, str] = {}
        for number in range(TRAINED):
            trained = _trained(names[number % MODELS], f"rows_{group}", snapshot, f"{turn} {number}")
            newest[f"model:{trained.model}"] = trained.digest
            yield trained
        for number in range(TUNED):
            tuned = _tuned(f"threshold_{group}", names[0], newest[f"model:{names[0]}"], f"{turn} {number}")
            newest[f"threshold:{tuned.threshold}"] = tuned.digest
            yield tuned
        for _ in range(PROMOTED):
            yield Promoted(group=f"group_{group}", members=newest)
        digest = _digest(f"release {turn}")
        at = ObjectRef(path=f"releases/group_{group}/{digest}.json", sha256=digest, size=2000)
        yield Released(group=f"group_{group}", digest=digest, manifest=at, members=newest)


def _trained(model: str, dataset: str, snapshot: str, what: str) -> ModelTrained:
    digest = _digest(f"model {what}")
    parameters: dict[str, Any] = {"C": 1.0, "max_iter": 1000}
    return ModelTrained(
        model=model,
        digest=digest,
        manifest=_ref(f"models/{model}/{digest}", digest),
        recipe=_digest(f"recipe {what}"),
        dataset=dataset,
        snapshot=snapshot,
        upstream={},
        parameters=parameters,
        source=_digest("source"),
        metrics={"roc_auc": 0.84, "log_loss": 0.42},
        missed=(),
    )


def _tuned(threshold: str, model: str, model_digest: str, what: str) -> ThresholdTuned:
    digest = _digest(f"threshold {what}")
    return ThresholdTuned(
        threshold=threshold,
        digest=digest,
        manifest=_ref(f"thresholds/{threshold}/{digest}", digest),
        recipe=_digest(f"tuning {what}"),
        model=model,
        model_digest=model_digest,
        value=0.61,
    )


def _ref(folder: str, digest: str) -> ObjectRef:
    return ObjectRef(path=f"{folder}/manifest.json", sha256=digest, size=1200)


def _digest(of: str) -> str:
    return hashlib.sha256(of.encode()).hexdigest()
