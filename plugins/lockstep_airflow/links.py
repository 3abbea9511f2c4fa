"""The links from a task: to the version or release that it made, and to what it has to do with in the cloud."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


def page_of(ref: str) -> str:
    """The address of a version's page in this Airflow."""
    from airflow.sdk.configuration import conf

    base = str(conf.get("api", "base_url", fallback="http://localhost:8080/")).rstrip("/")
    return f"{base}/plugin/lockstep/versions/{quote(ref)}"


class VersionLink(BaseOperatorLink):
    """Opens the page of the version; empty where the task made none."""

    name = "Lockstep version"

    def get_link(self, operator: "BaseOperator", *, ti_key: Any) -> str:  # noqa: ANN401, ARG002  Airflow's signature
        """Airflow asks in the task's own process, after `execute`."""
        ref = getattr(operator, "made", "")
        return page_of(ref) if ref else ""


class VertexJobLink(BaseOperatorLink):
    """Opens the job's page in Google's console; empty where the task has none."""

    name = "Vertex AI job"

    def get_link(self, operator: "BaseOperator", *, ti_key: Any) -> str:  # noqa: ANN401, ARG002  Airflow's signature
        """Airflow asks in the task's own process, when it waits and when it ends."""
        return str(getattr(operator, "job_page", ""))


class DataflowJobLink(BaseOperatorLink):
    """Opens the job's page in Google's console; empty where the task has none."""

    name = "Dataflow job"

    def get_link(self, operator: "BaseOperator", *, ti_key: Any) -> str:  # noqa: ANN401, ARG002  Airflow's signature
        """Airflow asks in the task's own process, when it waits and when it ends."""
        return str(getattr(operator, "job_page", ""))


class EndpointsLink(BaseOperatorLink):
    """Opens the endpoints of the region in Google's console."""

    name = "Vertex AI endpoints"

    def get_link(self, operator: "BaseOperator", *, ti_key: Any) -> str:  # noqa: ANN401, ARG002  Airflow's signature
        """Airflow asks in the task's own process, after `execute`."""
        return str(getattr(operator, "endpoints_page", ""))
