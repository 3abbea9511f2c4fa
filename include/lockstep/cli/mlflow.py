"""`lockstep mlflow`: MLflow is told what the log says."""

from typing import Annotated

import typer

from lockstep.cli import say
from lockstep.errors import UsageError
from lockstep.switch import MLFLOW_VARIABLE, mlflow_of

app = typer.Typer(name="mlflow", help="Keep MLflow in step with the log.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _commands() -> None:
    """Say by this that there may be several commands: Typer would take a single one's place."""


@app.command()
def sync(
    ctx: typer.Context,
    groups: Annotated[list[str] | None, typer.Argument(help="Release groups; default: all.")] = None,
    to: Annotated[str, typer.Option(help=f"The address of MLflow; default: {MLFLOW_VARIABLE}.")] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Tell MLflow what it has missed: versions as runs and registered models, stages as aliases."""
    from lockstep.bridges import sync as tell

    named = mlflow_of(run=to)
    if named is None:
        raise UsageError(f"No MLflow is named. Give --to http://host:5000, or set {MLFLOW_VARIABLE}.")
    declared = ctx.obj.graphs()
    chosen = [declared.group(name) for name in groups] if groups else list(declared.groups())
    registry = ctx.obj.registry()
    with say.spinner(f"telling MLflow at {named.address}"):
        done = [tell(registry, group, named.address) for _, group in chosen]
    say.result([one.as_json() for one in done], "\n".join(one.as_text() for one in done), as_json=as_json)
