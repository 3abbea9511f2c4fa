"""Model files: saved with skops in a normal form, loaded only after an audit.

Rules:
- The same fitted estimator is the same bytes, in any process.
- A type that no model file may hold is refused when the model is saved, and again when it is loaded.
- The types stand in the version's manifest, whose hash stands in the log; a file that holds others is not loaded.
"""

import importlib
import warnings
from collections.abc import Collection, Mapping
from typing import Any, Final

from lockstep.declare import Task
from lockstep.errors import ObjectDamaged, TrainingError
from lockstep.registry import ModelTrained, Registry, Version, files_of, read_manifest
from lockstep.registry.removal import told_if_removed
from lockstep.training.audit import fault_of, foreign_types, recorded_packages
from lockstep.training.normal import normal_form
from lockstep.training.predictor import Predictor

FILE: Final = "model.skops"


def dump(name: str, estimator: Any, own: Collection[str]) -> tuple[bytes, tuple[str, ...]]:  # noqa: ANN401  scikit-learn estimators share no type
    """The estimator of model `name` as bytes, and the types beyond skops's own list that they hold.

    Raises:
        TrainingError: it can't be saved, or holds a type that is neither of the libraries nor of the packages `own`.
    """
    skops = _skops()
    try:
        data = normal_form(skops.dumps(estimator))
        types = tuple(sorted(skops.get_untrusted_types(data=data)))
    except Exception as error:
        raise TrainingError(
            f'Model "{name}": {type(estimator).__name__} can\'t be saved with skops: {type(error).__name__}:'
            f" {error}. Use estimators and functions that can be imported by name."
        ) from error
    foreign = foreign_types(types, own)
    if foreign:
        raise TrainingError(
            f'Model "{name}": the fitted estimator holds {", ".join(foreign)}; {_allowed(own)}. Use one of these, or'
            " wrap it in a class of your own."
        )
    if fault := fault_of(data):
        raise TrainingError(
            f'Model "{name}": its file would not be loaded again: it {fault}. Make the estimator smaller, or simpler.'
        )
    return data, types


def load(data: bytes, types: Collection[str], what: str, own: Collection[str]) -> Any:  # noqa: ANN401  scikit-learn estimators share no type
    """The estimator in the bytes.

    Args:
        data: a model file.
        types: those that its manifest names.
        what: whose file it is, for a message.
        own: the team's packages.

    Raises:
        ObjectDamaged: it is no model file, holds a type that it was not saved with, or one that no file may hold.
        TrainingError: a type of it can't be imported here.
    """
    skops = _skops()
    if fault := fault_of(data):
        raise ObjectDamaged(
            f"{what}: the file {fault}; it is not loaded. Restore it from a copy, or retrain the model."
        )
    try:
        held = set(skops.get_untrusted_types(data=data))
    except Exception as error:
        raise ObjectDamaged(
            f"{what}: what the file holds can't be told ({type(error).__name__}: {error}); it is not loaded. Restore it"
            " from a copy, or retrain the model."
        ) from error
    surprising = sorted(held - set(types))
    if surprising:
        raise ObjectDamaged(
            f"{what}: the file holds {', '.join(surprising)}, which it was not saved with; it is not loaded. Retrain"
            " the model."
        )
    foreign = foreign_types(sorted(held), own)
    if foreign:
        raise ObjectDamaged(
            f"{what}: the file holds {', '.join(foreign)}, as its manifest says, but {_allowed(own)}; it is not loaded."
            " Find out who wrote it, and retrain the model."
        )
    try:
        return skops.loads(data, trusted=sorted(held))
    except Exception as error:
        raise TrainingError(
            f"{what}: it can't be loaded: {type(error).__name__}: {error}. Install what it was trained with; its"
            " manifest names the libraries and the source."
        ) from error


def _allowed(own: Collection[str]) -> str:
    packages = ", ".join(sorted(own)) or "no package, since no declaration names one"
    return f"allowed are what scikit-learn's estimators are made of, and types of {packages}"


def _skops() -> Any:  # noqa: ANN401  a module
    """Import `skops.io`, which asks every loaded module for SciPy's names; some answer that a name is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("skops.io")


def load_model(registry: Registry, version: Version[ModelTrained], *, own: Collection[str] | None = None) -> Predictor:
    """A model version, verified, together with the versions that it was built on.

    Args:
        registry: where it stands.
        version: which one.
        own: the packages of the declarations (`own_packages`), whose types a file may hold; where nobody declares, the
            manifest's word counts for code that is not installed.

    Raises:
        VersionRemoved: its files were removed, or those of a version that it builds on.
        ObjectMissing, ObjectDamaged: a file is not what the log promises, or holds what no model file may hold.
        TrainingError: a type of it can't be imported here.
    """
    with told_if_removed(registry.state, version):
        manifest = read_manifest(registry.objects, version.fact.manifest)
        data = registry.objects.get(files_of(version.fact.manifest, manifest)[FILE])
    state = registry.state()
    upstream = tuple(
        load_model(registry, state.model_by_digest(name, digest), own=own)
        for name, digest in version.fact.upstream.items()
    )
    packages = recorded_packages([manifest["estimator"]["function"]]) if own is None else own
    estimator = load(data, manifest["types"], f"Model version {version.ref}", packages)
    return predictor_of(manifest, version.digest, estimator, upstream)


def predictor_of(
    manifest: Mapping[str, Any],
    digest: str,
    estimator: Any,  # noqa: ANN401  scikit-learn estimators share no type
    upstream: tuple[Predictor, ...],
) -> Predictor:
    """The predictor that a manifest describes, with its loaded estimator."""
    return Predictor(
        name=manifest["model"],
        digest=digest,
        task=Task(manifest["task"]),
        features=tuple(manifest["features"]),
        classes=tuple(manifest["classes"]),
        estimator=estimator,
        upstream=upstream,
    )
