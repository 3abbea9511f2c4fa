"""The two sides: what their columns hold, and some of their rows.

Rules:
- Columns are summed up over all rows. Rows themselves are sampled, for what needs whole rows: a classifier, and scores.
- Scores are made on rows that no model was trained on: the test split of a snapshot, or requests.
- A snapshot's parts are cut by the hash of the key, so the first parts are a fair sample; no others are read.
- A profile that was written without sketches is made anew from the rows.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from lockstep.data import SPLIT, read_parts
from lockstep.data.profile import Profile, finish, merge, profile_of
from lockstep.data.requests import open_requests
from lockstep.data.split import hash_keys
from lockstep.decisions import Logged
from lockstep.decisions.compare import in_batches
from lockstep.decisions.logged import LoggedRequests
from lockstep.declare import Dataset
from lockstep.errors import DataError
from lockstep.graph import Graph
from lockstep.monitoring.limits import Limits
from lockstep.monitoring.report import Compared
from lockstep.monitoring.summaries import Summary, is_sketched, summaries_of
from lockstep.registry import Registry, SnapshotTaken, Version, files_of, read_manifest
from lockstep.registry.removal import told_if_removed

TEST: Final = "test"
_REQUESTS: Final = "requests"
_SIDE_BIT: Final = 32  # of the hash of the key: the split hangs on higher bits, the part on lower ones
_LOT: Final = "_lot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A side: `rows` are some of it, with no key of the other side's; `unseen` some that no model was trained on."""

    about: Compared
    summaries: Mapping[str, Summary]
    rows: pl.DataFrame
    unseen: pl.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whose requests are meant: `given` is a file, or the decision log of a group."""

    graph: Graph
    group: str
    given: str | Logged
    labels: frozenset[str]


class Reservoir:
    """So many rows out of all that come by, each as likely as the others."""

    def __init__(self, most: int, seed: int) -> None:
        self._most, self._dice = most, np.random.default_rng(seed)
        self._held: list[pl.DataFrame] = []

    def add(self, rows: pl.DataFrame) -> None:
        """Take rows."""
        self._held.append(rows.with_columns(pl.Series(_LOT, self._dice.random(rows.height))))
        if sum(part.height for part in self._held) > 2 * self._most:
            self._held = [self._fewer()]

    def result(self) -> pl.DataFrame:
        """The rows, in an order of their own."""
        return self._fewer().drop(_LOT) if self._held else pl.DataFrame()

    def _fewer(self) -> pl.DataFrame:
        return pl.concat(self._held).sort(_LOT).head(self._most)


def side_of_snapshot(
    registry: Registry, dataset: Dataset, version: Version[SnapshotTaken], limits: Limits, place: int
) -> Side:
    """A snapshot as a side; `place` 0 is the reference, 1 what is held against it.

    Raises:
        ObjectMissing, ObjectDamaged: a file is not what the log promises.
        VersionRemoved: its files were removed.
    """
    sample, unseen = Reservoir(limits.sample, place), Reservoir(limits.scored, place)
    read = untrained = 0
    for part in read_parts(registry, version):
        held_out = part.filter(pl.col(SPLIT) == TEST)
        own = _of_side(part, dataset.key, place)
        sample.add(own.drop(SPLIT))
        unseen.add(held_out.drop(SPLIT))
        read, untrained = read + own.height, untrained + held_out.height
        if read >= limits.sample and untrained >= limits.scored:
            break
    about = Compared(name=version.ref, kind="snapshot", rows=version.fact.rows, digest=version.digest)
    summaries = summaries_of(profile_at(registry, version, dataset.key), dataset.key)
    return Side(about=about, summaries=summaries, rows=sample.result(), unseen=unseen.result())


def side_of_requests(registry: Registry, dataset: Dataset, asked: Asked, limits: Limits) -> Side:
    """Requests, or rows of a source, as the side that is held against the reference.

    Raises:
        DataError: they can't be read, or there are none that can be used.
        UsageError: the name of the file ends in a way that says no format.
    """
    given = asked.given
    source = (
        LoggedRequests(
            registry=registry,
            graph=asked.graph,
            group=asked.group,
            dataset=dataset,
            since=registry.now() - given.within,
            labels=asked.labels,
        )
        if isinstance(given, Logged)
        else open_requests(dataset, given, asked.labels)
    )
    sample, unseen = Reservoir(limits.sample, 1), Reservoir(limits.scored, 1)
    profile: Profile = {}
    rows = 0
    for frame in in_batches(source.batches()):
        rows += frame.height
        sample.add(_of_side(frame, dataset.key, 1))
        unseen.add(frame)
        profile = merge([profile, profile_of(frame.with_columns(pl.lit(_REQUESTS).alias(SPLIT)), dataset.key)])
    name = f"the decision log, {given}" if isinstance(given, Logged) else Path(given).name
    if not rows:
        left = "; ".join(f"{reason} ({count} rows)" for reason, count in source.left_out.most_common(3))
        raise DataError(
            f'Requests of "{dataset.name}", {name}: none can be used{f": {left}" if left else ", for there are none"}.'
            " Name other requests, or hold a snapshot against the reference."
        )
    about = Compared(
        name=name,
        kind="log" if isinstance(given, Logged) else "file",
        rows=rows,
        digest=None if isinstance(source, LoggedRequests) else source.file.sha256,
        left_out=dict(sorted(source.left_out.items())),
    )
    summaries = summaries_of(finish(profile), dataset.key)
    return Side(about=about, summaries=summaries, rows=sample.result(), unseen=unseen.result())


def side_of_rows(rows: pl.DataFrame, key: str, name: str, place: int, limits: Limits) -> Side:
    """Cleaned rows that are at hand, as a side."""
    sample = Reservoir(limits.sample, place)
    sample.add(_of_side(rows, key, place))
    profile = finish(profile_of(rows.with_columns(pl.lit(_REQUESTS).alias(SPLIT)), key))
    about = Compared(name=name, kind="rows", rows=rows.height)
    return Side(about=about, summaries=summaries_of(profile, key), rows=sample.result(), unseen=rows.clear())


def profile_at(registry: Registry, version: Version[SnapshotTaken], key: str) -> Mapping[str, Mapping[str, Any]]:
    """The finished profile of a snapshot; made from its rows, where an older Lockstep wrote it without sketches."""
    with told_if_removed(registry.state, version):
        files = files_of(version.fact.manifest, read_manifest(registry.objects, version.fact.manifest))
        for name, ref in files.items():
            if name.endswith("profile.json"):
                found: dict[str, dict[str, Any]] = json.loads(registry.objects.get(ref))
                if is_sketched(found, key):
                    return found
    return finish(_profiled(read_parts(registry, version), key))


def _profiled(parts: Iterable[pl.DataFrame], key: str) -> Profile:
    profile: Profile = {}
    for part in parts:
        profile = merge([profile, profile_of(part, key)])
    return profile


def _of_side(rows: pl.DataFrame, key: str, place: int) -> pl.DataFrame:
    """The rows whose key belongs to one side, so that no key is on both and rows are independent of each other."""
    return rows.filter((hash_keys(rows[key]) // (1 << _SIDE_BIT)) % 2 == place)
