"""The direct engine's threads: what they hand on arrives whole, however long it takes to write."""

import time
from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

from lockstep.data.engines import Submission, runner_of
from lockstep.places import direct

ROWS = 40
LONGER = 1.2  # seconds; Beam empties a thread's buffer once a second


class Slow:
    """Takes a while to be written, with half of the element in the buffer already."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[type, tuple[int]]:
        if self.number % (ROWS // 2) == 0:
            time.sleep(LONGER)
        return Slow, (self.number,)


def rows(start: int) -> Iterator[tuple[int, tuple[str, Slow, str]]]:
    """Make half of the rows."""
    for number in range(start, start + ROWS // 2):
        yield number, ("before" * 100, Slow(number), "behind" * 100)


def check(found: tuple[int, Iterable[tuple[str, Slow, str]]]) -> None:
    """Count what came under a key as it was."""
    key, ((before, slow, behind),) = found
    assert (before, slow.number, behind) == ("before" * 100, key, "behind" * 100)
    Metrics.counter("test", "whole").inc()


def test_an_element_is_never_cut_in_two() -> None:
    """Elements that take longer to write than Beam's second arrive once each, and are what they were."""
    runner = runner_of(direct(), Submission(name="slow"))
    pipeline = beam.Pipeline(runner=runner.name, options=PipelineOptions([*runner.options]))
    halves = pipeline | beam.Create([0, ROWS // 2]) | beam.Reshuffle()
    _ = halves | beam.FlatMap(rows) | beam.GroupByKey() | beam.Map(check)
    result = pipeline.run()
    result.wait_until_finish()
    (counter,) = result.metrics().query(MetricsFilter().with_name("whole"))["counters"]
    assert counter.committed == ROWS
