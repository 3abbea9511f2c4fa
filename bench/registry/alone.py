"""Benchmark a: releasing five models, ours on local disk against MLflow's registry on SQLite and on PostgreSQL.

Rules:
- The release: ours is one Promoted entry of five models and one Released, every file verified, all synced to disk.
  MLflow's is five new model versions and five aliases, one transaction each: it has no way to set several together.
  "One by one" promotes by five entries. All processes are warm; rounds alternate.
- Ours also registers the five versions before each round (file, manifest, entry). That part writes files that
  MLflow's does not, so the fair bounds are shown both ways: "with versions" sets all of ours against all of MLflow's,
  "stages only" sets promotion and release against the five aliases.
- Killed in between: MLflow by SIGKILL after the second of five aliases; ours by SIGKILL at many points of promoting
  and releasing. Read back by a fresh reader, production must be the old or the new release, wholly.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median

from bench.registry import own, peer, postgres
from bench.registry.peer import Mlflow, PeerMissing
from bench.report import Aim, Report, Row, percentile
from lockstep.registry import Registry

ROUNDS, SMALL_ROUNDS = 60, 4
KILLS, SMALL_KILLS = 40, 4
WARM_UP = 2
MS = 1000.0
SQLITE, POSTGRES = "SQLite", "PostgreSQL"
Ours = list[tuple[float, float, float]]  # milliseconds to register, promote, release
Theirs = list[tuple[float, float]]  # milliseconds for versions, aliases


def run(*, small: bool) -> Report:
    """Measure, and try what a kill leaves behind."""
    rounds, kills = (SMALL_ROUNDS, SMALL_KILLS) if small else (ROUNDS, KILLS)
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder, ExitStack() as running:
        place = Path(folder)
        peers = dict(_peers(place, running, notes))
        ours, theirs = _alternate(place, peers, rounds)
        if SQLITE in peers:
            peers[SQLITE].kill()
            notes.append(_kill_mlflow(place / "mlflow"))
        notes.append(_kill_ours(place / "killed", kills, span=percentile([sum(o[1:]) for o in ours], 0.9)))
    return _report(ours, theirs, notes)


def _peers(place: Path, running: ExitStack, notes: list[str]) -> list[tuple[str, Mlflow]]:
    """Those that are there, warm; a note for each that is not."""
    found: list[tuple[str, Mlflow]] = []
    addresses: list[tuple[str, Callable[[], str]]] = [
        (SQLITE, lambda: peer.sqlite(place / "mlflow")),
        (POSTGRES, lambda: running.enter_context(postgres.running())),
    ]
    for name, address in addresses:
        try:
            client = Mlflow(peer.python(), address(), place / "mlflow", own.MODELS)
        except PeerMissing as missing:
            notes.append(str(missing))
        else:
            found.append((name, running.enter_context(client)))
    return found


def _alternate(place: Path, peers: Mapping[str, Mlflow], rounds: int) -> tuple[Ours, dict[str, Theirs]]:
    registry = Registry.open(str(place / "ours"))
    own.take_snapshot(registry)
    ours: Ours = []
    theirs: dict[str, Theirs] = {SQLITE: [], POSTGRES: []}
    for number in range(rounds + WARM_UP):
        marks = [time.perf_counter()]
        own.register(registry, str(number))
        marks.append(time.perf_counter())
        (own.promote_each if number % 2 else own.promote_all)(registry)
        marks.append(time.perf_counter())
        own.release_all(registry)
        marks.append(time.perf_counter())
        registered, promoted, released = (MS * (end - begin) for begin, end in pairwise(marks))
        ours.append((registered, promoted, released))
        for name, client in peers.items():
            said = client.ask("round")
            theirs[name].append((MS * said["versions"], MS * said["aliases"]))
    return ours[WARM_UP:], {name: times[WARM_UP:] for name, times in theirs.items()}


def _report(ours: Ours, theirs: dict[str, Theirs], notes: list[str]) -> Report:
    together, one_by_one = ours[::2], ours[1::2]  # `_alternate` takes turns
    release = [promoted + released for _, promoted, released in together]
    single = [promoted + released for _, promoted, released in one_by_one]
    rows: list[Row] = []
    aims: list[Aim] = []
    for name, times in theirs.items():
        if not times:
            rows += _rows(f"release of five models (no {name})", release, [])
            aims.append(Aim(what=f"MLflow's median on {name} / ours", value=None, at_least=20))
            continue
        all_of_it = [sum(parts) for parts in times]
        versions, aliases = (list(part) for part in zip(*times, strict=True))
        rows += [
            *_rows(f"release of five models, beside {name}", release, all_of_it),
            _row("  promoted one by one, p50", single, all_of_it),
            *_rows("  promotion of five, beside five versions", [promoted for _, promoted, _ in together], versions),
            *_rows("  release, beside five aliases", [released for *_, released in together], aliases),
            _row("  with versions (files too), p50", [sum(parts) for parts in together], all_of_it),
            _row("  stages only (ours also verifies), p50", release, aliases),
            _per_second("  releases a second", release, all_of_it),
        ]
        aims.append(
            Aim(what=f"MLflow's median on {name} / ours", value=median(all_of_it) / median(release), at_least=20)
        )
    title = f"One release of five models ({len(ours)} rounds)"
    return Report(title=title, peer=peer.PINNED, rows=rows, aims=aims, notes=notes)


def _row(what: str, own_times: list[float], other: list[float], figure: Callable[[list[float]], float] = median) -> Row:
    return Row(what=what, ours=figure(own_times), peer=figure(other) if other else None)


def _rows(what: str, own_times: list[float], other: list[float]) -> list[Row]:
    return [
        _row(f"{what}, p50", own_times, other),
        _row(f"{what}, p99", own_times, other, lambda values: percentile(values, 0.99)),
    ]


def _per_second(what: str, own_times: list[float], other: list[float]) -> Row:
    ours, theirs = (MS * len(times) / sum(times) for times in (own_times, other))
    return Row(what=what, ours=ours, peer=theirs, unit="/s")


def _kill_mlflow(folder: Path) -> str:
    """What the five aliases say after a SIGKILL between the second and the third."""
    with Mlflow(peer.python(), peer.sqlite(folder), folder, own.MODELS) as writer:
        new = writer.ask("half")["new"]
        writer.kill()
    with Mlflow(peer.python(), peer.sqlite(folder), folder, own.MODELS) as reader:
        aliases = reader.ask("read")
    moved = sum(version == new for version, _ in aliases.values())
    return (
        f"MLflow, killed after the 2nd alias: {moved} of {len(aliases)} aliases point to version {new},"
        f" {len(aliases) - moved} to version {new - 1}: half released."
    )


def _kill_ours(place: Path, kills: int, *, span: float) -> str:
    """Kill a releasing process at `kills` points spread over `span` milliseconds and half as many again."""
    uri = str(place)
    registry = Registry.open(uri)
    own.take_snapshot(registry)
    own.register(registry, "first")
    own.promote_all(registry)
    own.release_all(registry)
    outcomes: Counter[str] = Counter()
    for number in range(kills):
        before = _production(uri)
        after = _killed_release(uri, number, delay=1.5 * span / MS * number / max(kills - 1, 1))
        found = _production(uri)
        outcomes["old" if found == before else "new" if found == after else "mixed"] += 1
    return (
        f"Ours, killed at {kills} points of promoting and releasing: {outcomes['old']} times production was the old"
        f" release, {outcomes['new']} times the new one, {outcomes['mixed']} times a mixture."
    )


def _killed_release(uri: str, number: int, *, delay: float) -> dict[str, str]:
    """Let a process release, kill it after `delay` seconds; the members that it wanted to release."""
    command = [sys.executable, "-m", "bench.registry.own", "once", uri, str(number)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("unreachable")
        wanted = dict(json.loads(process.stdout.readline()))
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(delay)
        process.kill()
    return wanted


def _production(uri: str) -> Mapping[str, str]:
    release = Registry.open(uri).state().production(own.GROUP.name)
    return dict(release.members) if release else {}
