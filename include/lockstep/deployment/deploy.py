"""Carries a deployment out: all members to their endpoints, then all traffic; or back to what was before.

Rules:
- The goal is what the log says is in production, looked at again before traffic is shifted and when something fails: of
  a release and a rollback at the same time, the later one counts for both.
- Traffic is shifted at all endpoints at once, and each is asked who answers. If one can't be shifted, or another
  version answers, all go back.
- A cloud that can't be asked while members are brought leaves what is there: the next attempt goes on.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from lockstep.deployment.goal import Goal, Member, goal_of
from lockstep.deployment.plan import (
    Shift,
    Step,
    View,
    Views,
    fallback,
    to_heal,
    to_prepare,
    to_retreat,
    to_shift,
    to_tidy,
)
from lockstep.deployment.vertex import Busy, Vertex
from lockstep.errors import CloudError, CloudUnusable, DeploymentFailed, UsageError
from lockstep.registry import Registry

_AT_ONCE: Final = 16
_TRIES: Final = 5  # until a cloud counts as one that can't be asked, or an answer as the wrong one
Plan = Callable[[Views], list[Step]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a deployment did.

    Attributes:
        release: its digest.
        endpoints: model → resource name of its endpoint.
        shifted: the models whose endpoint changed, sorted.
        seconds: from the first request for a shift to the last answer: longer, no two releases answered side by side.
    """

    group: str
    release: str
    endpoints: dict[str, str]
    shifted: tuple[str, ...]
    seconds: float


def deploy(
    registry: Registry,
    group: str,
    place: Vertex,
    *,
    pause: Callable[[float], None] = time.sleep,
    say: Callable[[str], None] = lambda _: None,
) -> Done:
    """Let the endpoints of a group serve what is in production.

    Raises:
        UsageError: nothing was released.
        DeploymentFailed: the cloud refused a step, or another version answered; the endpoints serve what they served.
        CloudUnusable: the cloud could not be asked; trying again goes on from there.
    """
    while True:
        goal = goal_of(registry.state(), group, keep=place.target.keep)
        if goal is None:
            raise UsageError(f'Group "{group}" has no release yet, so there is nothing to deploy.')
        attempt = _Attempt(place, goal, partial(_is_current, registry, goal, place), pause, say)
        done = attempt.carry_out()
        if done is not None:
            return done
        say(f"Release {goal.release[:12]} is no longer in production; starting again with the one that is.")


def _is_current(registry: Registry, goal: Goal, place: Vertex) -> bool:
    now = goal_of(registry.state(), goal.group, keep=place.target.keep)
    return now is not None and now.release == goal.release


@dataclass(slots=True)
class _Attempt:
    """One goal, until it is reached, given up, or no longer wanted."""

    place: Vertex
    goal: Goal
    is_current: Callable[[], bool]
    pause: Callable[[float], None]
    say: Callable[[str], None]
    shifted: set[str] = field(default_factory=set)
    seconds: float = 0.0

    def carry_out(self) -> Done | None:
        """None where the log wants something else by now."""
        goal, serving = self.goal, self.place.serving_of(self.goal)
        try:
            self._advance(partial(to_heal, goal, serving))
            self._advance(partial(to_prepare, goal, serving, self.place.image))
        except CloudError as error:
            if not self.is_current():
                return None
            if isinstance(error, CloudUnusable):
                raise
            raise self._given_up(error) from error
        if not self.is_current():
            return None
        try:
            started = time.monotonic()
            self._advance(partial(to_shift, serving), tries=_TRIES)
            self.seconds = time.monotonic() - started if self.shifted else 0.0
            self._check()
        except CloudError as error:
            if not self.is_current():
                return None
            raise self._given_up(error) from error
        self._tidy(partial(to_tidy, goal, serving))
        if not self.is_current():
            return None
        return Done(
            group=goal.group,
            release=goal.release,
            endpoints={name: self.place.endpoint_of(name) for name in goal.members},
            shifted=tuple(sorted(self.shifted)),
            seconds=round(self.seconds, 3),
        )

    def _tidy(self, plan: Plan) -> None:
        try:
            self._advance(plan)
        except CloudError as error:
            raise type(error)(
                f'Group "{self.goal.group}": release {self.goal.release[:12]} is served, but what is left of the one'
                f" before could not be put in order: {error}"
            ) from error

    def _given_up(self, error: CloudError) -> CloudError:
        """Go back, and tell the error together with what is served now."""
        self.say(f"{error} Going back to what was served before.")
        try:
            self._advance(partial(to_retreat, self.goal, self.place.serving_of(self.goal)))
            before = fallback(self.goal, self.place.serving_of(self.goal), self._look())
        except CloudError as another:
            return CloudUnusable(
                f"{error} And going back did not end: {another} The next attempt finishes or undoes it."
            )
        now = "what they served before" if before else "nothing of it"
        return type(error)(
            f'{error} The endpoints of group "{self.goal.group}" serve {now}, while the log has release'
            f" {self.goal.release[:12]} in production. Clear this task to try again, or roll the group back."
        )

    def _advance(self, plan: Plan, *, tries: int | None = None) -> None:
        """Take the steps of a plan until none is left.

        Raises:
            DeploymentFailed: a step was refused.
            CloudUnusable: the cloud can't be asked, or something else was in hand for too long.
        """
        most, weak, waited = tries or int(self.place.patience / self.place.poll), 0, 0
        before: list[Step] = []
        while steps := plan(self._look()):
            if steps != before:
                before, waited, weak = steps, 0, 0
            problems = self._take(steps)
            for problem in problems:
                if isinstance(problem, DeploymentFailed):
                    raise problem
            weak += any(isinstance(problem, CloudUnusable) for problem in problems)
            waited += 1
            if weak >= _TRIES or waited >= most:
                raise CloudUnusable(str(problems[0] if problems else f"{steps[0]} has no effect."))
            if problems:
                self.say(str(problems[0]))
                self.pause(self.place.poll)

    def _look(self) -> dict[str, View]:
        names = sorted({*self.goal.members, *(name for earlier in self.goal.earlier for name in earlier)})
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return dict(zip(names, threads.map(self.place.look, names), strict=True))

    def _take(self, steps: Sequence[Step]) -> list[Exception]:
        """Take steps at the same time; what went wrong."""
        for step in steps:
            self.say(str(step))
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return [problem for problem in threads.map(self._attempted, steps) if problem is not None]

    def _attempted(self, step: Step) -> Exception | None:
        try:
            self.place.take(step)
        except (Busy, CloudUnusable, DeploymentFailed) as problem:
            return problem
        if isinstance(step, Shift):
            self.shifted.add(step.model)
        return None

    def _check(self) -> None:
        """Ask every endpoint who answers."""
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(self._answers, self.goal.members.values()))

    def _answers(self, member: Member) -> None:
        found = ""
        for turn in range(_TRIES):
            if turn:
                self.pause(self.place.poll)
            found = self.place.ask(member.model)
            if found == member.digest:
                return
        raise DeploymentFailed(
            f'Group "{self.goal.group}": at the endpoint of {member.model}, the version with digest {found[:12]}'
            f" answers instead of {member.ref} ({member.digest[:12]})."
        )
