"""Rules of several values, chosen: bands, classes, values from which down it is yes, and values of single segments.

Rules:
- Each value is chosen as a single one is, by its own wish, on the rows that it is to decide: "no" is the wish's "yes"
  on rows that count as positive where they are not, from the value down; an answer is its "yes" on rows that count as
  positive where the likeliest class is right.
- A segment has values of its own where it has rows enough and the wishes can be met on them. Else it falls back to the
  values of all rows, and the reason is told.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lockstep.decisions.certainty import interval_of
from lockstep.decisions.choose import choose
from lockstep.decisions.curve import Curve, counted, curve_of, ratio
from lockstep.decisions.rule import MOST_CLASSES, NAMES, Form, Rule, When
from lockstep.decisions.segments import MOST
from lockstep.declare import Threshold
from lockstep.errors import PolicyUnmet, UsageError
from lockstep.policy import Policy, ReferUnsure, TwoSided
from lockstep.training import Predictor

Floats = NDArray[np.float64]
_OTHER: Final[dict[When, When]] = {"above": "below", "below": "above"}
_MEANS: Final = {
    "yes": 'for "yes"',
    "no": 'for "no", where what is not positive counts as it',
    "answer": "where an answer that is right counts as positive",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows whose target is known.

    Attributes:
        scores: of the model (shape n × classes, or n × 1).
        own: those that the threshold cuts (shape n).
        positive: which of them count as positive (shape n); None where there are no classes.
        segments: the segment of each; None where all are decided alike.
    """

    scores: Floats
    own: Floats
    positive: NDArray[np.bool_] | None
    segments: list[Any] | None = None

    def by_segment(self) -> dict[Any, "Rows"]:
        """Segment → its rows, in one pass however many segments there are."""
        if not self.segments:
            return {}
        numbers: dict[Any, int] = {}
        codes = [numbers.setdefault(segment, len(numbers)) for segment in self.segments]
        ordered, ends = np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))
        return dict(zip(numbers, map(self.at, np.split(ordered, ends[:-1])), strict=True))

    def at(self, places: NDArray[np.intp]) -> "Rows":
        """Some of the rows."""
        positive = None if self.positive is None else self.positive[places]
        segments = None if self.segments is None else [self.segments[place] for place in places.tolist()]
        return Rows(scores=self.scores[places], own=self.own[places], positive=positive, segments=segments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A rule, how sure each of its values is, the curve of each, and how it came about for each segment."""

    rule: Rule
    interval: dict[str, Any]
    curves: dict[str, Curve]
    segments: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class _Edge:
    """One value that is to be chosen: by which wish, and on which side of it the wish's "yes" lies."""

    name: str
    wish: Policy
    when: When


def takes_several(threshold: Threshold) -> bool:
    """Whether it takes a rule to say what a threshold decides; else it is one value, and yes is from there up."""
    is_one = not isinstance(threshold.choose, TwoSided | ReferUnsure)
    return not (is_one and threshold.when == "above" and threshold.per is None)


def shape_of(threshold: Threshold, predictor: Predictor) -> Rule:
    """The rule of a threshold without its values.

    Raises:
        UsageError: the class that counts as yes is unknown to the model, or there are too many classes.
    """
    if isinstance(threshold.choose, ReferUnsure):
        if len(predictor.classes) > MOST_CLASSES:
            raise UsageError(
                f'Threshold "{threshold.name}": {threshold.choose} answers with one of at most {MOST_CLASSES} classes,'
                f' and model "{predictor.name}" has {len(predictor.classes)}. Cut one class with positive=….'
            )
        return Rule(form=Form.CLASS, values=(0.0,), classes=predictor.classes, per=threshold.per)
    form = Form.BAND if isinstance(threshold.choose, TwoSided) else Form.CUT
    return Rule(
        form=form,
        values=(0.0,) * len(NAMES[form]),
        column=predictor.column_of(threshold.positive),
        when=threshold.when,
        per=threshold.per,
    )


def choose_rule(threshold: Threshold, shape: Rule, rows: Rows, seed: int) -> Chosen:
    """The values of a rule (see `shape_of`), chosen on rows of the validation split (at least one).

    Raises:
        PolicyUnmet: the wishes can't be met on all rows together; says what is the best that can be had.
        UsageError: there are too many segments.
    """
    edges = tuple(_edges(threshold.choose, threshold.when))
    values, curves = _values(threshold.choose, edges, rows)
    rule, told = replace(shape, values=values), None
    if rows.segments is not None:
        parts = rows.by_segment()
        told = [_segment(threshold, edges, parts[name], name, seed) for name in _names(threshold, parts)]
        own = [(item["segment"], tuple(item["values"].values())) for item in told if item["values"] is not None]
        rule = replace(rule, segments=tuple(own))
    return Chosen(rule=rule, interval=_intervals(edges, curves, seed), curves=_by_name(edges, curves), segments=told)


def report_of(rule: Rule, rows: Rows) -> dict[str, Any]:
    """What a rule decides on rows: counts and shares of yes, no, answers and of what a person decides."""
    codes, total = rule.decide(rows.scores, rows.segments), len(rows.own)
    if rule.form is Form.CLASS:
        answered = codes < len(rule.classes)
        found: dict[str, Any] = {"rows": total} | _share("answers", answered, rows.positive)
    else:
        found = counted(codes == 1, rows.positive)
        if rule.form is Form.BAND:
            found |= _share("no", codes == 0, None if rows.positive is None else ~rows.positive)
    if rule.can_refer:
        found |= _share("refer", codes == len(rule.outcomes) - 1, None)
    return found


def curves_on(shape: Rule, threshold: Threshold, rows: Rows) -> dict[str, Curve]:
    """The curve of each value, on other rows than those that it was chosen on."""
    edges = tuple(_edges(threshold.choose, shape.when))
    return _by_name(edges, [_curve(edge, rows) for edge in edges])


def _share(name: str, chosen: NDArray[np.bool_], right: NDArray[np.bool_] | None) -> dict[str, Any]:
    count = int(chosen.sum())
    found: dict[str, Any] = {"rows": count, "share": ratio(count, len(chosen))}
    if right is not None:
        hits = int((chosen & right).sum())
        found |= {"right": hits, "precision": ratio(hits, count)}
    return {name: found}


def _edges(policy: Policy, when: When) -> Iterator[_Edge]:
    match policy:
        case TwoSided(yes=yes, no=no):
            yield _Edge("yes", yes, when)
            yield _Edge("no", no, _OTHER[when])
        case ReferUnsure(answers=wish):
            yield _Edge("answer", wish, "above")
        case _:
            yield _Edge("yes", policy, when)


def _curve(edge: _Edge, rows: Rows) -> Curve:
    positive = rows.positive
    if edge.name == "no" and positive is not None:
        positive = ~positive
    return curve_of(rows.own, positive, edge.when)


def _values(policy: Policy, edges: Sequence[_Edge], rows: Rows) -> tuple[tuple[float, ...], list[Curve]]:
    curves, values = [_curve(edge, rows) for edge in edges], []
    for edge, curve in zip(edges, curves, strict=True):
        try:
            values.append(choose(edge.wish, curve))
        except PolicyUnmet as unmet:
            is_own = edge.wish is policy
            raise PolicyUnmet(str(unmet) if is_own else f"{policy}: {_MEANS[edge.name]}, {unmet}") from None
    if isinstance(policy, TwoSided):
        values = list(_uncrossed(policy, edges[0].when, rows.own, *values))
    return tuple(values), curves


def _uncrossed(policy: TwoSided, when: When, own: Floats, yes: float, no: float) -> tuple[float, float]:
    """The edges of a band, which may touch; half-way values of one gap may differ in the last digit."""
    said_yes, said_no = (own >= yes, own <= no) if when == "above" else (own <= yes, own >= no)
    both = int((said_yes & said_no).sum())
    if both:
        up, down = ("up", "down") if when == "above" else ("down", "up")
        raise PolicyUnmet(
            f"{policy} leaves no band: yes from {yes:.4f} {up} and no from {no:.4f} {down} both keep their wishes, and"
            f" cross, so that {both} of {len(own)} rows would be both. Nobody has to be asked: ask for more on one"
            f" side, or take one value, such as choose={policy.yes}."
        )
    return yes, min(no, yes) if when == "above" else max(no, yes)


def _names(threshold: Threshold, different: Collection[Any]) -> list[Any]:
    """All segments, in order; the blank one last."""
    if len(different) > MOST:
        raise UsageError(
            f'Threshold "{threshold.name}": per="{threshold.per}" has {len(different)} different values on the'
            f" validation split; at most {MOST} can have thresholds of their own. Name a column with fewer."
        )
    known = sorted(segment for segment in different if segment is not None)
    return [*known, None] if None in different else known


def _segment(threshold: Threshold, edges: Sequence[_Edge], rows: Rows, segment: Any, seed: int) -> dict[str, Any]:  # noqa: ANN401  a text, an int, a bool or None
    """A segment with its values, or the reason why it falls back."""
    found = {"segment": segment, "rows": len(rows.own), "values": None, "interval": None, "fallback": None}
    if segment is None:
        return found | {"fallback": f"{threshold.per} is blank"}
    if len(rows.own) < threshold.fewest:
        return found | {"fallback": f"fewer than {threshold.fewest} rows"}
    try:
        values, curves = _values(threshold.choose, edges, rows)
    except PolicyUnmet as unmet:
        return found | {"fallback": str(unmet)}
    names = [edge.name for edge in edges]
    return found | {"values": dict(zip(names, values, strict=True)), "interval": _intervals(edges, curves, seed)}


def _intervals(edges: Sequence[_Edge], curves: Sequence[Curve], seed: int) -> dict[str, Any]:
    pairs = zip(edges, curves, strict=True)
    return {edge.name: interval_of(edge.wish, curve, seed + place) for place, (edge, curve) in enumerate(pairs)}


def _by_name(edges: Sequence[_Edge], curves: Sequence[Curve]) -> dict[str, Curve]:
    return {edge.name: curve for edge, curve in zip(edges, curves, strict=True)}
