"""Customers of a telecom, month by month, in the columns and value formats of IBM's Telco churn file.

Rules:

* The same arguments give the same bytes: chance comes from numpy's PCG64 only, and every value is made into text here.
* A month's file holds who is a customer, and who left within the last twelve months (`Churn` is Yes; the rest of the
  row is as it was when they left).
* Month 2 is month 1, one month later: tenure and charges grow, leavers leave, new customers come; no id is used again.
* From month `COMPETITOR_OPENS` on, fibre customers are lured away, however long they stayed and even out of contracts,
  and few new ones take fibre.

The numbers below were fitted to the real file with logistic regressions, and rounded. That file reads like twelve
months of leavers next to today's customers: the odds of having left, divided by twelve, are then the chance to leave in
one month, and leavers, new customers and the many rows with a tenure of 1 agree with each other.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["COLUMNS", "COMPETITOR_OPENS", "CUSTOMERS", "SEED", "file_name", "months", "simulate", "write"]

CUSTOMERS = 7_000
SEED = 2026
COMPETITOR_OPENS = 4
FIRST_YEAR = 2026
REMEMBERED = 12  # months that a leaver stays in the file
LONGEST = 72  # the real file counts tenure up to here
NEW_WITHOUT_BILL = 0.07  # of the new customers: tenure 0, and no total yet
STAYS = 1_000_000  # a month that never comes

EXTRAS = ["OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV", "StreamingMovies"]
COLUMNS = ["customerID", "gender", "SeniorCitizen", "Partner", "Dependents", "tenure", "PhoneService", "MultipleLines"]
COLUMNS += [
    "InternetService",
    *EXTRAS,
    "Contract",
    "PaperlessBilling",
    "PaymentMethod",
    "MonthlyCharges",
    "TotalCharges",
    "Churn",
]

NO, DSL, FIBRE = range(3)
ONE_YEAR, TWO_YEARS = 1, 2
ELECTRONIC_CHECK = 2
INTERNET = ["No", "DSL", "Fiber optic"]
CONTRACT = ["Month-to-month", "One year", "Two year"]
PAYMENT = ["Bank transfer (automatic)", "Credit card (automatic)", "Electronic check", "Mailed check"]

TENURE_SHARES = [0.0, 0.002, 0.089, 0.151, 0.210, 0.310, 0.456, 0.574, 0.682, 0.800, 0.949, 1.0]
TENURE_UP_TO = [0.0, 1.0, 2.0, 4.0, 7.0, 13.0, 25.0, 37.0, 49.0, 61.0, 72.0, 73.0]

# Weights of: 1, fibre, no internet, years, years², log(1 + months), years in units of the longest tenure.
CONTRACT_WEIGHTS = [
    [3.86, 1.19, -1.18, 2.02, -4.0, -0.96],
    [-1.6, -0.15, 0.03, 1.21, -1.71, 0.52],
    [-2.27, -1.04, 1.15, -3.23, 5.71, 0.45],
]
# Weights of: 1, fibre, no internet, years, one year, two years.
PAYMENT_WEIGHTS = [
    [-0.67, 0.09, 0.12, 1.27, 0.05, 0.11],
    [-0.6, 0.0, 0.03, 0.98, 0.23, 0.37],
    [0.59, 0.75, -0.88, -0.29, -0.53, -1.09],
    [0.68, -0.83, 0.72, -1.96, 0.25, 0.62],
]
# Weights of: 1, fibre, years, one year, two years; in the order of EXTRAS.
EXTRAS_WEIGHTS = [
    [-1.23, -0.94, 1.66, 0.62, 1.13],
    [-1.49, -0.04, 2.55, 0.13, 0.22],
    [-1.57, 0.21, 1.76, 0.69, 1.25],
    [-1.2, -0.78, 0.96, 0.96, 1.99],
    [-1.47, 0.93, 1.39, 0.51, 0.89],
    [-1.45, 0.89, 1.46, 0.51, 0.88],
]
EXTRAS_CENTS = [500, 500, 500, 500, 1000, 1000]
INTERNET_CENTS = [0, 2500, 5000]

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(slots=True, kw_only=True)
class _People:
    """One row per customer; flags are 0 or 1, money is in cents, `left` is the month of leaving."""

    number: Numbers
    male: Numbers
    senior: Numbers
    partner: Numbers
    dependents: Numbers
    tenure: Numbers
    phone: Numbers
    lines: Numbers
    internet: Numbers
    extras: Numbers  # (customers, 6)
    contract: Numbers
    paperless: Numbers
    payment: Numbers
    discount: Numbers
    total: Numbers
    left: Numbers

    def __len__(self) -> int:
        return len(self.number)

    def monthly(self) -> Numbers:
        """What each customer pays a month, in cents, always a multiple of five."""
        services = (
            2000 * self.phone
            + 500 * self.lines
            + np.asarray(INTERNET_CENTS)[self.internet]
            + self.extras @ np.asarray(EXTRAS_CENTS)
        )
        return np.asarray(services - self.discount, dtype=np.int64)


def simulate(month: int, customers: int = CUSTOMERS, seed: int = SEED) -> pl.DataFrame:
    """The file of a month (1 is January 2026): `customers` rows in `COLUMNS`, all text, as the file reads.

    Raises:
        ValueError: `month` or `customers` is below 1.
    """
    if month < 1 or customers < 1:
        raise ValueError(f"Month {month} with {customers} customers can't be simulated; both start at 1.")
    people = _first_month(customers, seed)
    for later in range(2, month + 1):
        people = _next_month(people, later, seed)
    return _as_text(people, seed)


def months(customers: int = CUSTOMERS, seed: int = SEED, *, opens: int = COMPETITOR_OPENS) -> Iterator[pl.DataFrame]:
    """The files of month 1, 2 and so on, without an end, as `simulate` makes them; the competitor opens in `opens`."""
    people = _first_month(customers, seed)
    for month in count(2):
        yield _as_text(people, seed)
        people = _next_month(people, month, seed, opens)


def file_name(month: int) -> str:
    """`customers-2026-01.csv` for month 1."""
    years, months = divmod(month - 1, 12)
    return f"customers-{FIRST_YEAR + years}-{months + 1:02}.csv"


def write(folder: Path, month: int, customers: int = CUSTOMERS, seed: int = SEED) -> Path:
    """Write a month's file into `folder`; whoever reads meanwhile sees the whole file or none."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file_name(month)
    unfinished = target.with_suffix(".unfinished")
    unfinished.write_bytes(simulate(month, customers, seed).write_csv(line_terminator="\n").encode())
    return unfinished.replace(target)


def _first_month(customers: int, seed: int) -> _People:
    rng = np.random.default_rng([seed, 1])
    tenure = np.minimum(np.interp(rng.random(customers), TENURE_SHARES, TENURE_UP_TO).astype(np.int64), LONGEST)
    people = _arrive(rng, tenure, first_number=0, fibre_appeal=1.0)
    odds = np.exp(_leaving(people))
    has_left = _happens(rng, odds / (1 + odds)) & (people.tenure > 0)
    months_ago = (rng.random(customers) * REMEMBERED).astype(np.int64)
    people.left = np.where(has_left, 1 - months_ago, STAYS)
    return people


def _next_month(before: _People, month: int, seed: int, opens: int = COMPETITOR_OPENS) -> _People:
    rng = np.random.default_rng([seed, month])
    fallen_out = before.left <= month - REMEMBERED
    kept = _each(before, lambda values: values[~fallen_out])
    _live_on(rng, kept, here=kept.left == STAYS)

    competitor = month >= opens
    tenure = (rng.random(int(fallen_out.sum())) > NEW_WITHOUT_BILL).astype(np.int64)
    new = _arrive(rng, tenure, first_number=int(before.number.max()) + 1, fibre_appeal=0.4 if competitor else 1.0)
    people = _People(**{f.name: np.concatenate([getattr(kept, f.name), getattr(new, f.name)]) for f in fields(_People)})

    chance = np.minimum(np.exp(_leaving(people)) / REMEMBERED, 0.6)
    if competitor:
        lured = np.where(people.internet == FIBRE, np.asarray([0.40, 0.35, 0.15])[people.contract], 0.0)
        chance = np.maximum(chance, lured)
    leaves = _happens(rng, chance) & (people.tenure > 0) & (people.left == STAYS)
    people.left = np.where(leaves, month, people.left)
    return people


def _live_on(rng: np.random.Generator, people: _People, here: NDArray[np.bool_]) -> None:
    """A month passes for those still here: they pay, and a few bind themselves longer or take another service."""
    people.tenure = np.where(here, np.minimum(people.tenure + 1, LONGEST), people.tenure)
    people.total = np.where(here, people.total + people.monthly(), people.total)
    longer = here & _happens(rng, np.asarray([0.015, 0.01, 0.0])[people.contract])
    people.contract = people.contract + longer
    more = _happens(rng, np.full(people.extras.shape, 0.004)) & (here & (people.internet != NO))[:, None]
    people.extras = people.extras | more


def _arrive(rng: np.random.Generator, tenure: Numbers, *, first_number: int, fibre_appeal: float) -> _People:
    """Draw people of the given tenure, each trait from those before it."""
    n = len(tenure)
    years = tenure / LONGEST
    one = np.ones(n)
    senior = _happens(rng, np.full(n, 0.162))
    partner = _happens(rng, _chance(-1.17 + 2.42 * years + 0.06 * senior))
    dependents = _happens(rng, _chance(-2.04 + 2.4 * partner - 2.14 * senior))
    fibre_share = np.where(senior, 0.728, 0.384) * fibre_appeal
    no_share = np.where(senior, 0.046, 0.25)
    drawn = rng.random(n)
    internet = np.where(drawn < fibre_share, FIBRE, np.where(drawn < fibre_share + no_share, NO, DSL))
    fibre, offline = internet == FIBRE, internet == NO
    contract = _pick(rng, [one, fibre, offline, years, years**2, np.log1p(tenure)], CONTRACT_WEIGHTS)
    bound = [contract == ONE_YEAR, contract == TWO_YEARS]
    extras = (
        _happens(rng, _chance(np.stack([one, fibre, years, *bound], axis=1) @ np.asarray(EXTRAS_WEIGHTS).T))
        & ~offline[:, None]
    )
    phone = _happens(rng, np.where(internet == DSL, 0.718, 1.0))
    people = _People(
        number=first_number + np.arange(n),
        male=_happens(rng, np.full(n, 0.505)).astype(np.int64),
        senior=senior.astype(np.int64),
        partner=partner.astype(np.int64),
        dependents=dependents.astype(np.int64),
        tenure=tenure,
        phone=phone.astype(np.int64),
        lines=(phone & _happens(rng, _chance(-1.65 + 1.11 * fibre - 0.85 * offline + 2.53 * years))).astype(np.int64),
        internet=internet.astype(np.int64),
        extras=extras.astype(np.int64),
        contract=contract,
        paperless=_happens(rng, _chance(0.2 + 1.03 * fibre - 1.08 * offline)).astype(np.int64),
        payment=_pick(rng, [one, fibre, offline, years, *bound], PAYMENT_WEIGHTS),
        discount=5 * np.rint((rng.random(n) + rng.random(n) - 1) * 50).astype(np.int64),
        total=np.zeros(n, dtype=np.int64),
        left=np.full(n, STAYS, dtype=np.int64),
    )
    earlier_prices = 1 + np.where(tenure > 1, (rng.random(n) + rng.random(n) - 1) * 0.12, 0.0)
    people.total = 5 * np.rint(people.monthly() * tenure * earlier_prices / 5).astype(np.int64)
    return people


def _leaving(people: _People) -> Floats:
    """Log odds of having left within twelve months."""
    online = people.internet != NO
    unsafe, unaided, unsaved = ((people.extras[:, [0, 3, 1]] == 0) & online[:, None]).T
    return np.asarray(
        -0.34
        - 0.70 * np.log1p(people.tenure)
        + 0.78 * (people.internet == FIBRE)
        - 0.25 * ~online
        + 0.33 * unsafe
        + 0.30 * unaided
        + 0.11 * unsaved
        + 0.32 * people.extras[:, 4]
        + 0.34 * people.extras[:, 5]
        + 0.30 * people.lines
        + 0.25 * people.senior
        - 0.12 * people.dependents
        + np.asarray([0.0, -0.71, -1.67])[people.contract]
        + 0.36 * people.paperless
        + 0.34 * (people.payment == ELECTRONIC_CHECK)
    )


def _as_text(people: _People, seed: int) -> pl.DataFrame:
    offline = people.internet == NO
    columns: dict[str, Any] = {
        "customerID": _ids(people.number, seed),
        "gender": _words(people.male, ["Female", "Male"]),
        "SeniorCitizen": _words(people.senior, ["0", "1"]),
        "Partner": _words(people.partner),
        "Dependents": _words(people.dependents),
        "tenure": [str(months) for months in people.tenure.tolist()],
        "PhoneService": _words(people.phone),
        "MultipleLines": _words(np.where(people.phone, people.lines, 2), ["No", "Yes", "No phone service"]),
        "InternetService": _words(people.internet, INTERNET),
        "Contract": _words(people.contract, CONTRACT),
        "PaperlessBilling": _words(people.paperless),
        "PaymentMethod": _words(people.payment, PAYMENT),
        "MonthlyCharges": [_money(cents) for cents in people.monthly().tolist()],
        "TotalCharges": [_money(cents) if cents else " " for cents in people.total.tolist()],
        "Churn": _words((people.left != STAYS).astype(np.int64)),
    }
    for position, extra in enumerate(EXTRAS):
        columns[extra] = _words(np.where(offline, 2, people.extras[:, position]), ["No", "Yes", "No internet service"])
    return pl.DataFrame({name: pl.Series(columns[name], dtype=pl.String) for name in COLUMNS})


def _ids(numbers: Numbers, seed: int) -> list[str]:
    """`NNNN-XXXXX`: a one-to-one walk through all ids, so that no two numbers share one."""
    letters = 26**5
    scattered = (numbers * 61_803_398_877 + seed * 7_919) % (10_000 * letters)
    return [f"{number // letters:04}-{_spell(number % letters)}" for number in scattered.tolist()]


def _spell(number: int) -> str:
    return "".join(chr(65 + number // 26**place % 26) for place in range(5))


def _money(cents: int) -> str:
    return repr(cents / 100).removesuffix(".0")


def _words(codes: Numbers, words: list[str] | None = None) -> list[str]:
    words = words or ["No", "Yes"]
    return [words[code] for code in codes.tolist()]


def _chance(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def _happens(rng: np.random.Generator, chance: Floats) -> NDArray[np.bool_]:
    return np.asarray(rng.random(chance.shape) < chance)


def _pick(rng: np.random.Generator, traits: list[Any], weights: list[list[float]]) -> Numbers:
    """A choice for each row, more likely where its weighted traits are higher (multinomial logit)."""
    odds = np.exp(np.stack(traits, axis=1) @ np.asarray(weights).T)
    upper = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)
    return np.asarray((rng.random(len(odds))[:, None] > upper[:, :-1]).sum(axis=1), dtype=np.int64)


def _each(people: _People, change: Callable[[Numbers], Numbers]) -> _People:
    return _People(**{f.name: change(getattr(people, f.name)) for f in fields(_People)})


def main(arguments: list[str] | None = None) -> None:
    """Write the months asked for, and print one path a line."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.simulate", description="Write simulated customers, one file a month."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--months", type=int, nargs="+", default=[1], metavar="MONTH", help="1 is January 2026; default: 1"
    )
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help=f"rows a month; default: {CUSTOMERS}")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    for month in options.months:
        print(write(options.folder, month, options.customers, options.seed))


if __name__ == "__main__":
    main()
