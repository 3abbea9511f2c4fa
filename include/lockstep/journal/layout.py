"""What the decision log holds: a row for each row that was answered, as a frame.

Rules:
- Its own columns begin with an underscore. The request's columns have their declared names and types, as they were
  parsed and before `clean`; where two datasets of a group declare a name in different types, it is text.
- A column that a dataset of the group declares private is not there, neither as a column nor in the text of an error.
- A row that could not be used carries no values of the request at all: one of them may stand where it does not belong.
- A shadow's row carries what was answered beside what the shadow says, so that one row is a pair; of the request only
  the key, since the row of the answer has the rest.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from types import NoneType
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from lockstep.data import dtype_of, parse_rows
from lockstep.data.plain import plain_rows
from lockstep.declare import Column, Dataset
from lockstep.graph import Graph

_DECISIONS: Final = pa.list_(
    pa.struct(
        {
            "threshold": pa.string(),
            "version": pa.string(),
            "model": pa.string(),
            "score": pa.float64(),
            "decision": pa.string(),
            "refer": pa.bool_(),
        }
    )
)
_EXPLANATIONS: Final = pa.list_(
    pa.struct(
        {
            "name": pa.string(),
            "model": pa.string(),
            "prediction": pa.string(),
            "scores": pa.list_(pa.struct({"of": pa.string(), "score": pa.float64()})),
        }
    )
)
DECISIONS: Final = pl.Series(pa.array([], _DECISIONS)).dtype
EXPLANATIONS: Final = pl.Series(pa.array([], _EXPLANATIONS)).dtype
OWN: Final[dict[str, Any]] = {
    "_at": pl.Datetime("us", "UTC"),
    "_request": pl.String,
    "_row": pl.Int32,
    "_api": pl.String,
    "_group": pl.String,
    "_release": pl.String,
    "_decisions": DECISIONS,
    "_explanations": EXPLANATIONS,
    "_error": pl.String,
    "_shadow": pl.Boolean,
    "_against": pl.String,
    "_answered": DECISIONS,
}
LEFT_OUT: Final = "left out by clean"
_MISSING: Final = re.compile(r"columns (.+) are missing; needed are ")
_FAILED: Final = "clean failed"
_UNTOLD: Final = "it could not be decided on"
_TYPES: Final[Mapping[str, frozenset[type]]] = {
    "int": frozenset({int, NoneType}),
    "float": frozenset({int, float, NoneType}),
    "str": frozenset({str, NoneType}),
    "bool": frozenset({bool, NoneType}),
    "date": frozenset(),
}
_PLACE: Final = "_line"  # which parse_rows keeps
_STEP: Final = 1000  # rows
Answer = Mapping[str, Any]
Rest = Callable[[], None]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A request with its answers, one for each row.

    Attributes:
        request: its id, which whoever asked was told.
        size: of its body, in bytes.
        against: of a shadow, the release that answered; blank where these are the answers themselves.
        answered: of a shadow, what that release answered.
    """

    request: str
    at: datetime
    group: str
    api: str
    release: str
    rows: Sequence[Row]
    answers: Sequence[Answer]
    size: int
    against: str = ""
    answered: Sequence[Answer] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The columns of one group's log: `datasets` by API; `columns` with their types, without those that are private."""

    group: str
    datasets: Mapping[str, tuple[Dataset, ...]]
    columns: Mapping[str, Any]
    private: frozenset[str]


def layout_of(graph: Graph, group: str) -> Layout:
    """What the log of a group holds."""
    datasets: dict[str, tuple[Dataset, ...]] = {}
    for api in graph.groups[group].apis:
        models = [graph.model_of(name) for name in api.decides] + [graph.model(name) for name in api.explains]
        datasets[api.name] = tuple({model.data.name: model.data for model in models}.values())
    every = {data.name: data for used in datasets.values() for data in used}.values()
    private = frozenset(name for data in every for name in data.private)
    columns: dict[str, Any] = {}
    for data in every:
        for name, column in data.schema.items():
            if name not in private:
                dtype = dtype_of(column)
                columns[name] = dtype if columns.get(name, dtype) == dtype else pl.String
    return Layout(group=group, datasets=datasets, columns=columns, private=private)


def frame_of(layout: Layout, requests: Sequence[Answered], rest: Rest = lambda: None) -> pl.DataFrame:
    """The rows of requests of the layout's group, in order.

    `rest` is called every few milliseconds: who answers beside this may have the interpreter then.
    """
    answers = [answer for asked in requests for answer in asked.answers]
    nothing: Answer = {"error": "nobody else has answered"}
    answered = [answer for asked in requests for answer in asked.answered or [nothing] * len(asked.rows)]
    own = _by_request(requests).with_columns(
        _nested(_each(answers, _decisions, rest), _DECISIONS).alias("_decisions"),
        _nested(_each(answers, _explanations, rest), _EXPLANATIONS).alias("_explanations"),
        _nested(_each(answered, _decisions, rest), _DECISIONS).alias("_answered"),
    )
    errors = [_error(answer, layout, api) for answer, api in zip(answers, own["_api"].to_list(), strict=True)]
    own = own.with_columns(pl.Series("_error", errors, OWN["_error"])).select(*OWN)
    rows = [row for asked in requests for row in asked.rows]
    return pl.concat([own, _columns(layout, rows, own, rest)], how="horizontal")


def _by_request(requests: Sequence[Answered]) -> pl.DataFrame:
    """What all rows of a request have in common, for each row, and the place of the row."""
    counts = [len(asked.rows) for asked in requests]
    common = {
        "_at": [asked.at for asked in requests],
        "_request": [asked.request for asked in requests],
        "_api": [asked.api for asked in requests],
        "_group": [asked.group for asked in requests],
        "_release": [asked.release for asked in requests],
        "_shadow": [bool(asked.against) for asked in requests],
        "_against": [asked.against or None for asked in requests],
    }
    found = pl.DataFrame(common, schema={name: OWN[name] for name in common})[np.repeat(np.arange(len(counts)), counts)]
    return found.with_columns(pl.Series("_row", [place for count in counts for place in range(count)], OWN["_row"]))


def _each(values: Sequence[Any], make: Callable[[Any], Any], rest: Rest) -> list[Any]:
    """What is made of each, with a rest every now and then."""
    found: list[Any] = []
    for start in range(0, len(values), _STEP):
        found += map(make, values[start : start + _STEP])
        rest()
    return found


def _columns(layout: Layout, rows: Sequence[Row], own: pl.DataFrame, rest: Rest) -> pl.DataFrame:
    """The columns of the requests; null where a row was not usable, or its API does not ask for the column."""
    about = list(own.select("_error", "_api", "_shadow").iter_rows())
    every = {data.name: data for used in layout.datasets.values() for data in used}
    values: dict[str, pl.Series] = {}
    for data in every.values():
        users = {api for api, used in layout.datasets.items() if any(one.name == data.name for one in used)}
        asked = [place for place, (error, api, _) in enumerate(about) if error in (None, LEFT_OUT) and api in users]
        given = [{data.key: rows[place].get(data.key)} if about[place][2] else rows[place] for place in asked]
        schema = {name: replace(column, nullable=True) for name, column in _open(data, layout).items()}
        typed = _typed(schema, given, rest)
        if typed.height < len(rows):
            placed = typed.with_columns(pl.Series(_PLACE, asked, pl.Int64)[typed[_PLACE]])
            typed = pl.DataFrame({_PLACE: range(len(rows))}, {_PLACE: pl.Int64}).join(
                placed, on=_PLACE, how="left", maintain_order="left"
            )
        for name in schema:
            column = typed[name].cast(layout.columns[name])
            first = values.get(name)
            values[name] = column if first is None else first.zip_with(first.is_not_null(), column)
    return pl.DataFrame([values[name].alias(name) for name in layout.columns])


def _open(data: Dataset, layout: Layout) -> dict[str, Column]:
    return {name: column for name, column in data.schema.items() if name not in layout.private}


def _typed(schema: Mapping[str, Column], rows: Sequence[Row], rest: Rest) -> pl.DataFrame:
    """Rows, typed, with their places; those that can't be are left out."""
    found = []
    for start in range(0, len(rows), _STEP):
        some = rows[start : start + _STEP]
        places = pl.Series(_PLACE, range(start, start + len(some)), pl.Int64)
        if (typed := plain_rows(some, schema)) is None:
            cells = [_cells(name, [row.get(name) for row in some], column) for name, column in schema.items()]
            typed = parse_rows(pl.DataFrame([*cells, places]), schema).good
        else:
            typed = typed.with_columns(places)
        found.append(typed)
        rest()
    if not found:
        return pl.DataFrame(schema={name: dtype_of(column) for name, column in schema.items()} | {_PLACE: pl.Int64})
    return pl.concat(found)


def _cells(name: str, values: list[Any], column: Column) -> pl.Series:
    """The values as they are, where all have the type of the column; else as text, which the parser understands."""
    if set(map(type, values)) <= _TYPES[column.kind]:
        with suppress(TypeError, OverflowError):  # a number that is too large
            return pl.Series(name, values, dtype=dtype_of(column))
    return pl.Series(name, list(map(_as_text, values)), dtype=pl.String)


def _as_text(value: Any) -> str | None:  # noqa: ANN401  JSON
    if value is None or isinstance(value, str):
        return value
    try:
        return json.dumps(value)
    except RecursionError:
        return "[…]"


def _nested(values: list[Any], dtype: Any) -> pl.Series:  # noqa: ANN401  pyarrow carries no types
    """A column of lists, by pyarrow, which takes a fiftieth of the time of polars."""
    return pl.Series(pa.array(values, dtype))


def _decisions(answer: Answer) -> list[dict[str, Any]] | None:
    if "error" in answer:
        return None
    return [
        {
            "threshold": name,
            "version": one["version"],
            "model": one["model"],
            "score": one.get("probability", one.get("value")),
            "decision": _word(one["decision"]),
            "refer": one.get("refer"),
        }
        for name, one in answer["decisions"].items()
    ]


def _explanations(answer: Answer) -> list[dict[str, Any]] | None:
    if "error" in answer:
        return None
    return [
        {
            "name": name,
            "model": one["model"],
            "prediction": _word(one["prediction"]),
            "scores": [{"of": label, "score": score} for label, score in one.get("probabilities", {}).items()],
        }
        for name, one in answer["explanations"].items()
    ]


def _word(outcome: Any) -> str | None:  # noqa: ANN401  a class may be any value
    """A decision or a prediction as people call it; None where a person is to decide."""
    if isinstance(outcome, bool):
        return "yes" if outcome else "no"
    return None if outcome is None else str(outcome)


def _error(answer: Answer, layout: Layout, api: str) -> str | None:
    """Why a row could not be used, in words that hold no value of it: fixed ones, and names of declared columns."""
    if "error" not in answer:
        return None
    said, declared = str(answer["error"]), _declared(layout, api)
    if said == LEFT_OUT:
        return LEFT_OUT
    if missing := _MISSING.match(said):
        return f"missing: {', '.join(name for name in missing[1].split(', ') if name in declared)}"
    wrong = [f"{name}: {'blank' if _is_blank(said, name) else 'of another type'}" for name in _named(said, declared)]
    return "; ".join(wrong) or (_FAILED if said.startswith("the clean of dataset ") else _UNTOLD)


def _declared(layout: Layout, api: str) -> list[str]:
    return list(dict.fromkeys(name for data in layout.datasets[api] for name in data.schema))


def _named(said: str, declared: Iterable[str]) -> list[str]:
    """The declared columns that begin a part of the text of an error."""
    return [name for name in declared if said.startswith(f"{name}: ") or f"; {name}: " in said]


def _is_blank(said: str, name: str) -> bool:
    return said.startswith(f"{name}: blank, ") or f"; {name}: blank, " in said
