"""Lockstep's entry in Airflow's list of plugins: the operators' links, and the web UI with its places."""

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
        """The answers and the files of the web UI, at /lockstep."""
        from lockstep_airflow.ui.app import create_app

        return [{"app": create_app(), "url_prefix": "/lockstep", "name": "Lockstep"}]

    @cached_property
    def react_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # as above
        """The places where Airflow shows the web UI."""
        from lockstep_airflow.ui.places import places

        return places()
