"""For all tests: one whose program is not installed is skipped with the line that installs it; in CI it fails."""

import os
from collections.abc import Iterator

import pytest

from loopback.servers import ProgramMissing


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """Fixtures start most of the programs."""
    yield from _skipped()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Some are started by the test itself."""
    yield from _skipped()


def _skipped() -> Iterator[None]:
    try:
        yield
    except ProgramMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
