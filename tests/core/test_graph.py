"""The graph: what is wrong between declarations, release groups, and the group as JSON."""

import json
import warnings
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed, precision_at_least, top_fraction
from lockstep.declare import Node
from lockstep.errors import DeclarationError, DeprecatedDataWarning, UsageError
from lockstep.group import Group, GroupApi, GroupModel

COLUMNS = {"spend": float, "plan": str, "churned": bool}


def estimator() -> object:
    """Stand where an estimator's function would; a graph never calls it."""
    return object()


def dataset(name: str = "customers", **more: Any) -> Dataset:
    """Declare a dataset with a float, a text and a bool column."""
    return Dataset(name, source=csv(f"{name}.csv"), key="id", columns=COLUMNS, **more)


def model(name: str, *builds_on: Model | str, data: Dataset | None = None, **more: Any) -> Model:
    """Declare a model, on customers and for churn unless said otherwise."""
    return Model(
        name,
        **({"data": data or dataset(), "target": "churned", "estimator": estimator, "builds_on": builds_on} | more),
    )


def threshold(name: str, of: Model | str, **more: Any) -> Threshold:
    """Declare a threshold with a policy that counts classes, unless said otherwise."""
    return Threshold(name, model=of, **({"choose": precision_at_least(0.65)} | more))


def api(name: str, *decides: Threshold, explains: list[Model] | None = None) -> Api:
    """Declare an API."""
    return Api(name, decides=decides, explains=explains or [])


def names(nodes: tuple[Node, ...]) -> list[str]:
    """List the nodes' names."""
    return [node.name for node in nodes]


def in_a_circle_of_objects() -> list[Model]:
    """Close a circle through a list that is changed after it was given."""
    later: list[Model] = []
    first = model("first", data=dataset(), builds_on=later)
    later.append(model("second", first))
    return [first]


REFUSED: dict[str, tuple[Callable[[], list[Node]], str]] = {
    "unknown builds_on": (
        lambda: [model("reason", "chrun"), model("churn")],
        'Model "reason": there is no model "chrun" in the graph; its models are reason, churn.',
    ),
    "builds_on names a dataset": (
        lambda: [model("reason", "customers")],
        'Model "reason": there is no model "customers" in the graph; its models are reason.',
    ),
    "unknown model of a threshold": (
        lambda: [threshold("offer", "churn")],
        'Threshold "offer": there is no model "churn" in the graph; its models are none.',
    ),
    "two models of one name": (
        lambda: [model("churn"), model("churn", target="plan")],
        'The name "churn" stands for two different models; names are unique in a graph. Rename one.',
    ),
    "two datasets of one name": (
        lambda: [model("a", data=dataset()), model("b", data=dataset(shared=False))],
        'The name "customers" stands for two different datasets; names are unique in a graph. Rename one.',
    ),
    "a model and a threshold of one name": (
        lambda: [threshold("churn", model("churn"))],
        'The name "churn" stands for a model and a threshold; names are unique in a graph. Rename one.',
    ),
    "a dataset and an API of one name": (
        lambda: [api("customers", threshold("offer", model("churn")))],
        'The name "customers" stands for a dataset and an API; names are unique in a graph. Rename one.',
    ),
    "circle by names": (
        lambda: [model("a", "b"), model("b", "c"), model("c", "a")],
        'Models build on each other in a circle: "a" → "c" → "b" → "a"; take one builds_on away.',
    ),
    "circle of one": (
        lambda: [model("a", "a")],
        'Models build on each other in a circle: "a" → "a"; take one builds_on away.',
    ),
    "circle by objects": (
        in_a_circle_of_objects,
        'Models build on each other in a circle through "first"; take one builds_on away.',
    ),
    "classes of a regression": (
        lambda: [threshold("big", model("spender", target="spend"))],
        (
            'Threshold "big": policy precision_at_least(0.65) needs classes, but model "spender" is a regression'
            ' (its target "spend" is a float); use fixed(…) or top_fraction(…).'
        ),
    ),
    "positive is missing": (
        lambda: [threshold("gold", model("planner", target="plan"))],
        (
            'Threshold "gold": model "planner" predicts "plan", which is not a bool; say which class counts as yes with'
            ' positive="…".'
        ),
    ),
    "only_for a stranger": (
        lambda: [model("churn", only_for=["ofers"])],
        'Model "churn": only_for names "ofers", which is not in the graph; it has customers, churn.',
    ),
    "nothing at all": (list, "Graph([]): no node is given; give at least one API, threshold or model."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_graph_that_cannot_be_is_refused(case: str) -> None:
    """What can't be between declarations is refused when the graph is made, in one sentence with the way out."""
    nodes, message = REFUSED[case]
    with pytest.raises(DeclarationError) as refused:
        Graph(nodes())
    assert str(refused.value) == message


def test_policies_without_classes_cut_a_regression() -> None:
    """A regression's score can be cut at a fixed value or at a share of the rows, and a text target at any class."""
    spender = model("spender", target="spend")
    Graph([threshold("big", spender, choose=fixed(100)), threshold("few", spender, choose=top_fraction(0.1))])
    Graph([threshold("gold", model("planner", target="plan"), positive="gold")])


def only_for(*users: str) -> Model:
    """Declare a churn model that only these may use."""
    return model("churn", only_for=users)


def used_directly() -> list[Node]:
    """Let an API that isn't allowed explain by the model."""
    churn = only_for("offers")
    return [api("offers", threshold("offer", churn)), api("calls", threshold("call", model("other")), explains=[churn])]


def used_through_a_threshold() -> list[Node]:
    """Let an API that isn't allowed decide by a threshold of the model."""
    churn = only_for("offers")
    return [api("offers", threshold("offer", churn)), api("calls", threshold("call", churn))]


def used_through_a_model() -> list[Node]:
    """Let an API that isn't allowed explain by a model that builds on the exclusive one."""
    churn = only_for("offers")
    reason = model("reason", churn)
    return [
        api("offers", threshold("offer", churn)),
        api("calls", threshold("call", model("other")), explains=[reason]),
    ]


def used_for_both() -> list[Node]:
    """Let a model that builds on the exclusive one explain to the API that is allowed and to one that isn't."""
    churn = only_for("offers")
    reason = model("reason", churn)
    calls = api("calls", threshold("call", model("other")), explains=[reason])
    return [api("offers", threshold("offer", churn), explains=[reason]), calls]


def used_by_a_model_alone() -> list[Node]:
    """Let a model that no API uses build on the exclusive one."""
    churn = only_for("offers")
    return [api("offers", threshold("offer", churn)), model("reason", churn)]


@pytest.mark.parametrize(
    ("nodes", "user"),
    [
        (used_directly, 'API "calls"'),
        (used_through_a_threshold, 'threshold "call" (for calls)'),
        (used_through_a_model, 'model "reason" (for calls)'),
        (used_for_both, 'model "reason" (for calls)'),
        (used_by_a_model_alone, 'model "reason"'),
    ],
)
def test_exclusive_model_is_refused_to_others(nodes: Callable[[], list[Node]], user: str) -> None:
    """A model declared only for some is refused to all others, however they come by it."""
    with pytest.raises(DeclarationError) as refused:
        Graph(nodes())
    assert str(refused.value) == (
        f'Model "churn" is only for offers, but {user} uses it. Train a model of its own for that, or add it to'
        " only_for."
    )


def test_exclusive_model_serves_those_it_is_for() -> None:
    """A model declared only for an API serves it directly, through its threshold and through a model of its own."""
    churn = only_for("offers")
    reason = model("reason", churn)
    Graph([api("offers", threshold("offer", churn), explains=[reason, churn])])
    named = model("churn", only_for=["reason"])
    Graph([api("calls", threshold("call", model("reason", named)))])


def test_deprecated_dataset_warns_of_each_model_on_it() -> None:
    """A model on a deprecated dataset is warned of, at the line that makes the graph."""
    old = dataset("old", deprecated="use customers")
    with pytest.warns(DeprecatedDataWarning) as seen:
        Graph([model("a", data=old), model("b", data=old), model("c")])
    assert [str(warning.message) for warning in seen] == [
        'Dataset "old" is deprecated: use customers. Model "a" uses it.',
        'Dataset "old" is deprecated: use customers. Model "b" uses it.',
    ]
    assert {warning.filename for warning in seen} == {__file__}


def test_deprecated_dataset_says_until_when() -> None:
    """The warning tells the day after which nothing on the dataset is promoted."""
    old = dataset("old", deprecated="use customers", deprecated_after=date(2026, 3, 31))
    with pytest.warns(DeprecatedDataWarning) as seen:
        Graph([model("a", data=old)])
    assert [str(warning.message) for warning in seen] == [
        'Dataset "old" is deprecated: use customers (no promotion after 2026-03-31). Model "a" uses it.'
    ]


def telecom() -> Graph:
    """Make the graph of the design's story."""
    churn = model("churn")
    reason = model("churn_reason", "churn", target="plan")
    offer, call = threshold("retention_offer", churn), threshold("priority_call", churn)
    return Graph([api("offers", offer, explains=[reason]), api("calls", call)])


def test_graph_lists_each_node_after_what_it_uses() -> None:
    """Nodes come in an order in which everything stands before what uses it."""
    graph = telecom()
    order = names(graph.nodes)
    assert sorted(order) == [
        "calls", "churn", "churn_reason", "customers", "offers", "priority_call", "retention_offer",
    ]  # fmt: skip
    assert all(order.index(parent) < order.index(node) for node in order for parent in graph.parents(node))


def test_hangs_on_is_everything_below() -> None:
    """What hangs on a node is all that uses it, directly or not, and not the node itself."""
    graph = telecom()
    assert set(names(graph.hangs_on("customers"))) == set(names(graph.nodes)) - {"customers"}
    assert set(names(graph.hangs_on("churn_reason"))) == {"offers"}
    assert set(names(graph.hangs_on("churn"))) == {
        "churn_reason",
        "retention_offer",
        "priority_call",
        "offers",
        "calls",
    }
    assert graph.hangs_on("calls") == ()


def test_neighbours_are_found_by_name() -> None:
    """Parents, upstream models, a model's thresholds and a threshold's model are one look-up each."""
    graph = telecom()
    assert graph.parents("churn_reason") == ("customers", "churn")
    assert names(graph.upstream("churn_reason")) == ["churn"]
    assert sorted(names(graph.thresholds_of("churn"))) == ["priority_call", "retention_offer"]
    assert graph.model_of("priority_call").name == "churn"
    assert (graph.dataset("customers").name, graph.api("calls").name) == ("customers", "calls")


@pytest.mark.parametrize(
    ("look_up", "message"),
    [
        (lambda graph: graph.node("x"), '"x" is not in the graph; it has {all}.'),
        (lambda graph: graph.hangs_on("x"), '"x" is not in the graph; it has {all}.'),
        (lambda graph: graph.model("offers"), 'There is no model "offers" in the graph; it has churn, churn_reason.'),
        (lambda graph: graph.dataset("churn"), 'There is no dataset "churn" in the graph; it has customers.'),
        (lambda graph: graph.group("x"), 'There is no release group "x"; the graph has churn.'),
        (
            lambda graph: graph.group_of("customers"),
            '"customers" belongs to no release group; only models, thresholds and APIs do.',
        ),
    ],
)
def test_unknown_name_is_answered_with_the_known_ones(look_up: Callable[[Graph], object], message: str) -> None:
    """A name that is not there is refused together with those that are."""
    graph = telecom()
    with pytest.raises(UsageError) as refused:
        look_up(graph)
    assert str(refused.value) == message.format(all=", ".join(names(graph.nodes)))


def test_layers_that_share_everything_are_walked_once() -> None:
    """A graph of forty layers, each built on both models of the one before, is made at once and not in 2^40 steps."""
    customers = dataset()
    layers = [(model("a0", data=customers), model("b0", data=customers))]
    for depth in range(1, 40):
        layers.append(
            (model(f"a{depth}", *layers[-1], data=customers), model(f"b{depth}", *layers[-1], data=customers))
        )
    graph = Graph(layers[-1])
    assert len(graph.nodes) == 81
    assert all(names(graph.upstream(below[0].name)) == names(above) for above, below in pairwise(layers))


def test_group_is_a_connected_part() -> None:
    """Models on one dataset are released together; what no arrow ties to them is a group of its own."""
    graph = Graph([
        api("offers", threshold("offer", model("churn"))),
        model("value", target="spend"),
        api("ads", threshold("ad", model("click", data=dataset("clicks")))),
    ])  # fmt: skip
    assert {name: sorted(group.nodes) for name, group in graph.groups.items()} == {
        "churn": ["churn", "offer", "offers", "value"],
        "click": ["ad", "ads", "click"],
    }
    assert graph.group_of("value").name == "churn"
    assert graph.group("click") == graph.group_of("ads")


def test_unshared_dataset_unties_its_users() -> None:
    """A dataset declared shared=False leaves its users in groups of their own."""
    words = dataset("words", shared=False)
    graph = Graph([model("a", data=words), model("b", data=words), model("c", data=words, builds_on=["a"])])
    assert {name: sorted(group.nodes) for name, group in graph.groups.items()} == {"a": ["a", "c"], "b": ["b"]}
    assert [member.shared for member in graph.group("a").models] == [False, False]


def test_group_is_called_after_its_first_root_or_by_name() -> None:
    """A group bears the name of its first model that builds on no other, unless the graph gives one."""
    nodes = [model("reason", "churn"), model("churn")]
    assert list(Graph(nodes).groups) == ["churn"]
    assert list(Graph(nodes, name="telecom").groups) == ["telecom"]


def test_one_name_for_two_groups_is_refused() -> None:
    """A name can't be given to a graph that falls apart."""
    apart = [model("a"), model("b", data=dataset("others"))]
    with pytest.raises(DeclarationError) as refused:
        Graph(apart, name="both")
    assert str(refused.value) == (
        'Graph(name="both"): the graph falls into 2 release groups, which can\'t share a name;'
        " leave the name out, or make a Graph of each."
    )


def test_group_holds_names_only() -> None:
    """A group says of each member what it hangs on, by name, models after those they build on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecatedDataWarning)
        old = dataset("old", deprecated="use customers", deprecated_after=date(2026, 3, 31))
        reason = model("reason", "churn", data=old)
        graph = Graph([api("offers", threshold("offer", model("churn", data=old)), explains=[reason])])
    assert graph.group("churn") == Group(
        name="churn",
        models=(
            GroupModel(
                name="churn",
                dataset="old",
                shared=True,
                deprecated_after=date(2026, 3, 31),
                builds_on=(),
                thresholds=("offer",),
            ),
            GroupModel(
                name="reason",
                dataset="old",
                shared=True,
                deprecated_after=date(2026, 3, 31),
                builds_on=("churn",),
                thresholds=(),
            ),
        ),
        apis=(GroupApi(name="offers", decides=("offer",), explains=("reason",)),),
    )
    assert graph.group("churn").model_of_threshold == {"offer": "churn"}


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,7}", fullmatch=True)
MANY = st.lists(NAMES, max_size=3).map(tuple)
GROUPS = st.builds(
    Group,
    name=NAMES,
    models=st.lists(
        st.builds(
            GroupModel,
            name=NAMES,
            dataset=NAMES,
            shared=st.booleans(),
            deprecated_after=st.none() | st.dates(),
            builds_on=MANY,
            thresholds=MANY,
        ),
        max_size=3,
    ).map(tuple),
    apis=st.lists(st.builds(GroupApi, name=NAMES, decides=MANY, explains=MANY), max_size=2).map(tuple),
)


@settings(max_examples=50, deadline=None)
@given(group=GROUPS)
def test_group_goes_through_json_unchanged(group: Group) -> None:
    """A group read from its own JSON is the same group."""
    assert Group.from_json(json.loads(json.dumps(group.as_json()))) == group
