"""Versions, snapshots, drift and search, on registries whose files were really made."""

from typing import Any

import pytest

from lockstep.monitoring import Limits
from lockstep_airflow.ui.drift import LIMIT
from tests.ui.conftest import ADA, Site

pytestmark = [pytest.mark.airflow, pytest.mark.slow]


def test_versions_come_page_by_page(site: Site) -> None:
    """Versions come newest first, by node and stage, and a page leads to the next."""
    every = site.api("/groups/shop/versions")
    assert [one["ref"] for one in every["versions"]] == [
        "mail@2", "returning@2", "shoppers@2", "mail@1", "returning@1", "shoppers@1",
    ]  # fmt: skip
    assert (every["total"], every["next"]) == (6, None)
    first = site.api("/groups/shop/versions?limit=4")
    rest = site.api(f"/groups/shop/versions?limit=4&before={first['next']}")
    assert first["versions"] + rest["versions"] == every["versions"]
    assert rest["next"] is None
    staged = site.api("/groups/shop/versions?stage=production")
    assert [one["ref"] for one in staged["versions"]] == ["mail@1", "returning@1"]
    assert [one["ref"] for one in site.api("/groups/shop/versions?node=mail")["versions"]] == ["mail@2", "mail@1"]
    assert site.get("/api/groups/shop/versions?node=churn").status_code == 404
    for wrong in ("stage=prd", "limit=0", "limit=9999", "before=first"):
        assert site.get(f"/api/groups/shop/versions?{wrong}").status_code == 422


def test_a_model_version_tells_all(site: Site) -> None:
    """A model's page has metrics, parameters, source, job, what it was made of and into, and its releases."""
    page = site.api("/groups/shop/versions/returning@1")
    version = site.shop.registry.state().model("returning@1")
    assert page["figures"] == version.fact.metrics
    assert page["parameters"] == {"C": 0.5}
    assert page["source"]["sha256"] == version.fact.source
    job = page["said"]["job"]
    assert ADA.job is not None
    assert (job["dag_id"], job["run_id"], job["task_id"]) == (
        "shop_retrain", "manual__2026-03-01", "returning.train",
    )  # fmt: skip
    assert (job["log"], job["commit"], job["console"]) == (ADA.job.log, ADA.job.commit, None)
    assert [one["ref"] for one in page["made_from"]] == ["shoppers@1"]
    assert [one["ref"] for one in page["made_into"]] == ["mail@1"]
    assert [one["by"] for one in page["promotions"]] == ["ada"]
    assert [(one["did"], one["is_production"]) for one in page["releases"]] == [("released", True)]
    assert page["stage"] == "production"
    assert sum(page["rows"].values()) == version_rows(site, "shoppers@1")
    assert page["estimator"]["C"] == "0.5"
    assert page["manifest"]["digest" if "digest" in page["manifest"] else "recipe"]
    assert {one["path"].rpartition("/")[2] for one in page["files"]} >= {"model.skops"}
    assert page["onnx"]["used"] in (True, False)


def version_rows(site: Site, ref: str) -> int:
    """How many rows a snapshot has."""
    return site.shop.registry.state().snapshot(ref).fact.rows


def test_a_threshold_version_has_its_curves(site: Site) -> None:
    """A threshold's page has precision by recall on both splits, calibration, policy, value and interval."""
    page = site.api("/groups/shop/versions/mail@1")
    assert [(one["name"], one["x_label"], one["y_label"]) for one in page["curves"]] == [
        ("test", "recall", "precision"), ("validation", "recall", "precision"),
    ]  # fmt: skip
    for curve in page["curves"]:
        assert curve["x"] == sorted(curve["x"])
        assert len(curve["x"]) == len(curve["y"]) > 10
        assert all(0 <= value <= 1 for value in (*curve["x"], *curve["y"]))
    assert page["policy"] == "precision_at_least(0.5)"
    value = page["figures"]["value"]
    assert page["rule"] == f"{value:.4f}"
    assert page["interval"]["low"] <= value <= page["interval"]["high"]
    assert len(page["calibration"]["predicted"]) == len(page["calibration"]["observed"]) > 1


def test_a_snapshot_tells_of_each_column_what_may_be_told(site: Site) -> None:
    """A snapshot's page has quantiles and bins of numbers, the commonest words, and nothing of private columns."""
    page = site.api("/groups/shop/snapshots/shoppers@1")
    columns = {one["name"]: one for one in page["columns"]}
    spent = columns["spent"]
    assert spent["min"] < spent["quantiles"]["0.5"] < spent["max"]
    assert abs(spent["mean"] - 50) < 3
    assert abs(spent["std"] - 10) < 2
    assert abs(sum(spent["bins"]["counts"]) - page["rows"]) < 1
    assert abs(spent["bins"]["start"] + spent["bins"]["width"] * len(spent["bins"]["counts"]) - spent["max"]) < 1e-6
    assert set(columns["city"]["values"]) == {"Kyoto", "Basel", "Lagos"}
    assert sum(columns["city"]["values"].values()) == page["rows"]
    for hidden in ("email", "shopper"):
        assert (columns[hidden]["values"], columns[hidden]["quantiles"], columns[hidden]["min"]) == ({}, {}, None)
    assert columns["email"]["private"]
    assert (page["quarantined"], page["reasons"]) == (5, {'spent: "much" is not a float': 5})
    assert [row["_reason"] for row in page["quarantine"]] == ['spent: "much" is not a float'] * 5
    assert {row["shopper"] for row in page["quarantine"]} == {f"bad{number}" for number in range(5)}
    assert page["build"]["kind"] == "full"
    assert page["inputs"][0]["path"].endswith("month-1.csv")


@pytest.mark.parametrize(
    "path", ["snapshots/shoppers@1", "versions/shoppers@1", "data", "drift", "versions/returning@1"]
)
def test_no_value_of_a_private_column_leaves_the_registry(site: Site, path: str) -> None:
    """Neither profile nor quarantine, manifest or drift tells a value of a private column."""
    text = site.get(f"/api/groups/shop/{path}").text
    assert "mail.example" not in text
    assert "someone" not in text
    assert "leak" not in text


def test_drift_is_by_profiles_and_kept(site: Site) -> None:
    """Each newer snapshot is held against production's; the list of groups knows it a moment later."""
    page = site.api("/groups/shop/drift")
    assert (page["dataset"], page["reference"], page["limit"]) == ("shoppers", "shoppers@1", Limits().psi)
    (found,) = page["snapshots"]
    assert (found["ref"], found["drifted"]) == ("shoppers@2", True)
    columns = {one["name"]: one for one in found["columns"]}
    assert columns["spent"]["drifted"]
    assert columns["spent"]["psi"] > LIMIT
    assert not columns["visits"]["drifted"]
    assert columns["email"]["psi"] is None
    summary = site.soon("/groups", lambda all_: any(one["drift"] for one in all_["groups"]))
    (drift,) = [one["drift"] for one in summary["groups"] if one["name"] == "shop"]
    assert (drift["reference"], drift["current"], drift["drifted"]) == ("shoppers@1", "shoppers@2", True)
    assert drift["worst"]["column"] == "spent"
    assert site.api("/groups/shop/drift?reference=shoppers@2")["snapshots"] == []
    assert site.get("/api/groups/shop/drift?dataset=churn").status_code == 404
    assert site.get("/api/groups/shop/drift?reference=shoppers@9").status_code == 404


def test_data_says_what_production_was_trained_on(site: Site) -> None:
    """The page of the data has each dataset with its snapshots, newest first."""
    (dataset,) = site.api("/groups/shop/data")["datasets"]
    assert (dataset["reference"], dataset["deprecated"]) == ("shoppers@1", "use shoppers_v2")
    assert [one["ref"] for one in dataset["snapshots"]] == ["shoppers@2", "shoppers@1"]


def test_warnings_say_what_was_declared(site: Site) -> None:
    """Deprecated data and exclusive use are told of, with what to do."""
    found = [one for one in site.api("/warnings")["warnings"] if one["group"] == "shop"]
    assert {(one["kind"], one["node"]) for one in found} == {
        ("deprecated", "shoppers"), ("only_for", "returning"), ("stale", "returning"),
    }  # fmt: skip
    (deprecated,) = [one["says"] for one in found if one["kind"] == "deprecated"]
    assert deprecated == (
        "shoppers is deprecated: use shoppers_v2. After 2999-01-01, returning can't be promoted any more."
    )


def found(site: Site, query: str) -> list[tuple[str, str]]:
    """What a search finds first."""
    return [(one["what"], one["title"]) for one in site.api(f"/search?q={query}")["hits"]]


def test_search_finds_by_whatever_is_known(site: Site) -> None:
    """Names, refs, hashes and their beginnings, jobs, commits and files lead to what they belong to."""
    state = site.shop.registry.state()
    model, production = state.model("returning@1"), state.production("shop")
    assert production is not None
    assert ADA.job is not None
    assert found(site, "shop")[0] == ("group", "shop")
    assert ("node", "shoppers") in found(site, "shop")
    assert ("version", "returning@1") in found(site, "returning")
    assert found(site, "RETURNING@1") == [("version", "returning@1")]
    assert found(site, model.digest) == [("version", "returning@1")]
    assert found(site, model.digest[:6]) == [("version", "returning@1")]
    assert found(site, production.digest[:12]) == [("release", production.digest[:12])]
    assert ("job", f"{ADA.job.run}/{ADA.job.task}") in found(site, "manual__2026-03-01")
    assert found(site, f"{ADA.job.run}/{ADA.job.task}")[0][0] == "job"
    assert {what for what, _ in found(site, ADA.job.commit[:8])} == {"commit"}
    assert found(site, f"models/returning/{model.digest}/model.skops")[0][0] == "file"
    assert ("file", f"sources/{model.fact.source}.tar.gz") in found(site, model.fact.source)
    assert found(site, "") == []
    assert found(site, "no such thing") == []
    assert site.get("/api/search?q=" + "a" * 500).status_code == 422


def test_what_a_task_made_is_found_by_its_instance(site: Site) -> None:
    """A task instance of Airflow leads to its versions, and to what it moved."""
    made: dict[str, Any] = site.api(
        "/made?dag_id=shop_retrain&run_id=manual__2026-03-01&task_id=returning.train&map_index=-1"
    )
    assert made["group"] == "shop"
    assert {one["ref"] for one in made["versions"]} == {
        "shoppers@1", "returning@1", "mail@1", "shoppers@2", "returning@2", "mail@2",
    }  # fmt: skip
    assert [one["kind"] for one in made["events"]] == ["promoted", "released"]
    other = site.api("/made?dag_id=shop_retrain&run_id=manual__2026-03-01&task_id=returning.train&map_index=0")
    assert other == {"group": None, "versions": [], "events": []}
