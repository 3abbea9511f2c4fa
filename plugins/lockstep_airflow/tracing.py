"""Spans of what our tasks do, as children of the span that Airflow has for the task, where its traces are on.

Rules:
- Where Airflow's `[traces] otel_on` is off, nothing is made: OpenTelemetry's own interface does nothing then.
- A span says group, dataset, model or threshold, and what came out; never data.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from airflow.sdk.exceptions import AirflowSkipException
from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode

PREFIX: Final = "lockstep"
_NAMES: Final = ("dataset", "model", "threshold", "group")


@contextmanager
def part(task: Any) -> Iterator[Span]:  # noqa: ANN401  any operator of ours
    """A span around the work of an operator, as `lockstep.train`; an error that passes is recorded in it."""
    said = {}
    for name in _NAMES:
        value = getattr(task, name, None)
        if value is not None:
            said[f"{PREFIX}.{name}"] = str(getattr(value, "name", value))
    what = type(task).__name__.removesuffix("Operator").removesuffix("Sensor").lower()
    tracer = trace.get_tracer(PREFIX)
    with tracer.start_as_current_span(
        f"{PREFIX}.{what}", attributes=said, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except AirflowSkipException as skipped:
            span.set_attribute(f"{PREFIX}.skipped", str(skipped))
            raise
        except Exception as error:
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, str(error)))
            raise


def say(span: Span, found: dict[str, Any]) -> None:
    """Add what came out: numbers, texts and truth values, of which there are few."""
    for name, value in found.items():
        if isinstance(value, str | int | float):
            span.set_attribute(f"{PREFIX}.{name}", value)
