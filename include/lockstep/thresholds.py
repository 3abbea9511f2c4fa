"""Whether a threshold can be computed on the model whose score it cuts, as far as declarations can tell.

Rules:
- Policies that count right answers need classes; a class counts as yes only where there is one to name.
- A column with thresholds of its own values holds texts, ints or bools, and is known when a decision is asked for. One
  that `clean` adds is looked at when the threshold is tuned.
"""

from typing import Final

from lockstep.declare import Model, Task, Threshold
from lockstep.errors import DeclarationError
from lockstep.policy import Fixed, Policy, ReferUnsure, TwoSided

_SEGMENTS: Final = ("str", "int", "bool")


def check_threshold(threshold: Threshold, model: Model) -> None:
    """Refuse a threshold that the model's scores can't have.

    Raises:
        DeclarationError: see the rules of this module.
    """
    _check_classes(threshold, model)
    _check_direction(threshold, model)
    if threshold.per is not None:
        _check_segments(threshold, threshold.per, model)


def answers_yes(threshold: Threshold, model: Model) -> bool:
    """Whether it says yes or no (or leaves it to a person), not which of several classes."""
    return not isinstance(threshold.choose, ReferUnsure) or model.data.schema[model.target].kind == "bool"


def _check_classes(threshold: Threshold, model: Model) -> None:
    if model.task is Task.REGRESSION:
        if threshold.choose.needs_classes:
            raise DeclarationError(
                f'Threshold "{threshold.name}": policy {threshold.choose} needs classes, but model "{model.name}" is a'
                f' regression (its target "{model.target}" is a float); use fixed(…) or top_fraction(…).'
            )
        return
    if isinstance(threshold.choose, ReferUnsure):
        if threshold.positive is not True:
            raise DeclarationError(
                f'Threshold "{threshold.name}": positive={threshold.positive!r} names a class that counts as yes, but'
                f" {threshold.choose} answers with any class. Leave positive= away."
            )
    elif model.data.schema[model.target].kind != "bool" and threshold.positive is True:
        raise DeclarationError(
            f'Threshold "{threshold.name}": model "{model.name}" predicts "{model.target}", which is not a bool; say'
            ' which class counts as yes with positive="…".'
        )


def _check_direction(threshold: Threshold, model: Model) -> None:
    if threshold.when == "below" and model.task is Task.CLASSIFICATION:
        raise DeclarationError(
            f'Threshold "{threshold.name}": when="below" is for values, but model "{model.name}" gives probabilities.'
            " That one class is unlikely is that another is likely: name that with positive=…."
        )
    match threshold.choose:
        case TwoSided(yes=Fixed(value=yes), no=Fixed(value=no)):
            if (no > yes) if threshold.when == "above" else (no < yes):
                raise DeclarationError(
                    f'Threshold "{threshold.name}": {threshold.choose} crosses, where yes is {threshold.when} its'
                    " value: rows between both would be yes and no. Swap them."
                )


def _check_segments(threshold: Threshold, per: str, model: Model) -> None:
    about, data = f'Threshold "{threshold.name}": per="{per}"', model.data
    if per in (data.key, model.target):
        what = "the key, and has a row each" if per == data.key else "the target, which nobody knows beforehand"
        raise DeclarationError(f"{about} is {what}. Name a column that parts the rows into few groups.")
    if per in data.private:
        raise DeclarationError(
            f'{about} is private in dataset "{data.name}", and its values would stand in the log beside their'
            " thresholds. Name another column, or take it out of private=."
        )
    column = data.schema.get(per)
    if column is None and data.clean is None:
        raise DeclarationError(
            f'{about} is not a column of dataset "{data.name}", and it has no clean that could add it; its columns are'
            f" {', '.join(data.schema)}."
        )
    if column is not None and column.kind not in _SEGMENTS:
        raise DeclarationError(
            f"{about} is a {column.kind} column; rows are parted by texts, ints or bools. Add a column with few values"
            " in clean, and name that."
        )
    if _is_given(threshold.choose):
        raise DeclarationError(
            f"{about}: {threshold.choose} is the same for each value of the column. Leave per= away, or declare a"
            " policy that chooses."
        )


def _is_given(policy: Policy) -> bool:
    if isinstance(policy, ReferUnsure):
        return _is_given(policy.answers)
    if isinstance(policy, TwoSided):
        return _is_given(policy.yes) and _is_given(policy.no)
    return isinstance(policy, Fixed)
