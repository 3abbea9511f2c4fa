"""Who may see and do what: every route asks, by Airflow's own rules, for each group."""

import pytest

from tests.ui.conftest import Site

pytestmark = [pytest.mark.airflow, pytest.mark.slow]
PATHS = [
    "/api/groups",
    "/api/groups/churn",
    "/api/groups/churn/versions",
    "/api/groups/churn/versions/churn@1",
    "/api/groups/churn/history",
    "/api/groups/churn/diffs/" + "0" * 64,
    "/api/groups/churn/data",
    "/api/groups/churn/snapshots/customers@1",
    "/api/groups/churn/drift",
    "/api/warnings",
    "/api/search?q=churn",
    "/api/made?dag_id=a&run_id=b&task_id=c",
    "/api/find/churn@1",
    "/api/summary",
    "/ui/main.js",
    "/versions/churn@1",
]


def test_every_route_asks_who_asks(site: Site) -> None:
    """Each route of the mounted app depends on the logged-in user, is a GET, and is among those that tests ask for."""
    routes = site.server.do("routes")
    for path, methods, asks in routes:
        assert asks, path
        assert methods == ["GET"], path
    assert len(routes) == len(PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_nobody_gets_anything_without_a_login(site: Site, path: str) -> None:
    """Without a login each route is 401, and tells nothing."""
    answer = site.get(path, user="")
    assert answer.status_code == 401
    assert set(answer.json()) == {"detail"}
    assert "churn" not in answer.text


def test_a_forged_token_is_refused(site: Site) -> None:
    """A token that Airflow has not signed opens nothing."""
    answer = site.get("/api/groups", user="", headers={"Authorization": "Bearer not.a.token"})
    assert answer.status_code in (401, 403)


@pytest.mark.parametrize("user", ["admin", "olga"])
def test_whoever_may_read_a_dag_sees_its_group(site: Site, user: str) -> None:
    """Users who may read all release DAGs see all groups."""
    names = [group["name"] for group in site.api("/groups", user)["groups"]]
    assert names == ["away", "churn", "nowhere", "secret", "shop", "wide"]
    assert site.get("/api/groups/secret", user).status_code == 200


@pytest.mark.parametrize("user", ["vic", "bob"])
@pytest.mark.parametrize(
    "path",
    [
        "",
        "/versions",
        "/versions/secret_model@1",
        "/history",
        "/data",
        "/snapshots/secret_rows@1",
        "/drift",
        "/diffs/ab",
    ],
)
def test_of_a_group_that_may_not_be_read_no_route_is_there(site: Site, user: str, path: str) -> None:
    """Such a group is answered like one that there is none of, by each of its routes."""
    answer, other = (site.get(f"/api/groups/{name}{path}", user) for name in ("secret", "absent"))
    assert (answer.status_code, other.status_code) == (404, 404)
    assert answer.json()["detail"].replace("secret", "absent") == other.json()["detail"]


@pytest.mark.parametrize("user", ["vic", "bob"])
def test_nothing_across_groups_tells_of_one_that_may_not_be_read(site: Site, user: str) -> None:
    """Lists, search, warnings and summary know nothing of it, though it has the registry of a group that is shown."""
    site.desk.record(secret := site.desk.facts.snapshot("secret_rows", "hidden"))
    site.desk.record(site.desk.facts.model("secret_model", secret))
    site.soon("/search?q=secret_model", lambda found: any(hit["ref"] == "secret_model@1" for hit in found["hits"]))
    for path in ("/groups", "/warnings", "/search?q=secret", f"/search?q={secret.digest}", "/summary"):
        told = site.get(f"/api{path}", user)
        assert told.status_code == 200
        assert "secret_" not in told.text.replace(f'"query":"{path.partition("q=")[2]}"', "")
    assert site.get("/api/find/secret_model@1", user).status_code == 404
    assert site.get("/api/find/secret_model@1", "olga").json() == {"group": "secret"}


def test_a_viewer_may_start_nothing(site: Site) -> None:
    """Whoever may only look is told so for each DAG, and Airflow refuses, too."""
    for name, dag in site.api("/groups/churn", "vic")["dags"].items():
        assert not dag["may_run"]
        if dag["exists"]:
            assert dag["reason"] == f"You may not start churn_{name}. Ask for the right to trigger it."
    refused = site.server.client("vic").post("/api/v2/dags/churn_release/dagRuns", json={"logical_date": None})
    assert refused.status_code == 403


def test_rights_are_those_of_each_dag(site: Site) -> None:
    """A user may start what Airflow lets that user start, DAG by DAG; what is paused, or not there, says so."""
    found = site.api("/groups/churn", "bob")["dags"]
    assert found["promote"]["may_run"]
    assert found["promote"]["reason"] == ""
    assert not found["rollback"]["may_run"]
    assert found["rollback"]["reason"] == "You may not start churn_rollback. Ask for the right to trigger it."
    assert (found["watch"]["exists"], found["watch"]["may_run"]) == (False, False)
    assert found["watch"]["reason"].startswith("There is no DAG churn_watch.")
    site.server.do("pause", dag_id="churn_promote", paused=True)
    paused = site.soon("/groups/churn", lambda page: page["dags"]["promote"]["paused"], "bob")["dags"]["promote"]
    assert (paused["may_run"], paused["reason"]) == (False, "churn_promote is paused; unpause it in Airflow.")
    site.server.do("pause", dag_id="churn_promote", paused=False)
    site.soon("/groups/churn", lambda page: page["dags"]["promote"]["may_run"], "bob")


def test_airflows_audit_log_says_who_started_what(site: Site) -> None:
    """Whoever starts a DAG through Airflow's API, as the buttons of the pages do, stands in Airflow's own audit log."""
    asked = {"logical_date": None, "conf": {"version": "churn@1"}}
    began = site.server.client("bob").post("/api/v2/dags/churn_promote/dagRuns", json=asked)
    assert began.status_code == 200, began.text
    site.server.do("end", dag_id="churn_promote", run_id=began.json()["dag_run_id"])
    told = site.server.client().get("/api/v2/eventLogs", params={"dag_id": "churn_promote"}).json()["event_logs"]
    assert ("trigger_dag_run", "bob") in {(one["event"], one["owner"]) for one in told}


def test_an_answer_is_not_kept_for_somebody_with_other_rights(site: Site) -> None:
    """The ETag of one user's page is of no use to another whose page differs."""
    mine = site.get("/api/groups/churn", "olga")
    others = site.get("/api/groups/churn", "vic", headers={"If-None-Match": mine.headers["etag"]})
    assert others.status_code == 200
    assert others.headers["etag"] != mine.headers["etag"]
    again = site.get("/api/groups/churn", "olga", headers={"If-None-Match": mine.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_version_has_its_old_address(site: Site) -> None:
    """The address of a version's page from before leads to the page of today, whatever the name holds."""
    for ref, place in (("churn@1", "churn%401"), ("a%2Fb", "404"), ("%3Cb%3E", "%3Cb%3E")):
        answer = site.get(f"/versions/{ref}")
        if place == "404":
            assert answer.status_code == 404
        else:
            assert answer.status_code == 307
            assert answer.headers["location"] == f"/plugin/lockstep/versions/{place}"


def test_files_are_served_by_their_names_alone(site: Site) -> None:
    """What was built is served with its type and for good; whatever else is in the folder, or outside, is not there."""
    apps = site.server.client().get("/api/v2/plugins").json()["plugins"]
    (ours,) = [plugin["react_apps"] for plugin in apps if plugin["name"] == "lockstep"]
    assert {app["destination"] for app in ours} == {"nav", "dashboard", "dag", "task_instance"}
    assert len({app["bundle_url"] for app in ours}) == len({app["name"] for app in ours}) == len(ours)
    for app in ours:
        answer = site.server.client().get(f"/{app['bundle_url']}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        known = {"If-None-Match": answer.headers["etag"]}
        assert site.server.client().get(f"/{app['bundle_url']}", headers=known).status_code == 304
    assert "immutable" not in site.get("/ui/main.js").headers["cache-control"]
    for name in ("app.py", "..%2Fapp.py", "%2e%2e/app.py", "", "nothing.js"):
        assert site.get(f"/ui/{name}").status_code == 404
