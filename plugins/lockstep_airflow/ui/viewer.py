"""Who asks, and what that user may see and do, by Airflow's own rules.

Rules:
- A group is seen by whoever may read its DAG `<group>_release`; a group that may not be seen is not there.
- What is said to be allowed is what Airflow's own API will check: starting a run of that DAG, answering that question.
- What the auth manager said is kept for `KEPT` seconds, for exactly this user with exactly these rights.
"""

import json
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Annotated, Any, Final, TypeVar, cast

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends

from lockstep_airflow.ui.declarations import Declaration
from lockstep_airflow.ui.surroundings import Question

T = TypeVar("T")
KEPT: Final = 1.0  # seconds
_MOST: Final = 1_000  # answers of the auth manager that are kept


class Viewer:
    """A user, with the teams of the DAGs."""

    def __init__(self, user: BaseUser) -> None:
        self._user = user
        self._manager = get_auth_manager()
        self._who = json.dumps(self._manager.serialize_user(user), sort_keys=True, default=str)

    def readable(self) -> frozenset[str]:
        """The DAGs that the user may read."""
        return _asked(
            (self._who, "read"),
            lambda: frozenset(self._manager.get_authorized_dag_ids(user=self._user, method="GET")),
        )

    def may_read(self, group: Declaration) -> bool:
        """Whether the user may see a group."""
        return group.dag_id in self.readable()

    def may_run(self, dag_ids: Iterable[str], teams: Mapping[str, str | None]) -> tuple[bool, ...]:
        """For each DAG, whether the user may start it."""
        ids = tuple(dag_ids)
        return _asked((self._who, "run", ids), lambda: tuple(self._may(one, "POST", "RUN", teams) for one in ids))

    def may_answer(self, question: Question, teams: Mapping[str, str | None]) -> tuple[bool, str]:
        """Whether the user may answer a question, and why not; as Airflow itself looks at it."""
        key = (self._who, "answer", question.dag_id, question.assigned)
        return _asked(key, lambda: self._may_answer(question, teams))

    def _may_answer(self, question: Question, teams: Mapping[str, str | None]) -> tuple[bool, str]:
        if not self._may(question.dag_id, "PUT", "HITL_DETAIL", teams):
            return False, f"You may not answer for {question.dag_id}. Ask for the right to edit its required actions."
        if question.assigned and not self._manager.is_authorized_hitl_task(
            assigned_users=set(question.assigned), user=self._user
        ):
            return False, f"Only {', '.join(sorted(question.assigned))} may answer."
        return True, ""

    def _may(self, dag_id: str, method: Any, entity: str, teams: Mapping[str, str | None]) -> bool:  # noqa: ANN401  a literal
        return self._manager.is_authorized_dag(
            method=method,
            access_entity=DagAccessEntity[entity],
            details=DagDetails(id=dag_id, team_name=teams.get(dag_id)),
            user=self._user,
        )


def viewer(user: Annotated[BaseUser, Depends(get_user)]) -> Viewer:
    """Whoever asks, who has to be logged in."""
    return Viewer(user)


ViewerDep = Annotated[Viewer, Depends(viewer)]

_answers: dict[Hashable, tuple[float, object]] = {}
_lock = threading.Lock()


def _asked(key: Hashable, ask: Callable[[], T]) -> T:
    now = time.monotonic()
    with _lock:
        at, kept = _answers.get(key, (float("-inf"), None))
    if now - at < KEPT:
        return cast("T", kept)
    answer = ask()
    with _lock:
        if len(_answers) >= _MOST:
            _answers.clear()
        _answers[key] = now, answer
    return answer
