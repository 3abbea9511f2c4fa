"""Versions whose files were removed: what is said of them wherever somebody needs their files.

Rules:
- What the log says of a version stays when its files go; only what needs the files is refused.
- A removed version is told as such, never as damage: there is nothing to restore.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lockstep.errors import ObjectMissing, VersionRemoved
from lockstep.registry.entries import SnapshotTaken, ThresholdTuned
from lockstep.registry.lineage import AnyVersion
from lockstep.registry.state import State, folder_of


def removal(state: State, version: AnyVersion) -> str | None:
    """Why the version's files are gone, and what to do, as two sentences; None if they are there."""
    folder = folder_of(version.fact.manifest.path)
    if folder not in state.removed:
        return None
    match version.fact:
        case SnapshotTaken():
            kind, way_out = "Snapshot", "Take a snapshot of the data as it is now"
        case ThresholdTuned():
            kind, way_out = "Threshold version", "Tune it again"
        case _:
            kind, way_out = "Model version", "Train it again"
    entry = state.removed[folder]
    return f"{kind} {version.ref}: its files were removed by log entry {entry}; what the log says stays. {way_out}."


def check_kept(state: State, *versions: AnyVersion) -> None:
    """Refuse versions whose files are gone.

    Raises:
        VersionRemoved: those of one were removed.
    """
    for version in versions:
        gone = removal(state, version)
        if gone:
            raise VersionRemoved(gone)


@contextmanager
def told_if_removed(state: Callable[[], State], version: AnyVersion) -> Iterator[None]:
    """Within it, a file that is missing because the version was removed is told as that; `state` reads the log.

    Raises:
        VersionRemoved: a file is missing, and the log says that it was removed.
    """
    try:
        yield
    except ObjectMissing as missing:
        gone = removal(state(), version)
        if gone:
            raise VersionRemoved(gone) from missing
        raise
