"""The decision diff as a value: what a release would change, counted in decisions.

Rules:
- It holds counts and what follows from them, no clock and no place: the same sets on the same rows are the same JSON,
  byte for byte, if it is written as canonical JSON.
- "Old" is what is in production, and None where there is nothing to compare with; "new" is what stands in staging.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockstep.decisions.histogram import Histogram
from lockstep.decisions.rule import Form, Rule
from lockstep.decisions.running import Metrics
from lockstep.decisions.share import Share
from lockstep.decisions.told import as_markdown, as_text

PROTOCOL: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A threshold on one side: its version, that of its model, its rule, and how many rows get each decision."""

    version: str
    model: str
    rule: Rule
    decided: Mapping[str, Share]

    @property
    def yes(self) -> Share | None:
        """The rows that get a yes; None where classes are decided."""
        return self.decided.get("yes")

    def as_json(self) -> dict[str, Any]:
        """The side as JSON values: where it cuts and to whom it says yes; and more, where it takes more to say."""
        yes, is_one = _share(self.yes), self.rule.is_one_value
        found = {
            "version": self.version,
            "model": self.model,
            "cut": self.rule.values[0] if is_one else None,
            "yes": yes,
        }
        if is_one:
            return found
        cuts = [] if self.rule.form is Form.CLASS else list(self.rule.values)
        decisions = {word: share.as_json() for word, share in self.decided.items()}
        return found | {"cut": None, "rule": self.rule.as_text(), "cuts": cuts, "decisions": decisions}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipped:
    """A row that gets another decision, its scores, and both decisions."""

    key: str | int
    old: float
    new: float
    was: str
    will: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdDiff:
    """What changes for those whom a threshold decides on.

    Attributes:
        rows: how many it decides on.
        changes: (decision before, decision after) → rows; None where there is nothing to compare.
        examples: the first flipped rows.
    """

    name: str
    old: Side | None
    new: Side | None
    rows: int
    changes: Mapping[tuple[str, str], int] | None
    examples: tuple[Flipped, ...]

    @property
    def flips(self) -> Share | None:
        """Rows that get another decision, whatever it was and will be."""
        return None if self.changes is None else Share(part=sum(self.changes.values()), whole=self.rows)

    @property
    def to_no(self) -> Share | None:
        """Rows that go from yes to no."""
        return self._from("yes", "no")

    @property
    def to_yes(self) -> Share | None:
        """Rows that go from no to yes."""
        return self._from("no", "yes")

    def _from(self, was: str, will: str) -> Share | None:
        return None if self.changes is None else Share(part=self.changes.get((was, will), 0), whole=self.rows)

    def as_json(self) -> dict[str, Any]:
        """The flips as JSON values; each pair of decisions, where there are more than yes and no."""
        is_plain = all(side.rule.is_one_value for side in (self.old, self.new) if side is not None)
        found = {
            "threshold": self.name,
            "old": self.old.as_json() if self.old is not None else None,
            "new": self.new.as_json() if self.new is not None else None,
            "flips": _share(self.flips),
            "yes_to_no": _share(self.to_no),
            "no_to_yes": _share(self.to_yes),
            "examples": [
                {"key": row.key, "old": row.old, "new": row.new}
                | ({} if is_plain else {"from": row.was, "to": row.will})
                for row in self.examples
            ],
        }
        if is_plain or self.changes is None:
            return found
        changes = [
            {"from": was, "to": will} | Share(part=count, whole=self.rows).as_json()
            for (was, will), count in self.changes.items()
            if count
        ]
        return found | {"changes": changes}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreDiff:
    """How the scores of one class (or "value") are spread, and how far a row's score moves: on average, and most."""

    label: str
    old: Histogram | None
    new: Histogram
    moved: float | None
    most: float | None

    def as_json(self) -> dict[str, Any]:
        """The distributions as JSON values."""
        old = self.old.as_json() if self.old is not None else None
        moved = {"mean": self.moved, "most": self.most}
        return {"of": self.label, "old": old, "new": self.new.as_json(), "moved": moved}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDiff:
    """A model's versions, scores, and metrics on the `labelled` rows, those whose target is known."""

    name: str
    old: str | None
    new: str
    scores: tuple[ScoreDiff, ...]
    labelled: int
    old_metrics: Metrics | None
    new_metrics: Metrics

    def as_json(self) -> dict[str, Any]:
        """The model as JSON values."""
        before = self.old_metrics or {}
        metrics = {
            name: {"old": before.get(name), "new": value, "delta": _delta(before.get(name), value)}
            for name, value in self.new_metrics.items()
        }
        return {
            "model": self.name,
            "old": self.old,
            "new": self.new,
            "labelled": self.labelled,
            "metrics": metrics,
            "scores": [score.as_json() for score in self.scores],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The rows of one dataset that were decided on: those of its newest test split, requests, or what a shadow saw.

    Attributes:
        kind: "test", "requests" or "shadow".
        source: the snapshot, or the file, and its digest; which part of the decision log; when a shadow decided.
        left_out: requests that can't be decided on, by reason.
    """

    kind: str
    dataset: str
    source: Mapping[str, str | None]
    rows: int
    left_out: Mapping[str, int]
    thresholds: tuple[ThresholdDiff, ...]
    models: tuple[ModelDiff, ...]

    def as_json(self) -> dict[str, Any]:
        """The population as JSON values."""
        return {
            "rows_of": self.kind,
            "dataset": self.dataset,
            "source": dict(self.source),
            "rows": self.rows,
            "left_out": dict(self.left_out),
            "thresholds": [threshold.as_json() for threshold in self.thresholds],
            "models": [model.as_json() for model in self.models],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitDiff:
    """How many keys of column `on` get a yes from `api` and a no from `other`; see `lockstep.decisions.agreement`."""

    kind: str
    api: str
    other: str
    on: str
    old: Share | None
    new: Share

    def as_json(self) -> dict[str, Any]:
        """The split as JSON values."""
        return {
            "rows_of": self.kind,
            "api": self.api,
            "other": self.other,
            "on": self.on,
            "old": _share(self.old),
            "new": self.new.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What releasing the set of digest `new` in the place of release `old` changes; None: it would be the first."""

    group: str
    old: str | None
    new: str
    old_members: Mapping[str, str]
    new_members: Mapping[str, str]
    populations: tuple[Population, ...]
    splits: tuple[SplitDiff, ...]

    def threshold(self, name: str, kind: str = "test") -> ThresholdDiff:
        """What changes by a threshold, on rows of a kind (`KeyError` if it is not among them)."""
        for population in self.populations:
            for threshold in population.thresholds:
                if population.kind == kind and threshold.name == name:
                    return threshold
        raise KeyError(name)

    def as_json(self) -> dict[str, Any]:
        """The diff as JSON values."""
        return {
            "kind": "decision_diff",
            "protocol": PROTOCOL,
            "group": self.group,
            "old": {"release": self.old, "members": dict(self.old_members)},
            "new": {"release": self.new, "members": dict(self.new_members)},
            "populations": [population.as_json() for population in self.populations],
            "splits": [split.as_json() for split in self.splits],
        }

    def as_text(self) -> str:
        """The diff for a terminal."""
        return as_text(self.as_json())

    def as_markdown(self) -> str:
        """The diff for whoever is to approve it."""
        return as_markdown(self.as_json())


def _share(share: Share | None) -> dict[str, Any] | None:
    return share.as_json() if share is not None else None


def _delta(old: float | None, new: float | None) -> float | None:
    return None if old is None or new is None else new - old
