"""`lockstep due`: whether a group is to be retrained, as its graph declares it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from lockstep.cli import say

if TYPE_CHECKING:
    from lockstep.monitoring import Moment


def due(
    ctx: typer.Context,
    group: str,
    *,
    history: Annotated[
        bool, typer.Option("--history", help="Look at each snapshot and release of the past, as if it were then.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say whether a group is to be retrained, and why; exit status 1 where it is. Nothing is started."""
    from lockstep.monitoring import look, look_back

    registry, graph = ctx.obj.registry(), ctx.obj.graphs().group(group)[0]
    if history:
        with say.spinner(f"looking at the past of {group}"):
            moments = list(look_back(registry, graph, group))
        document = {"group": group, "moments": [moment.as_json() for moment in moments]}
        say.result(document, "\n".join(_lines(moments)), as_json=as_json)
        return
    with say.spinner(f"looking at {group}"):
        found = look(registry, graph, group)
    say.result(found.as_json(), found.as_text(), as_json=as_json)
    if found.is_due:
        raise typer.Exit(1)


def _lines(moments: "list[Moment]") -> Iterator[str]:
    """A line for each moment; below what was due, why."""
    if not moments:
        yield "no snapshot was taken, and nothing was released"
    for moment in moments:
        word = "?" if moment.due is None else "DUE" if moment.due.is_due else "-"
        yield f"{moment.at:%Y-%m-%d %H:%M} entry {moment.entry:<4} {word:4} {moment.what}"
        if moment.due is None:
            yield f"    {moment.reason}"
        elif moment.due.is_due:
            yield from (f"    {one.condition}: {one.says}" for one in moment.due.answers if one.is_met)
