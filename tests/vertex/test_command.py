"""`lockstep train --where "vertex(…)"`, without Airflow: it waits for the job, and Ctrl-C cancels that."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loopback.cloud import Cloud
from loopback.google import PROJECT as PROJECT_ID
from loopback.vertex import State
from tests.training.conftest import Shop
from tests.vertex.conftest import PLACE, PROJECT, REGION

pytestmark = pytest.mark.slow


def train(cloud: Cloud, desk: Shop, data: Path, *words: str) -> subprocess.Popen[str]:
    """Start the command in a process of its own, which hears Ctrl-C also where this one was started to ignore it."""
    own = {
        "LOCKSTEP_REGISTRY": desk.registry.uri,
        "LOCKSTEP_DATA": str(data),
        "LOCKSTEP_GRAPH": "tests.training.shop:graph",
        "PYTHONPATH": os.pathsep.join([str(PROJECT / "include"), str(PROJECT)]),
        **{name: str(value) for name, value in cloud.variables.items()},
    }
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "lockstep", "train", "leaving", "--where", PLACE, *words],
            env=os.environ | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_command_waits_for_the_job_and_goes_on_with_its_version(
    cloud: Cloud, desk: Shop, shop_template: Path
) -> None:
    """It prints the link, then what a local run would; thresholds are tuned for the version that the job recorded."""
    command = train(cloud, desk, shop_template / "data", "--json")
    out, err = command.communicate(timeout=240)
    assert command.returncode == 0, err
    found = json.loads(out)
    number = cloud.vertex.jobs.all[-1].name.rpartition("/")[2]
    assert f"https://console.cloud.google.com/vertex-ai/locations/{REGION}/training/{number}/cpu" in err
    assert f"training leaving on vertex(project={PROJECT_ID}, region={REGION}, " in err
    (model,) = found["models"]
    assert (model["version"], model["new"], model["job"]["system"]) == ("leaving@1", True, "vertex")
    assert model["job"]["run"].endswith(f"/customJobs/{number}")
    assert model["job"]["task"].endswith("/lockstep train")
    assert {item["version"] for item in found["thresholds"]} == {"offer@1", "call@1", "cheap@1"}


def test_ctrl_c_cancels_the_job(cloud: Cloud, desk: Shop, shop_template: Path) -> None:
    """What the command has started ends with it; nothing is recorded."""
    with cloud.vertex.jobs.holding(State.JOB_STATE_PENDING):
        command = train(cloud, desk, shop_template / "data")
        assert command.stderr is not None
        said = []
        for line in command.stderr:
            said.append(line)
            if "waiting for a machine" in line:
                break
        made = cloud.vertex.jobs.all[-1]
        command.send_signal(signal.SIGINT)
        _, rest = command.communicate(timeout=120)
        assert command.returncode != 0
        assert "cancelling projects/" in rest, "".join(said) + rest
        assert cloud.vertex.jobs.wait(made) is State.JOB_STATE_CANCELLED
    assert desk.registry.state().models == {}
