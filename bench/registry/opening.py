"""Benchmark d: a registry with a long log is opened, with a checkpoint and without, beside the same facts in SQLite.

Rules:
- Each opening is in a new process that has imported what it needs, so that time is what opening takes and memory is
  that of this process at its most. The files were written just before: they come from the system's cache.
- The state is what `Registry.open(uri).state()` gives: newest versions, staging and production are at hand; an old
  version is read from its pack, once, when somebody asks for it, and its hash is checked.
- The peer is a SQLite file with one row for each entry (kind, name, digest, recipe, and the entry itself as JSON). Its
  rows, but for the JSON, are read into dicts of digests; nothing of it is checked, as it holds no hashes.
- "Follow-up" is the next look of a process that is up to date; what it costs is counted in requests to the store.
- A million entries are opened with a checkpoint only. Of their log the last thousand before each hundred thousand are
  there as files, and all are there in packs.
"""

import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, cast

from bench.registry import history
from bench.report import Aim, Report, Row
from lockstep.registry import Log, Objects, Origin, Registry
from lockstep.registry.checkpoint import FOLDER

MANY, MOST = 100_000, 1_000_000
SMALL_MANY = 3_000
TIMES, SMALL_TIMES = 5, 2
MS = 1000.0
Found = dict[str, float]


class Counted(Objects):
    """Objects that count the requests to their store."""

    requests = 0

    def exists(self, path: str) -> bool:
        """Count, and pass on."""
        self.requests += 1
        return super().exists(path)

    def get_unverified(self, path: str) -> bytes:
        """Count, and pass on."""
        self.requests += 1
        return super().get_unverified(path)

    def names(self, prefix: str, *, after: str | None = None) -> list[str]:
        """Count, and pass on."""
        self.requests += 1
        return super().names(prefix, after=after)


def run(*, small: bool) -> Report:
    """Make the logs, and open them."""
    many, times = (SMALL_MANY, SMALL_TIMES) if small else (MANY, TIMES)
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        place = Path(folder)
        history.write(place / "many", many)
        _write_table(place / "many.db", place / "many")
        ours = [_in_child("ours", place / "many") for _ in range(times)]
        table = [_in_child("table", place / "many.db") for _ in range(times)]
        shutil.rmtree(place / "many" / FOLDER)
        whole = _in_child("ours", place / "many")
        shutil.rmtree(place / "many")
        most: list[Found] = []
        if not small:
            history.write(place / "most", MOST, sparse=True)
            most = [_in_child("ours", place / "most") for _ in range(times)]
    return _report(many, ours, table, whole, most)


def _report(many: int, ours: list[Found], table: list[Found], whole: Found, most: list[Found]) -> Report:
    def of(found: list[Found], what: str) -> float:
        return median(one[what] for one in found)

    opened = of(ours, "open")
    rows = [
        Row(what=f"{many:,} entries opened, beside a table read whole", ours=opened, peer=of(table, "open")),
        Row(what="  beside the same log without a checkpoint", ours=opened, peer=whole["open"]),
        Row(what="  an old version, from its pack", ours=of(ours, "lookup")),
        Row(what="  the next version of the same pack", ours=of(ours, "again")),
        Row(what="  memory, beside a table read whole", ours=of(ours, "memory"), peer=of(table, "memory"), unit="MB"),
        Row(what="  memory, beside no checkpoint", ours=of(ours, "memory"), peer=whole["memory"], unit="MB"),
        Row(what="  memory before opening", ours=of(ours, "before"), unit="MB"),
        Row(what="  follow-up, nothing new", ours=of(ours, "idle")),
        Row(what="  follow-up, nothing new: requests", ours=of(ours, "idle_requests"), unit=""),
        Row(what="  follow-up, one new entry", ours=of(ours, "news")),
        Row(what="  follow-up, one new entry: requests", ours=of(ours, "news_requests"), unit=""),
    ]
    if most:
        rows += [
            Row(what=f"{MOST:,} entries opened", ours=of(most, "open")),
            Row(what="  an old version, from its pack", ours=of(most, "lookup")),
            Row(what="  memory", ours=of(most, "memory"), unit="MB"),
            Row(what="  follow-up, nothing new", ours=of(most, "idle")),
        ]
    aims = [
        Aim(what=f"{many:,} entries opened with a checkpoint", value=opened / MS, at_most=0.5, unit="s"),
        Aim(what="a follow-up read with nothing new", value=of(ours, "idle_requests"), at_most=1, unit="requests"),
    ]
    return Report(title="A long log is opened", peer="SQLite, or as the row says", rows=rows, aims=aims)


def _in_child(what: str, place: Path) -> Found:
    command = [sys.executable, "-m", "bench.registry.opening", what, str(place)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return cast(Found, json.loads(done.stdout))


def open_ours(place: str) -> Found:
    """Open a registry, look twice, look something up; milliseconds, megabytes and requests."""
    before, objects = _memory(), Counted.open(place)
    registry = Registry(objects, Log(objects))
    began = time.perf_counter()
    state = registry.state()
    found: Found = {"open": MS * (time.perf_counter() - began), "memory": _memory(), "before": before}
    for name in ("lookup", "again"):
        ref = "model_1_1@2" if name == "lookup" else "model_1_1@3"
        began = time.perf_counter()
        state.model(ref)
        found[name] = MS * (time.perf_counter() - began)
    for name in ("idle", "news"):
        if name == "news":
            newest = state.snapshot("rows_0").fact
            Registry.open(place).record(lambda _, fact=newest: fact, Origin(by="bench"))
        objects.requests = 0
        began = time.perf_counter()
        registry.state()
        found[name] = MS * (time.perf_counter() - began)
        found[f"{name}_requests"] = objects.requests
    return found


def _write_table(file: Path, registry: Path) -> None:
    """The same facts as rows."""
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE entries (number INTEGER PRIMARY KEY, kind, name, digest, recipe, entry)")
        rows = (_row(path) for path in sorted((registry / "log").glob("*.json")))
        database.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", rows)
    database.close()


def _row(path: Path) -> tuple[Any, ...]:
    entry = path.read_text()
    fact = json.loads(entry)["fact"]
    name = next(fact[key] for key in ("model", "threshold", "dataset", "group") if key in fact)
    return int(path.stem), fact["kind"], name, fact.get("digest"), fact.get("recipe"), entry


def read_table(place: str) -> Found:
    """Read the table whole: kind and name → numbers, digests and recipes."""
    before = _memory()
    began = time.perf_counter()
    state: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    with sqlite3.connect(place) as database:
        for number, kind, name, digest, recipe in database.execute(
            "SELECT number, kind, name, digest, recipe FROM entries ORDER BY number"
        ):
            state.setdefault((kind, name), []).append((number, digest, recipe))
    found = {"open": MS * (time.perf_counter() - began), "memory": _memory(), "before": before}
    database.close()
    return found


def _memory() -> float:
    """The most that this program has held, in megabytes."""
    status = Path("/proc/self/status")
    if not status.exists():  # not on Linux; there, what the starting process held would count, too
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    print(json.dumps({"ours": open_ours, "table": read_table}[sys.argv[1]](sys.argv[2])))
