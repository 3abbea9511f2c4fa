"""Benchmark e: sixteen processes release the same five models at once, ours on local disk against MLflow's registry.

Rules:
- Each writer does rounds of its own without a pause: five new versions, promoted and released together (ours); five new
  versions and five aliases (MLflow). A reader beside them looks at production all the time, as a service would.
- A reading is half released where the five models are not of one round. Ours reads one state; MLflow's has to read five
  aliases one after the other, since there is no way to read them together.
- An entry is lost where a writer was told of a release that does not stand in the log. Where another writer released
  what stood in staging meanwhile, ours says so and writes nothing: its round counts as released by another.
- A round of MLflow that ends with an error is counted, and stays as it is.
- Throughput counts complete rounds from the first step of any writer to the last of all.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

from bench.registry import own, peer, postgres
from bench.registry.peer import Mlflow, PeerMissing
from bench.report import Aim, Report, Row, percentile
from lockstep.registry import Registry

WRITERS, SMALL_WRITERS = 16, 2
ROUNDS, SMALL_ROUNDS = 5, 2
PAUSE = 0.005  # seconds between two readings, as the peer's watcher has it
MS = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What happened: times in milliseconds, `rounds` a second, and what the reader saw."""

    promote: list[float]
    release: list[float]
    throughput: float
    readings: int
    mixed: int
    note: str
    errors: int = 0


@dataclass(slots=True)
class Watcher:
    """Reads production of ours in a thread until it is told to stop."""

    uri: str
    readings: int = 0
    mixed: int = 0
    _stop: Event = field(default_factory=Event)

    def watch(self) -> None:
        """Read until told to stop."""
        registry = Registry.open(self.uri)
        while not self._stop.wait(PAUSE):
            state = registry.state()
            production = state.production(own.GROUP.name)
            self.readings += 1
            self.mixed += production is not None and len(own.rounds_of(state, dict(production.members))) > 1

    @contextmanager
    def running(self) -> Iterator[None]:
        """Read as long as the block runs."""
        thread = Thread(target=self.watch)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


def run(*, small: bool) -> Report:
    """Measure, and count what is lost or half released."""
    writers, rounds = (SMALL_WRITERS, SMALL_ROUNDS) if small else (WRITERS, ROUNDS)
    theirs: dict[str, Crowd] = {}
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder, ExitStack() as running:
        ours = of_ours((Path(folder) / "ours").as_uri(), writers, rounds)
        notes.append(f"Ours: {ours.note}")
        for name in ("SQLite",) if small else ("SQLite", "PostgreSQL"):
            try:
                place = Path(folder) / name
                uri = peer.sqlite(place) if name == "SQLite" else running.enter_context(postgres.running())
                theirs[name] = _of_mlflow(uri, place, writers, rounds)
            except PeerMissing as missing:
                notes.append(str(missing))
            else:
                notes.append(f"MLflow on {name}: {theirs[name].note}")
    rows = [row for name, crowd in theirs.items() for row in rows_of(f"beside {name}", ours, crowd)]
    half = max((crowd.mixed + crowd.errors for crowd in theirs.values()), default=None)
    notes.append(f"Half released in readings, or broken off: ours {ours.mixed}, MLflow at most {half}.")
    return Report(
        title=f"{writers} processes release five models, {rounds} rounds each",
        peer=peer.PINNED,
        rows=rows or rows_of("no peer", ours, None),
        aims=[Aim(what="of ours: entries lost, releases or readings half done", value=ours.mixed, at_most=0, unit="")],
        notes=notes,
    )


def rows_of(beside: str, ours: Crowd, theirs: Crowd | None) -> list[Row]:
    """Times and throughput of both."""

    def row(what: str, share: float, of: str) -> Row:
        own_times, other = getattr(ours, of), getattr(theirs, of, None)
        peers = percentile(other, share) if other else None
        return Row(what=f"{what}, {beside}", ours=percentile(own_times, share), peer=peers)

    return [
        row("promotion of five (peer: five versions) p50", 0.5, "promote"),
        row("  p99", 0.99, "promote"),
        row("release (peer: five aliases) p50", 0.5, "release"),
        row("  p99", 0.99, "release"),
        Row(
            what=f"complete rounds a second, {beside}",
            ours=ours.throughput,
            peer=theirs.throughput if theirs else None,
            unit="/s",
        ),
    ]


def of_ours(uri: str, writers: int, rounds: int) -> Crowd:
    """Let ours race, and look at what stands in the end."""
    registry = Registry.open(uri)
    own.take_snapshot(registry)
    commands = [
        [sys.executable, "-m", "bench.registry.own", "race", uri, f"w{number}", str(rounds)]
        for number in range(writers)
    ]
    watcher = Watcher(uri)
    with watcher.running():
        said, took = _race(commands)
    done = [one for writer in said for one in writer]
    state = Registry.open(uri).state()
    releases = state.releases[own.GROUP.name]
    told = [one["entry"] for one in done if one["entry"]]
    stand = {release.recorded.number for release in releases}
    mixed = sum(len(own.rounds_of(state, dict(release.members))) > 1 for release in releases)
    lost = sum(number not in stand for number in told) + len(told) - len(set(told))
    return Crowd(
        promote=[MS * one["promote"] for one in done],
        release=[MS * one["release"] for one in done],
        throughput=len(done) / took,
        readings=watcher.readings,
        mixed=watcher.mixed + mixed + lost,
        note=(
            f"{len(done)} rounds, {len(told)} releases of their own and {len(done) - len(told)} released by another;"
            f" {lost} lost, {mixed} of {len(releases)} releases half done, {watcher.mixed} of {watcher.readings}"
            f" readings half released; {state.head} entries."
        ),
    )


def _race(commands: list[list[str]]) -> tuple[list[list[dict[str, Any]]], float]:
    """Start them all, let them go at once; what each says, and the seconds that it took."""
    with ExitStack() as running:
        processes = [
            running.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for command in commands
        ]
        pipes = [(process.stdin, process.stdout) for process in processes if process.stdin and process.stdout]
        for _, answers in pipes:
            answers.readline()  # ready
        began = time.perf_counter()
        for asks, _ in pipes:
            asks.write("go\n")
            asks.flush()
        said = [json.loads(answers.readline()) for _, answers in pipes]
        return said, time.perf_counter() - began


def _of_mlflow(uri: str, place: Path, writers: int, rounds: int) -> Crowd:
    """Let MLflow's clients race, with one that watches."""
    python = peer.python()
    stop = place / "stop"
    with ExitStack() as running:
        watcher = running.enter_context(Mlflow(python, uri, place, own.MODELS))  # makes tables and models, alone
        clients = [Mlflow(python, uri, place, own.MODELS) for _ in range(writers)]
        for client in clients:
            running.enter_context(client)
        watcher.tell(f"watch {stop}")
        began = time.perf_counter()
        for number, client in enumerate(clients):
            client.tell(f"race w{number} {rounds}")
        said = [client.answer() for client in clients]
        took = time.perf_counter() - began
        stop.touch()
        saw = watcher.answer()
        final = {release for _, release in watcher.ask("read").values()}
    done = [one for client in said for one in client["rounds"]]
    errors = sum((Counter(client["errors"]) for client in said), Counter[str]())
    why = ", ".join(f"{count} × {reason}" for reason, count in errors.most_common()) or "none"
    return Crowd(
        promote=[MS * one["versions"] for one in done],
        release=[MS * one["aliases"] for one in done],
        throughput=len(done) / took,
        readings=saw["readings"],
        mixed=saw["mixed"],
        errors=errors.total(),
        note=(
            f"{len(done)} of {writers * rounds} rounds went through, broken off: {why}; {saw['mixed']} of"
            f" {saw['readings']} readings half released; when all had ended, production was of {len(final)} releases."
        ),
    )
