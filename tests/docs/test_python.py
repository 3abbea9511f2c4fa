"""Python in the pages: it compiles, names what there is, and the worked examples run."""

import ast
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lockstep
import lockstep_airflow
from tests.docs.pages import ROOT, Block, blocks, pages

PYTHON = [block for page in pages() for block in blocks(page, "python")]
WORKED = [ROOT / "docs" / "contributing" / f"{name}.md" for name in ("policy", "place", "store")]
OURS = ("lockstep", "lockstep_airflow", "groups")


def known() -> dict[str, Any]:
    """What pages call without importing it again: the public names."""
    rooms = (lockstep, lockstep_airflow)
    return {name: getattr(room, name) for room in rooms for name in room.__all__}


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_it_compiles_and_names_what_there_is(block: Block) -> None:
    """A block is Python; what it imports of ours is there, and what it calls takes the words that it gives."""
    names, tree = known(), ast.parse(block.code, str(block))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in OURS:
            module = importlib.import_module(str(node.module))
            names |= {alias.asname or alias.name: getattr(module, alias.name) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and callable(names.get(node.func.id)):
            if issubclass(type(called := names[node.func.id]), type) and issubclass(called, BaseException):
                continue  # an error takes its sentence
            parameters = inspect.signature(called).parameters
            given = {word.arg for word in node.keywords if word.arg}
            takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
            assert takes_all or given <= set(parameters), f"{node.func.id}: {given - set(parameters)}"


def test_there_is_python() -> None:
    """README, guides and the pages for contributors hold Python."""
    found = {block.page.relative_to(ROOT).parts[0] for block in PYTHON}
    assert {"README.md", "docs"} <= found


@pytest.mark.parametrize("page", WORKED, ids=lambda page: page.stem)
def test_worked_examples_run(page: Path, tmp_path: Path) -> None:
    """All blocks of a worked example, one after the other in an empty folder, end without an error."""
    program = "\n".join(block.code for block in blocks(page, "python"))
    (tmp_path / "example.py").write_text(program, encoding="utf-8")
    paths = os.pathsep.join(map(str, (ROOT / "include", ROOT / "plugins")))
    environment = {**os.environ, "PYTHONPATH": paths, "LOCKSTEP_DATA": str(tmp_path)}
    for name in ("LOCKSTEP_WHERE", "LOCKSTEP_ENGINE", "LOCKSTEP_REGISTRY"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
