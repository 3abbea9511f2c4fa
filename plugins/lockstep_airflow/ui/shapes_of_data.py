"""The shapes of the answers about data, and of those that lead across groups; see `shapes`."""

from typing import Literal, TypedDict

from lockstep_airflow.ui import shapes
from lockstep_airflow.ui.shapes import HistoryEvent, Said, VersionRow


class Bins(TypedDict):
    """A histogram of bins of one width."""

    start: float
    width: float
    counts: list[float]


class SnapshotRow(TypedDict):
    """A snapshot in a list."""

    ref: str
    digest: str
    said: Said
    rows: int
    quarantined: int
    removed: bool


class DatasetRow(TypedDict):
    """A dataset of a group, with its snapshots."""

    name: str
    source: str
    deprecated: str | None
    reference: str | None
    snapshots: list[SnapshotRow]


class DataPage(TypedDict):
    """The datasets of a group."""

    datasets: list[DatasetRow]


class ColumnProfile(TypedDict):
    """What a column holds, over all splits."""

    name: str
    type: str
    private: bool
    count: int
    nulls: int
    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    quantiles: dict[str, float]
    bins: Bins | None
    distinct: int | None
    values: dict[str, int]


class Build(TypedDict):
    """How a snapshot was built."""

    kind: str
    why: str


class Input(TypedDict):
    """A file that a snapshot was made of."""

    path: str
    size: int | None
    etag: str | None
    version: str | None


class CheckSays(TypedDict):
    """What became of a check."""

    column: str
    check: str
    hard: bool
    failed: int


class SnapshotPage(SnapshotRow):
    """All of a snapshot."""

    dataset: str
    rows_by_split: dict[str, int]
    columns: list[ColumnProfile]
    reasons: dict[str, int]
    quarantine: list[dict[str, str | None]]
    build: Build
    inputs: list[Input]
    checks: list[CheckSays]


class DriftColumn(TypedDict):
    """By how much a column has moved."""

    name: str
    psi: float | None
    distance: float | None
    drifted: bool
    says: str


class DriftSnapshot(TypedDict):
    """A snapshot behind the reference."""

    ref: str
    at: str
    drifted: bool
    says: str
    columns: list[DriftColumn]


class DriftPage(TypedDict):
    """Drift of a dataset over time."""

    dataset: str
    reference: str | None
    limit: float
    snapshots: list[DriftSnapshot]


class Warnings(TypedDict):
    """What should be looked at, in all groups."""

    warnings: list[shapes.Warning]
    problems: list[str]


class Hit(TypedDict):
    """Something that was found."""

    what: Literal["group", "node", "version", "release", "job", "commit", "file"]
    title: str
    says: str
    group: str
    ref: str | None
    digest: str | None
    node: str | None


class Found(TypedDict):
    """What was found, best first."""

    query: str
    hits: list[Hit]
    more: bool
    problems: list[str]


class Made(TypedDict):
    """What a task instance made, or moved."""

    group: str | None
    versions: list[VersionRow]
    events: list[HistoryEvent]


class Place(TypedDict):
    """The group on whose pages a version is shown."""

    group: str


class Summary(TypedDict):
    """How the groups stand, in short."""

    groups: int
    out_of_step: list[str]
    waiting: list[str]
    on_hold: list[str]
    due: list[str]
    problems: list[str]
