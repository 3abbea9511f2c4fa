"""The report of a decision diff: one file that needs nothing else, on light and on dark."""

import sys
from html.parser import HTMLParser
from typing import Any

import pytest

from lockstep.decisions import decision_diff
from lockstep.decisions.page import as_html
from lockstep.errors import UsageError
from tests.decisions.conftest import graph
from tests.training.conftest import Shop

LOADED = ("href", "src", "srcset", "data", "action", "poster", "xlink:href")
EMPTY = {"meta", "path", "use", "rect", "line", "br"}


class Page(HTMLParser):
    """Reads a page as a browser would, and keeps what a test asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag, what it loads, and its id."""
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in LOADED]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag that closes itself."""
        self.handle_starttag(tag, attrs)
        if tag not in EMPTY:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last."""
        if tag not in EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep what is read."""
        self.text += data


@pytest.fixture
def document(changing: Shop) -> dict[str, Any]:
    """Compare production with staging."""
    return decision_diff(changing.registry, graph, "shop").as_json()


def test_the_report_stands_alone(document: dict[str, Any]) -> None:
    """It runs nothing and loads nothing: no script, and links only to parts of its own plots, whose ids are unique."""
    text = as_html(document)
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
    assert page.links
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert len(set(page.ids)) == len(page.ids)
    assert "@import" not in text
    assert "url(http" not in text
    assert page.tags.count("svg") == 1 + 3  # flips, and the scores of each model


def test_plots_take_the_colours_of_the_page(document: dict[str, Any]) -> None:
    """Whatever is drawn is in a colour that the page changes with the reader's choice of light or dark."""
    text = as_html(document)
    plots = text[text.index("<svg") :]
    assert "@media (prefers-color-scheme: dark)" in text
    assert all(f"var(--{name})" in plots for name in ("ink", "soft", "old", "new"))
    assert "#000" not in plots
    assert "#0102" not in plots


def test_the_same_diff_is_the_same_report(document: dict[str, Any]) -> None:
    """Made twice, it is the same to the last byte."""
    assert as_html(document) == as_html(document)


def test_what_comes_out_of_data_is_text(document: dict[str, Any]) -> None:
    """A key or a file name that looks like HTML is shown, not run."""
    evil = "<script>alert(1)</script>&amp;$x$"
    document["populations"][0]["thresholds"][0]["examples"] = [{"key": evil, "old": 0.1, "new": 0.9}]
    document["populations"][0] |= {"rows_of": "requests", "source": {"file": evil, "digest": None}}
    document["populations"][0]["models"][0]["scores"][0]["of"] = evil
    page = Page(as_html(document))
    assert "script" not in page.tags
    assert page.text.count(evil) == 3


def test_a_first_release_has_a_report(document: dict[str, Any]) -> None:
    """Without a release to compare with, the report shows what the new set would decide."""
    population = document["populations"][0]
    document["old"] = {"release": None, "members": {}}
    for threshold in population["thresholds"]:
        threshold |= {"old": None, "flips": None, "yes_to_no": None, "no_to_yes": None, "examples": []}
    for model in population["models"]:
        model |= {"old": None}
        model["scores"] = [score | {"old": None} for score in model["scores"]]
    for split in document["splits"]:
        split["old"] = None
    page = Page(as_html(document))
    assert "the first release of this group" in page.text
    assert page.tags.count("svg") == 3


def test_without_the_plotting_library_it_says_what_to_install(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library is an extra; whoever has not installed it is told."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"Install airflow-provider-lockstep\[report\], or ask for --json"):
        as_html(document)
