"""One side held against the other: every figure of the report, and then the verdicts.

Rules:
- A label that is not known yet is no blank: labels are compared among the rows that have one.
- What names rows (texts that are nearly all different) and dates, which move on by themselves, are not compared.
- Of a private column figures are given, and no text that stands in it.
- Where production's models can't score a side, the report says why, and the columns are compared all the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from lockstep.decisions import Share
from lockstep.errors import DataError
from lockstep.monitoring.classifier import one_thread, tell_apart
from lockstep.monitoring.columns import BLANK, OTHERS, UNSEEN, compare
from lockstep.monitoring.figures import cohens_h, two_proportions
from lockstep.monitoring.limits import Limits
from lockstep.monitoring.report import ColumnDrift, DecisionDrift, DriftReport, Role
from lockstep.monitoring.scoring import Production, decided, importance, scores_of, spread_scores
from lockstep.monitoring.sides import Side
from lockstep.monitoring.summaries import Numbers, Summary, Words, numbers_of
from lockstep.monitoring.verdicts import judge

_NEARLY_ALL: Final = 0.5  # of the values are different: they name rows, and have no shares to compare
_WORDS: Final = {Role.FEATURE: "Column", Role.LABEL: "Label"}
_Shares = Mapping[tuple[str, str], Share]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """How a dataset is looked at.

    Attributes:
        targets: model → the column that it predicts.
        hidden: columns that no model learns from, the key among them.
        private: columns whose values are not shown.
        production: the models and thresholds that score both sides; None where there are none.
    """

    dataset: str
    key: str
    targets: Mapping[str, str]
    hidden: frozenset[str]
    private: frozenset[str] = frozenset()
    production: Production | None = None
    group: str | None = None


@dataclass(slots=True, kw_only=True)
class _Scored:
    """What production's models say of both sides."""

    scores: list[ColumnDrift] = field(default_factory=list)
    decisions: list[DecisionDrift] = field(default_factory=list)
    weights: Mapping[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def hold(old: Side, new: Side, lens: Lens, limits: Limits, *, answered: _Shares | None = None) -> DriftReport:
    """The report; `answered` is what was decided on the current side, where that is known.

    One thread does it, as in `tell_apart`.
    """
    with one_thread():
        return judge(_report(old, new, lens, limits, answered))


def _report(old: Side, new: Side, lens: Lens, limits: Limits, answered: _Shares | None) -> DriftReport:
    scored = _scored(old, new, lens, limits, answered) if lens.production is not None else _Scored()
    both = [name for name in old.summaries if name in new.summaries]
    columns = [_column(name, old, new, lens, limits) for name in both]
    features = [name for name in both if name not in lens.hidden]
    return DriftReport(
        dataset=lens.dataset,
        group=lens.group,
        reference=old.about,
        current=new.about,
        models=dict(lens.production.members.refs) if lens.production is not None else {},
        columns=tuple(replace(one, weight=scored.weights.get(one.name)) for one in columns),
        scores=tuple(scored.scores),
        decisions=tuple(scored.decisions),
        classifier=tell_apart(old.rows, new.rows, features, limits.rows),
        missing=tuple(sorted(old.summaries.keys() ^ new.summaries.keys())),
        notes=tuple(scored.notes),
        limits=limits,
    )


# ------------------------------------------------------------------------------------------------------------- columns


def _column(name: str, old: Side, new: Side, lens: Lens, limits: Limits) -> ColumnDrift:
    one, other = old.summaries[name], new.summaries[name]
    role = Role.LABEL if name in lens.targets.values() else Role.FEATURE
    if role is Role.LABEL:
        one, other = _known(one), _known(other)
    empty = _empty(name, one, other, role)
    types = [side.rows.schema[name] for side in (old, new) if name in side.rows.columns]
    if any(dtype.is_temporal() for dtype in types):
        return replace(empty, says=f"Column {name} holds dates, which move on by themselves: it is not compared.")
    if not other.known and one.known and (role is Role.LABEL or name in lens.hidden):
        return replace(empty, says=f"{_WORDS[role]} {name}: the current rows don't say it, and need not.")
    found = _filled(empty, one, other, limits)
    return _masked(found) if name in lens.private and found.kind == "words" else found


def _masked(column: ColumnDrift) -> ColumnDrift:
    """The figures of a private column, without its values."""
    bins = [
        one if one.label in (BLANK, OTHERS, UNSEEN) else replace(one, label=f"value {number}")
        for number, one in enumerate(column.bins, start=1)
    ]
    return replace(column, bins=tuple(bins), unseen=("(not shown)",) if column.unseen else ())


def _empty(name: str, one: Summary, other: Summary, role: Role) -> ColumnDrift:
    return ColumnDrift(
        name=name,
        role=role,
        kind="numbers" if isinstance(one, Numbers) else "words",
        rows=(one.rows, other.rows),
        blanks=(one.nulls, other.nulls),
    )


def _filled(column: ColumnDrift, one: Summary, other: Summary, limits: Limits) -> ColumnDrift:
    """The column with its figures, or with the reason why there are none."""
    if reason := _incomparable(column, one, other):
        return replace(column, says=reason)
    if min(column.rows) < limits.rows:
        return column
    found = compare(one, other)
    return replace(
        column,
        psi=found.psi,
        figures=found.others,
        moved=found.moved,
        doubt=found.doubt,
        bins=found.bins,
        unseen=found.unseen,
        p=found.p,
    )


def _incomparable(column: ColumnDrift, one: Summary, other: Summary) -> str:
    if isinstance(one, Numbers) != isinstance(other, Numbers):
        return f"Column {column.name} holds numbers on one side, and none on the other: it can't be compared."
    for side in (one, other):
        if isinstance(side, Words) and side.known and side.distinct > _NEARLY_ALL * side.known:
            return f"Column {column.name}: nearly all its values are different, so there is nothing to compare."
    return ""


def _known(summary: Summary) -> Summary:
    """Without the rows whose label is not known (yet)."""
    return replace(summary, rows=summary.known, nulls=0)


# ------------------------------------------------------------------------------------------------ scores and decisions


def _scored(old: Side, new: Side, lens: Lens, limits: Limits, answered: _Shares | None) -> _Scored:
    """What the models of `lens.production` say; a note in place of what they can't say."""
    found = _Scored()
    if lens.production is None:
        return found
    members = lens.production.members
    try:
        sides = [scores_of(members, side.unseen) for side in (old, new)]
        before, now = (decided(members, *pair) for pair in zip((old.unseen, new.unseen), sides, strict=True))
    except DataError as error:
        found.notes.append(
            f"Production's models can't score both sides, so scores and decisions are not compared. {error}"
        )
        return found
    one, other = (spread_scores(members, scores) for scores in sides)
    for name in one:
        first, second = numbers_of(one[name]), numbers_of(other[name])
        found.scores.append(_filled(_empty(name, first, second, Role.SCORE), first, second, limits))
    found.decisions = list(_decisions(before, now if answered is None else answered, limits))
    found.weights = importance(lens.production, lens.targets, old.unseen)
    return found


def _decisions(before: _Shares, now: _Shares, limits: Limits) -> Iterator[DecisionDrift]:
    for (threshold, word), one in before.items():
        other = now[threshold, word]
        found = DecisionDrift(threshold=threshold, decision=word, reference=one, current=other)
        if one.rate is None or other.rate is None or min(one.whole, other.whole) < limits.rows:
            yield found
            continue
        p = two_proportions(one.part, one.whole, other.part, other.whole)
        yield replace(found, p=p, effect=cohens_h(one.rate, other.rate))
