"""The team's code: workers in the cloud find `clean_guests` by its name."""

from typing import TYPE_CHECKING, Any

from lockstep import Api, Dataset, Graph, Model, Threshold, csv, recall_at_least
from tests.dataflow.ages import OLDEST

if TYPE_CHECKING:
    import polars as pl


def clean_guests(rows: "pl.DataFrame") -> "pl.DataFrame":
    """Leave out who is too old to be true."""
    return rows.filter(rows["age"] <= OLDEST)


def grown_up() -> Any:  # noqa: ANN401  a schema of pandera
    """Say that guests are grown up."""
    import pandera.polars as pa

    return pa.DataFrameSchema({"age": pa.Column(int, pa.Check.ge(18))})


def dataset() -> Dataset:
    """Guests, in the folder that LOCKSTEP_DATA names."""
    columns = {"age": int, "stays": bool}
    return Dataset("guests", source=csv("guests/*.csv"), key="name", columns=columns, clean=clean_guests)


def graph_of(guests: Dataset) -> Graph:
    """The smallest graph that holds a dataset."""
    model = Model("stays", data=guests, target="stays", estimator=dataset)
    return Graph([Api("door", decides=[Threshold("welcome", model=model, choose=recall_at_least(0.5))])])
