"""Rows held against the checks of their dataset, by pandera.

Rules:
- Each row that comes in comes out once: kept, or broken with every reason.
- One row or a hundred thousand go through the same code; what is counted of parts adds up to what is counted of all.
- Whatever pandera's variables in the environment say, checks are evaluated; one that can't be is an error.
- pandera is imported only where a dataset has checks of rows: that takes seconds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any, Final

import polars as pl

from lockstep.checks import Check, Rule, Value
from lockstep.data.rows import REASON
from lockstep.declare import Dataset
from lockstep.errors import DataError, UsageError

_ROW: Final = "_row"
_CHECK: Final = "_check"  # its place among the dataset's
_SHOWN: Final = 40  # characters of a value, and values of a list
_LISTED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """How many rows break a check, and the first of them: file, line, reason."""

    rows: int
    first: tuple[str, int, str]

    def __add__(self, other: "Broken") -> "Broken":
        return Broken(rows=self.rows + other.rows, first=min(self.first, other.first))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What checks need to know of some rows: how many, broken by check, blanks by column, newest date of those kept."""

    rows: int = 0
    broken: Mapping[str, Broken] = field(default_factory=dict)
    blank: Mapping[str, int] = field(default_factory=dict)
    newest: Mapping[str, date] = field(default_factory=dict)

    def __add__(self, other: "Tally") -> "Tally":
        broken = dict(self.broken)
        for name, more in other.broken.items():
            broken[name] = broken[name] + more if name in broken else more
        names = self.blank.keys() | other.blank.keys()
        newest = dict(self.newest)
        for name, day in other.newest.items():
            newest[name] = max(day, newest.get(name, day))
        return Tally(
            rows=self.rows + other.rows,
            broken=broken,
            blank={name: self.blank.get(name, 0) + other.blank.get(name, 0) for name in names},
            newest=newest,
        )

    def as_json(self) -> dict[str, Any]:
        """JSON values; `from_json` reads them."""
        return asdict(self) | {"newest": {name: day.isoformat() for name, day in self.newest.items()}}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Tally":
        """The tally that `as_json` wrote."""
        broken = {
            name: Broken(rows=found["rows"], first=tuple(found["first"])) for name, found in said["broken"].items()
        }
        newest = {name: date.fromisoformat(day) for name, day in said["newest"].items()}
        return cls(rows=said["rows"], broken=broken, blank=said["blank"], newest=newest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """`kept` and `broken` rows, the latter with `_reason`, and the tally of both."""

    kept: pl.DataFrame
    broken: pl.DataFrame
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChecks:
    """The checks of a dataset, ready to look at rows: schemas of pandera, each with the places of its checks."""

    dataset: Dataset
    schemas: tuple[tuple[Any, Mapping[tuple[str, int], int] | int], ...]

    def look_at(self, rows: pl.DataFrame) -> Checked:
        """Divide typed rows (declared columns; `_file` and `_line`, where known).

        Raises:
            DataError: a check can't be evaluated.
        """
        checks, found = self.dataset.checks, [part for one in self.schemas for part in self._failures(rows, *one)]
        blank = {name: rows[name].null_count() for name in _asked(self.dataset, Rule.BLANKS)}
        tally = Tally(rows=rows.height, blank=blank)
        if not found:
            tally = replace(tally, newest=_newest(self.dataset, rows))
            return Checked(kept=rows, broken=rows.clear().with_columns(pl.lit("").alias(REASON)), tally=tally)
        failures = pl.concat(found).unique().sort(_ROW, _CHECK, REASON)
        reasons = failures.group_by(_ROW, maintain_order=True).agg(pl.col(REASON).str.join("; "))
        is_broken = pl.int_range(rows.height, eager=True).is_in(reasons[_ROW].implode())
        broken = {str(checks[place]): _counted(part, rows) for (place,), part in failures.group_by(_CHECK)}
        kept = rows.filter(~is_broken)
        return Checked(
            kept=kept,
            broken=rows.filter(is_broken).with_columns(reasons[REASON]),
            tally=replace(tally, broken=broken, newest=_newest(self.dataset, kept)),
        )

    def _failures(
        self,
        rows: pl.DataFrame,
        schema: Any,  # noqa: ANN401  pandera's
        places: Mapping[tuple[str, int], int] | int,
    ) -> Iterator[pl.DataFrame]:
        """A line for each row and check that it breaks: `_row`, `_check` and `_reason`."""
        cases = _cases(self.dataset, schema, rows.select(list(self.dataset.schema)))
        if cases is None:
            return
        if (lost := cases.filter(pl.col("index").is_null())).height:
            what = self.dataset.checks[places] if isinstance(places, int) else lost["check"][0]
            raise DataError(
                f'Dataset "{self.dataset.name}": {what} can\'t be evaluated: {lost["failure_case"][0]}. Correct the'
                " check."
            )
        if isinstance(places, int):
            yield _by_their_schema(cases, self.dataset.checks[places], places)
            return
        for (column, number), part in cases.group_by("column", "check_number"):
            place = places[str(column), int(str(number))]
            broken = part["index"].sort()
            values = rows[str(column)].gather(broken)
            yield _lines(broken, place, _reasons(self.dataset.checks[place], values))


def row_checks(dataset: Dataset) -> RowChecks:
    """Make the checks of a dataset's rows ready.

    Raises:
        UsageError: what `satisfies` names returns no schema of pandera, or one that asks for unique values.
    """
    schemas: list[tuple[Any, Mapping[tuple[str, int], int] | int]] = []
    ours = {place: check for place, check in enumerate(dataset.checks) if check.is_of_rows and check.schema is None}
    if ours:
        schemas.append(_our_schema(ours))
    for place, check in enumerate(dataset.checks):
        if check.schema is not None:
            schemas.append((_their_schema(dataset, check), place))
    return RowChecks(dataset=dataset, schemas=tuple(schemas))


def check_evaluable(dataset: Dataset) -> None:
    """Try the checks of a dataset's rows on no rows, so that what can't be evaluated is told before a pipeline runs.

    Raises:
        DataError, UsageError: a check can't be evaluated.
    """
    if any(check.is_of_rows for check in dataset.checks):
        from lockstep.data.rows import dtype_of

        nothing = pl.DataFrame(schema={name: dtype_of(column) for name, column in dataset.schema.items()})
        row_checks(dataset).look_at(nothing)


def check_rows(dataset: Dataset, rows: pl.DataFrame) -> Checked:
    """Hold typed rows, as `parse_rows` gives them, against the checks of their dataset; a service may do so, too.

    Raises:
        DataError, UsageError: a check can't be evaluated.
    """
    return row_checks(dataset).look_at(rows)


# -------------------------------------------------------------------------------------------------------------- pandera


def _our_schema(checks: Mapping[int, Check]) -> tuple[Any, Mapping[tuple[str, int], int]]:
    import pandera.polars as pa

    by_column: dict[str, list[Any]] = {}
    places: dict[tuple[str, int], int] = {}
    for place, check in checks.items():
        (column,) = check.columns
        there = by_column.setdefault(column, [])
        places[column, len(there)] = place
        there.append(_their_check(check))
    return pa.DataFrameSchema(
        {name: pa.Column(None, found, nullable=True) for name, found in by_column.items()}
    ), places


def _their_check(check: Check) -> Any:  # noqa: ANN401  pandera's
    from pandera.polars import Check as Theirs

    match check.rule:
        case Rule.ONE_OF:
            return Theirs.isin(list(check.values))
        case Rule.MATCHES:
            return Theirs.str_matches(f"^(?:{check.values[0]})$")
        case _:
            least, most = check.values
            if least is not None and most is not None:
                return Theirs.in_range(least, most)
            return Theirs.le(most) if least is None else Theirs.ge(least)


def _their_schema(dataset: Dataset, check: Check) -> Any:  # noqa: ANN401  pandera's
    import pandera.polars as pa

    made = check.schema() if check.schema else None
    if not isinstance(made, pa.DataFrameSchema):
        raise UsageError(
            f'Dataset "{dataset.name}": {check} returned a {type(made).__name__}; it has to return a'
            " pandera.polars.DataFrameSchema (a model gives one by to_schema())."
        )
    if made.unique or any(column.unique for column in made.columns.values()):
        raise UsageError(
            f'Dataset "{dataset.name}": {check} asks for unique values, but sees only some rows at a time; take that'
            ' out of the schema, and say unique("column") among the checks.'
        )
    return made


def _cases(dataset: Dataset, schema: Any, rows: pl.DataFrame) -> pl.DataFrame | None:  # noqa: ANN401  pandera's
    from pandera.config import ValidationDepth, config_context
    from pandera.errors import SchemaErrors

    try:
        with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            schema.validate(rows, lazy=True)
    except SchemaErrors as found:
        cases: pl.DataFrame = found.failure_cases
        return cases
    except Exception as error:
        raise DataError(
            f'Dataset "{dataset.name}": its checks failed on {rows.height} rows: {type(error).__name__}: {error}.'
        ) from error
    return None


def _by_their_schema(cases: pl.DataFrame, check: Check, place: int) -> pl.DataFrame:
    name = getattr(check.schema, "__qualname__", "")
    said = pl.concat_str(pl.lit(f"{name}: "), pl.col("column") + ": ", pl.col("check"), ignore_nulls=True)
    return _lines(cases["index"], place, cases.select(said).to_series())


def _lines(rows: pl.Series, place: int, reasons: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({_ROW: rows.cast(pl.Int64), REASON: reasons}).with_columns(
        pl.lit(place, dtype=pl.Int64).alias(_CHECK)
    )


# -------------------------------------------------------------------------------------------------------------- reasons


def _reasons(check: Check, values: pl.Series) -> pl.Series:
    """`tenure: 140 is not between 0 and 100`, for each value."""
    (column,) = check.columns
    text = values.cast(pl.String).str.slice(0, _SHOWN)
    shown = pl.lit('"') + text + pl.lit('"') if values.dtype == pl.String else pl.lit(text)
    frame = pl.select(pl.concat_str(pl.lit(f"{column}: "), shown, pl.lit(f" {_wanted(check)}")))
    return frame.to_series()


def _wanted(check: Check) -> str:
    match check.rule:
        case Rule.ONE_OF:
            more = "" if len(check.values) <= _LISTED else f" and {len(check.values) - _LISTED} more"
            return f"is not one of {', '.join(_plain(value) for value in check.values[:_LISTED])}{more}"
        case Rule.MATCHES:
            return f"does not match {check.values[0]}"
        case _:
            least, most = check.values
            if least is None or most is None:
                return f"is below {_plain(least)}" if most is None else f"is above {_plain(most)}"
            return f"is not between {_plain(least)} and {_plain(most)}"


def _plain(value: Value | None) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _counted(failures: pl.DataFrame, rows: pl.DataFrame) -> Broken:
    first = failures.sort(_ROW, REASON).row(0, named=True)
    place = rows.row(first[_ROW], named=True)
    return Broken(
        rows=failures[_ROW].n_unique(), first=(place.get("_file") or "", place.get("_line") or 0, first[REASON])
    )


def _newest(dataset: Dataset, rows: pl.DataFrame) -> dict[str, date]:
    newest = {name: rows[name].max() for name in _asked(dataset, Rule.FRESH)}
    return {name: day for name, day in newest.items() if isinstance(day, date)}


def _asked(dataset: Dataset, rule: Rule) -> list[str]:
    return [name for check in dataset.checks if check.rule is rule for name in check.columns]
