"""What a rule decides, against a loop over rows."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.decisions.rule import NAMES, Form, Rule, one_value, rule_of, text_of, word_of

LEVELS = [0.0, 0.25, 0.5, 0.75, 1.0]
SEGMENTS = ["north", "south", "east"]


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """Make a rule of any form, for scores of three columns."""
    form = draw(st.sampled_from(Form))
    when = "above" if form is Form.CLASS else draw(st.sampled_from(["above", "below"]))

    def values() -> tuple[float, ...]:
        found = sorted(draw(st.sampled_from(LEVELS)) for _ in NAMES[form])
        return tuple(found if when == "below" else reversed(found))  # for a band, yes lies beyond no

    own = draw(st.lists(st.sampled_from(SEGMENTS), unique=True, max_size=3)) if draw(st.booleans()) else None
    return Rule(
        form=form,
        values=values(),
        column=0 if form is Form.CLASS else draw(st.integers(0, 2)),
        when=when,
        classes=("basic", "silver", "gold") if form is Form.CLASS else (),
        per=None if own is None else "region",
        segments=tuple((name, values()) for name in own or ()),
    )


def by_hand(rule: Rule, scores: list[float], segment: str | None) -> str | bool | None:
    """Decide one row as a person would, by the sentence that describes the rule."""
    values = dict(rule.segments).get(segment, rule.values) if rule.per else rule.values
    if rule.form is Form.CLASS:
        likeliest = max(range(3), key=lambda column: (scores[column], -column))
        return rule.classes[likeliest] if scores[likeliest] >= values[0] else None
    score, sign = scores[rule.column], 1 if rule.when == "above" else -1
    if sign * score >= sign * values[0]:
        return True
    if rule.form is Form.CUT or sign * score <= sign * values[1]:
        return False
    return None


rows = st.lists(
    st.tuples(st.tuples(*[st.sampled_from([*LEVELS, 0.4, 0.6])] * 3), st.sampled_from([*SEGMENTS, "west", None])),
    max_size=12,
)


@settings(deadline=None)
@given(rule=rules(), of=rows)
def test_a_rule_decides_as_one_row_after_the_other_would_be(rule: Rule, of: list[tuple[Any, str | None]]) -> None:
    """All rows at once get what each gets by itself; unknown and blank segments are decided by the values of all."""
    scores = np.array([row for row, _ in of], dtype=np.float64).reshape(len(of), 3)
    codes = rule.decide(scores, [segment for _, segment in of])
    assert codes.dtype == np.int8
    assert [rule.outcomes[code] for code in codes] == [by_hand(rule, list(row), segment) for row, segment in of]


@settings(deadline=None)
@given(rule=rules(), of=rows)
def test_a_rule_that_was_written_down_decides_the_same(rule: Rule, of: list[tuple[Any, str | None]]) -> None:
    """Through JSON it is equal, and so is a threshold's manifest that holds it."""
    again = rule_of({"value": None, "rule": json.loads(json.dumps(rule.as_json()))}, list.index)
    assert again == rule
    assert hash(again) == hash(rule)
    scores = np.array([row for row, _ in of], dtype=np.float64).reshape(len(of), 3)
    segments = [segment for _, segment in of]
    assert again.decide(scores, segments).tolist() == rule.decide(scores, segments).tolist()


@settings(deadline=None)
@given(rule=rules(), of=rows.filter(bool))
def test_an_answer_names_the_values_that_decided(rule: Rule, of: list[tuple[Any, str | None]]) -> None:
    """It holds the decision, the values, whether a person decides, and whether the segment has values of its own."""
    scores = np.array([row for row, _ in of], dtype=np.float64)
    segments = [segment for _, segment in of]
    values = np.broadcast_to(rule.values_for(segments), (len(of), len(rule.values))).tolist()
    for place, code in enumerate(rule.decide(scores, segments).tolist()):
        answer = rule.answer(code, segments[place])
        assert answer["decision"] == by_hand(rule, scores[place].tolist(), segments[place])
        named = dict(zip(NAMES[rule.form], values[place], strict=True))
        assert answer["threshold"] == (named if rule.form is Form.BAND else values[place][0])
        assert answer.get("refer") == ((answer["decision"] is None) if rule.form is not Form.CUT else None)
        assert ("segment" in answer) is (rule.per is not None)
        if rule.per is not None:
            assert answer["segment"] == segments[place]
            assert answer["fallback"] is (segments[place] not in dict(rule.segments))
        assert json.loads(json.dumps(answer)) == answer


def test_a_score_that_is_no_number_goes_to_a_person() -> None:
    """Nothing is said of it where somebody can be asked; a single value says no, as ever."""
    nothing = np.array([[math.nan, math.nan]])
    band = Rule(form=Form.BAND, values=(0.7, 0.2), column=1)
    assert band.outcomes[band.decide(nothing)[0]] is None
    below = Rule(form=Form.BAND, values=(0.2, 0.7), column=1, when="below")
    assert below.outcomes[below.decide(nothing)[0]] is None
    classes = Rule(form=Form.CLASS, values=(0.5,), classes=("a", "b"))
    assert classes.outcomes[classes.decide(nothing)[0]] is None
    assert one_value(0.5, 1).decide(nothing).tolist() == [0]


def test_where_both_edges_are_one_number_it_is_a_yes() -> None:
    """A band without width is one value, from which up it is yes."""
    band = Rule(form=Form.BAND, values=(0.5, 0.5), column=0)
    assert [band.outcomes[code] for code in band.decide(np.array([[0.4], [0.5], [0.6]]))] == [False, True, True]


def test_segments_may_be_ints_and_bools() -> None:
    """They come back from JSON as they were, and are not taken for one another's text."""
    rule = Rule(form=Form.CUT, values=(0.5,), per="visits", segments=((3, (0.1,)), (4, (0.9,))))
    again = Rule.from_json(json.loads(json.dumps(rule.as_json())))
    assert again.decide(np.full((4, 1), 0.3), [3, 4, "3", None]).tolist() == [1, 0, 0, 0]
    bools = Rule(form=Form.CUT, values=(0.5,), per="member", segments=((True, (0.1,)),))
    assert bools.decide(np.full((3, 1), 0.3), [True, False, None]).tolist() == [1, 0, 0]


def test_rows_without_their_segments_are_refused() -> None:
    """Deciding all rows by the values of all, silently, is what must not happen."""
    rule = Rule(form=Form.CUT, values=(0.5,), per="region", segments=(("north", (0.1,)),))
    with pytest.raises(ValueError, match='decides by the values of column "region"'):
        rule.decide(np.full((1, 1), 0.3))


def test_a_manifest_of_one_value_is_read_as_ever() -> None:
    """Yes from the value up, on the column of the positive class."""
    found = rule_of({"value": 0.4, "positive": "gold"}, ["basic", "gold"].index)
    assert found == one_value(0.4, 1)
    assert found.is_one_value
    assert found.decide(np.array([[0.7, 0.3], [0.6, 0.4]])).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (one_value(0.5, 1), "yes from 0.5000 up"),
        (Rule(form=Form.CUT, values=(12.5,), when="below"), "yes up to 12.5000"),
        (
            Rule(form=Form.BAND, values=(0.7, 0.2), column=1),
            "yes from 0.7000 up, no up to 0.2000, a person decides between",
        ),
        (
            Rule(form=Form.BAND, values=(10, 20), when="below"),
            "yes up to 10.0000, no from 20.0000 up, a person decides between",
        ),
        (
            Rule(form=Form.CLASS, values=(0.8,), classes=("a", "b")),
            "the likeliest class from 0.8000 up, else a person decides",
        ),
        (
            Rule(form=Form.CUT, values=(0.5,), per="region", segments=(("north", (0.4,)),)),
            "yes from 0.5000 up; by region: north: 0.4000",
        ),
        (
            Rule(form=Form.BAND, values=(0.7, 0.2), per="region", segments=(("north", (0.8, 0.1)),)),
            "yes from 0.7000 up, no up to 0.2000, a person decides between; by region: north: yes 0.8000, no 0.1000",
        ),
        (
            Rule(form=Form.CUT, values=(0.5,), per="region"),
            "yes from 0.5000 up; by region: none has values of its own",
        ),
    ],
)
def test_a_rule_is_told_in_words(rule: Rule, text: str) -> None:
    """People read what it decides."""
    assert rule.as_text() == text
    assert text_of(None, rule.as_json()) == text


def test_a_long_rule_is_cut_short() -> None:
    """Of many segments the first are told, and how many more there are."""
    rule = Rule(form=Form.CUT, values=(0.5,), per="shop", segments=tuple((place, (0.1,)) for place in range(9)))
    assert rule.as_text().endswith("5: 0.1000; and 3 more")
    assert text_of(0.25, None) == "0.2500"


def test_outcomes_have_words() -> None:
    """Yes and no, a class by its name, and "refer" where a person decides."""
    assert [word_of(outcome) for outcome in (True, False, None, "gold", 3)] == ["yes", "no", "refer", "gold", "3"]
