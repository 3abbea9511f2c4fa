"""Drift by profiles alone: fast, since no row is read, and so no classifier sees any and no model scores any.

Rules:
- A column is compared and judged as `measure` does it. What `measure` says beyond that, this can't.
- It asks no registry: whoever calls it has read the profiles, and can keep what comes of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from lockstep.monitoring.holding import Lens, hold
from lockstep.monitoring.limits import Limits
from lockstep.monitoring.report import Compared, DriftReport
from lockstep.monitoring.sides import Side
from lockstep.monitoring.summaries import is_sketched, summaries_of

_DATES: Final = ("Date", "Datetime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """A snapshot by its profile; `columns` are its columns and their types, as its manifest has them."""

    name: str
    digest: str
    rows: int
    columns: Mapping[str, str]
    profile: Mapping[str, Mapping[str, Any]]


def measure_profiles(
    reference: Profiled,
    current: Profiled,
    *,
    dataset: str,
    key: str,
    targets: Mapping[str, str],
    private: frozenset[str] = frozenset(),
    limits: Limits | None = None,
) -> DriftReport | None:
    """Hold a snapshot against another; None where the profile of one was written without sketches.

    Args:
        reference: what production was trained on, as a rule.
        current: what is newer.
        dataset: whose snapshots they are.
        key: its key.
        targets: model → the column that it predicts.
        private: columns whose values are not shown.
        limits: what counts as drift.
    """
    if not all(is_sketched(side.profile, key) for side in (reference, current)):
        return None
    hidden = frozenset({key, *targets.values()})
    lens = Lens(dataset=dataset, key=key, targets=targets, hidden=hidden, private=private)
    return hold(_side(reference, key), _side(current, key), lens, limits or Limits())


def _side(of: Profiled, key: str) -> Side:
    none = pl.DataFrame(schema={name: pl.Date if _is_date(kind) else pl.String for name, kind in of.columns.items()})
    about = Compared(name=of.name, kind="snapshot", rows=of.rows, digest=of.digest)
    return Side(about=about, summaries=summaries_of(of.profile, key), rows=none, unseen=none)


def _is_date(kind: str) -> bool:
    return kind.startswith(_DATES)
