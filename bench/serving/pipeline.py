"""The churn pipeline's parts, as plain values: MLflow's environment has neither polars nor the project."""

from typing import Any

from groups.churn import CHOICES, FLAGS, NUMBERS, SERVICES

NUMERIC = [*NUMBERS, *FLAGS]
WORDS = [*CHOICES, *SERVICES, "Contract"]


def as_json() -> dict[str, Any]:
    """For `mlflow_child`."""
    return {"numeric": NUMERIC, "words": WORDS}
