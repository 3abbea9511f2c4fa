"""What may be told of each answer, after it was given: the decision log and the shadow listen here.

Rules:
- A recorder is told after the answer was sent, so it can neither delay nor change it.
- What is wrong with a recorder is said, and harms no answer.
"""

from collections.abc import Mapping
from typing import Protocol

from lockstep.journal import Answered


class Recorder(Protocol):
    """Is told of every request that was decided. Each process that answers has its own."""

    def start(self) -> None:
        """Begin, in the process that answers, before its first answer."""

    def record(self, asked: Answered) -> None:
        """Take note of a request; it is called in the event loop, so it neither waits nor raises.

        Its rows are as they came; nobody changes them any more.
        """

    def stop(self) -> None:
        """Keep what was noted, after the last answer; it may take seconds."""

    def problems(self) -> Mapping[str, str]:
        """What → a sentence about what goes wrong now."""

    def counts(self) -> Mapping[str, int]:
        """How often what happened since the start; a name that ends with `_waiting_rows` or `_loaded` is a state."""
