"""What a dataset's checks say of all rows of a snapshot that is about to be recorded.

Rules:
- The verdict follows from what was counted, the last snapshot and the date alone, whatever machine counted.
- A check that stops the snapshot is told with its figures and its first row; all that stop it are told at once.
- Each check has a result, kept or broken.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from lockstep.checks import Check, Rule, Weight, said_of
from lockstep.data.checking import Tally
from lockstep.declare import Dataset
from lockstep.errors import CheckFailed

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a verdict is made of: the tally, rows kept and set aside, rows of the last snapshot, and the date in UTC."""

    tally: Tally
    kept: int
    quarantined: int
    before: int | None
    today: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one check. `rows`: how many break it; None where it looks at no single row.

    `newest`: of `fresh`, the newest date.
    """

    check: Check
    rows: int | None
    is_kept: bool
    stops: bool
    says: str
    newest: date | None = None

    def as_json(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        found = {
            "check": str(self.check),
            "weight": self.check.weight.value,
            "kept": self.is_kept,
            "rows": self.rows,
            "says": self.says,
        }
        return found if self.check.stop_above is None else found | {"stop_above": self.check.stop_above}


def results_of(dataset: Dataset, counted: Counted) -> list[Result]:
    """A result for each check, in the order of the declaration."""
    return [_result(check, counted) for check in dataset.checks]


def stop_if_broken(dataset: Dataset, results: Sequence[Result]) -> None:
    """Log each result, and raise if one stops the snapshot.

    Raises:
        CheckFailed: names each of those, with its figures.
    """
    for result in results:
        level = logging.INFO if result.is_kept else logging.WARNING
        _LOG.log(level, "%s: %s", dataset.name, said_of(result.as_json()))
    broken = [result for result in results if result.stops]
    if broken:
        said = "; ".join(said_of(result.as_json()) for result in broken)
        raise CheckFailed(
            f'Dataset "{dataset.name}": no snapshot was taken, and staging and production stay as they are, because'
            f" {len(broken)} of its {len(results)} checks {'stops' if len(broken) == 1 else 'stop'} it. {said}. Correct"
            " the source, or the checks of the declaration."
        )


def _result(check: Check, counted: Counted) -> Result:
    match check.rule:
        case Rule.BLANKS:
            share_of = counted.tally.blank.get(check.columns[0], 0), counted.tally.rows
            return _share(check, *share_of, f"{share_of[0]} of {share_of[1]} rows are blank there")
        case Rule.QUARANTINED:
            all_rows = counted.kept + counted.quarantined
            said = f"{counted.quarantined} of {all_rows} rows are set aside"
            return _share(check, counted.quarantined, all_rows, said)
        case Rule.FRESH:
            return fresh_result(check, counted.tally.newest.get(check.columns[0]), counted.today)
        case Rule.ROWS_CHANGE:
            return _rows_change(check, counted)
        case _:
            return _rows(check, counted)


def _rows(check: Check, counted: Counted) -> Result:
    broken = counted.tally.broken.get(str(check))
    if broken is None:
        return _settled(check, "no row breaks it", 0, is_kept=True)
    file, line, reason = broken.first
    said = f"{broken.rows} of {counted.tally.rows} rows break it, first {file}, line {line}: {reason}"
    if check.weight is Weight.HARD:
        return _settled(check, said, broken.rows, is_kept=False)
    stops = check.stop_above is not None and broken.rows > check.stop_above * counted.tally.rows
    return Result(check=check, rows=broken.rows, is_kept=False, stops=stops, says=said)


def _share(check: Check, part: int, whole: int, said: str) -> Result:
    return _settled(check, said, part, is_kept=part <= (check.at_most or 0) * whole)


def fresh_result(check: Check, newest: date | None, today: date) -> Result:
    """What `fresh` says on a day."""
    if newest is None:
        return _settled(check, f'there is no date in "{check.columns[0]}"', None, is_kept=False)
    age = today - newest
    said = f"the newest date is {newest}, {age.days} days before {today}"
    return replace(_settled(check, said, None, is_kept=age <= check.within), newest=newest)


def _rows_change(check: Check, counted: Counted) -> Result:
    if not counted.before:
        return _settled(check, "there is no earlier snapshot", None, is_kept=True)
    change = (counted.kept - counted.before) / counted.before
    said = f"{counted.kept} rows where the last snapshot has {counted.before} ({change:+.1%})"
    return _settled(check, said, None, is_kept=abs(change) <= (check.at_most or 0))


def _settled(check: Check, said: str, rows: int | None, *, is_kept: bool) -> Result:
    stops = not is_kept and check.weight is Weight.HARD
    return Result(check=check, rows=rows, is_kept=is_kept, stops=stops, says=said)
