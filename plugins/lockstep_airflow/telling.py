"""Lets the tasks of a group's DAGs tell their news, as `release_dags(notify=…)` says.

Rules:
- Who is told is called behind the task's success (`on_success_callback`): Airflow knows of it by then, and what comes
  next is scheduled. Only a gate that stays closed tells it in between, and waits on.
- What a file has given the tasks itself stays, and comes first.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from airflow.sdk import DAG, BaseOperator, Context

from lockstep_airflow import news
from lockstep_airflow.due import DueOperator
from lockstep_airflow.gate import GateSensor
from lockstep_airflow.news import News
from lockstep_airflow.notices import Moment, Notice, tell
from lockstep_airflow.operators import LockstepOperator, ReleaseOperator, RollbackOperator


def let_tell(dag: DAG, notices: Sequence[Notice]) -> DAG:
    """Give each task that has news somebody to tell it to."""
    for task in dag.tasks:
        told_by = next((told for kind, told in _NEWS.items() if isinstance(task, kind)), None)
        if not notices or told_by is None:
            continue
        if isinstance(task, GateSensor):
            task.notices = tuple(notices)
        own = cast("Sequence[Any]", task.on_success_callback)  # Airflow has made a list of whatever it was given
        task.on_success_callback = [*own, _callback(told_by, notices)]
    return dag


def _callback(
    told_by: Callable[[BaseOperator, Context], Iterator[News]], notices: Sequence[Notice]
) -> Callable[[Context], None]:
    def call(context: Context) -> None:
        task = cast("BaseOperator", context["task"])
        wanted = {moment for notice in notices for moment in notice.moments}
        for one in told_by(task, context):
            if Moment(one.moment) in wanted:
                tell(notices, one, context, task.log)

    return call


def _of_gate(task: BaseOperator, context: Context) -> Iterator[News]:
    if isinstance(task, GateSensor) and task.verdict is not None:
        yield news.gate_opened(context, task.verdict)


def _of_release(task: BaseOperator, context: Context) -> Iterator[News]:
    if isinstance(task, LockstepOperator) and task.done is not None:
        yield news.released(context, task.done.registry, task.done.found, task.done.origin)


def _of_rollback(task: BaseOperator, context: Context) -> Iterator[News]:
    if isinstance(task, LockstepOperator) and task.done is not None:
        yield news.rolled_back(context, task.done.registry, task.done.found, task.done.origin)


def _of_due(task: BaseOperator, context: Context) -> Iterator[News]:
    if isinstance(task, DueOperator) and task.found is not None:
        found = task.found
        yield news.due(context, Moment.DUE, found)
        if any(answer["met"] and answer["condition"].startswith("drift(") for answer in found["answers"]):
            yield news.due(context, Moment.DRIFT, found)


_NEWS: dict[type[BaseOperator], Callable[[BaseOperator, Context], Iterator[News]]] = {
    GateSensor: _of_gate,
    ReleaseOperator: _of_release,
    RollbackOperator: _of_rollback,
    DueOperator: _of_due,
}
