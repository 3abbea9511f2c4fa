"""Search over groups, nodes, versions, releases, jobs, commits and files.

Rules:
- Of a group that the user may not see nothing is found.
- What is found exactly comes first, then what begins so, then what holds it; of equals, the newest.
- A hash is found by its first six characters; a file by its path in the registry, or by its address.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from lockstep.registry.past import Release
from lockstep_airflow.ui import shapes_of_data
from lockstep_airflow.ui.book import Happened, key_at
from lockstep_airflow.ui.declarations import Declaration
from lockstep_airflow.ui.history import kind_of
from lockstep_airflow.ui.index import SHORTEST, Index, Item
from lockstep_airflow.ui.kept import Kept
from lockstep_airflow.ui.readers import Seen
from lockstep_airflow.ui.versions import has
from lockstep_airflow.ui.world import Scene

MOST: Final = 50
_NEWEST: Final = 5  # versions of a name
LONGEST: Final = 400  # characters of a query
_HASH: Final = re.compile(r"[0-9a-f]{6,64}")
_SHA: Final = re.compile(r"[0-9a-f]{64}")
_EXACT, _BEGINS, _HOLDS = 0, 1, 2
Ranked = tuple[int, int, shapes_of_data.Hit]
_indexes: Final = Kept[Index](64)


def search(scene: Scene, query: str) -> shapes_of_data.Found:
    """What is found, best first."""
    wanted = " ".join(query.split()).lower()[:LONGEST]
    found: list[Ranked] = []
    if wanted:
        found += _names(scene, wanted)
        found += _refs(scene, wanted)
        for seen in scene.registries.values():
            if seen.book is not None:
                found += _recorded(scene, seen, wanted)
    hits: dict[tuple[Any, ...], shapes_of_data.Hit] = {}
    for _, _, hit in sorted(found, key=lambda one: one[:2]):
        hits.setdefault((hit["what"], hit["title"], hit["group"], hit["ref"], hit["digest"]), hit)
    some = list(hits.values())[:MOST]
    return {"query": query, "hits": some, "more": len(hits) > MOST, "problems": scene.problems()}


def _rank(name: str, wanted: str) -> int | None:
    if name == wanted:
        return _EXACT
    return _BEGINS if name.startswith(wanted) else _HOLDS if wanted in name else None


def _names(scene: Scene, wanted: str) -> Iterator[Ranked]:
    for group in scene.declared.values():
        if (rank := _rank(group.name, wanted)) is not None:
            nodes = len(group.nodes)
            yield rank, 0, _hit("group", group.name, f"release group of {nodes} nodes", group)
        for node in group.nodes.values():
            if (rank := _rank(node.name, wanted)) is not None:
                yield rank, 1, _hit("node", node.name, f"{node.kind} of {group.name}", group, node=node.name)


def _refs(scene: Scene, wanted: str) -> Iterator[Ranked]:
    """The version that is named; of a name alone, its newest."""
    name, at, number = wanted.partition("@")
    for group in scene.declared.values():
        book, node = scene.seen(group).book, group.nodes.get(name)
        if book is None or node is None:
            continue
        if not at:
            versions = book.versions(node.kind, name)
            for version in reversed(versions[-_NEWEST:]):
                yield _EXACT, 2, _version(group, version)
        elif number.isdecimal() and has(book, node.kind, name, number):
            yield _EXACT, 2, _version(group, book.versions(node.kind, name)[int(number) - 1])


def _recorded(scene: Scene, seen: Seen, wanted: str) -> Iterator[Ranked]:
    if seen.book is None:
        return
    index = _indexes.made(seen.address, Index).of(seen.book)
    homes = _Homes(scene, seen)
    for sha in _SHA.findall(wanted) if not _HASH.fullmatch(wanted) else [wanted]:
        is_file = "/" in wanted
        for found, role, item in index.by_hash(sha, MOST * 4):
            if (group := homes.of(item)) is None:
                continue
            rank = _EXACT if found == sha else _BEGINS
            yield rank, 3, _by_hash(group, item, role, found, wanted if is_file else None)
    if len(wanted) >= SHORTEST:
        for job, items in index.by_job(wanted, MOST * 2):
            for group, done in homes.apart(items):
                is_end = job.endswith(wanted)
                yield (_BEGINS if is_end else _HOLDS), 5, _job(group, done)


class _Homes:
    """The group on whose pages something of a registry is shown."""

    def __init__(self, scene: Scene, seen: Seen) -> None:
        self._groups = {
            name: group for name, group in scene.declared.items() if scene.seen(group).address == seen.address
        }
        self._of_node: dict[str, Declaration] = {}
        for group in self._groups.values():
            for node in group.nodes.values():
                self._of_node.setdefault(f"{node.kind}:{node.name}", group)

    def of(self, item: Item) -> Declaration | None:
        """None where there is none that may be seen."""
        return self._groups.get(item.group) if isinstance(item, Happened) else self._of_node.get(key_at(item))

    def apart(self, items: Iterable[Item]) -> Iterator[tuple[Declaration, list[Item]]]:
        """Items by group."""
        found: dict[str, list[Item]] = {}
        for item in items:
            if (group := self.of(item)) is not None:
                found.setdefault(group.name, []).append(item)
        for name, those in found.items():
            yield self._groups[name], those


def _by_hash(group: Declaration, item: Item, role: str, found: str, file: str | None) -> shapes_of_data.Hit:
    if isinstance(item, Happened):
        if role == "commit":
            return _hit("commit", found[:12], f"{_did(item)} at this commit", group)
        return _hit("release", found[:12], _did(item), group, digest=found)
    if role == "commit":
        return _hit("commit", found[:12], f"{item.ref} was made at this commit", group, ref=item.ref, node=item.name)
    if role == "source":
        says = f"{item.ref} was made from it"
        return _hit("file", f"sources/{found}.tar.gz", says, group, ref=item.ref, node=item.name)
    if file is not None:
        return _hit("file", file, f"belongs to {item.ref}", group, ref=item.ref, node=item.name)
    return _version(group, item)


def _version(group: Declaration, version: Any) -> shapes_of_data.Hit:  # noqa: ANN401  of each kind
    made = f"{version.recorded.at.date()} by {version.recorded.origin.by}"
    kind = group.nodes[version.name].kind
    says = f"{'snapshot' if kind == 'dataset' else f'{kind} version'} of {made}"
    return _hit("version", version.ref, says, group, ref=version.ref, node=version.name)


def _job(group: Declaration, items: list[Item]) -> shapes_of_data.Hit:
    job = items[-1].recorded.origin.job
    title = f"{job.run}/{job.task}" if job and job.task and job.system == "airflow" else job.run if job else ""
    refs = [item.ref for item in items if not isinstance(item, Happened)]
    did = [_did(item) for item in items if isinstance(item, Happened)]
    says = "; ".join([f"made {', '.join(refs[:5])}{' …' if len(refs) > 5 else ''}"] * bool(refs) + did[:3])  # noqa: PLR2004  as many as a line takes
    return _hit("job", title, says, group, ref=refs[0] if refs else None)


def _did(happened: Happened) -> str:
    word = kind_of(happened).replace("_", " ")
    to = " to" if isinstance(happened.what, Release) and happened.what.left else ""
    return f"{happened.group} {word}{to}, {happened.recorded.at.date()} by {happened.recorded.origin.by}"


def _hit(
    what: Any,  # noqa: ANN401  one of the words of the shape
    title: str,
    says: str,
    group: Declaration,
    *,
    ref: str | None = None,
    digest: str | None = None,
    node: str | None = None,
) -> shapes_of_data.Hit:
    return {
        "what": what,
        "title": title,
        "says": says,
        "group": group.name,
        "ref": ref,
        "digest": digest,
        "node": node,
    }
