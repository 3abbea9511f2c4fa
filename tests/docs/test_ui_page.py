"""The worked example of a page of the UI is one that the UI's compiler takes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from loopback.servers import ProgramMissing
from tests.docs.pages import ROOT, blocks


@pytest.mark.slow
def test_the_example_compiles_among_the_other_pages(tmp_path: Path) -> None:
    """Put beside the other pages, the example compiles; one that asks for what is not there fails."""
    if shutil.which("npm") is None:
        raise ProgramMissing("npm", "install Node.js 20.19 or newer, as by `apt-get install nodejs npm`")
    shutil.copytree(ROOT / "ui", tmp_path / "ui", ignore=shutil.ignore_patterns("node_modules"))
    (code,) = [block.code for block in blocks(ROOT / "docs/contributing/ui.md", "tsx")]
    page = tmp_path / "ui/src/pages/OpenGatesPage.tsx"
    assert npm(tmp_path, "ci", "--no-audit", "--no-fund") == ""
    page.write_text(code, encoding="utf-8")
    assert npm(tmp_path, "exec", "--", "tsc", "--noEmit") == ""
    page.write_text(code.replace("group.gate?.status", "group.door"), encoding="utf-8")
    assert "door" in npm(tmp_path, "exec", "--", "tsc", "--noEmit")


def npm(place: Path, *words: str) -> str:
    """Run npm in the UI's folder; what it said if it failed, else nothing."""
    environment = {**os.environ, "CI": "true", "NO_COLOR": "1"}
    command = ["npm", *words]
    done = subprocess.run(command, cwd=place / "ui", env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""
