"""Stores that ignore the condition, or speak another language, are refused before anything is written to them."""

import pytest

from lockstep.errors import StoreUnusable
from lockstep.registry import Log, Objects, Origin, SnapshotTaken
from loopback.servers import Servers
from tests.stores.test_lost_answers import REF


def test_store_that_ignores_the_condition_is_refused(servers: Servers, surroundings: pytest.MonkeyPatch) -> None:
    """A store that lets a second writer win is refused at the first write, and holds nothing but the probe."""
    server = servers["s3rver"]
    for name, value in server.environment().items():
        surroundings.setenv(name, value)
    uri = f"{server.root}/refused"
    sentence = (
        f'Registry "{uri}": the store lets a second writer overwrite an object (put-if-absent is ignored), so releases'
        " would not be atomic. Use a store that keeps the condition."
    )
    objects = Objects.open(uri)
    fact = SnapshotTaken(dataset="customers", digest="abc", manifest=REF, rows=1, quarantined=0)
    for write in (
        lambda: Log(objects).append(lambda _: fact, Origin(by="ada")),
        lambda: objects.put("scratch/part", b"x"),
        lambda: objects.put_new("log/1", b"x"),
        lambda: Objects.open(uri).put_new("log/1", b"x"),
    ):
        with pytest.raises(StoreUnusable) as refused:
            write()
        assert str(refused.value) == sentence
    assert objects.names("") == ["probe"]


def test_emulator_without_the_xml_interface_is_refused(servers: Servers, surroundings: pytest.MonkeyPatch) -> None:
    """A Google emulator that knows JSON only fails with a sentence that says who answered, and with what."""
    server = servers["gcp-storage-emulator"]
    for name, value in server.environment().items():
        surroundings.setenv(name, value)
    objects = Objects.open(f"{server.root}/refused")
    with pytest.raises(StoreUnusable) as refused:
        objects.put("log/1", b"x")
    assert str(refused.value) == (
        f'Registry "{server.root}/refused": Google Cloud Storage at 127.0.0.1:{server.port} could not read or write'
        ' "probe" (501). Try again; what it lacks, its own log says.'
    )
