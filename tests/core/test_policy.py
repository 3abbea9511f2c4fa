"""Policies: the numbers they take, the sentence that refuses others, and how they are written down."""

import json
from collections.abc import Callable

import pytest

from lockstep import (
    capacity_per_day,
    cost_matrix,
    fixed,
    maximise_f_beta,
    minimise_cost,
    precision_at_least,
    recall_at_least,
    top_fraction,
)
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


@pytest.mark.parametrize(
    "costs", [(0, 1, 0, 0), (0, 0, 1, 0), (2, 1, 1, 0), (0, 1, 1, 1), (NAN, 1, 1, 0), (0, INFINITY, 1, 0)]
)
def test_being_right_must_cost_less(costs: tuple[float, float, float, float]) -> None:
    """A matrix in which being wrong is as good as being right is a mistake."""
    names = ("true_positive", "false_positive", "false_negative", "true_negative")
    with pytest.raises(DeclarationError, match="being right must cost less than being wrong"):
        cost_matrix(**dict(zip(names, costs, strict=True)))


@pytest.mark.parametrize("beta", [0, -1, NAN, INFINITY])
def test_beta_is_above_0(beta: float) -> None:
    """With a beta of 0 or none at all, recall would count nothing or everything."""
    with pytest.raises(DeclarationError, match="beta must be a finite number above 0"):
        maximise_f_beta(beta)


@pytest.mark.parametrize(("most", "rows"), [(0, 10), (-1, 10), (11, 10), (NAN, 10), (5, INFINITY), (5, NAN)])
def test_a_day_has_room_for_some_of_its_rows(most: float, rows: float) -> None:
    """More room than rows come is no capacity."""
    with pytest.raises(DeclarationError, match=r"for example capacity_per_day\(200, rows=5000\)"):
        capacity_per_day(most, rows=rows)


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
        (maximise_f_beta(2), "maximise_f_beta(2)", True),
        (capacity_per_day(200, rows=5000), "capacity_per_day(200, 5000)", False),
        (cost_matrix(true_positive=-5, false_positive=1, false_negative=0), "cost_matrix(-5, 1, 0, 0)", True),
    ],
)
def test_policy_is_written_as_it_is_declared(policy: Policy, text: str, needs_classes: bool) -> None:  # noqa: FBT001  a row of the table
    """A policy prints as its declaration, goes through JSON unchanged, and says whether it counts right answers."""
    assert str(policy) == text
    assert json.loads(json.dumps(policy.describe())) == policy.describe()
    assert policy.needs_classes is needs_classes
