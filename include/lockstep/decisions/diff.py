"""The decision diff: what a release would change for those who are decided on, before it is released.

Rules:
- It compares production with exactly what a release would put there now, on the test split of the newest snapshot of
  each dataset: rows that neither side was trained on, whatever they were trained on. Requests come on top, out of files
  or the decision log, and so do the decisions of a shadow.
- One pass over the rows, in batches; memory does not depend on how many there are.
- It changes nothing in the registry.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.data import SPLIT, read_parts
from lockstep.data.requests import open_requests
from lockstep.decisions.agreement import Ledger
from lockstep.decisions.compare import ModelCount, Scored, SplitCount, ThresholdCount, in_batches
from lockstep.decisions.difference import Diff, Population, SplitDiff
from lockstep.decisions.flipped import FlippedRows
from lockstep.decisions.logged import Logged, LoggedRequests, check_not_private
from lockstep.decisions.members import Loader, Members
from lockstep.decisions.shadowed import ShadowCount, pairs_of, since_both
from lockstep.declare import Dataset
from lockstep.errors import DataError, ReleaseRefused, UsageError
from lockstep.graph import Graph
from lockstep.group import Group
from lockstep.registry import Registry, SnapshotTaken, State, Version, read_manifest
from lockstep.release import digest_of_release, weigh
from lockstep.training import Predictor

SHOWN: Final = 10
_TEST, _REQUESTS = "test", "requests"


def decision_diff(
    registry: Registry,
    graph: Graph,
    name: str,
    *,
    requests: Mapping[str, str | Logged] | None = None,
    shadow: bool = False,
    rows: Path | None = None,
    shown: int = SHOWN,
) -> Diff:
    """What releasing the group `name` of the graph would change now.

    Args:
        registry: where the versions are.
        graph: the declarations.
        name: of the group.
        requests: dataset → a file of recent requests (see `lockstep.data.requests`), or those of the decision log; they
            are decided on as well.
        shadow: whether what the shadow of production decided is compared with what was answered.
        rows: a Parquet file that is to hold all flipped rows; one per dataset, where the group has several.
        shown: how many flipped rows of each threshold the diff itself holds.

    Raises:
        ReleaseRefused: what stands in staging does not fit together, so there is nothing to compare.
        DataError: a side can't decide on these rows, or the requests can't be read.
        UsageError: requests of a dataset that no model of the group is trained on.
        VersionRemoved, ObjectMissing, ObjectDamaged: files of a side, or of the snapshot, are not there.
    """
    group, state = graph.group(name), registry.state()
    old, new = load_sides(registry, graph, group, state)
    datasets = {data.name: data for data in (graph.model(model.name).data for model in group.models)}
    for dataset in requests or {}:
        if dataset not in datasets:
            raise UsageError(
                f'Requests of "{dataset}": no model of group "{name}" is trained on that; they are on'
                f" {', '.join(datasets)}."
            )
    work = _Work(graph=graph, group=group, old=old, new=new, shown=shown)
    with ExitStack() as stack:
        work.folder = Path(stack.enter_context(TemporaryDirectory(prefix="lockstep-diff-")))
        work.rows = stack.enter_context(FlippedRows(rows, alone=len(datasets) == 1)) if rows is not None else None
        test = [work.on_test(registry, data, newest_snapshot(state, data)) for data in datasets.values()]
        asked = [work.on_requests(registry, datasets[dataset], given) for dataset, given in (requests or {}).items()]
        beside = work.beside(registry, state, list(datasets.values())) if shadow else ()
        splits = [split for kind in dict.fromkeys((_TEST, *(one.kind for one in asked))) for split in work.splits(kind)]
    return Diff(
        group=name,
        old=old.digest if old is not None else None,
        new=new.digest,
        old_members=old.versions if old is not None else {},
        new_members=new.versions,
        populations=(*test, *asked, *beside),
        splits=tuple(splits),
    )


def load_sides(registry: Registry, graph: Graph, group: Group, state: State) -> tuple[Members | None, Members]:
    """What is in production, and what a release would put there.

    Raises:
        ReleaseRefused: what stands in staging does not fit together.
    """
    verdict, manifest = weigh(group, state)
    if manifest is None:
        raise ReleaseRefused(f"There is no set that could be released, so nothing to compare.\n{verdict.as_text()}")
    loader, production = Loader(registry, graph), state.production(group.name)
    new = loader.load(digest_of_release(manifest), manifest)
    if production is None:
        return None, new
    return loader.load(production.digest, read_manifest(registry.objects, production.manifest)), new


def newest_snapshot(state: State, dataset: Dataset) -> Version[SnapshotTaken]:
    """The newest snapshot whose files are there.

    Raises:
        UsageError: there is none.
    """
    newest = state.snapshot(dataset.name)
    past = state.snapshots[dataset.name]
    places = range(len(past) - 1, -1, -1)
    return next((past[place] for place in places if not state.is_removed(past[place])), newest)


@dataclass(slots=True, kw_only=True)
class _Work:
    """What is counted over all datasets: the answers of APIs that are to agree, by kind of rows."""

    graph: Graph
    group: Group
    old: Members | None
    new: Members
    shown: int
    folder: Path = field(default_factory=Path)
    rows: FlippedRows | None = None
    ledgers: dict[tuple[str, str, str, str], Ledger] = field(default_factory=dict)

    def on_test(self, registry: Registry, dataset: Dataset, snapshot: Version[SnapshotTaken]) -> Population:
        """Decide on the test split of a snapshot."""
        frames = (part.drop(SPLIT) for part in read_parts(registry, snapshot, "test"))
        source = {"snapshot": snapshot.ref, "digest": snapshot.digest}
        return self._count(_TEST, dataset, frames, source, Counter())

    def on_requests(self, registry: Registry, dataset: Dataset, given: str | Logged) -> Population:
        """Decide on a file of requests, or on those of the decision log."""
        targets = {model.target for model in map(self.graph.model, self._names(dataset))}
        sides = [side for side in (self.old, self.new) if side is not None]
        used = {name for side in sides for model in side.models.values() for name in _features(model)}
        used |= {cut.rule.per for side in sides for cut in side.cuts.values() if cut.rule.per is not None}
        if isinstance(given, Logged):
            check_not_private(dataset, used)
            logged = LoggedRequests(
                registry=registry,
                graph=self.graph,
                group=self.group.name,
                dataset=dataset,
                since=registry.now() - given.within,
                labels=frozenset(targets - used),
            )
            return self._count(_REQUESTS, dataset, logged.batches(), {"log": str(given)}, logged.left_out)
        requests = open_requests(dataset, given, targets - used)
        source = {"file": Path(given).name, "digest": requests.file.sha256}
        return self._count(_REQUESTS, dataset, requests.batches(), source, requests.left_out)

    def beside(self, registry: Registry, state: State, datasets: list[Dataset]) -> tuple[Population, ...]:
        """Count what the shadow decided beside production."""
        since = since_both(state, self.group.name)
        if self.old is None or since is None:
            return ()
        names = [self._names(dataset) for dataset in datasets]
        counts = [
            ShadowCount(dataset, self.old.only(own), self.new.only(own), self.shown)
            for dataset, own in zip(datasets, names, strict=True)
        ]
        for pairs in pairs_of(registry, self.group.name, since, self.old.digest, self.new.digest):
            for count in counts:
                count.add(pairs)
        return tuple(count.result() for count in counts)

    def splits(self, kind: str) -> Iterator[SplitDiff]:
        """The contradictions between APIs that are to agree."""
        for api in self.group.apis:
            for other in api.agrees_with:
                old = self.ledgers.get((kind, api.name, other, "old"))
                new = self._ledger(kind, api.name, other, "new")
                before = old.count() if old is not None else None
                yield SplitDiff(kind=kind, api=api.name, other=other, on=api.on, old=before, new=new.count())

    def _count(
        self,
        kind: str,
        dataset: Dataset,
        frames: Iterable[pl.DataFrame],
        source: Mapping[str, str | None],
        left_out: Counter[str],
    ) -> Population:
        names = self._names(dataset)
        old = self.old.only(names) if self.old is not None else None
        new = self.new.only(names)
        cuts = dict.fromkeys([*new.cuts, *(old.cuts if old is not None else ())])
        thresholds = [ThresholdCount(name, old, new, self.shown) for name in cuts]
        folder = self.folder / f"{kind}-{dataset.name}"
        models = [ModelCount(name, self.graph.model(name).target, old, new, folder) for name in names]
        splits = list(self._splits_of(kind, old, new))
        keep = self.rows.of(f"{kind}-{dataset.name}") if self.rows is not None else None
        count = 0
        for rows in in_batches(frames):
            count += rows.height
            scored = _score(rows, old, new)
            for threshold in thresholds:
                threshold.add(rows, dataset.key, scored, keep)
            for model in models:
                model.add(rows, scored)
            for on, split in splits:
                split.add(rows, _keys(rows, on, dataset), scored)
        return Population(
            kind=kind,
            dataset=dataset.name,
            source=source,
            rows=count,
            left_out=dict(sorted(left_out.items())),
            thresholds=tuple(threshold.result() for threshold in thresholds),
            models=tuple(model.result() for model in models),
        )

    def _names(self, dataset: Dataset) -> list[str]:
        return [model.name for model in self.group.models if model.dataset == dataset.name]

    def _splits_of(self, kind: str, old: Members | None, new: Members) -> Iterator[tuple[str, SplitCount]]:
        for api in self.group.apis:
            for other in api.agrees_with:
                for side, members in (("old", old), ("new", new)):
                    if members is not None and {api.name, other} <= members.decides.keys():
                        ledger = self._ledger(kind, api.name, other, side)
                        yield api.on, SplitCount(api.name, other, members, ledger)

    def _ledger(self, kind: str, api: str, other: str, side: str) -> Ledger:
        name = (kind, api, other, side)
        if name not in self.ledgers:
            self.ledgers[name] = Ledger(self.folder / f"{len(self.ledgers)}")
        return self.ledgers[name]


def _score(rows: pl.DataFrame, old: Members | None, new: Members) -> Scored:
    found: dict[str, NDArray[np.float64]] = {}
    for members, what in ((old, "The release in production"), (new, "What stands in staging")):
        for model in members.models.values() if members is not None else ():
            if model.digest in found:
                continue
            try:
                found[model.digest] = model.scores(rows)
            except DataError as error:
                raise DataError(f"{what} can't decide on these rows, so there is no diff. {error}") from error
    return found


def _keys(rows: pl.DataFrame, on: str, dataset: Dataset) -> pl.Series:
    if on not in rows.columns:
        raise DataError(
            f'Dataset "{dataset.name}": APIs are compared on column "{on}", which clean does not return. Keep it there.'
        )
    return rows[on]


def _features(model: Predictor) -> set[str]:
    return set(model.features).union(*(_features(above) for above in model.upstream))
