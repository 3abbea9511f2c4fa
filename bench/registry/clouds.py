"""Benchmark f: promotion and release in each emulated cloud, alone and with sixteen writers, beside ours on local disk.

Rules:
- The servers are those of `loopback/`: programs on this machine that stand for the clouds. They have no
  network between them and us; of a real cloud these figures tell the requests, not the time.
- Alone and crowd are those of the benchmarks a and e, on the same machine in the same run.
- A server that is not installed is left out, with a note.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

from bench.registry import own
from bench.registry.crowd import Crowd, of_ours
from bench.report import Aim, Report, Row, percentile
from lockstep.registry import Registry
from loopback.servers import ProgramMissing, Servers

KINDS = ("gcs", "moto", "minio", "azurite")
ROUNDS, SMALL_ROUNDS = 20, 2
WRITERS, SMALL_WRITERS = 16, 2
CROWDED = 2  # rounds of each writer
MS = 1000.0


def run(*, small: bool) -> Report:
    """Measure local disk and each cloud."""
    rounds, writers = (SMALL_ROUNDS, SMALL_WRITERS) if small else (ROUNDS, WRITERS)
    rows: list[Row] = []
    notes: list[str] = []
    half = 0
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        place = Path(folder)
        disk = _alone((place / "alone").as_uri(), rounds), of_ours((place / "crowd").as_uri(), writers, CROWDED)
        servers = Servers(place / "servers")
        try:
            for kind in KINDS:
                try:
                    server = servers[kind]
                except ProgramMissing as missing:
                    notes.append(str(missing))
                    continue
                with _environment(server.environment()):
                    root = f"{server.root}/{uuid4().hex}"
                    found = _alone(f"{root}/alone", rounds), of_ours(f"{root}/crowd", writers, CROWDED)
                rows += _rows(kind, found, disk)
                notes.append(f"{kind}: {found[1].note}")
                half += found[1].mixed
        finally:
            servers.end()
    aim = Aim(what="entries lost, releases or readings half done", value=half if rows else None, at_most=0, unit="")
    title = f"Release of five models in emulated clouds ({rounds} rounds alone, {writers} writers)"
    return Report(
        title=title, peer="ours on local disk", rows=rows or _rows("none", disk, disk), aims=[aim], notes=notes
    )


Times = dict[str, list[float]]


def _alone(uri: str, rounds: int) -> Times:
    """Milliseconds to promote and to release."""
    registry = Registry.open(uri)
    own.take_snapshot(registry)
    found: Times = {"promote": [], "release": []}
    for number in range(rounds):
        own.register(registry, str(number))
        marks = [time.perf_counter()]
        own.promote_all(registry)
        marks.append(time.perf_counter())
        own.release_all(registry)
        marks.append(time.perf_counter())
        for what, (begin, end) in zip(found, pairwise(marks), strict=True):
            found[what].append(MS * (end - begin))
    return found


def _rows(kind: str, found: tuple[Times, Crowd], disk: tuple[Times, Crowd]) -> list[Row]:
    rows = [
        Row(
            what=f"{kind}: {what} p{share:.0f}",
            ours=percentile(found[0][what], share / 100),
            peer=percentile(disk[0][what], share / 100),
        )
        for what in ("promote", "release")
        for share in (50.0, 99.0)
    ]
    both = [1 / sum(sum(times[what]) / len(times[what]) / MS for what in times) for times in (found[0], disk[0])]
    rows.append(Row(what=f"{kind}: promotions with release a second", ours=both[0], peer=both[1], unit="/s"))
    for what in ("promote", "release"):
        times, others = getattr(found[1], what), getattr(disk[1], what)
        rows += [
            Row(
                what=f"{kind}: {what} in the crowd p{share:.0f}",
                ours=percentile(times, share / 100),
                peer=percentile(others, share / 100),
            )
            for share in (50.0, 99.0)
        ]
    crowds = found[1].throughput, disk[1].throughput
    rows.append(Row(what=f"{kind}: complete rounds a second in the crowd", ours=crowds[0], peer=crowds[1], unit="/s"))
    return rows


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """What a client of the server needs, as long as the block runs; its processes inherit it."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
