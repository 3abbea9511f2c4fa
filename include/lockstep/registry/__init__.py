"""The registry: an append-only log of facts, the objects it speaks of, and the state it adds up to.

Rules: see the modules; `entries` and `fold` do no I/O, `objects` knows no log, `log` knows no rules of release.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Self

from lockstep.registry.access import Access
from lockstep.registry.canonical import canonical_json, digest_of, sha256_of
from lockstep.registry.commit import commit_of
from lockstep.registry.entries import (
    Approved,
    Entry,
    Fact,
    Held,
    Job,
    ModelTrained,
    Origin,
    Promoted,
    Rejected,
    Released,
    Removed,
    Resumed,
    RolledBack,
    SnapshotTaken,
    ThresholdTuned,
)
from lockstep.registry.fold import fold
from lockstep.registry.folder import files_of, put_folder, read_manifest
from lockstep.registry.log import Log, Proposal
from lockstep.registry.objects import Listed, ObjectRef, Objects
from lockstep.registry.past import Hold, Judgement, Past, Recorded, Release, Staging, Version, Word
from lockstep.registry.state import Stage, State, folder_of, model_key, threshold_key

__all__ = [
    "REGISTRY_VARIABLE",
    "Access",
    "Approved",
    "Entry",
    "Fact",
    "Held",
    "Hold",
    "Job",
    "Judgement",
    "Listed",
    "Log",
    "ModelTrained",
    "ObjectRef",
    "Objects",
    "Origin",
    "Past",
    "Promoted",
    "Proposal",
    "Recorded",
    "Registry",
    "Rejected",
    "Release",
    "Released",
    "Removed",
    "Resumed",
    "RolledBack",
    "SnapshotTaken",
    "Stage",
    "Staging",
    "State",
    "ThresholdTuned",
    "Version",
    "Word",
    "canonical_json",
    "commit_of",
    "digest_of",
    "files_of",
    "fold",
    "folder_of",
    "model_key",
    "put_folder",
    "read_manifest",
    "sha256_of",
    "threshold_key",
]


REGISTRY_VARIABLE: Final = "LOCKSTEP_REGISTRY"  # names the registry where no other word does


class Registry:
    """Objects and their log under one root."""

    def __init__(self, objects: Objects, log: Log) -> None:
        self.objects = objects
        self.log = log

    @classmethod
    def open(cls, uri: str, *, clock: Callable[[], datetime] | None = None, access: Access | None = None) -> Self:
        """Open the registry at a folder, `memory://…`, `gs://…`, `s3://…` or `az://…`; see `Objects.open`.

        Raises:
            UsageError: no such kind of address.
            StoreUnusable: the place can't be used.
        """
        objects = Objects.open(uri, access=access)
        return cls(objects, Log(objects, clock=clock) if clock else Log(objects))

    @property
    def uri(self) -> str:
        """The address that opens it again."""
        return self.objects.uri

    def now(self) -> datetime:
        """The time by the clock that stamps the entries."""
        return self.log.now()

    def state(self) -> State:
        """The state now; only entries that are new are read."""
        return self.log.read()

    def record(self, propose: Proposal, origin: Origin) -> Entry | None:
        """Append the fact that `propose` makes of the newest state; see `Log.append`."""
        return self.log.append(propose, origin)
