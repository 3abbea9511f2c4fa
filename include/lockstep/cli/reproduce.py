"""`lockstep reproduce`: train a version again from what was recorded, and say whether it is the same."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lockstep.cli import say

if TYPE_CHECKING:
    from lockstep.training.reproduce import Reproduction


def reproduce(
    ctx: typer.Context,
    ref: Annotated[str, typer.Argument(help="A model version, as churn@3.")],
    keep: Annotated[Path | None, typer.Option(help="A new folder for source, data, model and output.")] = None,
    python: Annotated[
        Path | None, typer.Option(help="The interpreter of another environment that trains; default: this one.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Train a version again from its recorded source, snapshot and parameters; exit status 0 only if it is the same."""
    from lockstep.training.reproduce import reproduce as train_again

    with say.progress(f"training {ref} again"):
        found = train_again(ctx.obj.registry(), ref, keep=keep, python=python)
    document = {**asdict(found), "equal": not found.differences, "differences": list(found.differences)}
    say.result(document, "\n".join(_lines(found)), as_json=as_json)
    if found.differences:
        raise typer.Exit(1)


def _lines(found: "Reproduction") -> Iterator[str]:
    if not found.differences:
        yield (
            f"{found.version}: equal. The same bytes (SHA-256 {found.model_file[1][:12]}…), {len(found.metrics)} equal"
            f" metrics, equal predictions on {found.predictions['rows']} rows of the test split."
        )
    else:
        yield f"{found.version}: differs"
        yield from (f"  {difference}" for difference in found.differences)
    for name, (before, now) in found.libraries.items():
        yield f"  {name} is {now or 'not installed'} here, recorded is {before or 'none'}"
    if found.folder:
        yield f"  all of it is in {found.folder}"
