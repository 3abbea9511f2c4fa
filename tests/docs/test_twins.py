"""README and tutorial in English and Japanese say the same."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks, prose

TWINS = [("README.md", "README.ja.md"), ("docs/tutorial.md", "docs/ja/tutorial.md")]
JAPANESE = re.compile(r"[ぁ-んァ-ヶ一-龠]")


def headings(page: Path) -> list[int]:
    """How deep each heading is."""
    return [len(marks) for marks in re.findall(r"^(#+) ", prose(page), re.MULTILINE)]


def code(page: Path) -> list[str]:
    """The blocks of a page without their comments, which are told in its language."""
    return [re.sub(r"[ \t]*#.*", "", block.code) for block in blocks(page)]


@pytest.mark.parametrize(("english", "japanese"), TWINS)
def test_twins_are_in_step(english: str, japanese: str) -> None:
    """Both have as many headings of each depth in the same order, and the same code."""
    one, other = ROOT / english, ROOT / japanese
    assert headings(one) == headings(other)
    assert code(one) == code(other)


@pytest.mark.parametrize(("english", "japanese"), TWINS)
def test_the_twin_is_japanese(english: str, japanese: str) -> None:
    """Every heading of the twin is Japanese, but for names, and so is most of its text."""
    assert not JAPANESE.search((ROOT / english).read_text(encoding="utf-8").replace("日本語", ""))
    text = prose(ROOT / japanese)
    assert len(JAPANESE.findall(text)) > len(text) / 5
