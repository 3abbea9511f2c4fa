"""Adopt a model that was made elsewhere: it becomes a version of a declared model, a candidate as any other.

Rules:
- What the registry holds of it is a model file as training writes one, loaded back before it is recorded; the file that
  it came in stands beside that, is never loaded again, and its SHA-256 is in the manifest.
- The manifest says that it was adopted, from what and by whose word. How it was trained nobody knows, so that it is not
  trained again from its record.
- It is evaluated on a snapshot of the declared dataset, by the metrics and expectations of training. It may have seen
  those rows when it was trained; the manifest says so, too.
- A model that wants the target, or a column that is hidden from it, is not adopted.
- The same file on the same snapshot is adopted once.
"""

import io
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from lockstep.adoption.files import Found
from lockstep.adoption.loaded import Asked, Part, loaded, predictor_for
from lockstep.data import SPLIT, read_snapshot
from lockstep.declare import Model, Task
from lockstep.errors import TrainingError, UsageError
from lockstep.graph import Graph
from lockstep.registry import (
    ModelTrained,
    ObjectRef,
    Origin,
    Registry,
    SnapshotTaken,
    State,
    Version,
    digest_of,
    put_folder,
    sha256_of,
)
from lockstep.registry.removal import check_kept
from lockstep.training import own_packages, resolve_upstream
from lockstep.training.adopted import OnnxModel
from lockstep.training.call import name_of
from lockstep.training.convert import Converted, convert
from lockstep.training.evaluate import check_expectations, evaluate, missed
from lockstep.training.features import lesson_of, make_features
from lockstep.training.plan import UNREPEATABLE
from lockstep.training.portable import ONNX, ONNX_FILE, load_scorer
from lockstep.training.predictor import Predictor
from lockstep.training.storage import FILE, dump, load, load_model
from lockstep.training.train import library_versions

ORIGINAL: Final = "original"
_BINARY: Final = 2
_SPLITS: Final = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """The version, whether it is new, and what was said while its file was loaded."""

    version: Version[ModelTrained]
    is_new: bool
    warnings: tuple[str, ...] = field(default=())


def adopt(
    registry: Registry,
    graph: Graph,
    name: str,
    found: Found,
    origin: Origin,
    *,
    snapshot: Version[SnapshotTaken],
    asked: Asked,
) -> Adopted:
    """Make a version of a declared model out of a file.

    Raises:
        UsageError: a pickle holds what was not trusted, and the message lists it; the features or classes do not fit.
        TrainingError: what the file holds can't be saved as a model file, or asked.
    """
    model = graph.model(name)
    check_expectations(model)
    state = registry.state()
    upstream = resolve_upstream(graph, name, state, {})
    recipe = digest_of(
        {
            "adopted": found.sha256,
            "model": name,
            "snapshot": snapshot.digest,
            "features": asked.features,
            "classes": asked.classes,
            "upstream": {above: version.digest for above, version in upstream.items()},
        }
    )
    known = state.models_by_recipe(name, recipe)
    if known:
        registry.record(lambda _: None, origin)  # nothing to write; but what was found lasts from here on
        return Adopted(version=known[-1], is_new=False)
    own = own_packages(graph)
    lesson, rows = lesson_of(graph, model), read_snapshot(registry, snapshot)
    below = tuple(load_model(registry, version, own=own) for version in upstream.values())
    parts = {split: make_features(lesson, rows.filter(pl.col(SPLIT) == split), below) for split in _SPLITS}
    estimator, said = loaded(found, model, lesson, parts["train"], asked, own)
    predictor = predictor_for(estimator, model, lesson, parts["train"], asked, below)
    taken = _Taken(
        model=model,
        found=found,
        asked=asked,
        snapshot=snapshot,
        predictor=predictor,
        parts=parts,
        rows=rows,
        recipe=recipe,
        said=said,
    )
    trained = _store(registry, taken, origin, own)

    def propose(state: State) -> ModelTrained | None:
        check_kept(state, snapshot, *upstream.values())
        return None if state.models_by_recipe(name, recipe) else trained

    entry = registry.record(propose, origin)
    version = registry.state().models_by_recipe(name, recipe)[0]
    return Adopted(version=version, is_new=entry is not None, warnings=said)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What a version is made of: a loaded model, the file that it came in, and the rows that it is evaluated on."""

    model: Model
    found: Found
    asked: Asked
    snapshot: Version[SnapshotTaken]
    predictor: Predictor
    parts: Mapping[str, Part]
    rows: pl.DataFrame
    recipe: str
    said: tuple[str, ...]


def _store(registry: Registry, taken: _Taken, origin: Origin, own: frozenset[str]) -> ModelTrained:
    """Evaluate it, and write its files; the version exists once the log names it."""
    model, found, snapshot = taken.model, taken.found, taken.snapshot
    predictor, parts = taken.predictor, taken.parts
    data, types = dump(model.name, predictor.estimator, own)
    metrics = {split: _metrics(predictor, *parts[split]) for split in ("validation", "test")}
    _check_same(predictor, load(data, types, f'Model "{model.name}"', own), parts["test"][0])
    frame = parts["train"][0].select(predictor.features)
    dtypes = {name: str(dtype) for name, dtype in frame.schema.items()}
    converted = _converted(registry, predictor, dtypes, len(data), taken.rows, model)
    misses = missed(model.expects, metrics["test"])
    archive = _archive(found)
    source = ObjectRef(path=f"sources/{sha256_of(archive)}.tar.gz", sha256=sha256_of(archive), size=len(archive))
    registry.objects.put(source.path, archive)
    manifest = {
        "kind": "model",
        "model": model.name,
        "adopted": {
            "file": found.name,
            "kind": found.kind.value,
            "sha256": found.sha256,
            "size": len(found.data),
            "trusted": list(taken.asked.trust),
            "warnings": list(taken.said),
            "note": taken.asked.note,
            "evaluated_on": "rows that it may have been trained on",
            **found.about,
        },
        "task": predictor.task.value,
        "target": model.target,
        "hidden": sorted(set(parts["train"][0].columns) - set(predictor.features)),
        "classes": list(predictor.classes),
        "features": list(predictor.features),
        "dtypes": dtypes,
        "types": list(types),
        "snapshot": {"dataset": snapshot.name, "digest": snapshot.digest, "version": snapshot.ref},
        "upstream": {above.name: above.digest for above in predictor.upstream},
        "builds_on": [above.name for above in predictor.upstream],
        "estimator": {
            "function": name_of(model.estimator),
            "call": {UNREPEATABLE: f"it was adopted from {found.name}, and how that was trained is not recorded"},
            "params": {},
        },
        "source": asdict(source),
        "code": {"sha256": found.sha256, "commit": "", "dirty": False},
        "libraries": library_versions(),
        "recipe": taken.recipe,
        "parameters": {},
        "origin": asdict(origin),
        ONNX: converted.told,
        "rows": {split: len(truth) for split, (_, truth) in parts.items()},
        "metrics": metrics["test"],
        "validation_metrics": metrics["validation"],
        "expects": {metric: str(bound) for metric, bound in model.expects.items()},
        "missed": list(misses),
    }
    files = {FILE: data, ORIGINAL: found.data} | ({ONNX_FILE: converted.data} if converted.data is not None else {})
    ref = put_folder(registry.objects, f"models/{model.name}", manifest, files, removed=registry.state().removed)
    return ModelTrained(
        model=model.name,
        digest=ref.sha256,
        manifest=ref,
        recipe=taken.recipe,
        dataset=snapshot.name,
        snapshot=snapshot.digest,
        upstream={above.name: above.digest for above in predictor.upstream},
        parameters={},
        source=source.sha256,
        metrics=metrics["test"],
        missed=misses,
    )


def _metrics(predictor: Predictor, frame: pl.DataFrame, truth: pl.Series) -> dict[str, float | None]:
    scores = _asked(predictor, frame) if len(truth) else np.empty((0, 1))
    return evaluate(predictor.task, predictor.classes, truth.to_numpy(), scores)


def _asked(predictor: Predictor, frame: pl.DataFrame) -> Any:  # noqa: ANN401  an array
    try:
        return predictor.scores_of(frame.select(predictor.features))
    except UsageError:
        raise
    except Exception as error:
        raise TrainingError(
            f'Model "{predictor.name}" can\'t be asked on the rows of the snapshot: {type(error).__name__}: {error}.'
            " Let clean give it the columns that it was made for."
        ) from error


def _check_same(predictor: Predictor, again: Any, frame: pl.DataFrame) -> None:  # noqa: ANN401  as above
    method = "predict_proba" if predictor.task is Task.CLASSIFICATION else "predict"
    sample = frame.select(predictor.features).head(1000)
    if sample.height and not np.array_equal(
        getattr(again, method)(sample), getattr(predictor.estimator, method)(sample)
    ):
        raise TrainingError(
            f'Model "{predictor.name}": saved as a model file and loaded again, it predicts something else. It is not'
            " adopted; convert it to ONNX, and adopt that."
        )


def _converted(
    registry: Registry, predictor: Predictor, dtypes: Mapping[str, str], size: int, rows: pl.DataFrame, model: Model
) -> Converted:
    if isinstance(predictor.estimator, OnnxModel):
        return Converted(told={"used": False, "reason": "it was adopted as ONNX, and runs as it came"})
    is_test = (pl.col(SPLIT) == "test") & pl.col(model.target).is_not_null()
    upstream = tuple(load_scorer(registry, above) for above in predictor.upstream)
    return convert(predictor, dtypes, size, rows.filter(is_test), upstream)


def _archive(found: Found) -> bytes:
    """What there is in the place of the source: the file as it came, in an archive that is the same each time."""
    import gzip

    file, plain = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo(f"adopted/{found.name}")
        info.size = len(found.data)
        archive.addfile(info, io.BytesIO(found.data))
    with gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed:
        packed.write(plain.getvalue())
    return file.getvalue()
