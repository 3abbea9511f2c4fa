"""Decisions in code are those of the API, and follow its releases."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lockstep import decider as decider_of
from lockstep.errors import UsageError
from lockstep.serving import Decider
from tests.serving.service import wait_for
from tests.training import shop
from tests.training.conftest import Shop

Row = dict[str, Any]


def test_rows_of_every_form_are_answered_as_over_http(released: Shop, decider: Decider, a_row: Row) -> None:
    """A dict gives an answer, a list or a frame gives a list; all equal what the decider says."""
    offers = decider_of("offers", registry=released.registry.uri, graph=shop.graph)
    rows = [a_row, a_row | {"shopper": "b", "age": 70}]
    expected = decider.decide("offers", rows)
    assert offers.decide(a_row) == expected[0]
    assert offers.decide(rows) == expected
    assert offers.decide(pl.DataFrame(rows)) == expected
    assert offers.release == expected[0]["release"]
    assert offers.errors == {}


def test_a_frame_is_decided_as_a_frame(released: Shop, a_row: Row) -> None:
    """A row for each row, in order: key, release, error, and for each threshold the decision and its score."""
    offers = decider_of("offers", registry=released.registry.uri, graph=shop.graph)
    rows = pl.DataFrame([a_row, a_row | {"shopper": "b", "region": "staff"}])
    found = offers.decide_frame(rows)
    assert found.columns == ["key", "release", "error", "offer", "offer_score", "cheap", "cheap_score"]
    (first, _), names = offers.decide(rows), ("offer", "cheap")
    assert found["error"].to_list() == [None, "left out by clean"]
    for name in names:
        assert found[name].to_list() == [first["decisions"][name]["decision"], None]
        assert found[f"{name}_score"].to_list() == [first["decisions"][name]["probability"], None]


def test_rows_of_one_key_stay_in_their_order(released: Shop, a_row: Row) -> None:
    """`clean` sees them in turns, since it needs unique keys; the frame has them as they came."""
    offers = decider_of("offers", registry=released.registry.uri, graph=shop.graph)
    rows = [
        a_row | {"shopper": key, "age": age} for key, age in (("a", 20), ("a", 50), ("b", 30), ("a", 70), ("b", 60))
    ]
    found = offers.decide_frame(pl.DataFrame(rows))
    assert found["key"].to_list() == ["a", "a", "b", "a", "b"]
    scores = [answer["decisions"]["offer"]["probability"] for answer in offers.decide(rows)]
    assert found["offer_score"].to_list() == pytest.approx(scores)


def test_a_new_release_answers_when_asked_to_look(released: Shop) -> None:
    """Without `poll` nothing is looked for until `refresh`."""
    offers = decider_of("offers", registry=released.registry.uri, graph=shop.graph)
    old, new = offers.release, released.release("second").digest
    assert offers.release == old
    offers.refresh()
    assert offers.release == new != old


def test_it_looks_by_itself(released: Shop) -> None:
    """With `poll` a new release answers after a while; closed, it still answers."""
    with decider_of("offers", registry=released.registry.uri, graph=shop.graph, poll=0.1) as offers:
        new = released.release("second").digest
        wait_for(lambda: offers.release == new)
    assert offers.release == new


@pytest.mark.parametrize(("rows", "what"), [("a text", "a str"), (7, "a int"), ([1], "a list"), (None, "a NoneType")])
def test_what_is_no_row_is_refused(released: Shop, rows: object, what: str) -> None:
    """The message says what to give."""
    offers = decider_of("offers", registry=released.registry.uri, graph=shop.graph)
    with pytest.raises(UsageError, match=f"The rows are {what}; give a dict for one row"):
        offers.decide(rows)


def test_what_is_no_api_is_refused(released: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not there, one of a model, no registry, and a poll that would not rest."""
    uri = released.registry.uri
    for name in ("offer", "leaving"):
        with pytest.raises(UsageError, match=f'There is no API "{name}"; there are baskets, calls, offers'):
            decider_of(name, registry=uri, graph=shop.graph)
    with pytest.raises(UsageError, match="poll=0 is no time between looks"):
        decider_of("offers", registry=uri, graph=shop.graph, poll=0)
    monkeypatch.delenv("LOCKSTEP_REGISTRY", raising=False)
    with pytest.raises(UsageError, match="No registry is named"):
        decider_of("offers", graph=shop.graph)


CHILD = """
import sys
import lockstep
assert not {"polars", "sklearn", "onnxruntime", "fastapi", "typer"} & set(sys.modules)
sys.modules["fastapi"] = sys.modules["prometheus_client"] = None
from tests.training import shop
offers = lockstep.decider("offers", registry=sys.argv[1], graph=shop.graph)
print(offers.release)
"""


def test_the_declarations_stay_light_and_no_web_framework_is_needed(released: Shop) -> None:
    """Importing the name costs nothing, and what decides in code does without FastAPI."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, released.registry.uri],
        cwd=root, env={"PYTHONPATH": f"{root / 'include'}:{root}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) == 64
