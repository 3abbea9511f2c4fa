"""The facts of the log, and how one is written and read.

Rules:
- A fact is past tense and complete: whoever folds it needs no other file.
- An entry carries its protocol, its number, the SHA-256 of the entry before it, who, when, why, from which job, and a
  nonce by which its writer knows it again.
- From protocol 2 on an entry ends with a seal, the SHA-256 of all that stands before it. A changed entry is noticed by
  itself, and not only by the one that follows.
- It says which Lockstep it needs, so that an older one can tell what to install.
- `encode` and `decode` are each other's inverse; an entry that is not exactly of this form is refused.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from lockstep.errors import LogDamaged, ProtocolTooNew
from lockstep.registry.canonical import canonical_json, digest_of, sha256_of
from lockstep.registry.objects import ObjectRef

PROTOCOLS: Final = {1: "0.1.0", 2: "0.2.0", 3: "0.3.0"}  # each with the first Lockstep that reads it
PROTOCOL: Final = max(PROTOCOLS)
FOLDER: Final = "log"
DISTRIBUTION: Final = "airflow-provider-lockstep"
GENESIS: Final = "0" * 64
MOST_BYTES: Final = 4 << 20  # of an entry; one of 300 members takes about 40 kB
_VERSION: Final = re.compile(r"[0-9][0-9A-Za-z.]{0,30}")
_SEALED_FROM: Final = 2  # the first protocol whose entries end with a seal
_SEAL: Final = b',"seal":"'  # "seal" sorts behind every other key, so it stands last in canonical JSON


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

    @property
    def key(self) -> str:
        """A short hash of system, run and task: equal for all attempts of a job."""
        return digest_of([self.system, self.run, self.task])[:16]

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
    """A threshold was chosen for one model version, that of digest `model_digest`.

    Attributes:
        value: in the unit of the score, where one number decides; None where it takes several.
        rule: those, as `lockstep.decisions.rule` reads them; None where `value` says it. Since protocol 3.
    """

    kind: Literal["threshold_tuned"] = "threshold_tuned"
    threshold: str
    digest: str
    manifest: ObjectRef
    recipe: str
    model: str
    model_digest: str
    value: float | None
    rule: dict[str, Any] | None = None


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
    """A group went from release `left` to the earlier release `digest`, all at once.

    Since protocol 3 the group is on hold behind it.
    """

    kind: Literal["rolled_back"] = "rolled_back"
    group: str
    digest: str
    manifest: ObjectRef
    members: dict[str, str]
    left: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Versions whose files are deleted behind this entry; what the log says of them stays. Since protocol 2.

    Attributes:
        folders: where they stand, as `models/churn/<digest>`; none of these names is ever used again.
        size: of all their files, in bytes.
    """

    kind: Literal["removed"] = "removed"
    folders: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """Somebody let the set `digest` of a group be released, having seen what it changes. Since protocol 3."""

    kind: Literal["approved"] = "approved"
    group: str
    digest: str
    members: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Somebody refused the set `digest` of a group, which is released only if approved later. Since protocol 3."""

    kind: Literal["rejected"] = "rejected"
    group: str
    digest: str
    members: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Nothing of a group is released until somebody lifts the hold. Since protocol 3."""

    kind: Literal["held"] = "held"
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """The hold on a group was lifted. Since protocol 3."""

    kind: Literal["resumed"] = "resumed"
    group: str


Made = SnapshotTaken | ModelTrained | ThresholdTuned  # each is a version, with a manifest
Moved = Promoted | Released | RolledBack
Judged = Approved | Rejected
Fact = Made | Moved | Removed | Judged | Held | Resumed


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of the log. `previous` is the SHA-256 of the entry before it, or zeros."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    protocol: int = PROTOCOL
    needs: str = PROTOCOLS[PROTOCOL]
    number: int
    previous: str
    nonce: str
    at: datetime
    origin: Origin
    fact: Annotated[Fact, Field(discriminator="kind")]


_ADAPTER: Final = TypeAdapter(Entry)


def path_of(number: int) -> str:
    """The name of entry `number`."""
    return f"{FOLDER}/{number:020d}.json"


def encode(entry: Entry) -> bytes:
    """The entry as canonical JSON, sealed.

    Raises:
        ValueError: `decode` would not read it, because a value is of another type than its field, or it is too large.
            Once written, such an entry would lock the log for good.
    """
    body = canonical_json(_ADAPTER.dump_python(entry, mode="json", warnings="none"))
    try:
        _ADAPTER.validate_json(body)
    except ValidationError as error:
        raise ValueError(f"Log entry {entry.number} was not written: {_first_of(error)}.") from None
    data = body if entry.protocol < _SEALED_FROM else _sealed(body)
    if len(data) > MOST_BYTES:
        raise ValueError(
            f"Log entry {entry.number} was not written: it has {len(data)} bytes; allowed are {MOST_BYTES}. Shorten its"
            " parameters or its reason."
        )
    return data


def decode(data: bytes, *, number: int, previous: str) -> Entry:
    """Read the entry that stands at `number`, behind the entry of SHA-256 `previous`.

    Raises:
        ProtocolTooNew: a newer Lockstep wrote it; the message says which one to install.
        LogDamaged: it is not an entry, or does not belong at this place.
    """
    if len(data) > MOST_BYTES:
        raise _damaged(number, f"it has {len(data)} bytes; an entry has at most {MOST_BYTES}")
    if b"\n" in data:
        raise _damaged(number, "it holds a line break, and an entry is one line")
    body, seal = _unsealed(data)
    try:
        entry = _ADAPTER.validate_json(body)
    except ValidationError as error:
        _refuse_newer(data, number)
        raise _damaged(number, _first_of(error)) from None
    _refuse_newer(data, number, entry.protocol)
    if (seal is None) == (entry.protocol >= _SEALED_FROM) or seal not in (None, sha256_of(body)):
        raise _damaged(number, "its bytes are not those that it was sealed with")
    if entry.number != number or entry.previous != previous:
        raise LogDamaged(
            f"Log entry {number} does not follow entry {number - 1}: it says number {entry.number} behind"
            f" {entry.previous[:12]}…, expected {number} behind {previous[:12]}…. Nothing is written until the log is"
            " restored from a copy."
        )
    return entry


def _sealed(body: bytes) -> bytes:
    return body[:-1] + _SEAL + sha256_of(body).encode() + b'"}'


def _unsealed(data: bytes) -> tuple[bytes, str | None]:
    """What was sealed, and the seal; None where there is none."""
    at = len(data) - len(_SEAL) - 64 - len(b'"}')
    if at < 0 or data[at : at + len(_SEAL)] != _SEAL or not data.endswith(b'"}'):
        return data, None
    return data[:at] + b"}", data[at + len(_SEAL) : -2].decode(errors="replace")


def _damaged(number: int, why: str) -> LogDamaged:
    return LogDamaged(f"Log entry {number} can't be read: {why}. Nothing is written until it is restored from a copy.")


def _refuse_newer(data: bytes, number: int, protocol: int | None = None) -> None:
    """Refuse an entry of a protocol that is not known here; of such an entry only two fields are sure."""
    if protocol is not None and protocol <= PROTOCOL:
        return
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return  # no JSON at all: damage, not a newer protocol
    protocol = found.get("protocol") if isinstance(found, dict) else None
    if isinstance(protocol, int) and protocol > PROTOCOL:
        needs = found.get("needs")
        is_version = isinstance(needs, str) and _VERSION.fullmatch(needs)
        wanted = f"{DISTRIBUTION}>={needs}" if is_version else f"a newer {DISTRIBUTION}"
        raise ProtocolTooNew(
            f"Log entry {number} has protocol {protocol}; this Lockstep reads up to {PROTOCOL}. Install {wanted}."
        )


def _first_of(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'the file'}: {first['msg']}"
