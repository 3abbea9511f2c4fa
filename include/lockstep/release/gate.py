"""The release gate: may the group go to production, and if not, why.

Rules:
- The gate is pure: a group and a state in, a verdict out. It looks at staging only; candidates don't exist for it.
- It is open when every model and threshold stands in staging and all of them fit together: each threshold belongs to
  the staged version of its model, each model was built on the staged versions of those it builds on, and siblings on a
  shared dataset were trained on one snapshot of it.
- A set that production already runs, that was rolled back, or that somebody rejected, is not released again.
- Nothing is released of a group that is on hold.
- A verdict names every member of the group, each with a reason.
- What a release changes is data, which the gate does not read: conditions are weighed by `consult`, and at the release.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from lockstep.group import Group, GroupApi, GroupModel
from lockstep.registry import ModelTrained, Objects, State, Version
from lockstep.release.evidence import Weighed, find_evidence, missing, weigh_conditions
from lockstep.release.hold import describe_hold
from lockstep.release.manifest import compose, digest_of_release
from lockstep.release.words import approval_of, describe_word, rejection_of

Reason = tuple[str, str]  # a sentence, and the node above that it is about
Staged = Mapping[str, Version[ModelTrained] | None]  # model of the group → its version in staging


class Status(StrEnum):
    """What the gate says."""

    OPEN = "open"
    CLOSED = "closed"
    NOTHING_NEW = "nothing new"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberVerdict:
    """One member: the staged version it would be released with (None: none, or an API), and what stands in the way.

    Attributes:
        about: for each of the reasons, the node that the member uses and that the reason is about; "" where it is about
            the member alone. So it is known which arrow of the graph is blocked.
    """

    kind: str
    name: str
    version: str | None
    reasons: tuple[str, ...]
    about: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate says of a group, at entry `head` of the log; `reasons` holds every sentence that keeps it shut.

    `conditions` says how those of the group were weighed, where somebody looked (`consult`): the gate itself does not.
    `approved` says by whom the set in staging is approved; an open gate alone does not ask for it.
    """

    group: str
    head: int
    status: Status
    members: tuple[MemberVerdict, ...]
    reasons: tuple[str, ...]
    conditions: tuple[Weighed, ...] = ()
    approved: str = ""

    @property
    def is_open(self) -> bool:
        """Whether a release would go through now."""
        return self.status is Status.OPEN

    def as_text(self) -> str:
        """One line for the verdict, one for each member."""
        lines = [f"gate {self.group}: {self.status}"]
        told = {reason for member in self.members for reason in member.reasons}
        told |= {f"{one.condition}: {one.says}" for one in self.conditions}
        lines += [f"  {reason}" for reason in self.reasons if reason not in told]
        for member in self.members:
            says = "; ".join(member.reasons) or (
                f"{member.version} is in staging" if member.version else "all it needs fits"
            )
            lines.append(f"  {'ok  ' if member.fits else 'WAIT'} {member.kind} {member.name}: {says}")
        lines += [f"  {'ok  ' if one.holds else 'WAIT'} {one.condition}: {one.says}" for one in self.conditions]
        lines += [f"  ok   {self.approved}"] if self.approved else []
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        return asdict(self) | {"open": self.is_open}


def gate(group: Group, state: State) -> Verdict:
    """The verdict on a group in a state."""
    return weigh(group, state)[0]


def consult(group: Group, state: State, objects: Objects) -> Verdict:
    """The verdict as a release would find it: with the conditions of the group, weighed by the diff that is kept.

    Raises:
        ObjectDamaged: the bytes of the diff are not those of its name.
    """
    verdict, manifest = weigh(group, state)
    if manifest is None or not verdict.is_open or not group.release_if:
        return verdict
    production, new = state.production(group.name), digest_of_release(manifest)
    old = production.digest if production else None
    diff = find_evidence(objects, group, old, new)
    if diff is None:
        return replace(verdict, status=Status.CLOSED, reasons=(missing(group, old, new),))
    conditions = weigh_conditions(group, diff)
    broken = tuple(f"{one.condition}: {one.says}" for one in conditions if not one.holds)
    return replace(verdict, status=Status.CLOSED if broken else Status.OPEN, reasons=broken, conditions=conditions)


def weigh(group: Group, state: State) -> tuple[Verdict, dict[str, Any] | None]:
    """The verdict, and the manifest of the set in staging; None where that does not fit together."""
    staged = {model.name: state.staged_model(model.name) for model in group.models}
    models = tuple(_model(model, group, staged, state) for model in group.models)
    thresholds = tuple(_threshold(name, model, state) for name, model in group.model_of_threshold.items())
    blocked = {member.name for member in (*models, *thresholds) if not member.fits}
    apis = tuple(_api(api, blocked) for api in group.apis)
    reasons = tuple(reason for member in (*models, *thresholds) for reason in member.reasons)
    manifest = None if reasons else compose(group, state)
    status, approved = Status.CLOSED, ""
    if manifest is not None:
        digest = digest_of_release(manifest)
        status, reasons = _compare_with_past(group, state, digest)
        approval = approval_of(group, state, digest)
        approved = f"exactly this set was {describe_word(approval)}" if approval else ""
    if held := state.hold(group.name):
        status = Status.CLOSED if status is Status.OPEN else status
        reasons = (*reasons, f"{describe_hold(held)}; lift it with `lockstep resume {group.name}`")
    members = (*models, *thresholds, *apis)
    verdict = Verdict(
        group=group.name, head=state.head, status=status, members=members, reasons=reasons, approved=approved
    )
    return verdict, manifest


def _model(model: GroupModel, group: Group, staged: Staged, state: State) -> MemberVerdict:
    version = staged[model.name]
    if version is None:
        return _member("model", model.name, None, ((f"{model.name} is not in staging", ""),))
    found = (*_built_on_others(model, version, state), *_on_older_data(model, version, group, staged, state))
    return _member("model", model.name, version.ref, found)


def _member(kind: str, name: str, version: str | None, found: tuple[Reason, ...]) -> MemberVerdict:
    reasons, about = tuple(reason for reason, _ in found), tuple(used for _, used in found)
    return MemberVerdict(kind=kind, name=name, version=version, reasons=reasons, about=about)


def _built_on_others(model: GroupModel, staged: Version[ModelTrained], state: State) -> Iterator[Reason]:
    for name in model.builds_on:
        upstream = state.staged_model(name)
        used = staged.fact.upstream.get(name)
        if upstream is None or upstream.digest == used:
            continue  # an upstream that is not staged is its own member's reason
        built = f"was built on {state.model_by_digest(name, used).ref}" if used else f"was not built on {name}"
        yield f"{staged.ref} {built}, but {upstream.ref} is in staging; retrain and promote {model.name}", name


def _on_older_data(
    model: GroupModel, version: Version[ModelTrained], group: Group, staged: Staged, state: State
) -> Iterator[Reason]:
    if not model.shared:
        return
    for sibling in group.models:
        other = staged[sibling.name]
        if sibling.dataset != model.dataset or other is None or other.fact.snapshot == version.fact.snapshot:
            continue
        own = state.snapshot_by_digest(version.fact.dataset, version.fact.snapshot)
        newer = state.snapshot_by_digest(other.fact.dataset, other.fact.snapshot)
        if newer.number > own.number:
            apart = f"{version.ref} was trained on {own.ref}, but {other.ref} on {newer.ref}"
            yield f"{apart}; retrain and promote {model.name}", model.dataset


def _threshold(name: str, model: str, state: State) -> MemberVerdict:
    staged, staged_model = state.staged_threshold(name), state.staged_model(model)
    found: tuple[Reason, ...] = ()
    if staged is None:
        found = ((f"{name} is not in staging", ""),)
    elif staged_model is not None and staged.fact.model_digest != staged_model.digest:
        tuned_for = state.model_by_digest(staged.fact.model, staged.fact.model_digest)
        apart = f"{staged.ref} was tuned for {tuned_for.ref}, but {staged_model.ref} is in staging"
        found = ((f"{apart}; tune and promote {name}", model),)
    return _member("threshold", name, staged.ref if staged else None, found)


def _api(api: GroupApi, blocked: set[str]) -> MemberVerdict:
    waits_for = [name for name in (*api.decides, *api.explains) if name in blocked]
    found = ((f"{api.name} waits for {', '.join(waits_for)}", ""),) if waits_for else ()
    return _member("api", api.name, None, found)


def _compare_with_past(group: Group, state: State, digest: str) -> tuple[Status, tuple[str, ...]]:
    """What was released, rolled back or rejected before, against the set in staging."""
    production = state.production(group.name)
    if production is not None and production.digest == digest:
        return Status.NOTHING_NEW, (f"release {production.short} in production is what stands in staging",)
    reasons: list[str] = []
    if digest in state.abandoned.get(group.name, ()):
        back = f"`lockstep rollback {group.name} --to {digest[:12]}`"
        known = f"exactly this set was released as {digest[:12]} and rolled back"
        reasons.append(f"{known}; promote another version, or go forward to it with {back}")
    if rejection := rejection_of(group, state, digest):
        known = f"exactly this set was {describe_word(rejection)}"
        reasons.append(f"{known}; promote another version, or `lockstep approve {group.name}`")
    return Status.CLOSED if reasons else Status.OPEN, tuple(reasons)
