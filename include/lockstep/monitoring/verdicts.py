"""The verdicts: which distances are drift, and what that means for the dataset.

Rules:
- A figure drifts where its distance reaches the limit *and* its p value, corrected for all figures of the report, is
  below `alpha`. Either alone is no alarm: small samples lie far apart by chance, large ones are surely different.
- p values are corrected by Holm's procedure: an alarm is raised by any one figure, so it is the chance of one false
  alarm among all that has to be small. (Benjamini and Hochberg's would bound the share of false ones among the alarms.)
- A label's limit is in odds, since a model's probabilities are off by so much: from 2 to 4 % is far, though two points.
- Columns that production's models hardly look at don't make the dataset drift; labels, scores and decisions always do.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import exp
from typing import Final, TypeVar

from lockstep.monitoring.columns import surest
from lockstep.monitoring.figures import holm, log_odds
from lockstep.monitoring.limits import Limits
from lockstep.monitoring.report import ClassifierDrift, ColumnDrift, DecisionDrift, DriftReport, Judged, Role, Verdict

_WORDS: Final = {
    Role.FEATURE: "Column {name}",
    Role.LABEL: "Label {name}",
    Role.SCORE: "Score of {name}",
}
_NAMED: Final = 4
_Figure = TypeVar("_Figure", bound=Judged)


def judge(report: DriftReport) -> DriftReport:
    """The report with a verdict on each figure and on the whole."""
    limits = report.limits
    figures: list[Judged] = [*report.columns, *report.scores, *report.decisions, report.classifier]
    tested = [place for place, figure in enumerate(figures) if figure.p is not None]
    for place, p in zip(tested, holm([figures[place].p or 0.0 for place in tested]), strict=True):
        figures[place] = replace(figures[place], p_corrected=p)
    columns = tuple(_column(figure, limits) for figure in figures if isinstance(figure, ColumnDrift))
    judged = replace(
        report,
        columns=tuple(one for one in columns if one.role is not Role.SCORE),
        scores=tuple(one for one in columns if one.role is Role.SCORE),
        decisions=tuple(_decision(figure, limits) for figure in figures if isinstance(figure, DecisionDrift)),
        classifier=next(_classifier(figure, limits) for figure in figures if isinstance(figure, ClassifierDrift)),
    )
    return _whole(judged)


def is_important(column: ColumnDrift, limits: Limits) -> bool:
    """Whether production's models look at a column; where that is not known, they do."""
    return column.role is not Role.FEATURE or column.weight is None or column.weight >= limits.important


# ------------------------------------------------------------------------------------------------------ single figures


def _column(column: ColumnDrift, limits: Limits) -> ColumnDrift:
    name = _WORDS[column.role].format(name=column.name)
    if column.psi is None or column.p_corrected is None:
        return _untested(column, name, column.rows, limits)
    is_sure = column.p_corrected < limits.alpha
    is_rate = column.role is Role.LABEL and column.kind == "words"
    far, some, distance = limits.psi, limits.moved, column.psi
    size = f"PSI {column.psi:.3f}, p {_p(column.p_corrected)}"
    if is_rate:
        odds = _odds_of(column)
        far, some, distance = limits.odds, limits.odds, max(odds, 1 / odds)
        size = f"odds × {odds:.2f}, {size}"
    if distance >= far and is_sure:
        verdict, word = Verdict.DRIFT, "has drifted"
    elif distance >= some and is_sure:
        verdict, word = Verdict.MOVED, "has moved"
    elif distance >= far:
        return _said(column, Verdict.QUIET, f"{name} looks different, but so few rows may by chance ({size}).")
    else:
        return _said(column, Verdict.QUIET, f"{name} is as it was ({size}).")
    return _said(column, verdict, f"{name} {word}: {_how(column)} ({size}).")


def _odds_of(label: ColumnDrift) -> float:
    """The factor by which the odds of a class change, of the one whose share changes most surely."""
    found = surest(label.bins)
    whole, of = (sum(side) for side in zip(*((one.reference, one.current) for one in label.bins), strict=True))
    return exp(log_odds(found.reference, whole, found.current, of))


def _how(column: ColumnDrift) -> str:
    """What changed most, in words."""
    new = column.figures.get("unseen_share", 0.0)
    if new and new >= (column.moved or 0.0) / 2:
        return f"{_percent(new)} of the rows have a value that was not there before, as {column.unseen[0]!r}"
    totals = [sum(side) for side in zip(*((one.reference, one.current) for one in column.bins), strict=True)]
    shares = [(one.reference / totals[0], one.current / totals[1], one.label) for one in column.bins]
    if column.role is Role.LABEL and column.kind == "words":
        named = surest(column.bins).label
        before, now, label = next(one for one in shares if one[2] == named)
    else:
        before, now, label = max(shares, key=lambda one: (round(abs(one[1] - one[0]), 9), one[2]))
    return f"{label} went from {_percent(before)} of the rows to {_percent(now)}"


def _decision(decision: DecisionDrift, limits: Limits) -> DecisionDrift:
    name = f"Threshold {decision.threshold} says {decision.decision}"
    sides = (decision.reference, decision.current)
    if decision.p_corrected is None or decision.moved is None:
        return _untested(decision, f"Threshold {decision.threshold}", (sides[0].whole, sides[1].whole), limits)
    rates = " and ".join(_percent(side.rate or 0.0) for side in sides)
    size = f"p {_p(decision.p_corrected)}"
    if abs(decision.moved) >= limits.rate and decision.p_corrected < limits.alpha:
        before, now = (_percent(side.rate or 0.0) for side in sides)
        return _said(decision, Verdict.DRIFT, f"{name} for {now} of the rows, and did for {before} ({size}).")
    return _said(decision, Verdict.QUIET, f"{name} as often as it did: {rates} ({size}).")


def _classifier(found: ClassifierDrift, limits: Limits) -> ClassifierDrift:
    if found.auc is None or found.p_corrected is None:
        if found.says:
            return found
        return _untested(found, "Whether a classifier can tell old rows from new ones", found.rows, limits)
    size = f"AUC {found.auc:.3f}, p {_p(found.p_corrected)}"
    if found.auc >= limits.auc and found.p_corrected < limits.alpha:
        return _said(found, Verdict.DRIFT, f"A classifier tells new rows from old ones ({size}).")
    if found.p_corrected < limits.alpha:
        return _said(found, Verdict.QUIET, f"A classifier finds a difference, but a small one ({size}).")
    return _said(found, Verdict.QUIET, f"A classifier can't tell new rows from old ones ({size}).")


def _untested(figure: _Figure, name: str, rows: tuple[int, int], limits: Limits) -> _Figure:
    if figure.says:  # why it could not be compared is known already
        return figure
    said = f"{name}: too few rows ({rows[0]} and {rows[1]}; {limits.rows} are needed on each side)."
    return _said(figure, Verdict.TOO_FEW, said)


def _said(figure: _Figure, verdict: Verdict, says: str) -> _Figure:
    return replace(figure, verdict=verdict, says=says)


# ----------------------------------------------------------------------------------------------------------- the whole


def _whole(report: DriftReport) -> DriftReport:
    limits = report.limits
    everything: list[Judged] = [*report.columns, *report.scores, *report.decisions, report.classifier]
    drifting = [column for column in report.columns if column.verdict is Verdict.DRIFT]
    reasons = _named("Label", [column.name for column in drifting if column.role is Role.LABEL])
    reasons += _named(
        "column", [one.name for one in drifting if one.role is Role.FEATURE and is_important(one, limits)]
    )
    reasons += _named("score of", [score.name for score in report.scores if score.verdict is Verdict.DRIFT])
    names = dict.fromkeys(one.threshold for one in report.decisions if one.verdict is Verdict.DRIFT)
    reasons += _named("decision of", list(names))
    if report.classifier.verdict is Verdict.DRIFT:
        reasons.append(f"a classifier tells new rows from old ones (AUC {report.classifier.auc:.2f})")
    sides = f"{report.current.name} ({report.current.rows} rows)"
    before = report.reference.name
    sides = sides[:1].upper() + sides[1:] if report.current.kind == "rows" else sides
    if reasons:
        told = "; ".join(reasons)
        says = f"{sides} is not what {before} was: {told[:1].lower() + told[1:]}."
        return replace(report, verdict=Verdict.DRIFT, says=says)
    if all(figure.verdict in (Verdict.TOO_FEW, Verdict.UNKNOWN) for figure in everything):
        now = f"{report.current.name} ({report.current.rows} rows)"
        few = f"There are too few rows to hold {now} against {before} ({report.reference.rows} rows)."
        return replace(report, verdict=Verdict.TOO_FEW, says=few)
    moved = [one.name for one in (*report.columns, *report.scores) if one.verdict in (Verdict.MOVED, Verdict.DRIFT)]
    if moved:
        some = "; ".join(_named("column", moved))
        says = f"{sides} is much as {before} was; what moved does not matter much, or not by much: {some}."
        return replace(report, verdict=Verdict.MOVED, says=says)
    return replace(report, verdict=Verdict.QUIET, says=f"{sides} is as {before} was.")


def _named(what: str, names: Sequence[str]) -> list[str]:
    """The figures that drift, as a part of a sentence; nothing of none."""
    if not names:
        return []
    more = len(names) - _NAMED
    first, *rest = what.split(" ")
    plural = " ".join([f"{first}s", *rest]) if len(names) > 1 else what
    return [f"{plural} {', '.join(names[:_NAMED])}{f' and {more} more' if more > 0 else ''}"]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _p(value: float) -> str:
    return "below 0.0001" if value < 1e-4 else f"{value:.4f}"  # noqa: PLR2004  four digits
