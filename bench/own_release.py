"""Our side of the registry benchmark: five small models, registered, promoted, released. Also a process to kill.

Rules:
- Models are real files with real manifests; a release reads and verifies each of them.
- `python -m bench.own_release URI ROUND` registers new versions, says which, waits for a line, and then promotes and
  releases.
"""

import json
import random
import sys

from lockstep.group import Group, GroupModel
from lockstep.registry import ModelTrained, Origin, Registry, SnapshotTaken, model_key, put_folder
from lockstep.release import promote, release

MODELS = 5
SIZE = 20_000  # bytes of a model file
ORIGIN = Origin(by="bench")
NAMES = tuple(f"model_{number}" for number in range(MODELS))
GROUP = Group(
    name="bench",
    models=tuple(
        GroupModel(name=name, dataset="rows", shared=True, deprecated_after=None, builds_on=(), thresholds=())
        for name in NAMES
    ),
    apis=(),
)


def take_snapshot(registry: Registry) -> None:
    """The one snapshot that all models were trained on."""
    ref = put_folder(registry.objects, "datasets/rows", {"kind": "snapshot"}, {"part-0.parquet": b"rows" * 1000})
    taken = SnapshotTaken(dataset="rows", digest=ref.sha256, manifest=ref, rows=1000, quarantined=0)
    registry.record(lambda _: taken, ORIGIN)


def register(registry: Registry, number: int) -> dict[str, str]:
    """A new version of each model (file, manifest, entry); member key → digest."""
    snapshot = registry.state().snapshot("rows").digest
    made: dict[str, str] = {}
    for name in NAMES:
        content = random.Random(f"{name} {number}").randbytes(SIZE)  # noqa: S311  bytes of a model, no secret
        ref = put_folder(registry.objects, f"models/{name}", {"kind": "model", "model": name}, {"model.skops": content})
        trained = ModelTrained(
            model=name,
            digest=ref.sha256,
            manifest=ref,
            recipe=f"{name} {number}",
            dataset="rows",
            snapshot=snapshot,
            upstream={},
            parameters={"number": number},
            source="0" * 64,
            metrics={"roc_auc": 0.9},
            missed=(),
        )
        registry.record(lambda _, fact=trained: fact, ORIGIN)
        made[model_key(name)] = ref.sha256
    return made


def promote_all(registry: Registry) -> None:
    """The newest version of each to staging: one entry."""
    promote(registry, GROUP, NAMES, ORIGIN)


def promote_each(registry: Registry) -> None:
    """The same one by one: five entries."""
    for name in NAMES:
        promote(registry, GROUP, name, ORIGIN)


def release_all(registry: Registry) -> None:
    """All five to production: one entry, after every file was read and verified."""
    release(registry, GROUP, ORIGIN)


def main(uri: str, number: int) -> None:
    """One round for a process that somebody kills."""
    registry = Registry.open(uri)
    print(json.dumps(register(registry, number)), flush=True)
    sys.stdin.readline()
    promote_all(registry)
    release_all(registry)
    print("done", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
