"""`lockstep config`: where each model would be trained and each dataset processed, and who says so.

Rules:
- Nothing is opened or submitted: it reads declarations and what people have said.
- An address that may hold a secret is not shown; all other addresses hold none.
- The command line and Airflow show the same document; Airflow adds what it alone knows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

import typer

from lockstep.cli import say
from lockstep.declare import Dataset, Model
from lockstep.errors import LockstepError
from lockstep.graph import Graph
from lockstep.group import Group
from lockstep.places import Engine, Settled, Where, check_complete
from lockstep.registry import REGISTRY_VARIABLE
from lockstep.registry.address import Address
from lockstep.switch import AIRFLOW_REGISTRY, Named, Said, check_reach, settle_engine, settle_where

_AIRFLOW = "`airflow lockstep config` also knows release_dags, Airflow's variables and its connection."


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is said about one release group, outside of its declarations.

    Attributes:
        registry: its address and who says it; None if nobody does.
        where, engine: for models and for datasets.
    """

    graph: Graph
    group: Group
    registry: Named | None
    where: Said
    engine: Said


def config(
    ctx: typer.Context,
    group: Annotated[str | None, typer.Argument(help="Only this release group.")] = None,
    where: Annotated[str, typer.Option(help="As if a run said it: local, or vertex(region=…).")] = "",
    engine: Annotated[str, typer.Option(help="As if a run said it: direct, or flink(master=…).")] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show where each model would be trained and each dataset processed; exit status 0 only if nothing is missing."""
    graphs = ctx.obj.graphs()
    found = document(
        Setup(
            graph=graph,
            group=one,
            registry=ctx.obj.named_registry(),
            where=Said(run=where),
            engine=Said(run=engine),
        )
        for graph, one in ([graphs.group(group)] if group is not None else graphs.groups())
    )
    say.result(found, as_text(found), as_json=as_json)
    if not as_json:
        say.message(_AIRFLOW)
    if not found["complete"]:
        raise typer.Exit(1)


def document(setups: Iterable[Setup]) -> dict[str, Any]:
    """What each group's models and datasets would run on, setting by setting, as JSON values."""
    groups = [_group(setup) for setup in setups]
    nodes = [node for group in groups for node in (group["registry"], *group["datasets"], *group["models"])]
    return {"complete": not any(node["problems"] for node in nodes), "groups": groups}


def as_text(found: Mapping[str, Any]) -> str:
    """Lines for people: a place, below it each setting with its value and who said it, then what is wrong."""
    return "\n".join(line for group in found["groups"] for line in _group_lines(group))


def _group(setup: Setup) -> dict[str, Any]:
    graph, registry = setup.graph, _registry(setup)
    models = [graph.model(member.name) for member in setup.group.models]
    datasets = {model.data.name: model.data for model in models}.values()
    address = registry["address"]
    return {
        "group": setup.group.name,
        "registry": registry,
        "datasets": [_node(dataset, settle_engine, setup.engine, "Dataset", address) for dataset in datasets],
        "models": [_node(model, settle_where, setup.where, "Model", address) for model in models],
    }


def _registry(setup: Setup) -> dict[str, Any]:
    named = setup.registry
    if named is None:
        problem = (
            f"No registry is named. Set {REGISTRY_VARIABLE} or the Airflow variable {AIRFLOW_REGISTRY}, or give"
            " --registry or release_dags(registry=…)."
        )
        return {"address": None, "kind": None, "source": None, "problems": [problem]}
    try:
        address = Address.parse(named.address)
    except LockstepError as error:
        return {"address": None, "kind": None, "source": named.source, "problems": [str(error)]}
    return {"address": address.uri, "kind": address.kind.value, "source": named.source, "problems": []}


def _node(
    node: Model | Dataset,
    settle: Callable[[Any, Said], Settled[Where] | Settled[Engine]],
    said: Said,
    kind: str,
    registry: str | None,
) -> dict[str, Any]:
    """One model or dataset: its place, each setting (also those that nobody says), and what is wrong."""
    whose = f'{kind} "{node.name}"'
    try:
        settled = settle(node, said)
    except LockstepError as error:
        return {"name": node.name, "place": None, "settings": {}, "problems": [f"{whose}: {error}"]}
    place, sources = settled.place, settled.sources
    settings: dict[str, dict[str, Any]] = {"kind": {"value": place.kind, "source": sources["kind"]}}
    for item in fields(place):
        settings[item.name] = {"value": getattr(place, item.name), "source": sources.get(item.name)}
    checks: list[Callable[[], None]] = [lambda: check_complete(place, whose)]
    if registry is not None:
        checks.append(lambda: check_reach(place, whose, registry))
    return {"name": node.name, "place": str(place), "settings": settings, "problems": list(_problems(checks))}


def _problems(checks: Iterable[Callable[[], None]]) -> Iterator[str]:
    for check in checks:
        try:
            check()
        except LockstepError as error:
            yield str(error)


def _group_lines(group: Mapping[str, Any]) -> Iterator[str]:
    registry = group["registry"]
    yield f"group {group['group']}"
    yield f"  registry {registry['address'] or '-'}" + (f" ({registry['source']})" if registry["source"] else "")
    yield from (f"    ! {problem}" for problem in registry["problems"])
    for what, node in (
        *(("dataset", node) for node in group["datasets"]),
        *(("model", node) for node in group["models"]),
    ):
        yield f"  {what} {node['name']}: {node['place'] or '-'}"
        for name, setting in node["settings"].items():
            value = "-" if setting["value"] is None else setting["value"]
            yield f"    {name:16} {value!s:28} {setting['source'] or ''}".rstrip()
        yield from (f"    ! {problem}" for problem in node["problems"])
