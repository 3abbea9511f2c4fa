"""Model files: saved with skops, loaded only with the types that they were saved with.

Rules:
- A type that is neither scikit-learn's, NumPy's, SciPy's nor the team's own is refused when the model is saved.
- The types stand in the version's manifest, whose hash stands in the log; a file that holds others is not loaded.
"""

import importlib
import warnings
from typing import Any, Final

from lockstep.declare import Model, Task
from lockstep.errors import ObjectDamaged, TrainingError
from lockstep.registry import ModelTrained, Registry, Version, files_of, read_manifest
from lockstep.training.predictor import Predictor
from lockstep.training.source import name_of

FILE: Final = "model.skops"
_TRUSTED: Final = ("sklearn.", "numpy.", "scipy.", "builtins.", "functools.")


def dump(model: Model, estimator: Any) -> tuple[bytes, tuple[str, ...]]:  # noqa: ANN401  scikit-learn estimators share no type
    """The estimator as bytes, and the types beyond skops's own list that they hold.

    Raises:
        TrainingError: it can't be saved, or holds a type from elsewhere.
    """
    skops = _skops()
    try:
        data: bytes = skops.dumps(estimator)
        types = tuple(sorted(skops.get_untrusted_types(data=data)))
    except Exception as error:
        raise TrainingError(
            f'Model "{model.name}": {type(estimator).__name__} can\'t be saved with skops: {type(error).__name__}:'
            f" {error}. Use estimators and functions that can be imported by name."
        ) from error
    own = {
        name_of(function).partition(".")[0] for function in (model.estimator, model.data.clean) if function is not None
    }
    foreign = [name for name in types if not name.startswith(_TRUSTED) and name.partition(".")[0] not in own]
    if foreign:
        raise TrainingError(
            f'Model "{model.name}": the fitted estimator holds {", ".join(foreign)}; allowed are types of scikit-learn,'
            f" NumPy, SciPy and {', '.join(sorted(own))}. Use one of these, or wrap it in a class of your own."
        )
    return data, types


def load(data: bytes, types: tuple[str, ...], what: str) -> Any:  # noqa: ANN401  scikit-learn estimators share no type
    """The estimator in the bytes.

    Raises:
        ObjectDamaged: it holds a type that it was not saved with.
        TrainingError: a type of it can't be imported here.
    """
    skops = _skops()
    surprising = sorted(set(skops.get_untrusted_types(data=data)) - set(types))
    if surprising:
        raise ObjectDamaged(
            f"{what}: the file holds {', '.join(surprising)}, which it was not saved with; it is not loaded. Retrain"
            " the model."
        )
    try:
        return skops.loads(data, trusted=list(types))
    except Exception as error:
        raise TrainingError(
            f"{what}: it can't be loaded: {type(error).__name__}: {error}. Install what it was trained with; its"
            " manifest names the libraries and the source."
        ) from error


def _skops() -> Any:  # noqa: ANN401  a module
    """Import `skops.io`, which asks every loaded module for SciPy's names; some answer that a name is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("skops.io")


def load_model(registry: Registry, version: Version[ModelTrained]) -> Predictor:
    """A model version, verified, together with the versions that it was built on.

    Raises:
        ObjectMissing, ObjectDamaged: a file is not what the log promises.
    """
    manifest = read_manifest(registry.objects, version.fact.manifest)
    state = registry.state()
    data = registry.objects.get(files_of(version.fact.manifest, manifest)[FILE])
    return Predictor(
        name=version.name,
        digest=version.digest,
        task=Task(manifest["task"]),
        features=tuple(manifest["features"]),
        classes=tuple(manifest["classes"]),
        estimator=load(data, tuple(manifest["types"]), f"Model version {version.ref}"),
        upstream=tuple(
            load_model(registry, state.model_by_digest(name, digest)) for name, digest in version.fact.upstream.items()
        ),
    )
