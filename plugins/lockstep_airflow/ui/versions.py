"""The versions of a group, newest first, and the group on whose pages a version is shown."""

from collections.abc import Iterable
from itertools import islice

from fastapi import HTTPException

from lockstep.registry.lineage import AnyVersion
from lockstep_airflow.ui import shapes, shapes_of_data
from lockstep_airflow.ui.book import Book
from lockstep_airflow.ui.declarations import Declaration
from lockstep_airflow.ui.said import version_row
from lockstep_airflow.ui.world import Place, Scene


def versions(place: Place, node: str | None, stage: str | None, before: int | None, limit: int) -> shapes.Versions:
    """Those of one node or of all, in one stage or in any."""
    if node is not None and node not in place.group.nodes:
        raise HTTPException(404, f'There is no node "{node}" in release group "{place.group.name}".')
    book = place.book
    names = [node] if node is not None else list(place.group.nodes)
    found = [version for name in names for version in book.versions(place.group.nodes[name].kind, name)]
    if stage is not None:
        found = [version for version in found if (at := book.stage(version)) is not None and at.value == stage]
    found.sort(key=lambda version: version.recorded.number, reverse=True)
    shown = list(islice((one for one in found if before is None or one.recorded.number < before), limit + 1))
    return {
        "total": len(found),
        "versions": [version_row(book, version) for version in shown[:limit]],
        "next": shown[limit - 1].recorded.number if len(shown) > limit else None,
    }


def version_in(place: Place, ref: str) -> AnyVersion:
    """The version of that ref among those of the group's nodes; `churn` alone is the newest.

    Raises:
        HTTPException: 404 where there is none.
    """
    name, has_number, _ = ref.partition("@")
    node = place.group.nodes.get(name)
    found = place.book.versions(node.kind, name) if node else ()
    if not has_number and found:
        return found[-1]
    version = _numbered(found, ref)
    if version is None:
        known = f' "{name}" has {len(found)} versions.' if node else f" The group has {', '.join(place.group.nodes)}."
        raise HTTPException(404, f'There is no version "{ref}" in release group "{place.group.name}".{known}')
    return version


def _numbered(found: Iterable[AnyVersion], ref: str) -> AnyVersion | None:
    return next((version for version in found if version.ref == ref), None)


def place_of(scene: Scene, ref: str) -> shapes_of_data.Place:
    """The first group, of those that may be seen, that has a version of that ref, or of that name."""
    group = home_of(scene, ref)
    if group is None:
        raise HTTPException(404, f'There is no version "{ref}" in a release group that you may read.')
    return {"group": group.name}


def home_of(scene: Scene, ref: str) -> Declaration | None:
    """That group; None where there is none."""
    name, _, number = ref.partition("@")
    for group in scene.declared.values():
        book, node = scene.seen(group).book, group.nodes.get(name)
        if book is not None and node is not None and has(book, node.kind, name, number):
            return group
    return None


def has(book: Book, kind: str, name: str, number: str) -> bool:
    """Whether there is a version of that number, or any where none is given."""
    count = len(book.versions(kind, name))
    return 1 <= int(number) <= count if number.isdecimal() else bool(count) and not number
