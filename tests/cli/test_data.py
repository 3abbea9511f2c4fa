"""`lockstep data diff` says what differs between two snapshots."""

from pathlib import Path

import pytest

from lockstep.data import take_snapshot
from lockstep.registry import Origin, Registry
from tests.cli.conftest import Command, Declare

DECLARED = """
from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed

things = Dataset(
    "things", source=csv("{folder}/*.csv"), key="id", columns={{"n": int, "mail": str, "good": bool}}, private=["mail"]
)
model = Model("model", data=things, target="good", estimator=dict)
rule = Threshold("rule", model=model, choose=fixed(0.5))
graph = Graph([Api("api", decides=[rule])], name="shop")
"""


@pytest.fixture
def shop(declare: Declare, tmp_path: Path) -> str:
    """Two snapshots of a dataset that a module declares; gives back where its graph is."""
    from importlib import import_module

    folder = tmp_path / "things"
    folder.mkdir()
    name = declare("shop_things", DECLARED.format(folder=folder))
    things = import_module(name).things
    registry = Registry.open(str(tmp_path / "registry"))
    for lines in (["a,1,a@x,1", "b,2,b@x,1", "c,3,c@x,0"], ["b,5,b@y,1", "c,3,c@x,0", "d,4,d@x,0", "e,x,e@x,0"]):
        (folder / "things.csv").write_text("\n".join(["id,n,mail,good", *lines]))
        take_snapshot(registry, things, Origin(by="ada"))
    return f"{name}:graph"


def test_two_snapshots(shop: str, run: Command) -> None:
    """The command tells rows by their keys, which columns changed, and nothing of a private column."""
    done = run("--graph", shop, "data", "diff", "things@1", "things")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        "things@1 → things@2",
        "rows added: 1 (d)",
        "rows removed: 1 (a)",
        "rows changed: 1 (b)",
        "rows unchanged: 1",
        "  n changed in 1 rows",
        "  (private columns) changed in 1 rows",
        "quarantined: 0 → 1",
        '  n: "x" is not an int: 0 → 1',
    ]
    document = run("--graph", shop, "data", "diff", "things@1", "things@2", "--json").document
    assert document["rows"]["changed"] == {"count": 1, "keys": ["b"]}
    assert (document["old"], document["new"], document["same"]) == ("things@1", "things@2", False)
    assert run("--graph", shop, "data", "diff", "things@2", "things@2", "--json").document["same"] is True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("things@1", "things@9"), 'There is no snapshot "things@9"'),
        (("things@1",), "Missing argument 'new'"),
    ],
)
def test_wrong_words(shop: str, run: Command, words: tuple[str, ...], message: str) -> None:
    """A snapshot that is not there, or one alone, is wrong use."""
    done = run("--graph", shop, "data", "diff", *words)
    assert done.status == 2
    assert message in done.err


def test_a_dataset_that_nobody_declares(shop: str, run: Command) -> None:  # noqa: ARG001  its snapshots are there
    """Where no graph declares the dataset nothing is shown, as its private columns are not known."""
    done = run("--graph", "groups.biopsy", "data", "diff", "things@1", "things@2")
    assert done.status == 2
    assert 'No graph declares the dataset "things"' in done.err
