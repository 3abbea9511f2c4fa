"""The report in words and as a page: all that matters, and nothing that runs or loads."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from lockstep.monitoring import measure_rows
from lockstep.monitoring.page import as_html
from lockstep.monitoring.told import as_text
from tests.decisions.test_page import Page
from tests.monitoring.test_verdicts import rows

HARMFUL = "<script>alert('x')</script>"


@pytest.fixture
def document() -> dict[str, Any]:
    """Hold rows against rows, one column of which has moved, and one of whose words looks like markup."""
    dice = np.random.default_rng(3)
    other = rows(dice, 900, shift=1, start=5_000).with_columns(
        word=pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit(HARMFUL)).otherwise("word"), late=1
    )
    found = measure_rows(rows(dice, 900), other, dataset="rows", key="id", labels=["label"])
    plain: dict[str, Any] = json.loads(json.dumps(found.as_json()))
    assert found.as_text() == as_text(plain)
    return plain


def test_the_page_stands_alone(document: dict[str, Any]) -> None:
    """It runs nothing and loads nothing, and has a plot of all columns and one of each."""
    text = as_html(document)
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert len(set(page.ids)) == len(page.ids)
    assert page.tags.count("svg") == 1 + 3
    assert HARMFUL not in text
    assert HARMFUL[:20] in page.text


def test_the_same_report_is_the_same_page(document: dict[str, Any]) -> None:
    """Nothing in it hangs on the clock or on chance, and colours are those of the page."""
    text = as_html(document)
    assert text == as_html(document)
    plots = text[text.index("<svg") :]
    assert all(f"var(--{name})" in plots for name in ("ink", "soft", "old", "new"))


def test_the_text_says_what_moved_first(document: dict[str, Any]) -> None:
    """The verdict and its reason come first, then what has drifted, then the rest in short."""
    lines = as_text(document).splitlines()
    assert lines[0].startswith(
        "drift rows: drift. What is new (900 rows) is not what the reference was: columns x, word"
    )
    assert lines[1:3] == ["  reference: the reference, 900 rows", "  current: what is new, 900 rows"]
    assert [line[:8] for line in lines[3:6]] == ["  DRIFT "] * 3
    assert lines[-2:] == ["  -     as they were: label", "  -     only on one side: late"]
