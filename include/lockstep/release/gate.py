"""The release gate: may the group go to production, and if not, why.

Rules:
- The gate is pure: a group and a state in, a verdict out. It looks at staging only; candidates don't exist for it.
- It is open when every model and threshold stands in staging and all of them fit together: each threshold belongs to
  the staged version of its model, each model was built on the staged versions of those it builds on, and siblings on a
  shared dataset were trained on one snapshot of it.
- A set that production already runs, or that was rolled back, is not released again.
- A verdict names every member of the group, each with a reason.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from lockstep.group import Group, GroupApi, GroupModel
from lockstep.registry import ModelTrained, State, Version
from lockstep.release.manifest import compose, digest_of_release


class Status(StrEnum):
    """What the gate says."""

    OPEN = "open"
    CLOSED = "closed"
    NOTHING_NEW = "nothing new"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberVerdict:
    """One member: the staged version it would be released with (None: none, or an API), and what stands in the way."""

    kind: str
    name: str
    version: str | None
    reasons: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate says of a group, at entry `head` of the log; `reasons` holds every sentence that keeps it shut."""

    group: str
    head: int
    status: Status
    members: tuple[MemberVerdict, ...]
    reasons: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether a release would go through now."""
        return self.status is Status.OPEN

    def as_text(self) -> str:
        """One line for the verdict, one for each member."""
        lines = [f"gate {self.group}: {self.status}"]
        lines += [f"  {reason}" for reason in self.reasons if all(reason not in m.reasons for m in self.members)]
        for member in self.members:
            says = "; ".join(member.reasons) or (
                f"{member.version} is in staging" if member.version else "all it needs fits"
            )
            lines.append(f"  {'ok  ' if member.fits else 'WAIT'} {member.kind} {member.name}: {says}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        return asdict(self) | {"open": self.is_open}


def gate(group: Group, state: State) -> Verdict:
    """The verdict on a group in a state."""
    models = tuple(_model(model, group, state) for model in group.models)
    thresholds = tuple(_threshold(name, model, state) for name, model in group.model_of_threshold.items())
    blocked = {member.name for member in (*models, *thresholds) if not member.fits}
    apis = tuple(_api(api, blocked) for api in group.apis)
    reasons = tuple(reason for member in (*models, *thresholds) for reason in member.reasons)
    status = Status.CLOSED if reasons else Status.OPEN
    if not reasons:
        status, reasons = _compare_with_past(group, state)
    return Verdict(
        group=group.name, head=state.head, status=status, members=(*models, *thresholds, *apis), reasons=reasons
    )


def _model(model: GroupModel, group: Group, state: State) -> MemberVerdict:
    staged = state.staged_model(model.name)
    if staged is None:
        return MemberVerdict(kind="model", name=model.name, version=None, reasons=(f"{model.name} is not in staging",))
    reasons = (*_built_on_others(model, staged, state), *_on_older_data(model, staged, group, state))
    return MemberVerdict(kind="model", name=model.name, version=staged.ref, reasons=reasons)


def _built_on_others(model: GroupModel, staged: Version[ModelTrained], state: State) -> Iterator[str]:
    for name in model.builds_on:
        upstream = state.staged_model(name)
        used = staged.fact.upstream.get(name)
        if upstream is None or upstream.digest == used:
            continue  # an upstream that is not staged is its own member's reason
        built = f"was built on {state.model_by_digest(name, used).ref}" if used else f"was not built on {name}"
        yield f"{staged.ref} {built}, but {upstream.ref} is in staging; retrain and promote {model.name}"


def _on_older_data(model: GroupModel, staged: Version[ModelTrained], group: Group, state: State) -> Iterator[str]:
    if not model.shared:
        return
    own = state.snapshot_by_digest(staged.fact.dataset, staged.fact.snapshot)
    for sibling in group.models:
        other = state.staged_model(sibling.name)
        if sibling.dataset != model.dataset or other is None or other.fact.snapshot == staged.fact.snapshot:
            continue
        newer = state.snapshot_by_digest(other.fact.dataset, other.fact.snapshot)
        if newer.number > own.number:
            apart = f"{staged.ref} was trained on {own.ref}, but {other.ref} on {newer.ref}"
            yield f"{apart}; retrain and promote {model.name}"


def _threshold(name: str, model: str, state: State) -> MemberVerdict:
    staged, staged_model = state.staged_threshold(name), state.staged_model(model)
    reasons: tuple[str, ...] = ()
    if staged is None:
        reasons = (f"{name} is not in staging",)
    elif staged_model is not None and staged.fact.model_digest != staged_model.digest:
        tuned_for = state.model_by_digest(staged.fact.model, staged.fact.model_digest)
        apart = f"{staged.ref} was tuned for {tuned_for.ref}, but {staged_model.ref} is in staging"
        reasons = (f"{apart}; tune and promote {name}",)
    return MemberVerdict(kind="threshold", name=name, version=staged.ref if staged else None, reasons=reasons)


def _api(api: GroupApi, blocked: set[str]) -> MemberVerdict:
    waits_for = [name for name in (*api.decides, *api.explains) if name in blocked]
    reasons = (f"{api.name} waits for {', '.join(waits_for)}",) if waits_for else ()
    return MemberVerdict(kind="api", name=api.name, version=None, reasons=reasons)


def _compare_with_past(group: Group, state: State) -> tuple[Status, tuple[str, ...]]:
    digest = digest_of_release(compose(group, state))
    production = state.production(group.name)
    if production is None:
        return Status.OPEN, ()
    if production.digest == digest:
        return Status.NOTHING_NEW, (f"release {production.short} in production is what stands in staging",)
    abandoned: set[str] = set()
    for release in state.releases[group.name]:
        abandoned.discard(release.digest)
        if release.left is not None:
            abandoned.add(release.left)
    if digest in abandoned:
        back = f"`lockstep rollback {group.name} --to {digest[:12]}`"
        known = f"exactly this set was released as {digest[:12]} and rolled back"
        return Status.CLOSED, (f"{known}; promote another version, or go forward to it with {back}",)
    return Status.OPEN, ()
