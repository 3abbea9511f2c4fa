"""The rules of a deployment: which steps follow from what is wanted and what stands there."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from lockstep.deployment import vertex_endpoints
from lockstep.deployment.goal import Goal, Member, goal_of
from lockstep.deployment.plan import (
    CreateEndpoint,
    Deploy,
    Shift,
    Undeploy,
    Upload,
    Uploaded,
    View,
    fallback,
    to_heal,
    to_prepare,
    to_retreat,
    to_shift,
    to_tidy,
)
from lockstep.deployment.target import registry_for
from lockstep.errors import DeclarationError, UsageError
from lockstep.registry import State
from tests.deployment.conftest import PROJECT, REGION

SERVING = {"churn": "2", "reason": "2"}  # deployed models are called as the release that brought them


def goal(*earlier: Mapping[str, str]) -> Goal:
    """Want the second release, after some others."""
    members = {name: Member(model=name, number=2, digest=f"{name} 2") for name in SERVING}
    return Goal(group="churn", release="second", members=members, staging={}, earlier=earlier, kept=frozenset())


def view(model: str, *deployed: str, serves: str | None = None) -> View:
    """Let releases of a model stand at its endpoint, one of them with all traffic."""
    return View(
        exists=True,
        mark="seen",
        versions={number: Uploaded(digest=f"{model} {number}", image="image") for number in ("1", "2")},
        deployed={number: number for number in deployed},
        traffic={serves: 100} if serves else {},
    )


FIRST = {name: f"{name} 1" for name in SERVING}


def test_endpoints_and_versions_come_before_what_stands_there() -> None:
    """What is missing is made first; a version is deployed when both are there."""
    member = goal().members["churn"]
    views = {"churn": View(), "reason": view("reason")}
    assert to_prepare(goal(), SERVING, "image", views) == [
        CreateEndpoint(model="churn"),
        Upload(model="churn", member=member, is_first=True),
    ]
    views["churn"] = view("churn")
    assert [type(step) for step in to_prepare(goal(), SERVING, "image", views)] == [Deploy, Deploy]


def test_only_what_does_not_serve_is_shifted() -> None:
    """An endpoint that serves its member already is left alone."""
    views = {"churn": view("churn", "1", "2", serves="2"), "reason": view("reason", "1", "2", serves="1")}
    assert to_shift(SERVING, views) == [Shift(model="reason", deployed="2", mark="seen")]


def test_a_mixture_is_healed_only_if_the_wanted_release_is_not_there() -> None:
    """What is half shifted goes on to the wanted release if it can be, else to the newest that stands there whole."""
    half = {"churn": view("churn", "1", "2", serves="2"), "reason": view("reason", "1", serves="1")}
    assert to_heal(goal(FIRST), SERVING, half) == [Shift(model="churn", deployed="1", mark="seen")]
    whole = {**half, "churn": view("churn", "1", serves="1")}
    assert to_heal(goal(FIRST), SERVING, whole) == []


def test_a_retreat_takes_the_newest_release_that_stands_there_whole() -> None:
    """A release of which one member is gone is passed over."""
    older = {name: f"{name} 0" for name in SERVING}
    views = {
        name: replace(
            view(name, "1", "2", serves="2"),
            versions={"0": Uploaded(digest=f"{name} 0"), **view(name).versions},
            deployed={"0": "0", "2": "2"} if name == "churn" else {"0": "0", "1": "1", "2": "2"},
        )
        for name in SERVING
    }
    assert fallback(goal(FIRST, older), SERVING, views) == {"churn": "0", "reason": "0"}
    assert to_retreat(goal(FIRST, older), SERVING, views) == [
        Shift(model="churn", deployed="0", mark="seen"),
        Shift(model="reason", deployed="0", mark="seen"),
    ]
    assert fallback(goal(FIRST), SERVING, views) is None


def test_a_retreat_stays_with_what_is_served() -> None:
    """A newer release that stands there whole, but was never given traffic, is not what was before."""
    older = {name: f"{name} 0" for name in SERVING}
    views = {
        name: replace(
            view(name, "1", serves="0"),
            versions={"0": Uploaded(digest=f"{name} 0"), **view(name).versions},
            deployed={"0": "0", "1": "1"},
        )
        for name in SERVING
    }
    assert fallback(goal(FIRST, older), SERVING, views) == {"churn": "0", "reason": "0"}
    assert to_heal(goal(FIRST, older), SERVING, views) == []


def test_a_model_that_is_no_member_any_more_is_taken_away() -> None:
    """What has no traffic goes first, and what has it last."""
    views = {name: view(name, "2", serves="2") for name in SERVING} | {"old": view("old", "1", "2", serves="1")}
    views = {
        name: replace(
            one,
            versions={**one.versions, "2": replace(one.versions["2"], aliases=frozenset(("production", "default")))},
        )
        for name, one in views.items()
    }
    assert to_tidy(goal(), SERVING, views) == [Undeploy(model="old", deployed="2")]
    views["old"] = view("old", "1", serves="1")
    assert to_tidy(goal(), SERVING, views) == [Undeploy(model="old", deployed="1")]


def test_nothing_released_is_no_goal() -> None:
    """An empty log wants nothing."""
    assert goal_of(State(), "churn", keep=1) is None


@pytest.mark.parametrize("wrong", [{"project": ""}, {"region": " europe"}, {"image": "\n"}, {"keep": -1}], ids=str)
def test_what_can_not_be_is_told_when_it_is_declared(wrong: dict[str, str | int]) -> None:
    """A blank project, region or image is an error of the DAG file."""
    with pytest.raises(DeclarationError, match=r"vertex_endpoints\("):
        vertex_endpoints(**{"project": PROJECT, "region": REGION, "image": "image", **wrong})


def test_the_registry_has_to_be_where_containers_reach_it() -> None:
    """That is a bucket of Google's, without the connection's name; all else is refused before anything is done."""
    assert registry_for("gs://my_google@bucket/prefix") == "gs://bucket/prefix"
    with pytest.raises(UsageError, match="Nothing was deployed"):
        registry_for("file:///srv/lockstep")
