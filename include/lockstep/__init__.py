"""Lockstep keeps machine-learning models that share data in step.

These are the names to declare with; the rest is in the packages `registry`, `data`, `training`, `decisions`, `release`,
`serving` and `cli`. Importing this package is cheap: no polars, scikit-learn, Beam or Airflow comes with it.
"""

from lockstep.declare import Api, Dataset, Model, Threshold, at_least, at_most, by_hash, csv, parquet
from lockstep.graph import Graph
from lockstep.policy import fixed, minimise_cost, precision_at_least, recall_at_least, top_fraction

__all__ = [
    "Api",
    "Dataset",
    "Graph",
    "Model",
    "Threshold",
    "at_least",
    "at_most",
    "by_hash",
    "csv",
    "fixed",
    "minimise_cost",
    "parquet",
    "precision_at_least",
    "recall_at_least",
    "top_fraction",
]
__version__ = "0.1.0"
