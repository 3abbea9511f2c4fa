"""Which word on a set counts now, and how it reads.

Rules:
- The last word on a set counts: an approval lifts a rejection, a rejection an approval.
- An approval is of what releasing the set changes. Once production has moved, it counts no more; a rejection counts on.
"""

from lockstep.group import Group
from lockstep.registry import Judgement, State, Word


def approval_of(group: Group, state: State, digest: str) -> Judgement | None:
    """The approval by which a set may be released now; None where there is none that counts."""
    said = state.judgement(group.name, digest)
    if said is None or said.word is not Word.APPROVED or moved_since(group, state, said.recorded.number):
        return None
    return said


def rejection_of(group: Group, state: State, digest: str) -> Judgement | None:
    """The rejection that keeps a set from being released; None where there is none that counts."""
    said = state.judgement(group.name, digest)
    return said if said is not None and said.word is Word.REJECTED else None


def moved_since(group: Group, state: State, entry: int) -> bool:
    """Whether the group's production has moved behind an entry of the log."""
    production = state.production(group.name)
    return production is not None and production.recorded.number > entry


def describe_word(said: Judgement) -> str:
    """What was said, by whom, when and why, as the end of a sentence."""
    origin = said.recorded.origin
    why = f": {' '.join(origin.why.split())}" if origin.why.strip() else ""
    return f"{said.word.value} by {origin.by} on {said.recorded.at.date()}{why}"
