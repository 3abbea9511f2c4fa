"""What happened to one name: its versions, or a group's promotions and releases, oldest first.

Rules:
- A past never changes; one that goes on is another past.
- The columns by which it is searched are at hand. What else a checkpoint holds is read when somebody asks for it, and
  verified then.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar, overload

from lockstep.registry.entries import Entry, Job, ModelTrained, Origin, SnapshotTaken, ThresholdTuned
from lockstep.registry.objects import ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Which entry recorded something, when, and from where."""

    number: int
    at: datetime
    origin: Origin


class Item(Protocol):
    """What a past is made of: it knows its entry."""

    @property
    def recorded(self) -> Recorded:
        """Where it comes from."""


F_co = TypeVar("F_co", SnapshotTaken, ModelTrained, ThresholdTuned, covariant=True)
T_co = TypeVar("T_co", bound=Item, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Generic[F_co]):
    """The `number`-th version of a dataset, model or threshold."""

    name: str
    number: int
    fact: F_co
    recorded: Recorded

    @property
    def digest(self) -> str:
        """The hash that names its files."""
        return self.fact.digest

    @property
    def ref(self) -> str:
        """How people write it: `churn@7`."""
        return f"{self.name}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """What one promotion moved to staging: member key → digest."""

    members: Mapping[str, str]
    recorded: Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a group's production is, or was, from one entry on. `left` is the release that a rollback went away from."""

    group: str
    digest: str
    manifest: ObjectRef
    members: Mapping[str, str]
    left: str | None
    recorded: Recorded

    @property
    def short(self) -> str:
        """The first twelve characters of the digest."""
        return self.digest[:12]


class Word(StrEnum):
    """What somebody said of a set that might be released."""

    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What somebody said of the set `digest` of a group, and which versions are in it."""

    group: str
    digest: str
    word: Word
    members: Mapping[str, str]
    recorded: Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """That a group was put on hold, by a rollback (from the release `left`) or by itself; or that it goes on."""

    group: str
    is_on: bool
    left: str | None
    recorded: Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf(Generic[T_co]):
    """Where the items of a past are that a checkpoint holds: how to read an entry, and what to make of it."""

    read: Callable[[int], Entry]
    make: Callable[[str, int, Entry], T_co]  # of a name, a place from 0 on, and the entry there


class Past(Sequence[T_co]):
    """The items of one name, and the columns by which they are looked up.

    Args:
        name: of the dataset, model, threshold or group.
        items: each as it is, or as the number of the entry that `shelf` reads.
        columns: name of a column → its value for each item.
        shelf: needed where an item is a number.
    """

    __slots__ = ("_items", "_shelf", "columns", "name")

    def __init__(
        self,
        name: str,
        items: tuple[T_co | int, ...] = (),
        columns: Mapping[str, tuple[str, ...]] | None = None,
        shelf: Shelf[T_co] | None = None,
    ) -> None:
        self.name = name
        self.columns = columns or {}
        self._items = items
        self._shelf = shelf

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, place: int) -> T_co: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, place: int | slice) -> T_co | tuple[T_co, ...]:
        if isinstance(place, slice):
            return tuple(self[number] for number in range(*place.indices(len(self))))
        item = self._items[place]
        if not isinstance(item, int):
            return item
        if self._shelf is None:
            raise AssertionError(f'The past of "{self.name}" has numbers, but no shelf to read them from.')
        return self._shelf.make(self.name, place % len(self), self._shelf.read(item))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # equal to a plain tuple, whose hash would need every item

    def __repr__(self) -> str:
        return f"Past({self.name!r}, {len(self)} items)"

    def places(self, column: str, value: str) -> list[int]:
        """The places, from 0 on, of the items that have this value in a column; no item is read."""
        values, found = self.columns.get(column, ()), list[int]()
        try:
            while True:
                found.append(values.index(value, found[-1] + 1 if found else 0))
        except ValueError:
            return found

    def and_on(self, items: Sequence[T_co], columns: Mapping[str, Sequence[str]]) -> "Past[T_co]":
        """The past that goes on with further items."""
        longer = {name: (*self.columns.get(name, ()), *values) for name, values in columns.items()}
        return Past(self.name, (*self._items, *items), longer or self.columns, self._shelf)

    def only(self, length: int) -> "Past[T_co]":
        """The past as it was when it had that many items."""
        columns = {name: values[:length] for name, values in self.columns.items()}
        return Past(self.name, self._items[:length], columns, self._shelf)

    def by_job(self, job: Job) -> Iterator[T_co]:
        """The items that a job recorded, in whichever attempt, newest first."""
        for place in reversed(self.places("job", job.key)):
            item = self[place]
            if job.is_same_as(item.recorded.origin.job):
                yield item

    def entries(self) -> list[int]:
        """The number of each item's entry; no item is read."""
        return [item if isinstance(item, int) else item.recorded.number for item in self._items]
