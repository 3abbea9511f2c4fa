"""Drift of a released shop, by its registry: sides, scores, decisions, weights, requests, the log, and old profiles."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lockstep import Api, Graph, Model
from lockstep.data import read_snapshot, snapshot, take_snapshot
from lockstep.data.profile import Profile, finish
from lockstep.data.sources import DATA_VARIABLE
from lockstep.decisions import Logged
from lockstep.errors import DataError, UsageError
from lockstep.journal import Answered, DecisionLog, InRegistry, layout_of
from lockstep.monitoring import DriftReport, Limits, Role, Verdict, measure
from lockstep.monitoring.columns import UNSEEN
from lockstep.monitoring.scoring import importance, production_on
from lockstep.monitoring.sides import profile_at
from lockstep.registry import Registry, read_manifest
from lockstep.serving import Decider
from tests.training import shop
from tests.training.conftest import ADA, Shop, write_shoppers

FEW = Limits(rows=50)


def again(at: Shop, folder: Path, change: Callable[[pl.DataFrame], pl.DataFrame] = lambda rows: rows) -> None:
    """Take another snapshot, of other shoppers that are drawn alike and then changed."""
    write_shoppers(folder, seed=2, rows=1_200)
    path = folder / "shoppers" / "part.csv"
    change(pl.read_csv(path, infer_schema=False)).write_csv(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DATA_VARIABLE, str(folder))
        take_snapshot(at.registry, shop.shoppers, ADA)


def richer(rows: pl.DataFrame) -> pl.DataFrame:
    """Let everybody spend half as much again, and a third of the regions be new."""
    is_new = pl.int_range(pl.len()) % 3 == 0
    return rows.with_columns(
        (pl.col("spend").cast(pl.Float64) * 1.5).round(2).cast(pl.String).alias("spend"),
        pl.when(is_new).then(pl.lit("west")).otherwise("region").alias("region"),
    )


def verdicts(report: DriftReport) -> dict[str, Verdict]:
    """Say the verdict on each column."""
    return {column.name: column.verdict for column in report.columns}


def test_what_is_drawn_alike_is_quiet(released: Shop, tmp_path: Path) -> None:
    """By default the newest snapshot is held against that of production's models, and no key is compared."""
    again(released, tmp_path / "in")
    before = released.registry.state().head
    report = measure(released.registry, shop.graph, "shoppers", limits=FEW)
    assert (report.reference.name, report.current.name) == ("shoppers@1", "shoppers@2")
    assert report.verdict is Verdict.QUIET
    assert "shopper" not in verdicts(report)
    assert {column.role for column in report.columns if column.name in ("leaves", "plan", "basket")} == {Role.LABEL}
    assert report.missing == ()
    assert report.notes == ()
    assert report.added == pytest.approx(report.current.rows / report.reference.rows - 1)
    assert released.registry.state().head == before


def test_what_changes_is_found(released: Shop, tmp_path: Path) -> None:
    """Columns, scores and decisions that move are found, and what is as it was is not."""
    again(released, tmp_path / "in", richer)
    report = measure(released.registry, shop.graph, "shoppers", limits=FEW)
    assert report.verdict is Verdict.DRIFT
    found = verdicts(report)
    assert {name for name, verdict in found.items() if verdict is Verdict.DRIFT} == {"spend", "region"}
    assert report.column("region").unseen == ("west",)
    assert "that was not there before, as 'west'" in report.column("region").says
    assert report.column("age").verdict is Verdict.QUIET
    scores = {score.name: score.verdict for score in report.scores}
    assert scores["leaving"] is Verdict.DRIFT
    assert {"filling", "planning: basic", "planning: gold", "planning: silver"} <= scores.keys()
    large = [decision for decision in report.decisions if decision.threshold == "large"]
    assert [(one.decision, one.verdict) for one in large] == [("yes", Verdict.DRIFT)]
    assert large[0].moved is not None
    assert large[0].moved > 0.05
    assert report.models["leaving"] == "leaving@1"


def test_weights_are_what_the_models_look_at(released: Shop) -> None:
    """Importance is in shares of one, high where labels hang on a column, and low where a model may not look."""
    report = measure(released.registry, shop.graph, "shoppers", limits=FEW)
    weights = report.weights
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["spend"] + weights["visits"] + weights["age"] > 0.5
    assert weights.get("leaves", 0.0) < 0.2
    assert (report.reference.name, report.current.name) == ("shoppers@1", "shoppers@1")
    assert report.verdict is Verdict.QUIET
    assert report.notes == ("Both sides are the same snapshot: there is no newer one. Take one, or name requests.",)


def test_weights_are_those_of_training(released: Shop) -> None:
    """What a model looks at is read from the manifests; of a version whose manifest is older, it is measured now."""
    state = released.registry.state()
    production = production_on(released.registry, shop.graph, state.production("shop"), "shoppers")
    assert production is not None
    versions = {name: state.staged_model(name) for name in production.looks_at}
    told = {name: read_manifest(released.registry.objects, one.fact.manifest) for name, one in versions.items() if one}
    assert production.looks_at == {name: manifest["importance"] for name, manifest in told.items()}
    assert production.looks_at.keys() == production.members.models.keys()
    targets = {name: manifest["target"] for name, manifest in told.items()}
    rows = read_snapshot(released.registry, state.snapshot("shoppers"), "test")
    known = importance(production, targets, rows.clear())  # no row is asked
    assert known == measure(released.registry, shop.graph, "shoppers", limits=FEW).weights
    now = importance(replace(production, looks_at={}), targets, rows)
    assert now != known
    assert max(now, key=lambda name: now[name]) == max(known, key=lambda name: known[name])
    assert importance(replace(production, looks_at={}), targets, rows.clear()) == {}


def test_sides_can_be_named(released: Shop, tmp_path: Path) -> None:
    """Either snapshot can be said, also where nothing is in production, where no model scores."""
    again(released, tmp_path / "in", richer)
    turned = measure(released.registry, shop.graph, "shoppers", against="shoppers@2", current="shoppers@1", limits=FEW)
    assert (turned.reference.name, turned.current.name) == ("shoppers@2", "shoppers@1")
    graph = Graph([Api("only_calls", decides=[shop.call])])
    alone = measure(released.registry, graph, "shoppers", against="shoppers@1", limits=FEW)
    assert (alone.scores, alone.decisions, alone.models, alone.weights) == ((), (), {}, {})
    assert alone.column("spend").verdict is Verdict.DRIFT


def test_private_words_are_not_shown(released: Shop, tmp_path: Path) -> None:
    """Of a private column the report has the figures, and none of its values."""
    again(released, tmp_path / "in", richer)
    open_one = measure(released.registry, shop.graph, "shoppers", against="shoppers@1", limits=FEW)
    declared = Graph([Api("only_calls", decides=[replace(shop.call, model=with_private_region())])])
    report = measure(released.registry, declared, "shoppers", against="shoppers@1", limits=FEW)
    found, shown = report.column("region"), open_one.column("region")
    assert (found.psi, found.p, found.rows) == (shown.psi, shown.p, shown.rows)
    assert [one.label for one in found.bins] == ["value 1", "value 2", "value 3", UNSEEN]
    assert found.unseen == ("(not shown)",)
    assert not {"north", "south", "east", "west"} & set(json.dumps(report.as_json()).replace("'", '"').split('"'))


def with_private_region() -> Model:
    """Declare the model of leaving on shoppers whose region is private."""
    return replace(shop.leaving, data=replace(shop.shoppers, private=["region"]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"against": "customers@1"}, 'Snapshot "customers@1" is none of dataset "shoppers"; write shoppers@3, say.'),
        ({"against": "shoppers@9"}, 'There is no snapshot "shoppers@9"'),
        ({"group": "bank"}, 'No model of group "bank" is trained on "shoppers"; groups that are: shop.'),
        ({"current": "shoppers@1", "requests": "x.csv"}, "Both snapshot shoppers@1 and requests are to be held"),
        ({"requests": "x.txt"}, "Requests x.txt: the kind of file is told by its end"),
    ],
)
def test_what_can_not_be_compared(released: Shop, words: dict[str, str], message: str) -> None:
    """Wrong names are told before anything is computed."""
    with pytest.raises(UsageError) as caught:
        measure(released.registry, shop.graph, "shoppers", **words)
    assert message in str(caught.value)


def test_without_production_somebody_has_to_say_the_reference(released: Shop) -> None:
    """The message says how."""
    graph = Graph([Api("only_calls", decides=[shop.call])])
    with pytest.raises(UsageError, match="Say which snapshot: --against shoppers@1"):
        measure(released.registry, graph, "shoppers")


# ------------------------------------------------------------------------------------------------------------ requests


@pytest.fixture
def some(tmp_path: Path) -> list[dict[str, Any]]:
    """Draw what was asked lately: rows as text, of people who spend more, and whose labels nobody knows."""
    write_shoppers(tmp_path / "asked", seed=3, rows=600)
    rows = richer(pl.read_csv(tmp_path / "asked" / "shoppers" / "part.csv", infer_schema=False))
    return rows.drop("leaves").filter(pl.col("region") != "west").to_dicts()


def test_requests_of_a_file(released: Shop, some: list[dict[str, Any]], tmp_path: Path) -> None:
    """A file of rows stands in for a snapshot; labels that no model learns from may be missing."""
    path = tmp_path / "asked.csv"
    pl.DataFrame(some).write_csv(path)
    report = measure(released.registry, shop.graph, "shoppers", requests=str(path), limits=FEW)
    assert (report.current.kind, report.current.name) == ("file", "asked.csv")
    assert report.current.left_out["left out by clean"] > 0
    assert report.current.rows + sum(report.current.left_out.values()) == len(some)
    assert (report.column("spend").verdict, report.verdict) == (Verdict.DRIFT, Verdict.DRIFT)
    assert report.column("leaves").says == "Label leaves: the current rows don't say it, and need not."
    assert report.column("age").verdict is Verdict.QUIET


def test_requests_of_the_decision_log(released: Shop, some: list[dict[str, Any]]) -> None:
    """The log stands in for a snapshot, and decisions are those that production gave."""
    decider = Decider(released.registry, [shop.graph])
    decider.refresh()
    rows = [row | {"spend": f"{float(row['spend']) / 3:.2f}"} for row in some]
    answers = decider.decide("offers", rows)
    journal = DecisionLog(InRegistry(released.registry.objects), [layout_of(shop.graph, "shop")])
    release = released.registry.state().production("shop")
    assert release is not None
    asked = Answered(
        request="r",
        at=datetime.now(UTC),
        group="shop",
        api="offers",
        release=release.digest,
        rows=rows,
        answers=answers,
        size=1,
    )
    journal.add(asked)
    journal.add(replace(asked, release="e" * 64))
    journal.start()
    journal.stop()
    report = measure(released.registry, shop.graph, "shoppers", requests=Logged(), limits=FEW)
    assert (report.current.kind, report.current.name) == ("log", "the decision log, the last 7 days")
    assert report.column("spend").verdict is Verdict.DRIFT
    given = [answer["decisions"]["offer"]["decision"] for answer in answers if "decisions" in answer]
    offer = next(one for one in report.decisions if one.threshold == "offer")
    assert (offer.current.part, offer.current.whole) == (sum(given), len(given))  # of production's release alone
    assert offer.verdict is Verdict.DRIFT
    huge = next(one for one in report.decisions if one.threshold == "huge")
    assert (huge.current.whole, huge.verdict) == (0, Verdict.TOO_FEW)


def test_an_empty_log_is_told(released: Shop) -> None:
    """Nothing is compared with nothing."""
    with pytest.raises(DataError) as caught:
        measure(released.registry, shop.graph, "shoppers", requests=Logged())
    assert "the decision log, the last 7 days: none can be used, for there are none." in str(caught.value)


# -------------------------------------------------------------------------------------------------------- old profiles


LATE = ("frequent", "frequent_error", "distinct_sketch", "distinct_error")


def finish_as_it_was(profile: Profile) -> Profile:
    """Finish a profile as it was done before there were sketches of words."""
    return {
        split: {
            name: {key: value for key, value in column.items() if key not in LATE} for name, column in columns.items()
        }
        for split, columns in finish(profile).items()
    }


def test_a_profile_without_sketches_is_made_again(shop_template: Path, tmp_path: Path) -> None:
    """Where an older Lockstep wrote the profile, it is read, and its sketches are made of the rows."""
    registry = Registry.open(str(tmp_path / "old"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DATA_VARIABLE, str(shop_template / "data"))
        patch.setattr(snapshot, "finish", finish_as_it_was)
        old = take_snapshot(registry, shop.shoppers, ADA)
    now = Registry.open(str(shop_template / "registry"))
    new = now.state().snapshot("shoppers")
    assert old.digest == new.digest  # the profile is part of no digest
    before, after = profile_at(registry, old, "shopper"), profile_at(now, new, "shopper")
    assert before["train"]["region"]["values"] == after["train"]["region"]["values"]
    assert before["train"]["region"]["frequent"]
    graph = Graph([Api("only_calls", decides=[shop.call])])
    report = measure(registry, graph, "shoppers", against="shoppers@1", limits=FEW)
    assert report.verdict is Verdict.QUIET
    assert {column.psi for column in report.columns if column.kind == "words"} == {0.0}
