"""The documentation site is built from what is there, and no link in it is broken."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

import lockstep
import lockstep_airflow
from loopback.servers import ProgramMissing
from tests.docs.pages import ROOT


def script(name: str) -> ModuleType:
    """Load a script of the site, which is no package."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", ROOT / "docs" / "site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """What builds the site, with MkDocs in its own environment."""
    build = script("build")
    try:
        build.python()
    except build.ToolMissing as missing:
        raise ProgramMissing("mkdocs", build.INSTALL) from missing
    return build


@pytest.mark.slow
def test_the_site_builds_strictly(tool: ModuleType, tmp_path: Path) -> None:
    """No link, anchor or menu entry leads nowhere, and every public name has its place in the reference."""
    done = tool.build(tmp_path / "site", capture=True)
    assert done.returncode == 0, done.stderr
    for room in (lockstep, lockstep_airflow):
        page = (tmp_path / "site" / "reference" / f"{room.__name__}.html").read_text(encoding="utf-8")
        missing = [name for name in room.__all__ if f">{name}<" not in page and f'.{name}"' not in page]
        assert missing == []


@pytest.mark.slow
def test_a_broken_link_ends_the_build(tool: ModuleType, tmp_path: Path) -> None:
    """A page, an anchor and a file that are not there each make the build fail."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for path in ROOT.iterdir():
        if path.name not in ("docs", ".cache", ".git"):
            (tmp_path / path.name).symlink_to(path)
    faq = tmp_path / "docs" / "faq.md"
    faq.write_text(faq.read_text(encoding="utf-8") + "\n[gone](guides/stores.md#no-such-place)\n", encoding="utf-8")
    done = tool.subprocess.run(
        [tool.python(), "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "no-such-place" in done.stdout + done.stderr


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    """docs/reference/cli.md is made by docs/site/commands.py, and was made from the commands as they are."""
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert page == script("commands").page(), f"run {Path(sys.executable).name} docs/site/commands.py"
