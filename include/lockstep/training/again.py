"""Trains a version again, in a process of its own: `python -P -m lockstep.training.again FOLDER`.

Rules:
- The folder holds all that is read: `task.json`, `source/`, `snapshot/` and `models/`, as `lockstep.training.reproduce`
  has put them there. The registry is not opened.
- The team's code comes from `source/` alone.
- What was found stands in `result.json`, the model in `model.skops`; nothing is pickled.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from lockstep.declare import Task
from lockstep.errors import LockstepError, ObjectDamaged, TrainingError
from lockstep.registry import sha256_of
from lockstep.training.call import recalled
from lockstep.training.features import Lesson
from lockstep.training.fit import build_estimator
from lockstep.training.learn import Learned, learn
from lockstep.training.normal import normal_form
from lockstep.training.predictor import Predictor
from lockstep.training.recorded import check_modules, import_from
from lockstep.training.storage import FILE, load, predictor_of
from lockstep.training.train import library_versions

TASK: Final = "task.json"
RESULT: Final = "result.json"
SOURCE: Final = "source"
SNAPSHOT: Final = "snapshot"
MODELS: Final = "models"


def train_again(folder: Path) -> dict[str, Any]:
    """Train the version that `task.json` tells of, and compare it with what was recorded.

    Raises:
        LockstepError: it can't be trained, or something of it comes from outside of the recorded source.
    """
    source = (folder / SOURCE).resolve()
    names = import_from(source)
    task = json.loads((folder / TASK).read_bytes())
    manifest = task["manifests"][task["digest"]]
    lesson = Lesson(
        model=manifest["model"],
        task=Task(manifest["task"]),
        target=manifest["target"],
        hidden=tuple(manifest["hidden"]),
    )
    function = recalled(manifest["estimator"]["call"])
    estimator = build_estimator(lesson.model, lesson.task, function, manifest["parameters"])
    upstream = _upstream(folder, task["manifests"], manifest, names)
    rows = pl.concat([pl.read_parquet(path) for path in sorted((folder / SNAPSHOT).glob("part-*"))])
    learned = learn(lesson, estimator, rows, upstream, names)
    (folder / FILE).write_bytes(learned.data)
    predictions = _predictions(folder, task, learned, names)
    check_modules(source, names)
    recorded = (folder / MODELS / task["digest"] / FILE).read_bytes()
    return {
        "model_file": {"recorded": sha256_of(normal_form(recorded)), "again": sha256_of(learned.data)},
        "metrics": learned.metrics,
        "predictions": predictions,
        "libraries": library_versions(),
        "python": ".".join(map(str, sys.version_info[:3])),
    }


def _predictor(folder: Path, manifests: Mapping[str, Any], digest: str, own: frozenset[str]) -> Predictor:
    """A recorded model with those that it builds on; their files were verified when they were put here."""
    manifest = manifests[digest]
    upstream = _upstream(folder, manifests, manifest, own)
    data = (folder / MODELS / digest / FILE).read_bytes()
    estimator = load(data, manifest["types"], f'The recorded version of "{manifest["model"]}"', own)
    return predictor_of(manifest, digest, estimator, upstream)


def _upstream(
    folder: Path, manifests: Mapping[str, Any], manifest: Mapping[str, Any], own: frozenset[str]
) -> tuple[Predictor, ...]:
    digests = (manifest["upstream"][name] for name in manifest["builds_on"])
    return tuple(_predictor(folder, manifests, digest, own) for digest in digests)


def _predictions(folder: Path, task: Mapping[str, Any], learned: Learned, own: frozenset[str]) -> dict[str, Any]:
    """How far the recorded model and the new one are apart on the test split."""
    manifest = task["manifests"][task["digest"]]
    same = ("features", "classes")
    changed = [name for name in same if list(getattr(learned.predictor, name)) != manifest[name]]
    if changed:
        return {"problem": f"the new model has other {' and '.join(changed)}"}
    try:
        recorded = _predictor(folder, task["manifests"], task["digest"], own)
        before = recorded.scores_of(learned.test) if learned.test.height else np.empty((0, 1))
    except (ObjectDamaged, TrainingError) as error:
        return {"problem": str(error)}
    after = learned.predictor.scores_of(learned.test) if learned.test.height else np.empty((0, 1))
    apart = np.abs(before - after).max(axis=1)
    differing = ~(apart == 0)  # a NaN differs
    largest = float(np.nan_to_num(apart, nan=np.inf).max()) if len(apart) else 0.0
    return {
        "rows": len(apart),
        "differing": int(differing.sum()),
        "largest": largest if np.isfinite(largest) else None,
    }


def main(folder: Path) -> None:
    """Write `result.json`: what was found, or the error as one sentence."""
    try:
        result = train_again(folder)
    except LockstepError as error:
        result = {"error": str(error)}
    (folder / RESULT).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
