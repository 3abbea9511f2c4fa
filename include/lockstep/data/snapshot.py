"""Snapshots: immutable versions of a dataset.

Rules:
- A snapshot's digest is that of its content: the same rows in another order or cut into other files are the same
  snapshot, which is neither written nor recorded again.
- Files are written before the entry that names them; a killed attempt leaves scratch, and its retry ends in the same
  state.
- Reading verifies the bytes of each part.
"""

import importlib.metadata
import io
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import polars as pl

from lockstep.data.bucket import RAW
from lockstep.data.content import content_digest
from lockstep.data.pipeline import DIRECT, Runner, close_scratch, run_pipeline
from lockstep.data.profile import finish, merge
from lockstep.data.rows import REASON
from lockstep.data.sources import InputFile, find_files
from lockstep.data.split import SPLIT
from lockstep.declare import Dataset
from lockstep.errors import DataError
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
    read_manifest,
    sha256_of,
)

_REASONS_SHOWN = 3


def take_snapshot(
    registry: Registry,
    dataset: Dataset,
    origin: Origin,
    *,
    runner: Runner = DIRECT,
    nonce: Callable[[], str] = lambda: uuid4().hex,
) -> Version[SnapshotTaken]:
    """Preprocess what the dataset's source holds now, and record it unless it is recorded already.

    Raises:
        DataError: the source can't be read, `clean` failed, or no row can be used.
    """
    files = find_files(dataset.source)
    scratch = f"scratch/{nonce()}"
    try:
        run_pipeline(dataset, files, uri=registry.uri, scratch=scratch, runner=runner)
        taken = _assemble(registry.objects, dataset, files, scratch, origin)
    finally:
        close_scratch(registry.objects, scratch)

    def propose(state: State) -> SnapshotTaken | None:
        known = any(version.digest == taken.digest for version in state.snapshots.get(dataset.name, ()))
        return None if known else taken

    registry.record(propose, origin)
    return registry.state().snapshot_by_digest(dataset.name, taken.digest)


def read_snapshot(registry: Registry, version: Version[SnapshotTaken], split: str | None = None) -> pl.DataFrame:
    """The rows of a snapshot, sorted by bucket and key, with `_split`; with `split`, those of one split only.

    Raises:
        ObjectMissing, ObjectDamaged: a part is not what the log promises.
    """
    files = files_of(version.fact.manifest, read_manifest(registry.objects, version.fact.manifest))
    parts = [
        pl.read_parquet(io.BytesIO(registry.objects.get(ref)))
        for name, ref in sorted(files.items())
        if name.startswith("part-")
    ]
    rows = pl.concat(parts)
    return rows if split is None else rows.filter(pl.col(SPLIT) == split)


def _assemble(
    objects: Objects, dataset: Dataset, files: list[InputFile], scratch: str, origin: Origin
) -> SnapshotTaken:
    """Name the pipeline's results by content, and write the manifest that holds them together."""
    names = objects.names(scratch)
    summaries = [json.loads(objects.get_unverified(name)) for name in names if "/bucket-" in name]
    bad = pl.concat(
        [pl.read_ipc_stream(io.BytesIO(objects.get_unverified(name))) for name in names if "/bad-" in name]
    ).sort(REASON, RAW, "_file", "_line", nulls_last=True)
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
    folder = f"datasets/{dataset.name}/{digest}"
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
        "rows": sum(summary["rows"] for summary in summaries),
        "rows_by_split": {split: columns[dataset.key]["count"] for split, columns in profile.items()},
        "quarantined": bad.height,
        "reasons": dict(bad[REASON].value_counts(sort=True).head(100).rows()),
        "clean": dataset.clean and f"{dataset.clean.__module__}.{dataset.clean.__qualname__}",
        "source": {**asdict(dataset.source), "files": [asdict(file) for file in files]},
        "libraries": {name: importlib.metadata.version(name) for name in ("apache-beam", "polars", "pyarrow")},
        "origin": asdict(origin),
    }
    ref = _put_manifest(objects, folder, manifest, refs, finish(profile), buffer.getvalue())
    return SnapshotTaken(
        dataset=dataset.name, digest=digest, manifest=ref, rows=manifest["rows"], quarantined=bad.height
    )


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
    return objects.describe(path)


def _nothing_usable(dataset: Dataset, files: list[InputFile], bad: pl.DataFrame) -> str:
    if bad.is_empty():
        return f'Dataset "{dataset.name}": its {len(files)} files hold no rows. Put rows there, or correct the pattern.'
    commonest = bad[REASON].value_counts(sort=True).head(_REASONS_SHOWN).rows()
    shown = "; ".join(f"{reason} ({count} rows)" for reason, count in commonest)
    return (
        f'Dataset "{dataset.name}": none of {bad.height} rows can be used. The commonest reasons: {shown}. Correct the'
        " source or the declared columns."
    )
