"""`lockstep drift`: how far newer data lies from what production was trained on."""

from pathlib import Path
from typing import Annotated

import typer

from lockstep.cli import say
from lockstep.errors import UsageError


def drift(  # noqa: PLR0913  each is an option of the command
    ctx: typer.Context,
    dataset: str,
    against: Annotated[
        str | None, typer.Option(help="The reference, as customers@3; default: what production was trained on.")
    ] = None,
    current: Annotated[str | None, typer.Option(help="What is held against it; default: the newest snapshot.")] = None,
    requests: Annotated[
        str | None,
        typer.Option(
            help="In place of a snapshot: a file (.csv, .parquet or .jsonl), or the decision log: log, log:30d."
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Whose production is meant, where several groups use the dataset.")
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(help="What counts as drift, as psi=0.25; may be repeated (docs/guides/drift.md)."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with plots to this file.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say whether newer data is still what production was trained on; exit status 1 where it has drifted."""
    from lockstep.decisions import Logged
    from lockstep.monitoring import Limits, Verdict, measure

    if html is not None and not html.absolute().parent.is_dir():
        raise UsageError(f'"{html}" can\'t be written: there is no folder "{html.parent}". Make it, or name another.')
    graph = ctx.obj.graphs().of(dataset)
    given = (Logged.parse(requests) or requests) if requests is not None else None
    limits = Limits.parse(limit or [])
    with say.spinner(f"comparing {dataset}"):
        found = measure(
            ctx.obj.registry(),
            graph,
            dataset,
            group=group,
            against=against,
            current=current,
            requests=given,
            limits=limits,
        )
        if html is not None:
            from lockstep.monitoring.page import as_html

            html.write_text(as_html(found.as_json()), encoding="utf-8")
    say.result(found.as_json(), found.as_text(), as_json=as_json)
    if found.verdict is Verdict.DRIFT:
        raise typer.Exit(1)
