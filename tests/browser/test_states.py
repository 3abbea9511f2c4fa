"""What pages show where there is nothing to show, or it can't be had: empty, half-configured, away."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from bench.ui.server import PASSWORD, Server
from tests.browser.visitor import Visitor
from tests.release.conftest import Desk

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

PAGES = {"versions": "No version yet", "releases": "Nothing has happened yet", "data": "No snapshot yet"}


@dataclass(frozen=True, kw_only=True)
class Desks:
    """Who looks at groups of all kinds, and the folder of the one that stands in step."""

    ana: Visitor
    folder: Path


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Desks]:
    """Airflow's API server with the groups of the tests of the UI, and who looks at them."""
    home = tmp_path_factory.mktemp("states")
    Desk((home / "churn").as_uri()).in_step()
    variables = {
        "UI_CHURN": (home / "churn").as_uri(),
        "UI_SHOP": (home / "shop").as_uri(),
        "UI_SECRET": (home / "churn").as_uri(),
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9",  # nobody answers there
    }
    with Server(home=home / "airflow", module="tests.ui.graphs", variables=variables) as server:
        ana = Visitor.signed_in(browser, server.url, "admin", PASSWORD)
        yield Desks(ana=ana, folder=home / "churn")
        ana.leave()


def test_a_group_that_nobody_has_trained_says_how_to_begin(desks: Desks) -> None:
    """Pages without anything to list say what will stand there, and how it gets there."""
    ana = desks.ana
    ana.go("/groups/shop")
    ana.sees("Nothing of this group was released yet.")
    ana.picture("empty-group")
    for page, text in PAGES.items():
        ana.go(f"/groups/shop/{page}")
        ana.sees(text)
        assert ana.barriers() == []
    ana.picture("empty-data")


def test_what_is_half_configured_says_the_next_step(desks: Desks) -> None:
    """A group without a registry is shown, with what is missing; one whose registry is away, too."""
    ana = desks.ana
    ana.go("/groups/nowhere")
    ana.sees("No registry is named. Set LOCKSTEP_REGISTRY")
    assert ana.barriers() == []
    ana.picture("half-configured")
    ana.go("/groups/away")
    ana.sees("gs://nobody-is-here/registry")
    ana.go("/warnings")
    ana.sees("No registry is named.")


def test_a_registry_that_goes_away_and_comes_back(desks: Desks) -> None:
    """What was known stays on the page with a sentence above it, without a reload; and the sentence goes again."""
    ana, elsewhere = desks.ana, desks.folder.with_name("not mounted")
    ana.go("/groups/churn")
    ana.sees("churn_reason")
    desks.folder.rename(elsewhere)
    alert = ana.page.get_by_role("alert").filter(has_text="not mounted, or was replaced")
    expect(alert).to_be_visible()
    ana.sees("churn_reason")
    assert ana.barriers() == []
    ana.picture("registry-away")
    if desks.folder.exists():
        desks.folder.rmdir()
    elsewhere.rename(desks.folder)
    expect(alert).to_have_count(0)
