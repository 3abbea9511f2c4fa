"""Says that a group is to be retrained, by the event of an asset that starts its retraining.

Rules:
- One event for each thing that it is due about: production, and the newest snapshots. However often it is looked at,
  and by however many runs, what was said already is not said again; Airflow's own events are the memory.
- Where each model has a version on the newest snapshots, nothing is started: somebody has to look at those.
- It changes nothing in the registry.
"""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from lockstep.graph import Graph
from lockstep_airflow.assets import due_of
from lockstep_airflow.tasks import open_registry, registry_of_run, reported


class DueOperator(BaseOperator):
    """Looks whether a group is to be retrained; skipped where it is not, or where that was said."""

    template_fields: Sequence[str] = ()
    ui_color = "#fef3c7"

    def __init__(self, *, graph: Graph, group: str, registry: str | None = None, **kwargs: Any) -> None:
        asset = due_of(group)
        super().__init__(inlets=[asset], outlets=[asset], **kwargs)
        self.graph, self.group, self.registry = graph, group, registry

    def execute(self, context: Context) -> dict[str, Any]:
        """Look, and say it once."""
        from lockstep.monitoring import look  # scikit-learn comes with it

        with reported():
            found = look(open_registry(self.registry, registry_of_run(context)), self.graph, self.group)
        self.log.info("%s", found.as_text())
        if not found.is_due:
            raise AirflowSkipException(found.says)
        if found.trained:
            made = ", ".join(found.trained)
            raise AirflowSkipException(f"{made} were trained on {', '.join(found.snapshots)}: promote what is good.")
        asset = due_of(self.group)
        if found.about in _said(context["inlet_events"][asset]):
            raise AirflowSkipException("That it is to be retrained for this was said before; see the asset's events.")
        context["outlet_events"][asset].extra = found.as_json()
        return found.as_json()


def _said(events: Any) -> list[str]:  # noqa: ANN401  Airflow's sequence has no public type
    """What the last event was about; events from elsewhere, as a person's, are about nothing that is known here."""
    last = events[-1:] if len(events) else []
    return [str(event.extra.get("about", "")) for event in last]
