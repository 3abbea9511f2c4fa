"""Snapshots: immutable versions of a dataset.

Rules:
- A snapshot's digest is that of its content: the same rows in another order or cut into other files are the same
  snapshot, which is neither written nor recorded again.
- A snapshot may be made of the one before and the new files (`growth`); the content is that of a full build. Its
  manifest says which it was, and holds what the next one needs for that: `recipe`, `usable`, `contents`.
- Files are written before the entry that names them; a killed attempt leaves scratch, and its retry ends in the same
  state.
- It is taken in three parts, which processes on different machines may do: start, run the pipeline, finish.
- A snapshot whose files were removed is not known any more: the same content is taken again, into a folder of a name
  that was never removed.
- Reading verifies the bytes of each part.
- A snapshot that breaks a hard check is not recorded. Results of checks are part of no digest: they stand in the
  manifest of the taking that was the first to make that content.
"""

import importlib.metadata
import io
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from datetime import UTC
from typing import Any, Final
from uuid import uuid4

import polars as pl

from lockstep.data.aging import newest_in
from lockstep.data.bucket import RAW
from lockstep.data.checking import Tally, check_evaluable
from lockstep.data.content import content_digest
from lockstep.data.engines import Submission, check_submittable, job_name, runner_of
from lockstep.data.growth import Base
from lockstep.data.pipeline import TALLY, close_scratch, is_open, open_scratch, run_pipeline
from lockstep.data.profile import finish, merge
from lockstep.data.recipe import recipe_of
from lockstep.data.rows import REASON
from lockstep.data.sources import InputFile, with_versions
from lockstep.data.split import SPLIT
from lockstep.data.taking import SPEC, Found, Taking, find_inputs, said_of_source
from lockstep.data.verdict import Counted, Result, results_of, stop_if_broken
from lockstep.declare import Dataset
from lockstep.errors import DataError, UsageError
from lockstep.places import Dataflow, Direct, Engine
from lockstep.registry import (
    ObjectRef,
    Objects,
    Origin,
    Registry,
    SnapshotTaken,
    State,
    Version,
    canonical_json,
    digest_of,
    files_of,
    folder_of,
    read_manifest,
    sha256_of,
)
from lockstep.registry.names import free_folder
from lockstep.registry.objects import SCRATCH
from lockstep.registry.removal import told_if_removed
from lockstep.switch import check

DIRECT: Final = Direct()
_REASONS_SHOWN = 3


def take_snapshot(
    registry: Registry,
    dataset: Dataset,
    origin: Origin,
    *,
    engine: Engine = DIRECT,
    nonce: Callable[[], str] = lambda: uuid4().hex,
    code: str | None = None,
    found: Found | None = None,
) -> Version[SnapshotTaken]:
    """Preprocess what the dataset's source holds now, and record it unless it is recorded already.

    All files are read, whatever is known of them; `refresh_snapshot` looks first.

    Args:
        registry: where it is recorded.
        dataset: what is read, and how.
        origin: who takes it.
        engine: what Beam runs on.
        nonce: makes the name of a scratch.
        code: hash of the code of `clean`, by which later looks know whether it has changed.
        found: what a look has found.

    Raises:
        DataError: the source can't be read, `clean` failed, or no row can be used.
        UsageError: workers of the engine could not read the registry, the source or `clean`, or it is Dataflow, whose
            jobs are started in the parts below.
    """
    if isinstance(engine, Dataflow):
        raise UsageError(
            f'Dataset "{dataset.name}": {engine} is used by the retraining DAG in Airflow, which finds a job again'
            " after a crash. Retrain there, or say direct(), portable(…) or flink(…)."
        )
    while True:
        taking = start_snapshot(registry, dataset, engine, name := nonce(), code=code, found=found)
        runner = runner_of(engine, Submission(name=job_name(dataset.name, name)))
        try:
            run_pipeline(dataset, list(taking.files), uri=registry.uri, scratch=taking.scratch, runner=runner)
            version = finish_snapshot(registry, taking, origin, engine)
        finally:
            give_up(registry, taking.scratch)
        if version is not None:
            return version


def start_snapshot(
    registry: Registry,
    dataset: Dataset,
    engine: Engine,
    name: str,
    *,
    code: str | None = None,
    found: Found | None = None,
) -> Taking:
    """Find the source's files, and open `scratch/<name>` with the spec for whoever runs the pipeline.

    Raises:
        DataError: the source can't be read.
        UsageError: workers of the engine could not read the registry, the source or `clean`.
        NotAllowed: the store lets these credentials delete nothing, so that the scratch would stay.
    """
    check(engine, f'Dataset "{dataset.name}"', registry.uri)
    found = found or Found(files=find_inputs(dataset.source))
    check_submittable(engine, dataset, [file.path for file in found.files])
    check_evaluable(dataset)
    files = with_versions(found.files)
    taking = Taking(dataset=dataset, files=files, scratch=f"{SCRATCH}/{name}", code=code, why=found.why)
    registry.objects.delete_scratch(f"{taking.scratch}/{SPEC}")  # so that who may not is told before all is read
    registry.objects.put(f"{taking.scratch}/{SPEC}", taking.as_json())
    open_scratch(registry.objects, taking.scratch)
    return taking


def finish_snapshot(
    registry: Registry, taking: Taking, origin: Origin, engine: Engine, base: Base | None = None
) -> Version[SnapshotTaken] | None:
    """Name what the pipeline made by its content, and record it unless it is recorded already.

    With `base`, the pipeline read the files that are not in that snapshot, and went through its parts.

    It can be done again until the scratch is given up. None: the files of the same content were removed meanwhile, so
    that the snapshot has to be taken again.

    Raises:
        DataError: no row can be used, or the scratch was cleared away.
    """
    taken = _assemble(registry, taking, origin, engine, base)

    def propose(state: State) -> SnapshotTaken | None:
        is_gone = folder_of(taken.manifest.path) in state.removed  # taken for a killed attempt's, and removed
        return None if is_gone or _known(state, taken) else taken

    registry.record(propose, origin)
    return _known(registry.state(), taken)


def give_up(registry: Registry, scratch: str) -> None:
    """Delete what the pipeline made and nobody refers to; workers that outlive it leave nothing more."""
    close_scratch(registry.objects, scratch)


def _known(state: State, taken: SnapshotTaken) -> Version[SnapshotTaken] | None:
    """The version of that content whose files are there."""
    past = state.snapshots.get(taken.dataset)
    places = past.places("digest", taken.digest) if past else ()
    return next((past[place] for place in places if past and not state.is_removed(past[place])), None)


def read_snapshot(registry: Registry, version: Version[SnapshotTaken], split: str | None = None) -> pl.DataFrame:
    """The rows of a snapshot, sorted by bucket and key, with `_split`; with `split`, those of one split only.

    Raises:
        ObjectMissing, ObjectDamaged: a part is not what the log promises.
        VersionRemoved: its files were removed.
    """
    return pl.concat(list(read_parts(registry, version, split)))


def read_parts(registry: Registry, version: Version[SnapshotTaken], split: str | None = None) -> Iterator[pl.DataFrame]:
    """As `read_snapshot`, one part of the snapshot after the other; only one is held at a time.

    Raises:
        ObjectMissing, ObjectDamaged: a part is not what the log promises.
        VersionRemoved: its files were removed.
    """
    with told_if_removed(registry.state, version):
        files = files_of(version.fact.manifest, read_manifest(registry.objects, version.fact.manifest))
        for name, ref in sorted(files.items()):
            if name.startswith("part-"):
                rows = pl.read_parquet(io.BytesIO(registry.objects.get(ref)))
                yield rows if split is None else rows.filter(pl.col(SPLIT) == split)


def _assemble(registry: Registry, taking: Taking, origin: Origin, engine: Engine, base: Base | None) -> SnapshotTaken:
    """Name the pipeline's results by content, and write the manifest that holds them together."""
    objects, dataset, files, scratch = registry.objects, taking.dataset, taking.files, taking.scratch
    names = objects.names(scratch)
    summaries = [json.loads(objects.get_unverified(name)) for name in names if "/bucket-" in name]
    if not is_open(objects, scratch):
        raise DataError(
            f'Dataset "{dataset.name}": its unfinished parts were cleared away, because nothing was added to them for'
            " two days. Take the snapshot again."
        )
    bad, met = _set_aside(objects, names, base)
    rows = sum(summary["rows"] for summary in summaries)
    results = _verdict(registry, taking, names, rows, bad.height)
    if not summaries:
        raise DataError(_nothing_usable(dataset, files, bad))
    digest = digest_of(
        {
            "columns": summaries[0]["columns"],
            "key": dataset.key,
            "split": asdict(dataset.split),
            "buckets": {summary["bucket"]: summary["content"] for summary in summaries},
            "quarantine": content_digest(bad.select(REASON, RAW)),
        }
    )
    folder = free_folder(dataset.name, digest, registry.state().removed)
    parts = {f"part-{summary['bucket']:05d}.parquet": summary for summary in summaries}
    refs = {name: _settle(objects, ObjectRef(**summary["part"]), f"{folder}/{name}") for name, summary in parts.items()}
    profile = merge(summary["profile"] for summary in summaries)
    buffer = io.BytesIO()
    bad.write_parquet(buffer)
    manifest = {
        "kind": "snapshot",
        "dataset": dataset.name,
        "digest": digest,
        "key": dataset.key,
        "declared": {name: asdict(column) for name, column in dataset.schema.items()},
        "columns": summaries[0]["columns"],
        "split": asdict(dataset.split),
        "rows": rows,
        "rows_by_split": {split: columns[dataset.key]["count"] for split, columns in profile.items()},
        "quarantined": bad.height,
        "reasons": dict(bad[REASON].value_counts(sort=True).head(100).rows()),
        "clean": dataset.clean and f"{dataset.clean.__module__}.{dataset.clean.__qualname__}",
        "source": {**said_of_source(dataset.source), "files": [file.as_json() for file in files]},
        "recipe": recipe_of(dataset, taking.code),
        "usable": rows + met,
        "contents": {str(summary["bucket"]): summary["content"] for summary in summaries},
        "build": {"kind": "full", "why": taking.why} if base is None else {"kind": "incremental", "base": base.ref},
        "libraries": {name: importlib.metadata.version(name) for name in ("apache-beam", "polars", "pyarrow")},
        "engine": str(engine),
        "origin": asdict(origin),
        **({"checks": [result.as_json() for result in results], "newest": newest_in(results)} if results else {}),
    }
    ref = _put_manifest(objects, folder, manifest, refs, finish(profile), buffer.getvalue())
    return SnapshotTaken(dataset=dataset.name, digest=digest, manifest=ref, rows=rows, quarantined=bad.height)


def _set_aside(objects: Objects, names: list[str], base: Base | None) -> tuple[pl.DataFrame, int]:
    """All rows of the quarantine in their order, and how many of them could be typed and fell out later."""
    tables = {name: pl.read_ipc_stream(io.BytesIO(objects.get_unverified(name))) for name in names if "/bad-" in name}
    met = sum(table.height for name, table in tables.items() if "/bad-of-" not in name)
    old = []
    if base is not None:
        old.append(pl.read_parquet(io.BytesIO(objects.get(base.quarantine))))
        met += base.usable - base.rows
    return pl.concat([*tables.values(), *old]).sort(REASON, RAW, "_file", "_line", nulls_last=True), met


def _verdict(registry: Registry, taking: Taking, names: Collection[str], kept: int, quarantined: int) -> list[Result]:
    """What the dataset's checks say; nothing of a dataset without checks, or of no rows.

    Raises:
        CheckFailed: one stops the snapshot.
    """
    dataset = taking.dataset
    found = [json.loads(registry.objects.get_unverified(name)) for name in names if f"/{TALLY}" in name]
    tally = sum(map(Tally.from_json, found), Tally())
    if not dataset.checks or not tally.rows:
        return []
    past = registry.state().snapshots.get(dataset.name)
    before = past[-1].fact.rows if past else None
    today = registry.now().astimezone(UTC).date()
    counted = Counted(tally=tally, kept=kept, quarantined=quarantined, before=before, today=today)
    results = results_of(dataset, counted)
    stop_if_broken(dataset, results)
    return results


def _settle(objects: Objects, part: ObjectRef, target: str) -> ObjectRef:
    """Give a part its place. Where an earlier attempt has put one, with the same rows, that one stays."""
    if objects.exists(target):
        objects.delete_scratch(part.path)
        return objects.describe(target)
    objects.move(part.path, target)
    return ObjectRef(path=target, sha256=part.sha256, size=part.size)


def _put_manifest(
    objects: Objects,
    folder: str,
    manifest: dict[str, Any],
    parts: dict[str, ObjectRef],
    profile: Any,  # noqa: ANN401  JSON
    quarantine: bytes,
) -> ObjectRef:
    path = f"{folder}/manifest.json"
    if not objects.exists(path):
        others = {"profile.json": canonical_json(profile), "quarantine.parquet": quarantine}
        # An attempt that was killed before its manifest may have left files that differ (paths, versions): keep apart.
        named = {f"{sha256_of(data)[:12]}-{name}": data for name, data in others.items()}
        refs = parts | {name: objects.put(f"{folder}/{name}", data) for name, data in named.items()}
        files = {name: {"sha256": ref.sha256, "size": ref.size} for name, ref in refs.items()}
        objects.put_new(path, canonical_json(manifest | {"files": files}))
    objects.sync(path)  # whoever wrote it may have been killed before its name was on the disk
    return objects.describe(path)


def _nothing_usable(dataset: Dataset, files: Collection[InputFile], bad: pl.DataFrame) -> str:
    if bad.is_empty():
        return f'Dataset "{dataset.name}": its {len(files)} files hold no rows. Put rows there, or correct the pattern.'
    commonest = bad[REASON].value_counts(sort=True).head(_REASONS_SHOWN).rows()
    shown = "; ".join(f"{reason} ({count} rows)" for reason, count in commonest)
    return (
        f'Dataset "{dataset.name}": none of {bad.height} rows can be used. The commonest reasons: {shown}. Correct the'
        " source or the declared columns."
    )
