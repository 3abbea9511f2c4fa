"""A large company: hundreds of release groups, one of 300 nodes, one of 10,000 versions, and as many in the others.

Rules:
- The log is written entry by entry, as `bench.registry.history` does it; no file stands behind a version.
- But one group's newest versions have their files, as training leaves them, so that every page can be asked for.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.registry.history import entries_of
from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed
from lockstep.registry import (
    Fact,
    ModelTrained,
    ObjectRef,
    Promoted,
    Registry,
    Released,
    SnapshotTaken,
    ThresholdTuned,
    canonical_json,
    digest_of,
    put_folder,
)
from lockstep.registry.entries import path_of

VARIABLE: Final = "BENCH_GROUPS"
WIDE: Final = "wide"
BUSY: Final = "busy"  # the group that trains all day
BUSY_ROUNDS: Final = 4  # of five versions each, for each group of the company: 10,000 of 500
WHOLE: Final = "group_0000"  # the group with files
ROUNDS: Final = 4  # of five versions each: a snapshot, two models, two thresholds
_THRESHOLDS: Final = 148  # of the wide group
_ROWS: Final = 5_000


def graph(name: str) -> Graph:
    """A group of seven nodes."""
    rows = Dataset(f"{name}_rows", source=csv(f"{name}/*.csv"), key="id", columns={"a": float, "b": str, "yes": bool})
    first = Model(f"{name}_first", data=rows, target="yes", estimator=object)
    second = Model(f"{name}_second", data=rows, target="yes", estimator=object, builds_on=[first])
    cut = Threshold(f"{name}_cut", model=first, choose=fixed(0.5))
    other = Threshold(f"{name}_other", model=second, choose=fixed(0.5))
    return Graph([Api(f"{name}_calls", decides=[cut]), Api(f"{name}_mails", decides=[other])], name=name)


def wide() -> Graph:
    """A group of 300 nodes."""
    rows = Dataset(f"{WIDE}_rows", source=csv("wide.csv"), key="id", columns={"a": float, "b": str, "yes": bool})
    first = Model(f"{WIDE}_first", data=rows, target="yes", estimator=object)
    second = Model(f"{WIDE}_second", data=rows, target="yes", estimator=object, builds_on=[first])
    cuts = [
        Threshold(f"{WIDE}_cut_{number}", model=(first, second)[number % 2], choose=fixed(0.5))
        for number in range(_THRESHOLDS)
    ]
    apis = [Api(f"{WIDE}_api_{number}", decides=[cut]) for number, cut in enumerate(cuts)]
    return Graph([*apis, Api(f"{WIDE}_last", decides=cuts[:2])], name=WIDE)


def names(groups: int) -> list[str]:
    """The groups of seven nodes."""
    return [f"group_{number:04d}" for number in range(groups)]


def dags() -> dict[str, Any]:
    """The release DAGs of all groups, which carry what is shown; to write the others takes minutes."""
    from lockstep_airflow import release_dags

    found = release_dags(wide()) | release_dags(graph(BUSY))
    for name in names(int(os.environ[VARIABLE])):
        found |= release_dags(graph(name))
    return {dag_id: dag for dag_id, dag in found.items() if dag_id.endswith("_release")}


def write_log(folder: Path, groups: int) -> Registry:
    """Write the registry; a checkpoint stands at its end."""
    registry = Registry.open(str(folder))
    (folder / "log").mkdir(parents=True, exist_ok=True)
    for entry, data in entries_of(_facts(registry, groups)):
        (folder / path_of(entry.number)).write_bytes(data)
    registry.log.write_checkpoint()
    return registry


def _facts(registry: Registry, groups: int) -> Iterator[Fact]:
    for turn in range(BUSY_ROUNDS * groups):
        yield from _of_round(BUSY, [f"{BUSY}_cut", f"{BUSY}_other"], turn, None, is_last=False)
    for turn in range(ROUNDS):
        for name in names(groups):
            has_files = registry if name == WHOLE else None
            thresholds = [f"{name}_cut", f"{name}_other"]
            yield from _of_round(name, thresholds, turn, has_files, is_last=turn == ROUNDS - 1)
    yield from _of_round(WIDE, [f"{WIDE}_cut_{number}" for number in range(_THRESHOLDS)], 0, None, is_last=False)


def _of_round(
    name: str, thresholds: list[str], turn: int, registry: Registry | None, *, is_last: bool
) -> Iterator[Fact]:
    """A round of a group, released but for the last one, in which every third promotes one model and is out of step."""
    snapshot = _snapshot(f"{name}_rows", turn, registry)
    yield snapshot
    members: dict[str, str] = {}
    models = []
    for model in (f"{name}_first", f"{name}_second"):
        upstream = {models[0].model: models[0].digest} if models else {}
        trained = _trained(model, snapshot, upstream, turn, registry)
        models.append(trained)
        members[f"model:{model}"] = trained.digest
        yield trained
    for number, threshold in enumerate(thresholds):
        tuned = _tuned(threshold, models[number % 2], turn, registry)
        members[f"threshold:{threshold}"] = tuned.digest
        yield tuned
    if is_last and digest_of(name)[0] in "012345":
        yield Promoted(group=name, members={f"model:{name}_first": members[f"model:{name}_first"]})
        return
    yield Promoted(group=name, members=members)
    if not is_last:
        digest = digest_of([name, turn])
        manifest = ObjectRef(path=f"releases/{name}/{digest}.json", sha256=digest, size=2000)
        yield Released(group=name, digest=digest, manifest=manifest, members=members)


def _snapshot(dataset: str, turn: int, registry: Registry | None) -> SnapshotTaken:
    digest = digest_of([dataset, turn])
    folder = f"datasets/{dataset}/{digest}"
    manifest = _ref(folder, digest)
    if registry is not None:
        manifest = _snapshot_files(registry, folder, turn)
    return SnapshotTaken(dataset=dataset, digest=digest, manifest=manifest, rows=_ROWS, quarantined=2)


def _snapshot_files(registry: Registry, folder: str, turn: int) -> ObjectRef:
    """A profile of real rows, and a quarantine, as a snapshot has them."""
    import io

    import numpy as np
    import polars as pl

    from lockstep.data.profile import finish, profile_of

    dice = np.random.default_rng(turn)
    rows = pl.DataFrame(
        {
            "id": [f"r{number}" for number in range(_ROWS)],
            "_split": dice.choice(["train", "test", "validation"], _ROWS),
            "yes": dice.random(_ROWS) < 0.5,  # noqa: PLR2004  half of them
            **{f"a_{column}": dice.normal(turn, 1, _ROWS) for column in range(30)},
            **{f"b_{column}": dice.choice(["x", "y", "z"], _ROWS) for column in range(10)},
        }
    )
    bad = io.BytesIO()
    said = {
        "_reason": ["a: blank, a float is needed"] * 2,
        "_raw": ['{"a": null}'] * 2,
        "_file": ["f"] * 2,
        "_line": [1, 2],
    }
    pl.DataFrame(said).write_parquet(bad)
    files = {"0-profile.json": canonical_json(finish(profile_of(rows, "id"))), "0-quarantine.parquet": bad.getvalue()}
    columns = {name: str(kind) for name, kind in rows.schema.items() if name != "_split"}
    about = {"kind": "snapshot", "rows": _ROWS, "columns": columns, "reasons": {}, "build": {"kind": "full", "why": ""}}
    about |= {"source": {"files": []}, "rows_by_split": {}, "turn": turn}
    return _moved(registry, folder, about, files)


def _trained(
    model: str, snapshot: SnapshotTaken, upstream: dict[str, str], turn: int, registry: Registry | None
) -> ModelTrained:
    digest = digest_of([model, turn])
    manifest = _ref(f"models/{model}/{digest}", digest)
    if registry is not None:
        about = {"estimator": {"params": {f"p{number}": "1" for number in range(40)}}, "rows": {"train": 3000}}
        manifest = put_folder(registry.objects, f"models/{model}", about | {"turn": turn}, {"model.skops": b"model"})
        digest = manifest.sha256
    return ModelTrained(
        model=model,
        digest=digest,
        manifest=manifest,
        recipe=digest_of([model, turn, "recipe"]),
        dataset=snapshot.dataset,
        snapshot=snapshot.digest,
        upstream=upstream,
        parameters={"C": 1.0},
        source=digest_of("source"),
        metrics={"roc_auc": 0.8 + turn / 100, "log_loss": 0.4},
        missed=(),
    )


def _tuned(threshold: str, model: ModelTrained, turn: int, registry: Registry | None) -> ThresholdTuned:
    digest = digest_of([threshold, turn])
    manifest = _ref(f"thresholds/{threshold}/{digest}", digest)
    if registry is not None:
        points = [number / 200 for number in range(200)]
        curve = {"threshold": points, "share": points, "precision": points, "recall": points}
        files = {"curve.json": canonical_json({"validation": curve, "test": curve})}
        about = {"policy": {"policy": "fixed", "value": 0.5}, "turn": turn}
        manifest = put_folder(registry.objects, f"thresholds/{threshold}", about, files)
        digest = manifest.sha256
    return ThresholdTuned(
        threshold=threshold,
        digest=digest,
        manifest=manifest,
        recipe=digest_of([threshold, turn, "recipe"]),
        model=model.model,
        model_digest=model.digest,
        value=0.5,
    )


def _moved(registry: Registry, folder: str, about: dict[str, Any], files: dict[str, bytes]) -> ObjectRef:
    """A folder of a name that is given."""
    refs = {name: registry.objects.put(f"{folder}/{name}", data) for name, data in files.items()}
    named = {name: {"sha256": ref.sha256, "size": ref.size} for name, ref in refs.items()}
    return registry.objects.put(f"{folder}/manifest.json", canonical_json(about | {"files": named}))


def _ref(folder: str, digest: str) -> ObjectRef:
    return ObjectRef(path=f"{folder}/manifest.json", sha256=digest, size=1200)
