"""Whether a release group is to be retrained, why, and how sure that is.

Rules:
- It is for the whole group at once, on one snapshot of each dataset, so that siblings stay together.
- A distance counts where it is sure as well: its p value, corrected for all figures of its report, is below `alpha`.
- What can't be said (too few rows, nothing in production) is no reason to retrain, and is told as that.
- `about` names what was looked at, so that nobody is told twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from lockstep.monitoring.limits import Limits
from lockstep.monitoring.report import ColumnDrift, DriftReport, Role, Verdict
from lockstep.monitoring.verdicts import is_important
from lockstep.retraining import (
    IMPORTANT,
    WEIGHTED,
    Age,
    AllOf,
    AnyOf,
    DecisionRateMoves,
    Drifted,
    RowsAdded,
    Simple,
    When,
)

_DAY: Final = timedelta(days=1)
_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What conditions are held against.

    Attributes:
        now: when it is looked.
        trained: when the group was last trained as a whole; the first of its models.
        reports: of each dataset with a snapshot that is newer than what it was trained on.
    """

    now: datetime
    trained: datetime
    reports: tuple[DriftReport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one condition; `is_met` is None where it can't be said."""

    condition: str
    is_met: bool | None
    says: str

    def as_json(self) -> dict[str, Any]:
        """The answer as JSON values."""
        return {"condition": self.condition, "met": self.is_met, "says": self.says}


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Whether a group is to be retrained.

    Attributes:
        rule: the condition that the graph declares.
        answers: to each condition that it is made of.
        about: a digest of the snapshots that it was trained on, and of the newest.
        snapshots: those that a retraining would be on.
        says: in a sentence.
    """

    group: str
    rule: str
    is_due: bool
    answers: tuple[Answer, ...]
    about: str
    snapshots: tuple[str, ...]
    says: str

    def as_json(self) -> dict[str, Any]:
        """The answer as JSON values."""
        return {
            "group": self.group,
            "rule": self.rule,
            "due": self.is_due,
            "says": self.says,
            "answers": [answer.as_json() for answer in self.answers],
            "about": self.about,
            "snapshots": list(self.snapshots),
        }

    def as_text(self) -> str:
        """The sentence, and a line for each condition."""
        marks = {True: "yes", False: "no", None: "?"}
        lines = [f"  {marks[answer.is_met]:4}{answer.condition}: {answer.says}" for answer in self.answers]
        return "\n".join([self.says, *lines])


def is_met(rule: When, facts: Facts) -> bool:
    """Whether a rule is met by the facts; what can't be said is not."""
    if isinstance(rule, AnyOf):
        return any(is_met(condition, facts) for condition in rule.conditions)
    if isinstance(rule, AllOf):
        return all(is_met(condition, facts) for condition in rule.conditions)
    return answer(rule, facts).is_met is True


def answer(condition: Simple, facts: Facts) -> Answer:
    """What becomes of one condition, in a sentence."""
    if isinstance(condition, Age):
        return _age(condition, facts)
    if isinstance(condition, RowsAdded):
        return _rows_added(condition, facts.reports)
    if isinstance(condition, DecisionRateMoves):
        return _decisions(condition, facts.reports)
    return _weighted(condition, facts.reports) if condition.columns == WEIGHTED else _drift(condition, facts.reports)


def _age(condition: Age, facts: Facts) -> Answer:
    days = (facts.now - facts.trained) / _DAY
    says = f"it was trained {days:.1f} days ago, on {facts.trained:%Y-%m-%d}"
    return Answer(condition=str(condition), is_met=days >= condition.days, says=says)


def _rows_added(condition: RowsAdded, reports: Sequence[DriftReport]) -> Answer:
    most = max(reports, key=lambda report: report.added)
    says = (
        f"{most.current.name} has {most.current.rows:,} rows, {most.reference.name} has {most.reference.rows:,}"
        f" ({most.added:+.1%})"
    )
    return Answer(condition=str(condition), is_met=most.added >= condition.share, says=says)


def _decisions(condition: DecisionRateMoves, reports: Sequence[DriftReport]) -> Answer:
    found = [
        (abs(one.moved), one, report.limits.alpha)
        for report in reports
        for one in report.decisions
        if one.moved is not None
        and one.p_corrected is not None
        and (not condition.thresholds or one.threshold in condition.thresholds)
    ]
    if not found:
        return Answer(condition=str(condition), is_met=None, says="no decision could be compared" + _why(reports))
    sure = [one for one in found if (one[1].p_corrected or 0.0) < one[2]]
    far, one, _ = max(sure or found, key=lambda item: item[0])
    name = f'"{one.threshold} says {one.decision}"'
    before, now = one.reference.rate or 0.0, one.current.rate or 0.0
    says = f"{name} went from {before:.1%} to {now:.1%} of the rows{_sure(one.p_corrected)}"
    return Answer(condition=str(condition), is_met=bool(sure) and far >= condition.by, says=says)


def _drift(condition: Drifted, reports: Sequence[DriftReport]) -> Answer:
    asked = [(column, report) for report in reports for column in report.columns if _counts(condition, column, report)]
    if isinstance(condition.columns, tuple):
        seen = {column.name for column, _ in asked}
        if unknown := [name for name in condition.columns if name not in seen]:
            there = ", ".join(column.name for report in reports for column in report.columns)
            says = f"no column {', '.join(unknown)} was compared; there are {there}"
            return Answer(condition=str(condition), is_met=None, says=says)
    tested = [(column, report) for column, report in asked if column.psi is not None and column.p_corrected is not None]
    if not tested:
        return Answer(condition=str(condition), is_met=None, says="no such column could be compared" + _why(reports))
    far = [column for column, report in tested if _is_far(column, condition.psi, report.limits)]
    if not far:
        most = max((column for column, _ in tested), key=lambda column: column.psi or 0.0)
        return Answer(condition=str(condition), is_met=False, says=f"the farthest of {len(tested)} is {_told(most)}")
    far.sort(key=lambda column: (-(column.weight or 0.0), -(column.psi or 0.0)))
    more = f", and {len(far) - _NAMED} more" if len(far) > _NAMED else ""
    says = f"{'; '.join(map(_told, far[:_NAMED]))}{more}"
    return Answer(condition=str(condition), is_met=True, says=says)


def _is_far(column: ColumnDrift, psi: float, limits: Limits) -> bool:
    """Surely as far as `psi`; of a label it is enough that its shares drift by the limits of the report."""
    if column.role is Role.LABEL and column.verdict is Verdict.DRIFT:
        return True
    return (column.psi or 0.0) >= psi and (column.p_corrected or 0.0) < limits.alpha


def _counts(condition: Drifted, column: ColumnDrift, report: DriftReport) -> bool:
    if isinstance(condition.columns, tuple):
        return column.name in condition.columns
    return condition.columns != IMPORTANT or is_important(column, report.limits)


def _weighted(condition: Drifted, reports: Sequence[DriftReport]) -> Answer:
    """The mean index of the features, weighted by how much the models look at each; of datasets, the largest."""
    means: list[tuple[float, bool, DriftReport]] = []
    for report in reports:
        looked_at = [
            column
            for column in report.columns
            if column.role is Role.FEATURE and column.weight and column.psi is not None
        ]
        total = sum(column.weight or 0.0 for column in looked_at)
        if total:
            mean = sum((column.weight or 0.0) * (column.psi or 0.0) for column in looked_at) / total
            is_sure = any((column.p_corrected or 0.0) < report.limits.alpha for column in looked_at)
            means.append((mean, is_sure, report))
    if not means:
        said = "it is not known what production's models look at, or no such column could be compared"
        return Answer(condition=str(condition), is_met=None, says=said + _why(reports))
    mean, is_sure, report = max(means, key=lambda item: item[0])
    says = f"the weighted mean of {report.dataset} is {mean:.3f}{'' if is_sure else ', which may be chance'}"
    return Answer(condition=str(condition), is_met=is_sure and mean >= condition.psi, says=says)


def _told(column: ColumnDrift) -> str:
    if column.role is Role.LABEL and column.moved is not None:
        return f"label {column.name}, of which a share moves by {column.moved:.1%}{_sure(column.p_corrected)}"
    weight = "" if column.weight is None else f", {column.weight:.0%} of what the models look at"
    return f"{column.name} {column.psi:.3f}{_sure(column.p_corrected)}{weight}"


def _sure(p: float | None) -> str:
    return "" if p is None else f" (p {'< 0.001' if p < 0.001 else f'= {p:.3f}'})"  # noqa: PLR2004  as it is usually written


def _why(reports: Sequence[DriftReport]) -> str:
    notes = [note for report in reports for note in report.notes]
    return f" ({notes[0]})" if notes else ": too few rows"
