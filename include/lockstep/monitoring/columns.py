"""Two summaries of a column held against each other.

Rules:
- What lies within the doubt of the sketches is not taken for a difference: p values are those of the smallest distance
  that the sketches allow.
- Blanks are a value of their own: a column that loses its values has drifted.
- Categories that the reference never had are counted together, and some are named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from lockstep.monitoring import figures
from lockstep.monitoring.figures import Floats
from lockstep.monitoring.summaries import Numbers, Summary, Words

_BINS: Final = 10
_CATEGORIES: Final = 50
_NAMED: Final = 5
BLANK, OTHERS, UNSEEN = "(blank)", "(others)", "(unseen before)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """A bin of numbers, or a category, and how many rows of each side fall into it."""

    label: str
    reference: float
    current: float

    def as_json(self) -> dict[str, Any]:
        """The bin as JSON values."""
        return {"bin": self.label, "reference": self.reference, "current": self.current}


@dataclass(frozen=True, slots=True, kw_only=True)
class Distances:
    """The figures of one column.

    Attributes:
        psi: population stability index over `bins`.
        others: further figures by name.
        p: that both sides are alike.
        doubt: by how much a share may be off for the sketches' sake, both sides together.
        unseen: the commonest categories of the current rows that the reference does not have.
    """

    psi: float
    others: Mapping[str, float]
    p: float
    doubt: float
    bins: tuple[Bin, ...]
    unseen: tuple[str, ...] = ()

    @property
    def moved(self) -> float:
        """By how much the share of one bin changes, at most."""
        sides = np.asarray([(one.reference, one.current) for one in self.bins])
        shares = sides / sides.sum(axis=0)
        return float(np.abs(shares[:, 0] - shares[:, 1]).max())


def surest(bins: Sequence[Bin]) -> Bin:
    """Of bins with rows on both sides, the one whose share changes most surely, by its two-proportions test."""
    whole, of = (round(sum(side)) for side in zip(*((one.reference, one.current) for one in bins), strict=True))

    def sureness(one: Bin) -> tuple[float, float, str]:  # rounded, since both shares of a pair change alike
        p = figures.two_proportions(round(one.reference), whole, round(one.current), of)
        odds = figures.log_odds(one.reference, whole, one.current, of)
        return -float(f"{p:.6g}"), round(abs(odds), 6), one.label

    return max(bins, key=sureness)


def compare(reference: Summary, current: Summary) -> Distances:
    """Hold two summaries of one kind, each of a row at least, against each other.

    Raises:
        TypeError: one holds numbers, the other words.
    """
    if not reference.known or not current.known:
        return _blanks(reference, current)
    if isinstance(reference, Numbers) and isinstance(current, Numbers):
        return _numbers(reference, current)
    if isinstance(reference, Words) and isinstance(current, Words):
        return _words(reference, current)
    raise TypeError("numbers and words have no distance")


def _numbers(reference: Numbers, current: Numbers) -> Distances:
    edges = np.unique(reference.values.quantiles([rank / _BINS for rank in range(1, _BINS)]))
    counts = [_histogram(side, edges) for side in (reference, current)]
    labels = _labels(edges)
    blanks = [float(side.nulls) for side in (reference, current)]
    if any(blanks):
        counts = [np.append(found, blank) for found, blank in zip(counts, blanks, strict=True)]
        labels.append(BLANK)
    doubt = reference.error + current.error
    distance = figures.kolmogorov_smirnov(reference.values, current.values)
    p = figures.kolmogorov_p(max(distance - doubt, 0.0), reference.known, current.known)
    if any(blanks):  # two looks at one column, so the smaller p counts twice
        p = min(1.0, 2 * min(p, _blank_p(reference, current)))
    far = figures.wasserstein(reference.values, current.values)
    spread = reference.values.deviation()
    others = {
        "kolmogorov_smirnov": distance,
        "wasserstein": far,
        **({"wasserstein_in_deviations": far / spread} if spread else {}),
        "reference_mean": reference.values.mean(),
        "current_mean": current.values.mean(),
    }
    return Distances(
        psi=figures.population_stability(*counts), others=others, p=p, doubt=doubt, bins=_bins(labels, *counts)
    )


def _blanks(reference: Summary, current: Summary) -> Distances:
    """Where one side has no value at all, only blanks can be counted."""
    one, other = (np.asarray([side.known, side.nulls], dtype=np.float64) for side in (reference, current))
    psi, p = figures.population_stability(one, other), _blank_p(reference, current)
    return Distances(psi=psi, others={}, p=p, doubt=0.0, bins=_bins(["(a value)", BLANK], one, other))


def _histogram(side: Numbers, edges: Floats) -> Floats:
    """Rows up to the first edge, from there to the next, …, and above the last."""
    shares = np.concatenate([[0.0], side.values.up_to(edges), [1.0]])
    return np.diff(shares) * side.known


def _labels(edges: Floats) -> list[str]:
    words = [f"{edge:.6g}" for edge in edges.tolist()]
    between = [f"{low} to {high}" for low, high in pairwise(words)]
    return [f"up to {words[0]}", *between, f"above {words[-1]}"]


def _blank_p(reference: Summary, current: Summary) -> float:
    return figures.two_proportions(reference.nulls, reference.rows, current.nulls, current.rows)


def _words(reference: Words, current: Words) -> Distances:
    named = [word for word, _ in _by_count(reference.counts)[:_CATEGORIES]]
    unseen = _unseen(reference, current)
    labels = [*named]
    counts = [[float(side.counts.get(word, 0)) for word in named] for side in (reference, current)]
    new = float(sum(unseen.values()))
    rest = [reference.known - sum(counts[0]), current.known - sum(counts[1]) - new]
    for label, pair in (
        (OTHERS, rest),
        (UNSEEN, [0.0, new]),
        (BLANK, [float(reference.nulls), float(current.nulls)]),
    ):
        if any(pair):
            labels.append(label)
            for side, value in zip(counts, pair, strict=True):
                side.append(value)
    one, other = (np.asarray(side) for side in counts)
    doubt = sum(side.error / side.rows for side in (reference, current))
    tested = figures.chi_square(one, _nearer(one, other, doubt) if doubt else other)
    others = {
        "jensen_shannon": figures.jensen_shannon(one, other),
        "chi_square": tested.statistic,
        "degrees_of_freedom": float(tested.freedom),
        "cramers_v": tested.cramers_v,
        "unseen_share": new / current.rows,
    }
    names = tuple(word for word, _ in _by_count(unseen)[:_NAMED])
    psi = figures.population_stability(one, other)
    return Distances(psi=psi, others=others, p=tested.p, doubt=doubt, bins=_bins(labels, one, other), unseen=names)


def _unseen(reference: Words, current: Words) -> dict[str, int]:
    """What the reference can't have had, or not as often: where its sketch dropped words, rare ones are not told of."""
    share = reference.error / max(reference.known, 1)
    return {
        word: count
        for word, count in current.counts.items()
        if word not in reference.counts and count > 2 * share * current.known
    }


def _nearer(reference: Floats, current: Floats, doubt: float) -> Floats:
    """The current counts, as near to the reference as the sketches allow; the rows stay as many."""
    p, q = reference / reference.sum(), current / current.sum()
    near = p + np.sign(q - p) * np.maximum(np.abs(q - p) - doubt, 0.0)
    return np.asarray(near / near.sum() * current.sum())


def _by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _bins(labels: Sequence[str], reference: Floats, current: Floats) -> tuple[Bin, ...]:
    return tuple(
        Bin(label=label, reference=round(one, 6), current=round(other, 6))
        for label, one, other in zip(labels, reference.tolist(), current.tolist(), strict=True)
    )
