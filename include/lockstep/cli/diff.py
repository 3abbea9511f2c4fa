"""`lockstep diff`: what a release would change, before it is released."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lockstep.cli import say
from lockstep.errors import UsageError
from lockstep.graph import Graph

if TYPE_CHECKING:
    from lockstep.decisions import Logged


def diff(  # noqa: PLR0913  each is an option of the command
    ctx: typer.Context,
    group: str,
    requests: Annotated[
        list[str] | None,
        typer.Option(
            help="Recent requests: a file (.csv, .parquet or .jsonl), dataset=file, or those of the decision log: log,"
            " log:30d. May be repeated."
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with plots to this file.")] = None,
    rows: Annotated[Path | None, typer.Option(help="Write all rows that get another decision to this Parquet.")] = None,
    shown: Annotated[int, typer.Option(help="How many flipped rows of each threshold to show.", min=0, max=1000)] = 10,
    *,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Compare what the shadow decided with what was answered.")
    ] = False,
    record: Annotated[bool, typer.Option("--record", help="Keep it, for release_if to be weighed by.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say what a release would change, counted in decisions; it changes neither staging nor production."""
    from lockstep.decisions import decision_diff, keep_diff

    graph, declared = ctx.obj.graphs().group(group)
    for path in (html, rows):
        _check_folder(path)
    wanted = _by_dataset(graph, group, requests or [])
    with say.spinner(f"deciding on the rows of {group} twice"):
        found = decision_diff(
            ctx.obj.registry(), graph, declared.name, requests=wanted, shadow=shadow, rows=rows, shown=shown
        )
        if record:
            keep_diff(ctx.obj.registry(), found)
        if html is not None:
            from lockstep.decisions.page import as_html

            html.write_text(as_html(found.as_json()), encoding="utf-8")
    say.result(found.as_json(), found.as_text(), as_json=as_json)


def _check_folder(path: Path | None) -> None:
    if path is not None and not path.absolute().parent.is_dir():
        raise UsageError(f'"{path}" can\'t be written: there is no folder "{path.parent}". Make it, or name another.')


def _by_dataset(graph: Graph, group: str, words: list[str]) -> "dict[str, str | Logged]":
    """Dataset → file or log; where a group has one dataset, it need not be named, and the log is that of all."""
    from lockstep.decisions import Logged

    names = list(dict.fromkeys(graph.model(model.name).data.name for model in graph.group(group).models))
    found: dict[str, str | Logged] = {}
    for word in words:
        dataset, equals, path = word.partition("=")
        if not equals or dataset not in names:
            if logged := Logged.parse(word):
                found |= {name: logged for name in names if name not in found}
                continue
            if len(names) > 1:
                raise UsageError(
                    f'--requests {word}: group "{group}" has the datasets {", ".join(names)}; say of which these rows'
                    f" are: --requests {names[0]}={word}."
                )
            dataset, path = names[0], word
        if dataset in found:
            raise UsageError(f'--requests: two files of "{dataset}" are given; put their rows into one.')
        found[dataset] = Logged.parse(path) or path
    return found
