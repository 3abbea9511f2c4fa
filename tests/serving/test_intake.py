"""A few rows come in without polars, and never otherwise than through it."""

from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.data.few import Few, as_frame
from lockstep.data.row_wise import RowClean
from lockstep.registry import Registry
from lockstep.serving import Decider
from lockstep.serving.intake import Intake
from tests.training import shop
from tests.training.conftest import Shop
from tests.training.shop_words import LEFT_OUT

Row = dict[str, Any]
VALUES = {
    "shopper": st.sampled_from(["s1", "s2", None, 7, ""]),
    "age": st.sampled_from([44, 0, 44.0, "44", None, "many", 2**70]),
    "visits": st.sampled_from([3, 0, 1, "3", True]),
    "spend": st.sampled_from([81.5, 0, 1e308, -1.25, "81.5", "a lot"]),
    "region": st.sampled_from(["south", " south", "Zürich", LEFT_OUT, "", None]),
    "rating": st.sampled_from([None, 4.5, "4.5"]),
}


@pytest.fixture
def by_polars(released: Shop) -> Decider:
    """Answers from the same release, and cleans every row by polars."""
    made = Decider(Registry.open(released.registry.uri), [shop.graph])
    made.refresh()
    for plan in made.releases["shop"].plans.values():
        for intake in plan.intakes.values():
            intake._row_clean = None
    return made


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed=st.lists(st.fixed_dictionaries({}, optional=VALUES), min_size=1, max_size=9))
def test_answers_are_the_same_as_through_polars(
    decider: Decider, by_polars: Decider, a_row: Row, changed: list[Row]
) -> None:
    """Of any few rows: typed or as text, without a key or with one twice, left out, and not usable at all."""
    rows = [{**a_row, **one} for one in changed]
    for api in ("offers", "calls"):
        assert decider.decide(api, rows) == by_polars.decide(api, rows)


def test_a_typed_row_goes_without_polars(decider: Decider, a_row: Row) -> None:
    """Eight of them do, too; whoever wants a frame gets that of polars."""
    intake = decider.releases["shop"].plans["offers"].intakes["shoppers"]
    rows = [{**a_row, "shopper": f"s{i}", "age": 30 + i} for i in range(8)]
    taken = intake.take(rows, range(8))
    assert isinstance(taken.rows, Few)
    assert taken.keys == [row["shopper"] for row in rows]
    cleaned = shop.shoppers.clean(taken.rows.frame.select(*shop.shoppers.schema))
    assert taken.rows.frame.equals(cleaned)
    assert taken.rows.values == cleaned.to_dict(as_series=False)


def test_rows_of_several_requests_need_no_keys(decider: Decider, a_row: Row) -> None:
    """Each is called by its place in its request, whoever came beside it, and none needs polars for that."""
    intake = decider.releases["shop"].plans["offers"].intakes["shoppers"]
    nameless = {name: value for name, value in a_row.items() if name != "shopper"}
    taken = intake.take([nameless, nameless, a_row, nameless], [0, 0, 1, 2])
    assert isinstance(taken.rows, Few)
    assert taken.keys == ["row 0", "row 0", a_row["shopper"], "row 2"]
    assert taken.rows.frame["shopper"].n_unique() == 4


def test_a_request_is_looked_at_now_and_then(a_row: Row, caplog: pytest.LogCaptureFixture) -> None:
    """Should the functions say something else than polars, it answers that row and all others, and the log says so."""
    intake = Intake(shop.shoppers, shop.shoppers.schema)
    functions = intake._row_clean
    assert functions is not None
    intake._row_clean = RowClean((lambda row: {**functions.clean(row), "spend_per_visit": 0.0},))
    row = {**a_row, "leaves": False, "buys": False}
    taken = intake.take([row], [0])
    assert isinstance(taken.rows, pl.DataFrame)
    assert as_frame(taken.rows)["spend_per_visit"].to_list() == [row["spend"] / row["visits"]]
    assert "otherwise than polars" in intake.reason
    assert "shoppers" in caplog.text
    assert "south" not in caplog.text
