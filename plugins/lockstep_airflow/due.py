"""Says that a group is to be retrained, by the event of an asset that starts its retraining.

Rules:
- One event for each thing that it is due about: production, and the newest snapshots. However often it is looked at,
  and by however many runs, what was said is not said again for a day; Airflow's own events are the memory. After a day
  it is said again, since a retraining that was paused, or failed, has not heard it.
- It changes nothing in the registry.
- Besides, a group may be retrained by a schedule of its own.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    BaseOperator,
    Context,
    CronTriggerTimetable,
    DeltaTriggerTimetable,
)
from airflow.sdk.exceptions import AirflowSkipException

from lockstep.errors import DeclarationError
from lockstep.graph import Graph
from lockstep_airflow.assets import due_of
from lockstep_airflow.tasks import open_registry, registry_of_run, reported

AGAIN: Final = timedelta(days=1)


def started_by(schedule: Any, group: str) -> list[Asset] | AssetOrTimeSchedule:  # noqa: ANN401  whatever Airflow takes
    """A schedule for the retraining of a group that is also started where it is due.

    Raises:
        DeclarationError: it is neither a cron text nor a span of time.
    """
    due = [due_of(group)]
    if schedule is None:
        return due
    if isinstance(schedule, str):
        return AssetOrTimeSchedule(timetable=CronTriggerTimetable(schedule, timezone="UTC"), assets=due)
    if isinstance(schedule, timedelta):
        return AssetOrTimeSchedule(timetable=DeltaTriggerTimetable(schedule), assets=due)
    raise DeclarationError(
        f"release_dags(schedule={schedule!r}): the graph says when to retrain (retrain_when=…), and beside that only a"
        ' cron text, as "@weekly", or a timedelta can start it. Say one, or leave schedule= out.'
    )


class DueOperator(BaseOperator):
    """Looks whether a group is to be retrained; skipped where it is not, or where that was said."""

    template_fields: Sequence[str] = ()
    ui_color = "#fef3c7"

    def __init__(self, *, graph: Graph, group: str, registry: str | None = None, **kwargs: Any) -> None:
        asset = due_of(group)
        super().__init__(inlets=[asset], outlets=[asset], **kwargs)
        self.graph, self.group, self.registry = graph, group, registry
        self.found: dict[str, Any] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Look, and say it once."""
        from lockstep.monitoring import look  # scikit-learn comes with it

        with reported():
            found = look(open_registry(self.registry, registry_of_run(context)), self.graph, self.group)
        self.log.info("%s", found.as_text())
        if not found.is_due:
            raise AirflowSkipException(found.says)
        asset = due_of(self.group)
        if _was_said(context["inlet_events"][asset], found.about, datetime.now(UTC)):
            raise AirflowSkipException(f"{found.says} That was said before: see the events of asset {asset.name}.")
        self.found = found.as_json()
        context["outlet_events"][asset].extra = self.found
        return self.found


def _was_said(events: Any, about: str, now: datetime) -> bool:  # noqa: ANN401  Airflow's sequence has no public type
    """Whether the last event is about the same, and not old; those that others sent are about nothing known here."""
    if not len(events):
        return False
    last = events[-1]
    return bool(last.extra.get("about") == about and now - last.timestamp < AGAIN)
