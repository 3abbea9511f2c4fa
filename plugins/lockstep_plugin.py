"""Lockstep's entry in Airflow's list of plugins: the operators' links and the page of a version."""

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from lockstep_airflow.links import DataflowJobLink, VersionLink, VertexJobLink


class LockstepPlugin(AirflowPlugin):
    """Imported in every Airflow process, so it imports next to nothing; only the API server builds the web app."""

    name = "lockstep"
    operator_extra_links = [VersionLink(), VertexJobLink(), DataflowJobLink()]  # noqa: RUF012  the form that Airflow reads

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # Airflow reads an attribute
        """The page of a version, at /lockstep."""
        from lockstep_airflow.web import create_app

        return [{"app": create_app(), "url_prefix": "/lockstep", "name": "Lockstep"}]
