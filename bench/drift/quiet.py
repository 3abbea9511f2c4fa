"""How often quiet months alarm, and whether the competitor is found: `python -m bench.drift.quiet -n 200`.

Rules:
- A history is a seed: 7,000 customers, month after month, each held against the one before, as somebody would who takes
  a snapshot a month. Without a competitor, months 2 to 25 should be quiet; with one, who opens in month 4 as in the
  demo, that month should not be, held against month 3 or month 1.
- What becomes of a competitor who opens in month 26, after the quiet ones, is counted apart. By then many who take
  fibre have left, so that there are fewer to lure away, and the label moves less.
- A line of JSON for each history stands in the file that is named, so that a run which was ended goes on where it was.
- The rate has its interval beside it: none in 4,800 is not never (the exact one of Clopper and Pearson). Months of one
  history hang together; so the share of histories with an alarm, which do not, is given with its interval, too.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice, pairwise, starmap
from math import exp
from pathlib import Path
from statistics import median
from typing import Final

import polars as pl
from scipy.stats import beta

from demo.simulate import COMPETITOR_OPENS, CUSTOMERS, months
from groups.churn import clean_customers, customers
from lockstep.data import parse_rows
from lockstep.monitoring import DriftReport, Limits, Verdict, measure_rows
from lockstep.monitoring.figures import log_odds

HISTORIES: Final = 200
QUIET: Final = 24  # months of a history
FIRST_SEED: Final = 5_000  # any
OTHER_SEED: Final = 20_000  # of those whose label alone is looked at
LABELS: Final = ("Churn", "Contract")
_TAIL: Final = 0.025


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One seed.

    Attributes:
        alarms: quiet month → what was said of it, where it alarmed.
        found: whether the month of the competitor alarmed: against the month before, against month 1, and in month 26.
        moved: by how much the share of those who left moved in each of these.
    """

    seed: int
    alarms: dict[str, str]
    found: list[bool]
    moved: list[float]


def history(seed: int, size: int = CUSTOMERS) -> History:
    """Hold each month against the one before."""
    late = map(_cleaned, islice(months(size, seed, opens=QUIET + 2), QUIET + 2))
    *quiet, last = starmap(_held, pairwise(late))
    first, _, before, opened = map(_cleaned, islice(months(size, seed), COMPETITOR_OPENS))
    reports = [_held(before, opened), _held(first, opened), last]
    return History(
        seed=seed,
        alarms={str(month): one.says for month, one in enumerate(quiet, 2) if one.verdict is Verdict.DRIFT},
        found=[one.verdict is Verdict.DRIFT for one in reports],
        moved=[one.column(LABELS[0]).moved or 0.0 for one in reports],
    )


def histories(count: int, kept: Path) -> Iterator[History]:
    """So many of them; those that stand in the file are not made again."""
    known = [History(**json.loads(line)) for line in kept.read_text().splitlines()] if kept.exists() else []
    by_seed = {one.seed: one for one in known}
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        if seed not in by_seed:
            by_seed[seed] = history(seed)
            with kept.open("a") as file:
                file.write(json.dumps(asdict(by_seed[seed]), sort_keys=True) + "\n")
        yield by_seed[seed]


def interval(part: int, whole: int) -> tuple[float, float]:
    """The exact interval of 95 % for a rate, two-sided (C. J. Clopper, E. S. Pearson, Biometrika 26, 1934)."""
    low = float(beta.ppf(_TAIL, part, whole - part + 1)) if part else 0.0
    high = float(beta.ppf(1 - _TAIL, part + 1, whole - part)) if part < whole else 1.0
    return low, high


def lines(found: list[History]) -> list[str]:
    """What is to be said of them."""
    looks, alarms = QUIET * len(found), sum(len(one.alarms) for one in found)
    hit = sum(bool(one.alarms) for one in found)
    ways = enumerate(("held against the month before", "held against month 1", f"after {QUIET} quiet ones"))
    return [
        f"{len(found)} histories of {CUSTOMERS} customers, {looks} quiet months:",
        f"{alarms} false alarms ({_rate(alarms, looks)}), in {hit} histories ({_rate(hit, len(found))})",
        *(_told(way, [one.found[place] for one in found], [one.moved[place] for one in found]) for place, way in ways),
        *(f"seed {one.seed}, month {month}: {says}" for one in found for month, says in one.alarms.items()),
    ]


def _told(way: str, found: list[bool], moved: list[float]) -> str:
    times = f"found {sum(found)} of {len(found)} times ({_rate(sum(found), len(found))})"
    return f"month of the competitor, {way}: {times}; {LABELS[0]} moves by {median(moved):.1%} (median)"


def label_line(count: int) -> str:
    """What the label alone does, over so many other histories: many more can be looked at, since no tree is grown."""
    every = [_factors(OTHER_SEED + seed) for seed in range(count)]
    quiet, last = max(max(one[:-1]) for one in every), sorted(one[-1] for one in every)
    limit = Limits().odds
    return (
        f"{count} histories, {QUIET * count} quiet months: the odds of {LABELS[0]} change by a factor of {quiet:.3f} at"
        f" most; as the competitor opens after them by {last[0]:.3f} at least, {median(last):.3f} (median), and in"
        f" {sum(one >= limit for one in last)} of {count} by {limit} or more"
    )


def _factors(seed: int) -> list[float]:
    """By which factor the label's odds change, up or down, from each month to the next, the competitor's the last."""
    found = months(CUSTOMERS, seed, opens=QUIET + 2)
    left = [float((frame[LABELS[0]] == "Yes").sum()) for frame in islice(found, QUIET + 2)]
    return [exp(abs(log_odds(before, CUSTOMERS, now, CUSTOMERS))) for before, now in pairwise(left)]


def _rate(part: int, whole: int) -> str:
    low, high = interval(part, whole)
    return f"{part / whole:.2%}; 95 %: {low:.2%} to {high:.2%}"


def _held(before: pl.DataFrame, now: pl.DataFrame) -> DriftReport:
    return measure_rows(before, now, dataset=customers.name, key=customers.key, labels=LABELS)


def _cleaned(text: pl.DataFrame) -> pl.DataFrame:
    return clean_customers(parse_rows(text, customers.schema).good)


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(prog="python -m bench.drift.quiet", description=__doc__)
    parser.add_argument("-n", "--histories", type=int, default=HISTORIES, help=f"seeds; default: {HISTORIES}")
    parser.add_argument("--kept", type=Path, default=Path(".cache/quiet.jsonl"), help="the file of histories")
    parser.add_argument(
        "--labels", type=int, metavar="HISTORIES", help="look at the label of so many, and nothing else"
    )
    options = parser.parse_args()
    if options.labels:
        print(label_line(options.labels))
        return
    options.kept.parent.mkdir(parents=True, exist_ok=True)
    print("\n".join(lines(list(histories(options.histories, options.kept)))))


if __name__ == "__main__":
    main()
