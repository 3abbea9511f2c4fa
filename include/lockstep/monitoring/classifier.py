"""The domain classifier: whether old rows can be told from new ones, by whatever hangs together in them.

Rules:
- It sees what single columns can't show: that two columns, each as it was, go together in another way.
- Every row is scored by a classifier that was fitted without it. Chance comes from a given seed.
- Labels and keys are not shown to it, nor dates, which always tell old from new.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.monitoring.report import ClassifierDrift

Floats = NDArray[np.float64]
_FOLDS: Final = 5
_TOGETHER: Final = 1 + _FOLDS / (_FOLDS - 1)  # how much more the mean of folds varies than that of as many samples
_MOST_WORDS: Final = 250  # different ones, in a column
_Z: Final = 1.959963984540054


def tell_apart(reference: pl.DataFrame, current: pl.DataFrame, columns: Sequence[str], fewest: int) -> ClassifierDrift:
    """How well boosted trees tell rows of one frame from rows of the other, by columns that both have.

    The mean AUC of five folds, each scored by trees that were fitted on the others; its interval by DeLong's variance;
    and the p value that both frames are alike, since then the AUC of a fold is a Mann-Whitney statistic. Trees of
    one fold are fitted on rows of the others, so both variances are corrected as Nadeau and Bengio do.

    Sources: D. Lopez-Paz, M. Oquab, Revisiting classifier two-sample tests, ICLR 2017; E. R. DeLong, D. M. DeLong,
    D. L. Clarke-Pearson, Comparing the areas under two or more correlated ROC curves, Biometrics 44 (1988) 837-845;
    H. B. Mann, D. R. Whitney, Ann. Math. Statist. 18 (1947) 50-60; C. Nadeau, Y. Bengio, Inference for the
    generalization error, Machine Learning 52 (2003) 239-281.

    Args:
        reference: rows of one side.
        current: rows of the other, with other keys, or they are not independent.
        columns: that may be used.
        fewest: rows of each side below which nothing is said.
    """
    rows = (reference.height, current.height)
    usable, table, is_word = _table(reference, current, columns)
    if min(rows) < fewest:
        return ClassifierDrift(rows=rows, columns=usable)
    if not usable:
        return ClassifierDrift(
            rows=rows, says="No column can be given to a classifier: there are only keys, labels, dates and texts."
        )
    is_new = np.repeat([False, True], rows)
    with one_thread():
        folds = [area_under_curve(score[~new], score[new]) for score, new in _scored(table, is_word, is_new)]
    auc = sum(fold[0] for fold in folds) / len(folds)
    spread, by_chance = (math.sqrt(_TOGETHER * sum(fold[place] for fold in folds)) / len(folds) for place in (1, 2))
    p = math.erfc((auc - 0.5) / by_chance / math.sqrt(2)) / 2 if by_chance else 1.0
    interval = (max(auc - _Z * spread, 0.0), min(auc + _Z * spread, 1.0))
    return ClassifierDrift(rows=rows, auc=auc, interval=interval, columns=usable, p=p)


def one_thread() -> AbstractContextManager[object]:
    """Let models use one thread: over so few rows, threads that wait for each other cost a busy machine far more."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits


def area_under_curve(low: Floats, high: Floats) -> tuple[float, float, float]:
    """The AUC by which scores tell `high` (shape n) from `low` (shape m), its variance, and its variance by chance.

    The variance is DeLong's, by midranks: X. Sun, W. Xu, Fast implementation of DeLong's algorithm, IEEE Signal
    Processing Letters 21 (2014) 1389-1393. By chance, it is that of the Mann-Whitney statistic, corrected for ties.
    """
    m, n = len(low), len(high)
    both = np.concatenate([high, low])
    ranks, ties = _midranks(both)
    above = (ranks[:n] - _midranks(high)[0]) / m
    below = 1 - (ranks[n:] - _midranks(low)[0]) / n
    variance = float(above.var(ddof=1) / n + below.var(ddof=1) / m)
    total = m + n
    tied = float(np.sum(ties.astype(np.float64) ** 3 - ties)) / (total * (total - 1))
    return float(above.mean()), variance, (total + 1 - tied) / (12 * m * n)


def _midranks(values: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Ranks from 1 up, equal values sharing the mean of theirs, and how many are equal each time."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse]), np.asarray(counts)


def _scored(table: Floats, is_word: list[bool], is_new: NDArray[np.bool_]) -> Any:  # noqa: ANN401  pairs of scores and truth
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold

    for fitted, held_out in StratifiedKFold(_FOLDS, shuffle=True, random_state=0).split(table, is_new):
        trees = HistGradientBoostingClassifier(
            max_iter=40, max_leaf_nodes=15, categorical_features=is_word, early_stopping=False, random_state=0
        )
        trees.fit(table[fitted], is_new[fitted])
        yield trees.predict_proba(table[held_out])[:, 1], is_new[held_out]


def _table(
    reference: pl.DataFrame, current: pl.DataFrame, columns: Sequence[str]
) -> tuple[tuple[str, ...], Floats, list[bool]]:
    """The columns that can be used, as numbers (shape n × k), and which of them are codes of words."""
    names: list[str] = []
    values: list[Floats] = []
    is_word: list[bool] = []
    for name in columns:
        if name not in reference.columns or name not in current.columns:
            continue
        one, other = reference[name], current[name]
        if all(side.dtype.is_numeric() or side.dtype == pl.Boolean for side in (one, other)):
            both, word = pl.concat([one.cast(pl.Float64), other.cast(pl.Float64)]), False
        elif one.dtype == pl.String and other.dtype == pl.String:
            both, word = pl.concat([one, other]), True
            if both.n_unique() > _MOST_WORDS:
                continue
            both = both.cast(pl.Categorical).to_physical().cast(pl.Float64)
            both = both.rank("dense").cast(pl.Float64) - 1  # codes from 0 up, whatever was coded before
        else:
            continue
        names.append(name)
        is_word.append(word)
        values.append(both.fill_null(math.nan).to_numpy())
    table = np.stack(values, axis=1) if values else np.empty((reference.height + current.height, 0))
    return tuple(names), table, is_word
