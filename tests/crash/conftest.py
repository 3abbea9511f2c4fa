"""Registries to disturb: made once, copied for each disturbance, on disk and in memory."""

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from lockstep.registry import Objects
from tests.crash.trial import Copy
from tests.training.conftest import shop_template

__all__ = ["copy", "report", "shop_template"]

Report = Callable[..., None]


@pytest.fixture(params=["file", "memory"])
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> Copy:
    """Copy a registry on disk, given by its address, to a new place in each kind of store; gives the address."""

    def make(uri: str) -> str:
        target = tmp_path / uuid4().hex
        if request.param == "file":
            shutil.copytree(uri.removeprefix("file://"), target)
            return target.as_uri()
        here, there = Objects.open(uri), Objects.open(f"memory://{target.name}")
        for name in here.names(""):
            if name != "probe":
                there.put_new(name, here.get_unverified(name))
        return there.uri

    return make


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Report:
    """Say the figures of a test, in its record and on a line that `pytest -s` shows."""

    def say(**figures: object) -> None:
        for name, value in figures.items():
            record_property(name, value)
        print(", ".join(f"{name} {value}" for name, value in figures.items()))  # noqa: T201  the figures of a run

    return say
