"""`lockstep data`: what is done with snapshots themselves."""

from typing import Annotated

import typer

from lockstep.cli import say
from lockstep.cli.context import Graphs
from lockstep.declare import Dataset
from lockstep.errors import UsageError

app = typer.Typer(name="data", help="Look at snapshots.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _commands() -> None:
    """Say by this that there may be several commands: Typer would take a single one's place."""


@app.command()
def diff(
    ctx: typer.Context,
    old: Annotated[str, typer.Argument(help="A snapshot, as customers@3.")],
    new: Annotated[str, typer.Argument(help="A later one, as customers@4; without a number, the newest.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compare two snapshots of a dataset: rows added, removed and changed, columns, and what was set aside."""
    from lockstep.data.compared import snapshot_diff

    registry = ctx.obj.registry()
    state = registry.state()
    versions = [state.snapshot(ref) for ref in (old, new)]
    with say.spinner(f"comparing {versions[0].ref} with {versions[1].ref}"):
        found = snapshot_diff(registry, _dataset(ctx.obj.graphs(), versions[0].name), *versions)
    say.result(found.as_json(), found.as_text(), as_json=as_json)


def _dataset(graphs: Graphs, name: str) -> Dataset:
    """The declaration, which says which columns are private.

    Raises:
        UsageError: no graph declares it.
    """
    found = next((node for graph in graphs.all for node in graph.nodes if node.name == name), None)
    if not isinstance(found, Dataset):
        raise UsageError(
            f'No graph declares the dataset "{name}", so that nobody knows which of its columns are private. Declare'
            " it, or name its graph with --graph module:name."
        )
    return found
