"""Policies: the numbers they take, the sentence that refuses others, and how they are written down."""

import json
from collections.abc import Callable

import pytest

from lockstep import fixed, minimise_cost, precision_at_least, recall_at_least, top_fraction
from lockstep.errors import DeclarationError
from lockstep.policy import Policy

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize("policy", [precision_at_least, recall_at_least, top_fraction])
@pytest.mark.parametrize("value", [0, -0.1, 1.01, 65, NAN, INFINITY])
def test_share_out_of_range_is_refused(policy: Callable[[float], Policy], value: float) -> None:
    """A share is above 0 and at most 1."""
    with pytest.raises(DeclarationError) as refused:
        policy(value)
    name = policy.__name__
    assert str(refused.value) == (
        f"{name}({value}): the share must be above 0 and at most 1; for example {name}(0.65)."
    )


@pytest.mark.parametrize("policy", [precision_at_least, recall_at_least, top_fraction])
@pytest.mark.parametrize("value", [1, 0.001, 0.65])
def test_share_in_range_is_kept(policy: Callable[[float], Policy], value: float) -> None:
    """A share in its range is kept as a float, 1 included."""
    assert policy(value).describe() == {"policy": policy.__name__, "value": float(value)}


@pytest.mark.parametrize(
    ("false_positive", "false_negative"), [(-1, 2), (1, -2), (0, 0), (NAN, 1), (1, NAN), (INFINITY, 1), (0, INFINITY)]
)
def test_costs_that_rank_nothing_are_refused(false_positive: float, false_negative: float) -> None:
    """Costs are finite and not negative, and not both 0."""
    with pytest.raises(DeclarationError) as refused:
        minimise_cost(false_positive=false_positive, false_negative=false_negative)
    assert str(refused.value) == (
        f"minimise_cost(false_positive={false_positive}, false_negative={false_negative}): costs are finite and not"
        " negative, and one of them must be above 0."
    )


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
def test_fixed_value_is_finite(value: float) -> None:
    """A fixed threshold is a number that JSON can write."""
    with pytest.raises(DeclarationError) as refused:
        fixed(value)
    assert str(refused.value) == f"fixed({value}): the value must be a finite number; for example fixed(0.5)."


@pytest.mark.parametrize(
    ("policy", "text", "needs_classes"),
    [
        (precision_at_least(0.65), "precision_at_least(0.65)", True),
        (recall_at_least(0.9), "recall_at_least(0.9)", True),
        (minimise_cost(false_positive=1, false_negative=5.5), "minimise_cost(1, 5.5)", True),
        (top_fraction(0.1), "top_fraction(0.1)", False),
        (fixed(-3), "fixed(-3)", False),
    ],
)
def test_policy_is_written_as_it_is_declared(policy: Policy, text: str, needs_classes: bool) -> None:  # noqa: FBT001  a row of the table
    """A policy prints as its declaration, goes through JSON unchanged, and says whether it counts right answers."""
    assert str(policy) == text
    assert json.loads(json.dumps(policy.describe())) == policy.describe()
    assert policy.needs_classes is needs_classes
