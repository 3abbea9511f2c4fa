"""Rows as they come, checked against the declared columns: what can be used is typed, the rest says why not.

Rules:
- Nothing is lost: each row that comes in is in `good` or in `bad`, and a bad row carries every reason.
- One row or ten million go through the same code, column by column.
- Serving uses this module; it knows nothing of Beam or of files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from lockstep.declare import Column
from lockstep.errors import DataError

REASON: Final = "_reason"
WHERE: Final = ("_file", "_line")
_LONGEST_SHOWN: Final = 40
_TRUE: Final = ("true", "yes", "y", "t", "1", "1.0")
_FALSE: Final = ("false", "no", "n", "f", "0", "0.0")
_DTYPES: Final[dict[str, type[pl.DataType]]] = {
    "int": pl.Int64,
    "float": pl.Float64,
    "str": pl.String,
    "bool": pl.Boolean,
    "date": pl.Date,
}
_NOUNS: Final = {"int": "an int", "float": "a float", "str": "a text", "bool": "a bool (yes/no, true/false, 1/0)",
                 "date": "a date (YYYY-MM-DD)"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """`good`: the declared columns, typed. `bad`: the columns as text, and `_reason`. Both keep `_file` and `_line`."""

    good: pl.DataFrame
    bad: pl.DataFrame


def dtype_of(column: Column) -> type[pl.DataType]:
    """The polars type of a declared column."""
    return _DTYPES[column.kind]


def parse_rows(rows: pl.DataFrame, schema: Mapping[str, Column]) -> Parsed:
    """Check and convert the columns of `schema`; other columns are dropped, `_file` and `_line` are kept.

    Args:
        rows: text columns (from CSV) or typed ones (from Parquet or JSON).
        schema: column name → type.

    Raises:
        DataError: a declared column is not there at all.
    """
    missing = [name for name in schema if name not in rows.columns]
    if missing:
        raise DataError(
            f"Columns {', '.join(missing)} are declared, but the rows have only {', '.join(_own(rows))}. Correct the"
            " source or the declaration."
        )
    where = [name for name in WHERE if name in rows.columns]
    text = rows.select(*(_as_text(rows, name) for name in schema), *where)
    typed = text.select(*(_PARSERS[column.kind](pl.col(name)).alias(name) for name, column in schema.items()), *where)
    reasons = [_reason(name, column) for name, column in schema.items()]
    checked = typed.select(pl.col(name).is_null().alias(name) for name in schema)
    needed = pl.DataFrame(
        {name: checked[name] & (text[name].is_not_null() | (not column.nullable)) for name, column in schema.items()}
    )
    if not needed.select(pl.any_horizontal(pl.all())).to_series().any():
        return Parsed(good=typed, bad=text.clear().with_columns(pl.lit(None, pl.String).alias(REASON)))
    is_bad = needed.select(pl.any_horizontal(pl.all())).to_series()
    failed = text.filter(is_bad)
    why = failed.select(
        pl.concat_str(
            [pl.when(needed.filter(is_bad)[name]).then(reason) for name, reason in zip(schema, reasons, strict=True)],
            separator="; ",
            ignore_nulls=True,
        ).alias(REASON)
    )
    return Parsed(good=typed.filter(~is_bad), bad=failed.with_columns(why.to_series()))


def _own(rows: pl.DataFrame) -> list[str]:
    return [name for name in rows.columns if not name.startswith("_")]


def _as_text(rows: pl.DataFrame, name: str) -> pl.Expr:
    """The column as text without outer blanks; blank and NaN-free null where there is nothing."""
    dtype = rows.schema[name]
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        return pl.col(name).map_elements(_shown, return_dtype=pl.String).alias(name)
    stripped = pl.col(name).cast(pl.String).str.strip_chars()
    return pl.when(stripped != "").then(stripped).alias(name)


def _shown(value: object) -> str:
    """A list comes as a Series, whose own text leaves out what is in the middle."""
    return repr(value.to_list() if isinstance(value, pl.Series) else value)


def _reason(name: str, column: Column) -> pl.Expr:
    shown = pl.col(name).str.slice(0, _LONGEST_SHOWN)
    return (
        pl.when(pl.col(name).is_null())
        .then(pl.lit(f"{name}: blank, {_NOUNS[column.kind]} is needed"))
        .otherwise(pl.format('{}: "{}" is not {}', pl.lit(name), shown, pl.lit(_NOUNS[column.kind])))
    )


def _parse_float(text: pl.Expr) -> pl.Expr:
    number = text.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def _parse_int(text: pl.Expr) -> pl.Expr:
    whole = text.str.replace(r"^([+-]?\d+)\.0+$", "$1")  # a reader of floats writes 3 as 3.0
    return whole.cast(pl.Int64, strict=False)


def _parse_bool(text: pl.Expr) -> pl.Expr:
    word = text.str.to_lowercase()
    return pl.when(word.is_in(_TRUE)).then(statement=True).when(word.is_in(_FALSE)).then(statement=False)


def _parse_date(text: pl.Expr) -> pl.Expr:
    return text.str.to_date("%Y-%m-%d", strict=False)


_PARSERS: Final[dict[str, Callable[[pl.Expr], pl.Expr]]] = {
    "int": _parse_int,
    "float": _parse_float,
    "str": lambda text: text,
    "bool": _parse_bool,
    "date": _parse_date,
}
