"""What the shadow decided on what production was asked: pairs of decisions on one request, out of the decision log.

Rules:
- Only pairs of exactly the two sets that are compared count: the release in production, and what stands in staging now.
- Both decided when the request came, on all that it held, so that private columns are no hindrance.
- Memory does not depend on how much was logged.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import polars as pl

from lockstep.decisions.difference import Flipped, Population, Side, ThresholdDiff
from lockstep.decisions.members import Members
from lockstep.decisions.rule import REFER
from lockstep.decisions.share import Share
from lockstep.declare import Dataset
from lockstep.journal import read_decisions
from lockstep.registry import Registry, State

SHADOW: Final = "shadow"
_ROW: Final = "_place"


def since_both(state: State, group: str) -> datetime | None:
    """Since when exactly these two sets may have decided side by side; None where one of them is missing."""
    production, promotions = state.production(group), state.promotions.get(group)
    if production is None or not promotions:
        return None
    return max(production.recorded.at, promotions[-1].recorded.at)


def pairs_of(registry: Registry, group: str, since: datetime, old: str, new: str) -> Iterator[pl.DataFrame]:
    """The shadow's rows that set `new` wrote beside the answers of release `old`."""
    is_pair = pl.col("_shadow") & (pl.col("_release") == new) & (pl.col("_against") == old)
    for frame in read_decisions(registry, group, since=since):
        rows = frame.filter(is_pair)
        if rows.height:
            yield rows


class ShadowCount:
    """Counts pairs of decisions on the rows of one dataset. `shown`: how many flipped rows are kept as examples."""

    def __init__(self, dataset: Dataset, old: Members, new: Members, shown: int) -> None:
        self._dataset, self._old, self._new = dataset, old, new
        cuts = dict.fromkeys([*new.cuts, *old.cuts])
        self._thresholds = {name: _ThresholdCount(name, old, new, shown) for name in cuts}
        self._apis = {
            api
            for members in (old, new)
            for api, decides in members.decides.items()
            if any(name in cuts for name in decides)
        }
        self._rows = 0
        self._left_out: Counter[str] = Counter()
        self._first: datetime | None = None
        self._last: datetime | None = None

    def add(self, pairs: pl.DataFrame) -> None:
        """Count further pairs."""
        rows = pairs.filter(pl.col("_api").is_in(self._apis))
        if rows.is_empty():
            return
        was, will = rows["_answered"].is_not_null(), rows["_decisions"].is_not_null()
        for reason, where in (
            ("production refused it", ~was & will),
            ("the shadow refused it", was & ~will),
            ("both refused it", ~was & ~will),
        ):
            self._left_out[reason] += int(where.sum())
        both = rows.filter(was & will)
        times = rows["_at"].sort().to_list()
        self._first, self._last = min(self._first or times[0], times[0]), max(self._last or times[-1], times[-1])
        self._rows += both.height
        keyed = _decided(both, self._dataset.key)
        for (name,), part in keyed.group_by("threshold", maintain_order=True):
            if (count := self._thresholds.get(str(name))) is not None:
                count.add(part)

    def result(self) -> Population:
        """What was counted so far."""
        return Population(
            kind=SHADOW,
            dataset=self._dataset.name,
            source={"first": _text(self._first), "last": _text(self._last)},
            rows=self._rows,
            left_out={reason: count for reason, count in sorted(self._left_out.items()) if count},
            thresholds=tuple(count.result() for count in self._thresholds.values()),
            models=(),
        )


class _ThresholdCount:
    """The pairs of one threshold."""

    def __init__(self, name: str, old: Members, new: Members, shown: int) -> None:
        self._name, self._members, self._shown = name, (old, new), shown
        self._rows = 0
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._decided: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._examples: list[Flipped] = []

    def add(self, rows: pl.DataFrame) -> None:
        """Count pairs: columns `word` and `score`, `word_new` and `score_new`; null where a side did not decide."""
        self._rows += rows.height
        for side, column in zip(self._decided, ("word", "word_new"), strict=True):
            side.update(dict(rows[column].drop_nulls().value_counts().iter_rows()))
        pairs = rows.drop_nulls(["word", "word_new"])
        counted = pairs.group_by("word", "word_new").len().iter_rows()
        self._pairs.update({(was, will): count for was, will, count in counted})
        flipped = pairs.filter(pl.col("word") != pl.col("word_new")).head(self._shown - len(self._examples))
        for row in flipped.iter_rows(named=True):
            self._examples.append(
                Flipped(key=row["_key"], old=row["score"], new=row["score_new"], was=row["word"], will=row["word_new"])
            )

    def result(self) -> ThresholdDiff:
        old, new = (self._side(side) for side in (0, 1))
        changes = {pair: count for pair, count in sorted(self._pairs.items()) if pair[0] != pair[1]}
        return ThresholdDiff(
            name=self._name,
            old=old,
            new=new,
            rows=self._rows,
            changes=changes if old is not None and new is not None else None,
            examples=tuple(self._examples),
        )

    def _side(self, side: int) -> Side | None:
        members = self._members[side]
        cut = members.cuts.get(self._name)
        if cut is None:
            return None
        decided = {word: Share(part=self._decided[side][word], whole=self._rows) for word in cut.rule.words}
        return Side(version=cut.ref, model=members.refs[cut.model], rule=cut.rule, decided=decided)


def _decided(pairs: pl.DataFrame, key: str) -> pl.DataFrame:
    """A row for each threshold that decided on a pair: whose, and what was and would be decided by which score."""
    own = pl.col(key).cast(pl.String) if key in pairs.columns else pl.lit(None, pl.String)
    by_request = pl.format("request {}, row {}", "_request", "_row")
    named = pairs.with_columns(pl.coalesce(own, by_request).alias("_key")).with_row_index(_ROW)
    was, will = (_exploded(named, column) for column in ("_answered", "_decisions"))
    both = was.join(will, on=[_ROW, "threshold"], how="full", coalesce=True, suffix="_new", maintain_order="left_right")
    return both.join(named.select(_ROW, "_key"), on=_ROW, how="left", maintain_order="left")


def _exploded(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """A row for each decision of each row, with what was decided in words."""
    return (
        rows.select(_ROW, pl.col(column).alias("one"))
        .explode("one")
        .drop_nulls("one")
        .unnest("one")
        .select(_ROW, "threshold", pl.col("decision").fill_null(REFER).alias("word"), "score")
    )


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment is not None else None
