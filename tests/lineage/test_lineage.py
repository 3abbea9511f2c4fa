"""From a version to all that made it, and from there back to versions."""

from dataclasses import asdict
from uuid import uuid4

import pytest

from lockstep.errors import UsageError
from lockstep.registry import Fact, Job, Origin, Promoted, Registry, State
from lockstep.registry.lineage import describe, find, key_of, lineage, versions
from lockstep.release import rollback
from tests.registry.conftest import Facts
from tests.training import shop
from tests.training.conftest import ADA, Shop, job


def refs(found: list[dict[str, str]]) -> list[str]:
    """List the versions that stand in a lineage."""
    return [item["version"] for item in found]


def test_every_version_is_found_by_its_name_and_number(released: Shop) -> None:
    """What `versions` lists, `find` finds; a name alone is the newest."""
    state = released.registry.state()
    every = list(versions(state))
    assert {version.ref for version in every} == {
        "shoppers@1",
        *(f"{name}@1" for name in ("leaving", "planning", "filling", "buying", "advising")),
        *(f"{name}@1" for name in ("offer", "call", "cheap", "gold", "large", "huge")),
    }
    assert [find(state, version.ref) for version in every] == every
    assert find(state, "offer") is every[[version.ref for version in every].index("offer@1")]


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("nobody", 'There is no version of "nobody" in the registry; it has advising, buying, call, '),
        ("leaving@2", 'There is no model version "leaving@2"; "leaving" has versions leaving@1 to leaving@1.'),
        ("offer@0", 'There is no threshold version "offer@0"'),
        ("shoppers@x", 'There is no snapshot "shoppers@x"'),
    ],
)
def test_what_is_not_there_is_an_error_that_says_what_is(released: Shop, ref: str, message: str) -> None:
    """An unknown name and an unknown number are told apart."""
    with pytest.raises(UsageError) as caught:
        find(released.registry.state(), ref)
    assert str(caught.value).startswith(message)


def test_an_empty_registry_has_nothing_to_find() -> None:
    """The error says that there is none."""
    with pytest.raises(UsageError, match=r'There is no version of "churn" in the registry; it has none\.'):
        find(State(), "churn")


def test_a_model_leads_to_its_data_upstream_job_source_and_parameters(released: Shop) -> None:
    """Everything that made a version stands in one look-up."""
    state = released.registry.state()
    version = state.model("buying")
    found = lineage(state, version)
    assert sorted(refs(found["made_from"])) == ["filling@1", "leaving@1", "planning@1", "shoppers@1"]
    assert found["job"] == asdict(job("first").job)  # type: ignore[call-overload]
    assert (found["by"], found["stage"], found["kind"]) == ("ada", "production", "model")
    assert (found["parameters"], found["source"]) == ({}, version.fact.source)
    assert found["metrics"] == version.fact.metrics
    assert found["manifest"] == version.fact.manifest.path
    assert found["entry"] == version.recorded.number


def test_data_and_models_lead_to_what_was_made_of_them(released: Shop) -> None:
    """The other way round, a snapshot names its models, and a model its thresholds and the models built on it."""
    state = released.registry.state()
    snapshot = lineage(state, state.snapshot("shoppers"))
    assert sorted(refs(snapshot["made_into"])) == ["advising@1", "buying@1", "filling@1", "leaving@1", "planning@1"]
    assert (snapshot["made_from"], snapshot["stage"]) == ([], None)
    leaving = lineage(state, state.model("leaving"))
    assert sorted(refs(leaving["made_into"])) == ["advising@1", "buying@1", "call@1", "cheap@1", "offer@1"]
    offer = lineage(state, state.threshold("offer"))
    assert refs(offer["made_from"]) == ["leaving@1"]
    assert (offer["made_into"], offer["value"]) == ([], state.threshold("offer").fact.value)


def test_a_version_names_every_release_that_it_was_in(released: Shop) -> None:
    """A release that came back by rollback counts again, and each says who moved it."""
    registry = released.registry
    first = registry.state().production("shop")
    second = released.release("second")
    rollback(registry, shop.graph.group("shop"), ADA)
    state = registry.state()
    assert first is not None
    old = lineage(state, state.model("leaving@1"))
    assert [item["release"] for item in old["releases"]] == [first.digest, first.digest]
    assert old["stage"] == "production"
    new = lineage(state, state.threshold("offer@2"))
    assert [item["did"] for item in old["releases"]] == ["released", "rolled_back"]
    assert new["releases"] == [
        {
            "group": "shop",
            "release": second.digest,
            "did": "released",
            "entry": second.recorded.number,
            "at": second.recorded.at.isoformat(timespec="seconds"),
            "by": "ada",
            "why": "a test",
            "job": None,
        }
    ]
    snapshot = lineage(state, state.snapshot("shoppers"))
    assert key_of(state.snapshot("shoppers")) is None
    assert [item["release"] for item in snapshot["releases"]] == [first.digest, second.digest, first.digest]


def test_a_description_says_what_is_known_of_each_kind(released: Shop) -> None:
    """Snapshots have rows, models metrics, thresholds a value; nothing is read from files."""
    state = released.registry.state()
    snapshot, model, threshold = (find(state, name) for name in ("shoppers", "filling", "huge"))
    shared = {"version", "kind", "digest", "stage", "entry", "at", "by", "why", "job", "manifest", "removed"}
    assert set(describe(state, snapshot)) - shared == {"rows", "quarantined"}
    assert set(describe(state, model)) - shared == {"parameters", "source", "metrics", "missed"}
    assert set(describe(state, threshold)) - shared == {"value"}
    assert describe(state, threshold)["why"] == "a test"
    assert describe(state, threshold)["job"] is None


@pytest.fixture
def two_months() -> State:
    """Record by hand, in memory: in each of two months a snapshot, churn with a threshold, and reasons built on it."""
    registry = Registry.open(f"memory://{uuid4().hex}")
    facts = Facts(registry.objects)

    def record(fact: Fact, run: str, task: str) -> None:
        job = Job(system="airflow", run=run, task=task, attempt=2, log=f"logs/{run}/{task}.log", commit="c0ffee")
        registry.record(lambda _: fact, Origin(by="ada", why=f"do {task}", job=job))

    for month in ("january", "february"):
        run = f"churn_retrain/manual__{month}"
        snapshot = facts.snapshot("customers", month)
        churn = facts.model("churn", snapshot, missed=("roc_auc is low",) if month == "february" else ())
        reason = facts.model("churn_reason", snapshot, upstream={"churn": churn.digest})
        offer = facts.threshold("offer", churn, value=0.25)
        for fact, task in ((snapshot, "snapshot"), (churn, "train"), (offer, "tune"), (reason, "train_reason")):
            record(fact, run, task)
        record(Promoted(group="churn", members={"model:churn": churn.digest}), f"churn_promote/{month}", "promote")
    return registry.state()


def test_each_version_keeps_to_its_own_month(two_months: State) -> None:
    """What was made of a version is told apart from what was made of another version of the same name."""
    for number in (1, 2):
        at = f"@{number}"
        snapshot = lineage(two_months, find(two_months, f"customers{at}"))
        assert sorted(refs(snapshot["made_into"])) == [f"churn{at}", f"churn_reason{at}"]
        churn = lineage(two_months, find(two_months, f"churn{at}"))
        assert refs(churn["made_from"]) == [f"customers{at}"]
        assert sorted(refs(churn["made_into"])) == [f"churn_reason{at}", f"offer{at}"]
        reason = lineage(two_months, find(two_months, f"churn_reason{at}"))
        assert refs(reason["made_from"]) == [f"customers{at}", f"churn{at}"]
    assert find(two_months, "churn").ref == "churn@2"


def test_a_whole_description(two_months: State) -> None:
    """A model version's own facts and its job, with the log to read, are all there."""
    version = two_months.model("churn@2")
    assert describe(two_months, version) == {
        "version": "churn@2",
        "kind": "model",
        "digest": version.digest,
        "stage": "staging",
        "entry": 7,
        "at": version.recorded.at.isoformat(timespec="seconds"),
        "by": "ada",
        "why": "do train",
        "job": {
            "system": "airflow",
            "run": "churn_retrain/manual__february",
            "task": "train",
            "attempt": 2,
            "log": "logs/churn_retrain/manual__february/train.log",
            "commit": "c0ffee",
        },
        "manifest": f"models/churn/{version.digest}/manifest.json",
        "removed": None,
        "parameters": {"depth": 3, "names": ["a", "b"]},
        "source": version.fact.source,
        "metrics": {"roc_auc": 0.84, "brier": None},
        "missed": ["roc_auc is low"],
    }
    stages = {ref: describe(two_months, find(two_months, ref))["stage"] for ref in ("churn@1", "offer@2", "customers")}
    assert stages == {"churn@1": "archived", "offer@2": "candidate", "customers": None}
