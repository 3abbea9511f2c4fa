"""An auth manager that knows rights on single DAGs, as large sites have it: the simple one, with exceptions by name."""

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

CLOSED = {"vic": "secret_", "bob": "secret_"}  # user → the beginning of the DAGs that are not there for them
NO_RUNS = {"bob": "churn_rollback"}  # user → a DAG that they may not start


class ByDag(SimpleAuthManager):
    """Roles, and what single users may not do."""

    def is_authorized_dag(self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None) -> bool:  # noqa: ANN401  Airflow's types
        """As the role says, but for the exceptions."""
        name = details.id if details is not None else None
        if name is not None and name.startswith(CLOSED.get(user.username, "/")):
            return False
        if method == "POST" and name is not None and name == NO_RUNS.get(user.username):
            return False
        return bool(super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details))
