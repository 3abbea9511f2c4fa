"""Fields of the forms of DAGs: what to train and where, on which engine to process, in which registry, and why.

Rules:
- A blank field says nothing: whatever else is said counts, in the one order of `lockstep.switch`. It may be null, too:
  Airflow's form takes a field that may not for one that has to be filled in.
- What can't be read is refused by the form, and by Airflow's API with status 400, before a task starts.
"""

from typing import Final

from airflow.sdk import Param

from lockstep.places import engine_pattern, where_pattern
from lockstep.switch import AIRFLOW_ENGINE, AIRFLOW_REGISTRY, AIRFLOW_WHERE
from lockstep_airflow.tasks import WHY

# No password, token or query: an address holds no secret.
_REGISTRY: Final = r"^\s*((file://)?/[^?#]*|(gs|s3|az|abfss?|https)://([\w.-]+@)?[\w.$-]+(/[^?#@:\s]*)?)?\s*$"
_ORDER: Final = "Blank: as declared, else as given to release_dags, by Airflow's variable {} or by the environment."


def registry_field() -> dict[str, Param]:
    """Another registry, for one run."""
    order = "Blank: as given to release_dags, by Airflow's variable {} or by the environment."
    return {
        "registry": Param(
            None,
            type=["null", "string"],
            pattern=_REGISTRY,
            title="Registry",
            description=f"For this run alone, as gs://bucket/prefix. {order.format(AIRFLOW_REGISTRY)}",
        )
    }


def reason_field() -> dict[str, Param]:
    """Why somebody does it; blank: the note of the run."""
    return {
        WHY: Param(
            None, type=["null", "string"], title="Why", description="Kept in the registry's log, with your name."
        )
    }


def needed_reason_field() -> dict[str, Param]:
    """Why somebody does it, which has to be said."""
    return {WHY: Param(type="string", pattern=r"\S", title="Why", description="Kept in the registry's log.")}


def training_fields(models: list[str]) -> dict[str, Param]:
    """What a retraining may be asked for."""
    return {
        "models": Param(
            models,
            type="array",
            minItems=1,
            items={"type": "string", "enum": models},
            examples=models,
            title="Models",
            description="Which models to train, each with its thresholds.",
        ),
        "parameters": Param(
            {},
            type="object",
            title="Parameters",
            description=f'For the estimators, by model: {{"{models[0]}": {{"name": value}}}}.',
            additionalProperties=False,
            properties={name: {"type": "object"} for name in models},
        ),
        "force": Param(
            default=False, type="boolean", title="Force", description="Train even if this recipe has been trained."
        ),
        "promote": Param(
            default=False, type="boolean", title="Promote", description="Move what was trained to staging."
        ),
    }


def place_fields() -> dict[str, Param]:
    """Where models are trained and datasets are processed, for one run."""
    return {
        "where": Param(
            None,
            type=["null", "string"],
            pattern=where_pattern(),
            examples=["local", "vertex", "vertex(region=us-central1, machine=n2-standard-8)"],
            title="Where to train",
            description=f"For this run alone: local, or vertex(setting=value, …). {_ORDER.format(AIRFLOW_WHERE)}",
        ),
        "engine": Param(
            None,
            type=["null", "string"],
            pattern=engine_pattern(),
            examples=["direct", "flink(master=host:8081)", "dataflow(region=us-central1, temp=gs://bucket/temp)"],
            title="Engine for data",
            description=(
                "For this run alone: direct, or portable, flink or dataflow with (setting=value, …)."
                f" {_ORDER.format(AIRFLOW_ENGINE)}"
            ),
        ),
    }
