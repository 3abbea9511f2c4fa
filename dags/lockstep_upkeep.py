"""The DAGs that look after the registry: `lockstep_verify` every day, `lockstep_retain` every week."""

from lockstep_airflow import upkeep_dags

globals().update(upkeep_dags())
