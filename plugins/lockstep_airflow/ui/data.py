"""The datasets of a group: their snapshots, and which of them production was trained on."""

from typing import Final

from lockstep.registry.lineage import AnyVersion
from lockstep_airflow.ui import shapes_of_data
from lockstep_airflow.ui.book import Book
from lockstep_airflow.ui.declarations import Node
from lockstep_airflow.ui.group import standing
from lockstep_airflow.ui.said import said
from lockstep_airflow.ui.world import Place

_MOST: Final = 200


def data(place: Place) -> shapes_of_data.DataPage:
    """The page."""
    return {"datasets": [_dataset(place, node) for node in place.group.datasets]}


def _dataset(place: Place, node: Node) -> shapes_of_data.DatasetRow:
    book = place.book
    reference = standing(place.group, node, book)[0]
    snapshots = list(book.versions("dataset", node.name))[-_MOST:]
    return {
        "name": node.name,
        "source": node.description,
        "deprecated": node.deprecated,
        "reference": reference.ref if reference else None,
        "snapshots": [snapshot_row(book, one) for one in reversed(snapshots)],
    }


def snapshot_row(book: Book, version: AnyVersion) -> shapes_of_data.SnapshotRow:
    """A snapshot in a list."""
    return {
        "ref": version.ref,
        "digest": version.digest,
        "said": said(version.recorded),
        "rows": getattr(version.fact, "rows", 0),
        "quarantined": getattr(version.fact, "quarantined", 0),
        "removed": book.state.is_removed(version),
    }
