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
    """Show on stderr that something long runs, and for how long; where that is no terminal, only what it is."""
    if not sys.stderr.isatty():
        message(f"{what} …")
    with spinner(what):
        yield


@contextmanager
def spinner(what: str) -> Iterator[None]:
    """Show on stderr that something runs which may take longer than a second; nothing where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        bar.add_task(what, total=None)
        yield
