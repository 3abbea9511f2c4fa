"""Each value of a rule keeps the wish that it was chosen by, on the rows that it was chosen on."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lockstep import (
    Threshold,
    capacity_per_day,
    fixed,
    maximise_f_beta,
    minimise_cost,
    precision_at_least,
    recall_at_least,
    refer_unsure,
    top_fraction,
    two_sided,
)
from lockstep.decisions import choose, curve_of
from lockstep.decisions.rule import Form, Rule
from lockstep.decisions.several import Chosen, Rows, choose_rule, report_of, takes_several
from lockstep.errors import PolicyUnmet, UsageError
from lockstep.policy import Policy

Row = tuple[float, bool]
BAND = Rule(form=Form.BAND, values=(0.0, 0.0))
CUT = Rule(form=Form.CUT, values=(0.0,))
scores = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1))
rows = st.lists(st.tuples(scores, st.booleans()), min_size=1, max_size=25)
shares = st.sampled_from([0.1, 0.25, 0.5, 2 / 3, 0.75, 0.9, 1.0])


def rows_of(of: list[Row], segments: list[Any] | None = None) -> Rows:
    """Make rows whose scores are one column."""
    own = np.array([score for score, _ in of])
    positive = np.array([positive for _, positive in of])
    return Rows(scores=own.reshape(-1, 1), own=own, positive=positive, segments=segments)


def chosen(policy: Policy, of: Rows, shape: Rule = BAND, **options: Any) -> Chosen:
    """Choose a rule of some shape."""
    threshold = Threshold("some", model="model", choose=policy, when=shape.when, per=shape.per, **options)
    return choose_rule(threshold, shape, of, 1)


def attempt(policy: Policy, of: Rows, shape: Rule = BAND) -> Chosen | str:
    """Choose a rule, or say why there is none."""
    try:
        return chosen(policy, of, shape)
    except PolicyUnmet as unmet:
        return str(unmet)


@settings(deadline=None, max_examples=30)  # each choice draws its intervals
@given(of=rows, yes=shares, no=shares)
def test_both_sides_of_a_band_keep_their_wish(of: list[Row], yes: float, no: float) -> None:
    """Of those told yes that share is positive, of those told no that share is not; where both can't be, it is said."""
    data = rows_of(of)
    policy = two_sided(yes=precision_at_least(yes), no=precision_at_least(no))
    found = attempt(policy, data)
    if isinstance(found, str):
        assert found.startswith(str(policy))
        return
    rule = found.rule
    codes = rule.decide(data.scores)
    told_yes, told_no = data.positive[codes == 1], data.positive[codes == 0]
    assert told_yes.mean() >= yes
    assert (~told_no).mean() >= no
    assert rule.values[0] == choose(precision_at_least(yes), curve_of(data.own, data.positive))
    assert rule.values[1] <= rule.values[0]


@settings(deadline=None, max_examples=30)  # each choice draws its intervals
@given(of=rows, share=shares)
def test_no_is_the_yes_of_the_rows_turned_round(of: list[Row], share: float) -> None:
    """Whatever the wish for no, it decides those rows that its yes would, were scores and classes turned round."""
    data = rows_of(of)
    turned = curve_of(-data.own, ~data.positive)
    for wish in (precision_at_least(share), recall_at_least(share), top_fraction(share), maximise_f_beta(1)):
        found = attempt(two_sided(yes=fixed(2.0), no=wish), data)
        if isinstance(found, str):
            with pytest.raises(PolicyUnmet):
                choose(wish, turned)
            continue
        assert (found.rule.decide(data.scores) == 0).tolist() == (-data.own >= choose(wish, turned)).tolist()


@settings(deadline=None, max_examples=30)  # each choice draws its intervals
@given(of=rows)
def test_edges_cross_only_where_a_row_would_be_both(of: list[Row]) -> None:
    """Shares that together leave nobody between them may touch; half-way values of one gap count as one."""
    data = rows_of(of)
    part = sum(score >= 0.5 for score, _ in of)
    assume(0 < part < len(of))
    policy = two_sided(yes=top_fraction(part / len(of)), no=top_fraction(1 - part / len(of)))
    found = attempt(policy, data)
    if isinstance(found, str):  # too many rows share a score, or the share is a hair too small for them
        assert "share the" in found
        return
    assert Counter(found.rule.decide(data.scores).tolist())[1] <= part
    assert found.rule.values[1] <= found.rule.values[0]


def test_edges_that_cross_are_told() -> None:
    """Where scores part the classes, both wishes can be met everywhere, and it is said that nobody has to be asked."""
    data = rows_of([(0.1, False), (0.2, False), (0.4, True), (0.6, False), (0.8, True), (0.9, True)])
    policy = two_sided(yes=precision_at_least(0.75), no=precision_at_least(0.75))
    with pytest.raises(PolicyUnmet) as caught:
        chosen(policy, data)
    assert str(caught.value) == (
        "two_sided(yes=precision_at_least(0.75), no=precision_at_least(0.75)) leaves no band: yes from 0.3000 up and no"
        " from 0.7000 down both keep their wishes, and cross, so that 2 of 6 rows would be both. Nobody has to be"
        " asked: ask for more on one side, or take one value, such as choose=precision_at_least(0.75)."
    )
    stricter = chosen(two_sided(yes=precision_at_least(1), no=precision_at_least(1)), data).rule
    assert stricter.values == pytest.approx((0.7, 0.3))


def test_an_unmet_side_is_named() -> None:
    """The message says which side can't be met, and what counts there."""
    data = rows_of([(0.9, True), (0.1, True), (0.5, False)])
    with pytest.raises(PolicyUnmet) as caught:
        chosen(two_sided(yes=precision_at_least(0.5), no=precision_at_least(0.9)), data)
    assert str(caught.value).startswith(
        'two_sided(yes=precision_at_least(0.5), no=precision_at_least(0.9)): for "no", where what is not positive'
        " counts as it, precision_at_least(0.9) can't be met: the best precision is 0.5000, at threshold 0.7000 with"
        " recall 1.0000."
    )
    wrong = Rows(scores=np.array([[0.9, 0.1]]), own=np.array([0.9]), positive=np.array([False]))
    with pytest.raises(PolicyUnmet) as caught:
        chosen(refer_unsure(answers=recall_at_least(0.5)), wrong, Rule(form=Form.CLASS, values=(0.0,), classes="ab"))
    assert str(caught.value).startswith(
        "refer_unsure(answers=recall_at_least(0.5)): where an answer that is right counts as positive,"
        " recall_at_least(0.5) can't be met: of 1 rows none is positive"
    )


@settings(deadline=None, max_examples=30)  # each choice draws its intervals
@given(of=rows, share=shares)
def test_yes_below_is_yes_above_on_scores_turned_round(of: list[Row], share: float) -> None:
    """The lowest share of values is decided yes, as nearly as it can be, and no more."""
    data, below = rows_of(of), replace(CUT, when="below")
    without = replace(data, positive=None)
    for policy in (top_fraction(share), capacity_per_day(10 * share, rows=10)):
        found = attempt(policy, without, below)
        if isinstance(found, str):
            assert "share the lowest score" in found
            continue
        is_yes = found.rule.decide(data.scores) == 1
        assert is_yes.tolist() == (-data.own >= choose(policy, curve_of(-data.own, None))).tolist()
        assert is_yes.mean() <= share
        assert data.own[is_yes].max() <= found.rule.values[0]
    assert chosen(fixed(0.5), without, below).rule.values == (0.5,)


@settings(deadline=None, max_examples=30)  # each choice draws its intervals
@given(of=rows, share=shares)
def test_of_the_answers_the_share_asked_for_is_right(of: list[Row], share: float) -> None:
    """No other value keeps that share and gives more right answers; the report says how many are answered."""
    best = np.array([0.5 + score / 2 for score, _ in of])  # the probability of the likeliest of two classes
    matrix = np.stack([best, 1 - best], axis=1)
    right = np.array([positive for _, positive in of])
    data = Rows(scores=matrix, own=best, positive=right)
    shape = Rule(form=Form.CLASS, values=(0.0,), classes=("gold", "basic"))
    allowed = [hits for hits, count in ((right[best >= value], (best >= value).sum()) for value in set(best))
               if hits.sum() / count >= share and right.any()]  # fmt: skip
    if not allowed:
        with pytest.raises(PolicyUnmet):
            chosen(refer_unsure(answers=precision_at_least(share)), data, shape)
        return
    rule = chosen(refer_unsure(answers=precision_at_least(share)), data, shape).rule
    report = report_of(rule, data)
    assert report["answers"]["right"] == max(hits.sum() for hits in allowed)
    assert report["answers"]["precision"] >= share
    assert report["answers"]["rows"] + report["refer"]["rows"] == report["rows"] == len(of)


def test_a_wrong_answer_may_cost_more_than_asking() -> None:
    """With costs, an answer is given from the probability up at which that is the cheapest."""
    best = np.array([0.9, 0.8, 0.7, 0.6])
    data = Rows(scores=np.stack([best, 1 - best], axis=1), own=best, positive=np.array([True, True, False, True]))
    shape = Rule(form=Form.CLASS, values=(0.0,), classes=("gold", "basic"))
    careful = refer_unsure(answers=minimise_cost(false_positive=5, false_negative=1))
    assert chosen(careful, data, shape).rule.values == pytest.approx((0.75,))
    careless = refer_unsure(answers=minimise_cost(false_positive=0.5, false_negative=1))
    assert chosen(careless, data, shape).rule.values == pytest.approx((0.6,))


def parted() -> Rows:
    """Make rows of three segments whose scores mean different things, a few of a fourth, and blank ones."""
    dice = np.random.default_rng(4)
    of, segments = [], []
    for name, count, shift in (("north", 60, 0.0), ("south", 60, 0.3), ("east", 9, 0.0), (None, 5, 0.0)):
        for score in dice.random(count):
            of.append((float(score), bool(dice.random() < score - shift)))
            segments.append(name)
    return rows_of(of, segments)


def test_a_segment_with_rows_enough_has_values_of_its_own() -> None:
    """They are those that its own rows alone would give; the others fall back to those of all rows, with a reason."""
    data, shape = parted(), replace(CUT, per="region")
    found = chosen(recall_at_least(0.8), data, shape, at_least_rows=60)
    alone = {
        name: choose(recall_at_least(0.8), curve_of(part.own, part.positive))
        for name, part in data.by_segment().items()
        if name in ("north", "south")
    }
    assert dict(found.rule.segments) == {name: (value,) for name, value in alone.items()}
    assert found.rule.values == (choose(recall_at_least(0.8), curve_of(data.own, data.positive)),)
    assert [(item["segment"], item["rows"], item["fallback"]) for item in found.segments or []] == [
        ("east", 9, "fewer than 60 rows"),
        ("north", 60, None),
        ("south", 60, None),
        (None, 5, "region is blank"),
    ]
    for item in found.segments or []:
        if item["fallback"] is None:
            assert item["interval"]["yes"]["low"] <= item["values"]["yes"] <= item["interval"]["yes"]["high"]
        else:
            assert item["values"] is item["interval"] is None
    codes = found.rule.decide(data.scores, data.segments)
    for name in ("north", "south"):
        own = np.array([segment == name for segment in data.segments or []])
        assert data.positive is not None
        assert (codes[own & data.positive] == 1).mean() >= 0.8


def test_a_segment_whose_rows_can_not_meet_the_wish_falls_back() -> None:
    """The reason is the sentence that a threshold of these rows alone would be refused with."""
    of = [(0.9, True), (0.8, True), (0.2, False), (0.1, False), (0.9, False), (0.8, False)]
    data = rows_of(of, ["good"] * 4 + ["bad"] * 2)
    found = chosen(precision_at_least(0.5), data, replace(CUT, per="kind"), at_least_rows=1)
    assert [(item["segment"], item["fallback"] and item["fallback"][:30]) for item in found.segments or []] == [
        ("bad", "precision_at_least(0.5) can't "),
        ("good", None),
    ]


def test_too_many_segments_are_refused() -> None:
    """A column that names nearly each row parts nothing."""
    data = rows_of([(0.5, True)] * 201, list(range(201)))
    with pytest.raises(UsageError, match=r'per="visit" has 201 different values .* at most 200 can have thresholds'):
        chosen(recall_at_least(0.5), data, replace(CUT, per="visit"))


def test_a_report_of_a_band_counts_all_three() -> None:
    """Yes as ever, what was told no and how much of it is right, and what a person decides."""
    data = rows_of([(0.9, True), (0.8, False), (0.5, True), (0.4, True), (0.2, False), (0.1, True)])
    found = report_of(replace(BAND, values=(0.7, 0.3)), data)
    assert found == {
        "rows": 6,
        "yes": 2,
        "share": 2 / 6,
        "positives": 4,
        "hits": 1,
        "precision": 0.5,
        "recall": 0.25,
        "no": {"rows": 2, "share": 2 / 6, "right": 1, "precision": 0.5},
        "refer": {"rows": 2, "share": 2 / 6},
    }
    without = report_of(replace(BAND, values=(0.7, 0.3)), replace(data, positive=None))
    assert without["no"] == {"rows": 2, "share": 2 / 6}


@pytest.mark.parametrize(
    ("options", "several"),
    [
        ({"choose": fixed(0.5)}, False),
        ({"choose": precision_at_least(0.5)}, False),
        ({"choose": fixed(0.5), "when": "below"}, True),
        ({"choose": top_fraction(0.5), "per": "region"}, True),
        ({"choose": two_sided(yes=fixed(0.7), no=fixed(0.2))}, True),
        ({"choose": refer_unsure(answers=fixed(0.7))}, True),
    ],
)
def test_what_one_value_says_takes_no_rule(options: dict[str, Any], several: bool) -> None:  # noqa: FBT001  a row of the table
    """Only yes from one value up, for all rows alike, stays the plain number that it was."""
    assert takes_several(Threshold("some", model="model", **options)) is several


@settings(deadline=None)
@given(segments=st.lists(st.sampled_from(["north", "south", None]), max_size=12))
def test_rows_fall_apart_into_their_segments(segments: list[str | None]) -> None:
    """Each segment has exactly its own rows, in order."""
    data = rows_of([(float(place), place % 2 == 0) for place in range(len(segments))], segments)
    parts = data.by_segment()
    assert parts.keys() == set(segments)
    for name, part in parts.items():
        assert part.own.tolist() == [place for place, segment in enumerate(segments) if segment == name]
        assert part.positive.tolist() == [place % 2 == 0 for place in part.own]
        assert part.segments == [name] * len(part.own)
