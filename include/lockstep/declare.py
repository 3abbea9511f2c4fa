"""The words in which a team writes down what depends on what.

Rules:
- A declaration is a value: frozen, compared by content, cheap to make. Making one reads no file and imports neither
  polars, scikit-learn nor Airflow, so that a DAG file parses fast.
- What is wrong with one declaration alone is raised here, when it is made; what is wrong between declarations is raised
  by `lockstep.graph.Graph`.
- Functions (`clean`, `estimator`) are named, importable functions, so that training elsewhere runs the same code.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import date
from enum import StrEnum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from lockstep.checks import Check, check_checks
from lockstep.errors import DeclarationError
from lockstep.places import Engine, Where, check_engine, check_where
from lockstep.policy import Policy
from lockstep.source import Source

if TYPE_CHECKING:
    import polars as pl

Clean = TypeVar("Clean", bound="Callable[[pl.DataFrame], pl.DataFrame]")
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
FEWEST_ROWS: Final = 200  # of the validation split, for a segment to have a threshold of its own
COLUMN_TYPES: dict[type, str] = {int: "int", float: "float", str: "str", bool: "bool", date: "date"}


class Kind(StrEnum):
    """The four kinds of node."""

    DATASET = "dataset"
    MODEL = "model"
    THRESHOLD = "threshold"
    API = "api"


def check_name(kind: Kind, name: object) -> None:
    """Refuse a name that can't be a folder, a DAG id and a URL segment at once.

    Raises:
        DeclarationError: the name is not 1 to 64 lower-case letters, digits and underscores that start with a letter.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DeclarationError(
            f"{_word(kind)} {name!r}: the name can't be a path or a DAG id; a name starts with a lower-case letter and"
            f" has at most 64 lower-case letters, digits and underscores. Rename it."
        )


def _word(kind: Kind) -> str:
    return "API" if kind is Kind.API else kind.value.capitalize()


@dataclass(frozen=True, slots=True)
class Column:
    """The type of one column: `kind` is int, float, str, bool or date; a blank is allowed where it is `nullable`."""

    kind: str
    nullable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HashSplit:
    """Shares of rows, by a stable hash of the key, for the splits "test" and "validation"; the rest is "train"."""

    test: float
    validation: float


def by_hash(*, test: float, validation: float) -> HashSplit:
    """Split rows by a stable hash of their key, so that a customer stays in one split in each snapshot.

    Raises:
        DeclarationError: a share is not above 0, or both together leave nothing to train on.
    """
    if not (test > 0 and validation > 0 and test + validation < 1):
        raise DeclarationError(
            f"by_hash(test={test}, validation={validation}): both shares must be above 0 and leave more than 0 for"
            " training; for example by_hash(test=0.2, validation=0.2)."
        )
    return HashSplit(test=test, validation=validation)


def row_wise(clean: Clean) -> Clean:
    """Say of a `clean` that it makes each row of that row alone, by polars expressions, and of nothing else.

    Nothing else is a clock, a file, or chance: its expressions are read once, when a service loads a release. What the
    service understands of them it does for a single row without polars, in a tenth of the time.
    """
    clean._is_row_wise = True  # type: ignore[attr-defined]  # noqa: SLF001  functions take what is set
    return clean


def is_row_wise(clean: object) -> bool:
    """Whether `row_wise` was said of it."""
    return getattr(clean, "_is_row_wise", False) is True


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table that models are trained on.

    Attributes:
        columns: column name → int, float, str, bool or date; `float | None` allows blanks.
        key: the column that names a row; unique, never a feature.
        clean: a function from a polars frame to a polars frame that keeps the key and one row per row it keeps; the
            same function runs on a million rows before training and on one row when a decision is asked for, where
            label columns are null.
        shared: False for a general corpus that hardly changes: it does not tie its users into one release group.
        deprecated: what to use instead; whoever uses the dataset is warned.
        deprecated_after: from the day after this one, models trained on the dataset can't be promoted.
        private: columns that the decision log leaves out, the key among them if it is named; whoever answers a request
            sees them all the same.
        checks: what the rows have to be beyond their types, as `between("tenure", 0, 100)`; see `lockstep.checks`.
        engine: what Beam runs on when a snapshot is taken, as `flink(master="…")`; by default the run decides.
        schema: column name → type, the key first (text, unless it is declared otherwise); made from `columns`.
    """

    name: str
    _: KW_ONLY
    source: Source
    key: str
    columns: Mapping[str, Any]
    clean: "Callable[[pl.DataFrame], pl.DataFrame] | None" = None
    split: HashSplit = field(default_factory=lambda: HashSplit(test=0.2, validation=0.2))
    shared: bool = True
    deprecated: str | None = None
    deprecated_after: date | None = None
    private: Sequence[str] = ()
    checks: Sequence[Check] = ()
    engine: Engine | None = None
    schema: Mapping[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_name(Kind.DATASET, self.name)
        check_engine(self.engine, f'Dataset "{self.name}"')
        if not self.columns:
            raise DeclarationError(
                f'Dataset "{self.name}": no columns are declared; give at least the key and a target.'
            )
        for column in self.columns:
            if column.startswith("_"):
                raise DeclarationError(
                    f'Dataset "{self.name}": column {column!r} starts with an underscore, which Lockstep keeps for its'
                    " own columns. Rename it in the source."
                )
        object.__setattr__(self, "schema", self._typed())  # once: a parse of a thousand groups asks for it often
        if self.schema[self.key].nullable:
            raise DeclarationError(
                f'Dataset "{self.name}": key "{self.key}" may be blank by its type, but a row without a key has no'
                " name. Declare it without `| None`; rows with a blank key then go to quarantine."
            )
        if self.key not in self.columns and self.key.startswith("_"):
            raise DeclarationError(f'Dataset "{self.name}": key {self.key!r} may not start with an underscore.')
        if self.deprecated_after is not None and self.deprecated is None:
            raise DeclarationError(
                f'Dataset "{self.name}": deprecated_after={self.deprecated_after} says when, but not what to use'
                ' instead; add deprecated="use …".'
            )
        self._check_private()
        if self.checks:
            kinds = {name: column.kind for name, column in self.schema.items()}
            check_checks(f'Dataset "{self.name}"', self.checks, kinds, self.key)

    def _check_private(self) -> None:
        if isinstance(self.private, str):
            raise DeclarationError(
                f'Dataset "{self.name}": private={self.private!r} is one text; it takes a list of columns:'
                f' private=["{self.private}"].'
            )
        for column in self.private:
            if column not in self.schema:
                raise DeclarationError(
                    f'Dataset "{self.name}": private= names {column!r}, which is no column of it, so nothing would be'
                    f" kept out of the decision log. Its columns are {', '.join(self.schema)}."
                )

    def _typed(self) -> dict[str, Column]:
        declared = {name: self._column(name, annotation) for name, annotation in self.columns.items()}
        key = declared.pop(self.key, Column("str", nullable=False))
        return {self.key: key, **declared}

    def _column(self, name: str, annotation: Any) -> Column:  # noqa: ANN401  a type expression has no narrower type
        plain = annotation
        if get_origin(annotation) in (Union, UnionType):
            others = [arg for arg in get_args(annotation) if arg is not NoneType]
            plain = others[0] if len(others) == 1 else annotation  # `int | str | None` is no type of a column
        nullable = plain is not annotation
        if not isinstance(plain, type) or plain not in COLUMN_TYPES:
            raise DeclarationError(
                f'Dataset "{self.name}": column "{name}" has type {plain!r}; allowed are int, float, str, bool and'
                " date, each also as `float | None` where blanks are fine."
            )
        return Column(COLUMN_TYPES[plain], nullable=nullable)


class Task(StrEnum):
    """What a model predicts."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A bound that a metric on the test split must keep: at least `minimum`, at most `maximum`."""

    minimum: float | None = None
    maximum: float | None = None

    def holds(self, value: float | None) -> bool:
        """Whether the value keeps the bound; a metric that could not be computed does not."""
        if value is None:
            return False
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

    def __str__(self) -> str:
        return f"at least {self.minimum}" if self.minimum is not None else f"at most {self.maximum}"


def at_least(value: float) -> Expectation:
    """Expect a metric to be `value` or more."""
    return Expectation(minimum=value)


def at_most(value: float) -> Expectation:
    """Expect a metric to be `value` or less."""
    return Expectation(maximum=value)


@dataclass(frozen=True, slots=True)
class Model:
    """One kind of model: what it learns from, and how.

    Attributes:
        target: the column to predict. A float column makes it a regression, any other a classification.
        estimator: a function that returns an unfitted scikit-learn estimator; parameters of a run go to its
            `set_params`.
        builds_on: models (or their names) whose predictions are features of this one.
        without: columns that are not features. The key, the own target and the targets of the models it builds on never
            are.
        expects: metric on the test split → bound; a version that misses one is recorded and can't be promoted.
        only_for: names of the only nodes that may use the model, directly or through a threshold or model.
        where: the place that trains it, as `vertex(region="…")`; by default the run decides.
    """

    name: str
    _: KW_ONLY
    data: Dataset
    target: str
    estimator: Callable[[], Any]
    builds_on: "Sequence[Model | str]" = ()
    without: Sequence[str] = ()
    expects: Mapping[str, Expectation] = field(default_factory=dict)
    only_for: Sequence[str] | None = None
    where: Where | None = None

    def __post_init__(self) -> None:
        check_name(Kind.MODEL, self.name)
        check_where(self.where, f'Model "{self.name}"')
        for what, column in (("target", self.target), *(("without", name) for name in self.without)):
            if column not in self.data.schema:
                raise DeclarationError(
                    f'Model "{self.name}": {what} "{column}" is not a column of dataset "{self.data.name}"; its columns'
                    f" are {', '.join(self.data.schema)}."
                )
        if self.target == self.data.key:
            raise DeclarationError(
                f'Model "{self.name}": target "{self.target}" is the key of dataset "{self.data.name}"; a key only'
                " names rows. Choose another column."
            )

    @property
    def task(self) -> Task:
        """Regression where the target is a float column, classification elsewhere."""
        return Task.REGRESSION if self.data.schema[self.target].kind == "float" else Task.CLASSIFICATION


@dataclass(frozen=True, slots=True)
class Threshold:
    """What turns one model's score into a decision: as a rule, yes from a value up.

    Attributes:
        choose: the policy that picks the value, or the values, on the validation split.
        positive: the class whose probability is the score; True unless the target is not a bool column.
        when: "below" says yes from the value down, on a regression.
        per: a column whose values have thresholds of their own: one of texts, ints or bools, declared or added by
            `clean`.
        at_least_rows: values of `per` that fewer rows of the validation split have are decided by the threshold of all
            rows; 200, unless it is said.
    """

    name: str
    _: KW_ONLY
    model: Model | str
    choose: Policy
    positive: Any = True
    when: Literal["above", "below"] = "above"
    per: str | None = None
    at_least_rows: int | None = None

    def __post_init__(self) -> None:
        check_name(Kind.THRESHOLD, self.name)
        if self.when not in ("above", "below"):
            raise DeclarationError(
                f'Threshold "{self.name}": when={self.when!r} is unknown; it is yes "above" the value, or "below" it.'
            )
        if self.at_least_rows is not None and (self.per is None or self.at_least_rows < 1):
            raise DeclarationError(
                f'Threshold "{self.name}": at_least_rows={self.at_least_rows} is the number of rows that a value of a'
                ' column needs for a threshold of its own; it is 1 or more, and goes with per="…".'
            )

    @property
    def fewest(self) -> int:
        """How many rows a segment needs for values of its own."""
        return FEWEST_ROWS if self.at_least_rows is None else self.at_least_rows


@dataclass(frozen=True, slots=True)
class Api:
    """A service that asks for decisions: the thresholds it decides by and the models whose predictions explain them.

    Attributes:
        agrees_with: APIs (or their names) that must say yes to whatever this one says yes to. An API says yes to a key
            if one of its thresholds decides yes on a row with that key; where this one does and the other, which
            answers that key too, does not, they contradict each other. The decision diff counts these.
        on: the column that holds the key; by default the key of the dataset that both decide on.
    """

    name: str
    _: KW_ONLY
    decides: Sequence[Threshold]
    explains: Sequence[Model] = ()
    agrees_with: "Sequence[Api | str]" = ()
    on: str | None = None

    def __post_init__(self) -> None:
        check_name(Kind.API, self.name)
        if not self.decides:
            raise DeclarationError(
                f'API "{self.name}": decides=[] has no threshold, so it could never answer; name at least one'
                " threshold."
            )
        for what, wanted, used in (("decides", Threshold, self.decides), ("explains", Model, self.explains)):
            for node in used:
                if not isinstance(node, wanted):
                    raise DeclarationError(
                        f'API "{self.name}": {what}= holds a {type(node).__name__}; it takes {wanted.__name__}'
                        " declarations only, not their names."
                    )
        self._check_agreement()

    def _check_agreement(self) -> None:
        for other in self.agrees_with:
            if not isinstance(other, Api | str):
                raise DeclarationError(
                    f'API "{self.name}": agrees_with= holds a {type(other).__name__}; it takes APIs, or their names.'
                )
        if self.name in self.agreeing:
            raise DeclarationError(f'API "{self.name}": agrees_with= names itself; name another API.')
        if self.on is not None and not self.agrees_with:
            raise DeclarationError(
                f'API "{self.name}": on="{self.on}" says where to compare, but not with which API; add agrees_with=[…].'
            )

    @property
    def agreeing(self) -> tuple[str, ...]:
        """The names of the APIs that it agrees with."""
        return tuple(other if isinstance(other, str) else other.name for other in self.agrees_with)


Node = Dataset | Model | Threshold | Api


def kind_of(node: Node) -> Kind:
    """The kind of a node."""
    match node:
        case Dataset():
            return Kind.DATASET
        case Model():
            return Kind.MODEL
        case Threshold():
            return Kind.THRESHOLD
        case Api():
            return Kind.API
