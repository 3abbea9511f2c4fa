"""What a trigger does when its task was killed: it cancels the job in the cloud, and only then.

Rules:
- A task that still waits was not killed: another triggerer has taken it over, and its job goes on.
- Airflow cuts a trigger's `on_kill` short when it is slow or is told twice. What was begun there goes on all the same.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from asgiref.sync import sync_to_async

_going_on: Final[set[asyncio.Task[None]]] = set()  # the loop holds tasks weakly


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do the work, whether or not somebody waits for it to the end."""
    task = asyncio.create_task(work)
    _going_on.add(task)
    task.add_done_callback(_going_on.discard)
    await asyncio.shield(task)


async def is_waiting(ti: Any) -> bool:  # noqa: ANN401  what Airflow gives to a trigger
    """Whether the task of a trigger is still deferred; not so where the trigger belongs to no task."""
    if ti is None:
        return False
    states = await sync_to_async(RuntimeTaskInstance.get_task_states)(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
    )
    return bool(states.get(ti.run_id, {}).get(ti.task_id) == "deferred")
