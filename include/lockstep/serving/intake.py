"""The rows of a request, made what they were before training: parsed, then cleaned by the dataset's own function.

Rules:
- Nothing is lost: each row has a place in the frame, or a reason why it has none.
- A row needs no key. Where one is missing, the row is known by its place in the request.
- A row that is typed already goes a shorter way to the same values (`lockstep.data.plain`), and a few of them a still
  shorter one, where their `clean` is `row_wise` (`lockstep.data.row_wise`). Whether that leads to the same values is
  looked at when a release is loaded, and now and then while it answers.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from lockstep.data import clean_rows, parse_rows
from lockstep.data.bucket import turns_of
from lockstep.data.few import Few, Rows, as_frame
from lockstep.data.plain import frame_of, plain_rows, plain_values
from lockstep.data.row_functions import LeftToPolars
from lockstep.data.row_wise import RowClean, row_clean
from lockstep.data.rows import REASON
from lockstep.declare import Column, Dataset
from lockstep.serving.wide import Row, Wide

_logger = logging.getLogger(__name__)
Keys = list[Any] | pl.Series  # the latter of many rows, whose keys perhaps nobody wants as Python values
_LINE: Final = "_line"
_FEW: Final = 8  # rows; more are looked at by column
_LOOKED_AT: Final = 1000  # of so many requests one is cleaned both ways
_DIFFERED: Final = "its functions cleaned a row of a request otherwise than polars does"
_LEFT_OUT: Final = "left out by clean"
_UNREADABLE: Final = "a value that can't be written as text"


@dataclass(slots=True, kw_only=True)
class Taken:
    """What became of the rows.

    Attributes:
        rows: those that can be decided on, as `clean` returned them; None where there is none.
        places: of these, among all rows.
        keys: of these.
        errors: place → why a row can't be decided on.
    """

    rows: Rows | None = None
    places: Sequence[int] = ()
    keys: Keys = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)

    @property
    def key_list(self) -> list[Any]:
        """The keys as Python values."""
        return self.keys.to_list() if isinstance(self.keys, pl.Series) else self.keys


class Intake:
    """Of one dataset; `columns` are the declared ones, nullable where only a label is lost.

    Attributes:
        reason: why polars cleans even a single row; blank where it need not.
    """

    def __init__(self, dataset: Dataset, columns: Mapping[str, Column]) -> None:
        self.columns = columns
        self._dataset = dataset
        self._needed = [name for name, column in columns.items() if not column.nullable]
        self._names_rows = columns[dataset.key].kind == "str"
        made = row_clean(dataset, columns)
        self._row_clean = made if isinstance(made, RowClean) else None
        self.reason = "" if isinstance(made, RowClean) else made
        self._asked = 0

    def take(self, rows: Sequence[Row], numbers: Sequence[int]) -> Taken:
        """Parse and clean rows; `numbers` say the place of each in its request.

        Raises:
            DataError: `clean` failed.
        """
        if self._row_clean is not None and len(rows) <= _FEW and (few := self._few(rows, numbers, self._row_clean)):
            return few
        taken = Taken()
        if isinstance(rows, Wide) and (typed := rows.typed(self.columns)) is not None:
            taken.places = range(len(rows))
            self._clean(typed, taken)
            return taken
        nameless = {place for place, row in enumerate(rows) if row.get(self._dataset.key) is None}
        named = [self._named(row, place) for place, row in enumerate(rows)] if nameless else rows
        frame = plain_rows(named, self.columns) if len(rows) > _FEW else None
        if frame is not None:
            taken.places = range(len(rows))
        else:
            frame = self._one_by_one(named, taken)
        if frame is not None:
            self._clean(frame, taken)
        if nameless:
            taken.keys = taken.key_list
            for i, place in enumerate(taken.places):
                if place in nameless:
                    taken.keys[i] = self._shown(numbers[place])
        return taken

    def _few(self, rows: Sequence[Row], numbers: Sequence[int], clean: RowClean) -> Taken | None:
        """As `take`, without polars; None where one row needs it."""
        key = self._dataset.key
        typed: list[dict[str, Any]] = []
        cleaned: list[dict[str, Any]] = []
        keys: list[Any] = []
        for place, row in enumerate(rows):
            values = plain_values(self._named(row, place), self.columns)
            if values is None:
                return None
            try:
                cleaned.append(clean.clean(values))
            except LeftToPolars:
                return None
            typed.append(values)
            keys.append(self._shown(numbers[place]) if row.get(key) is None else values[key])
        count = len(typed)
        if count > 1 and len({one[key] for one in typed}) < count:
            return None  # `clean` needs unique keys
        by_column = {name: [one[name] for one in cleaned] for name in cleaned[0]} if cleaned else {}
        few = Few(by_column, count, lambda: clean_rows(self._dataset, self._frame(typed)))
        self._asked += 1
        if self._asked % _LOOKED_AT == 1 and few.frame.rows(named=True) != cleaned:
            self._row_clean, self.reason = None, _DIFFERED
            _logger.error("Dataset %s: %s; polars cleans each row from now on", self._dataset.name, _DIFFERED)
            return None
        return Taken(rows=few, places=range(count), keys=keys)

    def _named(self, row: Row, place: int) -> Row:
        """A row with a key."""
        key = self._dataset.key
        return row if row.get(key) is not None else {**row, key: self._shown(place)}

    def _shown(self, place: int) -> str | int:
        """A place as a key."""
        return f"row {place}" if self._names_rows else place

    def _one_by_one(self, rows: Sequence[Row], taken: Taken) -> pl.DataFrame | None:
        """The typed rows of those among which some have to be looked at."""
        typed: dict[int, dict[str, Any]] = {}
        doubtful: dict[int, Row] = {}
        for place, row in enumerate(rows):
            values = plain_values(row, self.columns)
            if values is None:
                doubtful[place] = row
            else:
                typed[place] = values
        return self._parsed(typed, doubtful, taken)

    def _parsed(
        self, typed: Mapping[int, dict[str, Any]], doubtful: Mapping[int, Row], taken: Taken
    ) -> pl.DataFrame | None:
        """The typed rows, with `taken.places` set; `taken.errors` holds the others."""
        if not doubtful:
            taken.places = list(typed)
            return self._frame(list(typed.values())) if typed else None
        usable: dict[int, Row] = {}
        for place, row in doubtful.items():
            missing = [name for name in self._needed if name not in row]
            if missing:
                taken.errors[place] = f"columns {', '.join(missing)} are missing; needed are {', '.join(self._needed)}"
            else:
                usable[place] = row
        frames = []
        if typed:
            plain = self._frame(list(typed.values()))
            frames.append(plain.with_columns(pl.Series(_LINE, list(typed), dtype=pl.Int64)))
        if usable:
            text = {name: [_as_text(row.get(name)) for row in usable.values()] for name in self.columns}
            numbered = pl.DataFrame(text, schema=dict.fromkeys(text, pl.String)).with_columns(
                pl.Series(_LINE, list(usable), dtype=pl.Int64)
            )
            parsed = parse_rows(numbered, self.columns)
            taken.errors |= dict(parsed.bad.select(_LINE, REASON).iter_rows())
            frames.append(parsed.good)
        good = pl.concat(frames).sort(_LINE) if frames else None
        if good is None or good.is_empty():
            return None
        taken.places = good[_LINE].to_list()
        return good.drop(_LINE)

    def _frame(self, typed: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        return frame_of({name: [values[name] for values in typed] for name in self.columns}, self.columns)

    def _clean(self, frame: pl.DataFrame, taken: Taken) -> None:
        key, places = self._dataset.key, taken.places
        keys = frame.get_column(key)
        if len(frame) == 1 or len(set(keys.to_list())) == len(keys):
            self._match(clean_rows(self._dataset, frame), keys, places, taken)
            return
        cleaned: list[pl.DataFrame] = []
        taken.places, every = [], []
        for rows in turns_of(keys.to_list()):  # `clean` needs unique keys
            one = Taken(errors=taken.errors)
            part = frame[rows]
            self._match(clean_rows(self._dataset, part), part.get_column(key), [places[i] for i in rows], one)
            if one.rows is not None:
                cleaned.append(as_frame(one.rows))
                taken.places += list(one.places)
                every += one.key_list
        taken.keys = every
        taken.rows = pl.concat(cleaned) if cleaned else None

    def _match(self, cleaned: pl.DataFrame, keys: pl.Series, places: Sequence[int], taken: Taken) -> None:
        """Find the places of cleaned rows by their keys, and those that `clean` has left out."""
        kept = cleaned.get_column(self._dataset.key)
        if kept.equals(keys):
            taken.places = places
        else:
            place_of = dict(zip(keys.to_list(), places, strict=True))
            taken.places = [place_of[one] for one in kept.to_list()]
            taken.errors |= dict.fromkeys(set(places).difference(taken.places), _LEFT_OUT)
        taken.keys = kept
        taken.rows = cleaned if len(kept) else None


def _as_text(value: Any) -> str | None:  # noqa: ANN401  JSON, or what a frame holds
    if value is None:
        return None
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    except (ValueError, RecursionError):
        return _UNREADABLE
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
