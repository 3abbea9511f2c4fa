"""Commands, variables, DAGs and folders that the pages name are there."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from lockstep.cli.app import app
from tests.docs.pages import ROOT, blocks, name_of, pages, prose

PAGES = pages()
Clicked = Any  # Typer brings a Click of its own, without names to import
USAGE = typer.BadParameter.__base__ or typer.BadParameter  # Typer does not export it
FOLDERS = ("include", "plugins", "dags", "loopback", "tests", "bench", "demo")
SOURCES = [
    *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")),
    *(ROOT / name for name in ("dev.py", "docker-compose.yaml", "Dockerfile", ".env.example")),
]
WORD = re.compile(r"\b(?:LOCKSTEP_[A-Z_]*[A-Z]|lockstep_[a-z_]*[a-z])\b")
DAG = re.compile(r"(?:<group>|churn)_([a-z]+)\b")
COUNTING = {  # how the names of counters begin → where what they count is named
    "lockstep_decision_log_": "include/lockstep/journal/log.py",
    "lockstep_shadow_": "include/lockstep/serving/shadow.py",
}
NO_DAG = {"reason", "pipeline", "due"}  # of the example: a model, a function, an asset
COMMAND = re.compile(r"(?:^|\s)(?:\.venv/bin/)?lockstep (?P<rest>.+)")


def commands(page: Path) -> list[str]:
    """What a page has people type behind `lockstep`: lines of blocks, and whole commands between backticks."""
    shown = [line for block in blocks(page, "sh", "console", "bash") for line in block.code.splitlines()]
    inline = [text for text in re.findall(r"`([^`\n]+)`", prose(page)) if not re.search(r"[\[\]…]|<", text)]
    found = [match for line in [*shown, *inline] if (match := re.match(COMMAND, line))]
    return [match["rest"] for match in found if match["rest"].strip()]


def parse(command: Clicked, name: str, words: list[str], parent: typer.Context | None = None) -> None:
    """Have Click read a command line as far as a command's own options, without calling anything."""
    context = command.make_context(name, list(words), parent=parent)
    if hasattr(command, "list_commands"):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        found, inner, behind = command.resolve_command(context, rest)
        assert inner is not None, found
        parse(inner, found or "", behind, context)


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name_of)
def test_commands_are_taken(page: Path) -> None:
    """Every `lockstep …` that a page shows is a command with its own options and as many words as it takes."""
    whole = typer.main.get_command(app)
    for line in commands(page):
        words = shlex.split(line, comments=True)
        words += ["x"] * (words[-1] in {"--job", "--to"})  # prose names the option alone
        if "--help" in words or "--version" in words or len(words) == 1:
            assert words[0] in {"--help", "--version", *whole.list_commands(typer.Context(whole))}, line
            continue
        try:
            parse(whole, "lockstep", words)
        except USAGE as error:
            pytest.fail(f"{name_of(page)}: lockstep {line}: {error.format_message()}")


def is_counted(name: str) -> bool:
    """Whether a name is a counter of the decision log or the shadow, put together from what these count."""
    for prefix, room in COUNTING.items():
        key = name.removeprefix(prefix).removesuffix("_total")
        if name == f"{prefix}{key}_total":
            return f'"{key}"' in (ROOT / room).read_text(encoding="utf-8")
    return False


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_names_are_in_the_code(page: Path) -> None:
    """Every variable of the environment and of Airflow, every package and DAG of ours that a page names is there."""
    code = "\n".join(source.read_text(encoding="utf-8") for source in SOURCES)
    there = set(WORD.findall(code)) | {path.stem for path in SOURCES}
    text = page.read_text(encoding="utf-8")
    named = {name for name in WORD.findall(text) if not is_counted(name)}
    assert sorted(named - there) == []
    dags = (ROOT / "plugins/lockstep_airflow/dags.py").read_text(encoding="utf-8")
    made = set(re.findall(r'"([a-z]+)": lambda group', dags)) | set(re.findall(r'builders\["([a-z]+)"\]', dags))
    assert set(DAG.findall(text)) - NO_DAG <= made


def test_the_architecture_page_mirrors_the_tree() -> None:
    """The page names every room that git knows, and none that is not there."""
    page = (ROOT / "docs/contributing/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `([\w./-]+)/` \|", page, re.MULTILINE))
    git = ["git", "ls-files", "--", "include", "plugins", "dags", "demo", "bench", "loopback", "tests", "ui", "docs"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    rooms = {folder.as_posix() for path in listed for folder in Path(path).parents} - {"."}
    inner = {room for room in rooms if room.count("/") > _depth(room)}
    assert sorted(rooms - inner - named) == [], "these rooms are missing on the page"
    assert sorted(named - rooms) == [], "the page names these, which are not there"


def _depth(room: str) -> int:
    """How far down rooms are named: the packages of the core and of the plugin, and the rooms of everything else."""
    return {"include": 2, "plugins": 2, "ui": 1}.get(room.partition("/")[0], 0)
