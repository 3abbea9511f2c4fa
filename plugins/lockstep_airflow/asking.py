"""`by_hand(…)`: that a person approves each release, and how that person is asked.

Rules:
- A plain value that costs nothing at parse time: what asks the person is imported by the DAG that asks, and only there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from lockstep.errors import DeclarationError


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """Who may answer (nobody named: whoever may by Airflow's permissions), for how long it is asked, who is told."""

    assigned_users: tuple[str, ...] = ()
    timeout: timedelta | None = None
    notifiers: tuple[Any, ...] = ()


def by_hand(
    *, assigned_users: Sequence[str] = (), timeout: timedelta | None = None, notifiers: Sequence[Any] = ()
) -> ByHand:
    """A person approves each release, in Airflow's own list of required actions.

    Args:
        assigned_users: ids of the users who may answer, as Airflow's auth manager knows them; by default all who may
            edit the run.
        timeout: how long the answer is waited for; then the run fails, and nothing is recorded. By default for ever.
        notifiers: Airflow's notifiers, called each time somebody is asked.

    Raises:
        DeclarationError: no list of users, or a time that is not positive.
    """
    if isinstance(assigned_users, str) or not all(assigned_users):
        raise DeclarationError(
            f"by_hand(assigned_users={assigned_users!r}): give a list of user ids, for example ['ada']."
        )
    if timeout is not None and timeout <= timedelta(0):
        raise DeclarationError(f"by_hand(timeout={timeout}): the time must be positive, for example timedelta(days=3).")
    return ByHand(assigned_users=tuple(assigned_users), timeout=timeout, notifiers=tuple(notifiers))
