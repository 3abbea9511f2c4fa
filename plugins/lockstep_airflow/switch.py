"""The switch when a task runs: `lockstep.switch`, with what only Airflow knows.

Rules:
- The variable and the connection are asked for when a task runs, by Airflow's own ways (secrets backends, environment,
  database), never when a DAG file is parsed.
- A connection is asked only if a place in a cloud was chosen; nothing but its project and region is read.
"""

from collections.abc import Mapping

from airflow.sdk import Connection, Variable
from airflow.sdk.exceptions import AirflowNotFoundException

from lockstep import switch
from lockstep.declare import Dataset, Model
from lockstep.errors import UsageError
from lockstep.places import Engine, Settled, Where
from lockstep.switch import AIRFLOW_ENGINE, AIRFLOW_WHERE, Said

_TYPE = "google_cloud_platform"


def where_of(model: Model, *, run: str = "", dags: Where | None = None, registry: str) -> Settled[Where]:
    """The place that trains a model, complete and with the registry in reach; call it when a task runs.

    Args:
        model: the declaration.
        run: what the run's form says; blank: nothing.
        dags: what `release_dags` was given.
        registry: the registry's address.

    Raises:
        UsageError: a source can't be read, something is missing, or the registry can't be reached from there.
    """
    return switch.where_of(model, said(AIRFLOW_WHERE, run, dags), registry=registry)


def engine_of(dataset: Dataset, *, run: str = "", dags: Engine | None = None, registry: str) -> Settled[Engine]:
    """The engine that processes a dataset; arguments and errors as for `where_of`."""
    return switch.engine_of(dataset, said(AIRFLOW_ENGINE, run, dags), registry=registry)


def said(variable: str, run: str = "", dags: Where | Engine | None = None) -> Said:
    """What a run, its DAG file and Airflow say."""
    return Said(run=run, dags=dags, variable=Variable.get(variable, default=None) or "", connection=google_settings)


def google_settings(name: str) -> Mapping[str, str]:
    """Project and region, as far as a connection to Google Cloud says them.

    Raises:
        UsageError: there is no such connection, or it is of another type.
    """
    try:
        connection = Connection.get(name)
    except AirflowNotFoundException:
        raise UsageError(
            f'Airflow has no connection "{name}", by which jobs on Google Cloud are submitted. Add it (type {_TYPE}),'
            " or name another one, as vertex(connection=…) or dataflow(connection=…)."
        ) from None
    if connection.conn_type != _TYPE:
        raise UsageError(f'Connection "{name}" is of type "{connection.conn_type}"; it has to be "{_TYPE}".')
    extra = connection.extra_dejson
    found = {
        setting: str(extra.get(setting) or extra.get(f"extra__{_TYPE}__{setting}") or "").strip()
        for setting in ("project", "region")
    }
    return {setting: value for setting, value in found.items() if value}
