"""Drift as a value: what was compared, each figure, and a verdict on each and on the whole.

Rules:
- It holds no clock and no place: the same sides give the same JSON.
- "Reference" is what production was trained on, "current" is the newer data.
- A verdict is given by `lockstep.monitoring.verdicts`; until then it is "not compared".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from lockstep.decisions import Share
from lockstep.monitoring.columns import Bin
from lockstep.monitoring.limits import Limits

PROTOCOL: Final = 1


class Verdict(StrEnum):
    """What a figure says, by the limits."""

    QUIET = "quiet"
    MOVED = "moved"
    DRIFT = "drift"
    TOO_FEW = "too few rows"
    UNKNOWN = "not compared"


class Role(StrEnum):
    """What a distribution is of."""

    FEATURE = "feature"
    LABEL = "label"
    SCORE = "score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What every figure has in the end.

    Attributes:
        p: that both sides are alike, as tested; None where that could not be tested.
        p_corrected: the same, for all figures of the report together.
        says: the verdict in a sentence.
    """

    p: float | None = None
    p_corrected: float | None = None
    verdict: Verdict = Verdict.UNKNOWN
    says: str = ""

    def judged_json(self) -> dict[str, Any]:
        """These as JSON values."""
        return {"p": self.p, "p_corrected": self.p_corrected, "verdict": self.verdict.value, "says": self.says}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDrift(Judged):
    """How a column, a label, or a model's score is spread on both sides.

    Attributes:
        kind: "numbers" or "words".
        rows: of the reference, and of the current side.
        blanks: of these, those without a value.
        psi: None where it could not be said; so are the others.
        figures: Kolmogorov-Smirnov and Wasserstein distances of numbers; Jensen-Shannon and chi-square of words; ….
        moved: by how much the share of one bin changes, at most.
        doubt: by how much a share may be off for the sketches' sake.
        weight: the column's share of what production's models look at; None where that is not known.
        unseen: categories that the reference does not have, the commonest.
    """

    name: str
    role: Role
    kind: str
    rows: tuple[int, int]
    blanks: tuple[int, int]
    psi: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    moved: float | None = None
    doubt: float = 0.0
    bins: tuple[Bin, ...] = ()
    weight: float | None = None
    unseen: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The column as JSON values."""
        return {
            "name": self.name,
            "role": self.role.value,
            "kind": self.kind,
            "rows": _sides(self.rows),
            "blanks": _sides(self.blanks),
            "psi": self.psi,
            "figures": dict(self.figures),
            "moved": self.moved,
            "doubt": self.doubt,
            "weight": self.weight,
            "unseen": list(self.unseen),
            "bins": [one.as_json() for one in self.bins],
            **self.judged_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionDrift(Judged):
    """How often a threshold decides so, on both sides; `effect` is Cohen's h."""

    threshold: str
    decision: str
    reference: Share
    current: Share
    effect: float | None = None

    @property
    def moved(self) -> float | None:
        """By how much the share changes; None where one side has no rows."""
        before, now = self.reference.rate, self.current.rate
        return None if before is None or now is None else now - before

    def as_json(self) -> dict[str, Any]:
        """The decision as JSON values."""
        return {
            "threshold": self.threshold,
            "decision": self.decision,
            "reference": self.reference.as_json(),
            "current": self.current.as_json(),
            "moved": self.moved,
            "cohens_h": self.effect,
            **self.judged_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierDrift(Judged):
    """How well a classifier tells rows of one side from those of the other, on rows that it was not fitted on.

    Attributes:
        rows: of the reference, and of the current side.
        auc: 0.5 is guessing; None where there were too few rows.
        interval: of 95 %.
        columns: those that it was given.
    """

    rows: tuple[int, int]
    auc: float | None = None
    interval: tuple[float, float] | None = None
    columns: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The test as JSON values."""
        low, high = self.interval or (None, None)
        return {
            "rows": _sides(self.rows),
            "auc": self.auc,
            "low": low,
            "high": high,
            "columns": list(self.columns),
            **self.judged_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One side: what it is (`customers@3`, a file, the decision log), its rows, and what was left out."""

    name: str
    kind: str
    rows: int
    digest: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The side as JSON values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "rows": self.rows,
            "digest": self.digest,
            "left_out": dict(self.left_out),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """What drifted between two sides of a dataset.

    Attributes:
        group: whose production the reference, the scores and the decisions are of; None where nothing is in production.
        models: the versions in production that scored, by name.
        missing: columns that one side has not.
        notes: what could not be said, and why.
        added: current rows beyond those of the reference, as a share of these.
    """

    dataset: str
    group: str | None
    reference: Compared
    current: Compared
    models: Mapping[str, str]
    columns: tuple[ColumnDrift, ...]
    scores: tuple[ColumnDrift, ...]
    decisions: tuple[DecisionDrift, ...]
    classifier: ClassifierDrift
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    limits: Limits
    verdict: Verdict = Verdict.UNKNOWN
    says: str = ""

    @property
    def added(self) -> float:
        """Current rows beyond those of the reference, as a share of these; negative where there are fewer."""
        return self.current.rows / self.reference.rows - 1

    @property
    def weights(self) -> dict[str, float]:
        """The importance of each column that production's models look at, as shares of 1; empty where it is unknown."""
        return {column.name: column.weight for column in self.columns if column.weight is not None}

    def column(self, name: str) -> ColumnDrift:
        """A column or a label (`KeyError` if it was not compared)."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "kind": "drift",
            "protocol": PROTOCOL,
            "dataset": self.dataset,
            "group": self.group,
            "verdict": self.verdict.value,
            "says": self.says,
            "reference": self.reference.as_json(),
            "current": self.current.as_json(),
            "added": self.added,
            "models": dict(self.models),
            "columns": [column.as_json() for column in self.columns],
            "scores": [score.as_json() for score in self.scores],
            "decisions": [decision.as_json() for decision in self.decisions],
            "classifier": self.classifier.as_json(),
            "missing": list(self.missing),
            "notes": list(self.notes),
            "limits": self.limits.as_json(),
        }

    def as_text(self) -> str:
        """The report for a terminal."""
        from lockstep.monitoring.told import as_text

        return as_text(self.as_json())


def _sides(pair: tuple[int, int]) -> dict[str, int]:
    return {"reference": pair[0], "current": pair[1]}
