"""What should be looked at: deprecated data, exclusive use, expectations that were missed, newer data."""

from collections.abc import Iterator
from datetime import date

from lockstep.registry.entries import ModelTrained
from lockstep.registry.lineage import AnyVersion
from lockstep_airflow.ui import shapes, shapes_of_data
from lockstep_airflow.ui.book import Book
from lockstep_airflow.ui.declarations import Declaration, Node
from lockstep_airflow.ui.world import Scene


def warnings(scene: Scene) -> shapes_of_data.Warnings:
    """Of all groups; what keeps something from being promoted or released comes first."""
    found = [
        warning
        for group in scene.declared.values()
        for warning in warnings_of(group, scene.seen(group).book, scene.today)
    ]
    return {"warnings": sorted(found, key=lambda one: not one["is_error"]), "problems": scene.problems()}


def warnings_of(group: Declaration, book: Book | None, today: date) -> list[shapes.Warning]:
    """Of one group."""
    return [*_declared(group, today), *(_recorded(group, book) if book is not None else ())]


def _declared(group: Declaration, today: date) -> Iterator[shapes.Warning]:
    for node in group.nodes.values():
        if node.deprecated is not None:
            yield from _deprecated(group, node, today)
        if node.only_for is not None:
            says = f"{node.name} is only for {', '.join(node.only_for)}: whatever else uses it is refused."
            yield _warning(group, node.name, "only_for", says, is_error=False)


def _deprecated(group: Declaration, node: Node, today: date) -> Iterator[shapes.Warning]:
    until = node.deprecated_after
    users = ", ".join(model.name for model in group.group.models if model.dataset == node.name)
    is_over = until is not None and today > until
    if is_over:
        says = f"{node.name} is deprecated since {until}: {node.deprecated}. {users} can't be promoted any more."
        yield _warning(group, node.name, "deprecated_after", says, is_error=True)
    else:
        after = f" After {until}, {users} can't be promoted any more." if until else f" {users} uses it."
        yield _warning(group, node.name, "deprecated", f"{node.name} is deprecated: {node.deprecated}.{after}")


def _recorded(group: Declaration, book: Book) -> Iterator[shapes.Warning]:
    for model in group.group.models:
        versions = book.versions("model", model.name)
        if versions and isinstance(versions[-1].fact, ModelTrained) and versions[-1].fact.missed:
            missed = "; ".join(versions[-1].fact.missed)
            says = f"{versions[-1].ref} can't be promoted: {missed}"
            yield _warning(group, model.name, "missed", says, is_error=True)
        if (current := current_of(book, model.name)) is not None:
            for says in stale(book, current):
                yield _warning(group, model.name, "stale", f"{current.ref}: {says}")


def current_of(book: Book, model: str) -> AnyVersion | None:
    """The version of a model that counts: in staging, else in production."""
    key = f"model:{model}"
    if digest := book.state.staging.get(key):
        return book.version("model", model, digest)
    digests = (members[key] for members in book.state.members.values() if key in members)
    digest = next(digests, None)
    return book.version("model", model, digest) if digest else None


def stale(book: Book, version: AnyVersion) -> list[str]:
    """Why a model version is not of today, in sentences."""
    trained = version.fact
    if not isinstance(trained, ModelTrained):
        return []
    used = book.version("dataset", trained.dataset, trained.snapshot)
    newest = book.versions("dataset", trained.dataset)
    if used is None or not newest or newest[-1].number <= used.number or newest[-1].digest == used.digest:
        return []
    return [f"a newer snapshot, {newest[-1].ref}, is there; it was trained on {used.ref}"]


def _warning(group: Declaration, node: str, kind: str, says: str, *, is_error: bool = False) -> shapes.Warning:
    return {"group": group.name, "node": node, "kind": kind, "is_error": is_error, "says": says}  # type: ignore[typeddict-item]
