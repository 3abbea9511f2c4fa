"""Rows as they come, checked against the declared columns: what can be used is typed, the rest says why not.

Rules:
- Nothing is lost: each row that comes in is in `good` or in `bad`, and a bad row carries every reason.
- One row or ten million go through the same code, column by column.
- Serving uses this module; it knows nothing of Beam or of files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import polars as pl

from lockstep.declare import Column
from lockstep.errors import DataError

REASON: Final = "_reason"
WHERE: Final = ("_file", "_line")
_PLACE: Final = "_place"
_LONGEST_SHOWN: Final = 40
_LONG: Final = 1000  # rows
_FEW: Final = 6  # different texts
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
            f"Columns {', '.join(missing)} are declared, but the rows have only {', '.join(_own(rows))}."
            f"{_near(missing, rows, schema)} Correct the source or the declaration."
        )
    where: list[str] = [name for name in WHERE if name in rows.columns]
    quick = _quick(rows, schema, where)
    unclear = _unclear(rows, quick, schema)
    if not unclear.any():
        nothing = dict.fromkeys(schema, pl.String) | {name: rows.schema[name] for name in where}
        return Parsed(good=quick, bad=pl.DataFrame(schema=nothing | {REASON: pl.String}))
    places = pl.int_range(rows.height, eager=True).alias(_PLACE)
    judged = _judge(rows.filter(unclear), quick.with_columns(places).filter(unclear), schema, where)
    clear = quick.filter(~unclear)
    if not judged.good.is_empty():
        numbered = clear.with_columns(places.filter(~unclear))
        clear = pl.concat([numbered, judged.good]).sort(_PLACE).drop(_PLACE)
    return Parsed(good=clear, bad=judged.bad)


def kinds_of(bad: pl.DataFrame, schema: Mapping[str, Column]) -> pl.Series:
    """Why each row of `Parsed.bad` can't be used, without what stands in it: many rows have one reason in common.

    It is told by the cells, not by the text of the reason, in which a quote may be of a cell or of a column's name.
    """
    said = []
    for name, column in schema.items():
        cell, noun = pl.col(name), _NOUNS[column.kind]
        is_wrong = _PARSERS[column.kind](cell).is_null() & (cell.is_not_null() | (not column.nullable))
        blank, other = pl.lit(f"{name}: blank, {noun} is needed"), pl.lit(f"{name}: … is not {noun}")
        said.append(pl.when(is_wrong).then(pl.when(cell.is_null()).then(blank).otherwise(other)))
    return bad.select(pl.concat_str(said, separator="; ", ignore_nulls=True).alias(REASON)).to_series()


def _unclear(rows: pl.DataFrame, quick: pl.DataFrame, schema: Mapping[str, Column]) -> pl.Series:
    """Which rows have a cell that the quick way made nothing of, and that may not be blank, or is not."""
    found = pl.repeat(value=False, n=rows.height, eager=True)
    for name, column in schema.items():
        nothing = quick[name].is_null() if quick[name].null_count() else None
        if nothing is not None and column.nullable:
            given = rows[name]
            nothing &= (given != "") if given.dtype == pl.String else given.is_not_null()
        if nothing is not None:
            found |= nothing.fill_null(value=False)
    return found


def _judge(rows: pl.DataFrame, quick: pl.DataFrame, schema: Mapping[str, Column], where: list[str]) -> Parsed:
    """Parse what the quick way could not: blanks around a cell do not count, and a row that can't be used says why."""
    left = {name: column for name, column in schema.items() if quick[name].null_count()}
    text = rows.select(*(_as_text(rows, name) for name in schema), *where)
    typed = text.select(_PARSERS[column.kind](pl.col(name)).alias(name) for name, column in left.items())
    needed = pl.DataFrame(
        {
            name: typed[name].is_null() & (text[name].is_not_null() | (not column.nullable))
            for name, column in left.items()
        }
    )
    is_bad = needed.select(pl.any_horizontal(pl.all())).to_series()
    failed, wrong = text.filter(is_bad), needed.filter(is_bad)
    why = failed.select(
        pl.concat_str(
            [pl.when(wrong[name]).then(_reason(name, column)) for name, column in left.items()],
            separator="; ",
            ignore_nulls=True,
        ).alias(REASON)
    )
    good = quick.with_columns(typed.get_columns()).filter(~is_bad)
    return Parsed(good=good, bad=failed.with_columns(why.to_series()))


def _quick(rows: pl.DataFrame, schema: Mapping[str, Column], where: list[str]) -> pl.DataFrame:
    """The values that can be told without care, else null; whatever this makes of a cell, `_judge` makes of it too."""
    values = rows.select(*(_value(rows[name], column) for name, column in schema.items()), *where)
    doubtful = {
        name: pl.col(name) != "" if column.kind == "str" else pl.col(name).is_finite()
        for name, column in schema.items()
        if column.kind in ("str", "float")
    }  # a second step, as polars would make the values twice in one
    some = values.select(~is_one.all() for is_one in doubtful.values()).row(0) if doubtful else ()
    kept = [
        pl.when(doubtful[name]).then(name).alias(name) for name, is_some in zip(doubtful, some, strict=True) if is_some
    ]
    return values.with_columns(kept) if kept else values


def _value(cells: pl.Series, column: Column) -> pl.Expr | pl.Series:
    name, dtype, cell, wanted = cells.name, cells.dtype, pl.col(cells.name), _DTYPES[column.kind]
    if dtype == pl.String and column.kind in ("str", "bool") and (words := few_words(cells)):
        if column.kind == "str" and all(word == word.strip() for word in words):
            return cells  # there is nothing to be stripped
        if column.kind == "bool" and all(word in _SPELT for word in words):
            return pl.any_horizontal(cell == "", *(cell == word for word in words if _SPELT[word])).alias(name)
    if dtype == pl.String or (column.kind == "str" and isinstance(dtype, pl.Categorical | pl.Enum)):
        return _QUICK[column.kind](cell.cast(pl.String)).alias(name)
    if dtype == wanted or (column.kind == "int" and dtype.is_integer() and dtype not in (pl.Int128, pl.UInt128)):
        return cell.cast(wanted, strict=False).alias(name)
    return pl.repeat(None, pl.len(), dtype=wanted).alias(name)  # only its text can tell


def few_words(texts: pl.Series) -> list[str]:
    """The different texts of a long column, if they are few: a look at each of these is cheaper than at each row."""
    words: list[str] = []
    if len(texts) < _LONG:
        return words
    rest = texts.is_not_null()
    while (place := rest.arg_max()) is not None and rest[place]:
        if len(words) == _FEW:
            return []
        words.append(texts[place])
        rest &= texts != texts[place]
    return words


def _own(rows: pl.DataFrame) -> list[str]:
    return [name for name in rows.columns if not name.startswith("_")]


def _near(missing: list[str], rows: pl.DataFrame, schema: Mapping[str, Column]) -> str:
    """Which of the columns that nobody declared may be meant, by their letters and digits."""
    free = {_letters(name): name for name in _own(rows) if name not in schema}
    pairs = {name: get_close_matches(_letters(name), free, n=1) for name in missing}
    meant = [f'"{free[found[0]]}" for "{name}"' for name, found in pairs.items() if found]
    return f" Is it {', '.join(meant)}?" if meant else ""


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum()) or name


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


_SPELT: Final = {
    spelt: word in _TRUE for word in (*_TRUE, *_FALSE) for spelt in (word, word.capitalize(), word.upper())
}
_PARSERS: Final[dict[str, Callable[[pl.Expr], pl.Expr]]] = {
    "int": _parse_int,
    "float": _parse_float,
    "str": lambda text: text,
    "bool": _parse_bool,
    "date": _parse_date,
}
_QUICK: Final[dict[str, Callable[[pl.Expr], pl.Expr]]] = {
    "int": lambda text: text.cast(pl.Int64, strict=False),
    "float": lambda text: text.cast(pl.Float64, strict=False),
    "str": lambda text: text.str.strip_chars(),
    "bool": lambda text: text.replace_strict(_SPELT, default=None, return_dtype=pl.Boolean),
    "date": _parse_date,
}
