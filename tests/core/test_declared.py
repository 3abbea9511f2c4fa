"""What was declared of a group, as JSON values: complete, the same each time, and of that group alone."""

import json
import subprocess
import sys
from datetime import date

import pytest

from lockstep import Api, Dataset, Graph, Model, Threshold, age, csv, fixed
from lockstep.declared import as_json
from lockstep.errors import DeprecatedDataWarning
from lockstep.group import Group

AGAIN = """
import json, sys
sys.path[:0] = sys.argv[1:]
from groups.churn import graph
from lockstep.declared import as_json
print(json.dumps(as_json(graph, graph.group("churn"))))
"""


@pytest.fixture
def graph() -> Graph:
    """Two groups beside each other, on one dataset that does not tie them together."""
    rows = Dataset(
        "rows",
        source=csv("rows/*.csv"),
        key="id",
        columns={"a": float, "mail": str, "yes": bool},
        private=["mail"],
        shared=False,
        deprecated="use others",
        deprecated_after=date(2030, 1, 2),
    )
    first = Model("first", data=rows, target="yes", estimator=object, only_for=["calls"])
    second = Model("second", data=rows, target="a", estimator=object)
    cut = Threshold("cut", model=first, choose=fixed(0.5))
    low = Threshold("low", model=second, choose=fixed(3), when="below")
    calls = Api("calls", decides=[cut])
    with pytest.warns(DeprecatedDataWarning):
        return Graph([calls, Api("mails", decides=[low])], retrain_when=age(days=30))


def test_all_that_was_declared_is_there(graph: Graph) -> None:
    """Nodes with their facts, arrows with their kinds, and the group as the gate reads it."""
    said = json.loads(json.dumps(as_json(graph, graph.group("first"))))
    nodes = {node["name"]: node for node in said["nodes"]}
    assert nodes["rows"] == {
        "name": "rows",
        "kind": "dataset",
        "description": "csv rows/*.csv",
        "deprecated": "use others",
        "deprecated_after": "2030-01-02",
        "shared": False,
        "key": "id",
        "private": ["mail"],
    }
    assert nodes["first"] == {
        "name": "first", "kind": "model", "description": "predicts yes", "target": "yes", "only_for": ["calls"],
    }  # fmt: skip
    assert nodes["cut"]["description"] == "fixed(0.5)"
    assert said["edges"] == [["rows", "first", "data"], ["first", "cut", "score"], ["cut", "calls", "decides"]]
    assert said["retrain_when"] == "age(days=30)"
    assert Group.from_json(said["group"]) == graph.group("first")


def test_of_another_group_nothing_is_there(graph: Graph) -> None:
    """A group's members and the datasets that they use are named, and nothing of the group beside it."""
    said = as_json(graph, graph.group("second"))
    assert {node["name"] for node in said["nodes"]} == {"rows", "second", "low", "mails"}
    assert {node["name"]: node["description"] for node in said["nodes"]}["low"] == "fixed(3), yes below it"
    assert "first" not in json.dumps(said)


def test_each_node_stands_behind_those_that_it_uses(graph: Graph) -> None:
    """So whoever reads it can go through the nodes once."""
    said = as_json(graph, graph.group("first"))
    names = [node["name"] for node in said["nodes"]]
    assert all(names.index(start) < names.index(end) for start, end, _ in said["edges"])


def test_it_is_the_same_text_in_each_process() -> None:
    """Whatever order sets have in a process, the text is the same; else each parse would make another DAG version."""
    texts = set()
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", AGAIN, "include"],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        texts.add(done.stdout)
    assert len(texts) == 1
    assert len(texts.pop()) > 1000
