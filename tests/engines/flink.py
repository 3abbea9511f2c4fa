"""A Flink cluster on this machine: a JobManager and a TaskManager, each a process, on free ports of loopback."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from loopback.servers import DIRECTLY, PATIENCE, free_port, started
from tests.engines.install import LIBRARIES

SLOTS: Final = 2
_OPENED: Final = (
    "java.lang",
    "java.lang.invoke",
    "java.net",
    "java.io",
    "java.nio",
    "java.text",
    "java.time",
    "java.util",
)
_OPENED_TOO: Final = ("java.lang.reflect", "java.util.concurrent", "java.util.concurrent.atomic", "sun.nio.ch")
_MEMORY: Final = {
    "jobmanager.memory.process.size": "1g",
    "taskmanager.cpu.cores": SLOTS,
    "taskmanager.memory.task.heap.size": "768m",
    "taskmanager.memory.task.off-heap.size": "256m",
    "taskmanager.memory.managed.size": "256m",
    "taskmanager.memory.network.min": "128m",
    "taskmanager.memory.network.max": "128m",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.jvm-metaspace.size": "512m",
    "taskmanager.memory.jvm-overhead.min": "256m",
    "taskmanager.memory.jvm-overhead.max": "256m",
}


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Run it until the block ends; gives host:port of its REST API, with all slots free."""
    rest, rpc, blob = free_port(), free_port(), free_port()
    settings = {
        "rest.address": "localhost",
        "rest.bind-address": "localhost",
        "rest.port": rest,
        "jobmanager.rpc.address": "localhost",
        "jobmanager.bind-host": "localhost",
        "jobmanager.rpc.port": rpc,
        "blob.server.port": blob,
        "taskmanager.host": "localhost",
        "taskmanager.bind-host": "localhost",
        "taskmanager.numberOfTaskSlots": SLOTS,
        "parallelism.default": SLOTS,
        "io.tmp.dirs": str(folder / "tmp"),
        **_MEMORY,
    }
    (folder / "conf").mkdir(parents=True)
    (folder / "tmp").mkdir()
    (folder / "conf/config.yaml").write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    entry = "org.apache.flink.runtime"
    with ExitStack() as running:
        manager = _java(folder, f"{entry}.entrypoint.StandaloneSessionClusterEntrypoint", "1g")
        running.enter_context(started(manager, port=rest, folder=folder / "jobmanager", variables={}))
        worker = _java(folder, f"{entry}.taskexecutor.TaskManagerRunner", "1g")
        running.enter_context(started(worker, port=rpc, folder=folder / "taskmanager", variables={}))
        _until_free(rest)
        yield f"localhost:{rest}"


def _java(folder: Path, entry: str, heap: str) -> list[str | Path]:
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in (*_OPENED, *_OPENED_TOO)]
    jars = f"{LIBRARIES}/pyflink/lib/*"
    java = shutil.which("java") or "java"
    return [java, f"-Xmx{heap}", *opened, "-cp", jars, entry, "--configDir", folder / "conf"]


def _until_free(rest: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while _overview(rest).get("slots-available") != SLOTS:
        assert time.monotonic() < deadline, "Flink's TaskManager does not offer its slots"
        time.sleep(0.1)


def _overview(rest: int) -> dict[str, Any]:
    try:
        with DIRECTLY.open(f"http://localhost:{rest}/overview") as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except OSError:
        return {}
