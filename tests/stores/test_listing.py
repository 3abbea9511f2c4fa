"""Listings of more keys than a page holds."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from lockstep.registry import Objects

KEYS: Final = 10_000
NAMES: Final = [f"log/{number:020d}.json" for number in range(KEYS)]
WRITERS: Final = 16
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("uri", ["file", "memory", "gcs-on-disk", "moto", "minio", "azurite"], indirect=True)
def test_ten_thousand_keys_are_listed(objects: Objects) -> None:
    """Each of ten thousand keys is listed once, in order, with its size; `after` gives just those behind it."""
    with ThreadPoolExecutor(WRITERS) as writers:
        assert all(writers.map(lambda name: objects.put_new(name, b"{}"), NAMES))
    assert objects.names("log") == NAMES
    assert objects.names("log", after=NAMES[1234]) == NAMES[1235:]
    assert objects.names("log", after=NAMES[-2]) == NAMES[-1:]
    assert sorted((found.path, found.size) for found in objects.listing("log")) == [(name, 2) for name in NAMES]
    assert objects.names("") == [*NAMES, "probe"]
