"""FnApiRunner with threads, each of whose elements arrives whole.

Rules:
- Beam 2.77 empties the buffer of each of these threads once a second, from a thread of its own that knows nothing of
  elements: one that is being written is cut in two, and what reads the pieces fails, or loses rows in silence. Here a
  buffer is emptied between elements only.
- Beam finds the class by its name. Nobody else imports this module, which imports Beam.
"""

import json
from typing import Final

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner, RunnerResult

_NEVER: Final = 2**40  # milliseconds: 34 years; for 0, Beam would take its own second


class ThreadsRunner(FnApiRunner):
    """As Beam's, but for the time after which a thread's buffer is emptied amid an element."""

    def run_via_runner_api(
        self, pipeline_proto: beam_runner_api_pb2.Pipeline, options: PipelineOptions
    ) -> RunnerResult:
        """Run a pipeline whose threads are told never to do so."""
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.EMBEDDED_PYTHON_GRPC:
                environment.payload = json.dumps({"data_buffer_time_limit_ms": _NEVER}).encode()
        return super().run_via_runner_api(pipeline_proto, options)
