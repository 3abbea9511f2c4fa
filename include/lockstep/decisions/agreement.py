"""Where two APIs contradict each other: one says yes to a key, and the one that must back it says no.

What is counted, exactly: rows are taken together by the value of one column, the key. An API answers a key if one of
its thresholds decides on a row with that key; it says yes to it if one of these decisions is a yes, and no if all of
them are. Where there is no yes, but a person is to decide, it says neither. `api` and `other` contradict each other on
a key that both answer if `api` says yes and `other` says no. Blank keys are left out, and so are thresholds that decide
between classes.

It has a direction. An offer that is made to few, those who will leave almost surely, and a call to all who may leave,
do not contradict each other where only the call is made; where only the offer is made, they do. APIs that must always
say the same agree with each other in both directions.

Rules:
- Memory does not depend on the number of rows or keys: answers are parted by a hash of their key into files of a
  folder, which are counted one by one.
- Two keys whose 64-bit hashes are equal would be taken for one: among a million keys, with a probability of 3e-8.
"""

from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.decisions.share import Share

_FILES: Final = 32
_ANSWER: Final = np.dtype([("key", "<u8"), ("yes", "?")])
_SIDES: Final = ("api", "other")
Answers = NDArray[np.void]


class Ledger:
    """The answers of two APIs, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)

    def add(self, side: str, keys: pl.Series, yes: NDArray[np.bool_]) -> None:
        """Keep further answers (shape n): where "api" says yes, or where "other" does not say no."""
        hashes = keys.drop_nulls().cast(pl.String).hash(seed=0).to_numpy()
        own, any_yes = _by_key(hashes, yes[keys.is_not_null().to_numpy()])
        answers = np.empty(len(own), dtype=_ANSWER)
        answers["key"], answers["yes"] = own, any_yes
        parts = answers["key"] % _FILES
        for part in np.unique(parts).tolist():
            with self._file(side, part).open("ab") as file:
                answers[parts == part].tofile(file)

    def count(self) -> Share:
        """Contradictions, of the keys that both answer."""
        counted = [self._count(part) for part in range(_FILES)]
        return Share(part=sum(splits for splits, _ in counted), whole=sum(keys for _, keys in counted))

    def _count(self, part: int) -> tuple[int, int]:
        read = [self._read(side, part) for side in _SIDES]
        (own, own_yes), (others, others_yes) = (_by_key(answers["key"], answers["yes"]) for answers in read)
        _, mine, theirs = np.intersect1d(own, others, assume_unique=True, return_indices=True)
        return int((own_yes[mine] & ~others_yes[theirs]).sum()), len(mine)

    def _read(self, side: str, part: int) -> Answers:
        path = self._file(side, part)
        return np.fromfile(path, dtype=_ANSWER) if path.exists() else np.empty(0, dtype=_ANSWER)

    def _file(self, side: str, part: int) -> Path:
        return self._folder / f"{side}-{part:02d}"


def _by_key(keys: NDArray[np.uint64], yes: NDArray[np.bool_]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Each key once, and whether one of its answers is a yes."""
    each, places = np.unique(keys, return_inverse=True)
    return each, np.bincount(places[yes], minlength=len(each)) > 0
