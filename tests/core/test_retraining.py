"""When a group is to be retrained, as it is declared."""

from typing import Any

import pytest

from lockstep import (
    Api,
    Dataset,
    Graph,
    Model,
    Threshold,
    age,
    all_of,
    any_of,
    csv,
    decision_rate_moves,
    drift,
    fixed,
    rows_added,
)
from lockstep.errors import DeclarationError
from lockstep.retraining import simple_ones

customers = Dataset("customers", source=csv("customers.csv"), key="id", columns={"churned": bool})
churn = Model("churn", data=customers, target="churned", estimator=object)
offer = Threshold("offer", model=churn, choose=fixed(0.7))
offers = Api("offers", decides=[offer])


def test_a_rule_is_a_plain_value() -> None:
    """Two that are declared alike are equal, and one is written as it was declared."""
    rule = any_of(
        drift(psi=0.2, columns="important"),
        all_of(age(days=30), rows_added(0.1)),
        drift(psi=0.1, columns=["tenure"]),
        decision_rate_moves(0.05, "offer"),
    )
    assert rule == eval(str(rule))  # noqa: S307  the text is the declaration
    assert len(list(simple_ones(rule))) == 5
    assert Graph([offers], retrain_when=rule).retrain_when == rule
    assert Graph([offers]).retrain_when is None


def test_one_condition_is_a_rule() -> None:
    """It needs no `any_of` around it."""
    assert Graph([offers], retrain_when=age(days=7)).retrain_when == age(days=7)


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: drift(psi=0), "it has to be above 0"),
        (lambda: drift(psi=float("nan")), "it has to be above 0"),
        (lambda: drift(columns="tenure"), 'columns=["tenure"]'),
        (lambda: drift(columns=[]), "no column can drift"),
        (lambda: age(days=-1), "it has to be above 0"),
        (lambda: rows_added(0), "it has to be above 0"),
        (lambda: decision_rate_moves(1), "a share moves by less than 1"),
        (any_of, "no condition is given"),
        (lambda: any_of(0.2), "is no condition"),
        (lambda: Graph([offers], retrain_when="monthly"), "is no condition"),
        (lambda: Graph([offers], retrain_when=any_of(decision_rate_moves(0.1, "call"))), "it has offer"),
    ],
)
def test_what_is_no_rule_is_refused(declare: Any, says: str) -> None:  # noqa: ANN401  any call
    """The message says what is wrong, and what to write."""
    with pytest.raises(DeclarationError) as refused:
        declare()
    assert says in str(refused.value)
