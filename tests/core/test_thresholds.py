"""Which thresholds can be declared on which model."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from lockstep import (
    Api,
    Dataset,
    Graph,
    Model,
    Threshold,
    csv,
    fixed,
    minimise_cost,
    precision_at_least,
    refer_unsure,
    top_fraction,
    two_sided,
)
from lockstep.draw import as_text
from lockstep.errors import DeclarationError
from lockstep.policy import Policy

COLUMNS = {
    "household": str,
    "region": str,
    "member": bool | None,
    "visits": int,
    "since": date,
    "spend": float,
    "plan": str,
    "churned": bool,
}
customers = Dataset("customers", source=csv("customers.csv"), key="id", columns=COLUMNS)
cleaned = Dataset("cleaned", source=csv("customers.csv"), key="id", columns=COLUMNS, clean=list)
churn = Model("churn", data=customers, target="churned", estimator=object)
spending = Model("spending", data=customers, target="spend", estimator=object)
secret = Model(
    "secret",
    data=Dataset("secrets", source=csv("secrets.csv"), key="id", columns=COLUMNS, private=["region"]),
    target="churned",
    estimator=object,
)
planning = Model("planning", data=customers, target="plan", estimator=object)
BAND = two_sided(yes=precision_at_least(0.8), no=precision_at_least(0.95))
UNSURE = refer_unsure(answers=precision_at_least(0.9))


def declared(model: Model = churn, **options: Any) -> Threshold:
    """Declare a threshold, alone in a graph."""
    threshold = Threshold("some", model=model, **({"choose": precision_at_least(0.6)} | options))
    return Graph([threshold]).threshold("some")


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (churn, {"choose": BAND}),
        (churn, {"choose": UNSURE}),
        (churn, {"per": "region"}),
        (churn, {"per": "member", "at_least_rows": 1, "choose": BAND}),
        (churn, {"per": "visits", "choose": top_fraction(0.1)}),
        (Model("churn", data=cleaned, target="churned", estimator=object), {"per": "age_group"}),
        (planning, {"choose": UNSURE, "per": "region"}),
        (planning, {"choose": BAND, "positive": "gold"}),
        (spending, {"choose": top_fraction(0.1), "when": "below"}),
        (spending, {"choose": fixed(12), "when": "below"}),
        (spending, {"choose": two_sided(yes=fixed(10), no=fixed(20)), "when": "below"}),
        (spending, {"choose": two_sided(yes=top_fraction(0.1), no=fixed(20))}),
        (spending, {"choose": top_fraction(0.1), "when": "below", "per": "region"}),
    ],
)
def test_what_can_be_computed_can_be_declared(model: Model, options: dict[str, Any]) -> None:
    """Bands and segments go with any score, classes with a classification, values from which down with a regression."""
    found = declared(model, **options)
    assert found.fewest == options.get("at_least_rows", 200)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (spending, {"choose": BAND}, "needs classes, but model"),
        (spending, {"choose": UNSURE}, "needs classes, but model"),
        (planning, {"choose": BAND}, 'say which class counts as yes with positive="…"'),
        (
            planning,
            {"choose": UNSURE, "positive": "gold"},
            (
                "positive='gold' names a class that counts as yes, but refer_unsure(answers=precision_at_least(0.9))"
                " answers with any class. Leave positive= away."
            ),
        ),
        (
            churn,
            {"when": "below"},
            (
                'Threshold "some": when="below" is for values, but model "churn" gives probabilities. That one class is'
                " unlikely is that another is likely: name that with positive=…."
            ),
        ),
        (churn, {"when": "beneath"}, 'when=\'beneath\' is unknown; it is yes "above" the value, or "below" it.'),
        (churn, {"choose": two_sided(yes=fixed(0.2), no=fixed(0.7))}, "crosses, where yes is above its value"),
        (
            spending,
            {"choose": two_sided(yes=fixed(20), no=fixed(10)), "when": "below"},
            "crosses, where yes is below its value",
        ),
        (churn, {"per": "id"}, 'per="id" is the key, and has a row each'),
        (churn, {"per": "churned"}, 'per="churned" is the target, which nobody knows beforehand'),
        (churn, {"per": "spend"}, 'per="spend" is a float column; rows are parted by texts, ints or bools.'),
        (
            secret,
            {"per": "region"},
            'per="region" is private in dataset "secrets", and its values would stand in the log',
        ),
        (churn, {"per": "since"}, 'per="since" is a date column'),
        (
            churn,
            {"per": "age_group"},
            'per="age_group" is not a column of dataset "customers", and it has no clean that could add it; its',
        ),
        (churn, {"per": "region", "choose": fixed(0.5)}, "fixed(0.5) is the same for each value of the column."),
        (
            churn,
            {"per": "region", "choose": two_sided(yes=fixed(0.5), no=fixed(0.1))},
            "is the same for each value of the column",
        ),
        (planning, {"per": "region", "choose": refer_unsure(answers=fixed(0.5))}, "is the same for each value of"),
        (churn, {"at_least_rows": 10}, "it is 1 or more, and goes with per="),
        (churn, {"per": "region", "at_least_rows": 0}, "it is 1 or more, and goes with per="),
    ],
)
def test_what_can_not_be_computed_is_refused(model: Model, options: dict[str, Any], message: str) -> None:
    """The sentence says what is wrong and what to do instead."""
    with pytest.raises(DeclarationError) as refused:
        declared(model, **options)
    assert message in str(refused.value)


def test_who_says_no_class_says_yes_or_no() -> None:
    """APIs are compared by who says yes: one that answers with classes can't agree, one that also refers can."""
    plans = Api("plans", decides=[Threshold("plan", model=planning, choose=UNSURE)])
    offers = Threshold("offer", model=churn, choose=BAND)
    with pytest.raises(DeclarationError) as refused:
        Graph([Api("offers", decides=[offers], agrees_with=[plans])])
    assert str(refused.value) == (
        'API "offers": agrees_with compares who says yes, but "plans" answers with classes only. Give it a threshold on'
        " one class (positive=…), or take it out of agrees_with."
    )
    doubts = Api("doubts", decides=[Threshold("doubt", model=churn, choose=UNSURE)])  # yes, no, or a person
    assert Graph([Api("offers", decides=[offers], agrees_with=[doubts])]).api("offers").agreeing == ("doubts",)


def test_a_policy_of_two_sides_is_drawn_and_written_as_declared() -> None:
    """Both wishes are in its words and in its JSON."""
    assert str(BAND) == "two_sided(yes=precision_at_least(0.8), no=precision_at_least(0.95))"
    assert BAND.describe() == {
        "policy": "two_sided",
        "yes": {"policy": "precision_at_least", "value": 0.8},
        "no": {"policy": "precision_at_least", "value": 0.95},
    }
    assert str(UNSURE) == "refer_unsure(answers=precision_at_least(0.9))"
    assert UNSURE.describe() == {"policy": "refer_unsure", "answers": {"policy": "precision_at_least", "value": 0.9}}
    assert f"policy {BAND}" in as_text(Graph([Threshold("offer", model=churn, choose=BAND)]))


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: two_sided(yes=0.8, no=fixed(0.1)), "two_sided(yes=0.8): that is no wish for one value"),
        (lambda: two_sided(yes=fixed(0.8), no=BAND), "two_sided(no=two_sided("),
        (
            lambda: two_sided(yes=minimise_cost(false_positive=1, false_negative=1), no=fixed(0.1)),
            "two_sided(yes=minimise_cost(1, 1)): costs weigh yes against no, and so give one value, with no band.",
        ),
        (lambda: refer_unsure(answers=UNSURE), "refer_unsure(answers=refer_unsure("),
        (lambda: refer_unsure(answers=0.9), "refer_unsure(answers=0.9): that is no wish for one value"),
    ],
)
def test_a_side_takes_a_wish_for_one_value(declare: Callable[[], Policy], message: str) -> None:
    """Numbers, bands and costs are no wish for one side."""
    with pytest.raises(DeclarationError) as refused:
        declare()
    assert message in str(refused.value)
