"""What was done with a group, newest first, and the decision diffs that are kept of its sets.

Rules:
- Which diffs are kept is listed anew after a moment: nothing in the log says that one has come.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from lockstep.registry.past import Hold, Judgement, Release, Staging
from lockstep_airflow.ui import shapes
from lockstep_airflow.ui.book import Book, Happened
from lockstep_airflow.ui.kept import Kept
from lockstep_airflow.ui.reading import told
from lockstep_airflow.ui.said import said
from lockstep_airflow.ui.world import Place

_LOOK_AGAIN: Final = 1.0  # seconds
_listed: Final = Kept[frozenset[str]](2_000)


def history(place: Place, kinds: Sequence[str], before: int | None, limit: int) -> shapes.History:
    """Events of all kinds, or of some."""
    book = place.book
    found = [one for one in book.events(place.group.name) if not kinds or kind_of(one) in kinds]
    found.sort(key=lambda one: one.recorded.number, reverse=True)
    shown = [one for one in found if before is None or one.recorded.number < before][: limit + 1]
    diffs = sets_with_diffs(place)
    return {
        "total": len(found),
        "events": [event(book, one, diffs) for one in shown[:limit]],
        "next": shown[limit - 1].recorded.number if len(shown) > limit else None,
    }


def kind_of(happened: Happened) -> shapes.HistoryKind:
    """What was done, in one word."""
    match happened.what:
        case Staging():
            return "promoted"
        case Release(left=None):
            return "released"
        case Release():
            return "rolled_back"
        case Judgement() as judgement:
            return judgement.word.value
        case Hold() as hold:
            return "held" if hold.is_on else "resumed"


def event(book: Book, happened: Happened, diffs: frozenset[str]) -> shapes.HistoryEvent:
    """An event in the shape of the answers."""
    what, production = happened.what, book.state.production(happened.group)
    digest = what.digest if isinstance(what, Release | Judgement) else None
    is_production = production is not None and digest == production.digest
    return {
        "kind": kind_of(happened),
        "said": said(happened.recorded),
        "digest": digest,
        "left": what.left if isinstance(what, Release) else None,
        "members": _members(book, happened),
        "is_production": is_production,
        "can_go_back": isinstance(what, Release) and not is_production and _is_there(book, what.members),
        "has_diff": digest in diffs,
    }


def _members(book: Book, happened: Happened) -> dict[str, str]:
    match happened.what:
        case Staging(members=members) | Release(members=members) | Judgement(members=members):
            return book.refs(members)
        case _:
            return {}


def _is_there(book: Book, members: Mapping[str, str]) -> bool:
    versions = [book.member(key, digest) for key, digest in members.items()]
    return all(version is not None and not book.state.is_removed(version) for version in versions)


def sets_with_diffs(place: Place) -> frozenset[str]:
    """The digests of the group's sets of which a diff is kept."""
    objects = place.seen.objects
    if objects is None:
        return frozenset()
    folder = f"diffs/{place.group.name}"

    def listed() -> frozenset[str]:
        with told():
            return frozenset(path.split("/")[2] for path in objects.names(f"{folder}/"))

    moment = int(time.monotonic() / _LOOK_AGAIN)
    return _listed.made((place.seen.address, folder, moment), listed)
