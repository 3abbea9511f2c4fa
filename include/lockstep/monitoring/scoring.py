"""What production's models and thresholds make of both sides, and which columns the models look at.

Rules:
- Both sides are scored by the same versions, those in production, on rows that they were not trained on; so a shift is
  one of the rows.
- What was decided is taken from the decision log where that is the current side, of the release in production alone.
- Importance is what was measured at training, of permutation: how much worse a model gets where a column's values are
  dealt out anew.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lockstep.decisions import Share
from lockstep.decisions.members import Cut, Loader, Members
from lockstep.decisions.rule import REFER
from lockstep.declare import Task
from lockstep.graph import Graph
from lockstep.journal import read_decisions
from lockstep.registry import Registry, Release, read_manifest
from lockstep.training.importance import IMPORTANCE, importance_of

Floats = NDArray[np.float64]
_MOST_CLASSES: Final = 10
_BINARY: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Production:
    """The release in production of a group, and of its models those on one dataset.

    `looks_at`: model → column → share of what it looks at, of versions whose manifest tells it.
    """

    release: Release
    members: Members
    looks_at: Mapping[str, Mapping[str, float]]


def production_on(registry: Registry, graph: Graph, release: Release | None, dataset: str) -> Production | None:
    """What is in production and was trained on a dataset; None where that is nothing.

    Raises:
        ObjectMissing, ObjectDamaged, VersionRemoved: a file of it is not there.
    """
    if release is None:
        return None
    manifest = read_manifest(registry.objects, release.manifest)
    names = {model.name for model in graph.group(release.group).models if model.dataset == dataset}
    members = Loader(registry, graph).load(release.digest, manifest).only(names)
    if not members.models:
        return None
    state = registry.state()
    told = {
        name: read_manifest(registry.objects, state.model_by_digest(name, model.digest).fact.manifest).get(IMPORTANCE)
        for name, model in members.models.items()
    }
    looks_at = {name: share for name, share in told.items() if share}
    return Production(release=release, members=members, looks_at=looks_at)


def scores_of(members: Members, rows: pl.DataFrame) -> dict[str, Floats]:
    """The scores of each model (shape n × classes, or n × 1).

    Raises:
        DataError: a feature is not among the columns.
    """
    return {name: model.scores(rows) for name, model in members.models.items()}


def spread_scores(members: Members, scores: Mapping[str, Floats]) -> dict[str, Floats]:
    """One column of scores each: the probability of the second of two classes, of each of more, or the value."""
    found: dict[str, Floats] = {}
    for name, model in members.models.items():
        if model.task is Task.REGRESSION or len(model.classes) <= _BINARY:
            found[name] = scores[name][:, -1]
            continue
        for place, label in enumerate(model.classes[:_MOST_CLASSES]):
            found[f"{name}: {label}"] = scores[name][:, place]
    return found


def decided(members: Members, rows: pl.DataFrame, scores: Mapping[str, Floats]) -> dict[tuple[str, str], Share]:
    """How many rows get each decision: (threshold, decision) → share.

    Raises:
        DataError: the column of the segments is not there.
    """
    found: dict[tuple[str, str], Share] = {}
    for name, cut in members.cuts.items():
        codes = cut.decide(rows, scores[cut.model])
        counts = np.bincount(codes, minlength=len(cut.rule.words))
        for word in said_words(cut):
            part = int(counts[cut.rule.words.index(word)])
            found[name, word] = Share(part=part, whole=rows.height)
    return found


def said_words(cut: Cut) -> list[str]:
    """The decisions that are counted; how often it is no follows from the others."""
    return [word for word in cut.rule.words if word != "no"]


def logged_decisions(
    registry: Registry, group: str, since: datetime, production: Production
) -> dict[tuple[str, str], Share]:
    """As `decided`, of what the release in production answered since."""
    counts: Counter[tuple[str, str]] = Counter()
    whole: Counter[str] = Counter()
    for rows in _answers(registry, group, since, production.release.digest):
        for threshold, word, count in rows.group_by("threshold", "word").len().iter_rows():
            counts[threshold, word] += count
            whole[threshold] += count
    return {
        (name, word): Share(part=counts[name, word], whole=whole[name])
        for name, cut in production.members.cuts.items()
        for word in said_words(cut)
    }


def _answers(registry: Registry, group: str, since: datetime, release: str) -> Iterator[pl.DataFrame]:
    """A row for each decision in the log: `threshold` and `word`."""
    for frame in read_decisions(registry, group, since=since):
        rows = frame.filter(~pl.col("_shadow") & (pl.col("_release") == release) & pl.col("_decisions").is_not_null())
        if rows.height:
            each = rows.select(one="_decisions").explode("one").drop_nulls("one").unnest("one")
            yield each.select("threshold", pl.col("decision").fill_null(REFER).alias("word"))


# ------------------------------------------------------------------------------------------------ what models look at


def importance(production: Production, targets: Mapping[str, str], rows: pl.DataFrame) -> dict[str, float]:
    """Which share of what the models look at is a column; the mean over the models, and 1 in sum.

    As it was measured when a model was trained (`lockstep.training.importance`); of a version whose manifest is older
    than that, it is measured now.

    Args:
        production: the models.
        targets: model → the column that it predicts.
        rows: with labels, which no model was trained on.
    """
    found = []
    for name, model in production.members.models.items():
        known = production.looks_at.get(name)
        share = known if known is not None else importance_of(model, targets[name], rows)
        found += [share] if share else []
    names = dict.fromkeys(name for share in found for name in share)
    return {name: sum(share.get(name, 0.0) for share in found) / len(found) for name in names}
