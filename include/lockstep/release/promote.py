"""Promotion: a candidate, and the thresholds that were tuned for it, move to staging in one entry.

Rules:
- A model version moves together with a version of each of its thresholds that belongs to exactly it, or not at all.
- A threshold version moves alone only where its model version is the one in staging.
- A version that missed an expectation, or whose dataset is past its `deprecated_after`, stays where it is.
"""

from dataclasses import dataclass
from datetime import date

from lockstep.errors import PromotionRefused, UsageError
from lockstep.group import Group, GroupModel
from lockstep.registry import (
    Entry,
    ModelTrained,
    Origin,
    Promoted,
    Registry,
    State,
    ThresholdTuned,
    Version,
    model_key,
    threshold_key,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """The versions that stand in staging now. `entry` is None where they stood there before."""

    group: str
    versions: tuple[Version[ModelTrained] | Version[ThresholdTuned], ...]
    entry: Entry | None


def promote(registry: Registry, group: Group, ref: str, origin: Origin) -> Promotion:
    """Move a model version (`churn@3`, or `churn` for the newest) or a threshold version of the group to staging.

    Raises:
        UsageError: the group has no such member, or the member no such version.
        PromotionRefused: a rule keeps it out of staging; the message says which.
    """
    name = ref.partition("@")[0]
    if name not in group.nodes or name in {api.name for api in group.apis}:
        members = ", ".join((*(model.name for model in group.models), *group.model_of_threshold))
        raise UsageError(f'Group "{group.name}" has no model or threshold "{name}" to promote; it has {members}.')
    versions: tuple[Version[ModelTrained] | Version[ThresholdTuned], ...] = ()

    def propose(state: State) -> Promoted | None:
        nonlocal versions
        members = _members(group, ref, state, registry.now().date())
        versions = tuple(members.values())
        moved = {key: version.digest for key, version in members.items()}
        if all(state.staging.get(key) == digest for key, digest in moved.items()):
            return None
        return Promoted(group=group.name, members=moved)

    entry = registry.record(propose, origin)
    return Promotion(group=group.name, versions=versions, entry=entry)


def _members(
    group: Group, ref: str, state: State, today: date
) -> dict[str, Version[ModelTrained] | Version[ThresholdTuned]]:
    name = ref.partition("@")[0]
    if name in group.model_of_threshold:
        tuned = state.threshold(ref)
        _check_model_is_staged(tuned, state)
        return {threshold_key(name): tuned}
    model = next(model for model in group.models if model.name == name)
    trained = state.model(ref)
    _check_is_fit(model, trained, today)
    found: dict[str, Version[ModelTrained] | Version[ThresholdTuned]] = {model_key(name): trained}
    for threshold in model.thresholds:
        own = state.thresholds_for(threshold, trained.digest)
        if not own:
            raise PromotionRefused(
                f'Model version {trained.ref}: threshold "{threshold}" has no version that was tuned for it, and one'
                f" for another version would not fit. Tune it (`lockstep train {name}` does), then promote again."
            )
        found[threshold_key(threshold)] = own[-1]
    return found


def _check_is_fit(model: GroupModel, version: Version[ModelTrained], today: date) -> None:
    if version.fact.missed:
        raise PromotionRefused(
            f"Model version {version.ref} missed what is expected of it: {'; '.join(version.fact.missed)}. Train a"
            " better one, or change expects= in its declaration and train again."
        )
    if model.deprecated_after is not None and today > model.deprecated_after:
        raise PromotionRefused(
            f'Model version {version.ref}: dataset "{model.dataset}" is deprecated, and since {model.deprecated_after}'
            " models trained on it can't be promoted. Declare the model on the dataset that replaces it."
        )


def _check_model_is_staged(tuned: Version[ThresholdTuned], state: State) -> None:
    wanted = state.model_by_digest(tuned.fact.model, tuned.fact.model_digest)
    staged = state.staged_model(tuned.fact.model)
    if staged is None or staged.digest != wanted.digest:
        there = f"{staged.ref} is in staging" if staged else f"no version of {wanted.name} is in staging"
        raise PromotionRefused(
            f"Threshold version {tuned.ref} was tuned for {wanted.ref}, but {there}. Promote {wanted.ref}, which takes"
            " its thresholds along."
        )
