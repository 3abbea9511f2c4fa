"""What Airflow's REST API answers, as values.

Rules:

* A value is what Airflow said at one moment; it never changes and never asks again.
* All times carry their time zone.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

__all__ = ["Asset", "AssetEvent", "Dag", "ImportFailure", "Run", "TaskInstance", "log_line", "moment"]

FINISHED = frozenset({"success", "failed"})
SHOWN_FIRST = frozenset({"event", "timestamp", "level", "logger"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dag:
    """A DAG that the DAG processor has parsed."""

    dag_id: str
    is_paused: bool
    parsed_at: datetime | None

    @classmethod
    def read(cls, found: dict[str, Any]) -> Self:
        """From one element of an answer."""
        return cls(dag_id=found["dag_id"], is_paused=found["is_paused"], parsed_at=_time(found["last_parsed_time"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFailure:
    """A DAG file that can't be imported, with the stack trace."""

    file: str
    trace: str
    at: datetime

    @classmethod
    def read(cls, found: dict[str, Any]) -> Self:
        """From one element of an answer."""
        return cls(file=found["filename"], trace=found["stack_trace"], at=moment(found["timestamp"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A DAG run as it was when asked for; `queued_at` may be missing in runs that never queued."""

    dag_id: str
    run_id: str
    state: str
    run_type: str
    conf: dict[str, Any]
    queued_at: datetime | None
    start: datetime | None
    end: datetime | None

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, well or badly."""
        return self.state in FINISHED

    @classmethod
    def read(cls, found: dict[str, Any]) -> Self:
        """From one element of an answer."""
        return cls(
            dag_id=found["dag_id"],
            run_id=found["dag_run_id"],
            state=found["state"],
            run_type=found["run_type"],
            conf=found["conf"] or {},
            queued_at=_time(found["queued_at"]),
            start=_time(found["start_date"]),
            end=_time(found["end_date"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInstance:
    """A task of a run as it was when asked for; `state` is None until the scheduler has looked at it."""

    task_id: str
    state: str | None
    try_number: int
    map_index: int
    hostname: str | None
    pid: int | None
    scheduled_at: datetime | None
    queued_at: datetime | None
    start: datetime | None
    end: datetime | None

    @classmethod
    def read(cls, found: dict[str, Any]) -> Self:
        """From one element of an answer."""
        return cls(
            task_id=found["task_id"],
            state=found["state"],
            try_number=found["try_number"],
            map_index=found["map_index"],
            hostname=found["hostname"],
            pid=found["pid"],
            scheduled_at=_time(found["scheduled_when"]),
            queued_at=_time(found["queued_when"]),
            start=_time(found["start_date"]),
            end=_time(found["end_date"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """An asset that DAGs write or wait for; `asset_id` is Airflow's number for it."""

    asset_id: int
    name: str
    uri: str

    @classmethod
    def read(cls, found: dict[str, Any]) -> Self:
        """From one element of an answer."""
        return cls(asset_id=found["id"], name=found["name"], uri=found["uri"])


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetEvent:
    """One event of an asset, and the run that it came from."""

    name: str
    uri: str
    extra: dict[str, Any]
    at: datetime
    source_dag_id: str | None
    source_run_id: str | None
    source_task_id: str | None
    created_runs: tuple[str, ...]

    @classmethod
    def read(cls, found: dict[str, Any]) -> Self:
        """From one element of an answer."""
        return cls(
            name=found["name"] or "",
            uri=found["uri"] or "",
            extra=found["extra"] or {},
            at=moment(found["timestamp"]),
            source_dag_id=found["source_dag_id"],
            source_run_id=found["source_run_id"],
            source_task_id=found["source_task_id"],
            created_runs=tuple(run["run_id"] for run in found["created_dagruns"]),
        )


def moment(text: str) -> datetime:
    """A time as the API writes it."""
    return datetime.fromisoformat(text)


def log_line(message: str | dict[str, Any]) -> str:
    """One line for a log message: time, level, event, and the fields that are not empty."""
    if isinstance(message, str):
        return message
    fields = {name: value for name, value in message.items() if name not in SHOWN_FIRST and value}
    shown = " ".join(f"{name}={json.dumps(value, default=str, ensure_ascii=False)}" for name, value in fields.items())
    return " ".join(
        part for part in (message.get("timestamp") or "", message.get("level") or "", message["event"], shown) if part
    )


def _time(text: str | None) -> datetime | None:
    return moment(text) if text else None
