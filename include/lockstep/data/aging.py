"""The age of data that nobody adds to: `fresh` is asked again where a look finds nothing new.

Rules:
- Data grow stale precisely when nothing arrives: what counts is the date of the look, not that of the snapshot.
- No file is read for it. The newest date stands in the snapshot's manifest; where that was written before somebody
  declared the check, it is read from the snapshot's rows, and kept beside what is known of the files.
- Hard, it fails the look, and soft, it is said; nothing is recorded, and production goes on.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, date
from typing import Any, Final

import polars as pl

from lockstep.checks import Check, Rule, said_of
from lockstep.data.verdict import Result, fresh_result
from lockstep.declare import Dataset
from lockstep.errors import CheckFailed
from lockstep.registry import Registry, SnapshotTaken, Version

_logger: Final = logging.getLogger(__name__)


def newest_in(results: Iterable[Result]) -> dict[str, str]:
    """Column → newest date, of those that `fresh` looked at."""
    return {one.check.columns[0]: one.newest.isoformat() for one in results if one.newest is not None}


def newest_of(dataset: Dataset, manifest: Mapping[str, Any], parts: Iterable[pl.DataFrame]) -> dict[str, str]:
    """Column → newest date of a snapshot, for each that `fresh` looks at: by its manifest, or else by its rows.

    A column that `clean` takes out, and of which the manifest does not tell, is left out.
    """
    asked = [check.columns[0] for check in _fresh(dataset)]
    told = {name: day for name, day in manifest.get("newest", {}).items() if name in asked}
    left = [name for name in asked if name not in told and manifest["columns"].get(name) == "Date"]
    for part in parts if left else ():
        for name in left:
            day = part[name].max()
            if isinstance(day, date):
                told[name] = max(day.isoformat(), told.get(name, ""))
    return told


def check_age(
    registry: Registry, dataset: Dataset, version: Version[SnapshotTaken], newest: Mapping[str, str]
) -> tuple[str, ...]:
    """What the `fresh` checks of a dataset say today of a snapshot that is known; nothing where it keeps them.

    Raises:
        CheckFailed: a hard one is broken.
    """
    today = registry.now().astimezone(UTC).date()
    said, hard = list[str](), list[str]()
    for check in _fresh(dataset):
        if (day := newest.get(check.columns[0])) is None:
            said.append(f"{check} is asked when rows are read: {version.ref} does not tell the newest date.")
            continue
        result = fresh_result(check, date.fromisoformat(day), today)
        if not result.is_kept:
            (hard if result.stops else said).append(said_of(result.as_json()))
    for sentence in said:
        _logger.warning("%s: %s", dataset.name, sentence)
    if hard:
        raise CheckFailed(
            f'Dataset "{dataset.name}": nothing new has arrived, and what is there, {version.ref}, has grown too old:'
            f" {'; '.join(hard)}. Staging and production stay as they are. See why nothing arrives, or correct the"
            " checks of the declaration."
        )
    return tuple(said)


def _fresh(dataset: Dataset) -> list[Check]:
    return [check for check in dataset.checks if check.rule is Rule.FRESH]
