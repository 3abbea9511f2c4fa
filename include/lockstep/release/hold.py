"""A group on hold: nothing of it is released until somebody lifts that.

Rules:
- A rollback puts its group on hold, by its own entry; `hold` does it by hand. Promotions, words on a set and rollbacks
  go on as ever.
- What is so already is refused, with who did it and why, so that nobody takes another's hold for their own.
- The job that did it may ask again (a retried task): nothing is recorded twice.
"""

from lockstep.errors import HoldRefused
from lockstep.group import Group
from lockstep.registry import Held, Hold, Origin, Registry, Resumed, State
from lockstep.registry.fold import hold_at

Fact = type[Held | Resumed]


def hold(registry: Registry, group: Group, origin: Origin) -> Hold:
    """Let nothing of the group be released from now on.

    Raises:
        HoldRefused: it is on hold already; the message says since when, by whom and why.
    """
    return _turn(registry, group, origin, Held)


def resume(registry: Registry, group: Group, origin: Origin) -> Hold:
    """Lift the hold on a group: what stands in staging may be released again, if the gate is open.

    Raises:
        HoldRefused: it is not on hold.
    """
    return _turn(registry, group, origin, Resumed)


def describe_hold(hold: Hold) -> str:
    """Since when a group is on hold, by whom, why, and after which rollback, as a sentence without an end."""
    origin, at = hold.recorded.origin, hold.recorded.at.isoformat(timespec="seconds")
    after = f", after the rollback from release {hold.left[:12]}" if hold.left else ""
    why = f": {' '.join(origin.why.split())}" if origin.why.strip() else ""
    return f"{hold.group} is on hold since {at}, by {origin.by}{after}{why}"


def _turn(registry: Registry, group: Group, origin: Origin, kind: Fact) -> Hold:
    def propose(state: State) -> Held | Resumed | None:
        if _done_by(origin, group, state, kind):
            return None
        now = state.hold(group.name)
        if kind is Held and now is not None:
            raise HoldRefused(f"{describe_hold(now)}. Lift it with `lockstep resume {group.name}`.")
        if kind is Resumed and now is None:
            raise HoldRefused(f'Group "{group.name}" is not on hold, so there is nothing to lift.')
        return kind(group=group.name)

    entry = registry.record(propose, origin)
    if entry is not None:
        return hold_at(group.name, 0, entry)
    done = _done_by(origin, group, registry.state(), kind)
    if done is None:
        raise AssertionError("nothing is written only where the job has done it before")
    return done


def _done_by(origin: Origin, group: Group, state: State, kind: Fact) -> Hold | None:
    """What the job itself has done to the group before; a rollback of the same job is not that."""
    past = state.holds.get(group.name)
    if past is None or origin.job is None:
        return None
    is_on = kind is Held
    return next((one for one in past.by_job(origin.job) if one.is_on is is_on and one.left is None), None)
