"""Rows of plain values whose types leave nothing to be told: what `parse_rows` would make of them, in microseconds.

Rules:
- For a row that it takes, the values are those that `parse_rows` makes of its texts; every other row is left to that.
- The same holds of a frame, which is taken whole or not at all.
- It takes no offence: what is wrong with a row is said by `parse_rows` alone.
- What it made is a frame at once: polars need not look for types that are known.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from math import isfinite
from operator import itemgetter
from typing import Any, Final

import numpy as np
import polars as pl
from polars._plr import PyDataFrame, PySeries  # the constructors behind pl.Series, which take a tenth of its time

from lockstep.data.rows import dtype_of
from lockstep.declare import Column

_INT: Final = 1 << 63
_EXACT: Final = 1 << 53  # whole numbers up to here are floats without rounding
_DATE: Final = 10  # characters of YYYY-MM-DD
_MAKES: Final[Mapping[str, Any]] = {
    "int": PySeries.new_opt_i64,
    "float": PySeries.new_opt_f64,
    "str": PySeries.new_str,
    "bool": PySeries.new_opt_bool,
}
_NARROW: Final = (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32)


def plain_values(row: Mapping[str, Any], schema: Mapping[str, Column]) -> dict[str, Any] | None:
    """The values of the declared columns, typed; None where `parse_rows` has to look at the row."""
    values: dict[str, Any] = {}
    for name, column in schema.items():
        value = row.get(name)
        if value is None:
            if not column.nullable:
                return None
        elif (value := _plain(value, column.kind)) is None:
            return None
        values[name] = value
    return values


def plain_columns(rows: Sequence[Mapping[str, Any]], schema: Mapping[str, Column]) -> dict[str, list[Any]] | None:
    """The values of many rows by column, as `plain_values` gives them; None where it would leave one row out."""
    columns: dict[str, list[Any]] = {}
    for name, column in schema.items():
        values = _plain_column(_cells(rows, name), column)
        if values is None:
            return None
        columns[name] = values
    return columns


def frame_of(columns: Mapping[str, Sequence[Any]], schema: Mapping[str, Column]) -> pl.DataFrame:
    """The frame of values as `plain_values` and `plain_columns` give them."""
    found = []
    for name, column in schema.items():
        make = _MAKES.get(column.kind)
        values = columns[name]
        found.append(make(name, values, True) if make else pl.Series(name, values, dtype_of(column))._s)  # noqa: FBT003
    return pl.DataFrame._from_pydf(PyDataFrame(found))


def plain_frame(rows: pl.DataFrame, schema: Mapping[str, Column]) -> pl.DataFrame | None:
    """The declared columns of a frame that has their types; None where `parse_rows` has to look at it."""
    cells: list[pl.Series] = []
    for name, column in schema.items():
        wanted = dtype_of(column)
        found = rows.get_column(name) if name in rows.columns else pl.Series(name, [None] * rows.height, wanted)
        if found.dtype != wanted:
            if found.null_count() < rows.height and not (column.kind == "int" and found.dtype in _NARROW):
                return None
            found = found.cast(wanted)
        if found.null_count() and not column.nullable:
            return None
        if column.kind == "float" and not np.isfinite(found.drop_nulls().to_numpy()).all():
            return None
        cells.append(found)
    texts = [found for found in cells if found.dtype == pl.String]
    if texts and rows.height:
        every = pl.concat([found.alias("") for found in texts])  # one look at all: each look costs more than its texts
        if not ((every.str.strip_chars() == every).all() and (every != "").all()):
            return None
    return pl.DataFrame(cells)


def _cells(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        return [row.get(name) for row in rows]


def _plain_column(values: list[Any], column: Column) -> list[Any] | None:
    """Values of one type are looked at together, others one by one."""
    kinds = set(map(type, values))
    if column.kind == "str" and kinds == {str}:
        return values if _are_plain(values) else None
    if column.kind == "float" and kinds == {float}:
        return values if isfinite(sum(values)) else _one_by_one(values, column)  # a sum of finite ones may overflow
    if column.kind == "int" and kinds == {int}:
        return values if min(values) >= -_INT and max(values) < _INT else None
    if column.kind == "bool" and kinds == {bool}:
        return values
    return _one_by_one(values, column)


def _are_plain(texts: list[str]) -> bool:
    """Whether `_plain` takes each: the only blank that can be printed is the space."""
    lines = "\n".join(texts)
    return (
        "".join(texts).isprintable()
        and not any(odd in lines for odd in ("\n\n", " \n", "\n "))
        and bool(lines)
        and lines[0] not in " \n"
        and lines[-1] not in " \n"
    )


def _one_by_one(values: list[Any], column: Column) -> list[Any] | None:
    found = [None if value is None else _plain(value, column.kind) for value in values]
    lost = found.count(None)
    return found if lost == (values.count(None) if column.nullable else 0) else None


def _plain(value: Any, kind: str) -> Any:  # noqa: ANN401, PLR0911  any value; one way out for each type
    found = type(value)
    if found is str:
        if kind == "str":
            return value if value and value.isprintable() and value == value.strip() else None
        return _date(value) if kind == "date" else None
    if found is float:
        return value if kind == "float" and isfinite(value) else None
    if found is int:
        if kind == "int":
            return value if -_INT <= value < _INT else None
        return float(value) if kind == "float" and -_EXACT <= value <= _EXACT else None
    if found is bool:
        return value if kind == "bool" else None
    return value if found is date and kind == "date" else None


def _date(text: str) -> date | None:
    if len(text) != _DATE or not text.isascii() or text[4] != "-" or text[7] != "-":
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
