"""Pairs of decisions that production and its shadow made on the same requests, counted out of the decision log."""

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lockstep.decisions import Diff, decision_diff, diff_before_release
from lockstep.decisions.diff import load_sides
from lockstep.journal import Answered, DecisionLog, InRegistry, layout_of
from lockstep.serving import Decider
from tests.decisions.conftest import GROUP, graph
from tests.training.conftest import Shop

Row = dict[str, Any]
ROWS = 40


@pytest.fixture(scope="session")
def some(shop_template: Path) -> list[Row]:
    """What was asked: rows of the source that clean keeps, as text, some without a key."""
    rows = pl.read_csv(shop_template / "data" / "shoppers" / "part.csv", infer_schema=False).drop("leaves")
    kept = rows.filter(pl.col("region") != "staff").head(ROWS)
    return [{**row, "shopper": None} if number == 1 else row for number, row in enumerate(kept.to_dicts())]


def turned(answer: Row, threshold: str) -> Row:
    """The answer of a shadow that decides the other way round."""
    other = deepcopy(answer)
    one = other["decisions"][threshold]
    one["decision"], one["probability"] = not one["decision"], one["probability"] / 2
    return other


def pairs(at: Shop, some: list[Row]) -> tuple[list[Answered], Decider]:
    """What calls and offers answered, and what a shadow that turns the first three calls says beside it."""
    decider = Decider(at.registry, [graph])
    decider.refresh()
    old, new = load_sides(at.registry, graph, GROUP, at.registry.state())
    assert old is not None
    found, at_once = [], at.registry.state().promotions["shop"][-1].recorded.at + timedelta(seconds=1)
    for api in ("calls", "offers"):
        answers = decider.decide(api, some)
        asked = Answered(
            request="r", at=at_once, group="shop", api=api, release=old.digest, rows=some, answers=answers, size=1
        )
        says = [
            turned(answer, "call") if api == "calls" and number < 3 else answer for number, answer in enumerate(answers)
        ]
        found += [asked, replace(asked, release=new.digest, answers=says, against=old.digest, answered=answers)]
    return found, decider


def log(at: Shop, asked: list[Answered]) -> None:
    """Log them."""
    journal = DecisionLog(InRegistry(at.registry.objects), [layout_of(graph, "shop")])
    for one in asked:
        journal.add(one)
    journal.start()
    journal.stop()


def test_pairs_of_the_two_sets_are_counted(changing: Shop, some: list[Row]) -> None:
    """Flips, direction, yes before and after, and the first flipped rows; pairs of other sets are another story."""
    asked, decider = pairs(changing, some)
    other = replace(asked[1], release="a" * 64)
    older = replace(asked[1], against="b" * 64)
    failed = {"api": "calls", "error": "ValueError"}
    broken = replace(asked[1], answers=[failed] * ROWS)
    log(changing, [*asked, other, older, broken])
    diff = decision_diff(changing.registry, graph, "shop", shadow=True, shown=2)
    shadow = diff.populations[-1]
    assert (shadow.kind, shadow.dataset, shadow.rows) == ("shadow", "shoppers", 2 * ROWS)
    assert shadow.left_out == {"the shadow refused it": ROWS}
    call = diff.threshold("call", "shadow")
    yes = [answer["decisions"]["call"]["decision"] for answer in decider.decide("calls", some)]
    turned_to_no = sum(yes[:3])
    assert call.rows == ROWS
    assert call.flips.part == 3
    assert (call.to_no.part, call.to_yes.part) == (turned_to_no, 3 - turned_to_no)
    assert call.old.yes.part == sum(yes)
    assert call.new.yes.part == sum(yes) + 3 - 2 * turned_to_no
    assert [row.key for row in call.examples] == [some[0]["shopper"], "request r, row 1"]
    assert all(row.new == row.old / 2 for row in call.examples)
    assert diff.threshold("offer", "shadow").flips.part == 0
    assert diff.threshold("large", "shadow").rows == 0
    moment = asked[0].at.isoformat(timespec="seconds")
    line = f"what the shadow decided beside production on shoppers from {moment} to {moment}, 80 rows, 40 left out"
    for text in (diff.as_text(), diff.as_markdown().replace("\\", "")):
        assert line in text
    assert "call: 3 of 40 (7.50 %;" in diff.as_text()


def test_before_a_release_all_that_there_is_counts(changing: Shop, some: list[Row]) -> None:
    """Test split, requests of the log and pairs of the shadow, and none of the last two where nothing was logged."""
    found, problem = diff_before_release(changing.registry, graph, "shop")
    assert ([one.kind for one in found.populations], problem) == (["test"], "")
    log(changing, pairs(changing, some)[0][:2])
    found, problem = diff_before_release(changing.registry, graph, "shop")
    assert ([one.kind for one in found.populations], problem) == (["test", "requests", "shadow"], "")
    assert {split.kind for split in found.splits} == {"test", "requests"}
    assert isinstance(found, Diff)


def test_a_shadow_that_decided_nothing_has_no_rows(changing: Shop) -> None:
    """Whoever asks for it learns that there are no pairs yet."""
    diff = decision_diff(changing.registry, graph, "shop", shadow=True)
    assert (diff.populations[-1].kind, diff.populations[-1].rows) == ("shadow", 0)
    assert "what the shadow decided beside production on shoppers, 0 rows" in diff.as_text()
