"""The verdicts of the gates, each made anew only when something that it looks at has changed.

Rules:
- The verdict is the core's own: the gate's, and where it is open, with the conditions weighed by the diff that is kept.
- A kept diff is looked for again after a moment: nothing in the log says that one has come.
"""

import time
from dataclasses import dataclass, replace
from typing import Any, Final

from lockstep.errors import LockstepError
from lockstep.group import Group
from lockstep.registry import State, model_key, threshold_key
from lockstep.release import Status, Verdict, consult, digest_of_release, weigh
from lockstep_airflow.ui import shapes
from lockstep_airflow.ui.declarations import Declaration
from lockstep_airflow.ui.kept import Kept
from lockstep_airflow.ui.readers import Seen

_LOOK_AGAIN: Final = 1.0  # seconds
_KINDS: Final[dict[str, shapes.Kind]] = {"model": "model", "threshold": "threshold", "api": "api"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A verdict, and the digest of the set in staging where that fits together."""

    verdict: Verdict
    set: str | None


_verdicts: Final = Kept[Weighed](4_000)


def weighed(group: Declaration, seen: Seen) -> Weighed | None:
    """The verdict on a group; None where its registry was never read."""
    if seen.book is None:
        return None
    state = seen.book.state
    key = ("gate", seen.address, group.version, _looked_at(group.group, state))
    found = _verdicts.made(key, lambda: _weigh(group.group, state))
    if found.verdict.is_open and group.group.release_if and seen.objects is not None:
        moment = int(time.monotonic() / _LOOK_AGAIN)
        found = _verdicts.made((*key, moment), lambda: _consulted(group.group, state, seen, found))
    return replace(found, verdict=replace(found.verdict, head=state.head))


def _looked_at(group: Group, state: State) -> tuple[Any, ...]:
    """What of a state the gate looks at: it changes whenever the verdict may."""
    keys = [model_key(model.name) for model in group.models] + [threshold_key(one) for one in group.model_of_threshold]
    pasts = (state.releases, state.judgements, state.holds)
    lengths = tuple(len(past.get(group.name, ())) for past in pasts)
    return (*map(state.staging.get, keys), *lengths, state.abandoned.get(group.name), len(state.removed))


def _weigh(group: Group, state: State) -> Weighed:
    verdict, manifest = weigh(group, state)
    return Weighed(verdict=verdict, set=digest_of_release(manifest) if manifest is not None else None)


def _consulted(group: Group, state: State, seen: Seen, found: Weighed) -> Weighed:
    if seen.objects is None:
        return found
    try:
        return replace(found, verdict=consult(group, state, seen.objects))
    except LockstepError as error:  # the diff that is kept can't be read
        said = (f"The decision diff of this set can't be read: {error}",)
        return replace(found, verdict=replace(found.verdict, status=Status.CLOSED, reasons=said))


def verdict_of(verdict: Verdict) -> shapes.Verdict:
    """A verdict in the shape of the answers."""
    return {
        "status": verdict.status.value,
        "head": verdict.head,
        "reasons": list(verdict.reasons),
        "members": [
            {
                "kind": _KINDS[member.kind],
                "name": member.name,
                "version": member.version,
                "reasons": list(member.reasons),
                "fits": member.fits,
            }
            for member in verdict.members
        ],
        "conditions": [
            {"condition": one.condition, "holds": one.holds, "says": one.says} for one in verdict.conditions
        ],
        "approved": verdict.approved,
    }
