"""A row of the decision log: what it holds of a request and its answer, and what it never holds."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest

from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed
from lockstep.journal import Answered, layout_of
from lockstep.journal.layout import OWN, frame_of
from lockstep.serving import Decider
from tests.journal.conftest import NOON, Row, asked, with_private
from tests.training import shop


def logged(decider: Decider, api: str, rows: list[Row], graph: Graph = shop.graph) -> pl.DataFrame:
    """Ask, and see what would be logged."""
    return frame_of(layout_of(graph, "shop"), [asked(rows, decider.decide(api, rows), api=api)])


def test_a_row_says_what_was_asked_and_answered(decider: Decider, a_row: Row) -> None:
    """It holds the request in the declared types, each decision with score and versions, and each explanation."""
    texts = {name: value if value is None else str(value) for name, value in a_row.items()}
    frame = logged(decider, "offers", [texts])
    (answer,) = decider.decide("offers", [texts])
    (row,) = frame.to_dicts()
    assert frame.columns == [*OWN, *shop.shoppers.schema]
    assert {name: row[name] for name in a_row} == a_row
    assert row["leaves"] is None
    assert (row["_at"], row["_request"], row["_row"]) == (NOON, "r1", 0)
    assert (row["_api"], row["_group"], row["_release"]) == ("offers", "shop", "f" * 64)
    assert (row["_error"], row["_shadow"], row["_against"], row["_answered"]) == (None, False, None, None)
    for one in row["_decisions"]:
        said = answer["decisions"][one["threshold"]]
        assert (one["version"], one["model"], one["score"]) == (said["version"], said["model"], said["probability"])
        assert (one["decision"], one["refer"]) == ("yes" if said["decision"] else "no", None)
    assert {one["threshold"] for one in row["_decisions"]} == {"offer", "cheap"}
    planning, filling = sorted(row["_explanations"], key=lambda one: one["name"], reverse=True)
    said = answer["explanations"]["planning"]
    assert (planning["name"], planning["model"], planning["prediction"]) == (
        "planning",
        "planning@1",
        said["prediction"],
    )
    assert {one["of"]: one["score"] for one in planning["scores"]} == said["probabilities"]
    assert float(filling["prediction"]) == answer["explanations"]["filling"]["prediction"]


def test_every_row_of_the_source_is_logged_as_it_was_parsed(decider: Decider, shop_rows: list[Row]) -> None:
    """Values are those of the source, also where clean leaves the row out, in order."""
    frame = logged(decider, "calls", shop_rows)
    assert frame["_row"].to_list() == list(range(len(shop_rows)))
    assert set(frame["_error"].unique()) == {None, "left out by clean"}
    source = pl.DataFrame(shop_rows).select(pl.col("shopper"), pl.col("age").cast(pl.Int64), "region")
    assert frame.select("shopper", "age", "region").equals(source)


@pytest.mark.parametrize("texts_at", [(), (7,), (7, 1999), range(2100)])
def test_the_short_way_and_the_long_one_log_the_same(
    texts_at: Sequence[int], decider: Decider, a_row: Row, shop_rows: list[Row]
) -> None:
    """Typed rows, and rows with texts in the place of numbers, by the thousand, behind one that can not be used."""
    rows = [dict(shop_rows[place % len(shop_rows)], shopper=f"s{place}") for place in range(2100)]
    answers = decider.decide("offers", rows)
    given = [
        {name: value if value is None else str(value) for name, value in row.items()} if place in texts_at else row
        for place, row in enumerate(rows)
    ]
    bad = asked([a_row | {"age": "old"}], decider.decide("offers", [a_row | {"age": "old"}]))
    frame = frame_of(layout_of(shop.graph, "shop"), [bad, asked(given, answers)])
    assert frame.height == 2101
    assert frame[0, "age"] is None
    assert frame["_row"].to_list() == [0, *range(2100)]
    expected = pl.DataFrame(rows).select("shopper", pl.col("age").cast(pl.Int64), "region", "plan")
    assert frame[1:].select("shopper", "age", "region", "plan").equals(expected)


SECRETS = ("Hilde", "Nordpol", "41.25")


def test_private_columns_are_nowhere(decider: Decider, a_row: Row) -> None:
    """Neither as a column, nor in an error; whatever is wrong with the row, and wherever they stand."""
    hidden = a_row | {"shopper": "Hilde", "region": "Nordpol", "spend": 41.25}
    wrong = [
        hidden,
        hidden | {"age": 'Hilde" is not an int; plan: "Nordpol'},
        hidden | {"age": "Nordpol", "plan": "Hilde"},
        hidden | {"spend": '41.25"; "Hilde', "age": None},
        {name: value for name, value in hidden.items() if name not in ("spend", "visits")},
    ]
    graph = with_private("shopper", "region", "spend")
    frame = logged(decider, "calls", wrong, graph)
    assert not {"shopper", "region", "spend"} & set(frame.columns)
    assert frame["_error"].to_list() == [
        None,
        "age: of another type; plan: of another type",  # as far as can be told from a text that imitates another
        "age: of another type",
        "age: blank; spend: of another type",
        "missing: visits, spend",
    ]
    text = frame.write_ndjson()
    assert not [word for word in SECRETS if word in text]
    assert frame["plan"].to_list() == ["silver", None, None, None, None]


def test_a_row_that_can_not_be_used_carries_no_values(decider: Decider, a_row: Row) -> None:
    """A client that confuses its columns may put a name where an age belongs."""
    frame = logged(decider, "calls", [a_row | {"age": "Hilde"}])
    assert frame.drop(OWN).row(0) == (None,) * len(shop.shoppers.schema)


def test_an_error_that_is_not_known_is_not_repeated(a_row: Row) -> None:
    """Whatever a text may hold, only words that are fixed and names that are declared get into the log."""
    answer = {"api": "calls", "release": "f" * 64, "error": "clean failed: ValueError: Hilde"}
    frame = frame_of(layout_of(shop.graph, "shop"), [asked([a_row], [answer])])
    assert frame["_error"].to_list() == ["it could not be decided on"]


def test_requests_to_several_apis_stand_in_one_frame(decider: Decider, a_row: Row) -> None:
    """Rows keep the order of the requests, and each its own request and place."""
    requests = [
        asked([a_row, a_row | {"age": 50}], decider.decide("calls", [a_row] * 2), request="a"),
        asked([a_row | {"age": 60}], decider.decide("baskets", [a_row]), request="b", api="baskets"),
    ]
    frame = frame_of(layout_of(shop.graph, "shop"), requests)
    assert frame.select("_request", "_row", "_api", "age").rows() == [
        ("a", 0, "calls", 44),
        ("a", 1, "calls", 50),
        ("b", 0, "baskets", 60),
    ]


def test_a_shadow_stands_beside_what_was_answered(decider: Decider, a_row: Row) -> None:
    """One row is a pair: both decisions, both releases; of the request there is the key alone."""
    answers = decider.decide("calls", [a_row])
    shadow = replace(asked([a_row], answers), release="a" * 64, against="f" * 64, answered=answers)
    (row,) = frame_of(layout_of(shop.graph, "shop"), [shadow]).to_dicts()
    assert (row["_shadow"], row["_release"], row["_against"]) == (True, "a" * 64, "f" * 64)
    assert row["_decisions"] == row["_answered"] != []
    assert [row[name] for name in shop.shoppers.schema] == ["new"] + [None] * (len(shop.shoppers.schema) - 1)


def steady(rows: pl.DataFrame) -> pl.DataFrame:
    """Change nothing."""
    return rows


@pytest.fixture
def two() -> Graph:
    """Declare an API that decides on two datasets, which share some names."""
    parts = {}
    for name, columns in (
        ("first", {"size": int, "colour": str, "at": date, "good": bool}),
        ("second", {"size": float, "colour": str, "weight": float, "good": bool}),
    ):
        data = Dataset(name, source=csv("none.csv"), key="id", columns=columns, clean=steady, private=["colour"])
        parts[name] = Model(f"of_{name}", data=replace(data, private=[] if name == "first" else ["colour"]),
                            target="good", estimator=shop.classifier)  # fmt: skip
    thresholds = [Threshold(f"cut_{name}", model=model, choose=fixed(0.5)) for name, model in parts.items()]
    return Graph([Api("both", decides=thresholds), Api("one", decides=thresholds[:1])], name="shop")


def test_an_api_on_several_datasets(two: Graph) -> None:
    """A name of two types is text, what one dataset holds private is private, and each API has its own columns."""
    layout = layout_of(two, "shop")
    assert layout.columns == {
        "id": pl.String,
        "size": pl.String,
        "at": pl.Date,
        "good": pl.Boolean,
        "weight": pl.Float64,
    }
    row: dict[str, Any] = {"id": "x", "size": 3, "colour": "red", "at": "2026-11-25", "weight": 1.5}
    requests: list[Answered] = [asked([row], api="both"), asked([row], api="one")]
    assert frame_of(layout, requests).drop(OWN).rows() == [
        ("x", "3", date(2026, 11, 25), None, 1.5),
        ("x", "3", date(2026, 11, 25), None, None),
    ]
