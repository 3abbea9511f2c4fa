"""The facts of the log, and how one is written and read.

Rules:
- A fact is past tense and complete: whoever folds it needs no other file.
- An entry carries its protocol, its number, the SHA-256 of the entry before it, who, when, why, from which job, and a
  nonce by which its writer knows it again.
- `encode` and `decode` are each other's inverse; an entry that is not exactly of this form is refused.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from lockstep.errors import LogDamaged, ProtocolTooNew
from lockstep.registry.canonical import canonical_json
from lockstep.registry.objects import ObjectRef

PROTOCOL: Final = 1
GENESIS: Final = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The run that made something.

    Attributes:
        system: "airflow", "cli", and later "vertex", "dataflow".
        run: for Airflow `dag_id/run_id`; elsewhere the id by which the system finds the run.
        log: where its log is read (a URL or a path), if there is one.
        commit: the git commit of the code.
    """

    system: str
    run: str
    task: str = ""
    attempt: int = 1
    log: str = ""
    commit: str = ""

    def is_same_as(self, other: "Job | None") -> bool:
        """Whether the other is this job, perhaps in another attempt."""
        return other is not None and (self.system, self.run, self.task) == (other.system, other.run, other.task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who does something, why, and in which job."""

    by: str
    why: str = ""
    job: Job | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotTaken:
    """A version of a dataset was written. `digest` hashes its content; rows are counted after and before quarantine."""

    kind: Literal["snapshot_taken"] = "snapshot_taken"
    dataset: str
    digest: str
    manifest: ObjectRef
    rows: int
    quarantined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTrained:
    """A candidate was trained.

    Attributes:
        recipe: hash of all that the training read: snapshot, upstream, parameters, source.
        snapshot: digest of the snapshot of `dataset`.
        upstream: model name → digest of the version it builds on.
        source: SHA-256 of the source archive.
        metrics: on the test split; None where one can't be computed.
        missed: a sentence for each expectation that was not met; such a version can't be promoted.
    """

    kind: Literal["model_trained"] = "model_trained"
    model: str
    digest: str
    manifest: ObjectRef
    recipe: str
    dataset: str
    snapshot: str
    upstream: dict[str, str]
    parameters: dict[str, Any]
    source: str
    metrics: dict[str, float | None]
    missed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdTuned:
    """A threshold was chosen for one model version, that of digest `model_digest`; `value` is in its score's unit."""

    kind: Literal["threshold_tuned"] = "threshold_tuned"
    threshold: str
    digest: str
    manifest: ObjectRef
    recipe: str
    model: str
    model_digest: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """Members (`model:name` or `threshold:name` → digest) moved to staging together."""

    kind: Literal["promoted"] = "promoted"
    group: str
    members: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A group's members went to production, all at once; `digest` names the release manifest."""

    kind: Literal["released"] = "released"
    group: str
    digest: str
    manifest: ObjectRef
    members: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """A group went from release `left` to the earlier release `digest`, all at once."""

    kind: Literal["rolled_back"] = "rolled_back"
    group: str
    digest: str
    manifest: ObjectRef
    members: dict[str, str]
    left: str


Fact = SnapshotTaken | ModelTrained | ThresholdTuned | Promoted | Released | RolledBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of the log. `previous` is the SHA-256 of the entry before it, or zeros."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    protocol: int = PROTOCOL
    number: int
    previous: str
    nonce: str
    at: datetime
    origin: Origin
    fact: Annotated[Fact, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnlyProtocol:
    protocol: int


_ADAPTER: Final = TypeAdapter(Entry)
_PROTOCOL_ADAPTER: Final = TypeAdapter(_OnlyProtocol)


def encode(entry: Entry) -> bytes:
    """The entry as canonical JSON.

    Raises:
        ValueError: `decode` would not read it, because a value is of another type than its field. Once written, such an
            entry would lock the log for good.
    """
    data = canonical_json(_ADAPTER.dump_python(entry, mode="json", warnings="none"))
    try:
        _ADAPTER.validate_json(data)
    except ValidationError as error:
        raise ValueError(f"Log entry {entry.number} was not written: {_first_of(error)}.") from None
    return data


def decode(data: bytes, *, number: int, previous: str) -> Entry:
    """Read the entry that stands at `number`, behind the entry of SHA-256 `previous`.

    Raises:
        ProtocolTooNew: a newer Lockstep wrote it.
        LogDamaged: it is not an entry, or does not belong at this place.
    """
    try:
        entry = _ADAPTER.validate_json(data)
    except ValidationError as error:
        newer = _protocol_of(data)
        if newer is not None and newer > PROTOCOL:
            raise ProtocolTooNew(
                f"Log entry {number} has protocol {newer}; this Lockstep reads up to {PROTOCOL}. Install a newer"
                " Lockstep."
            ) from None
        raise LogDamaged(
            f"Log entry {number} can't be read: {_first_of(error)}. Nothing is written until it is restored from a"
            " copy."
        ) from None
    if entry.protocol > PROTOCOL:
        raise ProtocolTooNew(
            f"Log entry {number} has protocol {entry.protocol}; this Lockstep reads up to {PROTOCOL}. Install a newer"
            " Lockstep."
        )
    if entry.number != number or entry.previous != previous:
        raise LogDamaged(
            f"Log entry {number} does not follow entry {number - 1}: it says number {entry.number} behind"
            f" {entry.previous[:12]}…, expected {number} behind {previous[:12]}…. Nothing is written until the log is"
            " restored from a copy."
        )
    return entry


def _first_of(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'the file'}: {first['msg']}"


def _protocol_of(data: bytes) -> int | None:
    try:
        return _PROTOCOL_ADAPTER.validate_json(data).protocol
    except ValidationError:
        return None
