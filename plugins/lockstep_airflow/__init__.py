"""Lockstep in Airflow: `release_dags` turns a graph of declarations into DAGs.

Every Airflow process loads the plugin, and with it this package: what DAGs are made of is imported when asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lockstep_airflow.dags import release_dags

__all__ = ["release_dags"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever the module has
    if name in __all__:
        from lockstep_airflow import dags

        return getattr(dags, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
