"""For all tests: one whose program is not installed is skipped with the line that installs it; in CI it fails.

Hypothesis has no opinion on how long a test takes: the machine may have other things to do.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from loopback.servers import ProgramMissing

settings.register_profile("lockstep", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lockstep")


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
