"""Which registry, where a model is trained, on which engine a dataset is processed: the one order that settles it.

Rules:
- The strongest first: the run (`--where`, or the form of an Airflow run), the declaration, `release_dags`, the Airflow
  variable, the environment, the Airflow connection (project and region alone), the default. A registry has neither
  declaration nor default, and its address names its connection.
- What Airflow alone knows comes in as `Said`: the command line and Airflow settle by the same function.
- What is given to whoever submits is complete, and the registry can be reached from there.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from lockstep.declare import Dataset, Model
from lockstep.errors import UsageError
from lockstep.places import (
    ENGINE_VARIABLE,
    WHERE_VARIABLE,
    Dataflow,
    Direct,
    Engine,
    Flink,
    Layer,
    Local,
    Place,
    Portable,
    Settled,
    Vertex,
    Where,
    check_complete,
    environment_layers,
    parse_engine,
    parse_where,
    settle,
)
from lockstep.registry import REGISTRY_VARIABLE
from lockstep.registry.address import Address, Kind

AIRFLOW_REGISTRY: Final = "lockstep_registry"
AIRFLOW_WHERE: Final = "lockstep_where"
AIRFLOW_ENGINE: Final = "lockstep_engine"
AIRFLOW_MLFLOW: Final = "lockstep_mlflow"
MLFLOW_VARIABLE: Final = "LOCKSTEP_MLFLOW_TRACKING_URI"
OFF: Final = "off"
DEFAULT_CONNECTION: Final = "google_cloud_default"
DEFAULT_MACHINE: Final = "n2-standard-4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is said outside of a declaration; blank texts say nothing.

    Attributes:
        run: text, as `vertex(region=us-central1)`, that counts for this run alone.
        dags: what `release_dags` was given.
        variable: the text of the Airflow variable.
        connection: gives project and region, as far as the Airflow connection of that name says them; None without
            Airflow.
        environ: the environment.
    """

    run: str = ""
    dags: Where | Engine | None = None
    variable: str = ""
    connection: Callable[[str], Mapping[str, str]] | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


@dataclass(frozen=True, slots=True)
class Named:
    """The address of a registry, and who said it."""

    address: str
    source: str


def registry_of(
    *, run: str = "", dags: str | None = None, variable: str = "", environ: Mapping[str, str] = os.environ
) -> Named | None:
    """The registry that the strongest source names; None if none does. Arguments as in `Said`."""
    said = {
        "the run": run,
        "release_dags": dags or "",
        f"Airflow variable {AIRFLOW_REGISTRY}": variable,
        f"environment {REGISTRY_VARIABLE}": environ.get(REGISTRY_VARIABLE, ""),
    }
    return next((Named(address.strip(), source) for source, address in said.items() if address.strip()), None)


def mlflow_of(
    *, run: str = "", dags: str = "", variable: str = "", environ: Mapping[str, str] = os.environ
) -> Named | None:
    """The MLflow that the strongest source names, as `http://mlflow:5000`; None if none does, or it says "off"."""
    said = {
        "the run": run,
        "release_dags": dags,
        f"Airflow variable {AIRFLOW_MLFLOW}": variable,
        f"environment {MLFLOW_VARIABLE}": environ.get(MLFLOW_VARIABLE, ""),
    }
    named = next((Named(address.strip(), source) for source, address in said.items() if address.strip()), None)
    return None if named is None or named.address == OFF else named


def where_of(model: Model, said: Said | None = None, *, registry: str) -> Settled[Where]:
    """The place that trains a model, ready to be submitted to.

    Raises:
        UsageError: a source can't be read, something is missing, or the registry can't be reached from there.
    """
    settled = settle_where(model, said or Said())
    check(settled.place, f'Model "{model.name}"', registry)
    return settled


def engine_of(dataset: Dataset, said: Said | None = None, *, registry: str) -> Settled[Engine]:
    """The engine that processes a dataset, ready to be submitted to.

    Raises:
        UsageError: as for `where_of`.
    """
    settled = settle_engine(dataset, said or Said())
    check(settled.place, f'Dataset "{dataset.name}"', registry)
    return settled


def settle_where(model: Model, said: Said) -> Settled[Where]:
    """As `where_of`, with what is missing left open (`UsageError` if a source can't be read)."""
    layers = (
        Layer("the run", _read(parse_where, said.run, "the run")),
        Layer(f'Model "{model.name}"', model.where),
        *_around(said, WHERE_VARIABLE, AIRFLOW_WHERE, parse_where),
    )
    return _with_defaults(layers, said, Local(), {"machine": DEFAULT_MACHINE})


def settle_engine(dataset: Dataset, said: Said) -> Settled[Engine]:
    """As `engine_of`, with what is missing left open (`UsageError` if a source can't be read)."""
    layers = (
        Layer("the run", _read(parse_engine, said.run, "the run")),
        Layer(f'Dataset "{dataset.name}"', dataset.engine),
        *_around(said, ENGINE_VARIABLE, AIRFLOW_ENGINE, parse_engine),
    )
    return _with_defaults(layers, said, Direct(), {})


def check(place: Where | Engine, whose: str, registry: str) -> None:
    """Refuse a place that lacks what it needs, or from which the registry can't be reached (`UsageError`)."""
    check_complete(place, whose)
    check_reach(place, whose, registry)


def check_reach(place: Where | Engine, whose: str, registry: str) -> None:
    """Refuse a place whose machines can't open the registry.

    A cloud's job holds that cloud's credentials alone, so that its registry is in the same cloud. Workers of a cluster
    may share a folder with the process that asks, but no memory.

    Raises:
        UsageError: says which registries would do.
    """
    kind = Address.parse(registry).kind
    if isinstance(place, Vertex | Dataflow) and kind is not Kind.GCS:
        cloud = "Vertex AI" if isinstance(place, Vertex) else "Dataflow"
        why = f"A job of {cloud} holds Google's credentials alone: the registry has to be gs://bucket/prefix"
    elif isinstance(place, Portable | Flink) and place.environment not in (None, "LOOPBACK") and kind is Kind.MEMORY:
        why = "Workers in other processes share no memory: the registry has to be a shared folder or a bucket"
    else:
        return
    here = "local()" if isinstance(place, Vertex) else "direct()"
    raise UsageError(
        f'{whose}: registry "{registry}" ({kind.value}) can\'t be reached from {place}, and nothing was submitted.'
        f" {why}. Name such a registry, or say {here}; `lockstep config` shows what is said where."
    )


def address_for_job(registry: str) -> str:
    """The address by which a job opens the registry: without the Airflow connection, which the job does not have."""
    address = Address.parse(registry)
    return registry if address.connection is None else registry.replace(f"//{address.connection}@", "//", 1)


def _around(said: Said, variable: str, airflow: str, parse: Callable[[str], Any]) -> tuple[Layer, ...]:
    """The sources that count for all models, or for all datasets."""
    try:
        environment = environment_layers(variable, said.environ)
    except UsageError as error:
        raise UsageError(f"Environment {variable}: {error}") from None
    source = f"Airflow variable {airflow}"
    return (Layer("release_dags", said.dags), Layer(source, _read(parse, said.variable, source)), *environment)


def _with_defaults(layers: tuple[Layer, ...], said: Said, default: Place, settings: Mapping[str, str]) -> Settled[Any]:
    """What the layers say; a place in a cloud also by the connection that somebody names, or the usual one."""
    found = settle(layers, default)
    if said.connection is not None and "connection" in {item.name for item in fields(found.place)}:
        name = found.place.connection or DEFAULT_CONNECTION
        layers += (Layer(f"connection {name}", settings=said.connection(name)),)
        settings = {**settings, "connection": DEFAULT_CONNECTION}
    return settle((*layers, Layer("default", settings=settings)), default)


def _read(parse: Callable[[str], Any], text: str, source: str) -> Any:  # noqa: ANN401  either family
    if not text.strip():
        return None
    try:
        return parse(text)
    except UsageError as error:
        raise UsageError(f"{source[0].upper()}{source[1:]}: {error}") from None
