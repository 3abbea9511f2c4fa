"""The estimator in a file, and how it is asked: what may be loaded, its columns and its classes.

Rules:
- ONNX is checked and never run before; a skops file is audited as every model file is; a pickle is loaded only where
  all that it holds was trusted by name.
- A model that wants the target, or a column that is hidden from it, is refused.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lockstep.adoption import pickles
from lockstep.adoption.files import Found, Kind
from lockstep.declare import Model, Task
from lockstep.errors import UsageError
from lockstep.training.adopted import OnnxModel, check_onnx
from lockstep.training.features import Lesson
from lockstep.training.predictor import Predictor
from lockstep.training.storage import load


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How to adopt.

    Attributes:
        trust: what a pickle may hold: `scikit-learn`, and names in full.
        features: the columns in the order in which the model wants them; empty: as it says itself.
        classes: as texts, in the order of its scores; empty: as it says itself, else those of the target, sorted.
        note: where it comes from, in somebody's words.
    """

    trust: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    note: str = ""


Part = tuple[pl.DataFrame, pl.Series]


def loaded(
    found: Found, model: Model, lesson: Lesson, train: Part, asked: Asked, own: frozenset[str]
) -> tuple[Any, tuple[str, ...]]:
    """The estimator in the file, and what was said while it was loaded.

    Raises:
        UsageError: a pickle holds what was not trusted, and the message lists it; or it does not fit the declaration.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if found.kind is Kind.ONNX:
            inputs = check_onnx(found.data)
            features = asked.features or _columns_of(inputs, train[0].columns) or found.inputs
            if not features:
                raise UsageError(
                    f'Model "{model.name}": {found.name} does not name its columns. Give --features, in the order in'
                    f" which it wants them; the dataset has {', '.join(train[0].columns)}."
                )
            classes = _classes_of(model, train[1], asked) if lesson.task is Task.CLASSIFICATION else ()
            estimator: Any = OnnxModel.of(found.data, features, classes)
        elif found.kind is Kind.PICKLE:
            estimator = pickles.load(found.data, check_trusted(found, asked.trust, own))
        else:
            estimator = load(found.data, _held(found), f"File {found.name}", own)
    return estimator, tuple(dict.fromkeys(str(one.message).splitlines()[0][:300] for one in caught))


def _columns_of(inputs: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that the inputs are named after, where each is: converters write `mean_radius` for "mean radius"."""
    of = {re.sub(r"\W", "_", name): name for name in columns}
    is_clear = len(of) == len(columns) and all(re.sub(r"\W", "_", name) in of for name in inputs)
    return tuple(of[re.sub(r"\W", "_", name)] for name in inputs) if is_clear else ()


def check_trusted(found: Found, trust: Sequence[str], own: frozenset[str]) -> tuple[str, ...]:
    """What a pickle would import, if all of it was trusted; of another file nothing. Nothing is loaded.

    Raises:
        UsageError: not all was; the message lists what the file holds, and how to trust it.
    """
    if found.kind is not Kind.PICKLE:
        return ()
    names = pickles.names_in(found.data)
    left = pickles.untrusted(names, trust, own)
    if not left and trust:
        return names
    unknown = pickles.untrusted(names, (*trust, pickles.SCIKIT_LEARN), own)
    known = [name for name in names if name not in unknown]
    lines = [f"  {name}" for name in known] or ["  nothing"]
    lines += ["and what nobody knows here:", *(f"  {name}" for name in unknown)] if unknown else []
    words = " ".join(f"--trust {word}" for word in (*([pickles.SCIKIT_LEARN] if known else []), *unknown))
    raise UsageError(
        f"{found.name} (SHA-256 {found.sha256[:12]}…) is a pickle: to load it is to run it. Nothing was loaded. It"
        " holds, of what fitted estimators of scikit-learn are known to hold:\n"
        + "\n".join(lines)
        + f"\nIf you know who made the file, and trust these: {words or f'--trust {pickles.SCIKIT_LEARN}'}"
    )


def _held(found: Found) -> tuple[str, ...]:
    import skops.io

    try:
        return tuple(skops.io.get_untrusted_types(data=found.data))
    except Exception as error:
        raise UsageError(f"{found.name} is no skops file that can be read: {error}") from error


def _classes_of(model: Model, target: pl.Series, asked: Asked) -> tuple[Any, ...]:
    """The classes by the words that were given, else those of the target, sorted."""
    values = sorted(target.unique().to_list())
    if not asked.classes:
        return tuple(values)
    by_word = {str(value): value for value in values} | {str(value).lower(): value for value in values}
    unknown = [word for word in asked.classes if word not in by_word]
    if unknown:
        raise UsageError(
            f'Model "{model.name}": --class {unknown[0]}: the target "{model.target}" has'
            f" {', '.join(map(str, values))}."
        )
    return tuple(by_word[word] for word in asked.classes)


def predictor_for(
    estimator: Any,  # noqa: ANN401  scikit-learn estimators share no type
    model: Model,
    lesson: Lesson,
    train: Part,
    asked: Asked,
    below: tuple[Predictor, ...],
) -> Predictor:
    """How the estimator is asked, by the words that were given, else by its own.

    Raises:
        UsageError: its columns or classes are not those of the dataset.
    """
    frame, target = train
    named = getattr(estimator, "feature_names_in_", None)
    own = getattr(estimator, "features", None) if isinstance(estimator, OnnxModel) else named
    features = asked.features or tuple(map(str, own if own is not None else ()))
    if not features:
        count = getattr(estimator, "n_features_in_", "an unknown number of")
        raise UsageError(
            f'Model "{model.name}": it was fitted on {count} columns without names. Give --features, in their order;'
            f" the dataset has {', '.join(frame.columns)}."
        )
    hidden = [name for name in features if name in lesson.hidden]
    if hidden:
        raise UsageError(
            f'Model "{model.name}" wants {", ".join(hidden)}, which a model of this target must not see (its key,'
            " target, or what without= names). It is not adopted."
        )
    unknown = [name for name in features if name not in frame.columns]
    if unknown:
        raise UsageError(
            f'Model "{model.name}" wants {", ".join(unknown)}, which the dataset does not have after clean; it has'
            f" {', '.join(frame.columns)}. Correct clean, or give --features."
        )
    needed = "predict_proba" if lesson.task is Task.CLASSIFICATION else "predict"
    if not hasattr(estimator, needed):
        raise UsageError(
            f'Model "{model.name}": {type(estimator).__name__} has no {needed}, which a {lesson.task.value} needs.'
        )
    classes: tuple[Any, ...] = ()
    if lesson.task is Task.CLASSIFICATION:
        classes = _classes_of(model, target, asked) if asked.classes else tuple(np.asarray(estimator.classes_).tolist())
        strange = [label for label in classes if label not in target.unique().to_list()]
        if strange and not asked.classes:
            raise UsageError(
                f'Model "{model.name}" answers with the classes {", ".join(map(str, classes))}, but the target'
                f' "{model.target}" has {", ".join(map(str, sorted(target.unique().to_list())))}. Say which are meant,'
                " in its order: --class first --class second."
            )
    return Predictor(
        name=model.name,
        digest="",
        task=lesson.task,
        features=features,
        classes=classes,
        estimator=estimator,
        upstream=below,
    )
