"""Train a recorded version again, from what was recorded, and say whether it is the same.

Rules:
- The recorded source, snapshot, upstream models and parameters are used, each verified against the log; the code that
  lies in a checkout today is not.
- It happens in a fresh folder and a new process, in this environment or another one. Libraries that differ from the
  recorded ones are named.
- Nothing is recorded, and nothing in the registry changes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import lockstep
from lockstep.errors import ObjectDamaged, TrainingError, UsageError
from lockstep.registry import (
    ModelTrained,
    ObjectRef,
    Registry,
    State,
    Version,
    canonical_json,
    files_of,
    read_manifest,
)
from lockstep.registry.removal import check_kept
from lockstep.training.again import MODELS, RESULT, SNAPSHOT, SOURCE, TASK
from lockstep.training.source import unpack
from lockstep.training.storage import FILE

Value = float | None
_LIBRARY: Final = "library"  # holds a link to Lockstep, and nothing else that could be imported
_OUTPUT: Final = "output.txt"
_SHOWN: Final = 400  # characters of what a failed process said last
_MOST_RESULT: Final = 1 << 20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What training again gave, beside what was recorded.

    Attributes:
        version: as `churn@7`.
        model_file: SHA-256 of the model file in normal form, recorded and now.
        metrics: "validation.roc_auc", say → recorded and now.
        predictions: on the test split: `rows`, how many are `differing`, the `largest` difference (None: not finite);
            or a `problem` for which they can't be compared.
        libraries: recorded and now, of those that differ.
        python: the version of the interpreter that trained.
        folder: where all of it lies, if it was to be kept.
    """

    version: str
    model_file: tuple[str, str]
    metrics: Mapping[str, tuple[Value, Value]]
    predictions: Mapping[str, Any]
    libraries: Mapping[str, tuple[str | None, str | None]]
    python: str
    folder: str | None

    @property
    def differences(self) -> tuple[str, ...]:
        """A sentence for each thing that is not the same; none if the version was reproduced."""
        recorded, again = self.model_file
        said = [] if recorded == again else [f"{FILE} has SHA-256 {again[:12]}…, recorded is {recorded[:12]}…"]
        said += [
            f"{name} is {now}, recorded is {before}" for name, (before, now) in self.metrics.items() if before != now
        ]
        found = self.predictions
        if "problem" in found:
            said.append(f"predictions can't be compared: {found['problem']}")
        elif found["differing"]:
            said.append(
                f"predictions differ on {found['differing']} of {found['rows']} rows of the test split, by up to"
                f" {found['largest']}"
            )
        return tuple(said)


def reproduce(registry: Registry, ref: str, *, keep: Path | None = None, python: Path | None = None) -> Reproduction:
    """Train a model version again from what was recorded.

    Args:
        registry: where it stands; it is only read.
        ref: as `churn@7`.
        keep: a new or empty folder for all that is made; by default it is thrown away.
        python: the interpreter of another environment; by default this one.

    Raises:
        UsageError: there is no such version, folder or interpreter.
        VersionRemoved, ObjectMissing, ObjectDamaged: files that it takes are not there.
        TrainingError: it was recorded in a way that can't be repeated, or training failed.
    """
    state = registry.state()
    version = state.model(ref)
    manifests = _manifests(registry, state, version)
    manifest = manifests[version.digest]
    _check_repeatable(version, manifest)
    with _folder(keep) as folder:
        _prepare(registry, state, version, manifests, folder)
        result = _run(version, folder, python or Path(sys.executable))
        return Reproduction(
            version=version.ref,
            model_file=(result["model_file"]["recorded"], result["model_file"]["again"]),
            metrics=_compared(manifest, result["metrics"]),
            predictions=result["predictions"],
            libraries=_changed(manifest["libraries"], result["libraries"]),
            python=result["python"],
            folder=str(folder) if keep else None,
        )


def _manifests(registry: Registry, state: State, version: Version[ModelTrained]) -> dict[str, dict[str, Any]]:
    """Digest → manifest of the version and of all that it builds on, directly or not."""
    check_kept(state, version, state.snapshot_by_digest(version.fact.dataset, version.fact.snapshot))
    found = {version.digest: read_manifest(registry.objects, version.fact.manifest)}
    for name, digest in version.fact.upstream.items():
        found |= _manifests(registry, state, state.model_by_digest(name, digest))
    return found


def _check_repeatable(version: Version[ModelTrained], manifest: Mapping[str, Any]) -> None:
    call = manifest["estimator"].get("call")
    if call is None:
        raise TrainingError(
            f"Model version {version.ref} was recorded by Lockstep {manifest['libraries']['lockstep']}, which did not"
            " keep how its estimator is made, so that it can't be trained again. Its source is in"
            f" {manifest['source']['path']}."
        )
    if "unrepeatable" in call:
        raise TrainingError(
            f"Model version {version.ref} can't be trained again from its record: {call['unrepeatable']}. Use an"
            " importable function, and give it numbers, texts, lists and dicts."
        )


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with TemporaryDirectory(prefix="lockstep-reproduce-") as folder:
            yield Path(folder)
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise UsageError(f"--keep {keep}: there is something already; name a new or an empty folder.")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.absolute()


def _prepare(
    registry: Registry,
    state: State,
    version: Version[ModelTrained],
    manifests: Mapping[str, Mapping[str, Any]],
    folder: Path,
) -> None:
    """Put all that training reads into the folder, verified."""
    fact, objects = version.fact, registry.objects
    source = ObjectRef(**manifests[version.digest]["source"])
    if source.sha256 != fact.source:
        raise ObjectDamaged(
            f"Model version {version.ref}: its manifest names another source than the log. Find out why."
        )
    unpack(objects.get(source), folder / SOURCE)
    (folder / SNAPSHOT).mkdir()
    snapshot = state.snapshot_by_digest(fact.dataset, fact.snapshot).fact.manifest
    for name, ref in files_of(snapshot, read_manifest(objects, snapshot)).items():
        if name.startswith("part-"):
            (folder / SNAPSHOT / name).write_bytes(objects.get(ref))
    for digest, manifest in manifests.items():
        ref = files_of(state.model_by_digest(manifest["model"], digest).fact.manifest, manifest)[FILE]
        (folder / MODELS / digest).mkdir(parents=True)
        (folder / MODELS / digest / FILE).write_bytes(objects.get(ref))
    (folder / TASK).write_bytes(canonical_json({"digest": version.digest, "manifests": manifests}))
    (folder / _LIBRARY).mkdir()
    (folder / _LIBRARY / "lockstep").symlink_to(Path(lockstep.__path__[0]).resolve(), target_is_directory=True)


def _run(version: Version[ModelTrained], folder: Path, python: Path) -> dict[str, Any]:
    """Train in a new process, and read what it found."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONPATH": str(folder / _LIBRARY), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(python), "-P", "-m", "lockstep.training.again", str(folder)]
    try:
        with (folder / _OUTPUT).open("wb") as output:
            subprocess.run(  # noqa: S603  the person's own interpreter, and a fixed module
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
    except OSError as error:
        raise UsageError(f"--python {python}: it can't be started: {error}. Name a Python 3.11 or newer.") from None
    if not (folder / RESULT).exists():
        said = (folder / _OUTPUT).read_text(encoding="utf-8", errors="replace").strip()
        raise TrainingError(
            f"Model version {version.ref}: training again ended without a result. The process said last:"
            f" {said[-_SHOWN:] or 'nothing'}"
        )
    with (folder / RESULT).open("rb") as file:
        result: dict[str, Any] = json.loads(file.read(_MOST_RESULT))
    if "error" in result:
        raise TrainingError(f"Model version {version.ref}: training again failed. {result['error']}")
    return result


def _compared(
    manifest: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Value]]
) -> dict[str, tuple[Value, Value]]:
    recorded = {"test": manifest["metrics"], "validation": manifest["validation_metrics"]}
    return {
        f"{split}.{name}": (recorded[split].get(name), metrics[split].get(name))
        for split in recorded
        for name in dict.fromkeys([*recorded[split], *metrics[split]])
    }


def _changed(recorded: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    names = sorted({*recorded, *now})
    return {name: (recorded.get(name), now.get(name)) for name in names if recorded.get(name) != now.get(name)}
