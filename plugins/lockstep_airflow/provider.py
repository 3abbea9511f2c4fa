"""What Airflow lists under Providers when the wheel is installed."""

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Name, description and links of the package."""
    return {
        "package-name": "airflow-provider-lockstep",
        "name": "Lockstep",
        "description": "Keeps machine-learning models that share data in step.",
        "extra-links": ["lockstep_airflow.links.VersionLink"],
    }
