"""What a threshold decides by: the values that cut a model's scores, and what is decided on each side of them.

Rules:
- A rule is a plain value that can be written to JSON and compared. It needs numpy alone, since services decide by it.
- For each row it decides one of `outcomes`: true or false, a class, or None where a person is to decide.
- A score that is equal to a value is on the side that the value opens: yes, no, or an answer. Where both edges of a
  band are the same number, it is a yes. A score that is not a number is never answered where a person can be asked.
- A segment that has no values of its own, an unknown one and a blank one are decided by the values of all rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]
When = Literal["above", "below"]
Segment = str | int | bool
MOST_CLASSES: Final = 126  # a code is an int8, and one stands for "a person decides"
REFER: Final = "refer"
_SHOWN: Final = 6  # segments in a text
_NO, _YES, _PERSON = 0, 1, 2


class Form(StrEnum):
    """The kinds of rules: one value for yes or no; a band between no and yes; a class, if it is likely enough."""

    CUT = "cut"
    BAND = "band"
    CLASS = "class"


NAMES: Final[Mapping[Form, tuple[str, ...]]] = {
    Form.CUT: ("yes",),
    Form.BAND: ("yes", "no"),
    Form.CLASS: ("answer",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, for the scores of exactly one model version.

    Attributes:
        values: in the unit of the score, in the order of `NAMES`: from where on it is yes, from where on no, from where
            on the likeliest class is the answer.
        column: of the scores, the one that is cut; of no meaning where a class is decided.
        when: yes is above its value, or below.
        classes: in the order of the columns of the scores, where a class is decided.
        per: the column whose value is the segment of a row; None where all rows are decided alike.
        segments: those that have values of their own.
        outcomes: what a code stands for: false and true, or the classes, in their order; then None where it can refer.
    """

    form: Form
    values: tuple[float, ...]
    column: int = 0
    when: When = "above"
    classes: tuple[Any, ...] = ()
    per: str | None = None
    segments: tuple[tuple[Segment, tuple[float, ...]], ...] = ()
    outcomes: tuple[Any, ...] = field(init=False, repr=False, compare=False)
    _table: Floats = field(init=False, repr=False, compare=False)
    _places: Mapping[Segment | None, int] = field(init=False, repr=False, compare=False)
    _shown: tuple[Any, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rows = [self.values, *(values for _, values in self.segments)]
        referred = () if self.form is Form.CUT else (None,)
        made = {  # once: a service asks for them at each row
            "outcomes": ((*self.classes,) if self.form is Form.CLASS else (False, True)) + referred,
            "_table": np.asarray(rows, dtype=np.float64),
            "_places": {segment: place for place, (segment, _) in enumerate(self.segments, start=1)},
            "_shown": tuple(self._named(values) if self.form is Form.BAND else values[0] for values in rows),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @property
    def words(self) -> tuple[str, ...]:
        """The outcomes as people call them."""
        return tuple(map(word_of, self.outcomes))

    @property
    def can_refer(self) -> bool:
        """Whether a decision may be left to a person."""
        return self.form is not Form.CUT

    @property
    def is_one_value(self) -> bool:
        """Whether it is the plain "yes from the value up", for all rows alike."""
        return self.form is Form.CUT and self.when == "above" and self.per is None

    def decide(self, scores: Floats, segments: Sequence[Any] | None = None) -> Codes:
        """Codes (shape n), which are places in `outcomes`.

        Args:
            scores: of the model version (shape n × classes, or n × 1).
            segments: the values of the column `per` (n), None where they are blank; needed where `per` is set.
        """
        own, values = self.scores_of(scores), self.values_for(segments)
        if self.form is Form.CLASS:
            likeliest = np.argmax(scores, axis=1).astype(np.int8)
            return np.where(own >= values[:, 0], likeliest, np.int8(len(self.classes)))
        is_yes = own >= values[:, 0] if self.when == "above" else own <= values[:, 0]
        if self.form is Form.CUT:
            return is_yes.astype(np.int8)
        is_no = own <= values[:, 1] if self.when == "above" else own >= values[:, 1]
        return np.where(is_yes, np.int8(_YES), np.where(is_no, np.int8(_NO), np.int8(_PERSON)))

    def scores_of(self, scores: Floats) -> Floats:
        """What is compared with the values (shape n): one column, or the probability of the likeliest class."""
        return np.asarray(scores.max(axis=1) if self.form is Form.CLASS else scores[:, self.column])

    def values_for(self, segments: Sequence[Any] | None = None) -> Floats:
        """The values that decide each row (shape n × number of values); of one row for all, without segments."""
        if self.per is None:
            return self._table[:1]
        if segments is None:
            raise ValueError(f'This rule decides by the values of column "{self.per}"; give them as segments=.')
        places = np.fromiter((self._places.get(segment, 0) for segment in segments), np.intp, len(segments))
        return self._table[places]

    def answer(self, code: int, segment: Segment | None = None) -> dict[str, Any]:
        """One decision as an API answers it: what, by which value, and where it was left to a person or fell back."""
        decision = self.outcomes[code]
        place = 0 if self.per is None else self._places.get(segment, 0)
        shown = self._shown[place]
        found = {"decision": decision, "threshold": dict(shown) if self.form is Form.BAND else shown}
        if self.form is not Form.CUT:
            found["refer"] = decision is None
        if self.per is not None:
            found |= {"segment": segment, "fallback": place == 0}
        return found

    def as_json(self) -> dict[str, Any]:
        """The rule as JSON values; `from_json` reads it."""
        found: dict[str, Any] = {"form": self.form.value, "values": self._named(self.values)}
        if self.form is Form.CLASS:
            found["classes"] = list(self.classes)
        else:
            found |= {"column": self.column, "when": self.when}
        if self.per is not None:
            own = [{"segment": segment, "values": self._named(values)} for segment, values in self.segments]
            found |= {"per": self.per, "segments": own}
        return found

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """The rule that `as_json` wrote."""
        form = Form(plain["form"])

        def values_of(item: Mapping[str, Any]) -> tuple[float, ...]:
            return tuple(float(item["values"][name]) for name in NAMES[form])

        return cls(
            form=form,
            values=values_of(plain),
            column=plain.get("column", 0),
            when=plain.get("when", "above"),
            classes=tuple(plain.get("classes", ())),
            per=plain.get("per"),
            segments=tuple((item["segment"], values_of(item)) for item in plain.get("segments", ())),
        )

    def as_text(self) -> str:
        """The rule in words."""
        text = self._says(self.values)
        if self.per is None:
            return text
        shown = [f"{segment}: {self._short(values)}" for segment, values in self.segments[:_SHOWN]]
        left = len(self.segments) - len(shown)
        own = "; ".join(shown) if shown else "none has values of its own"
        return f"{text}; by {self.per}: {own}" + (f"; and {left} more" if left else "")

    def _named(self, values: tuple[float, ...]) -> dict[str, float]:
        return dict(zip(NAMES[self.form], values, strict=True))

    def _says(self, values: tuple[float, ...]) -> str:
        if self.form is Form.CLASS:
            return f"the likeliest class from {values[0]:.4f} up, else a person decides"
        up, down = ("from {:.4f} up", "up to {:.4f}")
        yes, no = (up, down) if self.when == "above" else (down, up)
        text = f"yes {yes.format(values[0])}"
        return text if self.form is Form.CUT else f"{text}, no {no.format(values[1])}, a person decides between"

    def _short(self, values: tuple[float, ...]) -> str:
        if len(values) == 1:
            return f"{values[0]:.4f}"
        return ", ".join(f"{name} {value:.4f}" for name, value in self._named(values).items())


def one_value(value: float, column: int) -> Rule:
    """The plain rule: yes from the value up."""
    return Rule(form=Form.CUT, values=(value,), column=column)


def rule_of(described: Mapping[str, Any], column_of: Callable[[Any], int]) -> Rule:
    """The rule that a threshold's manifest tells; `column_of` finds the column of its positive class in the scores."""
    plain = described.get("rule")
    if plain is not None:
        return Rule.from_json(plain)
    return one_value(float(described["value"]), column_of(described["positive"]))


def text_of(value: float | None, rule: Mapping[str, Any] | None) -> str:
    """What a threshold version decides by, in words: its one value, or its rule."""
    return Rule.from_json(rule).as_text() if rule is not None else f"{value:.4f}"


def word_of(outcome: Any) -> str:  # noqa: ANN401  a class may be any value
    """An outcome as people call it."""
    if outcome is None:
        return REFER
    if isinstance(outcome, bool):
        return "yes" if outcome else "no"
    return str(outcome)
