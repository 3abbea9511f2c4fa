"""What Airflow lists under Providers when the wheel is installed."""

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Name, description, links and commands of the package."""
    return {
        "package-name": "airflow-provider-lockstep",
        "name": "Lockstep",
        "description": "Keeps machine-learning models that share data in step.",
        "extra-links": [
            f"lockstep_airflow.links.{name}Link" for name in ("Version", "VertexJob", "DataflowJob", "Endpoints")
        ],
        "cli": ["lockstep_airflow.commands.get_commands"],
    }
