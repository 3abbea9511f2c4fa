"""The rules of a deployment, apart from any cloud: from what is wanted and what stands there to the next steps.

Rules:
- A step follows from what is seen now. Nothing is remembered, so an attempt that was killed is finished, or undone, by
  the next one.
- Steps of one list do not depend on each other, and may be taken at the same time.
- No endpoint gets traffic for a member of the release before every member stands at its endpoint.
- A retreat leads to what most endpoints still serve, of all that stands at them whole; else to the newest of that.
  Where there is none, what was brought is taken away.
- Nothing that has traffic is taken away, unless there is nothing else that could answer.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lockstep.deployment.goal import Goal, Member

PRODUCTION, STAGING, DEFAULT = "production", "staging", "default"
ALL: Final = 100  # percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """A version in the cloud's registry of models, and what names the image that serves it."""

    digest: str
    image: str = ""
    aliases: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What stands in the cloud for one model.

    Attributes:
        exists: whether there is an endpoint.
        mark: changes whenever the endpoint does.
        versions: id in the cloud's registry of models → version.
        deployed: id of a deployed model → id of its version.
        traffic: id of a deployed model → percent.
    """

    exists: bool = False
    mark: str = ""
    versions: Mapping[str, Uploaded] = field(default_factory=dict)
    deployed: Mapping[str, str] = field(default_factory=dict)
    traffic: Mapping[str, int] = field(default_factory=dict)

    def serves(self, deployed: str) -> bool:
        """Whether all traffic goes to one deployed model."""
        return {name: share for name, share in self.traffic.items() if share} == {deployed: ALL}

    def version_of(self, digest: str, image: str | None = None) -> str | None:
        """The version with that digest, in that image if one is named; of several, the first that was uploaded."""
        found = [
            number
            for number, version in self.versions.items()
            if version.digest == digest and image in (None, version.image)
        ]
        return min(found, key=int, default=None)

    def deployed_of(self, digest: str, *, but: str = "") -> str | None:
        """A deployed model with that digest, but not that one; of several, the one with most traffic."""
        found = [name for name, number in self.deployed.items() if self.digest_at(number) == digest and name != but]
        return max(found, key=lambda name: (self.traffic.get(name, 0), name), default=None)

    def digest_at(self, number: str) -> str | None:
        """The digest of a version by its id."""
        return self.versions[number].digest if number in self.versions else None


Views = Mapping[str, View]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateEndpoint:
    """Make the endpoint of a model."""

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Bring a version into the cloud's registry of models; `is_first` where the model is not known there."""

    model: str
    member: Member
    is_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """Let a version stand at the endpoint, without traffic."""

    model: str
    member: Member
    version: str
    deployed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Lead all traffic to a deployed model, if the endpoint is still as it was seen."""

    model: str
    deployed: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Give aliases to a version, and take others away."""

    model: str
    version: str
    give: tuple[str, ...] = ()
    take: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Undeploy:
    """Take a deployed model from the endpoint."""

    model: str
    deployed: str


Step = CreateEndpoint | Upload | Deploy | Shift | Mark | Undeploy
Serving = Mapping[str, str]  # model → id of the deployed model that is to have all traffic


def to_prepare(goal: Goal, serving: Serving, image: str, views: Views) -> list[Step]:
    """What is missing before traffic may be shifted: endpoints and versions first, then what is to stand there."""
    first: list[Step] = []
    second: list[Step] = []
    for name, member in goal.members.items():
        view = views[name]
        version = view.version_of(member.digest, image)
        if not view.exists:
            first.append(CreateEndpoint(model=name))
        if version is None:
            first.append(Upload(model=name, member=member, is_first=not view.versions))
        elif view.exists and serving[name] not in view.deployed:
            second.append(Deploy(model=name, member=member, version=version, deployed=serving[name]))
    return first or second


def to_shift(serving: Serving, views: Views) -> list[Step]:
    """The endpoints of which not all traffic goes where it should."""
    return [
        Shift(model=name, deployed=deployed, mark=views[name].mark)
        for name, deployed in serving.items()
        if not views[name].serves(deployed)
    ]


def to_tidy(goal: Goal, serving: Serving, views: Views) -> list[Step]:
    """Aliases as the log and the traffic have it; then what stands there for nothing."""
    marks: list[Step] = [
        step for name, deployed in serving.items() for step in _marks(goal, name, views[name], deployed)
    ]
    left: list[Step] = [
        Undeploy(model=name, deployed=other)
        for name, deployed in serving.items()
        for other, number in views[name].deployed.items()
        if other != deployed
        and not views[name].traffic.get(other, 0)
        and views[name].digest_at(number) not in _may_stay(goal, views[name], deployed)
    ]
    return marks or left or [step for name in views if name not in serving for step in _withdrawn(name, views[name])]


def _withdrawn(name: str, view: View) -> Iterable[Undeploy]:
    """All that stands at the endpoint of a model that is no member any more; what has traffic goes last."""
    idle = [one for one in view.deployed if not view.traffic.get(one, 0)]
    return [Undeploy(model=name, deployed=one) for one in idle or list(view.deployed)[:1]]


def _may_stay(goal: Goal, view: View, deployed: str) -> frozenset[str]:
    """Digests that stay without traffic; never a second deployment of the one that serves."""
    return goal.kept - {view.digest_at(view.deployed.get(deployed, ""))}


def _marks(goal: Goal, name: str, view: View, deployed: str) -> Iterable[Mark]:
    """What is to be taken comes first: an alias stands at one version only."""
    staged = goal.staging.get(name)
    wanted = {PRODUCTION: view.deployed.get(deployed), STAGING: view.version_of(staged) if staged else None}
    wanted[DEFAULT] = wanted[PRODUCTION]
    gone = [
        Mark(model=name, version=number, take=take)
        for number, version in view.versions.items()
        if (take := tuple(a for a in (PRODUCTION, STAGING) if a in version.aliases and wanted[a] != number))
    ]
    return gone or [
        Mark(model=name, version=number, give=give)
        for number, version in view.versions.items()
        if (give := tuple(a for a in wanted if wanted[a] == number and a not in version.aliases))
    ]


def to_heal(goal: Goal, serving: Serving, views: Views) -> list[Step]:
    """Where an attempt was killed while it shifted, and what is wanted now is not there yet: back to one release."""
    before = fallback(goal, serving, views)
    has_traffic = any(share for view in views.values() for share in view.traffic.values())
    if before is None or not has_traffic or not to_shift(serving, views):
        return []
    return to_shift(before, views)


def fallback(goal: Goal, serving: Serving, views: Views) -> Serving | None:
    """Of all that stands there whole beside what is wanted: what most endpoints serve now, else the newest."""
    found = [one for one in _standing(goal, serving, views) if one]
    return max(found, key=lambda one: sum(views[name].serves(at) for name, at in one.items()), default=None)


def _standing(goal: Goal, serving: Serving, views: Views) -> Iterator[Serving]:
    """Releases of which every member stands at its endpoint, the newest first: this one in another image, others."""
    own = {name: views[name].deployed_of(m.digest, but=serving[name]) for name, m in goal.members.items()}
    for found in (own, *({n: views[n].deployed_of(d) for n, d in earlier.items()} for earlier in goal.earlier)):
        standing = {name: deployed for name, deployed in found.items() if deployed is not None}
        if len(standing) == len(found):
            yield standing


def to_retreat(goal: Goal, serving: Serving, views: Views) -> list[Step]:
    """Back to what was before: traffic first, then aliases, then what the release had brought is taken away."""
    before = fallback(goal, serving, views) or {}
    steps = to_shift(before, views)
    steps = steps or [step for name, deployed in before.items() for step in _marks(goal, name, views[name], deployed)]
    return steps or [
        Undeploy(model=name, deployed=deployed)
        for name, deployed in serving.items()
        if deployed in views[name].deployed
        and deployed != before.get(name)
        and (not views[name].traffic.get(deployed, 0) or len(views[name].deployed) == 1)
    ]
