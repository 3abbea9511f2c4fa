"""Listings of more keys than a page holds."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import pytest

from lockstep.errors import StoreUnusable
from lockstep.registry import Objects

KEYS: Final = 10_000
NAMES: Final = [f"log/{number:020d}.json" for number in range(KEYS)]
WRITERS: Final = 16
pytestmark = pytest.mark.slow


def write(objects: Objects, name: str) -> None:
    """Write a key, and try again where that is told: servers hang up on a busy machine."""
    try:
        assert objects.put_new(name, b"{}")
    except StoreUnusable:
        objects.put(name, b"{}")


@pytest.mark.parametrize("uri", ["file", "memory", "gcs-on-disk", "moto", "minio", "azurite"], indirect=True)
def test_ten_thousand_keys_are_listed(objects: Objects) -> None:
    """Each of ten thousand keys is listed once, in order, with its size; `after` gives just those behind it."""
    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(partial(write, objects), NAMES))
    assert objects.names("log") == NAMES
    assert objects.names("log", after=NAMES[1234]) == NAMES[1235:]
    assert objects.names("log", after=NAMES[-2]) == NAMES[-1:]
    assert sorted((found.path, found.size) for found in objects.listing("log")) == [(name, 2) for name in NAMES]
    assert objects.names("") == [*NAMES, "probe"]
