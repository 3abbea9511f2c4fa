"""The commands. Each reads its words, calls one function of the core, and prints what it gave.

Rules:
- Exit status: 0 done, 1 refused with a reason (a closed gate too), 2 wrong use.
- With `--json`, stdout holds one JSON document and nothing else; messages go to stderr.
"""

import json
import sys
import warnings
from typing import Annotated, Any, TextIO

import typer

from lockstep import __version__, draw
from lockstep.cli import (
    adopt,
    config,
    data,
    diff,
    drift,
    due,
    lineage,
    mlflow,
    release,
    reproduce,
    say,
    serve,
    show,
    upkeep,
)
from lockstep.cli import train as training
from lockstep.cli.context import GRAPH_VARIABLE, Context
from lockstep.errors import DeprecatedDataWarning, LockstepError, UsageError
from lockstep.registry import REGISTRY_VARIABLE

app = typer.Typer(
    name="lockstep",
    help="Keep machine-learning models that share data in step.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def main() -> None:
    """Run a command; an error of ours is one sentence on stderr and an exit status."""
    warnings.showwarning = _warn
    try:
        app()
    except LockstepError as error:
        say.message(f"lockstep: {error}")
        sys.exit(error.exit_status)


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,  # noqa: ARG001  where it was raised tells the person nothing
    lineno: int,  # noqa: ARG001  as filename
    file: TextIO | None = None,  # noqa: ARG001  messages go to stderr
    line: str | None = None,  # noqa: ARG001  as filename
) -> None:
    if issubclass(category, DeprecatedDataWarning):
        say.message(f"warning: {message}")


def _version(*, wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"lockstep {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    registry: Annotated[str | None, typer.Option(help=f"Where the registry is; default: {REGISTRY_VARIABLE}.")] = None,
    graph: Annotated[
        list[str] | None,
        typer.Option(help=f"Where a graph is, as module:name; default: {GRAPH_VARIABLE}, or all in include/groups."),
    ] = None,
    why: Annotated[str, typer.Option(help="Why you do this; it is kept in the log.")] = "",
    *,
    version: Annotated[  # noqa: ARG001  its callback prints it
        bool, typer.Option("--version", callback=lambda value: _version(wanted=value), is_eager=True)
    ] = False,
) -> None:
    ctx.obj = Context(
        registry_uri=registry, graph_spec=tuple(graph or ()), why=why, command=ctx.invoked_subcommand or ""
    )


@app.command(name="graph")
def graph_command(
    ctx: typer.Context,
    on: Annotated[str | None, typer.Option(help="Only this node and what hangs on it.")] = None,
    *,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid flowchart.")] = False,
    as_json: Json = False,
) -> None:
    """Show what depends on what."""
    if mermaid and as_json:
        raise UsageError("Both --mermaid and --json are given; choose one.")
    graphs = ctx.obj.graphs()
    chosen = graphs.having(on) if on is not None else graphs.all
    drawn = draw.together(draw.as_json(graph, on) for graph in chosen)
    text = draw.as_mermaid(drawn) if mermaid else "\n".join(draw.as_text(graph, on) for graph in chosen)
    say.result(drawn, text, as_json=as_json)


@app.command()
def status(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Show which version of each member is newest, in staging and in production."""
    found = show.status(ctx.obj.graphs(), ctx.obj.registry().state())
    say.result(found, show.status_text(found), as_json=as_json)


@app.command()
def train(  # noqa: PLR0913  each is an option of the command
    ctx: typer.Context,
    models: Annotated[list[str] | None, typer.Argument(help="Models to train; default: all.")] = None,
    group: Annotated[str | None, typer.Option(help="Train the models of this release group.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="A parameter, as model.name=value; may be repeated.")] = None,
    where: Annotated[str, typer.Option(help="Where to train, as vertex(project=p, region=r).")] = "",
    engine: Annotated[str, typer.Option(help="What Beam runs on, as flink(master=host:8081).")] = "",
    *,
    force: Annotated[bool, typer.Option("--force", help="Train even if this recipe has been trained.")] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Move what was trained to staging.")] = False,
    as_json: Json = False,
) -> None:
    """Take a snapshot, train models and tune their thresholds: candidates, and nothing downstream moves."""
    wanted = training.chosen_models(ctx.obj.graphs(), models or [], group)
    parameters = training.parse_parameters(param or [])
    asked = training.Asked(parameters=parameters, force=force, where=where, engine=engine)
    found = training.train(ctx.obj.registry(), wanted, ctx.obj.origin(), asked, and_promote=promote)
    say.result(found, training.as_text(found), as_json=as_json)


@app.command()
def decide(
    ctx: typer.Context,
    api: str,
    row: Annotated[str, typer.Option(help="A row as a JSON object, or a list of rows; - reads stdin.")],
    *,
    as_json: Json = False,
) -> None:
    """Ask an API of the current release for a decision."""
    from lockstep.serving import Decider

    rows = _rows(sys.stdin.read() if row == "-" else row)
    graphs = ctx.obj.graphs()
    decider = Decider(ctx.obj.registry(), [graphs.of(api)])
    with say.spinner("loading the release"):
        decider.refresh()
    answers = decider.decide(api, rows)
    say.result(answers if len(answers) != 1 else answers[0], "\n".join(map(_answer, answers)), as_json=as_json)
    if any("error" in answer for answer in answers):
        raise typer.Exit(1)


def _rows(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"--row: this is not JSON ({error}). Give an object of column names and values.") from None
    rows = found if isinstance(found, list) else [found]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise UsageError("--row: a row is a JSON object of column names and values, or a list of such objects.")
    return rows


def _answer(answer: dict[str, Any]) -> str:
    if "error" in answer:
        return f"{answer['api']}: {answer['error']}"
    lines = [f"{answer['api']} {answer['key']} (release {answer['release'][:12]})"]
    for name, found in answer["decisions"].items():
        lines.append(show.decision_line(name, found))
    for name, found in answer["explanations"].items():
        lines.append(f"  {name}: {found['prediction']} ({found['model']})")
    return "\n".join(lines)


@app.command()
def log(
    ctx: typer.Context,
    last: Annotated[int | None, typer.Option(help="Only the last entries.", min=1)] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show the registry's log, oldest entry first."""
    lines = show.log(ctx.obj.registry().log.entries())
    lines = lines[-last:] if last else lines
    say.result(lines, show.log_text(lines), as_json=as_json)


release.add_to(app)
app.add_typer(data.app)
app.add_typer(mlflow.app)
app.command()(adopt.adopt)
app.command()(config.config)
app.command()(diff.diff)
app.command()(drift.drift)
app.command()(due.due)
app.command()(lineage.lineage)
app.command()(reproduce.reproduce)
app.command()(serve.serve)
app.command()(upkeep.verify)
app.command()(upkeep.retain)
