"""The decision diff against decisions that are counted one by one."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lockstep import Api, Graph
from lockstep.data import SPLIT, read_snapshot
from lockstep.decisions import Share, decision_diff
from lockstep.decisions.compare import BATCH, in_batches
from lockstep.errors import ReleaseRefused, UsageError
from lockstep.registry import canonical_json
from lockstep.release import compose, digest_of_release, promote, release, rollback
from lockstep.training import load_model
from lockstep.training.evaluate import evaluate
from tests.decisions.conftest import GROUP, calls, graph, stage
from tests.training import shop
from tests.training.conftest import ADA, Shop

VERSIONS = (1, 2)  # of each member: what is in production, and what stands in staging


@dataclass(frozen=True)
class ByHand:
    """Decides on the test split, with the versions as they are."""

    at: Shop

    @property
    def rows(self) -> pl.DataFrame:
        """Read the test split."""
        return read_snapshot(self.at.registry, self.at.snapshot, "test").drop(SPLIT)

    def scores(self, model: str, number: int) -> np.ndarray:
        """Score it by a version of a model."""
        state = self.at.registry.state()
        versions = state.models[model]
        return load_model(self.at.registry, versions[min(number, len(versions)) - 1]).scores(self.rows)

    def decide(self, threshold: str, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Score and decide by a version of a threshold."""
        state, model = self.at.registry.state(), graph.model_of(threshold).name
        versions = state.thresholds[threshold]
        version = versions[min(number, len(versions)) - 1]
        predictor = load_model(self.at.registry, state.model_by_digest(model, version.fact.model_digest))
        scores = predictor.score(self.rows, graph.threshold(threshold).positive)
        return scores, scores >= version.fact.value


def test_flips_are_counted_in_each_direction(changing: Shop) -> None:
    """For each threshold the diff has the flips, the directions, the yes of both sides, and the first flipped rows."""
    diff, hand = decision_diff(changing.registry, graph, "shop"), ByHand(changing)
    total = 0
    for name in GROUP.model_of_threshold:
        (before, was), (after, will) = (hand.decide(name, number) for number in VERSIONS)
        found, rows = diff.threshold(name), len(was)
        assert found.to_no == Share(part=int((was & ~will).sum()), whole=rows)
        assert found.to_yes == Share(part=int((~was & will).sum()), whole=rows)
        assert found.flips == Share(part=int((was != will).sum()), whole=rows)
        assert (found.old.yes.part, found.new.yes.part) == (was.sum(), will.sum())
        places = np.flatnonzero(was != will)[:10]
        assert [example.key for example in found.examples] == hand.rows["shopper"].gather(places).to_list()
        assert [example.old for example in found.examples] == before[places].tolist()
        assert [example.new for example in found.examples] == after[places].tolist()
        total += len(places)
    assert total > 5  # or the test would show nothing


def test_it_says_which_sets_are_compared(changing: Shop) -> None:
    """Old is the release in production, new is what a release would be now, each with its members and the snapshot."""
    diff, state = decision_diff(changing.registry, graph, "shop"), changing.registry.state()
    assert (diff.old, diff.new) == (state.production("shop").digest, digest_of_release(compose(GROUP, state)))
    assert (diff.old_members["leaving"], diff.new_members["leaving"]) == ("leaving@1", "leaving@2")
    assert (diff.old_members["huge"], diff.new_members["huge"]) == ("huge@1", "huge@1")
    (population,) = diff.populations
    source = {"snapshot": "shoppers@1", "digest": changing.snapshot.digest}
    assert (population.kind, population.rows, population.source) == ("test", ByHand(changing).rows.height, source)


def test_models_are_compared_on_the_same_rows(changing: Shop) -> None:
    """Metrics of both versions are those of the test split, and the moves of their scores are those of its rows."""
    diff, hand = decision_diff(changing.registry, graph, "shop"), ByHand(changing)
    for found in diff.populations[0].models:
        model, truth = graph.model(found.name), hand.rows[graph.model(found.name).target]
        known = truth.is_not_null().to_numpy()
        scores = [hand.scores(found.name, number) for number in VERSIONS]
        predictor = load_model(changing.registry, changing.registry.state().model(f"{found.name}@1"))
        expected = [
            evaluate(model.task, predictor.classes, truth.drop_nulls().to_numpy(), side[known]) for side in scores
        ]
        assert found.labelled == known.sum()
        assert found.old_metrics == pytest.approx(expected[0], rel=1e-9)
        assert found.new_metrics == pytest.approx(expected[1], rel=1e-9)
        for score in found.scores:
            column = 0 if score.label == "value" else [str(name) for name in predictor.classes].index(score.label)
            moved = np.abs(scores[0][:, column] - scores[1][:, column])
            assert (score.moved, score.most) == pytest.approx((moved.mean(), moved.max()))
            assert sum(score.new.counts) == sum(score.old.counts) == hand.rows.height
    assert [[score.label for score in model.scores] for model in diff.populations[0].models] == [
        ["True"],
        ["gold"],
        ["value"],
    ]


def test_splits_are_counted_before_and_after(changing: Shop) -> None:
    """A yes of one API that the other does not back is counted, by row, or by whatever column says."""
    diff, hand = decision_diff(changing.registry, graph, "shop"), ByHand(changing)
    regions, expected = hand.rows["region"].to_numpy(), []
    for number in VERSIONS:
        offered = hand.decide("offer", number)[1] | hand.decide("cheap", number)[1]
        called = hand.decide("call", number)[1]
        by_region = [called[regions == name].any() and not offered[regions == name].any() for name in set(regions)]
        expected.append(((offered & ~called).sum(), len(called), sum(by_region), len(by_region)))
    by_row, by_region = diff.splits
    assert (by_row.api, by_row.other, by_row.on) == ("offers", "calls", "shopper")
    assert (by_region.api, by_region.other, by_region.on) == ("calls", "offers", "region")
    for side, (rows, of_rows, regions, of_regions) in zip(("old", "new"), expected, strict=True):
        assert getattr(by_row, side) == Share(part=rows, whole=of_rows)
        assert getattr(by_region, side) == Share(part=regions, whole=of_regions)


def test_the_same_state_is_the_same_bytes(changing: Shop) -> None:
    """Asked twice, and after entries that change neither side, the diff is the same to the last byte."""
    first = decision_diff(changing.registry, graph, "shop")
    changing.train("filling", graph=graph, upstream={}, force=True)  # a candidate
    again = decision_diff(changing.registry, graph, "shop")
    assert canonical_json(first.as_json()) == canonical_json(again.as_json())
    assert first == again


def test_it_changes_nothing(changing: Shop) -> None:
    """After a diff the registry holds what it held."""
    before = changing.registry.objects.names("")
    decision_diff(changing.registry, graph, "shop")
    assert changing.registry.objects.names("") == before


def test_a_first_release_has_nothing_to_compare_with(desk: Shop) -> None:
    """Before the first release the diff has what the new set would decide, and says that nothing was decided before."""
    stage(desk)
    diff = decision_diff(desk.registry, graph, "shop")
    offer = diff.threshold("offer")
    assert (diff.old, diff.old_members, offer.old, offer.flips, offer.examples) == (None, {}, None, None, ())
    assert offer.new.yes.part == ByHand(desk).decide("offer", 1)[1].sum()
    assert all(split.old is None and split.new.whole for split in diff.splits)
    assert "the first release of this group" in diff.as_text()
    assert "offer: a new threshold, nothing to compare with; yes for" in diff.as_text()


def test_production_against_itself_changes_nothing(changing: Shop) -> None:
    """Where staging is what production runs, no decision flips, and the text says so."""
    release(changing.registry, replace(GROUP, release_if=()), ADA)
    diff = decision_diff(changing.registry, graph, "shop")
    assert diff.old == diff.new
    assert all(diff.threshold(name).flips.part == 0 for name in GROUP.model_of_threshold)
    assert "which is in production: nothing changes" in diff.as_text()


def test_the_newest_snapshot_counts(changing: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that came after both sides were trained are those that are decided on."""
    from lockstep.data import take_snapshot
    from lockstep.data.sources import DATA_VARIABLE
    from tests.training.conftest import write_shoppers

    write_shoppers(tmp_path, seed=2, rows=80)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    newest = take_snapshot(changing.registry, shop.shoppers, ADA)
    (population,) = decision_diff(changing.registry, graph, "shop").populations
    assert population.source == {"snapshot": "shoppers@2", "digest": newest.digest}
    assert population.rows == read_snapshot(changing.registry, newest, "test").height


def test_a_threshold_that_comes_or_goes_is_told(changing: Shop) -> None:
    """A threshold that only one side has is named, and has no flips."""
    fewer = Graph(
        [
            Api("offers", decides=[shop.offer], explains=[shop.planning], agrees_with=[calls]),
            calls,
            Api("baskets", decides=[shop.large, shop.huge]),
        ],
        name="shop",
    )
    diff = decision_diff(changing.registry, fewer, "shop")
    gone = diff.threshold("cheap")
    assert (gone.new, gone.flips, gone.old.version) == (None, None, "cheap@1")
    assert "cheap: it is not released any more" in diff.as_text()
    release(changing.registry, fewer.group("shop"), ADA)
    promote(changing.registry, GROUP, "leaving@2", ADA)
    promote(changing.registry, GROUP, "planning@2", ADA)
    come = decision_diff(changing.registry, graph, "shop").threshold("cheap")
    assert (come.old, come.flips, come.new.version) == (None, None, "cheap@2")


def test_what_does_not_fit_together_is_not_compared(changing: Shop) -> None:
    """While the gate is closed there is no set that would be released; what is missing is said."""
    wider = Graph([*graph.nodes, Api("more", decides=[shop.offer], explains=[shop.buying])], name="shop")
    with pytest.raises(ReleaseRefused) as caught:
        decision_diff(changing.registry, wider, "shop")
    assert str(caught.value).startswith(
        "There is no set that could be released, so nothing to compare.\ngate shop: clo"
    )
    assert "buying is not in staging" in str(caught.value)


def test_a_set_that_was_rolled_back_can_still_be_looked_at(changing: Shop) -> None:
    """Whoever wants to know what went wrong with a release sees the diff of exactly that set."""
    before = decision_diff(changing.registry, graph, "shop")
    release(changing.registry, replace(GROUP, release_if=()), ADA)
    rollback(changing.registry, GROUP, ADA)
    assert decision_diff(changing.registry, graph, "shop") == before


def test_all_flipped_rows_go_to_parquet(changing: Shop, tmp_path: Path) -> None:
    """The file holds each flipped row with both scores, both cuts, and all that it was decided on, in order."""
    path, hand = tmp_path / "flips.parquet", ByHand(changing)
    path.write_text("what stood there before")
    diff = decision_diff(changing.registry, graph, "shop", rows=path, shown=2)
    found = pl.read_parquet(path)
    for name in GROUP.model_of_threshold:
        (before, was), (after, will) = (hand.decide(name, number) for number in VERSIONS)
        places = np.flatnonzero(was != will)
        own = found.filter(pl.col("_threshold") == name)
        assert own.select(hand.rows.columns).equals(hand.rows[places])
        assert own["_old_score"].to_list() == before[places].tolist()
        assert own["_new_score"].to_list() == after[places].tolist()
        assert own["_change"].to_list() == ["no to yes" if yes else "yes to no" for yes in will[places]]
        assert len(diff.threshold(name).examples) == min(2, len(places))
    release(changing.registry, replace(GROUP, release_if=()), ADA)
    decision_diff(changing.registry, graph, "shop", rows=path)
    assert not path.exists()


@cache
def frames() -> list[pl.DataFrame]:
    """Make frames of odd sizes."""
    sizes = [0, 1, BATCH - 2, 1, 3 * BATCH + 5, 0, 7]
    return [pl.DataFrame({"at": np.arange(size) + 10 * place}) for place, size in enumerate(sizes)]


def test_batches_hold_all_rows_in_order() -> None:
    """However the rows come, they are decided on in batches of one size, and the last holds the rest."""
    batches = list(in_batches(frames()))
    assert pl.concat(batches).equals(pl.concat(frames()))
    assert [batch.height for batch in batches[:-1]] == [BATCH] * (len(batches) - 1)
    assert list(in_batches([])) == list(in_batches(frames()[:1])) == []


def test_an_unknown_group_or_dataset_is_refused(changing: Shop) -> None:
    """What is not declared can't be compared."""
    with pytest.raises(UsageError, match='There is no release group "shops"; the graph has shop'):
        decision_diff(changing.registry, graph, "shops")
    with pytest.raises(UsageError, match='Requests of "staff": no model of group "shop" is trained on that'):
        decision_diff(changing.registry, graph, "shop", requests={"staff": "x.csv"})


def test_what_comes_out_of_data_can_not_change_markdown(changing: Shop) -> None:
    """Keys and reasons are told as they are, whatever marks of Markdown stand in them."""
    from lockstep.decisions.told import as_markdown

    document: Any = decision_diff(changing.registry, graph, "shop").as_json()
    document["populations"][0] |= {"rows_of": "requests", "left_out": {"a | b [x](http://y) <img>": 3}}
    document["populations"][0]["source"] = {"file": "`evil`|\n# x.csv", "digest": "0"}
    text = as_markdown(document)
    assert r"### requests of shoppers in \`evil\`\| \# x.csv, " in text
    assert r"a \| b \[x\]\(http://y\) \<img\>" in text
    rows = [line for line in text.splitlines() if line.startswith("| offer |")]
    assert len(rows) == 1
    assert rows[0].count(" | ") == 3
