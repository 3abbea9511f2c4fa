"""What the demo prints: one line a step with its time, and a progress display while something runs.

Rules:

* A line is a fact that has happened. Indented lines below it show what was seen, not what was hoped for.
* Where the output is no terminal, the progress display is left out; every line stays.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from demo.answers import Run, TaskInstance

__all__ = ["Screen", "Waiting"]

DONE = frozenset({"success", "skipped", "failed", "upstream_failed", "removed"})


class Waiting:
    """A progress display; call it with a run and its tasks, as `Rest.wait` does."""

    def __init__(self, progress: Progress | None, what: str) -> None:
        self._progress, self._what = progress, what
        self._bar = progress.add_task(what, total=None) if progress else None

    def __call__(self, run: Run, tasks: list[TaskInstance]) -> None:
        """Show how far the tasks are."""
        if self._progress is None or self._bar is None:
            return
        running = ", ".join(task.task_id for task in tasks if task.state in {"running", "deferred"}) or run.state
        done = sum(task.state in DONE for task in tasks)
        self._progress.update(
            self._bar, total=len(tasks) or None, completed=done, description=f"{self._what}: {running}"
        )


class Screen:
    """The terminal of the demo."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._began = self._step = time.monotonic()

    def title(self, text: str) -> None:
        """A heading: a part of the story begins."""
        self._console.print(f"\n[bold]{text}[/bold]")
        self._step = time.monotonic()

    def say(self, text: str) -> None:
        """A step has been done: when since the start, and how long it took."""
        now = time.monotonic()
        self._console.print(f"{now - self._began:7.1f} s  {text} [dim]({now - self._step:.1f} s)[/dim]")
        self._step = now

    def show(self, text: str) -> None:
        """What was seen, below the step."""
        for line in text.splitlines():
            self._console.print(f"           {line}", markup=False)

    @contextmanager
    def waiting(self, what: str) -> Iterator[Waiting]:
        """Show that something runs, and for how long, until the block is left."""
        if not self._console.is_terminal:
            yield Waiting(None, what)
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield Waiting(progress, what)
