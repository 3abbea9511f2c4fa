"""What a dataset's rows have to be, beyond their types: the checks of a declaration.

Rules:
- A check is a plain value, written to JSON and compared by content. `lockstep.data` evaluates it, on the declared
  columns, typed, before `clean`.
- A check of rows is soft unless `hard` says otherwise: a row that breaks it goes to quarantine. A check of the whole is
  hard unless `soft` says otherwise: a snapshot that breaks it is not taken. A soft `unique` sets rows aside, too.
- A blank breaks no check of rows; whether it is allowed is said by the column's type.
- What can't be is refused when it is declared, as far as that can be told without reading data.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from lockstep.errors import DeclarationError

Value = bool | int | float | str | date
_FITTING: Final[dict[str, tuple[type, ...]]] = {
    "int": (int, float),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "date": (date,),
}


class Rule(StrEnum):
    """What is looked at: the first four look at each row, the others at all of them."""

    BETWEEN = "between"
    ONE_OF = "one_of"
    MATCHES = "matches"
    SATISFIES = "satisfies"
    UNIQUE = "unique"
    BLANKS = "blanks"
    FRESH = "fresh"
    ROWS_CHANGE = "rows_change"
    QUARANTINED = "quarantined"


_OF_ROWS: Final = (Rule.BETWEEN, Rule.ONE_OF, Rule.MATCHES, Rule.SATISFIES)
_KINDS: Final[dict[Rule, tuple[str, ...]]] = {
    Rule.BETWEEN: ("int", "float", "date"),
    Rule.MATCHES: ("str",),
    Rule.FRESH: ("date",),
}


class Weight(StrEnum):
    """What a broken check does: stop the snapshot, or set rows aside and be told."""

    HARD = "hard"
    SOFT = "soft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation.

    Attributes:
        columns: the columns it speaks of.
        values: the two bounds, either None; the allowed values; the pattern; or the age in seconds.
        at_most: the share that blanks, change or quarantine may have.
        schema: of `satisfies`, the function that returns a schema of pandera.
        stop_above: the share of rows above which a soft check that sets rows aside stops the snapshot.
    """

    rule: Rule
    columns: tuple[str, ...] = ()
    values: tuple[Value | None, ...] = ()
    at_most: float | None = None
    schema: Callable[[], Any] | None = None
    weight: Weight = Weight.SOFT
    stop_above: float | None = None

    @property
    def is_of_rows(self) -> bool:
        """Whether it looks at each row by itself."""
        return self.rule in _OF_ROWS

    @property
    def sets_aside(self) -> bool:
        """Whether rows that break it go to the quarantine where it is soft."""
        return self.is_of_rows or self.rule is Rule.UNIQUE

    def __str__(self) -> str:
        words = [f'"{name}"' for name in self.columns]
        match self.rule:
            case Rule.BETWEEN:
                words += [_shown(value) for value in self.values]
            case Rule.ONE_OF:
                words.append(f"[{', '.join(_shown(value) for value in self.values)}]")
            case Rule.MATCHES:
                words += [f'r"{value}"' for value in self.values]
            case Rule.SATISFIES:
                words.append(getattr(self.schema, "__qualname__", repr(self.schema)))
            case Rule.FRESH:
                words.append(f"within={_span(self.within)}")
            case _:
                words += [] if self.at_most is None else [f"at_most={self.at_most:g}"]
        return f"{self.rule}({', '.join(words)})"

    @property
    def within(self) -> timedelta:
        """The age that `fresh` allows."""
        (seconds,) = (value for value in self.values if isinstance(value, int | float))
        return timedelta(seconds=seconds)


# ------------------------------------------------------------------------------------------------------- of each row


def between(column: str, least: Value | None = None, most: Value | None = None) -> Check:
    """Values from `least` to `most`, both allowed; either may be None.

    Raises:
        DeclarationError: both are None, or they are the wrong way round.
    """
    both = [bound for bound in (least, most) if bound is not None]
    if not both or (type(least) is type(most) and sorted(both) != both):
        raise DeclarationError(
            f'between("{column}", {_shown(least)}, {_shown(most)}): no value can be so, or all are; the form is'
            ' between("tenure", 0, 100), least first, one of them perhaps None.'
        )
    return Check(rule=Rule.BETWEEN, columns=(column,), values=(least, most))


def one_of(column: str, values: Sequence[Value]) -> Check:
    """One of the values.

    Raises:
        DeclarationError: there is none, or they are one text.
    """
    if isinstance(values, str) or not values:
        raise DeclarationError(f'one_of("{column}", {values!r}): it takes a list of values, one at least.')
    return Check(rule=Rule.ONE_OF, columns=(column,), values=tuple(values))


def matches(column: str, pattern: str) -> Check:
    r"""Texts that match the regular expression as a whole, as `matches("customerID", r"\d{4}-[A-Z]{5}")`.

    Raises:
        DeclarationError: it is no regular expression.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise DeclarationError(f'matches("{column}", {pattern!r}): that is no regular expression: {error}.') from None
    return Check(rule=Rule.MATCHES, columns=(column,), values=(pattern,))


def satisfies(schema: Callable[[], Any]) -> Check:
    """Rows that a schema of pandera takes: a named function that returns a `pandera.polars.DataFrameSchema`.

    For what the other checks can't say, as a rule between two columns.

    Raises:
        DeclarationError: it is no function with a name.
    """
    if not hasattr(schema, "__qualname__"):
        raise DeclarationError(
            f"satisfies({schema!r}): it takes a named function that returns a pandera.polars.DataFrameSchema, so that"
            " declaring imports no pandera."
        )
    return Check(rule=Rule.SATISFIES, schema=schema)


# ------------------------------------------------------------------------------------------------------ of the whole


def unique(*columns: str) -> Check:
    """No two keys share a value of the column, or of all the columns together; blanks don't count. The key is unique.

    Soft, it sets all rows aside that share a value: which of them is right nobody can tell.

    Raises:
        DeclarationError: no column is named.
    """
    if not columns:
        raise DeclarationError('unique(): name a column, as unique("email").')
    return hard(Check(rule=Rule.UNIQUE, columns=columns))


def blanks(column: str, *, at_most: float) -> Check:
    """Blank in at most this share of the rows (0 ≤ at_most < 1), in a column that may be blank by its type.

    Raises:
        DeclarationError: the share is out of range.
    """
    return hard(Check(rule=Rule.BLANKS, columns=(column,), at_most=_share(f'blanks("{column}"', at_most)))


def fresh(column: str, *, within: timedelta) -> Check:
    """The newest date is no older than that, by the date in UTC when the snapshot is taken.

    Raises:
        DeclarationError: it is no span of time from zero on.
    """
    if within < timedelta(0):
        raise DeclarationError(
            f'fresh("{column}", within={within!r}): the age is a timedelta from zero on, as timedelta(days=2).'
        )
    return hard(Check(rule=Rule.FRESH, columns=(column,), values=(within.total_seconds(),)))


def rows_change(*, at_most: float) -> Check:
    """The number of rows is at most this share above or below that of the last snapshot (0.5 is half).

    Raises:
        DeclarationError: the share is below 0.
    """
    if not at_most >= 0:
        raise DeclarationError(f"rows_change(at_most={at_most}): the share is 0 or more, as rows_change(at_most=0.5).")
    return hard(Check(rule=Rule.ROWS_CHANGE, at_most=at_most))


def quarantined(*, at_most: float) -> Check:
    """At most this share of all rows (0 ≤ at_most < 1) is set aside, for whatever reason.

    Raises:
        DeclarationError: the share is out of range.
    """
    return hard(Check(rule=Rule.QUARANTINED, at_most=_share("quarantined(", at_most)))


# ------------------------------------------------------------------------------------------------------ what it does


def hard(check: Check) -> Check:
    """Stop the snapshot where it is broken, if by one row."""
    return replace(check, weight=Weight.HARD, stop_above=None)


def soft(check: Check, *, stop_above: float | None = None) -> Check:
    """Set rows that break it aside, or, of a check of the whole, say that it is broken; take the snapshot all the same.

    Args:
        check: the check.
        stop_above: of a check that sets rows aside, the share of rows (0 ≤ stop_above < 1) above which the snapshot is
            stopped.

    Raises:
        DeclarationError: the share is out of range, or the check does not look at rows.
    """
    if stop_above is not None:
        if not check.sets_aside:
            raise DeclarationError(
                f"soft({check}, stop_above={stop_above}): {check.rule} looks at the whole, of which there is no share;"
                " leave stop_above out."
            )
        _share(f"soft({check}", stop_above, "stop_above")
    return replace(check, weight=Weight.SOFT, stop_above=stop_above)


# ----------------------------------------------------------------------------------------------------------- read it


def check_checks(whose: str, checks: Sequence[Check], kinds: Mapping[str, str], key: str) -> None:
    """Refuse checks that the declared columns (name → kind) can't be held against.

    Raises:
        DeclarationError: names the check and the way out.
    """
    for check in checks:
        if not isinstance(check, Check):
            raise DeclarationError(
                f'{whose}: checks= holds {check!r}; it takes checks, as between("tenure", 0, 100) or'
                " rows_change(at_most=0.5)."
            )
        for name in check.columns:
            if name not in kinds:
                raise DeclarationError(
                    f'{whose}: {check}: there is no column "{name}"; its columns are {", ".join(kinds)}.'
                )
            _check_kind(f"{whose}: {check}", check, kinds[name])
        if check.rule is Rule.UNIQUE and key in check.columns:
            raise DeclarationError(f'{whose}: {check}: the key "{key}" is unique as it is. Take the check away.')
    said = [str(check) for check in checks]
    if twice := sorted({text for text in said if said.count(text) > 1}):
        raise DeclarationError(f"{whose}: {', '.join(twice)} stands there more than once. Keep one.")


def _check_kind(what: str, check: Check, kind: str) -> None:
    allowed = _KINDS.get(check.rule)
    if allowed and kind not in allowed:
        raise DeclarationError(f"{what}: it looks at columns of {' or '.join(allowed)}, and this is one of {kind}.")
    if check.rule not in (Rule.BETWEEN, Rule.ONE_OF):
        return
    for value in check.values:
        if value is not None and not _fits(value, kind):
            raise DeclarationError(f"{what}: {_shown(value)} can't stand in a column of {kind}.")


def _fits(value: Value, kind: str) -> bool:
    if isinstance(value, bool | datetime):  # which are ints and dates to Python
        return kind == "bool" and isinstance(value, bool)
    return isinstance(value, _FITTING[kind])


def _share(said: str, share: float, name: str = "at_most") -> float:
    if not 0 <= share < 1:
        comma = "" if said.endswith("(") else ", "
        raise DeclarationError(f"{said}{comma}{name}={share}): the share is from 0 to below 1, as {name}=0.1.")
    return float(share)


def _shown(value: Value | None) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return value.isoformat() if isinstance(value, date) else repr(value)


def _span(span: timedelta) -> str:
    days = span / timedelta(days=1)
    return f"{days:g} day" + ("" if days == 1 else "s")


def as_json(check: Check) -> dict[str, Any]:
    """The check as JSON values; `from_json` reads it. A function stands there by its name, `module:name`."""
    found: dict[str, Any] = {
        "rule": check.rule.value,
        "columns": list(check.columns),
        "values": [{"date": value.isoformat()} if isinstance(value, date) else value for value in check.values],
        "at_most": check.at_most,
        "weight": check.weight.value,
        "stop_above": check.stop_above,
    }
    if check.schema is not None:
        found["schema"] = f"{check.schema.__module__}:{check.schema.__qualname__}"
    return found


def from_json(said: Mapping[str, Any], imported: Callable[[str], Callable[[], Any]]) -> Check:
    """The check that `as_json` wrote; `imported` finds a function by its name."""
    values = (date.fromisoformat(value["date"]) if isinstance(value, dict) else value for value in said["values"])
    return Check(
        rule=Rule(said["rule"]),
        columns=tuple(said["columns"]),
        values=tuple(values),
        at_most=said["at_most"],
        schema=imported(said["schema"]) if "schema" in said else None,
        weight=Weight(said["weight"]),
        stop_above=said["stop_above"],
    )


def said_of(result: Mapping[str, Any]) -> str:
    """A line for people of a check's result, as it stands in the manifest of a snapshot."""
    share = result.get("stop_above")
    weight = result["weight"] if share is None else f"{result['weight']}, stops above {share:g}"
    return f"{result['check']} ({weight}): {result['says']}"
