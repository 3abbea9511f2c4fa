"""What people say of a set that might be released: approved, or rejected with a reason.

Rules:
- A word is on exactly one set, the one that was shown. If another stands in staging just before the word's own entry,
  or production has moved since it was shown, the word is refused, and nothing is recorded.
- Which word counts, `words` says.
- The job that said it may ask again (a retried task): it gets what it said, and nothing is recorded twice.
"""

from typing import Final

from lockstep.errors import JudgementRefused, SetChanged, UsageError
from lockstep.group import Group
from lockstep.registry import Approved, Entry, Judgement, Origin, Registry, Rejected, State, Word
from lockstep.registry.fold import judgement_at
from lockstep.release.gate import Status, weigh
from lockstep.release.manifest import digest_of_release
from lockstep.release.words import approval_of, moved_since

_SHOWN: Final = 12  # characters of a digest
Fact = type[Approved | Rejected]


def approve(registry: Registry, group: Group, origin: Origin, *, digest: str, seen: int | None = None) -> Judgement:
    """Let the set that was shown be released; this does not release it.

    Args:
        registry: where the set stands.
        group: whose set it is.
        origin: who, why, in which job.
        digest: of the set that was shown.
        seen: the entry of the log that it was shown at; production must not have moved since. By default that is not
            looked at.

    Raises:
        SetChanged: another set stands in staging now, or it would take the place of another release.
        JudgementRefused: the members in staging don't fit together, or are in production already.
    """
    return _say(registry, group, origin, Approved, digest, seen)


def reject(registry: Registry, group: Group, origin: Origin, *, digest: str, seen: int | None = None) -> Judgement:
    """Keep exactly the set that was shown from being released; arguments and errors as for `approve`.

    Raises:
        UsageError: `origin` says no reason.
    """
    if not origin.why.strip():
        raise UsageError(
            f'Group "{group.name}": a rejection needs a reason, which whoever made the set will read. Give --why before'
            " the command."
        )
    return _say(registry, group, origin, Rejected, digest, seen)


def needs_word(group: Group, state: State, digest: str, seen: int) -> bool:
    """Whether the set that was shown at entry `seen` still waits for somebody's word, and could be released then."""
    verdict, manifest = weigh(group, state)
    if manifest is None or not verdict.is_open or digest_of_release(manifest) != digest:
        return False
    return not moved_since(group, state, seen) and approval_of(group, state, digest) is None


def _say(registry: Registry, group: Group, origin: Origin, kind: Fact, digest: str, seen: int | None) -> Judgement:
    def propose(state: State) -> Approved | Rejected | None:
        if _done_by(origin, group, state, kind, digest):
            return None
        return kind(group=group.name, digest=digest, members=_checked(group, state, digest, seen))

    entry: Entry | None = registry.record(propose, origin)
    if entry is not None:
        return judgement_at(group.name, 0, entry)
    done = _done_by(origin, group, registry.state(), kind, digest)
    if done is None:
        raise AssertionError("nothing is written only where the job has said it before")
    return done


def _done_by(origin: Origin, group: Group, state: State, kind: Fact, digest: str) -> Judgement | None:
    """What the job itself has said of the set before, if it is this word."""
    past = state.judgements.get(group.name)
    if past is None or origin.job is None:
        return None
    word = Word.APPROVED if kind is Approved else Word.REJECTED
    return next((one for one in past.by_job(origin.job) if (one.digest, one.word) == (digest, word)), None)


def _checked(group: Group, state: State, digest: str, seen: int | None) -> dict[str, str]:
    """The members of the set that was shown, if that is what would be released."""
    verdict, manifest = weigh(group, state)
    if manifest is None:
        raise JudgementRefused(f"There is no set to say anything of.\n{verdict.as_text()}")
    found = digest_of_release(manifest)
    if found != digest:
        raise SetChanged(
            f'Group "{group.name}": the set has changed. Shown was {digest[:_SHOWN]}, in staging is {found[:_SHOWN]}'
            f" now. Look at what that one changes with `lockstep diff {group.name}`."
        )
    if verdict.status is Status.NOTHING_NEW:
        raise JudgementRefused(
            f'Group "{group.name}": set {digest[:_SHOWN]} is in production already. To leave it, `lockstep rollback'
            f" {group.name}`."
        )
    if seen is not None and moved_since(group, state, seen):
        raise SetChanged(
            f'Group "{group.name}": what set {digest[:_SHOWN]} would change is another thing now: since it was shown,'
            f" production has moved. Look again with `lockstep diff {group.name}`."
        )
    return {key: member["digest"] for key, member in manifest["members"].items()}
