"""The store that docker-compose.yaml offers: its own command, run as a process."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from loopback.compose import Place, Service, filled, read, surroundings
from loopback.servers import listens, program
from tests.cluster.conftest import until, values

KEYS = {"AWS_ACCESS_KEY_ID": "lockstep", "AWS_SECRET_ACCESS_KEY": "made-up-for-this-test", "AWS_REGION": "us-east-1"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder for the volume."""
    found = Place(tmp_path)
    found.volume("store").mkdir(parents=True)
    return found


def store(place: Place, said: Mapping[str, str]) -> Service:
    """The service with a store.env that says this."""
    return read(place, values(), profile="store", store=said)["store"]


def environment(service: Service) -> dict[str, str]:
    """What its container would see, and where this machine has the program."""
    folder = program("minio").parent
    here = surroundings()
    return here | dict(service.environment) | {"PATH": f"{folder}:{here['PATH']}"}


@contextmanager
def running(service: Service) -> Iterator[None]:
    """Its command, until the block ends."""
    process = subprocess.Popen(service.command, env=environment(service), stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def test_its_bucket_honours_put_if_absent(place: Place) -> None:
    """It comes up with the bucket `lockstep`, takes an object once, and refuses it the second time."""
    with running(store(place, KEYS)):
        until(lambda: listens(place.ports[9000]), "it listens")
        bucket = S3Store(
            "lockstep",
            endpoint=f"http://127.0.0.1:{place.ports[9000]}",
            access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region=KEYS["AWS_REGION"],
            client_options={"allow_http": True},
        )
        time.sleep(1)  # it listens a little before it answers
        obstore.put(bucket, "registry/log/1", b"first", mode="create")
        with pytest.raises(AlreadyExistsError):
            obstore.put(bucket, "registry/log/1", b"second", mode="create")
        assert bytes(obstore.get(bucket, "registry/log/1").bytes()) == b"first"


@pytest.mark.parametrize("missing", sorted(KEYS))
def test_without_a_key_it_refuses(place: Place, missing: str) -> None:
    """A key that store.env leaves out is named, and no store starts: not with MinIO's own keys either."""
    service = store(place, {name: value for name, value in KEYS.items() if name != missing})
    done = subprocess.run(
        service.command, env=environment(service), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert f"{missing}: set it in store.env" in done.stderr


def test_it_starts_only_when_asked_for(place: Place) -> None:
    """Without the profile it is no service."""
    assert "store" not in read(place, values())


def test_dollars_and_defaults_are_as_in_compose() -> None:
    """`$$` is a dollar, a default stands in for what is unset or empty, and a value wins."""
    assert filled("$${HOME} ${A:-file:///x} ${B:-y} ${C:?z}", {"B": "", "C": "c"}) == "${HOME} file:///x y c"
