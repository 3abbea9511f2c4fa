"""Our side: five small models, registered, promoted, released. Also a process to kill, and one to race.

Rules:
- Models are real files with real manifests; a release reads and verifies each of them.
- A round registers a new version of each model, and promotes and releases these five together. Their recipe is the name
  of the round, so that a reader can tell which release a version belongs to.
- `python -m bench.registry.own once URI ROUND` registers, says which, waits for a line, then promotes and releases.
- `python -m bench.registry.own race URI WRITER ROUNDS` waits for a line, then does all its rounds and says how it went.
"""

import json
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

from lockstep.errors import ReleaseRefused
from lockstep.group import Group, GroupModel
from lockstep.registry import ModelTrained, Origin, Registry, SnapshotTaken, State, model_key, put_folder
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


def register(registry: Registry, what: str) -> dict[str, str]:
    """A new version of each model (file, manifest, entry) for the round of that name; member key → digest."""
    snapshot = registry.state().snapshot("rows").digest
    made: dict[str, str] = {}
    for name in NAMES:
        content = random.Random(f"{name} {what}").randbytes(SIZE)  # noqa: S311  bytes of a model, no secret
        ref = put_folder(registry.objects, f"models/{name}", {"kind": "model", "model": name}, {"model.skops": content})
        trained = ModelTrained(
            model=name,
            digest=ref.sha256,
            manifest=ref,
            recipe=what,
            dataset="rows",
            snapshot=snapshot,
            upstream={},
            parameters={"round": what},
            source="0" * 64,
            metrics={"roc_auc": 0.9},
            missed=(),
        )
        registry.record(lambda _, fact=trained: fact, ORIGIN)
        made[model_key(name)] = ref.sha256
    return made


def promote_all(registry: Registry, refs: Sequence[str] = NAMES) -> None:
    """These versions to staging, by default the newest of each: one entry."""
    promote(registry, GROUP, refs, ORIGIN)


def promote_each(registry: Registry) -> None:
    """The newest of each one by one: five entries."""
    for name in NAMES:
        promote(registry, GROUP, name, ORIGIN)


def release_all(registry: Registry) -> int:
    """All five to production: one entry, after every file was read and verified. The number of the entry."""
    return release(registry, GROUP, ORIGIN).recorded.number


def rounds_of(state: State, members: dict[str, str]) -> set[str]:
    """Which rounds the members of a release belong to: one, or it is a mixture."""
    return {state.model_by_digest(name, members[model_key(name)]).fact.recipe for name in NAMES}


def once(uri: str, what: str) -> None:
    """One round for a process that somebody kills."""
    registry = Registry.open(uri)
    print(json.dumps(register(registry, what)), flush=True)
    sys.stdin.readline()
    promote_all(registry)
    release_all(registry)
    print("done", flush=True)
    sys.stdin.readline()


def race(uri: str, writer: str, rounds: int) -> None:
    """Many rounds beside others: the times of each in seconds, and the entries that it was told."""
    registry = Registry.open(uri)
    registry.state()
    print("ready", flush=True)
    sys.stdin.readline()
    done: list[dict[str, Any]] = []
    for number in range(rounds):
        began = time.perf_counter()
        made = register(registry, f"{writer}-{number}")
        registered, state = time.perf_counter(), registry.state()
        refs = [state.model_by_digest(name, made[model_key(name)]).ref for name in NAMES]
        promoting = time.perf_counter()
        promote_all(registry, refs)
        promoted = time.perf_counter()
        try:
            entry = release_all(registry)
        except ReleaseRefused as refused:  # another writer has released what stands in staging
            if "in production is what stands in staging" not in str(refused):
                raise
            entry = 0
        released = time.perf_counter()
        done.append(
            {
                "register": registered - began,
                "promote": promoted - promoting,
                "release": released - promoted,
                "entry": entry,
            }
        )
    print(json.dumps(done), flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["once", uri, what]:
            once(uri, what)
        case ["race", uri, writer, rounds]:
            race(uri, writer, int(rounds))
        case _:
            raise SystemExit(__doc__)
