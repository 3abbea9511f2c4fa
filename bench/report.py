"""What a benchmark found, as a table and as JSON.

Rules:
- A figure stands beside its peer's of the same run, and says its unit.
- An aim that was not measured (the peer is not there) is neither met nor missed.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of ours, and the peer's where it has one. `ratio` is ours / peer."""

    what: str
    ours: float
    peer: float | None = None
    unit: str = "ms"

    @property
    def ratio(self) -> float | None:
        """Ours / peer: below 1, ours is smaller."""
        return self.ours / self.peer if self.peer else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What was to be reached: `value` at least or at most `limit`; None where it was not measured."""

    what: str
    value: float | None
    at_least: float | None = None
    at_most: float | None = None
    unit: str = "×"

    @property
    def met(self) -> bool | None:
        """Whether it was reached."""
        if self.value is None:
            return None
        return self.value >= (self.at_least or -math.inf) and self.value <= (self.at_most or math.inf)

    def as_text(self) -> str:
        """One line."""
        bound = f"at least {self.at_least:g}" if self.at_least else f"at most {self.at_most:g}"
        said = {True: "met", False: "MISSED", None: "not measured"}[self.met]
        value = "-" if self.value is None else f"{self.value:.2f} {self.unit}"
        return f"aim: {self.what}: {value}, wanted {bound} {self.unit}: {said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of one benchmark."""

    title: str
    peer: str
    rows: Sequence[Row]
    aims: Sequence[Aim]
    notes: Sequence[str] = field(default_factory=tuple)

    def as_text(self) -> str:
        """A table, then the aims and the notes."""
        width = max(len(row.what) for row in self.rows)
        lines = [self.title, f"  peer: {self.peer}", f"  {'':{width}} {'ours':>12} {'peer':>12}  ours/peer"]
        for row in self.rows:
            peer = "-" if row.peer is None else f"{row.peer:.2f} {row.unit}"
            ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
            lines.append(f"  {row.what:{width}} {f'{row.ours:.2f} {row.unit}':>12} {peer:>12}  {ratio:>9}")
        lines += [f"  {aim.as_text()}" for aim in self.aims]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "title": self.title,
            "peer": self.peer,
            "rows": [asdict(row) | {"ratio": row.ratio} for row in self.rows],
            "aims": [asdict(aim) | {"met": aim.met} for aim in self.aims],
            "notes": list(self.notes),
        }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]
