"""Decisions equal those of a batch, bad rows are answered one by one, and a release is switched to whole."""

import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from lockstep import Api, Dataset, Graph, Model, Threshold, csv, fixed
from lockstep.data import read_snapshot, take_snapshot
from lockstep.data.sources import DATA_VARIABLE
from lockstep.decisions import tune_threshold
from lockstep.errors import ObjectDamaged, ObjectMissing, UsageError
from lockstep.registry import Registry, Release, files_of, read_manifest
from lockstep.release import promote, release, rollback
from lockstep.serving import Decider, NotReleased
from lockstep.training import load_model, train_model
from tests.training import shop
from tests.training.conftest import ADA, Shop

Row = dict[str, Any]
GROUP = shop.graph.group("shop")
THREADS = 4


def file_of(desk: Shop, name: str) -> Path:
    """Find the file of the newest version of a model on disk."""
    version = desk.registry.state().model(name)
    ref = files_of(version.fact.manifest, read_manifest(desk.registry.objects, version.fact.manifest))["model.skops"]
    return Path(urlsplit(desk.registry.uri).path) / ref.path


def versions_in(answer: Row) -> set[str]:
    """List every version that an answer names."""
    found = {entry["model"] for entry in [*answer["decisions"].values(), *answer["explanations"].values()]}
    return found | {entry["version"] for entry in answer["decisions"].values()}


def members_of(desk: Shop, release: Release) -> set[str]:
    """List every version of a release."""
    members = json.loads(desk.registry.objects.get(release.manifest))["members"]
    return {f"{member['name']}@{member['number']}" for member in members.values()}


@pytest.mark.parametrize("api", ["offers", "calls", "baskets"])
def test_answers_equal_batch_predictions_on_every_row_of_the_test_split(
    released: Shop, decider: Decider, shop_rows: list[Row], api: str
) -> None:
    """Raw rows that go through the decider get the scores and decisions that the processed rows get in one batch."""
    state = released.registry.state()
    test = read_snapshot(released.registry, released.snapshot, "test")
    keys = test["shopper"].to_list()
    raw = {row["shopper"]: row for row in shop_rows}
    answers = decider.decide(api, [raw[key] for key in keys])
    assert [answer["key"] for answer in answers] == keys
    for threshold in shop.graph.api(api).decides:
        version = state.threshold(threshold.name)
        model = shop.graph.model_of(threshold.name)
        scores = load_model(released.registry, state.model(model.name)).score(test, threshold.positive)
        said = [answer["decisions"][threshold.name] for answer in answers]
        word = "value" if model.name == "filling" else "probability"
        np.testing.assert_allclose([entry[word] for entry in said], scores, rtol=1e-12)
        assert [entry["decision"] for entry in said] == (scores >= version.fact.value).tolist()
        assert {(entry["version"], entry["model"], entry["threshold"]) for entry in said} == {
            (version.ref, state.model(model.name).ref, version.fact.value)
        }
    for model in shop.graph.api(api).explains:
        predictor = load_model(released.registry, state.model(model.name))
        scores = predictor.scores(test)
        said = [answer["explanations"][model.name] for answer in answers]
        if predictor.classes:
            assert [entry["prediction"] for entry in said] == [predictor.classes[i] for i in scores.argmax(axis=1)]
            given = [list(entry["probabilities"].values()) for entry in said]
            np.testing.assert_allclose(given, scores, rtol=1e-12)
            assert list(said[0]["probabilities"]) == [str(label) for label in predictor.classes]
        else:
            np.testing.assert_allclose([entry["prediction"] for entry in said], scores[:, 0], rtol=1e-12)


def test_one_row_alone_is_answered_as_among_others(decider: Decider, shop_rows: list[Row]) -> None:
    """What is decided for a row does not hang on the rows beside it."""
    some = [row for row in shop_rows if row["region"] != "staff"][:25]
    together = decider.decide("baskets", some)
    for row, among in zip(some, together, strict=True):
        (alone,) = decider.decide("baskets", [row])
        assert alone["key"] == among["key"]
        for name, entry in alone["decisions"].items():
            assert entry == pytest.approx(among["decisions"][name])


def test_an_answer_says_what_decided(decider: Decider, released: Shop, a_row: Row) -> None:
    """It names the release, the key, each threshold with its value and versions, and each explanation."""
    (answer,) = decider.decide("offers", [a_row])
    production = released.registry.state().production("shop")
    assert production is not None
    assert (answer["api"], answer["release"], answer["key"]) == ("offers", production.digest, "new")
    assert set(answer["decisions"]) == {"offer", "cheap"}
    assert set(answer["decisions"]["offer"]) == {"decision", "probability", "threshold", "version", "model"}
    assert set(answer["explanations"]) == {"planning", "filling"}
    assert "error" not in answer
    json.dumps(answer)


def test_typed_values_and_texts_are_the_same_to_it(decider: Decider, a_row: Row) -> None:
    """A number that came as text, and a bool that came as yes or no, give the same answer."""
    texts = {name: value if value is None else str(value) for name, value in a_row.items()} | {"buys": "no"}
    assert decider.decide("calls", [texts]) == decider.decide("calls", [a_row])


def test_labels_may_be_missing_or_blank(decider: Decider, a_row: Row) -> None:
    """The truth that is to be predicted is not asked for, and does not matter where it is given."""
    plain = decider.decide("calls", [a_row])
    assert "leaves" not in a_row
    assert decider.decide("calls", [a_row | {"leaves": None}]) == plain
    assert decider.decide("calls", [a_row | {"leaves": True}]) == plain


def test_a_label_that_is_a_feature_of_another_model_is_needed(decider: Decider, a_row: Row) -> None:
    """The plan is predicted by one model and learnt from by another, so it can't be left out."""
    del a_row["plan"]
    (answer,) = decider.decide("calls", [a_row])
    assert answer["error"] == (
        "columns plan are missing; needed are shopper, age, visits, spend, region, secret, plan, buys"
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"age": "old"}, 'age: "old" is not an int'),
        ({"age": 44.5}, 'age: "44.5" is not an int'),
        ({"age": None}, "age: blank, an int is needed"),
        ({"spend": "  "}, "spend: blank, a float is needed"),
        ({"spend": float("nan")}, 'spend: "NaN" is not a float'),
        ({"rating": "good", "buys": "maybe"}, 'rating: "good" is not an int; buys: "maybe" is not a bool'),
        ({"region": "staff"}, "left out by clean"),
        ({"shopper": " "}, "shopper: blank, a text is needed"),
        ({"age": [44]}, 'age: "[44]" is not an int'),
    ],
)
def test_a_bad_row_is_answered_with_its_reason_and_harms_no_other(
    decider: Decider, a_row: Row, change: Row, reason: str
) -> None:
    """The rows around it are answered as if it were not there."""
    first, bad, last = decider.decide("calls", [a_row, a_row | change, a_row | {"shopper": "other"}])
    assert bad.pop("error").startswith(reason)
    assert set(bad) == {"api", "release"}
    assert (first["key"], last["key"]) == ("new", "other")
    assert first["decisions"] == last["decisions"] == decider.decide("calls", [a_row])[0]["decisions"]


@pytest.mark.parametrize("change", [{"age": None}, {"region": "staff"}], ids=["bad", "left out"])
def test_where_no_row_can_be_used_each_has_its_reason(decider: Decider, a_row: Row, change: Row) -> None:
    """A request of bad rows only is answered, row by row."""
    answers = decider.decide("offers", [a_row | change, {}])
    assert all("decisions" not in answer for answer in answers)
    assert answers[1]["error"].startswith("columns age, visits, spend, region, secret, ")


def test_rows_with_one_key_are_answered_each(decider: Decider, a_row: Row) -> None:
    """Two rows with one key are two questions, whatever their content."""
    rows = [a_row, a_row | {"visits": 30}, a_row, a_row | {"age": "old"}, a_row | {"visits": 30}]
    answers = decider.decide("calls", rows)
    alone = [decider.decide("calls", [row])[0] for row in rows]
    for answer, expected in zip(answers, alone, strict=True):
        assert answer.get("error") == expected.get("error")
        if "error" not in answer:
            assert answer["key"] == "new"
            assert answer["decisions"]["call"] == pytest.approx(expected["decisions"]["call"])


def test_rows_without_a_key_are_known_by_their_place(decider: Decider, a_row: Row) -> None:
    """A key is not needed, and a made-up one stays apart from one that is given."""
    del a_row["shopper"]
    answers = decider.decide("calls", [a_row, a_row | {"shopper": "row 0"}, a_row | {"shopper": None}])
    assert [answer["key"] for answer in answers] == ["row 0", "row 0", "row 2"]


def test_an_unknown_api_is_refused(decider: Decider, a_row: Row) -> None:
    """The message names the APIs there are."""
    with pytest.raises(UsageError) as caught:
        decider.decide("offer", [a_row])
    assert str(caught.value) == 'There is no API "offer"; there are baskets, calls, offers.'


def test_an_api_that_the_release_does_not_have_is_refused(released: Shop, a_row: Row) -> None:
    """An API that was declared after the release waits for the next one."""
    late = Api("late", decides=[shop.call])
    graph = Graph([shop.offers, shop.calls, shop.baskets, late], name="shop")
    decider = Decider(released.registry, [graph])
    decider.refresh()
    with pytest.raises(UsageError, match='of group "shop", which has baskets, calls, offers'):
        decider.decide("late", [a_row])


def test_before_a_release_there_is_nothing_to_answer_from(desk: Shop, a_row: Row) -> None:
    """Candidates and staging don't answer; the error says how to see what is missing."""
    decider = Decider(desk.registry, [shop.graph])
    decider.refresh()
    with pytest.raises(NotReleased) as caught:
        decider.decide("offers", [a_row])
    assert str(caught.value) == (
        'API "offers": group "shop" has no release yet. Promote its members; `lockstep gate shop` says what is missing.'
    )


def test_a_new_release_answers_after_a_refresh(released: Shop, decider: Decider, a_row: Row) -> None:
    """Until the registry is looked at again the old release answers, then the new one, and after a rollback the old."""
    old = released.registry.state().production("shop")
    assert old is not None
    new = released.release("second")
    assert decider.decide("calls", [a_row])[0]["release"] == old.digest
    decider.refresh()
    assert decider.decide("calls", [a_row])[0]["release"] == new.digest != old.digest
    assert versions_in(decider.decide("baskets", [a_row])[0]) <= members_of(released, new)
    rollback(released.registry, GROUP, ADA)
    decider.refresh()
    assert decider.decide("calls", [a_row])[0]["release"] == old.digest


def test_it_switches_whole_while_threads_ask(released: Shop, decider: Decider, a_row: Row) -> None:
    """While releases change under four threads, all versions of each answer belong to the release that it names."""
    old = released.registry.state().production("shop")
    assert old is not None
    stop = threading.Event()
    answers: list[list[Row]] = [[] for _ in range(THREADS)]
    failures: list[BaseException] = []

    def ask(found: list[Row]) -> None:
        try:
            while not stop.is_set():
                found.extend(decider.decide("offers", [a_row, a_row | {"shopper": "b"}]))
                found.extend(decider.decide("baskets", [a_row]))
        except BaseException as error:  # noqa: BLE001  it is shown by the test itself
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(found,)) for found in answers]
    for thread in threads:
        thread.start()
    new = released.release("second")
    for _ in range(3):
        decider.refresh()
        rollback(released.registry, GROUP, ADA, to=old.digest[:12])
        decider.refresh()
        rollback(released.registry, GROUP, ADA, to=new.digest[:12])
    decider.refresh()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    members = {release.digest: members_of(released, release) for release in (old, new)}
    assert not members[old.digest] & members[new.digest]
    every = [answer for found in answers for answer in found]
    assert all(versions_in(answer) <= members[answer["release"]] for answer in every)
    assert {answer["release"] for answer in every} <= set(members)
    assert len(every) >= 3 * THREADS


def test_a_damaged_release_leaves_the_old_one_answering(released: Shop, decider: Decider, a_row: Row) -> None:
    """The reason is kept until a load succeeds."""
    old = dict(decider.releases)
    new = released.release("second")
    path = file_of(released, "filling")
    intact = path.read_bytes()
    path.write_bytes(intact[:-1] + b"?")
    for _ in range(2):
        with pytest.raises(ObjectDamaged):
            decider.refresh()
        assert dict(decider.releases) == old
        assert "its SHA-256 is" in decider.errors["shop"]
        assert decider.decide("offers", [a_row])[0]["release"] == old["shop"].release
    path.write_bytes(intact)
    decider.refresh()
    assert decider.errors == {}
    assert decider.decide("offers", [a_row])[0]["release"] == new.digest


def test_going_back_from_a_damaged_release_clears_the_error(released: Shop, decider: Decider) -> None:
    """Once production is what answers, nothing is wrong any more."""
    released.release("second")
    file_of(released, "filling").unlink()
    with pytest.raises(ObjectMissing):
        decider.refresh()
    rollback(released.registry, GROUP, ADA)
    decider.refresh()
    assert decider.errors == {}


def test_declarations_that_lack_a_released_model_are_refused(released: Shop) -> None:
    """A process with older declarations says so, rather than answering in part."""
    graph = Graph([Api("calls", decides=[shop.call])], name="shop")
    with pytest.raises(UsageError, match='There is no model "advising" in the graph'):
        Decider(Registry.open(released.registry.uri), [graph]).refresh()


def test_a_number_as_key_may_be_missing_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the key is a number, a row without one is known by the number of its place."""
    orders = Dataset(
        "orders", source=csv("orders.csv"), key="number", columns={"number": int, "size": float, "late": bool}
    )
    lateness = Model("lateness", data=orders, target="late", estimator=shop.classifier)
    warn = Threshold("warn", model=lateness, choose=fixed(0.5))
    graph = Graph([Api("warnings", decides=[warn])])
    lines = [f"{number},{number % 17},{number % 17 > 8}" for number in range(80)]
    (tmp_path / "orders.csv").write_text("\n".join(["number,size,late", *lines]) + "\n", encoding="utf-8")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    registry = Registry.open(str(tmp_path / "registry"))
    version = train_model(
        registry, graph, "lateness", ADA, snapshot=take_snapshot(registry, orders, ADA), upstream={}
    ).version
    tune_threshold(registry, graph, "warn", ADA, model=version)
    promote(registry, graph.group("lateness"), "lateness", ADA)
    release(registry, graph.group("lateness"), ADA)
    decider = Decider(registry, [graph])
    decider.refresh()
    answers = decider.decide("warnings", [{"size": 16.0}, {"size": 1, "number": 0}, {"size": 2.0, "number": "x"}])
    assert [answer.get("key") for answer in answers] == [0, 0, None]
    assert [answer["decisions"]["warn"]["decision"] for answer in answers[:2]] == [True, False]
    assert answers[2]["error"] == 'number: "x" is not an int'
