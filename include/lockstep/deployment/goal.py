"""What the log wants to be served: the members of the release in production, and what came before it.

Rules:
- It is read from the log alone, so a release and a rollback give a goal in the same way.
- A model version is named by its digest; that a version is uploaded twice changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lockstep.registry import Release, State, model_key

_EARLIER: Final = 20  # releases that are looked at, to find one that still stands at the endpoints
_PREFIX: Final = model_key("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A model version, as `churn@3`."""

    model: str
    number: int
    digest: str

    @property
    def ref(self) -> str:
        """As people call it."""
        return f"{self.model}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What endpoints of a group are to serve.

    Attributes:
        release: digest of the release.
        members: model → version.
        staging: model → digest of the version in staging.
        earlier: model → digest, of each release before it; the last one first.
        kept: digests of the versions that may stay without traffic.
    """

    group: str
    release: str
    members: Mapping[str, Member]
    staging: Mapping[str, str]
    earlier: tuple[Mapping[str, str], ...]
    kept: frozenset[str]


def goal_of(state: State, group: str, *, keep: int) -> Goal | None:
    """The goal of a group; None while nothing was released."""
    release = state.production(group)
    if release is None:
        return None
    members = {
        name: Member(model=name, number=state.model_by_digest(name, digest).number, digest=digest)
        for name, digest in _models(release).items()
    }
    past = {item.digest: _models(item) for item in reversed(tuple(state.releases[group])[-_EARLIER:])}
    undo = tuple(state.undo[group])[-1 - keep : -1] if keep else ()
    staged = {name: state.staging.get(model_key(name)) for name in members}
    return Goal(
        group=group,
        release=release.digest,
        members=members,
        staging={name: digest for name, digest in staged.items() if digest},
        earlier=tuple(models for digest, models in past.items() if digest != release.digest),
        kept=frozenset(digest for item in undo for digest in _models(item).values()),
    )


def _models(release: Release) -> dict[str, str]:
    return {key.removeprefix(_PREFIX): d for key, d in release.members.items() if key.startswith(_PREFIX)}
