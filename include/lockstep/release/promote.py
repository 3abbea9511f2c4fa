"""Promotion: candidates, and the thresholds that were tuned for them, move to staging in one entry.

Rules:
- A model version moves together with a version of each of its thresholds that belongs to exactly it, or not at all.
- A threshold version moves only beside its model version, or where that is the one in staging.
- A version that missed an expectation, whose dataset is past its `deprecated_after`, or whose files were removed, stays
  where it is.
- The job that promoted may ask again (a retried task): it gets what it did, whatever others have promoted since.
"""

from collections.abc import Mapping, Sequence
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
from lockstep.registry.removal import removal


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """The versions that were moved to staging. `entry` is None where they stood there, or this job had moved them."""

    group: str
    versions: tuple[Version[ModelTrained] | Version[ThresholdTuned], ...]
    entry: Entry | None


def promote(registry: Registry, group: Group, ref: str | Sequence[str], origin: Origin) -> Promotion:
    """Move a model version (`churn@3`, or `churn` for the newest) or a threshold version of the group to staging.

    Several move together, by one entry, or not at all. A threshold version that is named beside its model takes the
    place of the newest one that was tuned for it.

    Raises:
        UsageError: the group has no such member, the member no such version, or a member is named twice.
        PromotionRefused: a rule keeps one out of staging; the message says which.
    """
    refs = (ref,) if isinstance(ref, str) else tuple(ref)
    _check_names(group, refs)
    versions: tuple[Version[ModelTrained] | Version[ThresholdTuned], ...] = ()

    def propose(state: State) -> Promoted | None:
        nonlocal versions
        versions = _done_by(origin, group, refs, state)
        if versions:
            return None
        members = _members(group, refs, state, registry.now().date())
        versions = tuple(members.values())
        moved = {key: version.digest for key, version in members.items()}
        if all(state.staging.get(key) == digest for key, digest in moved.items()):
            return None
        return Promoted(group=group.name, members=moved)

    entry = registry.record(propose, origin)
    return Promotion(group=group.name, versions=versions, entry=entry)


def _done_by(
    origin: Origin, group: Group, refs: tuple[str, ...], state: State
) -> tuple[Version[ModelTrained] | Version[ThresholdTuned], ...]:
    """What the job itself has promoted before, if that is what is asked for."""
    past = state.promotions.get(group.name)
    if past is None or origin.job is None:
        return ()
    names, asked = {ref.partition("@")[0] for ref in refs}, list[str]()
    for model in group.models:
        asked += [model_key(model.name)] if model.name in names else []
        asked += [threshold_key(name) for name in model.thresholds if {model.name, name} & names]
    for staging in past.by_job(origin.job):
        if staging.members.keys() == set(asked):
            found = tuple(_version(key, staging.members[key], state) for key in asked)
            if {ref for ref in refs if "@" in ref} <= {version.ref for version in found}:
                return found
    return ()


def _version(key: str, digest: str, state: State) -> Version[ModelTrained] | Version[ThresholdTuned]:
    kind, _, name = key.partition(":")
    return state.model_by_digest(name, digest) if kind == "model" else state.threshold_by_digest(name, digest)


def _check_names(group: Group, refs: tuple[str, ...]) -> None:
    members = (*(model.name for model in group.models), *group.model_of_threshold)
    names = [ref.partition("@")[0] for ref in refs]
    for name in names or [""]:
        if name not in members:
            raise UsageError(
                f'Group "{group.name}" has no model or threshold "{name}" to promote; it has {", ".join(members)}.'
            )
        if names.count(name) > 1:
            raise UsageError(f'"{name}" is named {names.count(name)} times to be promoted; name one version of it.')


def _members(
    group: Group, refs: tuple[str, ...], state: State, today: date
) -> dict[str, Version[ModelTrained] | Version[ThresholdTuned]]:
    tuned = {ref.partition("@")[0]: ref for ref in refs if ref.partition("@")[0] in group.model_of_threshold}
    found: dict[str, Version[ModelTrained] | Version[ThresholdTuned]] = {}
    for ref in refs:
        if ref.partition("@")[0] not in tuned:
            found |= _model_members(group, ref, tuned, state, today)
    for name, ref in tuned.items():
        version = state.threshold(ref)
        _check_is_there(version, state)
        _check_model_is_staged(version, found.get(model_key(version.fact.model)), state)
        found[threshold_key(name)] = version
    return found


def _model_members(
    group: Group, ref: str, tuned: Mapping[str, str], state: State, today: date
) -> dict[str, Version[ModelTrained] | Version[ThresholdTuned]]:
    """A model version and the newest versions of its thresholds, but those that are named themselves."""
    model = next(model for model in group.models if model.name == ref.partition("@")[0])
    trained = state.model(ref)
    _check_is_there(trained, state)
    _check_is_fit(model, trained, today)
    found: dict[str, Version[ModelTrained] | Version[ThresholdTuned]] = {model_key(model.name): trained}
    for threshold in model.thresholds:
        if threshold in tuned:
            continue
        own = [version for version in state.thresholds_for(threshold, trained.digest) if not state.is_removed(version)]
        if not own:
            raise PromotionRefused(
                f'Model version {trained.ref}: threshold "{threshold}" has no version that was tuned for it, and one'
                f" for another version would not fit. Tune it (`lockstep train {model.name}` does), then promote again."
            )
        found[threshold_key(threshold)] = own[-1]
    return found


def _check_is_there(version: Version[ModelTrained] | Version[ThresholdTuned], state: State) -> None:
    gone = removal(state, version)
    if gone:
        raise PromotionRefused(gone)


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


def _check_model_is_staged(
    tuned: Version[ThresholdTuned], beside: Version[ModelTrained] | Version[ThresholdTuned] | None, state: State
) -> None:
    wanted = state.model_by_digest(tuned.fact.model, tuned.fact.model_digest)
    staged = beside or state.staged_model(tuned.fact.model)
    if staged is None or staged.digest != wanted.digest:
        place = "is to be promoted with it" if beside else "is in staging"
        there = f"{staged.ref} {place}" if staged else f"no version of {wanted.name} is in staging"
        raise PromotionRefused(
            f"Threshold version {tuned.ref} was tuned for {wanted.ref}, but {there}. Promote {wanted.ref}, which takes"
            " its thresholds along."
        )
