"""BigQuery on loopback, and this process's way to it."""

import os
from collections.abc import Iterator

import pytest

from loopback.bigquery import BigQuery, bigquery
from loopback.google import Google, google


@pytest.fixture(scope="session")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    """Open the way for Google's clients."""
    with google(tmp_path_factory.mktemp("google")) as found:
        yield found


@pytest.fixture
def warehouse(way: Google, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQuery]:
    """Run BigQuery without a table; the variables that a client needs are set, and no others."""
    for name in os.environ:
        if name.startswith(("GOOGLE_", "CLOUDSDK_", "BIGQUERY_")):
            monkeypatch.delenv(name)
    for name, value in way.variables.items():
        monkeypatch.setenv(name, value)
    with bigquery(way) as service:
        yield service
