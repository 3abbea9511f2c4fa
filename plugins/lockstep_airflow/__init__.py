"""Lockstep in Airflow: `release_dags` turns a graph of declarations into DAGs, `upkeep_dags` looks after the registry.

Every Airflow process loads the plugin, and with it this package: what DAGs are made of is imported when asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lockstep_airflow.asking import by_hand
    from lockstep_airflow.dags import release_dags
    from lockstep_airflow.notices import blocked, on
    from lockstep_airflow.upkeep import upkeep_dags
    from lockstep_airflow.watch import every

__all__ = ["blocked", "by_hand", "every", "on", "release_dags", "upkeep_dags"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever the module has
    if name == "by_hand":
        from lockstep_airflow import asking

        return asking.by_hand
    if name == "every":
        from lockstep_airflow import watch

        return watch.every
    if name in ("blocked", "on"):
        from lockstep_airflow import notices

        return getattr(notices, name)
    if name == "release_dags":
        from lockstep_airflow import dags

        return dags.release_dags
    if name == "upkeep_dags":
        from lockstep_airflow import upkeep

        return upkeep.upkeep_dags
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
