"""What the commands print: one JSON document or lines for people on stdout; messages and progress on stderr."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


def result(document: Any, text: str, *, as_json: bool) -> None:  # noqa: ANN401  JSON
    """Print the result of a command: the document with `--json`, else the text."""
    sys.stdout.write((json.dumps(document, indent=2, ensure_ascii=False) if as_json else text) + "\n")


def message(text: str) -> None:
    """Tell the person something that is not the result."""
    sys.stderr.write(f"{text}\n")


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show on stderr that something runs, and for how long; where that is no terminal, only what it was."""
    console = Console(stderr=True)
    if not console.is_terminal:
        message(f"{what} …")
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=False) as bar:
        task = bar.add_task(what, total=1)
        yield
        bar.update(task, completed=1)
