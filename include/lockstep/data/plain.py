"""Rows of plain values whose types leave nothing to be told: what `parse_rows` would make of them, in microseconds.

Rules:
- For a row that it takes, the values are those that `parse_rows` makes of its texts; every other row is left to that.
- The same holds of a frame, which is taken whole or not at all.
- It takes no offence: what is wrong with a row is said by `parse_rows` alone.
- What it made is a frame at once: polars need not look for types that are known.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from math import isfinite
from operator import itemgetter
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.data.rows import dtype_of
from lockstep.declare import Column

_INT: Final = 1 << 63
_EXACT: Final = 1 << 53  # whole numbers up to here are floats without rounding
_SPACE, _DELETE = 32, 127  # in ASCII; all between them is printed
_DATE: Final = 10  # characters of YYYY-MM-DD
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


def plain_rows(rows: Sequence[Mapping[str, Any]], schema: Mapping[str, Column]) -> pl.DataFrame | None:
    """The frame of many rows, with the values that `parse_rows` makes of them; None where it has to look at one."""
    columns: dict[str, Sequence[Any]] = {}
    for (name, column), cells in zip(schema.items(), _cells(rows, tuple(schema)), strict=True):
        values = _plain_column(cells, column)
        if values is None:
            return None
        columns[name] = values
    try:
        frame = frame_of(columns, schema)
    except UnicodeError:  # half of a surrogate pair
        return None
    return frame if _are_plain(frame.get_columns()) else None


def frame_of(columns: Mapping[str, Sequence[Any]], schema: Mapping[str, Column]) -> pl.DataFrame:
    """The frame of values as `plain_values` gives them."""
    if _SHORT is None:
        return frame_by_polars(columns, schema)
    return _SHORT(columns, schema)


def frame_by_polars(columns: Mapping[str, Sequence[Any]], schema: Mapping[str, Column]) -> pl.DataFrame:
    """As `frame_of`, by what polars promises to have; it takes ten times as long."""
    return pl.DataFrame([pl.Series(name, columns[name], dtype_of(column)) for name, column in schema.items()])


def _short_way() -> Callable[[Mapping[str, Sequence[Any]], Mapping[str, Column]], pl.DataFrame] | None:
    """What `frame_of` does a tenth of the time in, where polars has it as known here: nobody promises that it has."""
    tried: dict[str, Sequence[Any]] = {"int": [1, None], "float": [0.5, None], "str": ["a", None], "bool": [True, None]}
    schema = {name: Column(kind=name, nullable=True) for name in tried}
    try:
        from polars._plr import PyDataFrame, PySeries

        makes: Mapping[str, Any] = {
            "int": PySeries.new_opt_i64,
            "float": PySeries.new_opt_f64,
            "str": PySeries.new_str,
            "bool": PySeries.new_opt_bool,
        }

        def make(columns: Mapping[str, Sequence[Any]], schema: Mapping[str, Column]) -> pl.DataFrame:
            found = []
            for name, column in schema.items():
                short, values = makes.get(column.kind), columns[name]
                made = pl.Series(name, values, dtype_of(column))._s if short is None else short(name, values, True)  # noqa: FBT003, SLF001
                found.append(made)
            return pl.DataFrame._from_pydf(PyDataFrame(found))  # noqa: SLF001  what pl.DataFrame does in the end

        made, promised = make(tried, schema), frame_by_polars(tried, schema)
        is_known = made.schema == promised.schema and made.equals(promised)
    except Exception:  # noqa: BLE001  another polars may have none of these, or others
        return None
    return make if is_known else None


def plain_frame(rows: pl.DataFrame, schema: Mapping[str, Column]) -> pl.DataFrame | None:
    """The declared columns of a frame that has their types; None where `parse_rows` has to look at it."""
    cells: list[pl.Series] = []
    given = {found.name: found for found in rows.get_columns()}
    for name, column in schema.items():
        wanted = dtype_of(column)
        found = given.get(name)
        if found is None:
            found = pl.Series(name, [None], wanted).new_from_index(0, rows.height)
        lost = found.null_count()
        if found.dtype != wanted:
            if lost < rows.height and not (column.kind == "int" and found.dtype in _NARROW):
                return None
            found = found.cast(wanted)
        if lost and not column.nullable:
            return None
        if column.kind == "float" and not np.isfinite((found.drop_nulls() if lost else found).to_numpy()).all():
            return None
        cells.append(found)
    return pl.DataFrame(cells) if _are_plain(cells) else None


def _cells(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterable[Sequence[Any]]:
    """The values by column; None where a row has none."""
    if len(names) > 1:
        try:
            return zip(*map(itemgetter(*names), rows), strict=True)
        except KeyError:
            pass
    return [[row.get(name) for row in rows] for name in names]


def _plain_column(values: Sequence[Any], column: Column) -> Sequence[Any] | None:
    """Values of one type are looked at together, others one by one; texts still have to be looked at."""
    kinds = set(map(type, values))
    if column.kind == "str" and kinds == {str}:
        return values
    if column.kind == "float" and kinds == {float}:
        return values if isfinite(sum(values)) else _one_by_one(values, column)  # a sum of finite ones may overflow
    if column.kind == "int" and kinds == {int}:
        return values if min(values) >= -_INT and max(values) < _INT else None
    if column.kind == "bool" and kinds == {bool}:
        return values
    return _one_by_one(values, column)


def _are_plain(columns: Sequence[pl.Series]) -> bool:
    """Whether no text of any column is empty, or has a blank at an end."""
    texts = [found for found in columns if found.dtype == pl.String]
    if not texts:
        return True
    every = pl.concat(texts)  # one look at all: each look costs more than its texts
    if every.null_count():
        every = every.drop_nulls()
    if every.is_empty():
        return True
    told = every.to_arrow(compat_level=pl.CompatLevel.oldest())  # its texts lie one after the other
    places, letters = told.buffers()[1:]
    ends = np.frombuffer(places, np.int64)[told.offset : told.offset + len(told) + 1]
    if (ends[1:] == ends[:-1]).any():
        return False
    letter = np.frombuffer(letters, np.uint8)
    if _is_sign(letter[ends[:-1]]).all() and _is_sign(letter[ends[1:] - 1]).all():
        return True
    return bool((every.str.strip_chars() == every).all())  # a byte does not tell a letter from a blank beyond ASCII


def _is_sign(letters: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return letters - np.uint8(_SPACE + 1) < np.uint8(_DELETE - _SPACE - 1)  # a byte below the space goes round


def _one_by_one(values: Sequence[Any], column: Column) -> list[Any] | None:
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


_SHORT: Final = _short_way()
