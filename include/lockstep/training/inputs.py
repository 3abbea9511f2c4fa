"""What an ONNX file is asked with: a matrix for each kind of feature, since every further input costs a microsecond.

Rules:
- Numbers are float64. A text that the model only looks up among the words it has learned is given by its place among
  these, -1 where it is none of them: to hand over texts takes ten times as long. Any other text is a text.
- The file itself says what it is given; whoever opens it needs nothing else.
- Only whole rows are handed over: no blank, and no number that is not finite.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

KEY: Final = "lockstep.inputs"  # in the metadata of the file
NUMBERS, CODES, TEXTS = "_numbers", "_codes", "_texts"  # no feature begins with an underscore
_STR: Final = {str}
_NOTHING: Final = (None,)
Feed = dict[str, NDArray[Any]]
Given = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The features by kind, in the order of the columns of each matrix; `words` are those of each of `codes`."""

    numbers: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    words: tuple[tuple[str, ...], ...] = ()
    _places: tuple[tuple[str, Mapping[str, int]], ...] = field(init=False, repr=False, compare=False)
    _kind: pl.Enum = field(init=False, repr=False, compare=False)
    _own: tuple[NDArray[np.int64], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pairs = tuple(zip(self.codes, self.words, strict=True))
        places = tuple((name, {word: i for i, word in enumerate(words)}) for name, words in pairs)
        object.__setattr__(self, "_places", places)  # once: a service asks for them at each row
        every = sorted(set().union(*self.words))
        object.__setattr__(self, "_kind", pl.Enum(every))
        own = [[*(known.get(word, -1) for word in every), -1] for _, known in places]  # the last is of no known word
        object.__setattr__(self, "_own", tuple(np.array(one, np.int64) for one in own))

    def as_text(self) -> str:
        """For the metadata of a file."""
        return json.dumps(
            {"numbers": self.numbers, "codes": dict(zip(self.codes, self.words, strict=True)), "texts": self.texts}
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """What `as_text` wrote."""
        told = json.loads(text)
        return cls(
            numbers=tuple(told["numbers"]),
            codes=tuple(told["codes"]),
            texts=tuple(told["texts"]),
            words=tuple(tuple(words) for words in told["codes"].values()),
        )

    def of_few(self, values: Mapping[str, Sequence[Any]]) -> Feed | None:
        """The matrices of a few rows, out of Python values, since columns cost more; None: one is not whole."""
        feed: Feed = {}
        if self.numbers:
            numbers = [value for name in self.numbers for value in values.get(name, _NOTHING)]
            if not _are_finite(numbers):
                return None
            feed[NUMBERS] = np.array(numbers, np.float64).reshape(len(self.numbers), -1).T
        if self.codes:
            words = [(places, values.get(name, _NOTHING)) for name, places in self._places]
            if not _are_texts([word for _, column in words for word in column]):
                return None
            codes = [places.get(word, -1) for places, column in words for word in column]
            feed[CODES] = np.array(codes, np.int64).reshape(len(self.codes), -1).T
        if self.texts:
            texts = [values.get(name, _NOTHING) for name in self.texts]
            if not all(map(_are_texts, texts)):
                return None
            feed[TEXTS] = np.array(texts, np.object_).T
        return feed

    def of_many(self, rows: pl.DataFrame, given: Given) -> tuple[Feed, NDArray[np.bool_]]:
        """The matrices of rows, of which those that are not whole hold anything, and which are whole (n)."""
        whole = np.ones(rows.height, np.bool_)
        feed: Feed = {}
        if self.numbers:
            feed[NUMBERS] = numbers = np.empty((rows.height, len(self.numbers)), np.float64)
            for i, name in enumerate(self.numbers):  # a blank is a NaN
                numbers[:, i] = given[name] if name in given else rows.get_column(name).to_numpy()
            whole &= np.isfinite(numbers).all(axis=1)
        if self.codes:
            feed[CODES] = codes = np.empty((rows.height, len(self.codes)), np.int64)
            columns = [_told(rows.get_column(name), whole) for name in self.codes]
            kinds = {column.dtype for column in columns}
            if len(kinds) == 1:  # all at once: to cast each column by itself costs more than its words
                found = self._places_of(pl.concat(columns)).reshape(len(columns), -1)
            else:
                found = np.stack([self._places_of(column) for column in columns])
            for i, own in enumerate(self._own):
                codes[:, i] = own[found[i]]
        if self.texts:
            feed[TEXTS] = texts = np.empty((rows.height, len(self.texts)), np.object_)
            for i, name in enumerate(self.texts):
                texts[:, i] = _told(rows.get_column(name), whole).fill_null("").to_numpy()
        return feed, whole

    def _places_of(self, column: pl.Series) -> NDArray[np.intp]:
        """The place of each value among the words of all columns; -1 where it is none (n)."""
        places = column.cast(self._kind, strict=False).to_arrow().indices  # polars itself takes five times as long
        found: NDArray[Any] = places.to_numpy(zero_copy_only=False)
        return np.nan_to_num(found, nan=-1).astype(np.intp) if places.null_count else found


def _told(column: pl.Series, whole: NDArray[np.bool_]) -> pl.Series:
    """The column, after its blanks were noted."""
    if column.null_count():
        whole &= column.is_not_null().to_numpy()
    return column


def _are_texts(words: Sequence[Any]) -> bool:
    return set(map(type, words)) == _STR


def _are_finite(numbers: Sequence[Any]) -> bool:
    try:
        return all(map(isfinite, numbers))
    except TypeError:  # a blank
        return False
