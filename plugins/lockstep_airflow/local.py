"""Airflow's LocalExecutor, whose workers have imported the large libraries before the first task (see `preload`)."""

from importlib import import_module

from airflow.executors.local_executor import LocalExecutor


class PreloadedLocalExecutor(LocalExecutor):
    """Name it in `AIRFLOW__CORE__EXECUTOR=lockstep_airflow.local.PreloadedLocalExecutor`."""

    def start(self) -> None:
        """Import first: workers are forked from the scheduler, and tasks from the workers."""
        import_module("lockstep_airflow.preload")
        super().start()
