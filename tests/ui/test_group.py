"""The pages of groups: what blocks the gate is said where it does, and what happens is seen soon."""

import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from lockstep.registry import Promoted, model_key, threshold_key
from lockstep.release import approve, compose, digest_of_release, hold, reject, release, resume, rollback
from tests.release.conftest import ADA, TODAY
from tests.ui.conftest import LIVE, Site

pytestmark = [pytest.mark.airflow, pytest.mark.slow]


def node(page: dict, name: str) -> dict:
    """A node of the graph."""
    return next(one for one in page["nodes"] if one["name"] == name)


def edge(page: dict, start: str, end: str) -> dict:
    """An edge of the graph."""
    return next(one for one in page["edges"] if (one["from"], one["to"]) == (start, end))


def test_the_graph_is_the_declared_one(site: Site) -> None:
    """Nodes stand after those they use, with what was declared of them; arrows say of which kind they are."""
    page = site.api("/groups/churn")
    assert [(one["name"], one["kind"]) for one in page["nodes"]][:2] == [("customers", "dataset"), ("churn", "model")]
    assert {(one["from"], one["to"], one["kind"]) for one in page["edges"]} == {
        ("customers", "churn", "data"),
        ("customers", "churn_reason", "data"),
        ("churn", "churn_reason", "builds_on"),
        ("churn", "retention_offer", "score"),
        ("churn", "priority_call", "score"),
        ("retention_offer", "offers", "decides"),
        ("churn_reason", "offers", "explains"),
        ("priority_call", "calls", "decides"),
    }
    assert node(page, "retention_offer")["description"] == "precision_at_least(0.65)"
    assert set(node(page, "churn")["consumers"]) == {one["name"] for one in page["nodes"]} - {"customers", "churn"}
    assert page["approval"]
    assert site.api("/groups/shop")["retrain_when"] == "any_of(age(days=30), age(days=60))"


def test_a_group_of_300_nodes_comes_whole_out_of_the_database(site: Site) -> None:
    """What was declared of 300 nodes went through Airflow's serialization, and is all there."""
    page = site.api("/groups/wide")
    assert len(page["nodes"]) == 300
    assert len(page["edges"]) == 302
    assert len(node(page, "wide_rows")["consumers"]) == 299


def test_what_is_promoted_is_seen_and_what_it_blocks_is_drawn_there(site: Site) -> None:
    """After a promotion the page shows soon which edge is out of step, with the sentence of the verdict."""
    desk = site.desk
    before = site.get("/api/groups/churn")
    desk.tuned_churn(desk.snapshot("february"), "second")
    desk.promote("churn@2")
    page = site.soon("/groups/churn", lambda found: found["verdict"]["status"] == "closed")
    changed = site.get("/api/groups/churn", headers={"If-None-Match": before.headers["etag"]})
    assert changed.status_code == 200
    built = "churn_reason@1 was built on churn@1, but churn@2 is in staging; retrain and promote churn_reason"
    trained = "churn_reason@1 was trained on customers@1, but churn@2 on customers@2; retrain and promote churn_reason"
    assert edge(page, "churn", "churn_reason")["blocks"] == [built]
    assert edge(page, "customers", "churn_reason")["blocks"] == [trained]
    assert node(page, "churn_reason")["blocks"] == [built, trained]
    assert [one["blocks"] for one in page["edges"] if one["blocks"]] == [[trained], [built]]
    assert node(page, "churn_reason")["stale"] == [
        "a newer snapshot, customers@2, is there; it was trained on customers@1"
    ]
    assert node(page, "churn")["staging"]["ref"] == "churn@2"
    assert node(page, "customers")["staging"]["ref"] == "customers@2"
    assert page["staging_set"] is None
    (found,) = [one for one in site.api("/groups")["groups"] if one["name"] == "churn"]
    assert found["gate"] == {"status": "closed", "reasons": [built, trained], "blocked": 2}
    assert "churn" in site.api("/summary")["out_of_step"]


def test_a_threshold_for_another_version_blocks_the_edge_from_its_model(site: Site) -> None:
    """Where a threshold was tuned for another version of its model, the edge between them is blocked."""
    desk = site.desk
    state = desk.registry.state()
    members = {model_key("churn"): state.model("churn@1").digest}
    desk.record(Promoted(group="churn", members=members))
    page = site.soon("/groups/churn", lambda found: bool(node(found, "retention_offer")["blocks"]))
    assert len(edge(page, "churn", "retention_offer")["blocks"]) == 1
    assert "was tuned for churn@2, but churn@1 is in staging" in edge(page, "churn", "retention_offer")["blocks"][0]
    tuned = {threshold_key(name): state.threshold(f"{name}@1").digest for name in ("retention_offer", "priority_call")}
    desk.record(Promoted(group="churn", members=tuned))
    page = site.soon("/groups/churn", lambda found: found["verdict"]["status"] == "open")
    assert page["staging_set"] == digest_of_release(compose(desk.group, desk.registry.state()))
    assert node(page, "churn")["candidate"] is None


def test_candidates_are_those_that_were_never_promoted(site: Site) -> None:
    """The newest version that was never promoted is a node's candidate, if it is newer than what is in staging."""
    site.desk.churn(site.desk.snapshot("march"), "third", missed=("roc_auc is 0.6, at least 0.8 was expected",))
    page = site.soon("/groups/churn", lambda found: node(found, "churn")["versions"] == 3)
    assert node(page, "churn")["candidate"]["ref"] == "churn@3"
    assert node(page, "churn")["candidate"]["missed"] == ["roc_auc is 0.6, at least 0.8 was expected"]
    says = [(one["kind"], one["node"], one["is_error"]) for one in page["warnings"]]
    assert ("missed", "churn", True) in says
    assert ("stale", "churn_reason", False) in says


def test_release_rollback_and_words_are_the_history(site: Site) -> None:
    """Each thing that was done is an event, newest first, with who and why; a page of them leads to the next."""
    desk = site.desk
    digest = digest_of_release(compose(desk.group, desk.registry.state()))
    approve(desk.registry, desk.group, ADA, digest=digest)
    first = release(desk.registry, desk.group, ADA)
    desk.tune("priority_call", desk.registry.state().model("churn@1").fact, 0.4)
    desk.promote("priority_call@3")
    second = release(desk.registry, desk.group, ADA)
    rollback(desk.registry, desk.group, ADA)
    page = site.soon("/groups/churn", lambda found: found["hold"] is not None)
    assert page["production"]["digest"] == first.digest
    assert page["production"]["previous"] is None
    assert "churn" in site.api("/summary")["on_hold"]
    history = site.api("/groups/churn/history")
    assert [one["kind"] for one in history["events"]][:5] == [
        "rolled_back", "released", "promoted", "released", "approved",
    ]  # fmt: skip
    back, newer = history["events"][:2]
    assert (back["digest"], back["left"], back["is_production"]) == (first.digest, second.digest, True)
    assert (newer["digest"], newer["can_go_back"], newer["has_diff"]) == (second.digest, True, False)
    assert history["events"][4]["members"]["churn"] == "churn@1"
    assert history["events"][4]["said"]["why"] == ADA.why
    resume(desk.registry, desk.group, ADA)
    hold(desk.registry, desk.group, ADA)
    reject(desk.registry, desk.group, ADA, digest=second.digest)
    kinds = site.soon("/groups/churn/history", lambda found: found["total"] == history["total"] + 3)
    assert [one["kind"] for one in kinds["events"]][:3] == ["rejected", "held", "resumed"]
    pages, seen = site.api("/groups/churn/history?limit=2"), []
    while True:
        seen += pages["events"]
        if pages["next"] is None:
            break
        pages = site.api(f"/groups/churn/history?limit=2&before={pages['next']}")
    assert seen == kinds["events"]
    assert [one["kind"] for one in site.api("/groups/churn/history?kind=held")["events"]] == ["held"]
    moves = site.api("/groups/churn/history?kind=released&kind=rolled_back")
    assert [one["kind"] for one in moves["events"]] == ["rolled_back", "released", "released"]


def test_who_is_asked_and_who_may_answer(site: Site) -> None:
    """A question of the release DAG is shown with its set; who is assigned, and may by the role, can answer it."""
    digest = "ab" * 32
    site.server.do("start", dag_id="churn_release", run_id="asks")
    body = f"**flips** 3\n\nSet `{digest}` in the place of release `{'cd' * 32}` of entry 3: churn@1."
    site.server.do(
        "ask", dag_id="churn_release", run_id="asks", task_id="approve", subject="Release churn?", body=body,
        assigned=["bob", "admin", "vic"],
    )  # fmt: skip
    page = site.soon("/groups/churn", lambda found: found["waiting"] is not None)
    assert page["waiting"]["set"] == digest
    assert (page["waiting"]["run_id"], page["waiting"]["task_id"], page["waiting"]["map_index"]) == (
        "asks", "approve", -1,
    )  # fmt: skip
    assert page["waiting"]["body"] == body
    assert page["dags"]["release"]["running"]["run_id"] == "asks"
    may = {user: site.api("/groups/churn", user)["waiting"] for user in ("admin", "bob", "olga", "vic")}
    assert {user: one["may_answer"] for user, one in may.items()} == {
        "admin": True, "bob": True, "olga": False, "vic": False,
    }  # fmt: skip
    assert may["olga"]["reason"] == "Only admin, bob, vic may answer."
    assert may["vic"]["reason"].startswith("You may not answer for churn_release.")
    path = "/api/v2/dags/churn_release/dagRuns/asks/taskInstances/approve/-1/hitlDetails"
    word = {"chosen_options": ["Approve"], "params_input": {"why": "fine"}}
    for user, status in (("vic", 403), ("olga", 403), ("bob", 200)):
        assert site.server.client(user).patch(path, json=word).status_code == status, user
    site.soon("/groups/churn", lambda found: found["waiting"] is None)
    site.server.do("end", dag_id="churn_release", run_id="asks")
    site.soon("/groups/churn", lambda found: found["dags"]["release"]["running"] is None)


def test_whoever_may_edit_answers_where_nobody_is_assigned(site: Site) -> None:
    """Airflow asks for the right to edit required actions, and for nothing else."""
    site.server.do("start", dag_id="churn_release", run_id="open")
    site.server.do(
        "ask", dag_id="churn_release", run_id="open", task_id="approve", subject="?", body="Set", assigned=[]
    )
    path = "/api/v2/dags/churn_release/dagRuns/open/taskInstances/approve/-1/hitlDetails"
    for user, status in (("vic", 403), ("olga", 200)):
        answer = site.server.client(user).patch(path, json={"chosen_options": ["Approve"], "params_input": {}})
        assert answer.status_code == status, user
    site.server.do("end", dag_id="churn_release", run_id="open")


def test_due_is_what_was_said_since_the_last_release(site: Site) -> None:
    """The newest event of the watch says that retraining is due, unless production was released since."""
    early, late = (TODAY - timedelta(days=1), site.shop.registry.now() + timedelta(seconds=1))
    site.server.do("due", group="shop", says="spent has drifted", at=early.isoformat())
    (group,) = [one for one in site.api("/groups")["groups"] if one["name"] == "shop"]
    assert group["due"] is None
    site.server.do("due", group="shop", says="email has drifted", at=late.isoformat())
    found = site.soon("/groups", lambda all_: any(one["due"] for one in all_["groups"]))
    (group,) = [one for one in found["groups"] if one["name"] == "shop"]
    assert group["due"]["says"] == "email has drifted"
    assert site.api("/summary")["due"] == ["shop"]


def test_a_group_whose_file_is_gone_is_gone(site: Site) -> None:
    """A DAG that Airflow no longer finds takes its group along, and brings it back."""
    site.server.do("vanish", dag_id="shop_release", gone=True)
    site.soon("/groups", lambda found: "shop" not in {one["name"] for one in found["groups"]})
    assert site.get("/api/groups/shop").status_code == 404
    site.server.do("vanish", dag_id="shop_release", gone=False)
    site.soon("/groups", lambda found: "shop" in {one["name"] for one in found["groups"]})


def test_a_registry_that_nobody_names_is_a_sentence(site: Site) -> None:
    """Half-configured is no error: the group is shown, with what is missing and the next step."""
    page = site.api("/groups/nowhere")
    assert page["problem"].startswith("No registry is named. Set LOCKSTEP_REGISTRY")
    assert (page["verdict"], page["production"], page["head"]) == (None, None, 0)
    assert len(page["nodes"]) == 7
    assert site.get("/api/groups/nowhere/versions").status_code == 503
    assert site.get("/api/groups/nowhere/versions").json()["detail"] == page["problem"]
    assert site.api("/groups")["problem"] is None
    for path in ("/summary", "/warnings", "/search?q=nowhere"):
        assert page["problem"] in site.api(path)["problems"]


def test_a_registry_that_is_away_holds_nobody_up(site: Site) -> None:
    """A registry that does not answer is a sentence in its own group's line; the others are there at once."""
    site.api("/groups")
    began = time.monotonic()
    groups = {one["name"]: one for one in site.api("/groups")["groups"]}
    assert time.monotonic() - began < LIVE
    assert groups["away"]["problem"]
    assert "gs://nobody-is-here/registry" in groups["away"]["problem"]
    assert groups["away"]["gate"] is None
    assert groups["churn"]["problem"] is None
    page = site.api("/groups/away")
    assert page["registry"] == "gs://nobody-is-here/registry"
    assert len(page["nodes"]) == 7


def test_what_was_known_last_stays_while_a_registry_can_not_be_read(site: Site) -> None:
    """Where the log is damaged the page shows what was known, with the sentence; and goes on when it is mended."""
    known = site.api("/groups/churn")
    bad = Path(unquote(urlsplit(site.desk.registry.uri).path)) / "log" / f"{known['head'] + 1:020d}.json"
    bad.write_text("no entry")
    page = site.soon("/groups/churn", lambda found: found["problem"] is not None)
    assert f"Log entry {known['head'] + 1} can't be read" in page["problem"]
    assert (page["head"], page["nodes"]) == (known["head"], known["nodes"])
    bad.unlink()
    site.soon("/groups/churn", lambda found: found["problem"] is None)


def test_a_registry_whose_folder_vanishes_is_not_taken_for_an_empty_one(site: Site) -> None:
    """Where the folder is gone the page shows what was known, with the sentence; and goes on when it is back."""
    known = site.api("/groups/churn")
    folder = Path(unquote(urlsplit(site.desk.registry.uri).path))
    elsewhere = folder.rename(folder.with_name("not mounted"))
    page = site.soon("/groups/churn", lambda found: "not mounted, or was" in (found["problem"] or ""), within=8)
    assert f"had {known['head']} entries, and has 0 now" in page["problem"]
    assert (page["head"], page["nodes"]) == (known["head"], known["nodes"])
    if folder.exists():
        folder.rmdir()
    elsewhere.rename(folder)
    site.soon("/groups/churn", lambda found: found["problem"] is None)
