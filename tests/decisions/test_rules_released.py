"""A group whose thresholds are rules, from training to the diff of the next release: decided as if row by row."""

import json
import re
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lockstep import (
    Api,
    Graph,
    Threshold,
    flip_rate,
    precision_at_least,
    recall_at_least,
    refer_unsure,
    split_rate,
    top_fraction,
    two_sided,
)
from lockstep.cli.lineage import version_lines
from lockstep.cli.show import decision_line, log
from lockstep.data import SPLIT, read_snapshot
from lockstep.decisions import Share, decision_diff, ensure_diff, tune_threshold
from lockstep.decisions.page import as_html
from lockstep.decisions.rule import Rule, word_of
from lockstep.decisions.tune import CURVE
from lockstep.errors import DataError
from lockstep.registry import Registry, digest_of, files_of, read_manifest, threshold_key
from lockstep.registry.lineage import lineage
from lockstep.release import compose, promote, release
from lockstep.serving import Decider
from lockstep.training import load_model
from tests.training import shop
from tests.training.conftest import ADA, Shop, open_shop

KINDS = {"doubt": shop.leaving, "plan_of": shop.planning, "regional": shop.leaving, "small": shop.filling}
doubt = Threshold(
    "doubt", model=shop.leaving, choose=two_sided(yes=precision_at_least(0.85), no=precision_at_least(0.9))
)
plan_of = Threshold("plan_of", model=shop.planning, choose=refer_unsure(answers=top_fraction(0.6)))
regional = Threshold("regional", model=shop.leaving, choose=recall_at_least(0.8), per="region", at_least_rows=30)
small = Threshold("small", model=shop.filling, choose=top_fraction(0.2), when="below")


def graph_of(offer: Threshold) -> Graph:
    """Declare the group; what an offer is changes from one release to the next."""
    doubts = Api("doubts", decides=[doubt])
    return Graph(
        [
            Api("offers", decides=[offer, regional], agrees_with=[doubts]),
            doubts,
            Api("plans", decides=[plan_of]),
            Api("baskets", decides=[small]),
        ],
        name="shop",
        release_if=[flip_rate("offer", at_most=0.99), split_rate("offers", "doubts", at_most=0.99)],
    )


BEFORE = graph_of(shop.offer)
AFTER = graph_of(
    replace(shop.offer, choose=two_sided(yes=precision_at_least(0.9), no=precision_at_least(0.95))),
)


def stage(at: Shop, graph: Graph, *, c: float) -> None:
    """Train, tune and promote all."""
    group = graph.group("shop")
    for model in group.models:
        parameters = None if model.name == "filling" else {"logisticregression__C": c}
        made = at.train(model.name, graph=graph, upstream={}, parameters=parameters).version
        for threshold in graph.thresholds_of(model.name):
            tune_threshold(at.registry, graph, threshold.name, ADA, model=made)
        promote(at.registry, group, made.ref, ADA)


@pytest.fixture(scope="module")
def ruled_template(shop_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Release rules, and stage others, once; tests that change something copy the registry."""
    folder = tmp_path_factory.mktemp("ruled") / "registry"
    shutil.copytree(shop_template / "registry", folder)
    at = open_shop(folder)
    stage(at, BEFORE, c=1.0)
    ensure_diff(at.registry, BEFORE, "shop")
    release(at.registry, BEFORE.group("shop"), ADA)
    stage(at, AFTER, c=0.05)
    return folder


@pytest.fixture
def ruled(ruled_template: Path, tmp_path: Path) -> Shop:
    """Sit down where rules are in production, and others in staging."""
    shutil.copytree(ruled_template, tmp_path / "registry")
    return open_shop(tmp_path / "registry")


@dataclass(frozen=True)
class ByHand:
    """Decides row by row, with what stands in the entry of a threshold version."""

    at: Shop
    split: str = "test"

    @property
    def rows(self) -> pl.DataFrame:
        """Read the split."""
        return read_snapshot(self.at.registry, self.at.snapshot, self.split).drop(SPLIT)

    def decide(self, name: str, number: int) -> list[str]:
        """What a version of a threshold says to each row, in words."""
        state = self.at.registry.state()
        past = state.thresholds[name]
        fact = past[min(number, len(past)) - 1].fact
        predictor = load_model(self.at.registry, state.model_by_digest(fact.model, fact.model_digest))
        scores = predictor.scores(self.rows)
        rule = fact.rule or {"form": "cut", "column": 1, "when": "above", "values": {"yes": fact.value}}
        return [
            self._one(rule, row.tolist(), region)
            for row, region in zip(scores, self.rows["region"].to_list(), strict=True)
        ]

    @staticmethod
    def _one(rule: dict[str, Any], scores: list[float], region: str) -> str:
        own = {item["segment"]: item["values"] for item in rule.get("segments", ())}
        values = own.get(region, rule["values"])
        if rule["form"] == "class":
            likeliest = int(np.argmax(scores))
            return rule["classes"][likeliest] if scores[likeliest] >= values["answer"] else "refer"
        score = scores[rule["column"]]
        if rule["when"] == "below":
            return "yes" if score <= values["yes"] else "no"
        if score >= values["yes"]:
            return "yes"
        return "refer" if rule["form"] == "band" and score > values["no"] else "no"


@pytest.mark.parametrize("name", list(KINDS))
def test_a_rule_is_chosen_on_validation_and_reported_on_both(ruled: Shop, name: str) -> None:
    """Entry and manifest hold one rule, no single value; reports count what it decides; each value has an interval."""
    version = ruled.registry.state().threshold(f"{name}@1")
    manifest = read_manifest(ruled.registry.objects, version.fact.manifest)
    assert manifest["rule"] == version.fact.rule
    assert manifest["value"] is version.fact.value is None
    assert manifest["interval"].keys() == version.fact.rule["values"].keys()
    for edge, value in version.fact.rule["values"].items():
        assert manifest["interval"][edge]["low"] <= value <= manifest["interval"][edge]["high"]
    for split in ("validation", "test"):
        hand = ByHand(ruled, split)
        target = hand.rows[KINDS[name].target]
        known = [word for word, truth in zip(hand.decide(name, 1), target.to_list(), strict=True) if truth is not None]
        words, report = Counter(known), manifest[split]
        assert report["rows"] == len(known)
        if name == "plan_of":
            assert report["answers"]["rows"] == len(known) - words["refer"]
        else:
            assert report["yes"] == words["yes"]
        assert report.get("refer", {}).get("rows", 0) == words["refer"]
        assert report.get("no", {"rows": words["no"]})["rows"] == words["no"]
    assert (manifest["calibration"] is None) is (name == "small")
    curves = json.loads(ruled.registry.objects.get(files_of(version.fact.manifest, manifest)[CURVE]))
    assert curves["validation"].keys() == curves["test"].keys() == version.fact.rule["values"].keys()


def test_wishes_hold_on_the_rows_that_they_were_chosen_on(ruled: Shop) -> None:
    """Both sides of the band are as precise as was asked, the answered share is kept, the lowest values are taken."""
    state = ruled.registry.state()
    doubt_on, plan_on, small_on = (
        read_manifest(ruled.registry.objects, state.threshold(f"{name}@1").fact.manifest)["validation"]
        for name in ("doubt", "plan_of", "small")
    )
    assert doubt_on["precision"] >= 0.85
    assert doubt_on["no"]["precision"] >= 0.9
    assert plan_on["answers"]["share"] <= 0.6
    assert small_on["share"] <= 0.2


def test_the_likelier_of_yes_and_no_may_be_left_to_a_person_too(ruled: Shop) -> None:
    """Where the classes are true and false, the answers are yes and no, and both are given from the same value up."""
    graph = Graph([Threshold("sure", model=shop.leaving, choose=refer_unsure(answers=precision_at_least(0.9)))])
    version = tune_threshold(
        ruled.registry, graph, "sure", ADA, model=ruled.registry.state().model("leaving@1")
    ).version
    rule = Rule.from_json(version.fact.rule)
    assert rule.words == ("no", "yes", "refer")
    scores = load_model(ruled.registry, ruled.registry.state().model("leaving@1")).scores(ByHand(ruled).rows)
    words = [rule.words[code] for code in rule.decide(scores)]
    (value,) = rule.values
    assert words == ["yes" if score >= value else "no" if 1 - score >= value else "refer" for score in scores[:, 1]]
    assert set(words) == {"no", "yes", "refer"}


def test_each_segment_tells_its_rows_and_why_it_falls_back(ruled: Shop) -> None:
    """The manifest lists all segments of the validation split, those without values of their own with the reason."""
    version = ruled.registry.state().threshold("regional@1")
    manifest = read_manifest(ruled.registry.objects, version.fact.manifest)
    regions = Counter(read_snapshot(ruled.registry, ruled.snapshot, "validation")["region"].to_list())
    assert {item["segment"]: item["rows"] for item in manifest["segments"]} == dict(regions)
    own = {item["segment"]: item["values"] for item in version.fact.rule["segments"]}
    for item in manifest["segments"]:
        assert item["fallback"] == (None if item["rows"] >= 30 else "fewer than 30 rows")
        assert item["values"] == own.get(item["segment"])
        assert item["validation"]["rows"] == item["rows"]
        if item["fallback"] is None:
            assert item["validation"]["recall"] >= 0.8
    assert 0 < len(own) < len(regions)  # or the test would show nothing


def test_a_recipe_knows_what_came_later_only_where_it_is_used(ruled: Shop) -> None:
    """What one value decides has the recipe that it always had; segments and their least rows are part of theirs."""
    state = ruled.registry.state()
    model = state.model("leaving@1")
    plain = {"threshold": "offer", "model": model.digest, "policy": shop.offer.choose.describe(), "positive": True}
    assert state.threshold("offer@1").fact.recipe == digest_of(plain)
    assert state.threshold("offer@1").fact.rule is None
    again = tune_threshold(ruled.registry, BEFORE, "regional", ADA, model=model)
    assert (again.is_new, again.version.ref) == (False, "regional@1")
    fewer = Graph([replace(regional, at_least_rows=10)])
    assert tune_threshold(ruled.registry, fewer, "regional", ADA, model=model).is_new


def test_a_release_names_rules_where_there_are_some(ruled: Shop) -> None:
    """A member that one value decides looks as it always did, so that its set keeps its digest."""
    state = ruled.registry.state()
    members = read_manifest(ruled.registry.objects, state.production("shop").manifest)["members"]
    for name in (*KINDS, "offer"):
        fact, member = state.threshold(f"{name}@1").fact, members[threshold_key(name)]
        common = {"name", "number", "digest", "manifest", "model", "model_digest", "value"}
        assert member.keys() == common if name == "offer" else common | {"rule"}
        assert (member["value"], member.get("rule")) == (fact.value, fact.rule)
    assert compose(AFTER.group("shop"), state)["members"][threshold_key("offer")]["rule"]["form"] == "band"


def test_flips_are_counted_for_each_pair_of_decisions(ruled: Shop) -> None:
    """Whatever each side may say, the diff counts who said what and says what now, and shows the first of them."""
    diff, hand = decision_diff(ruled.registry, AFTER, "shop"), ByHand(ruled)
    keys, total = hand.rows["shopper"].to_list(), 0
    for name in (*KINDS, "offer"):
        was, will = hand.decide(name, 1), hand.decide(name, 2)
        pairs = Counter((before, after) for before, after in zip(was, will, strict=True) if before != after)
        found = diff.threshold(name)
        assert {pair: count for pair, count in found.changes.items() if count} == pairs
        assert found.flips == Share(part=pairs.total(), whole=len(keys))
        for side, words in ((found.old, was), (found.new, will)):
            counted = {word: share.part for word, share in side.decided.items() if share.part}
            assert counted == dict(Counter(words))
        places = [place for place, pair in enumerate(zip(was, will, strict=True)) if pair[0] != pair[1]][:10]
        assert [(row.key, row.was, row.will) for row in found.examples] == [
            (keys[place], was[place], will[place]) for place in places
        ]
        total += len(pairs)
    assert total >= 5  # or the test would show nothing
    assert diff.threshold("offer").old.rule.is_one_value
    assert "refer" in diff.threshold("offer").new.decided


def test_who_refers_to_a_person_contradicts_nobody(ruled: Shop) -> None:
    """A contradiction is a yes that the other answers with no; where a person is to decide, nobody has said no yet."""
    diff, hand = decision_diff(ruled.registry, AFTER, "shop"), ByHand(ruled)
    (split,) = diff.splits
    for number, side in ((1, split.old), (2, split.new)):
        offered = [
            "yes" in both for both in zip(hand.decide("offer", number), hand.decide("regional", number), strict=True)
        ]
        doubts = hand.decide("doubt", number)
        against = sum(yes and said == "no" for yes, said in zip(offered, doubts, strict=True))
        assert side == Share(part=against, whole=len(offered))
    assert "refer" in hand.decide("doubt", 1)


def test_flipped_rows_say_both_decisions_and_all_values(ruled: Shop, tmp_path: Path) -> None:
    """The file has a row for each flip, with the change in words, and the values that decided that very row."""
    path, hand = tmp_path / "flips.parquet", ByHand(ruled)
    diff, state = decision_diff(ruled.registry, AFTER, "shop", rows=path), ruled.registry.state()
    found = pl.read_parquet(path)
    for name in (*KINDS, "offer"):
        pairs = zip(hand.decide(name, 1), hand.decide(name, 2), strict=True)
        own = found.filter(pl.col("_threshold") == name)
        assert own["_change"].to_list() == [f"{was} to {will}" for was, will in pairs if was != will]
    rule = Rule.from_json(state.threshold("regional@2").fact.rule)
    own = found.filter(pl.col("_threshold") == "regional")
    assert own["_new_cut"].to_list() == rule.values_for(own["region"].to_list())[:, 0].tolist()
    assert own["_new_no"].null_count() == own.height > 0
    band = found.filter(pl.col("_threshold") == "offer")
    assert set(band["_new_no"].to_list()) == {state.threshold("offer@2").fact.rule["values"]["no"]}
    assert band["_old_no"].null_count() == band.height == diff.threshold("offer").flips.part


def test_the_diff_reads_well(ruled: Shop) -> None:
    """Text, Markdown and page tell rules in words, the shares of all decisions, and which way how many go."""
    document = decision_diff(ruled.registry, AFTER, "shop").as_json()
    again = json.loads(json.dumps(document))
    assert again == document
    text, page = decision_diff(ruled.registry, AFTER, "shop").as_text(), as_html(document)
    offer = next(item for item in document["populations"][0]["thresholds"] if item["threshold"] == "offer")
    change = max(offer["changes"], key=lambda item: item["count"])
    assert f"{change['count']} {change['from']} to {change['to']}" in text
    assert "; yes from" in text
    assert "a person decides between" in text
    assert "yes up to" in text
    assert "; by region: " in text
    assert "the likeliest class from" in text
    assert "old decision" in page
    assert f"{offer['examples'][0]['from']}</td><td>{offer['examples'][0]['to']}" in page
    assert "otherwise" in page
    assert offer["old"]["cut"] == ruled.registry.state().threshold("offer@1").fact.value
    assert offer["new"]["cut"] is None


def test_a_release_weighs_its_conditions_by_all_flips(ruled: Shop) -> None:
    """A flip rate counts every other decision, to a person as well; within the limits the rules are released."""
    ensure_diff(ruled.registry, AFTER, "shop")
    done = release(ruled.registry, AFTER.group("shop"), ADA)
    assert ruled.registry.state().production("shop").digest == done.digest
    assert done.members[threshold_key("offer")] == ruled.registry.state().threshold("offer@2").digest


def test_log_and_lineage_tell_the_rule(ruled: Shop) -> None:
    """An entry is told in words; a version's lineage has the rule as JSON values, and its text in words."""
    state = ruled.registry.state()
    said = [line["says"] for line in log(ruled.registry.log.entries())]
    rule = state.threshold("doubt@1").fact.rule
    assert f"doubt@1 tuned for leaving@1: {Rule.from_json(rule).as_text()}" in said
    assert f"offer@1 tuned for leaving@1: {state.threshold('offer@1').fact.value:.4f}" in said
    found = lineage(state, state.threshold("doubt@1"))
    assert found["rule"] == rule
    assert f"  rule {Rule.from_json(rule).as_text()}" in version_lines(found)
    assert not any(line.startswith("  value") for line in version_lines(found))
    assert "rule" not in lineage(state, state.threshold("offer@1"))


@pytest.fixture
def asked(ruled: Shop, shop_template: Path) -> dict[str, dict[str, Any]]:
    """Ask every API of the release in production for each row of the test split; key → threshold → its decision."""
    rows = pl.read_csv(shop_template / "data" / "shoppers" / "part.csv", infer_schema=False)
    keys = ByHand(ruled).rows["shopper"].to_list()
    decider = Decider(Registry.open(ruled.registry.uri), [BEFORE])
    decider.refresh()
    found: dict[str, dict[str, Any]] = {key: {} for key in keys}
    for api in ("offers", "doubts", "plans", "baskets"):
        for answer in decider.decide(api, rows.filter(pl.col("shopper").is_in(keys)).to_dicts()):
            found[answer["key"]] |= answer["decisions"]
    return found


def test_services_decide_as_the_rules_say(ruled: Shop, asked: dict[str, dict[str, Any]]) -> None:
    """The answer is true, false, a class, or null where a person decides, and says so; its values are the rule's."""
    hand, state = ByHand(ruled), ruled.registry.state()
    for name in (*KINDS, "offer"):
        decisions = [asked[key][name] for key in hand.rows["shopper"]]
        assert [word_of(found["decision"]) for found in decisions] == hand.decide(name, 1)
        rule = state.threshold(f"{name}@1").fact.rule
        can_refer = rule is not None and rule["form"] != "cut"
        assert all(found.get("refer") == ((found["decision"] is None) if can_refer else None) for found in decisions)
        assert all(found["version"] == f"{name}@1" for found in decisions)
        assert all(("segment" in found) is (name == "regional") for found in decisions)
    own = {item["segment"]: item["values"]["yes"] for item in state.threshold("regional@1").fact.rule["segments"]}
    everybody = state.threshold("regional@1").fact.rule["values"]["yes"]
    regional_by_key = {key: found["regional"] for key, found in asked.items()}
    for key, region in hand.rows.select("shopper", "region").iter_rows():
        found = regional_by_key[key]
        assert (found["segment"], found["fallback"]) == (region, region not in own)
        assert found["threshold"] == own.get(region, everybody)
    assert {found["fallback"] for found in regional_by_key.values()} == {True, False}


def test_a_region_that_nobody_knew_is_decided_by_the_values_of_all(ruled: Shop) -> None:
    """It is answered, and the answer says that it fell back."""
    decider = Decider(Registry.open(ruled.registry.uri), [BEFORE])
    decider.refresh()
    row = {"shopper": "new", "age": 44, "visits": 3, "spend": 81.5, "region": "moon", "rating": None, "secret": 0.5}
    (answer,) = decider.decide("offers", [row | {"plan": "gold", "basket": None, "buys": False, "leaves": False}])
    found = answer["decisions"]["regional"]
    assert (found["segment"], found["fallback"]) == ("moon", True)
    assert found["threshold"] == ruled.registry.state().threshold("regional@1").fact.rule["values"]["yes"]


def test_a_decision_is_told_in_words(asked: dict[str, dict[str, Any]]) -> None:
    """`lockstep decide` says yes, no, the class or that a person decides, by which values, and of which segment."""
    told = {
        (name, word_of(found["decision"])): decision_line(name, found)
        for decisions in asked.values()
        for name, found in decisions.items()
    }
    assert re.fullmatch(
        r"  doubt: a person decides \(probability 0\.\d{4}, threshold yes 0\.\d{4}, no 0\.\d{4}; doubt@1, leaving@\d\)",
        told["doubt", "refer"],
    )
    assert told["plan_of", "basic"].startswith("  plan_of: basic (probability 0.")
    assert told["small", "yes"].startswith("  small: yes (value ")
    regions = [decision_line("regional", found["regional"]) for found in asked.values()]
    assert any(re.search(r"threshold 0\.\d{4} of all rows; regional@1", line) for line in regions)
    assert any(re.search(r"threshold 0\.\d{4} of north; regional@1", line) for line in regions)


@pytest.mark.parametrize(
    ("per", "message"),
    [
        ("age_group", 'per="age_group" is not among the columns of the cleaned rows (shopper, '),
        ("spend_per_visit", 'per="spend_per_visit" is a Float64 column; rows are parted by texts, ints or bools.'),
    ],
)
def test_a_column_that_clean_does_not_add_is_found_when_tuning(ruled: Shop, per: str, message: str) -> None:
    """What can't be told from the declaration is told before anything is recorded."""
    graph = Graph([replace(regional, per=per)])
    with pytest.raises(DataError) as caught:
        tune_threshold(ruled.registry, graph, "regional", ADA, model=ruled.registry.state().model("leaving@1"))
    assert str(caught.value).startswith(f'Threshold "regional": {message}')
