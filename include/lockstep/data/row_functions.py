"""What single polars expressions do, as functions of one row of plain values.

Rules:
- A function says what polars says, value by value, or leaves it to polars; tests hold each against polars.
- `make(inputs, options, dtype)` of `SPECIAL` gives None where it does not know the options.
"""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, frexp, isfinite
from operator import add, eq, ge, gt, le, lt, mul, ne, neg, sub
from typing import Any, Final

import polars as pl

Values = dict[str, Any]
Make = Callable[[Values], Any]
Step = Callable[[Values], Values]
Inputs = Sequence[Make]
Options = Sequence[Any]
INTS: Final = (pl.Int8, pl.Int16, pl.Int32, pl.Int64)
_INT: Final = 1 << 63
_HALF: Final = 0.5  # what frexp says of a power of two
_EXACT: Final = 1 << 53  # beyond, a float is a whole number anyway


class LeftToPolars(Exception):
    """Polars has to say it; the message says why."""


def set_columns(makes: Sequence[tuple[str, Make]]) -> Step:
    """Columns set at once."""
    return lambda row: {**row, **{name: make(row) for name, make in makes}}


def pick_columns(makes: Sequence[tuple[str, Make]]) -> Step:
    """These columns alone."""
    return lambda row: {name: make(row) for name, make in makes}


def keep(holds: Make) -> Step:
    """The rows for which it is true."""

    def kept(row: Values) -> Values:
        if holds(row) is not True:
            raise LeftToPolars("it is left out")
        return row

    return kept


def strict(make: Callable[..., Any], *inputs: Make) -> Make:
    """Of nothing comes nothing."""
    if len(inputs) == 1:
        (only,) = inputs
        return lambda row: None if (value := only(row)) is None else make(value)

    def of_all(row: Values) -> Any:  # noqa: ANN401  any value
        values = [one(row) for one in inputs]
        return None if None in values else make(*values)

    return of_all


def checked(make: Make, dtype: Any) -> Make:  # noqa: ANN401  polars' own
    """A number that polars would hold, too."""
    if dtype == pl.Float64:

        def finite(row: Values) -> Any:  # noqa: ANN401  a float or nothing
            value = make(row)
            if value is not None and not isfinite(value):
                raise LeftToPolars("a number is not finite")
            return value

        return finite
    if dtype in INTS:

        def narrow(row: Values) -> Any:  # noqa: ANN401  an int or nothing
            value = make(row)
            if value is not None and not -_INT <= value < _INT:
                raise LeftToPolars("a number is too large")
            return value

        return narrow
    return make


def divide(left: float, right: float) -> float:
    """The quotient of floats, which polars makes of ints, too."""
    return float(left) / float(right)


def is_inexact(divisor: Make) -> bool:
    """Whether it is a constant whose inverse is rounded: by that polars multiplies many rows, and divides one."""
    try:
        found = divisor({})
    except KeyError:
        return False
    return not found or abs(frexp(found)[0]) != _HALF


def _joins(*, decides: bool) -> Callable[[Make, Make], Make]:
    """`&` or `|`: one side that `decides` is enough; where none does, a blank leaves it open."""

    def joined(left: Make, right: Make) -> Make:
        def of_both(row: Values) -> bool | None:
            one, other = left(row), right(row)
            if decides in (one, other):
                return decides
            return None if one is None or other is None else not decides

        return of_both

    return joined


def either(holds: Make, truthy: Make, falsy: Make) -> Make:
    """One or the other; a blank is no yes."""
    return lambda row: truthy(row) if holds(row) else falsy(row)


def _first(inputs: Inputs, options: Options, _: Any) -> Make | None:  # noqa: ANN401  polars' own
    if options:
        return None
    return lambda row: next((value for one in inputs if (value := one(row)) is not None), None)


def _is_blank(inputs: Inputs, _: Options, __: Any) -> Make:  # noqa: ANN401  polars' own
    (value,) = inputs
    return lambda row: value(row) is None


def _is_there(inputs: Inputs, _: Options, __: Any) -> Make:  # noqa: ANN401  polars' own
    (value,) = inputs
    return lambda row: value(row) is not None


def _constant(make: Make) -> Any:  # noqa: ANN401  any value
    try:
        return make({})
    except KeyError:
        raise LeftToPolars("its clean takes from a column what is a constant elsewhere") from None


def _is_in(inputs: Inputs, options: Options, _: Any) -> Make | None:  # noqa: ANN401  polars' own
    value, words = inputs
    known = _constant(words)
    if options != [False] or not isinstance(known, list) or None in known:
        return None
    there = frozenset(known)
    return strict(there.__contains__, value)


def _joined(inputs: Inputs, options: Options, _: Any) -> Make | None:  # noqa: ANN401  polars' own
    return strict(lambda *texts: "".join(texts), *inputs) if options == ["", False] else None


def _contains(inputs: Inputs, options: Options, _: Any) -> Make | None:  # noqa: ANN401  polars' own
    return strict(lambda text, part: part in text, *inputs) if options[:1] == [True] else None  # no pattern


def _replaces(inputs: Inputs, options: Options, _: Any) -> Make | None:  # noqa: ANN401  polars' own
    return strict(_replaced, *inputs) if options == [-1, True] else None


def _replaced(text: str, part: str, other: str) -> str:
    if not part:
        raise LeftToPolars("nothing is replaced by something")
    return text.replace(part, other)


def _clips(inputs: Inputs, options: Options, dtype: Any) -> Make | None:  # noqa: ANN401  polars' own
    value, *bounds = inputs
    has_least, has_most = options
    limits = [_constant(bound) for bound in bounds]
    if None in limits:
        return None
    kind = float if dtype == pl.Float64 else int
    least = limits[0] if has_least else None
    most = limits[-1] if has_most else None

    def clipped(found: Any) -> Any:  # noqa: ANN401  a number
        if least is not None and found < least:
            return kind(least)
        return kind(most) if most is not None and found > most else found

    return strict(clipped, value)


def _rounds(inputs: Inputs, options: Options, dtype: Any) -> Make | None:  # noqa: ANN401  polars' own
    digits, mode = options
    return strict(_rounded(digits, dtype), *inputs) if mode == "half_to_even" else None


def _rounded(digits: int, dtype: Any) -> Callable[[Any], Any]:  # noqa: ANN401  polars' own
    if dtype != pl.Float64:
        return lambda value: value
    if digits == 0:
        return lambda value: float(round(value)) if abs(value) < _EXACT else value
    shift = 10.0**digits

    def rounded(value: float) -> float:
        moved = value * shift
        return float(round(moved)) / shift if abs(moved) < _EXACT else moved / shift

    return rounded


def cast(value: Make, given: Any, wanted: Any) -> Make:  # noqa: ANN401  polars' own
    """A value in another type, where none is lost."""
    if given in (wanted, pl.Null):
        return value
    if wanted == pl.Float64 and given in (*INTS, pl.Boolean):
        return strict(float, value)
    if wanted == pl.Int64 and given in (*INTS, pl.Boolean):
        return strict(int, value)
    raise LeftToPolars(f"its clean casts {given} to {wanted}")


def _ascii(change: Callable[[str], str]) -> Callable[[str], str]:
    """Letters beyond have rules that Python and polars may know from different years."""

    def changed(text: str) -> str:
        if not text.isascii():
            raise LeftToPolars("a letter beyond ASCII")
        return change(text)

    return changed


COUNTED: Final[Mapping[str, Callable[..., Any]]] = {"Plus": add, "Minus": sub, "Multiply": mul}
COMPARED: Final[Mapping[str, Callable[..., Any]]] = {
    "Eq": eq,
    "NotEq": ne,
    "Lt": lt,
    "LtEq": le,
    "Gt": gt,
    "GtEq": ge,
}
LOGIC: Final[Mapping[str, Callable[[Make, Make], Make]]] = {
    "And": _joins(decides=False),
    "LogicalAnd": _joins(decides=False),
    "Or": _joins(decides=True),
    "LogicalOr": _joins(decides=True),
}
SIMPLE: Final[Mapping[str, Callable[..., Any]]] = {
    "Not": lambda value: not value,
    "StripPrefix": str.removeprefix,
    "StripSuffix": str.removesuffix,
    "StartsWith": str.startswith,
    "EndsWith": str.endswith,
    "Lowercase": _ascii(str.lower),
    "Uppercase": _ascii(str.upper),
    "abs": abs,
    "negate": neg,
    "floor": lambda value: float(floor(value)),
    "ceil": lambda value: float(ceil(value)),
}
SPECIAL: Final[Mapping[str, Callable[[Inputs, Options, Any], Make | None]]] = {
    "fill_null": _first,
    "coalesce": _first,
    "IsNull": _is_blank,
    "IsNotNull": _is_there,
    "IsIn": _is_in,
    "ConcatHorizontal": _joined,
    "Contains": _contains,
    "Replace": _replaces,
    "clip": _clips,
    "round": _rounds,
}
TAKES: Final[Mapping[str, Any]] = {"Not": pl.Boolean, "floor": pl.Float64, "ceil": pl.Float64}
