"""Precision and recall, ours and evidently's, on the same simulated histories: `python -m bench.drift.histories -n 20`.

Rules:
- A history is a seed: 7,000 customers, month after month. Each month before the competitor opens, held against the
  month before, should be quiet; the month in which it opens, held against the month before, should raise an alarm.
- Ours raises an alarm where `report.verdict` is DRIFT. It is told which columns are labels, as a declaration tells it,
  and has no models in production, so no scores and decisions. What it says without the labels is counted apart.
- evidently's default preset raises one where half of the columns drifted (its `drift_share`); and, counted apart, where
  any column did. It gets the same cleaned rows, and is told which column is the key.
- A control: customers of one month with a tenure up to 24 months against the others. Both have to find that; it says
  that the peer was asked properly, and counts for neither precision nor recall.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from statistics import median
from typing import Any, Final

import polars as pl

from bench.drift.peer import EVIDENTLY
from bench.registry.peer import PeerMissing
from demo.simulate import COMPETITOR_OPENS, CUSTOMERS, simulate
from groups.churn import clean_customers, customers
from lockstep.data import parse_rows
from lockstep.monitoring import DriftReport, Verdict, measure_rows

HISTORIES: Final = 10
FIRST_SEED: Final = 4_000  # any
LABELS: Final = ("Churn", "Contract")
_OLD_HAND: Final = 24  # months of tenure


class Truth(Enum):
    """What a pair of files is."""

    QUIET = "quiet month"
    OPENED = "month of the competitor"
    CONTROL = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One file held against another, and what each says; evidently's answer is None where it is not there."""

    truth: Truth
    ours: DriftReport
    unlabelled: DriftReport
    evidently: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """How often something raised an alarm where it should (of `due`), and where it should not (of `quiet`)."""

    who: str
    found: int
    due: int
    false: int
    quiet: int

    @property
    def recall(self) -> float:
        """Share of what was to be found."""
        return self.found / self.due

    @property
    def precision(self) -> float | None:
        """Share of the alarms that were right; None where there was no alarm."""
        raised = self.found + self.false
        return self.found / raised if raised else None

    def as_text(self) -> str:
        """One line of the table."""
        precision = "no alarm" if self.precision is None else f"{self.precision:.1%}"
        counts = f"{self.found} of {self.due} found, {self.false} of {self.quiet} quiet months"
        return f"{self.who:42} precision {precision:>8}, recall {self.recall:>6.1%} ({counts} alarmed)"


def pairs(histories: int, folder: Path) -> list[Pair]:
    """Hold months against months, for so many seeds from `FIRST_SEED` on."""
    truths: list[Truth] = []
    reports: list[tuple[DriftReport, DriftReport]] = []
    jobs: list[dict[str, Any]] = []
    for seed in range(FIRST_SEED, FIRST_SEED + histories):
        for truth, before, now in _of_history(seed):
            sides = {"reference": before, "current": now}
            files = {side: folder / f"{len(jobs)}-{side}.parquet" for side in sides}
            for side, rows in sides.items():
                rows.write_parquet(files[side])
            jobs.append({side: [str(file)] for side, file in files.items()} | {"key": customers.key, "without": []})
            reports.append((_held(before, now, LABELS), _held(before, now, ())))
            truths.append(truth)
    try:
        answers: Sequence[dict[str, Any] | None] = EVIDENTLY.answers(jobs, 2)
    except PeerMissing:
        answers = [None] * len(jobs)
    return [
        Pair(truth=truth, ours=report, unlabelled=unlabelled, evidently=answer)
        for truth, (report, unlabelled), answer in zip(truths, reports, answers, strict=True)
    ]


def table(found: Sequence[Pair]) -> list[Alarms]:
    """Ours, and evidently's both ways where it is there."""
    ways: dict[str, Callable[[Pair], bool]] = {
        "ours (the verdict is drift)": _ours,
        "ours, if it is told no labels": _unlabelled,
    }
    if found[0].evidently is not None:
        ways |= {"evidently (half of the columns drifted)": _half, "evidently (any column drifted)": _any}
    due = [pair for pair in found if pair.truth is Truth.OPENED]
    quiet = [pair for pair in found if pair.truth is Truth.QUIET]
    return [
        Alarms(who=who, found=sum(map(way, due)), due=len(due), false=sum(map(way, quiet)), quiet=len(quiet))
        for who, way in ways.items()
    ]


def lines(found: Sequence[Pair]) -> list[str]:
    """The table as text, the control, and what the figures of the competitor's month are."""
    said = [one.as_text() for one in table(found)]
    control = [pair for pair in found if pair.truth is Truth.CONTROL]
    said.append(f"control (tenure up to {_OLD_HAND} months against more): ours {sum(map(_ours, control))}")
    if found[0].evidently is None:
        return [*said, f"evidently is not there; by hand: {EVIDENTLY.install}"]
    said[-1] += (
        f", evidently {sum(map(_half, control))} by half of the columns, {sum(map(_any, control))} by any, of"
        f" {len(control)}"
    )
    return [*said, *_distances(found)]


def _distances(found: Sequence[Pair]) -> list[str]:
    """How far evidently's figures are from its limit, and ours of the same column."""
    opened = [pair for pair in found if pair.truth is Truth.OPENED]
    churn = [pair.ours.column("Churn") for pair in opened]
    theirs = [pair.evidently["columns"] for pair in opened if pair.evidently is not None]
    quiet = [pair.evidently["columns"] for pair in found if pair.truth is Truth.QUIET and pair.evidently is not None]
    method, _, limit = theirs[0]["Churn"]
    values = [columns["Churn"][1] for columns in theirs]
    (far, name), (near, other) = _furthest(theirs), _furthest(quiet)
    low, high, moved = min(values), max(values), median(one.moved or 0.0 for one in churn)
    return [
        f"month of the competitor: ours: Churn moves by {moved:.1%} (median)",
        f"month of the competitor: evidently: {method} of Churn {low:.3f} to {high:.3f}, limit {limit:g}",
        f"month of the competitor: evidently's furthest column of any history: {name}, {far:.3f}",
        f"quiet months: evidently's furthest column of any history: {other}, {near:.3f}",
    ]


def _furthest(answers: Sequence[Mapping[str, Any]]) -> tuple[float, str]:
    return max((one[1], name) for columns in answers for name, one in columns.items())


def judge(histories: int) -> list[str]:
    """The lines for so many histories."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-", dir=os.environ.get("BENCH_FOLDER")) as folder:
        found = pairs(histories, Path(folder))
    return [f"{histories} histories of {CUSTOMERS} customers, {len(found)} pairs of files:", *lines(found)]


def _of_history(seed: int) -> Iterator[tuple[Truth, pl.DataFrame, pl.DataFrame]]:
    months = [_cleaned(simulate(month, seed=seed)) for month in range(1, COMPETITOR_OPENS + 1)]
    for month in range(1, COMPETITOR_OPENS):
        truth = Truth.OPENED if month + 1 == COMPETITOR_OPENS else Truth.QUIET
        yield truth, months[month - 1], months[month]
    is_new = pl.col("tenure") <= _OLD_HAND
    yield Truth.CONTROL, months[0].filter(~is_new), months[0].filter(is_new)


def _cleaned(text: pl.DataFrame) -> pl.DataFrame:
    return clean_customers(parse_rows(text, customers.schema).good)


def _held(before: pl.DataFrame, now: pl.DataFrame, labels: Sequence[str]) -> DriftReport:
    return measure_rows(before, now, dataset=customers.name, key=customers.key, labels=labels)


def _unlabelled(pair: Pair) -> bool:
    return pair.unlabelled.verdict is Verdict.DRIFT


def _ours(pair: Pair) -> bool:
    return pair.ours.verdict is Verdict.DRIFT


def _half(pair: Pair) -> bool:
    return pair.evidently is not None and bool(pair.evidently["dataset"])


def _any(pair: Pair) -> bool:
    return pair.evidently is not None and pair.evidently["drifted"] > 0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.drift.histories", description=__doc__)
    parser.add_argument("-n", "--histories", type=int, default=HISTORIES, help=f"seeds; default: {HISTORIES}")
    print("\n".join(judge(parser.parse_args().histories)))


if __name__ == "__main__":
    main()
