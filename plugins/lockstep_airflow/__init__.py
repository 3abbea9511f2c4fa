"""Lockstep in Airflow: `release_dags` turns a graph of declarations into DAGs."""

from lockstep_airflow.dags import release_dags

__all__ = ["release_dags"]
