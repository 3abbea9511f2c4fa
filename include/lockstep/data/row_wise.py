"""A `clean` of polars expressions, made once into Python functions: for one row these take a tenth of polars' time.

Rules:
- Only a `clean` that its author calls `row_wise` is taken, and only where all that it does is understood here. Anything
  else is left to polars, and why is said.
- What a function can't answer as polars would, as a number that is not finite, it leaves to polars, row by row.
- Nothing is believed: before it is used, the functions and polars clean the same made-up rows, and must agree in each.
- Expressions are read as polars' own optimiser hands them to other engines (`LazyFrame._ldf.visit`). Nobody promises
  that it stays; where it does not, polars cleans.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import isfinite
from operator import itemgetter
from typing import Any, Final

import polars as pl

from lockstep.data.bucket import clean_rows
from lockstep.data.plain import frame_by_polars
from lockstep.data.row_functions import (
    COMPARED,
    COUNTED,
    INTS,
    LOGIC,
    SIMPLE,
    SPECIAL,
    TAKES,
    LeftToPolars,
    Make,
    Step,
    Values,
    cast,
    checked,
    divide,
    either,
    is_inexact,
    keep,
    pick_columns,
    set_columns,
    strict,
)
from lockstep.data.rows import dtype_of
from lockstep.declare import Column, Dataset, is_row_wise

_TRIED: Final = 512  # rows
_EXACT: Final = 1 << 53  # beyond, a float may be no whole number that an int can say
_NOT_SAID: Final = "its clean is not declared row_wise"
_KNOWN: Final = (*INTS, pl.Float64, pl.String, pl.Boolean, pl.Date, pl.Null)
_PROBES: Final[Mapping[str, Sequence[Any]]] = {
    "int": [0, 1, 2, 3, 7, 40, 1000, -1, -5, 1 << 40],
    "float": [0.0, 0.5, 1.0, 1.005, 2.675, 29.85, 1889.5, 1e-9, -0.25, -3.0, 1e12],
    "str": ["a", "No", "Yes", "Zürich", "a b"],
    "bool": [True, False],
    "date": [date(2026, 11, 29), date(1970, 1, 1), date(1900, 2, 28)],
}


@dataclass(frozen=True, slots=True)
class RowClean:
    """The functions of a dataset's `clean`, one after the other."""

    steps: tuple[Step, ...]

    def clean(self, row: Values) -> Values:
        """What `clean` makes of one typed row, in plain values.

        Raises:
            LeftToPolars: polars has to say it, or the row is left out.
        """
        try:
            for step in self.steps:
                row = step(row)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise LeftToPolars(type(error).__name__) from error
        return row


def row_clean(dataset: Dataset, schema: Mapping[str, Column]) -> RowClean | str:
    """The functions of a dataset's `clean`; or the reason why polars cleans each row.

    Args:
        dataset: whose rows they are.
        schema: the columns as they come.
    """
    if dataset.clean is None:
        return RowClean(())
    if not is_row_wise(dataset.clean):
        return _NOT_SAID
    try:
        reader = _Reader(dataset.clean(pl.LazyFrame(schema={name: dtype_of(one) for name, one in schema.items()})))  # type: ignore[arg-type]
        made = RowClean(tuple(reader.steps()))
        _try(dataset, schema, made, reader.literals)
    except LeftToPolars as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  it needs rows; or another polars hands out something else
        return f"its clean can't be read as expressions ({type(error).__name__})"
    return made


def _try(dataset: Dataset, schema: Mapping[str, Column], made: RowClean, literals: Sequence[Any]) -> None:
    """Hold the functions against polars on rows of usual values, and of those that the expressions name."""
    drawn = random.Random(0)  # noqa: S311  no secret
    pools = {name: list(_probes(column, literals)) for name, column in schema.items()}
    columns: dict[str, list[Any]] = {name: drawn.choices(pool, k=_TRIED) for name, pool in pools.items()}
    columns[dataset.key] = _keys(schema[dataset.key])
    cleaned = clean_rows(dataset, frame_by_polars(columns, schema))
    expected = {row[dataset.key]: row for row in cleaned.rows(named=True)}
    tried = 0
    for place, key in enumerate(columns[dataset.key]):
        try:
            found = made.clean({name: values[place] for name, values in columns.items()})
        except LeftToPolars:
            continue
        tried += 1
        wanted = expected.get(key)
        if found != wanted or list(found) != list(wanted):
            raise LeftToPolars("on a row that was tried, polars cleans otherwise")
    if tried < _TRIED // 8:
        raise LeftToPolars("most rows that were tried had to be left to polars")


def _probes(column: Column, literals: Sequence[Any]) -> Iterator[Any]:
    yield from _PROBES[column.kind]
    if column.nullable:
        yield from [None] * 3
    for one in literals:
        if column.kind == "str" and isinstance(one, str) and one.strip():
            yield from {word.strip() for word in (one, f"a{one}", f"{one}a", f"No{one}", f"{one}{one}")}
        elif column.kind in ("int", "float") and isinstance(one, int | float) and abs(one) < _EXACT:
            kind = int if column.kind == "int" else float
            yield from (kind(one), kind(one) - 1, kind(one) + 1)


def _keys(column: Column) -> list[Any]:
    if column.kind in ("int", "str"):
        return [place if column.kind == "int" else f"key {place}" for place in range(_TRIED)]
    raise LeftToPolars("its key is neither a text nor an int")


class _Reader:
    """Reads the plan of a lazy frame, and makes a function of each expression."""

    def __init__(self, plan: pl.LazyFrame) -> None:
        self._nodes: Any = plan._ldf.visit()  # noqa: SLF001  see the module's rules
        self.literals: list[Any] = []

    def steps(self) -> Iterator[Step]:
        """The steps from the first to the last."""
        node, inputs = self._nodes.view_current_node(), self._nodes.get_inputs()
        kind = type(node).__name__
        if kind == "DataFrameScan":
            return
        if kind not in ("HStack", "Select", "SimpleProjection", "Filter") or len(inputs) != 1:
            raise LeftToPolars(f"its clean does more than to set columns and to leave rows out ({kind})")
        if kind == "Filter":
            step = keep(self._made(node.predicate.node))
        elif kind == "SimpleProjection":
            step = pick_columns([(name, itemgetter(name)) for name in self._nodes.get_schema()])
        else:
            makes = tuple((one.output_name, self._made(one.node)) for one in node.exprs)
            step = set_columns(makes) if kind == "HStack" else pick_columns(makes)
        self._nodes.set_node(inputs[0])
        yield from self.steps()
        yield step

    def _made(self, place: int) -> Make:
        found, dtype = self._nodes.view_expression(place), self._nodes.get_dtype(place)
        kind = type(found).__name__
        if kind == "Column":
            return itemgetter(found.name)
        if kind == "Literal":
            return self._literal(found)
        if dtype not in _KNOWN:
            raise LeftToPolars(f"its clean makes values of type {dtype}")
        if kind == "BinaryExpr":
            return self._operation(found, dtype)
        if kind == "Ternary":
            return either(self._made(found.predicate), self._made(found.truthy), self._made(found.falsy))
        if kind == "Cast":
            return cast(self._made(found.expr), self._nodes.get_dtype(found.expr), dtype)
        if kind == "Function":
            return self._function(found, dtype)
        raise LeftToPolars(f"its clean has a {kind}")

    def _literal(self, found: Any) -> Make:  # noqa: ANN401  polars' own
        value = found.value
        if not isinstance(value, bool | int | float | str | list | None):
            raise LeftToPolars(f"its clean has a literal of type {found.dtype}")
        if isinstance(value, float) and not isfinite(value):
            raise LeftToPolars("its clean has a number that is not finite")
        self.literals += value if isinstance(value, list) else [value]
        return lambda _: value

    def _operation(self, found: Any, dtype: Any) -> Make:  # noqa: ANN401  polars' own
        word = str(found.op).rpartition(".")[2]
        left, right = self._made(found.left), self._made(found.right)
        kinds = {self._nodes.get_dtype(one) for one in (found.left, found.right)}
        if word in LOGIC and kinds == {pl.Boolean}:
            return LOGIC[word](left, right)
        if word in COMPARED and (len(kinds) == 1 or kinds <= set(INTS)):
            return strict(COMPARED[word], left, right)
        is_whole = dtype == pl.Int64 and kinds <= set(INTS)
        if word in COUNTED and (is_whole or (dtype == pl.Float64 and kinds == {pl.Float64})):
            return checked(strict(COUNTED[word], left, right), dtype)
        if word == "TrueDivide" and is_inexact(right):
            raise LeftToPolars("its clean divides by a constant, which polars does otherwise for one row than for many")
        if word == "TrueDivide" and dtype == pl.Float64 and kinds <= {pl.Float64, pl.Int64}:
            return checked(strict(divide, left, right), dtype)
        raise LeftToPolars(f"its clean has {word} of {', '.join(sorted(map(str, kinds)))}")

    def _function(self, found: Any, dtype: Any) -> Make:  # noqa: ANN401  polars' own
        word, *options = found.function_data
        name = str(word).rpartition(".")[2]
        inputs = [self._made(one) for one in found.input]
        made = SPECIAL[name](inputs, options, dtype) if name in SPECIAL else None
        if name in SIMPLE and not options and TAKES.get(name, dtype) == dtype:
            made = strict(SIMPLE[name], *inputs)
        if made is None:
            raise LeftToPolars(f"its clean has {name}")
        return checked(made, dtype)
