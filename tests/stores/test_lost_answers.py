"""Answers that get lost on the wire, or say "conflict" of what nobody has written.

A relay passes every request on, and drops three of ten answers to writes. Another one answers the first write of an
object as S3 does when it met a second one half-way: neither may have come about.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from lockstep.registry import Log, ObjectRef, Objects, Origin, SnapshotTaken, State
from loopback.relay import Message, Relay, serving
from loopback.servers import Server, Servers

WRITERS: Final = 4
EACH: Final = 12
SHARE: Final = 0.3
REF: Final = ObjectRef(path="datasets/customers/abc/manifest.json", sha256="a" * 64, size=1)


@pytest.fixture
def relay(cloud: Server, surroundings: pytest.MonkeyPatch) -> Iterator[Relay]:
    """Put a relay that loses answers between whoever opens a registry and the cloud."""
    lossy = Relay(cloud.port, lose=SHARE, seed=3)
    with serving(lossy) as port:
        for name, value in cloud.environment(port).items():
            surroundings.setenv(name, value)
        yield lossy


def test_no_entry_is_lost_and_none_doubled(cloud: Server, relay: Relay) -> None:
    """Writers whose answers get lost append each entry once, are all told so, and leave no number out."""
    uri = f"{cloud.root}/lost/log"

    def write(name: str) -> list[tuple[int, str]]:
        log = Log(Objects.open(uri))
        told: list[tuple[int, str]] = []
        for number in range(EACH):
            digest = f"{name}{number}"
            fact = SnapshotTaken(dataset="customers", digest=digest, manifest=REF, rows=1, quarantined=0)
            entry = log.append(lambda _, fact=fact: fact, Origin(by=name))  # type: ignore[misc]  # a default binds it
            assert entry is not None
            told.append((entry.number, digest))
        return told

    with ThreadPoolExecutor(WRITERS) as writers:
        told = dict(one for each in writers.map(write, "abcd") for one in each)
    entries = list(Log(Objects.open(uri)).entries())
    assert [entry.number for entry in entries] == list(range(1, WRITERS * EACH + 1))
    assert {entry.number: entry.fact.digest for entry in entries if isinstance(entry.fact, SnapshotTaken)} == told
    assert len(set(told.values())) == WRITERS * EACH
    assert relay.lost >= WRITERS * EACH * SHARE / 2


def test_writer_is_told_what_it_wrote(cloud: Server, relay: Relay) -> None:
    """One writer alone is never beaten by itself: each proposal is made once, whatever happens to its answer."""
    log = Log(Objects.open(f"{cloud.root}/lost/alone"))
    proposed: list[int] = []

    def propose(state: State) -> SnapshotTaken:
        proposed.append(state.head)
        return SnapshotTaken(dataset="customers", digest=f"{state.head}", manifest=REF, rows=1, quarantined=0)

    for _ in range(20):
        log.append(propose, Origin(by="ada"))
    assert proposed == list(range(20))
    assert relay.lost > 0


def test_objects_are_written_moved_and_deleted(cloud: Server, relay: Relay) -> None:
    """Of objects whose answers get lost every one is written, moved to its place, or gone, and nobody is told else."""
    objects = Objects.open(f"{cloud.root}/lost/objects")
    for number in range(12):
        ref = objects.put(f"models/churn/{number}", b"%d" % number)
        assert objects.get(ref) == b"%d" % number
        assert objects.put(ref.path, b"%d" % number) == ref
        objects.put(f"scratch/{number}", b"part %d" % number)
        objects.move(f"scratch/{number}", f"datasets/{number}")
        assert objects.get_unverified(f"datasets/{number}") == b"part %d" % number
    assert objects.names("scratch") == []
    for name in objects.names("models"):
        objects.delete(name)
    assert objects.names("models") == []
    assert relay.lost > 10


class Conflicting(Relay):
    """Answers the first write of each object, and the first end of each upload, with a conflict, and forgets it."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.refused: set[str] = set()

    def answer(self, request: Message) -> Message | None:
        """Refuse it once."""
        path, _, query = request.path.partition("?")
        ends = request.method == "PUT" and "partNumber" not in query
        ends |= request.method == "POST" and query.startswith("uploadId")
        if ends and path not in self.refused:
            self.refused.add(path)
            body = b"<Error><Code>ConditionalRequestConflict</Code></Error>"
            return Message(status=409, headers={"Content-Type": "application/xml"}, body=body)
        return super().answer(request)


@pytest.mark.parametrize("kind", ["moto", "minio"])
def test_conflict_of_which_nothing_stands(kind: str, servers: Servers, surroundings: pytest.MonkeyPatch) -> None:
    """A conflict is not taken for an object that stands: it is written again, and no source is dropped for it."""
    relay = Conflicting(servers[kind].port)
    with serving(relay) as port:
        for name, value in servers[kind].environment(port).items():
            surroundings.setenv(name, value)
        objects = Objects.open(f"{servers[kind].root}/conflict")
        ref = objects.put("models/x", b"x")
        objects.put("scratch/part", b"part")
        objects.move("scratch/part", "datasets/part")
        log = Log(objects)
        for number in range(3):
            fact = SnapshotTaken(dataset="customers", digest=f"{number}", manifest=REF, rows=1, quarantined=0)
            assert log.append(lambda _, fact=fact: fact, Origin(by="ada")) is not None  # type: ignore[misc]
        assert objects.get(ref) == b"x"
        assert objects.get_unverified("datasets/part") == b"part"
        assert [entry.number for entry in log.entries()] == [1, 2, 3]
    assert len(relay.refused) == 7
