"""Metrics that rank rows by their scores, computed exactly in memory that does not depend on how many there are.

Rules:
- A few rows stay in memory. More are parted by score into files, each of which is sorted by itself; the limits between
  the files are quantiles of the first rows, and rows of equal score are in one file.
- The result is that of sorting all rows at once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

HELD: Final = 1 << 15  # rows
_FILES: Final = 16
_ROW: Final = np.dtype([("score", "<f8"), ("positive", "?")])
Rows = NDArray[np.void]
Counts = NDArray[np.int64]


class Ranks:
    """Scores, and which of their rows are positive. `folder` does not exist yet, and may never be needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[Rows] = []
        self._limits: NDArray[np.float64] | None = None

    def add(self, scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> None:
        """Keep further rows (both of shape n)."""
        rows = np.empty(len(scores), dtype=_ROW)
        rows["score"], rows["positive"] = scores, positive
        self._held.append(rows)
        if sum(map(len, self._held)) > HELD:
            self._put_away()

    def roc_auc(self) -> float:
        """The share of pairs of a positive and a negative row that are ranked right; ties count half."""
        right = wrong = hits = 0  # `right` counts halves
        for positive, negative in self._pieces(range(_FILES)):
            below = np.cumsum(negative) - negative + wrong
            right += int((positive * (2 * below + negative)).sum())
            wrong, hits = wrong + int(negative.sum()), hits + int(positive.sum())
        return right / (2 * hits * wrong)

    def average_precision(self) -> float:
        """The precision down to each score, weighted by the recall that the score adds, the highest first."""
        total, hits, wrong = 0.0, 0, 0
        for lowest_first in self._pieces(range(_FILES - 1, -1, -1)):
            positive, negative = (counts[::-1] for counts in lowest_first)
            found, missed = np.cumsum(positive) + hits, np.cumsum(negative) + wrong
            total += float((positive * (found / (found + missed))).sum())
            hits, wrong = int(found[-1]), int(missed[-1])
        return total / hits

    def _put_away(self) -> None:
        rows, self._held = np.concatenate(self._held), []
        if self._limits is None:
            self._folder.mkdir(parents=True)
            self._limits = np.quantile(rows["score"], np.linspace(0, 1, _FILES + 1)[1:-1])
        parts = np.searchsorted(self._limits, rows["score"], side="right")
        for part in np.unique(parts).tolist():
            with self._file(part).open("ab") as file:
                rows[parts == part].tofile(file)

    def _pieces(self, files: range) -> Iterator[tuple[Counts, Counts]]:
        """How many positive and negative rows each score has, the lowest first in each piece."""
        if self._limits is None:
            yield _by_score(np.concatenate(self._held))
            return
        if self._held:
            self._put_away()
        for part in files:
            if self._file(part).exists():
                yield _by_score(np.fromfile(self._file(part), dtype=_ROW))

    def _file(self, part: int) -> Path:
        return self._folder / f"{part:02d}"


def _by_score(rows: Rows) -> tuple[Counts, Counts]:
    _, places = np.unique(rows["score"], return_inverse=True)
    positive = np.bincount(places[rows["positive"]], minlength=int(places.max()) + 1)
    return positive, np.bincount(places) - positive
