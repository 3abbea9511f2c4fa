"""A graph, drawn: as text, as Mermaid, as JSON; whole, or only what hangs on one node."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed
from lockstep.draw import as_json, as_mermaid, as_text, together
from lockstep.errors import DeprecatedDataWarning, UsageError
from lockstep.source import parquet

TEXT = """\
dataset people  (source csv people.csv, deprecated use people_v2)
├─ model churn  (target churned)
│  ├─ threshold offer  (policy fixed(0.5))
│  │  └─ API offers
│  └─ model reason  (target plan, only for offers)
│     └─ API offers
└─ model reason  (target plan, only for offers) …
dataset words  (source parquet words/*.parquet)
└─ model tone  (target kind)
   └─ threshold polite  (policy fixed(0.2))
      └─ API offers"""

MERMAID = """\
flowchart LR
    people[("people<br/>deprecated")]:::dataset
    words[("words")]:::dataset
    churn["churn"]:::model
    tone["tone"]:::model
    reason["reason"]:::model
    offer{{"offer"}}:::threshold
    polite{{"polite"}}:::threshold
    offers(["offers"]):::api
"""


@pytest.fixture
def graph() -> Graph:
    """Declare two datasets, one of them deprecated, and a model that only one API may use."""
    people = Dataset(
        "people",
        source=csv("people.csv"),
        key="id",
        columns={"churned": bool, "plan": str},
        deprecated="use people_v2",
        deprecated_after=date(2030, 1, 1),
    )
    words = Dataset("words", source=parquet("words/*.parquet"), key="id", columns={"kind": bool}, shared=False)
    churn = Model("churn", data=people, target="churned", estimator=object)
    reason = Model("reason", data=people, target="plan", estimator=object, builds_on=[churn], only_for=["offers"])
    tone = Model("tone", data=words, target="kind", estimator=object)
    offer = Threshold("offer", model=churn, choose=fixed(0.5))
    polite = Threshold("polite", model=tone, choose=fixed(0.2))
    with pytest.warns(DeprecatedDataWarning):
        return Graph([Api("offers", decides=[offer, polite], explains=[reason])])


def test_text_is_a_tree_from_each_dataset(graph: Graph) -> None:
    """Each node stands below what it uses, with what is special about it."""
    assert as_text(graph) == TEXT


def test_text_of_a_node_that_is_reached_twice_shows_its_users_once() -> None:
    """Where a node with users stands again, three dots stand for them."""
    data = Dataset("data", source=csv("d.csv"), key="id", columns={"a": bool, "b": bool, "c": bool})
    first = Model("first", data=data, target="a", estimator=object)
    second = Model("second", data=data, target="b", estimator=object, builds_on=[first])
    cut = Threshold("cut", model=second, choose=fixed(1))
    assert as_text(Graph([cut])) == (
        "dataset data  (source csv d.csv)\n"
        "├─ model first  (target a)\n"
        "│  └─ model second  (target b)\n"
        "│     └─ threshold cut  (policy fixed(1))\n"
        "└─ model second  (target b) …"
    )


def test_mermaid_has_every_node_in_its_shape_and_every_arrow(graph: Graph) -> None:
    """Datasets are cylinders, models boxes, thresholds hexagons, APIs rounded; deprecation is said."""
    lines = as_mermaid(as_json(graph)).splitlines()
    assert lines[0] == "flowchart LR"
    assert set(MERMAID.splitlines()) <= set(lines)
    assert sorted(line.strip() for line in lines if "-->" in line) == [
        "churn --> offer",
        "churn --> reason",
        "offer --> offers",
        "people --> churn",
        "people --> reason",
        "polite --> offers",
        "reason --> offers",
        "tone --> polite",
        "words --> tone",
    ]
    assert sum("classDef" in line for line in lines) == 4


def test_json_holds_nodes_edges_and_groups(graph: Graph) -> None:
    """Every node comes with its kind and what is special about it, after those it uses."""
    drawn = as_json(graph)
    names = [node["name"] for node in drawn["nodes"]]
    assert all(names.index(edge["from"]) < names.index(edge["to"]) for edge in drawn["edges"])
    assert {node["name"]: node for node in drawn["nodes"]} == {
        "people": {
            "name": "people",
            "kind": "dataset",
            "source": "csv people.csv",
            "deprecated": "use people_v2",
        },
        "words": {"name": "words", "kind": "dataset", "source": "parquet words/*.parquet", "deprecated": None},
        "churn": {"name": "churn", "kind": "model", "target": "churned", "only_for": []},
        "reason": {"name": "reason", "kind": "model", "target": "plan", "only_for": ["offers"]},
        "tone": {"name": "tone", "kind": "model", "target": "kind", "only_for": []},
        "offer": {"name": "offer", "kind": "threshold", "policy": "fixed(0.5)"},
        "polite": {"name": "polite", "kind": "threshold", "policy": "fixed(0.2)"},
        "offers": {"name": "offers", "kind": "api"},
    }
    (members,) = drawn["groups"].values()
    assert members == ["churn", "offer", "offers", "polite", "reason", "tone"]


def test_what_hangs_on_a_node_is_drawn_alone(graph: Graph) -> None:
    """With a node chosen, it stands at the top, and nothing that it uses is drawn."""
    assert as_text(graph, "tone") == (
        "model tone  (target kind)\n└─ threshold polite  (policy fixed(0.2))\n   └─ API offers"
    )
    drawn = as_json(graph, "tone")
    assert [node["name"] for node in drawn["nodes"]] == ["tone", "polite", "offers"]
    assert drawn["edges"] == [{"from": "tone", "to": "polite"}, {"from": "polite", "to": "offers"}]
    assert list(drawn["groups"].values()) == [["offers", "polite", "tone"]]
    assert "people" not in as_mermaid(drawn)


def test_a_node_on_which_nothing_hangs_is_drawn_alone(graph: Graph) -> None:
    """An API is used by nobody."""
    assert as_text(graph, "offers") == "API offers"
    assert as_json(graph, "offers")["edges"] == []


@pytest.mark.parametrize("draw", [as_json, as_text])
def test_an_unknown_node_is_refused(graph: Graph, draw: Callable[[Graph, str], object]) -> None:
    """The message names the nodes there are."""
    with pytest.raises(UsageError, match='"nobody" is not in the graph; it has '):
        draw(graph, "nobody")


def test_drawing_is_the_same_for_the_same_declarations(graph: Graph) -> None:
    """A second graph of equal declarations is drawn alike."""
    nodes = [replace(node) for node in graph.nodes if isinstance(node, Api)]
    with pytest.warns(DeprecatedDataWarning):
        again = Graph(nodes)
    assert (as_text(again), as_json(again)) == (as_text(graph), as_json(graph))


def test_graphs_drawn_together_hold_what_they_share_once(graph: Graph) -> None:
    """A graph drawn together with a part of itself is the graph; nothing is drawn twice."""
    whole = as_json(graph)
    assert together([whole, whole]) == together([whole]) == whole
    assert together([as_json(graph, "tone"), whole])["groups"] == whole["groups"]
    assert together([]) == {"nodes": [], "edges": [], "groups": {}}


def test_the_whole_text_of_a_small_graph() -> None:
    """Text, flowchart and document of one small graph are exactly these."""
    visits = Dataset("visits", source=parquet("visits/*"), key="id", columns={"back": bool})
    comes = Model("comes", data=visits, target="back", estimator=object, only_for=["mail"])
    mail = Api("mail", decides=[Threshold("write", model=comes, choose=fixed(0.5))])
    graph = Graph([mail], name="post")
    assert as_text(graph) == (
        "dataset visits  (source parquet visits/*)\n"
        "└─ model comes  (target back, only for mail)\n"
        "   └─ threshold write  (policy fixed(0.5))\n"
        "      └─ API mail"
    )
    drawn = as_json(graph)
    assert drawn == {
        "nodes": [
            {"name": "visits", "kind": "dataset", "source": "parquet visits/*", "deprecated": None},
            {"name": "comes", "kind": "model", "target": "back", "only_for": ["mail"]},
            {"name": "write", "kind": "threshold", "policy": "fixed(0.5)"},
            {"name": "mail", "kind": "api"},
        ],
        "edges": [
            {"from": "visits", "to": "comes"},
            {"from": "comes", "to": "write"},
            {"from": "write", "to": "mail"},
        ],
        "groups": {"post": ["comes", "mail", "write"]},
    }
    assert as_mermaid(drawn).splitlines()[:8] == [
        "flowchart LR",
        '    visits[("visits")]:::dataset',
        '    comes["comes"]:::model',
        '    write{{"write"}}:::threshold',
        '    mail(["mail"]):::api',
        "    visits --> comes",
        "    comes --> write",
        "    write --> mail",
    ]
