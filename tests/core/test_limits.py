"""What a graph demands of its releases: agreements between APIs, and limits on what a release changes."""

import json
from dataclasses import replace
from typing import Any

import pytest

from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed, flip_rate, split_rate
from lockstep.conditions import as_json, from_json
from lockstep.errors import DeclarationError
from lockstep.group import Group

COLUMNS = {"household": str, "churned": bool}
customers = Dataset("customers", source=csv("customers.csv"), key="id", columns=COLUMNS)
clicks = Dataset("clicks", source=csv("clicks.csv"), key="click", columns={"id": str, "bought": bool})
churn = Model("churn", data=customers, target="churned", estimator=object)
buying = Model("buying", data=clicks, target="bought", estimator=object)
offer = Threshold("offer", model=churn, choose=fixed(0.7))
call = Threshold("call", model=churn, choose=fixed(0.3))
buy = Threshold("buy", model=buying, choose=fixed(0.5))
calls = Api("calls", decides=[call])


def offers(**more: Any) -> Api:
    """Declare the API whose yes the calls must back."""
    return Api("offers", decides=[offer], **({"agrees_with": [calls]} | more))


def test_an_agreement_is_part_of_the_group() -> None:
    """The APIs that must agree stand in the group, with the dataset's key unless a column is named, and in JSON."""
    group = Graph([offers()]).group("churn")  # the calls come along
    declared = {api.name: (api.agrees_with, api.on) for api in group.apis}
    assert declared == {"offers": (("calls",), "id"), "calls": ((), "")}
    assert Group.from_json(json.loads(json.dumps(group.as_json()))) == group
    assert [api.name for api in group.apis] == ["offers", "calls"]  # who is agreed with comes after those given


def test_apis_can_be_named_and_back_each_other() -> None:
    """By name, an API can agree with one that agrees with it."""
    both = Graph([offers(agrees_with=["calls"]), replace(calls, agrees_with=["offers"], on="household")])
    declared = {api.name: (api.agrees_with, api.on) for api in both.group("churn").apis}
    assert declared == {"offers": (("calls",), "id"), "calls": (("offers",), "household")}


def test_a_group_of_an_older_lockstep_is_read() -> None:
    """A trigger that was written before there were agreements and conditions still says its group."""
    plain = Graph([calls]).group("churn").as_json()
    del plain["release_if"]
    for api in plain["apis"]:
        del api["agrees_with"], api["on"]
    assert Group.from_json(plain) == Graph([calls]).group("churn")


def test_conditions_go_to_the_group_that_they_speak_of() -> None:
    """Of several groups, each gets the conditions that name its nodes, in their order."""
    limits = [flip_rate("buy", at_most=0.1), split_rate("offers", "calls", at_most=0), flip_rate("call", at_most=0.2)]
    graph = Graph([offers(), Api("buys", decides=[buy])], release_if=limits)
    assert graph.group("churn").release_if == (limits[1], limits[2])
    assert graph.group("buying").release_if == (limits[0],)
    assert [from_json(as_json(limit)) for limit in limits] == limits
    assert Group.from_json(json.loads(json.dumps(graph.group("churn").as_json()))) == graph.group("churn")


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    """A limit is a share; one that forbids nothing is a mistake."""
    with pytest.raises(DeclarationError, match=r"the share must be at least 0 and below 1; for example at_most=0\.05"):
        flip_rate("offer", at_most=share)


@pytest.mark.parametrize(
    ("nodes", "limits", "message"),
    [
        ([offers(agrees_with=["callers"])], [], 'agrees_with names "callers", which is no API of the graph; it has'),
        (
            [offers(agrees_with=["buys"], on="id"), Api("buys", decides=[buy])],
            [],
            'agrees_with names "buys" of release group "buying", but it is itself in "churn"',
        ),
        (
            [offers(on="street")],
            [],
            'on="street" is not a column of dataset "customers"; its columns are id, household',
        ),
        (
            [Api("offers", decides=[offer, buy], agrees_with=[calls]), calls],
            [],
            "decide on the datasets customers, clicks; say on which of their columns to compare",
        ),
        ([calls], ["flip_rate"], "release_if= holds a str; it takes flip_rate"),
        ([calls], [flip_rate("offer", at_most=0)], 'names "offer", which is no threshold of the graph; it has call'),
        ([calls], [flip_rate("calls", at_most=0)], 'names "calls", which is no threshold of the graph; it has call'),
        ([offers()], [split_rate("offers", "visits", at_most=0)], 'names "visits", which is no API of the graph'),
        (
            [offers()],
            [split_rate("calls", "offers", at_most=0)],
            'API "calls" does not say that it agrees with "offers". Declare it',
        ),
    ],
)
def test_what_can_not_be_counted_is_refused(nodes: list[Api], limits: list[Any], message: str) -> None:
    """An unknown name, a column that is not there, or an undeclared agreement is said when a file is parsed."""
    with pytest.raises(DeclarationError) as caught:
        Graph(nodes, release_if=limits)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"agrees_with": [churn]}, "agrees_with= holds a Model; it takes APIs, or their names"),
        ({"agrees_with": ["offers"]}, "agrees_with= names itself"),
        ({"agrees_with": [], "on": "id"}, 'on="id" says where to compare, but not with which API'),
    ],
)
def test_an_agreement_that_can_not_be(more: dict[str, Any], message: str) -> None:
    """What is wrong with one API alone is raised when it is made."""
    with pytest.raises(DeclarationError) as caught:
        offers(**more)
    assert message in str(caught.value)
