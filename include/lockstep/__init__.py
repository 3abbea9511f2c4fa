"""Lockstep keeps machine-learning models that share data in step.

These are the names to declare with; the rest is in the packages `registry`, `data`, `training`, `decisions`, `release`,
`serving` and `cli`. Importing this package is cheap: no polars, scikit-learn, Beam or Airflow comes with it.
"""

from lockstep.ask import decider
from lockstep.checks import (
    between,
    blanks,
    fresh,
    hard,
    matches,
    one_of,
    quarantined,
    rows_change,
    satisfies,
    soft,
    unique,
)
from lockstep.conditions import flip_rate, split_rate
from lockstep.declare import Api, Dataset, Model, Threshold, at_least, at_most, by_hash, row_wise
from lockstep.graph import Graph
from lockstep.places import dataflow, direct, flink, local, portable, vertex
from lockstep.policy import (
    capacity_per_day,
    cost_matrix,
    fixed,
    maximise_f_beta,
    minimise_cost,
    precision_at_least,
    recall_at_least,
    refer_unsure,
    top_fraction,
    two_sided,
)
from lockstep.retraining import age, all_of, any_of, decision_rate_moves, drift, rows_added
from lockstep.source import bigquery, csv, parquet

__all__ = [
    "Api",
    "Dataset",
    "Graph",
    "Model",
    "Threshold",
    "age",
    "all_of",
    "any_of",
    "at_least",
    "at_most",
    "between",
    "bigquery",
    "blanks",
    "by_hash",
    "capacity_per_day",
    "cost_matrix",
    "csv",
    "dataflow",
    "decider",
    "decision_rate_moves",
    "direct",
    "drift",
    "fixed",
    "flink",
    "flip_rate",
    "fresh",
    "hard",
    "local",
    "matches",
    "maximise_f_beta",
    "minimise_cost",
    "one_of",
    "parquet",
    "portable",
    "precision_at_least",
    "quarantined",
    "recall_at_least",
    "refer_unsure",
    "row_wise",
    "rows_added",
    "rows_change",
    "satisfies",
    "soft",
    "split_rate",
    "top_fraction",
    "two_sided",
    "unique",
    "vertex",
]
__version__ = "0.3.0"
