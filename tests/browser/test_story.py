"""The demo's story, clicked through in a real browser: from the first candidate to a rollback, and who may do what.

One Airflow serves all tests of this module; what one test needs of the story, its fixtures have played before.
"""

import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from lockstep.registry import Origin
from lockstep.release import hold, resume
from tests.browser.conftest import GROUP, Office
from tests.browser.visitor import PATIENCE, Visitor

pytestmark = [pytest.mark.standalone, pytest.mark.slow, pytest.mark.timeout(1200)]

WORK = 6 * PATIENCE  # ms for a DAG to do its work
ADMIN = Origin(by="cleo", why="at the command line")
DAG_TAB, TASK_TAB = "lockstep_group", "lockstep_made"
PAGES = {
    "groups": "",
    "group": "/groups/churn",
    "versions": "/groups/churn/versions",
    "model": "/groups/churn/versions/churn@1",
    "threshold": "/groups/churn/versions/retention_offer@1",
    "compare": "/groups/churn/compare?refs=churn@1,churn@2",
    "releases": "/groups/churn/releases",
    "diff": "/groups/churn/releases/{release}",
    "data": "/groups/churn/data",
    "snapshot": "/groups/churn/data/customers@1",
    "warnings": "/warnings",
    "search": "/search?q=churn",
}


# ------------------------------------------------------------------------------------------------------------ the story


@pytest.fixture(scope="module")
def ana(office: Office, browser: Browser) -> Iterator[Visitor]:
    """Who may do everything, and does."""
    visitor = Visitor.signed_in(browser, office.airflow.url, "admin", office.password("admin"))
    yield visitor
    visitor.leave()


def node(page: Page, name: str) -> Locator:
    """A node of the graph."""
    return page.locator(f'.react-flow__node[data-id="{name}"]')


def act(page: Page, name: str, *, why: str = "", fill: Callable[[Locator], None] | None = None) -> None:
    """Press a button of the page's head, fill in its dialog, confirm, see that it went well, and close it."""
    page.get_by_role("button", name=name, exact=True).first.click()
    dialog = page.get_by_role("dialog")
    if fill:
        fill(dialog)
    if why:
        dialog.get_by_label(re.compile("^Why")).fill(why)
    dialog.get_by_role("button", name=name, exact=True).click()
    expect(dialog.get_by_role("status")).to_be_visible()
    dialog.get_by_role("button", name="Close", exact=True).first.click()
    expect(dialog).to_have_count(0)


def idle(page: Page) -> None:
    """Wait until no DAG of the group is at work, but for the release that waits for somebody."""
    expect(page.get_by_text(re.compile(r"At work:.*churn_(retrain|promote|rollback|hold|resume)"))).to_have_count(
        0, timeout=WORK
    )


@pytest.fixture(scope="module")
def trained(ana: Visitor) -> Page:
    """The first candidates: trained from the page of a group that has never had one."""
    page = ana.go("/groups/churn")
    expect(node(page, "churn")).to_contain_text("no version")
    act(page, "Retrain", why="the first month")
    expect(node(page, "churn_reason")).to_contain_text("candidate", timeout=WORK)
    idle(page)
    return page


@pytest.fixture(scope="module")
def half(trained: Page) -> Page:
    """One of two siblings is promoted; the gate waits for the other."""

    def only_churn(dialog: Locator) -> None:
        dialog.get_by_text(re.compile(r"^churn_reason@1")).click()

    act(trained, "Promote", fill=only_churn)
    expect(node(trained, "churn")).to_contain_text("staging", timeout=WORK)
    idle(trained)
    return trained


@pytest.fixture(scope="module")
def asked(half: Page) -> Page:
    """The sibling follows; the gate opens, and a person is asked."""
    act(half, "Promote")
    expect(half.get_by_text("Waits for a person")).to_be_visible(timeout=WORK)
    return half


@pytest.fixture(scope="module")
def released(asked: Page, office: Office) -> str:
    """The person has seen what changes, and approves; the digest of the release."""
    act(asked, "Approve", why="looks good")
    expect(asked.get_by_text(re.compile("^In production: "))).to_be_visible(timeout=WORK)
    production = office.registry.state().production(GROUP)
    assert production is not None
    return production.digest


@pytest.fixture(scope="module")
def apart(ana: Visitor, asked: Page, released: str, office: Office) -> Page:
    """A newer churn, trained with another parameter, stands in staging without its sibling; a picture is kept."""
    assert released
    office.month(2)

    def stronger(dialog: Locator) -> None:
        dialog.get_by_text("churn_reason", exact=True).click()
        dialog.get_by_label("Parameters").fill('{"churn": {"model__C": 0.03}}')

    act(asked, "Retrain", fill=stronger)
    expect(node(asked, "churn")).to_contain_text("@2", timeout=WORK)
    idle(asked)
    act(asked, "Promote")
    expect(asked.get_by_role("button", name=re.compile("^churn_reason@1 was built on churn@1"))).to_be_visible(
        timeout=WORK
    )
    idle(asked)
    ana.picture("apart")
    return asked


@pytest.fixture(scope="module")
def two_releases(apart: Page, released: str, office: Office) -> tuple[str, str]:
    """The sibling is retrained on the newer churn and promoted in one go; a person approves the second release."""

    def sibling(dialog: Locator) -> None:
        dialog.get_by_text("churn", exact=True).click()
        dialog.get_by_text("Promote what was trained").click()

    act(apart, "Retrain", fill=sibling)
    expect(apart.get_by_text("Waits for a person")).to_be_visible(timeout=WORK)
    act(apart, "Approve")
    expect(apart.get_by_text(released[:12])).to_have_count(0, timeout=WORK)
    production = office.registry.state().production(GROUP)
    assert production is not None
    return released, production.digest


# ---------------------------------------------------------------------------------------------------------------- tests


def test_a_group_that_was_never_released_says_so(trained: Page) -> None:
    """Candidates alone change nothing: all members keep the gate shut, each with its sentence."""
    expect(trained.get_by_text("Nothing of this group was released yet.")).to_be_visible()
    for name in ("churn", "churn_reason", "retention_offer", "priority_call"):
        expect(trained.get_by_role("button", name=f"{name} is not in staging")).to_be_visible()


def test_what_blocks_is_drawn_where_it_does(apart: Page) -> None:
    """The edges from the newer model and the newer data to the older sibling say why they block; no others do."""
    edges = apart.locator(".react-flow__edge")
    blocking = edges.filter(has_text="blocks")
    expect(blocking).to_have_count(2)
    said = " ".join(str(edge.get_attribute("aria-label")) for edge in blocking.all())
    assert "churn_reason@1 was built on churn@1, but churn@2 is in staging" in said
    assert "churn_reason@1 was trained on customers@1, but churn@2 on customers@2" in said
    expect(node(apart, "churn_reason")).to_contain_text("blocks")
    expect(node(apart, "churn")).not_to_contain_text("blocks")


def test_the_first_release_is_what_was_approved(released: str, office: Office) -> None:
    """The log says who approved which set, and why; production is that set."""
    state = office.registry.state()
    word = state.judgement(GROUP, released)
    assert word is not None
    assert (word.word.value, word.recorded.origin.by, word.recorded.origin.why) == ("approved", "admin", "looks good")


def test_one_rollback_and_all_is_as_it_was(
    ana: Visitor, asked: Page, two_releases: tuple[str, str], office: Office
) -> None:
    """Rolled back from its page with a reason, the group is on hold, until that is lifted by its button."""
    first, second = two_releases
    act(asked, "Roll back", why="the first calls were better")
    expect(asked.get_by_text("On hold: nothing of this group")).to_be_visible(timeout=WORK)
    expect(asked.get_by_text(first[:12]).first).to_be_visible()
    past = office.registry.state().releases[GROUP]
    assert [release.digest for release in past] == [first, second, first]
    assert past[-1].recorded.origin.why == "the first calls were better"
    act(asked, "Lift the hold", why="we know why")
    expect(asked.get_by_text("On hold: nothing of this group")).to_have_count(0, timeout=WORK)
    assert office.registry.state().hold(GROUP) is None
    assert ana.wrong == []


def test_what_happens_elsewhere_shows_without_a_reload(
    visit: Callable[..., Visitor], released: str, office: Office
) -> None:
    """A hold that was set at the command line stands on the open page, and goes when it is lifted."""
    assert released
    page = visit().go("/groups/churn")
    group = office.group()
    hold(office.registry, group, ADMIN)
    expect(page.get_by_text("On hold: nothing of this group")).to_be_visible()
    expect(page.get_by_text("cleo").first).to_be_visible()
    resume(office.registry, group, ADMIN)
    expect(page.get_by_text("On hold: nothing of this group")).to_have_count(0)


def test_who_may_only_look_can_do_nothing(visit: Callable[..., Visitor], trained: Page, office: Office) -> None:
    """A viewer's buttons are there, can't be pressed, and say why; Airflow refuses what goes past them."""
    assert trained
    vic = visit("vic")
    page = vic.go("/groups/churn")
    for name in ("Retrain", "Release now", "Hold"):
        button = page.get_by_role("button", name=name, exact=True)
        expect(button).to_have_attribute("aria-disabled", "true")
        said = page.locator(f"[id='{button.get_attribute('aria-describedby')}']")
        expect(said).to_contain_text("may not")
        button.click(force=True)
        expect(page.get_by_role("dialog")).to_have_count(0)
    status = page.evaluate(
        """async () => (await fetch("/api/v2/dags/churn_release/dagRuns", {
            method: "POST", headers: {"Content-Type": "application/json"}, body: '{"logical_date": null, "conf": {}}',
        })).status"""
    )
    assert status == httpx.codes.FORBIDDEN
    assert office.registry.state().head > 0


def test_nobody_sees_anything_without_a_session(office: Office) -> None:
    """Neither answers nor the bundle's files are given to somebody who has not signed in."""
    for path in (
        "api/groups",
        "api/groups/churn",
        "api/summary",
        "api/search?q=churn",
        "ui/main.js",
        "versions/churn@1",
    ):
        answer = httpx.get(f"{office.airflow.url}/lockstep/{path}")
        assert answer.status_code == httpx.codes.UNAUTHORIZED, path


@pytest.mark.parametrize(
    "look", [{}, {"colours": "dark", "language": "ja"}, {"narrow": True}], ids=["light", "dark-ja", "narrow"]
)
def test_every_page_can_be_used_by_everybody(
    visit: Callable[..., Visitor], two_releases: tuple[str, str], look: dict[str, str | bool]
) -> None:
    """Each page shows something, complains of nothing, and axe finds no serious barrier; a picture is kept."""
    visitor = visit(**look)
    name = "narrow" if "narrow" in look else "-".join(map(str, look.values())) or "light"
    for what, path in PAGES.items():
        page = visitor.go(path.format(release=two_releases[1]))
        expect(page.get_by_role("alert")).to_have_count(0)
        page.wait_for_timeout(500)  # what is drawn grows into place
        visitor.picture(f"{what}-{name}")
        assert visitor.barriers() == [], what
        width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width <= 0, f"{what} is wider than the screen"
    assert visitor.wrong == []


def test_the_other_places_show_the_group(
    visit: Callable[..., Visitor], two_releases: tuple[str, str], office: Office
) -> None:
    """The dashboard's card, the tab of each DAG, and that of a task with what it made."""
    assert two_releases
    visitor = visit()
    page = visitor.page
    page.goto("/")
    expect(page.locator("[data-lockstep]").get_by_role("link", name="Lockstep")).to_be_visible()
    visitor.picture("card")
    page.goto(f"/dags/churn_promote/plugin/{DAG_TAB}")
    expect(page.get_by_role("heading", name="churn", exact=True).last).to_be_visible()
    expect(node(page, "offers")).to_be_visible()
    visitor.picture("dag")
    job = office.registry.state().model("churn@1").recorded.origin.job
    assert job is not None
    dag_id, run_id = job.run.split("/")
    page.goto(f"/dags/{dag_id}/runs/{run_id}/tasks/{job.task}/plugin/{TASK_TAB}")
    expect(page.locator("[data-lockstep]").get_by_role("link", name="churn@1")).to_be_visible()
    visitor.picture("task")
    assert visitor.wrong == []
