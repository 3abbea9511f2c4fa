"""`lockstep graph`, and where graphs are found."""

import json
from typing import Final

import pytest

from groups.biopsy import graph
from lockstep import draw
from tests.cli.conftest import Command, Declare

ON_SURGERY: Final = """\
model surgery  (target malignant)
└─ threshold refer  (policy recall_at_least(0.95))
   └─ API referrals
"""
ROWS: Final = """\
from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed

rows = Dataset("rows", source=csv("rows.csv"), key="id", columns={"good": bool})
"""
TWO_GRAPHS: Final = f"""{ROWS}
here = Graph([Model("here", data=rows, target="good", estimator=object)])
there = Graph([Model("there", data=rows, target="good", estimator=object)])
"""


def test_the_text_is_the_cores(run: Command) -> None:
    """`graph` prints the tree of each graph, and asks for no registry."""
    done = run("graph")
    assert (done.status, done.out, done.err) == (0, draw.as_text(graph) + "\n", "")


def test_only_what_hangs_on_a_node(run: Command) -> None:
    """`--on` shows a node and what hangs on it, in each form."""
    assert run("graph", "--on", "surgery").out == ON_SURGERY
    assert run("graph", "--on", "surgery", "--json").document == draw.as_json(graph, "surgery")
    assert run("graph", "--on", "surgery", "--mermaid").out == draw.as_mermaid(draw.as_json(graph, "surgery")) + "\n"


def test_the_json_is_the_cores(run: Command) -> None:
    """`--json` prints the document of the core, once."""
    done = run("graph", "--json")
    assert done.document == json.loads(json.dumps(draw.as_json(graph)))
    assert done.document["groups"] == {"biopsy": ["refer", "referrals", "review", "reviews", "second_look", "surgery"]}


def test_mermaid_or_json(run: Command) -> None:
    """Two forms at once are wrong use."""
    done = run("graph", "--mermaid", "--json")
    assert (done.status, done.out) == (2, "")
    assert done.err == "lockstep: Both --mermaid and --json are given; choose one.\n"


@pytest.mark.parametrize("option", [["--on", "surgeon"], ["--on", ""]])
def test_an_unknown_node(run: Command, option: list[str]) -> None:
    """A node that is not declared is wrong use; the message names those that are."""
    done = run("graph", *option)
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        f'lockstep: "{option[1]}" is not declared; declared are biopsies, surgery, second_look, refer, review,'
        " referrals, reviews.\n"
    )


def test_all_groups_of_the_package(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --graph, every graph of the package `groups` is shown, as one flowchart and one document."""
    monkeypatch.delenv("LOCKSTEP_GRAPH")
    assert sorted(run("graph", "--json").document["groups"]) == ["biopsy", "churn"]
    lines = run("graph", "--mermaid").out.splitlines()
    assert [line for line in lines if line.startswith("flowchart")] == ["flowchart LR"]
    assert {"    surgery --> refer", "    churn --> churn_reason"}.issubset(lines)


def test_graphs_on_one_dataset(run: Command, declare: Declare) -> None:
    """A dataset that two graphs share is in the document once, and what hangs on it in either graph is shown."""
    name = declare("two_graphs", TWO_GRAPHS)
    words = ("--graph", f"{name}:here", "--graph", f"{name}:there", "graph", "--on", "rows")
    found = run(*words, "--json").document
    assert [node["name"] for node in found["nodes"]] == ["rows", "here", "there"]
    assert found["edges"] == [{"from": "rows", "to": "here"}, {"from": "rows", "to": "there"}]
    assert run(*words, "--mermaid").out.count("rows[(") == 1
    assert run(*words).out.count("dataset rows") == 2


def test_one_name_in_two_graphs(run: Command, declare: Declare) -> None:
    """Two graphs that mean different nodes by one name are refused."""
    make = 'Graph([Model("same", data=rows, target="good", estimator={})])\n'
    name = declare("same_names", f"{ROWS}\none = {make.format('object')}\ntwo = {make.format('dict')}\n")
    done = run("--graph", f"{name}:one", "--graph", f"{name}:two", "graph")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        'lockstep: Two graphs declare "same", but a registry knows one of a name. Rename one of them.\n'
    )


def test_one_group_name_in_two_graphs(run: Command, declare: Declare) -> None:
    """Two graphs whose different release groups have one name are refused."""
    model = 'Graph([Model("{0}", data=rows, target="good", estimator=object)], name="ours")\n'
    name = declare("same_groups", f"{ROWS}\none = {model.format('one')}\ntwo = {model.format('two')}\n")
    done = run("--graph", f"{name}:one", "--graph", f"{name}:two", "status")
    assert (done.status, done.out) == (2, "")
    assert 'Two graphs declare "ours"' in done.err


def test_the_same_graph_twice(run: Command) -> None:
    """A graph that is named twice is shown once."""
    done = run("--graph", "groups.biopsy", "--graph", "groups.biopsy:graph", "graph")
    assert done.out == draw.as_text(graph) + "\n"


def test_graphs_from_the_variable(run: Command, declare: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    """LOCKSTEP_GRAPH may hold several graphs, and --graph stands above it."""
    name = declare("two_more_graphs", TWO_GRAPHS)
    monkeypatch.setenv("LOCKSTEP_GRAPH", f"{name}:here,{name}:there")
    assert sorted(run("graph", "--json").document["groups"]) == ["here", "there"]
    assert sorted(run("--graph", "groups.biopsy", "graph", "--json").document["groups"]) == ["biopsy"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_such_module", 'there is no module "no_such_module". Start the command in the folder that holds include'),
        ("groups.no_such:graph", 'there is no module "groups.no_such". Start the command in the folder that holds'),
        ("groups.biopsy:surgery", 'module "groups.biopsy" has no Graph "surgery"; it has graph.'),
        ("groups.biopsy:no_such", 'module "groups.biopsy" has no Graph "no_such"; it has graph.'),
        ("json", 'module "json" has no Graph "graph"; it has none.'),
    ],
)
def test_a_wrong_graph(run: Command, spec: str, message: str) -> None:
    """A module or name that holds no graph is wrong use; the message repeats the option and says what there is."""
    done = run("--graph", spec, "graph")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"lockstep: --graph {spec}: {message}")


@pytest.mark.parametrize("spec", ["", ":", ":graph", "..biopsy:graph", "groups/biopsy.py", "groups..biopsy"])
def test_a_misshapen_graph(run: Command, spec: str) -> None:
    """What is no `module:name` is wrong use, with the form in the message."""
    done = run("--graph", spec, "graph")
    assert (done.status, done.out) == (2, "")
    assert done.err == f"lockstep: --graph {spec}: the form is module:name; for example groups.churn:graph.\n"


def test_a_module_alone(run: Command) -> None:
    """A module without a name means its `graph`."""
    assert run("--graph", "groups.biopsy:", "graph").out == run("--graph", "groups.biopsy", "graph").out


def test_a_declaration_that_cannot_be(run: Command, declare: Declare) -> None:
    """A declaration's own error ends with status 2 and its sentence."""
    name = declare(
        "wrong_declaration", f'{ROWS}\ngraph = Graph([Model("Bad", data=rows, target="good", estimator=1)])\n'
    )
    done = run("--graph", name, "graph")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("lockstep: Model 'Bad': the name can't be a path or a DAG id;")


def test_a_module_that_misses_another(run: Command, declare: Declare) -> None:
    """A package that a module of declarations misses is named as Python names it, and not taken for the module."""
    name = declare("missing_package", "import no_such_package_at_all\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        run("--graph", name, "graph")


@pytest.mark.filterwarnings("default::lockstep.errors.DeprecatedDataWarning")
def test_a_deprecated_dataset(run: Command, declare: Declare) -> None:
    """A deprecation is a message on stderr, and stdout is the document alone."""
    text = TWO_GRAPHS.replace('key="id"', 'key="id", deprecated="use columns"')
    done = run("--graph", f"{declare('deprecated_rows', text)}:here", "graph", "--json")
    assert (done.status, done.document["nodes"][0]["deprecated"]) == (0, "use columns")
    assert 'warning: Dataset "rows" is deprecated: use columns. Model "here" uses it.\n' in done.err
