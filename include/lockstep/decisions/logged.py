"""Requests out of the decision log, as rows to decide on again.

Rules:
- Each row that was answered, to whichever API that decides on the dataset, is a row to decide on; a shadow's are not.
- What is private is not in the log. Where a side learns from such a column, or `clean` reads it, nothing is decided on
  the log, rather than something on blanks; a key or a label that no model learns from may be private.
- Memory does not depend on how much was logged.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import polars as pl

from lockstep.data.requests import cleaned_requests, schema_of_requests
from lockstep.declare import Column, Dataset
from lockstep.errors import DataError, UsageError
from lockstep.graph import Graph
from lockstep.journal import layout_of, read_decisions
from lockstep.journal.layout import LEFT_OUT
from lockstep.journal.reading import files_of_log
from lockstep.registry import Registry

WEEK: Final = timedelta(days=7)
_WORD: Final = re.compile(r"log(?::([0-9]{1,5})([hdw]))?")
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Logged:
    """The requests of the decision log, of the last time `within`."""

    within: timedelta = WEEK

    @classmethod
    def parse(cls, word: str) -> "Logged | None":
        """`log` (of a week), `log:12h`, `log:30d` or `log:8w`; None for another word.

        Raises:
            UsageError: the word begins as one of these, and goes on otherwise.
        """
        found = _WORD.fullmatch(word)
        if found:
            return cls(int(found[1]) * _UNITS[found[2]]) if found[1] else cls()
        if word.startswith("log:"):
            raise UsageError(
                f'--requests {word}: after "log:" stands a time span; write "log:12h", "log:30d" or "log:8w".'
            )
        return None

    def __str__(self) -> str:
        hours = self.within // timedelta(hours=1)
        return f"the last {hours // 24} days" if hours % 24 == 0 else f"the last {hours} hours"


def recent_requests(registry: Registry, graph: Graph, group: str) -> dict[str, Logged]:
    """The log of the last week for each dataset of a group; nothing, where nothing was logged."""
    if not files_of_log(registry, group, since=registry.now() - WEEK):
        return {}
    return {graph.model(model.name).data.name: Logged() for model in graph.group(group).models}


@dataclass(slots=True, kw_only=True)
class LoggedRequests:
    """The requests of a dataset that a group's APIs answered since a moment.

    Attributes:
        labels: columns that may be missing.
        left_out: how many requests could not be used, by reason; complete once all were read.
    """

    registry: Registry
    graph: Graph
    group: str
    dataset: Dataset
    since: datetime
    labels: frozenset[str]
    left_out: Counter[str] = field(default_factory=Counter)

    def batches(self) -> Iterator[pl.DataFrame]:
        """The cleaned requests, a frame at a time; no key stands twice in one.

        Raises:
            DataError: `clean` failed, as it does where it reads a private column.
        """
        hidden = self._hidden()
        schema = {
            name: column
            for name, column in schema_of_requests(self.dataset, self.labels).items()
            if name not in hidden or name == self.dataset.key
        }
        frames = self._read(schema)
        try:
            yield from cleaned_requests(self.dataset, schema, frames, self.labels, self.left_out)
        except DataError as error:
            if not hidden:
                raise
            raise DataError(
                f"{error} The decision log does not hold what is private: {', '.join(sorted(hidden))}. {OTHERWISE}"
            ) from error

    def _hidden(self) -> set[str]:
        """Private columns that are not even there as blanks; labels are, as `clean` expects them."""
        return {name for name in self.dataset.private if name not in self.labels}

    def _read(self, schema: Mapping[str, Column]) -> Iterator[pl.DataFrame]:
        datasets = layout_of(self.graph, self.group).datasets
        apis = [api for api, used in datasets.items() if any(one.name == self.dataset.name for one in used)]
        for frame in read_decisions(self.registry, self.group, since=self.since):
            asked = frame.filter(~pl.col("_shadow") & pl.col("_api").is_in(apis))
            usable = asked.filter(pl.col("_error").is_null() | (pl.col("_error") == LEFT_OUT))
            if usable.height < asked.height:
                self.left_out["refused when it was asked"] += asked.height - usable.height
            missing = [name for name in schema if name not in frame.columns and not self._may_miss(name)]
            if missing:
                self.left_out[f"logged without {', '.join(missing)}"] += usable.height
                continue
            yield usable.select(name for name in schema if name in usable.columns)

    def _may_miss(self, name: str) -> bool:
        return name in self.labels or name == self.dataset.key


OTHERWISE: Final = (
    "Compare on a file (--requests file.csv), or let the shadow decide where the whole request is (`lockstep serve"
    " --shadow staging`, then --shadow)."
)


def check_not_private(dataset: Dataset, used: Collection[Any]) -> None:
    """Refuse to decide on the log where a side needs a column that is not in it.

    Raises:
        DataError: a feature, or the column of segments, is private.
    """
    missing = [name for name in dataset.private if name in used]
    if missing:
        raise DataError(
            f'Dataset "{dataset.name}": {", ".join(missing)} is private, so the decision log does not hold it, but'
            f" decisions depend on it. {OTHERWISE}"
        )
