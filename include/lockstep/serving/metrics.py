"""What Prometheus is told: counts of all workers together, whichever of them is asked.

Rules:
- Counters survive the worker that counted: the workers of one service share a folder (prometheus_client's
  multi-process mode), and what a dead one counted stays in the sums.
- Names of APIs that don't exist are no labels, so that a client can't make up series.
- A worker that starts makes its file and then writes into it; whoever reads in between reads again.
"""

import struct
import time
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import polars as pl
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from lockstep.serving.board import Board, View

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it when it is imported
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_STATES: Final = ("_waiting_rows", "_loaded")
_WORDS: Final = {True: "yes", False: "no", None: "refer"}
_TRIES, _PAUSE = 40, 0.025  # seconds


class Metrics:
    """The counters of one worker, and the page on which all workers' stand."""

    def __init__(self, board: Board) -> None:
        shared = board.folder is not None
        if shared is not values.ValueClass._multiprocess:  # noqa: SLF001  there is no other way to see it
            raise AssertionError(f"{FOLDER_VARIABLE} is to be set before a worker starts, and for workers alone")
        self._page = CollectorRegistry()
        self._page.register(_Views(board))
        if shared:
            MultiProcessCollector(self._page, path=str(board.folder))  # type: ignore[no-untyped-call]
        own = None if shared else self._page
        self._requests = Counter("lockstep_requests", "Requests for decisions.", ["api", "status"], registry=own)
        self._seconds = Histogram(
            "lockstep_request_seconds", "From the first byte to the answer.", ["api"], registry=own, buckets=_SECONDS
        )
        self._rows = Counter("lockstep_rows", "Rows that were asked about.", ["api", "result"], registry=own)
        self._decisions = Counter(
            "lockstep_decisions", "What was decided; the outcome is yes, no, refer or a class.",
            ["threshold", "outcome"], registry=own,
        )  # fmt: skip
        self._own = own
        self._recorded: dict[str, tuple[Counter, int]] = {}  # what the recorder had counted when it was last asked
        self._known: dict[tuple[Any, ...], Any] = {}  # labels are looked up once, not at each answer

    def answered(self, api: str, status: int, seconds: float) -> None:
        """Count a request; `api` is "" where there is none of that name."""
        self._child(self._requests, api, str(status)).inc()
        if api:
            self._child(self._seconds, api).observe(seconds)

    def refused(self, status: int) -> None:
        """Count a request that did not get as far as an API."""
        self._child(self._requests, "", str(status)).inc()

    def decided(self, api: str, answers: Sequence[Mapping[str, Any]]) -> None:
        """Count the answers of a request."""
        outcomes: dict[tuple[str, Any], int] = {}
        bad = 0
        for answer in answers:
            if "error" in answer:
                bad += 1
                continue
            for threshold, found in answer["decisions"].items():
                pair = (threshold, found["decision"])
                outcomes[pair] = outcomes.get(pair, 0) + 1
        self._rows_of(api, len(answers), bad, outcomes)

    def decided_frame(self, api: str, decided: pl.DataFrame, thresholds: Iterable[str]) -> None:
        """Count what `decide_frame` gave."""
        bad = decided.height - decided.get_column("error").null_count()
        good = decided.filter(pl.col("error").is_null()) if bad else decided
        outcomes = {
            (name, outcome): count for name in thresholds for outcome, count in good[name].value_counts().iter_rows()
        }
        self._rows_of(api, decided.height, bad, outcomes)

    def _rows_of(self, api: str, rows: int, bad: int, outcomes: Mapping[tuple[str, Any], int]) -> None:
        if bad < rows:
            self._child(self._rows, api, "decided").inc(rows - bad)
        if bad:
            self._child(self._rows, api, "refused").inc(bad)
        for (threshold, outcome), count in outcomes.items():
            word = _WORDS[outcome] if isinstance(outcome, bool | None) else str(outcome)
            self._child(self._decisions, threshold, word).inc(count)

    def recorded(self, counts: Mapping[str, int]) -> Mapping[str, int]:
        """Count what a recorder has counted since the last time; what is a state and no count is given back."""
        for name, count in counts.items():
            if name.endswith(_STATES):
                continue
            if name not in self._recorded:
                self._recorded[name] = (Counter(_word(name), _what(name), registry=self._own), 0)
            counter, before = self._recorded[name]
            counter.inc(count - before)
            self._recorded[name] = (counter, count)
        return {name: count for name, count in counts.items() if name.endswith(_STATES)}

    def page(self) -> bytes:
        """Everything, in Prometheus' text format."""
        for _ in range(_TRIES - 1):
            try:
                return generate_latest(self._page)
            except struct.error:  # a file that has no bytes yet
                time.sleep(_PAUSE)
        return generate_latest(self._page)

    def _child(self, metric: Counter | Histogram, *labels: str) -> Any:  # noqa: ANN401  either one's
        key = (metric, *labels)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = metric.labels(*labels)
        return found


class _Views:
    """What the workers know now, as gauges."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def describe(self) -> list[Metric]:
        """Nothing before it is asked for."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The views of all workers that are alive."""
        views = self._board.views()
        workers = GaugeMetricFamily("lockstep_workers", "Processes that answer.")
        workers.add_metric([], len(views))
        yield workers
        yield from _releases(views)
        age = GaugeMetricFamily(
            "lockstep_registry_read_age_seconds", "Since the registry was read by the worker that has not for longest."
        )
        if views:
            age.add_metric([], max(view.age() for view in views))
        yield age
        yield from _recorded(views)


def _releases(views: Sequence[View]) -> Iterator[Metric]:
    release = GaugeMetricFamily("lockstep_release_info", "A release that answers now.", labels=["group", "release"])
    behind = GaugeMetricFamily(
        "lockstep_release_workers", "Workers that answer from a release.", labels=["group", "release"]
    )
    for labels, count in sorted(Tally(pair for view in views for pair in view.releases.items()).items()):
        release.add_metric(labels, 1)
        behind.add_metric(labels, count)
    failed = GaugeMetricFamily(
        "lockstep_release_load_failures", "Workers that can't load the newest release of a group.", labels=["group"]
    )
    for group, count in sorted(Tally(group for view in views for group in view.failing).items()):
        failed.add_metric([group], count)
    yield from (release, behind, failed)


def _recorded(views: Sequence[View]) -> Iterator[Metric]:
    """The states of the recorders, of all workers."""
    total: Tally[str] = Tally()
    for view in views:
        total.update(view.states)
    for name, count in sorted(total.items()):
        family = GaugeMetricFamily(_word(name), _what(name))
        family.add_metric([], count)
        yield family


def _word(name: str) -> str:
    """Of the decision log, or of the shadow."""
    return f"lockstep_{name.replace('log_', 'decision_log_', 1) if name.startswith('log_') else name}"


def _what(name: str) -> str:
    return f"Of the decision log or the shadow: {name.replace('_', ' ')}."
