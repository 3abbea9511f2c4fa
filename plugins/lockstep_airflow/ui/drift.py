"""Drift over time, by the profiles of snapshots: each newer one against what production was trained on.

Rules:
- No row is read. Columns are compared and judged by `lockstep.monitoring`; what was found for two snapshots never
  changes, and is kept.
- One thread compares, and it brings the libraries of data and of statistics, which the API server starts without. The
  list of groups never waits for it: what is not known yet comes a moment later.
"""

import json
from collections.abc import Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from fastapi import HTTPException

from lockstep.errors import LockstepError
from lockstep.registry import Objects, files_of, read_manifest
from lockstep.registry.entries import SnapshotTaken
from lockstep.registry.lineage import AnyVersion
from lockstep_airflow.ui import libraries, shapes, shapes_of_data
from lockstep_airflow.ui.declarations import Declaration, Node
from lockstep_airflow.ui.group import standing
from lockstep_airflow.ui.kept import Kept
from lockstep_airflow.ui.said import at
from lockstep_airflow.ui.world import Place, Scene

LIMIT: Final = 0.2  # of the PSI, as lockstep.monitoring.Limits has it
_SNAPSHOTS: Final = 24  # the newest, of one dataset
_COLUMNS: Final = 300
_WAITING: Final = 2_000  # comparisons that may wait for their turn
_PATIENCE: Final = 60.0  # seconds
_FAR: Final = ("kolmogorov_smirnov", "jensen_shannon")  # the distance of numbers, of words


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifted:
    """What came of two snapshots: `columns` is empty where nothing could be compared."""

    drifted: bool
    says: str
    columns: tuple[shapes_of_data.DriftColumn, ...] = ()


class Comparing:
    """What was compared, and what waits for that."""

    def __init__(self) -> None:
        self._found: Kept[Drifted] = Kept(20_000, lambda one: 1 + len(one.columns))
        self._profiles: Kept[Any] = Kept(16)
        self._waiting: dict[Any, Future[Drifted]] = {}
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lockstep-drift")
        self.turns = 0  # comparisons that are done: it changes whenever there is more to tell

    def known(self, objects: Objects, node: Node, targets: Mapping[str, str], pair: "Pair") -> Drifted | None:
        """What came of two snapshots, if that is known; else it will be."""
        future = self.begin(objects, node, targets, pair)
        return future.result() if future is not None and future.done() else None

    def begin(self, objects: Objects, node: Node, targets: Mapping[str, str], pair: "Pair") -> Future[Drifted] | None:
        """The comparison of two snapshots; None where too many wait already."""
        key = (pair.key, node, tuple(sorted(targets.items())))
        if (found := self._found.get(key)) is not None:
            future: Future[Drifted] = Future()
            future.set_result(found)
            return future
        with self._lock:
            if key not in self._waiting:
                if len(self._waiting) >= _WAITING:
                    return None
                self._waiting[key] = self._pool.submit(self._compare, key, objects, node, targets, pair)
            return self._waiting[key]

    def _compare(
        self,
        key: Hashable,
        objects: Objects,
        node: Node,
        targets: Mapping[str, str],
        pair: "Pair",
    ) -> Drifted:
        try:
            found = _compared([self._profiled(objects, one) for one in (pair.old, pair.new)], node, targets)
            self._found.put(key, found)
        except (LockstepError, LookupError) as error:  # a file is damaged or gone, or a manifest is none of a snapshot
            found = Drifted(drifted=False, says=f"It can't be said: {error}")
            self._found.put(key, found)
        finally:
            with self._lock:
                self._waiting.pop(key, None)
                self.turns += 1
        return found

    def _profiled(self, objects: Objects, version: AnyVersion) -> Any:  # noqa: ANN401  of lockstep.monitoring
        libraries.load()
        from lockstep.monitoring import Profiled

        def read() -> Profiled:
            ref = version.fact.manifest
            manifest = read_manifest(objects, ref)
            files = files_of(ref, manifest)
            profile = next((file for name, file in files.items() if name.endswith("profile.json")), None)
            if profile is None:
                raise LookupError(f"{version.ref} has no profile.")
            return Profiled(
                name=version.ref,
                digest=version.digest,
                rows=manifest["rows"],
                columns=manifest["columns"],
                profile=json.loads(objects.get(profile)),
            )

        return self._profiles.made((objects.uri, version.fact.manifest.sha256), read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two snapshots of a dataset."""

    address: str
    old: AnyVersion
    new: AnyVersion

    @property
    def key(self) -> tuple[str, str, str]:
        """What names both, for good."""
        return self.address, self.old.fact.manifest.sha256, self.new.fact.manifest.sha256


def _compared(sides: list[Any], node: Node, targets: Mapping[str, str]) -> Drifted:
    libraries.load()
    from lockstep.monitoring import Verdict, measure_profiles

    old, new = sides
    report = measure_profiles(old, new, dataset=node.name, key=node.key, targets=targets, private=node.private)
    if report is None:
        return Drifted(drifted=False, says="The profile of one of them was written without sketches.")
    columns = tuple(
        shapes_of_data.DriftColumn(
            name=column.name,
            psi=column.psi,
            distance=next((column.figures[name] for name in _FAR if name in column.figures), None),
            drifted=column.verdict is Verdict.DRIFT,
            says=column.says
            if column.name not in node.private
            else f"{column.name} is private: {column.verdict.value}.",
        )
        for column in report.columns[:_COLUMNS]
    )
    return Drifted(drifted=report.verdict is Verdict.DRIFT, says=report.says, columns=columns)


comparing: Final = Comparing()


def drift(place: Place, dataset: str | None, reference: str | None) -> shapes_of_data.DriftPage:
    """The page of a dataset; by default the first one of the group."""
    node = _dataset(place.group, dataset)
    book, objects = place.book, place.seen.objects
    versions = list(book.versions("dataset", node.name))
    old = standing(place.group, node, book)[0] if reference is None else _named(versions, reference)
    found: shapes_of_data.DriftPage = {
        "dataset": node.name,
        "reference": old.ref if old else None,
        "limit": LIMIT,
        "snapshots": [],
    }
    if old is None or objects is None:
        return found
    behind = [one for one in versions if one.number > old.number and not book.state.is_removed(one)][-_SNAPSHOTS:]
    targets = targets_of(place.group, node)
    pairs = [Pair(address=place.seen.address, old=old, new=new) for new in behind]
    futures = [comparing.begin(objects, node, targets, pair) for pair in pairs]
    for pair, future in zip(pairs, futures, strict=True):
        if future is None:
            raise HTTPException(503, "Too many comparisons wait for their turn. Ask again in a moment.")
        told = future.result(_PATIENCE)
        found["snapshots"].append(
            {
                "ref": pair.new.ref,
                "at": at(pair.new.recorded.at),
                "drifted": told.drifted,
                "says": told.says,
                "columns": list(told.columns),
            }
        )
    return found


def summary_of(scene: Scene, group: Declaration) -> shapes.DriftSummary | None:
    """The newest snapshot against production's, of the dataset that has moved most; None as long as it is unknown."""
    seen = scene.seen(group)
    worst: tuple[bool, float, shapes.DriftSummary] | None = None
    if seen.book is None or seen.objects is None:
        return None
    for node in group.datasets:
        old, newest = standing(group, node, seen.book)[0], seen.book.versions("dataset", node.name)
        if old is None or newest[-1].number <= old.number or seen.book.state.is_removed(newest[-1]):
            continue
        pair = Pair(address=seen.address, old=old, new=newest[-1])
        found = comparing.known(seen.objects, node, targets_of(group, node), pair)
        if found is None:
            continue
        named = [column for column in found.columns if column["psi"] is not None]
        most = max(named, key=lambda column: column["psi"] or 0.0, default=None)
        psi = (most["psi"] or 0.0) if most else 0.0
        told: shapes.DriftSummary = {
            "reference": old.ref,
            "current": newest[-1].ref,
            "drifted": found.drifted,
            "worst": {"column": most["name"], "psi": psi} if most else None,
            "says": found.says,
        }
        if worst is None or (found.drifted, psi) > worst[:2]:
            worst = (found.drifted, psi, told)
    return worst[2] if worst else None


def targets_of(group: Declaration, node: Node) -> dict[str, str]:
    """Model → what it predicts, of the models of a group that learn from a dataset."""
    names = [model.name for model in group.group.models if model.dataset == node.name]
    return {name: group.nodes[name].target for name in names}


def _dataset(group: Declaration, name: str | None) -> Node:
    for node in group.datasets:
        if name is None or node.name == name:
            return node
    known = ", ".join(node.name for node in group.datasets)
    raise HTTPException(404, f'Release group "{group.name}" has no dataset "{name}"; it has {known}.')


def _named(versions: list[AnyVersion], ref: str) -> AnyVersion:
    for version in versions:
        if version.ref == ref and isinstance(version.fact, SnapshotTaken):
            return version
    raise HTTPException(404, f'There is no snapshot "{ref}" to hold others against.')
