"""Counts what differs between two sets of members, batch by batch, on the rows of one dataset.

Rules:
- A row is decided on by both sets as their APIs would: the same features, the same rule. A flip is another outcome.
- A model version that stands in both sets is asked once.
- Nothing is held of a batch but counts, the first flipped rows, and where somebody wants them, rows on the disk.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.decisions.agreement import Ledger
from lockstep.decisions.difference import Flipped, ModelDiff, ScoreDiff, Side, ThresholdDiff
from lockstep.decisions.histogram import Counting
from lockstep.decisions.members import Cut, Members
from lockstep.decisions.rule import Form
from lockstep.decisions.running import running
from lockstep.decisions.share import Share
from lockstep.declare import Task
from lockstep.training import Predictor

BATCH: Final = 1 << 14  # rows
_MOST_CLASSES: Final = 10  # of which scores are shown
Floats = NDArray[np.float64]
Scored = Mapping[str, Floats]  # digest of a model version → its scores of the batch
Keep = Callable[[pl.DataFrame], None]


class ThresholdCount:
    """What one threshold decides on both sides. `shown`: how many flipped rows are kept as examples."""

    def __init__(self, name: str, old: Members | None, new: Members, shown: int) -> None:
        self._name, self._shown = name, shown
        self._sides = (old, new)
        self._rules = [cut.rule if cut is not None else None for cut in map(self._cut, (0, 1))]
        words = dict.fromkeys(word for rule in self._rules if rule is not None for word in rule.words)
        self._words = tuple(words)  # the sides may decide different things, as yes or no before, and a band now
        self._rows = 0
        self._decided = np.zeros((2, len(words)), dtype=np.int64)
        self._pairs = np.zeros((len(words), len(words)), dtype=np.int64)
        self._examples: list[Flipped] = []

    def add(self, rows: pl.DataFrame, key: str, scored: Scored, keep: Keep | None) -> None:
        """Count the decisions on a batch, and hand the flipped rows to `keep`."""
        self._rows += rows.height
        found = [self._decide(side, rows, scored) for side in (0, 1)]
        for side, decided in enumerate(found):
            if decided is not None:
                self._decided[side] += np.bincount(decided.words, minlength=len(self._words))
        old, new = found
        if old is None or new is None:
            return
        np.add.at(self._pairs, (old.words, new.words), 1)
        flipped = np.flatnonzero(old.words != new.words)
        if not len(flipped):
            return
        more = flipped[: self._shown - len(self._examples)]
        for place, name in zip(more.tolist(), rows[key].gather(more).to_list(), strict=True):
            self._examples.append(
                Flipped(
                    key=name if isinstance(name, int) else str(name),
                    old=float(old.scores[place]),
                    new=float(new.scores[place]),
                    was=self._words[old.words[place]],
                    will=self._words[new.words[place]],
                )
            )
        if keep is not None:
            keep(self._kept(rows, flipped, old, new))

    def _decide(self, side: int, rows: pl.DataFrame, scored: Scored) -> "_Decided | None":
        members, cut = self._sides[side], self._cut(side)
        if members is None or cut is None:
            return None
        scores, rule = scored[members.models[cut.model].digest], cut.rule
        place = np.asarray([self._words.index(word) for word in rule.words], dtype=np.intp)
        values = np.broadcast_to(rule.values_for(cut.segments(rows)), (rows.height, len(rule.values)))
        return _Decided(scores=rule.scores_of(scores), words=place[cut.decide(rows, scores)], values=values)

    def _kept(self, rows: pl.DataFrame, flipped: NDArray[np.intp], old: "_Decided", new: "_Decided") -> pl.DataFrame:
        pairs = zip(old.words[flipped].tolist(), new.words[flipped].tolist(), strict=True)
        change = [f"{self._words[was]} to {self._words[will]}" for was, will in pairs]
        return rows[flipped].select(
            pl.lit(self._name).alias("_threshold"),
            pl.Series("_change", change, dtype=pl.String),
            pl.Series("_old_score", old.scores[flipped], dtype=pl.Float64),
            pl.Series("_new_score", new.scores[flipped], dtype=pl.Float64),
            pl.Series("_old_cut", old.values[flipped, 0], dtype=pl.Float64),
            pl.Series("_new_cut", new.values[flipped, 0], dtype=pl.Float64),
            pl.Series("_old_no", _second(old.values, flipped), dtype=pl.Float64),
            pl.Series("_new_no", _second(new.values, flipped), dtype=pl.Float64),
            pl.all(),
        )

    def _cut(self, side: int) -> Cut | None:
        members = self._sides[side]
        return members.cuts.get(self._name) if members is not None else None

    def result(self) -> ThresholdDiff:
        """What was counted so far."""
        old, new = (self._side(side) for side in (0, 1))
        changes = {
            (was, will): int(self._pairs[i, j])
            for i, was in enumerate(self._words)
            for j, will in enumerate(self._words)
            if i != j
        }
        return ThresholdDiff(
            name=self._name,
            old=old,
            new=new,
            rows=self._rows,
            changes=changes if old is not None and new is not None else None,
            examples=tuple(self._examples),
        )

    def _side(self, side: int) -> Side | None:
        members, cut = self._sides[side], self._cut(side)
        if members is None or cut is None:
            return None
        counts = dict(zip(self._words, self._decided[side].tolist(), strict=True))
        decided = {word: Share(part=counts[word], whole=self._rows) for word in cut.rule.words}
        return Side(version=cut.ref, model=members.refs[cut.model], rule=cut.rule, decided=decided)


@dataclass(frozen=True, slots=True)
class _Decided:
    """A batch of n rows: the scores that were cut (n), what was decided (n), and the values that did (n × values)."""

    scores: Floats
    words: NDArray[np.intp]
    values: Floats


def _second(values: Floats, places: NDArray[np.intp]) -> Floats | list[None]:
    """The values of "no", where there are such."""
    return values[places, 1] if values.shape[1] > 1 else [None] * len(places)


class ModelCount:
    """The scores of one model on both sides, and its metrics where the target is known."""

    def __init__(self, name: str, target: str, old: Members | None, new: Members, folder: Path) -> None:
        self._name, self._target = name, target
        self._refs = (old.refs.get(name) if old is not None else None, new.refs[name])
        self._models = (old.models.get(name) if old is not None else None, new.models[name])
        self._labels = _labels(name, new)
        self._spread = {label: (Counting(), Counting()) for label in self._labels}
        self._moved = dict.fromkeys(self._labels, 0.0)
        self._most = dict.fromkeys(self._labels, 0.0)
        self._rows = 0
        self._running = [
            running(model.task, model.classes, folder / f"{name}-{side}") if model is not None else None
            for side, model in enumerate(self._models)
        ]

    def add(self, rows: pl.DataFrame, scored: Scored) -> None:
        """Count the scores of a batch."""
        self._rows += rows.height
        scores = [None if model is None else scored[model.digest] for model in self._models]
        for label in self._labels:
            before, after = (_column(model, label, found) for model, found in zip(self._models, scores, strict=True))
            for counting, found in zip(self._spread[label], (before, after), strict=True):
                if found is not None:
                    counting.add(found[np.isfinite(found)])
            if before is not None and after is not None and len(after):
                moved = np.abs(after - before)
                self._moved[label] += float(moved.sum())
                self._most[label] = max(self._most[label], float(moved.max()))
        if self._target in rows.columns:
            known = rows[self._target].is_not_null().to_numpy()
            truth = rows[self._target].drop_nulls().to_list()
            for metrics, found in zip(self._running, scores, strict=True):
                if metrics is not None and found is not None and truth:
                    metrics.add(truth, found[known])

    def result(self) -> ModelDiff:
        """What was counted so far."""
        old, new = self._running
        if new is None:
            raise AssertionError("each model of a graph stands in the set that would be released")
        return ModelDiff(
            name=self._name,
            old=self._refs[0],
            new=self._refs[1] or "",
            scores=tuple(self._score(label) for label in self._labels),
            labelled=new.rows,
            old_metrics=old.result() if old is not None else None,
            new_metrics=new.result(),
        )

    def _score(self, label: Any) -> ScoreDiff:  # noqa: ANN401  a class may be any value
        before, after = self._spread[label]
        old = self._models[0]
        compared = old is not None and (label is None or label in old.classes) and self._rows > 0
        return ScoreDiff(
            label="value" if label is None else str(label),
            old=before.result() if compared else None,
            new=after.result(),
            moved=self._moved[label] / self._rows if compared else None,
            most=self._most[label] if compared else None,
        )


def answers_of(
    api: str, members: Members, rows: pl.DataFrame, scored: Scored
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Where an API says yes, and where it says no (both of shape n); where it says neither, a person decides.

    It says yes where one of its thresholds does, and no where all do. None where none of them decides on these rows, or
    all decide classes.
    """
    yes, no = [], []
    for cut in (members.cuts[name] for name in members.decides.get(api, ()) if name in members.cuts):
        if True in cut.rule.outcomes:
            codes = cut.decide(rows, scored[members.models[cut.model].digest])
            yes.append(codes == cut.rule.outcomes.index(True))
            no.append(codes == cut.rule.outcomes.index(False))
    return (np.logical_or.reduce(yes), np.logical_and.reduce(no)) if yes else None


class SplitCount:
    """The answers of two APIs, on one side."""

    def __init__(self, api: str, other: str, members: Members, ledger: Ledger) -> None:
        self._apis = {"api": api, "other": other}
        self._members, self.ledger = members, ledger

    def add(self, rows: pl.DataFrame, keys: pl.Series, scored: Scored) -> None:
        """Keep the answers on a batch."""
        for side, api in self._apis.items():
            found = answers_of(api, self._members, rows, scored)
            if found is not None:
                yes, no = found
                self.ledger.add(side, keys, yes if side == "api" else ~no)


def in_batches(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows in frames of `BATCH` rows, the last one smaller."""
    waiting: list[pl.DataFrame] = []
    for frame in frames:
        waiting.append(frame)
        if sum(part.height for part in waiting) < BATCH:
            continue
        rows = pl.concat(waiting)
        whole = rows.height - rows.height % BATCH
        yield from rows.head(whole).iter_slices(BATCH)
        waiting = [rows.tail(rows.height - whole)]
    rest = pl.concat(waiting) if waiting else pl.DataFrame()
    if rest.height:
        yield rest


def _labels(name: str, members: Members) -> tuple[Any, ...]:
    """The classes whose scores matter: those that a threshold cuts; else the last of two, or each of a few."""
    model = members.models[name]
    if model.task is Task.REGRESSION:
        return (None,)
    rules = [cut.rule for cut in members.cuts.values() if cut.model == name]
    cut = dict.fromkeys(model.classes[rule.column] for rule in rules if rule.form is not Form.CLASS)
    if cut:
        return tuple(cut)
    if len(model.classes) <= 2:  # noqa: PLR2004  yes and no
        return model.classes[-1:]
    return model.classes if len(model.classes) <= _MOST_CLASSES else ()


def _column(model: Predictor | None, label: Any, scores: Floats | None) -> Floats | None:  # noqa: ANN401  a class may be any value
    if model is None or scores is None or (label is not None and label not in model.classes):
        return None
    return scores[:, 0 if label is None else model.column_of(label)]
