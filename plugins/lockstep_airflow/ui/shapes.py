"""The answers' shapes, as `ui/src/api/types.ts` declares them; a test holds both against each other.

Rules:
- A shape has the name of its interface, and its fields, in Python's words for their types.
- An object that has no name in the interfaces has one here.
"""

from typing import Any, Literal, TypedDict

Kind = Literal["dataset", "model", "threshold", "api"]
Stage = Literal["candidate", "staging", "production", "archived"]
GateStatus = Literal["open", "closed", "nothing new"]
DagName = Literal["retrain", "promote", "release", "rollback", "hold", "resume", "watch"]
HistoryKind = Literal["released", "rolled_back", "promoted", "approved", "rejected", "held", "resumed"]
EdgeKind = Literal["data", "builds_on", "score", "decides", "explains", "agrees"]


class Job(TypedDict):
    """In which job something was done."""

    system: str
    run: str
    task: str
    attempt: int
    log: str
    commit: str
    dag_id: str | None
    run_id: str | None
    task_id: str | None
    console: str | None


class Said(TypedDict):
    """Who did something, when, why, in which job."""

    entry: int
    at: str
    by: str
    why: str
    job: Job | None


# ------------------------------------------------------------------------------------------------------------- groups


class Gate(TypedDict):
    """What the gate of a group says, in short."""

    status: GateStatus
    reasons: list[str]
    blocked: int


class ProductionSummary(TypedDict):
    """What is in production."""

    release: str
    said: Said


class Due(TypedDict):
    """That a group is to be retrained."""

    at: str
    says: str


class Counts(TypedDict):
    """How much there is of a group."""

    models: int
    thresholds: int
    apis: int
    versions: int


class Worst(TypedDict):
    """The column that has moved most."""

    column: str
    psi: float


class DriftSummary(TypedDict):
    """The newest snapshot against production's."""

    reference: str
    current: str
    drifted: bool
    worst: Worst | None
    says: str


class Waiting(TypedDict):
    """A question that waits for a person."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    subject: str
    body: str
    since: str
    set: str | None
    may_answer: bool
    reason: str


class GroupSummary(TypedDict):
    """A group in the list."""

    name: str
    registry: str
    problem: str | None
    gate: Gate | None
    production: ProductionSummary | None
    hold: Said | None
    waiting: Waiting | None
    drift: DriftSummary | None
    due: Due | None
    warnings: int
    counts: Counts


class Groups(TypedDict):
    """All groups that may be seen."""

    groups: list[GroupSummary]
    problem: str | None


# ------------------------------------------------------------------------------------------------------------ a group


class MemberSays(TypedDict):
    """What the verdict says of a member."""

    kind: Kind
    name: str
    version: str | None
    reasons: list[str]
    fits: bool


class ConditionSays(TypedDict):
    """How a condition was weighed."""

    condition: str
    holds: bool
    says: str


class Verdict(TypedDict):
    """The verdict of the gate."""

    status: GateStatus
    head: int
    reasons: list[str]
    members: list[MemberSays]
    conditions: list[ConditionSays]
    approved: str


class Running(TypedDict):
    """A run that has not ended."""

    run_id: str
    state: str
    since: str | None


class DagAction(TypedDict):
    """One of the group's DAGs."""

    dag_id: str
    exists: bool
    paused: bool
    may_run: bool
    reason: str
    running: Running | None


class NodeVersion(TypedDict):
    """A version where it stands."""

    ref: str
    digest: str
    stage: Stage | None
    at: str
    by: str
    figures: dict[str, float | None]
    missed: list[str]


class GraphNode(TypedDict):
    """A node of the graph."""

    name: str
    kind: Kind
    description: str
    deprecated: str | None
    deprecated_after: str | None
    only_for: list[str] | None
    shared: bool
    production: NodeVersion | None
    staging: NodeVersion | None
    candidate: NodeVersion | None
    blocks: list[str]
    stale: list[str]
    consumers: list[str]
    versions: int


GraphEdge = TypedDict("GraphEdge", {"from": str, "to": str, "kind": EdgeKind, "blocks": list[str]})


class Warning(TypedDict):  # noqa: A001  the name of the interface
    """What should be looked at."""

    group: str
    node: str
    kind: Literal["deprecated", "deprecated_after", "only_for", "missed", "stale"]
    is_error: bool
    says: str


class ReleaseRow(TypedDict):
    """What is in production, and what is before it."""

    digest: str
    said: Said
    members: dict[str, str]
    previous: str | None


class GroupPage(TypedDict):
    """All of a group but its past."""

    name: str
    registry: str
    problem: str | None
    head: int
    verdict: Verdict | None
    hold: Said | None
    waiting: Waiting | None
    production: ReleaseRow | None
    staging_set: str | None
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    dags: dict[DagName, DagAction]
    warnings: list[Warning]
    approval: bool
    retrain_when: str | None


# ----------------------------------------------------------------------------------------------------------- versions


class VersionRow(NodeVersion):
    """A version in a list."""

    name: str
    kind: Literal["snapshot", "model", "threshold"]
    said: Said
    removed: bool


class Versions(TypedDict):
    """A page of versions, newest first."""

    total: int
    versions: list[VersionRow]
    next: int | None


class Curve(TypedDict):
    """A curve, point by point."""

    name: str
    x_label: str
    y_label: str
    x: list[float]
    y: list[float]


class Source(TypedDict):
    """The code that made a version."""

    sha256: str
    path: str
    commit: str
    dirty: bool


class HeldBy(TypedDict):
    """A release that holds a version."""

    digest: str
    did: Literal["released", "rolled_back"]
    said: Said
    is_production: bool


class Calibration(TypedDict):
    """How far probabilities can be taken at their word."""

    predicted: list[float]
    observed: list[float]
    brier_score: float


class Interval(TypedDict):
    """Where a threshold's value may lie."""

    low: float
    high: float


class FileRow(TypedDict):
    """A file of a version."""

    path: str
    sha256: str
    size: int


class Onnx(TypedDict):
    """Whether ONNX Runtime answers for a model."""

    used: bool
    largest_difference: float | None
    reason: str


class VersionPage(VersionRow):
    """All of a version."""

    parameters: dict[str, Any]
    source: Source | None
    made_from: list[VersionRow]
    made_into: list[VersionRow]
    promotions: list[Said]
    releases: list[HeldBy]
    curves: list[Curve]
    calibration: Calibration | None
    policy: str | None
    rule: str | None
    interval: Interval | None
    rows: dict[str, int]
    expects: dict[str, str]
    estimator: dict[str, str]
    files: list[FileRow]
    libraries: dict[str, str]
    onnx: Onnx | None
    importance: dict[str, float] | None
    manifest: Any


# ------------------------------------------------------------------------------------------------------------ history


class HistoryEvent(TypedDict):
    """Something that was done with a group."""

    kind: HistoryKind
    said: Said
    digest: str | None
    left: str | None
    members: dict[str, str]
    is_production: bool
    can_go_back: bool
    has_diff: bool


class History(TypedDict):
    """A page of events, newest first."""

    total: int
    events: list[HistoryEvent]
    next: int | None
