"""Benchmark a: releasing five models, ours on local disk against MLflow's registry on SQLite.

Rules:
- The release: ours is one Promoted entry of five models and one Released, every file verified, all synced to disk.
  MLflow's is five new model versions and five aliases, one transaction each: it has no way to set several together.
  "One by one" promotes by five entries. Both processes are warm; rounds alternate.
- Ours also registers the five versions before each round (file, manifest, entry). That part writes files that
  MLflow's does not, so the fair bounds are shown both ways: "with versions" sets all of ours against all of MLflow's,
  "stages only" sets promotions and release against the five aliases.
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
from itertools import pairwise
from pathlib import Path
from statistics import median

from bench import own_release
from bench.mlflow_peer import PINNED, Mlflow, PeerMissing, python
from bench.report import Aim, Report, Row, percentile
from lockstep.registry import Registry

ROUNDS, SMALL_ROUNDS = 40, 4
KILLS, SMALL_KILLS = 40, 4
WARM_UP = 2
MS = 1000.0


def run(*, small: bool) -> Report:
    """Measure, and try what a kill leaves behind."""
    rounds, kills = (SMALL_ROUNDS, SMALL_KILLS) if small else (ROUNDS, KILLS)
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        place = Path(folder)
        notes: list[str] = []
        try:
            peer = python()
        except PeerMissing as missing:
            notes.append(str(missing))
            ours, theirs = _alternate(place, None, rounds)
        else:
            with Mlflow(peer, place / "mlflow", own_release.MODELS) as mlflow:
                ours, theirs = _alternate(place, mlflow, rounds)
            notes.append(_kill_mlflow(peer, place / "mlflow"))
        notes.append(_kill_ours(place / "killed", kills, span=percentile([sum(o[1:]) for o in ours], 0.9)))
    return _report(ours, theirs, notes)


def _alternate(
    place: Path, mlflow: Mlflow | None, rounds: int
) -> tuple[list[tuple[float, float, float]], list[tuple[float, float]]]:
    """Milliseconds: ours to register, promote, release; MLflow's versions and aliases."""
    registry = Registry.open(str(place / "ours"))
    own_release.take_snapshot(registry)
    ours: list[tuple[float, float, float]] = []
    theirs: list[tuple[float, float]] = []
    for number in range(rounds + WARM_UP):
        marks = [time.perf_counter()]
        own_release.register(registry, number)
        marks.append(time.perf_counter())
        (own_release.promote_each if number % 2 else own_release.promote_all)(registry)
        marks.append(time.perf_counter())
        own_release.release_all(registry)
        marks.append(time.perf_counter())
        registered, promoted, released = (MS * (end - begin) for begin, end in pairwise(marks))
        ours.append((registered, promoted, released))
        if mlflow:
            said = mlflow.ask("round")
            theirs.append((MS * said["versions"], MS * said["aliases"]))
    return ours[WARM_UP:], theirs[WARM_UP:]


def _report(ours: list[tuple[float, float, float]], theirs: list[tuple[float, float]], notes: list[str]) -> Report:
    together, one_by_one = ours[::2], ours[1::2]  # `_alternate` takes turns
    release = [promoted + released for _, promoted, released in together]
    single = [promoted + released for _, promoted, released in one_by_one]
    peer = [sum(parts) for parts in theirs]

    def row(what: str, own: list[float], other: list[float], figure: Callable[[list[float]], float] = median) -> Row:
        return Row(what=what, ours=figure(own), peer=figure(other) if other else None)

    rows = [
        row("release of five models, median", release, peer),
        row("release of five models, p99", release, peer, lambda values: percentile(values, 0.99)),
        row("  promoted one by one, median", single, peer),
        row("with versions (files too), median", [sum(parts) for parts in together], peer),
        row("stages only (ours also verifies), median", release, [aliases for _, aliases in theirs]),
        Row(what="  of it: promotion of five", ours=median(promoted for _, promoted, _ in together)),
        Row(what="  of it: release", ours=median(released for _, _, released in together)),
    ]
    ratio = median(peer) / median(release) if peer else None
    aims = [Aim(what="MLflow's median / ours", value=ratio, at_least=10)]
    title = f"One release of five models ({len(ours)} rounds)"
    return Report(title=title, peer=f"{PINNED} on SQLite", rows=rows, aims=aims, notes=notes)


def _kill_mlflow(peer: Path, folder: Path) -> str:
    """What the five aliases say after a SIGKILL between the second and the third."""
    with Mlflow(peer, folder, own_release.MODELS) as writer:
        new = writer.ask("half")["new"]
        writer.kill()
    with Mlflow(peer, folder, own_release.MODELS) as reader:
        aliases = reader.ask("aliases")
    moved = sum(version == new for version in aliases.values())
    return (
        f"MLflow, killed after the 2nd alias: {moved} of {len(aliases)} aliases point to version {new},"
        f" {len(aliases) - moved} to version {new - 1}: half released."
    )


def _kill_ours(place: Path, kills: int, *, span: float) -> str:
    """Kill a releasing process at `kills` points spread over `span` milliseconds and half as many again."""
    uri = str(place)
    registry = Registry.open(uri)
    own_release.take_snapshot(registry)
    own_release.register(registry, -1)
    own_release.promote_all(registry)
    own_release.release_all(registry)
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
    command = [sys.executable, "-m", "bench.own_release", uri, str(number)]
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
    release = Registry.open(uri).state().production(own_release.GROUP.name)
    return dict(release.members) if release else {}
